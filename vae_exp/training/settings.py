"""The settings of the trainer that a user may choose."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import MinLen
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from vae_exp.errors import ConfigError

Devices = PositiveInt | Literal[-1, "auto"] | Annotated[list[NonNegativeInt], MinLen(1)]
"""The number of devices, all of them, or a list with the number of one GPU."""


@dataclass(frozen=True)
class TrainerSettings:
    """The keys of `trainer`. This is the whole list: of the arguments of Lightning's Trainer it has those that change
    neither the budget nor the evaluations nor the update.

    Args:
        steps_per_execution: Optimizer updates per Lightning step, so that hooks, logging and the bar cost little per
            update. None means 50, or 1000 if updates are captured. A step is shorter if an evaluation or the end of the
            budget comes first. The numbers do not depend on it.
        engine: How updates are computed. `eager`: operator by operator. `compiled`: by a program of torch.compile.
            `captured`: on a GPU, many updates as one CUDA graph, which is compiled if `compile` says so. `auto`:
            captured if that is possible, otherwise eager or compiled. The numbers differ by rounding only.
        compile: Whether torch.compile makes one program of the loss and its gradient. `auto` compiles if the budget is
            long enough to repay the time that this takes. The numbers differ by rounding only.
        fast_linear: Whether linear layers use oneDNN for products on the CPU. The numbers differ by rounding only.
        gradient_clip_val: The largest norm of the gradient. None does not clip it.
        precision: float32, or bfloat16 for the products of a training step. Evaluations are always in float32. On a
            GPU the convolutions of a training step use TF32 unless PyTorch is told otherwise; an evaluation's do not.
        float32_matmul_precision: The precision of float32 products in a training step, as in
            torch.set_float32_matmul_precision: `highest`, or `high` (TF32) and `medium` (bfloat16) on GPUs with tensor
            cores.
        strategy: `ddp` trains one run on several devices, `auto` on one.
        devices: The number of devices. Without `ddp` it is 1, or for example `[2]` for the third GPU.
        accelerator: `cpu`, `gpu`, or `auto` for a GPU if there is one.
        log_every_n_steps: Optimizer updates between two reports of the training loss.
        enable_progress_bar: Whether to show the bar and a line per evaluation.
        enable_model_summary: Whether to list the layers.
        profiler: Lightning's profiler of its steps and hooks.
        deterministic: Whether PyTorch refuses, or warns of, operations that give other numbers each time.
        benchmark: Whether cuDNN tries its convolutions to find the fastest.
        detect_anomaly: Whether autograd names the operation that gave a NaN. This is slow.

    Raises:
        ConfigError: Two settings contradict each other, or `ddp` is not given a number of devices.
    """

    steps_per_execution: PositiveInt | None = None
    engine: Literal["auto", "eager", "compiled", "captured"] = "auto"
    compile: Literal["auto"] | bool = "auto"
    fast_linear: bool = True
    gradient_clip_val: PositiveFloat | None = None
    precision: Literal["32-true", "32", 32, "bf16-mixed", "bf16"] = "32-true"
    float32_matmul_precision: Literal["highest", "high", "medium"] = "highest"
    strategy: Literal["auto", "ddp"] = "auto"
    devices: Devices = 1
    accelerator: str = "auto"
    log_every_n_steps: PositiveInt = 50
    enable_progress_bar: bool = True
    enable_model_summary: bool = True
    profiler: Literal["simple", "advanced", "pytorch"] | None = None
    deterministic: bool | Literal["warn"] | None = None
    benchmark: bool | None = None
    detect_anomaly: bool = False

    def __post_init__(self) -> None:
        if (self.engine, self.compile) in {("eager", True), ("compiled", False)}:
            raise ConfigError(f"trainer.engine={self.engine}: contradicts trainer.compile={str(self.compile).lower()}")
        if self.strategy == "ddp" and (not isinstance(self.devices, int) or self.devices < 1):
            raise ConfigError(
                f"trainer.devices={self.devices}: trainer=ddp needs to know how many: a whole number, 1 or more"
            )

    @property
    def processes(self) -> int:
        """The number of processes that train."""
        return self.devices if self.strategy == "ddp" and isinstance(self.devices, int) else 1

    @property
    def compiles(self) -> bool | None:
        """Whether to compile. None means that the budget decides."""
        if self.engine in ("eager", "compiled"):
            return self.engine == "compiled"
        return None if self.compile == "auto" else self.compile

    @property
    def is_coarse(self) -> bool:
        """Whether products of a training step are in bfloat16."""
        return str(self.precision).startswith("bf16")
