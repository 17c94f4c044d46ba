"""Two ways to the gradient of a loss: as PyTorch runs it, or compiled into one program."""

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
logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # "No CUDA runtime is found", on a CPU

Loss = tuple[Tensor, dict[str, Tensor]]
"""A scalar, and the means of the terms that it is made of."""

Gradients = Callable[[Tensor, Tensor, Tensor | None], Loss]
"""Images, labels and what each image counts for to the loss; leaves its gradient in the parameters."""

FINE = 0.1, 1e-5
"""How far a compiled gradient may be from autograd's: in parts of its own norm, and of the whole gradient's."""

COARSE = 0.5, 1e-2
"""The same in bfloat16."""

REPAID_FROM = 20_000
"""Updates of a multilayer perceptron after which the time that compiling takes is won back (docs/performance.md)."""

REPAID_ON_GPU_FROM = 100_000
"""The same on a GPU: 18 s of compiling, then 7,500 updates per second in place of 2,860, captured both."""


class Eager:
    """The gradients by autograd, operator by operator.

    Args:
        model: Its `forward` maps images, labels and what each image counts for to a `Loss`.
    """

    engine = "eager"

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._parameters = list(model.parameters())

    def __call__(self, x: Tensor, y: Tensor, counts: Tensor | None = None) -> Loss:
        """Images (B, C, H, W), labels (B,) and counts (B,) to the loss, whose gradient is left in the parameters."""
        loss, terms = self._model(x, y, counts)
        for parameter in self._parameters:
            parameter.grad = None
        loss.backward()
        return loss.detach(), terms


class Compiled:
    """The gradients by one program that torch.compile makes of loss and derivative.

    It draws the same random numbers as `Eager` and differs from it by rounding only. The first batch shows whether it
    does: there both are computed and compared. Inside `fast_linear` its large products are oneDNN's.

    Args:
        model: Its `forward` maps images, labels and what each image counts for to a `Loss`.
        required: Whether to end, not to go on with `Eager`, where the program cannot be made or is wrong.
        generates_code: Whether machine code is generated. If not, the program is traced and differentiated, and its
            operators run one by one: this finds faults in the tracing without the seconds that a C++ compiler takes.
    """

    def __init__(self, model: nn.Module, required: bool, generates_code: bool = True) -> None:
        self._model, self._required = model, required
        self._parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._eager = Eager(model)
        self._program = _program(model, generates_code)
        self._gradients: Gradients | None = None

    @property
    def engine(self) -> str:
        """What computes the gradients, after the first batch."""
        return Eager.engine if self._gradients is self._eager else "inductor"

    def __call__(self, x: Tensor, y: Tensor, counts: Tensor | None = None) -> Loss:
        """Images (B, C, H, W), labels (B,) and counts (B,) to the loss, whose gradient is left in the parameters.

        Raises:
            ConfigError: At the first batch: the program is required, and cannot be made or is wrong.
        """
        if self._gradients is None:
            self._gradients = self._chosen(x, y, counts)
        return self._gradients(x, y, counts)

    def _chosen(self, x: Tensor, y: Tensor, counts: Tensor | None) -> Gradients:
        expected = self._tried(self._eager, x, y, counts)
        try:
            found = self._tried(self._run, x, y, counts)
            coarse = torch.is_autocast_enabled(x.device.type)
            fault = _difference(found, expected, *(COARSE if coarse else FINE))
        except Exception as error:  # whatever a compiler may raise: the model itself has just run
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

    def _tried(self, gradients: Gradients, x: Tensor, y: Tensor, counts: Tensor | None) -> dict[str, Tensor]:
        """The gradients of one batch; the generators and the model's buffers stay as they were."""
        buffers = [buffer.clone() for buffer in self._model.buffers()]
        with torch.random.fork_rng(devices=[x.device] if x.device.type == "cuda" else []):
            gradients(x, y, counts)
        for buffer, before in zip(self._model.buffers(), buffers, strict=True):
            buffer.copy_(before)
        # parameters without a gradient take no part in the loss
        return {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in self._parameters.items()}


def _program(model: nn.Module, generates_code: bool) -> Callable[..., tuple[dict[str, Tensor], Loss]]:
    """Parameters and a batch to the gradients, loss and terms; compiled when it is first called."""

    def loss(values: dict[str, Tensor], x: Tensor, y: Tensor, counts: Tensor | None) -> Loss:
        value: Loss = functional_call(model, values, (x, y, counts))
        return value

    torch.compiler.reset()  # or the ninth job of a sweep in one process would meet the limit of recompilations
    gradient = grad_and_value(loss, has_aux=True)
    if not generates_code:
        return torch.compile(gradient, fullgraph=True, dynamic=False, backend="aot_eager")
    options: dict[str, Any] = {"fallback_random": True}
    if is_fast():
        options["post_grad_custom_post_pass"] = TakeLargeProducts()
    return torch.compile(gradient, fullgraph=True, dynamic=False, options=options)


def _difference(found: dict[str, Tensor], expected: dict[str, Tensor], rounding: float, negligible: float) -> str:
    """What is wrong with gradients that should be equal but for rounding; empty where nothing is."""
    whole = torch.stack([g.norm() for g in expected.values()]).norm()
    for name, g in expected.items():
        difference = (found[name] - g).norm()
        if whole.isfinite() and not difference <= rounding * g.norm() + negligible * whole:
            return f"its gradient of {name} is {difference:.3g} from autograd's, whose norm is {g.norm():.3g}"
    return ""


def _reason(error: Exception) -> str:
    """What a compiler has to say, in a line."""
    first, *rest = str(error).strip().splitlines() or [type(error).__name__]
    context = [line.partition(":")[2] for line in rest if "debug context:" in line] or rest
    return " ".join(f"{first} {context[0] if context else ''}".split())[:300]


# an operator of our own, since the compiler's rules for oneDNN's take constant weights alone;
# torch.library.custom_op would do, with 10 µs more per call
LIBRARY = torch.library.Library("vae_exp", "DEF")
LIBRARY.define("product(Tensor a, Tensor b, Tensor? bias=None) -> Tensor")
LIBRARY.impl("product", lambda a, b, bias=None: by_onednn(a, b.t(), bias), "CPU")
torch.library.register_fake("vae_exp::product", lambda a, b, bias=None: a.new_empty(a.shape[0], b.shape[1]))
product: Callable[..., Tensor] = torch.ops.vae_exp.product.default


class TakeLargeProducts(CustomGraphPass):
    """A pass over a program that torch.compile has differentiated already: its large products become oneDNN's.

    So nothing has to know the operator's derivative. (An autograd.Function that did lost it in PyTorch 2.14: the
    gradients that went through it were zero.)
    """

    def __call__(self, graph: torch.fx.Graph) -> None:
        """Replace a b and a b + bias where they are float32 matrices on the CPU."""
        aten: Any = torch.ops.aten
        for node in graph.find_nodes(op="call_function", target=aten.mm.default):
            self._replace(node, *node.args)
        for node in graph.find_nodes(op="call_function", target=aten.addmm.default):
            bias, a, b = node.args
            if not node.kwargs and bias.meta["val"].ndim == 1:  # a row for all, and no factors
                self._replace(node, a, b, bias)

    def uuid(self) -> bytes:
        """What the compiler's cache knows this pass by."""
        return hashlib.sha256(Path(__file__).read_bytes()).digest()

    def _replace(self, node: torch.fx.Node, *arguments: torch.fx.Node) -> None:
        a, b, *_ = values = [argument.meta["val"] for argument in arguments]
        float32_on_cpu = all(value.device.type == "cpu" and value.dtype is torch.float32 for value in values)
        if float32_on_cpu and is_large(a, b.t()):
            node.target, node.args = product, arguments


def is_repaid(model: nn.Module, updates: int) -> bool:
    """Whether compiling pays: many updates, a compiler at hand, no convolutions (as fast without it)."""
    convolutional = any(isinstance(module, nn.Conv2d) for module in model.modules())
    devices = {parameter.device.type for parameter in model.parameters()}
    on_cpu = devices == {"cpu"} and updates >= REPAID_FROM and has_compiler()
    on_gpu = devices == {"cuda"} and updates >= REPAID_ON_GPU_FROM and has_triton()
    return not convolutional and (on_cpu or on_gpu)


def has_triton() -> bool:
    """Whether there is the compiler that torch.compile takes on a GPU."""
    return find_spec("triton") is not None


def has_compiler() -> bool:
    """Whether there is the C++ compiler that torch.compile takes on a CPU."""
    return shutil.which(os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")) is not None
