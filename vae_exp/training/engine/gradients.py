"""Two ways to compute the gradient of a loss: eagerly by autograd, or by one compiled program."""

import hashlib
import logging
import os
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._inductor.custom_graph_pass import CustomGraphPass  # programs with any other pass are not cached
from torch.func import functional_call, grad_and_value

from vae_exp.errors import ConfigError
from vae_exp.network.linear import by_onednn, is_fast, is_large

log = logging.getLogger(__name__)

Loss = tuple[Tensor, dict[str, Tensor]]
"""The loss, a scalar, and the mean of each of its terms."""

Gradients = Callable[[Tensor, Tensor, Tensor | None], Loss]
"""Maps images, labels and the weights of the images to the loss, and stores its gradient in the parameters."""

FLOAT32_TOLERANCE = 0.1, 1e-5
"""The largest difference between a compiled gradient of a parameter and autograd's.

It is relative to the norm of this gradient, plus relative to the norm of the whole gradient.
"""

BFLOAT16_TOLERANCE = 0.5, 1e-2
"""The same for bfloat16."""

COMPILING_PAYS_FROM = 20_000
"""The number of updates of a multilayer perceptron from which compiling saves time (docs/performance.md)."""

COMPILING_PAYS_ON_GPU_FROM = 100_000
"""The same on a GPU: compiling takes 18 s, then it does 7,500 updates per second, not 2,860; both with CUDA graphs."""


class Eager:
    """Compute gradients by autograd, operator by operator.

    Args:
        model: A module whose `forward` maps images, labels and the weights of the images to a `Loss`.
    """

    engine = "eager"

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._parameters = list(model.parameters())

    def __call__(self, x: Tensor, y: Tensor, counts: Tensor | None = None) -> Loss:
        """Compute the loss and its gradient, which is stored in the parameters.

        Args:
            x: Images (B, C, H, W).
            y: Labels (B,).
            counts: The weight of each image, (B,); None for 1 each.
        """
        loss, terms = self._model(x, y, counts)
        for parameter in self._parameters:
            parameter.grad = None
        loss.backward()
        return loss.detach(), terms


class Compiled:
    """Compute gradients by one program, which torch.compile makes from the loss and its derivative.

    The program draws the same random numbers as `Eager`, and its results are equal up to rounding. The first batch is
    computed in both ways to check this. Inside `fast_linear`, oneDNN computes the program's large products.

    Args:
        model: A module whose `forward` maps images, labels and the weights of the images to a `Loss`.
        required: Whether to raise an error if the program cannot be made or is wrong. If not, use `Eager` then.
        generates_code: Whether machine code is generated. If not, the program is traced and differentiated, and its
            operators run one by one. This finds errors in the tracing without waiting for a C++ compiler.
    """

    def __init__(self, model: nn.Module, required: bool, generates_code: bool = True) -> None:
        self._model, self._required = model, required
        self._parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._eager = Eager(model)
        self._program = _program(model, generates_code)
        self._gradients: Gradients | None = None

    @property
    def engine(self) -> str:
        """The name of the engine that computes the gradients, known after the first batch."""
        return Eager.engine if self._gradients is self._eager else "inductor"

    def __call__(self, x: Tensor, y: Tensor, counts: Tensor | None = None) -> Loss:
        """Compute the loss and its gradient, which is stored in the parameters.

        Args:
            x: Images (B, C, H, W).
            y: Labels (B,).
            counts: The weight of each image, (B,); None for 1 each.

        Raises:
            ConfigError: At the first batch, the program is required, but cannot be made or is wrong.
        """
        if self._gradients is None:
            self._gradients = self._choose(x, y, counts)
        return self._gradients(x, y, counts)

    def _choose(self, x: Tensor, y: Tensor, counts: Tensor | None) -> Gradients:
        """Choose the program if its gradient of a batch is right, else `Eager`."""
        expected = self._trial(self._eager, x, y, counts)
        try:
            compiled = self._trial(self._run, x, y, counts)
            coarse = torch.is_autocast_enabled(x.device.type)
            fault = _difference(compiled, expected, *(BFLOAT16_TOLERANCE if coarse else FLOAT32_TOLERANCE))
        except Exception as error:  # the model has just run, so any error comes from the compiler
            fault = _reason(error)
        if not fault:
            return self._run
        if self._required:
            raise ConfigError(f"trainer.compile: {fault}. trainer.compile=false trains without it")
        log.warning("Training without torch.compile: %s", fault)
        return self._eager

    def _run(self, x: Tensor, y: Tensor, counts: Tensor | None) -> Loss:
        with torch.no_grad():
            values = {name: p.detach() for name, p in self._parameters.items()}
            derivatives, (value, terms) = self._program(values, x, y, counts)
        for name, parameter in self._parameters.items():
            parameter.grad = derivatives[name]
        return value, terms

    def _trial(self, gradients: Gradients, x: Tensor, y: Tensor, counts: Tensor | None) -> dict[str, Tensor]:
        """Compute the gradients of one batch without changing the random generators or the model's buffers."""
        buffers = [buffer.clone() for buffer in self._model.buffers()]
        with torch.random.fork_rng(devices=[x.device] if x.device.type == "cuda" else []):
            gradients(x, y, counts)
        for buffer, before in zip(self._model.buffers(), buffers, strict=True):
            buffer.copy_(before)
        # the loss does not depend on parameters without a gradient
        return {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in self._parameters.items()}


def _program(model: nn.Module, generates_code: bool) -> Callable[..., tuple[dict[str, Tensor], Loss]]:
    """Build a function from parameters and a batch to the gradients, loss and terms. The first call compiles it."""

    def loss(values: dict[str, Tensor], x: Tensor, y: Tensor, counts: Tensor | None) -> Loss:
        value: Loss = functional_call(model, values, (x, y, counts))
        return value

    # otherwise the ninth job of a sweep in one process would exceed the limit of recompilations
    torch.compiler.reset()
    gradient = grad_and_value(loss, has_aux=True)
    if not generates_code:
        return torch.compile(gradient, fullgraph=True, dynamic=False, backend="aot_eager")
    options: dict[str, Any] = {"fallback_random": True}
    if is_fast():
        options["post_grad_custom_post_pass"] = TakeLargeProducts()
    return torch.compile(gradient, fullgraph=True, dynamic=False, options=options)


def _difference(compiled: dict[str, Tensor], expected: dict[str, Tensor], rounding: float, negligible: float) -> str:
    """Describe the first difference that is too large for rounding; empty if there is none."""
    whole = torch.stack([g.norm() for g in expected.values()]).norm()
    for name, g in expected.items():
        difference = (compiled[name] - g).norm()
        if whole.isfinite() and not difference <= rounding * g.norm() + negligible * whole:
            return f"its gradient of {name} is {difference:.3g} from autograd's, whose norm is {g.norm():.3g}"
    return ""


def _reason(error: Exception) -> str:
    """Shorten the message of a compiler to one line."""
    first, *rest = str(error).strip().splitlines() or [type(error).__name__]
    context = [line.partition(":")[2] for line in rest if "debug context:" in line] or rest
    return " ".join(f"{first} {context[0] if context else ''}".split())[:300]


# our own operator, because the compiler applies its rules for oneDNN only to constant weights;
# torch.library.custom_op would take 10 µs longer per call
LIBRARY = torch.library.Library("vae_exp", "DEF")
LIBRARY.define("product(Tensor a, Tensor b, Tensor? bias=None) -> Tensor")
LIBRARY.impl("product", lambda a, b, bias=None: by_onednn(a, b.t(), bias), "CPU")
torch.library.register_fake("vae_exp::product", lambda a, b, bias=None: a.new_empty(a.shape[0], b.shape[1]))
product: Callable[..., Tensor] = torch.ops.vae_exp.product.default


class TakeLargeProducts(CustomGraphPass):
    """Replace the large products of a program by oneDNN's, after torch.compile has differentiated the program.

    So oneDNN's operator needs no derivative. (With an autograd.Function, which has one, the gradients were zero in
    PyTorch 2.14.)
    """

    def __call__(self, graph: torch.fx.Graph) -> None:
        """Replace the products a b and a b + bias of large float32 matrices on the CPU."""
        aten: Any = torch.ops.aten
        for node in graph.find_nodes(op="call_function", target=aten.mm.default):
            self._replace(node, *node.args)
        for node in graph.find_nodes(op="call_function", target=aten.addmm.default):
            bias, a, b = node.args
            if not node.kwargs and bias.meta["val"].ndim == 1:  # one bias for all rows, and no factors α and β
                self._replace(node, a, b, bias)

    def uuid(self) -> bytes:
        """Identify this pass in the compiler's cache."""
        return hashlib.sha256(Path(__file__).read_bytes()).digest()

    def _replace(self, node: torch.fx.Node, *arguments: torch.fx.Node) -> None:
        a, b, *_ = values = [argument.meta["val"] for argument in arguments]
        float32_on_cpu = all(value.device.type == "cpu" and value.dtype is torch.float32 for value in values)
        if float32_on_cpu and is_large(a, b.t()):
            node.target, node.args = product, arguments


def compiling_pays(model: nn.Module, updates: int) -> bool:
    """Tell whether compiling saves time: there are many updates, a compiler, and no convolutions.

    Convolutions are equally fast without it.
    """
    convolutional = any(isinstance(module, nn.Conv2d) for module in model.modules())
    devices = {parameter.device.type for parameter in model.parameters()}
    on_cpu = devices == {"cpu"} and updates >= COMPILING_PAYS_FROM and has_compiler()
    on_gpu = devices == {"cuda"} and updates >= COMPILING_PAYS_ON_GPU_FROM and has_triton()
    return not convolutional and (on_cpu or on_gpu)


def has_triton() -> bool:
    """Tell whether Triton is installed, with which torch.compile compiles for GPUs."""
    return find_spec("triton") is not None


def has_compiler() -> bool:
    """Tell whether the C++ compiler is installed that torch.compile uses for CPUs."""
    return shutil.which(os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")) is not None
