"""Updates by one program, which torch.compile makes of the loss, its derivative and the optimizer's step."""

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from vae_exp.errors import ConfigError
from vae_exp.network.linear import is_fast
from vae_exp.training.engine.gradients import Differentiated, Eager, Loss, Tensors
from vae_exp.training.engine.products import TakeLargeProducts
from vae_exp.training.engine.update import Traced

log = logging.getLogger(__name__)

FLOAT32_TOLERANCE = 0.1, 1e-5
"""The largest difference between a compiled gradient of a parameter and autograd's.

It is relative to the norm of this gradient, plus relative to the norm of the whole gradient.
"""

BFLOAT16_TOLERANCE = 0.5, 1e-2
"""The same for bfloat16."""

STEP_TOLERANCE = 1e-2, 1e-6
"""The same for the change of a parameter, relative to its norm, plus relative to the norm of the whole parameter."""

COMPILING_PAYS_FROM = 10_000
"""The number of updates of a multilayer perceptron from which compiling saves time (docs/performance.md)."""

COMPILING_PAYS_ON_GPU_FROM = 100_000
"""The same on a GPU: compiling takes 18 s, then it does 8,000 updates per second, not 2,900; both with CUDA graphs."""

CACHE = "TORCHINDUCTOR_CACHE_DIR"
"""PyTorch's name for the folder of compiled programs."""


class Compiled:
    """Compute the gradient by one compiled program, which includes the step if it can.

    The program draws the same random numbers, and its results are equal up to rounding. The first batch that it gets is
    computed in both ways to check this. Inside `fast_linear`, oneDNN computes the program's large products.

    The first update of a run is eager if the program includes the step: it creates the optimizer's state.

    Args:
        eager: What the program computes, operator by operator.
        required: Whether to raise an error if the program cannot be made or is wrong. If not, use `eager` then.
        step: What follows the gradient; None if the program ends with the gradient.
        begun: Whether the optimizer has done an update in this run, so that it has its state.
        generates_code: Whether machine code is generated. If not, the program is traced and differentiated, and its
            operators run one by one. This finds errors in the tracing without waiting for a C++ compiler.

    Attributes:
        engine: The name of the engine that computed the latest batch.
        updates: Whether the latest batch has also updated the parameters.
    """

    def __init__(
        self,
        eager: Differentiated,
        required: bool,
        step: Traced | None = None,
        begun: bool = False,
        generates_code: bool = True,
    ) -> None:
        self._eager, self._required, self._step = eager, required, step
        self._begun = begun or step is None
        self._parameters = eager.parameters
        self._gradients: Tensors = {}
        """Where the program stores the gradients of the parameters on which the loss depends.

        An optimizer's fused kernels read a gradient in the order of its parameter, whatever its strides.
        """
        self._program = _compiled(self._update, generates_code)
        self._compute: Callable[[Tensor, Tensor, Tensor | None], Loss] | None = None
        self.engine, self.updates = Eager.engine, False

    def __call__(self, x: Tensor, y: Tensor, counts: Tensor | None = None) -> Loss:
        """Compute the loss and its gradient, which is stored in the parameters.

        Args:
            x: Images (B, C, H, W).
            y: Labels (B,).
            counts: The weight of each image, (B,); None for 1 each.

        Raises:
            ConfigError: At the first batch, the program is required, but cannot be made or is wrong.
        """
        if not self._begun:
            self._begun = True
            return self._eager(x, y, counts)
        if self._compute is None:
            self._compute = self._choose(x, y, counts)
            compiled = self._compute == self._run
            self.engine, self.updates = "inductor" if compiled else Eager.engine, compiled and self._step is not None
        return self._compute(x, y, counts)

    def _choose(self, x: Tensor, y: Tensor, counts: Tensor | None) -> Callable[[Tensor, Tensor, Tensor | None], Loss]:
        """Choose the program if it is right on a batch, else what it is made of."""
        with self._unchanged(x.device):
            self._eager(x, y, counts)
            if self._step is not None:
                self._step.clip()
            expected = self._stored()
            self._gradients = {n: p.grad.clone() for n, p in self._parameters.items() if p.grad is not None}
        try:
            fault = self._fault(expected, x, y, counts)
        except Exception as error:  # the model has just run, so any error comes from the compiler
            fault = _reason(error)
        if not fault:
            return self._run
        if self._required:
            raise ConfigError(f"trainer.compile: {fault}. trainer.compile=false trains without it")
        log.warning("Training without torch.compile: %s", fault)
        return self._eager

    def _fault(self, expected: Tensors, x: Tensor, y: Tensor, counts: Tensor | None) -> str:
        """Describe what is wrong with the program's result on a batch; empty if it is right."""
        before = {name: p.detach().clone() for name, p in self._parameters.items()}
        with self._unchanged(x.device), nullcontext() if self._step is None else self._step.by_formulas():
            self._run(x, y, counts)
            gradients, changes = self._stored(), self._changes(before)
        coarse = torch.is_autocast_enabled(x.device.type)
        sizes = {name: torch.stack([g.norm() for g in expected.values()]).norm() for name in expected}
        tolerance = BFLOAT16_TOLERANCE if coarse else FLOAT32_TOLERANCE
        fault = difference("gradient", gradients, expected, sizes, "autograd's", *tolerance)
        if self._step is None or fault:
            return fault
        with self._unchanged(x.device):
            for name in self._gradients:
                self._parameters[name].grad = gradients[name]
            self._step.apply()
            expected = self._changes(before)
        sizes = {name: value.norm() for name, value in before.items()}
        return difference("change", changes, expected, sizes, "the optimizer's", *STEP_TOLERANCE)

    def _run(self, x: Tensor, y: Tensor, counts: Tensor | None) -> Loss:
        for name, parameter in self._parameters.items():
            parameter.grad = self._gradients.get(name)
        with torch.no_grad():
            loss: Loss = self._program(x, y, counts)
        return loss

    def _update(self, x: Tensor, y: Tensor, counts: Tensor | None) -> Loss:
        """Compute the gradient, and do the step if the program includes it; traced."""
        derivatives, loss = self._eager.gradient(dict(self._parameters), x, y, counts)
        for name, gradient in self._gradients.items():
            gradient.copy_(derivatives[name])
        if self._step is not None:
            self._step.trace()
        return loss

    @contextmanager
    def _unchanged(self, device: torch.device) -> Iterator[None]:
        """Restore the parameters, the buffers, the optimizer's state and the random generators after this context."""
        before = [tensor.clone() for tensor in self._tensors()]
        try:
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                yield
        finally:
            # read again, because the compiler moves counters of the optimizer to a GPU
            for tensor, old in zip(self._tensors(), before, strict=True):
                tensor.copy_(old)

    def _tensors(self) -> list[Tensor]:
        return [*self._eager.tensors(), *(self._step.state() if self._step is not None else [])]

    def _stored(self) -> Tensors:
        """Return copies of the stored gradients; zeros for parameters on which the loss does not depend."""
        return {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in self._parameters.items()}

    def _changes(self, before: Tensors) -> Tensors:
        return {name: p.detach() - before[name] for name, p in self._parameters.items()}


def _compiled(function: Callable[..., Any], generates_code: bool) -> Callable[..., Any]:
    """Compile a function at its first call."""
    # checking that nothing but the batch has changed takes 0.1 ms per call, and only batches change
    options: dict[str, Any] = {"guard_filter_fn": torch.compiler.skip_all_guards_unsafe}
    # isolated, because without these checks a program is taken for that of another model; several may be in use
    compile_one = partial(torch.compile, function, fullgraph=True, dynamic=False, isolate_recompiles=True)
    if not generates_code:
        return compile_one(backend="aot_eager", options=options)
    # without a test of the C++ compiler for each set of vector instructions, which takes 6 s; a compiler that lacks
    # the processor's fails, and the run is not compiled
    options |= {"fallback_random": True, "size_asserts": False, "cpp.vec_isa_ok": True}
    if is_fast():
        options["post_grad_custom_post_pass"] = TakeLargeProducts()
    return compile_one(options=options)


def difference(
    what: str, found: Tensors, expected: Tensors, sizes: Tensors, whose: str, rounding: float, negligible: float
) -> str:
    """Describe the first difference that is too large for rounding; empty if there is none.

    Args:
        what: What is compared.
        found: The tensors, by name.
        expected: What they should be.
        sizes: The scalars to which `negligible` is relative.
        whose: Whose the expected ones are.
        rounding: The allowed norm of a difference, relative to the norm of the expected tensor, …
        negligible: … plus this part of its size.
    """
    for name, value in expected.items():
        difference = (found[name] - value).norm()
        allowed = rounding * value.norm() + negligible * sizes[name]
        if sizes[name].isfinite() and value.norm().isfinite() and not difference <= allowed:
            return f"its {what} of {name} is {difference:.3g} from {whose}, whose norm is {value.norm():.3g}"
    return ""


def _reason(error: Exception) -> str:
    """Shorten the message of a compiler to one line."""
    first, *rest = str(error).strip().splitlines() or [type(error).__name__]
    context = [line.partition(":")[2] for line in rest if "debug context:" in line] or rest
    return " ".join(f"{first} {context[0] if context else ''}".split())[:300]


def compiling_pays(model: nn.Module, updates: int) -> bool:
    """Tell whether compiling saves time: there are many updates, a compiler, and no convolutions.

    Convolutions are equally fast without it.
    """
    convolutional = any(isinstance(module, nn.Conv2d) for module in model.modules())
    devices = {parameter.device.type for parameter in model.parameters()}
    on_cpu = devices == {"cpu"} and updates >= COMPILING_PAYS_FROM and has_compiler()
    on_gpu = devices == {"cuda"} and updates >= COMPILING_PAYS_ON_GPU_FROM and has_triton()
    return not convolutional and (on_cpu or on_gpu)


def keep_programs(folder: Path) -> None:
    """Let PyTorch keep compiled programs in this folder, where other runs find them.

    Otherwise they lie in the system's folder for temporary files. A folder that the user has chosen stays, and a folder
    that cannot be made is not used.
    """
    if os.environ.get(CACHE, default_cache_dir()) == default_cache_dir():  # PyTorch sets it when it is imported
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            os.environ[CACHE] = str(folder)


def has_triton() -> bool:
    """Tell whether Triton is installed, with which torch.compile compiles for GPUs."""
    return find_spec("triton") is not None


def has_compiler() -> bool:
    """Tell whether the C++ compiler is installed that torch.compile uses for CPUs."""
    return shutil.which(os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")) is not None
