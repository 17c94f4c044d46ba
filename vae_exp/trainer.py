"""Lightning's Trainer, with what makes small networks fast."""

from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pydantic import PositiveFloat, PositiveInt

from vae_exp.errors import ConfigError
from vae_exp.experiment import Experiment


class Trainer(pl.Trainer):
    """One Lightning step runs several optimizer updates, so that hooks, logging and the bar cost little per update.

    Args:
        steps_per_execution: Optimizer updates per Lightning step; fewer where the next evaluation or the end of the
            budget is nearer. The numbers do not depend on it.
        compile: Whether torch.compile makes one program of the loss and its gradient; `auto` where the budget is
            long enough to repay the time that takes. The numbers differ by rounding only.
        fast_linear: Whether linear layers on the CPU take their products from oneDNN; by rounding the same.
        gradient_clip_val: Largest norm of the gradient; None leaves it alone.
        strategy: `ddp` for one run on several devices, `auto` for one.
        devices: How many; without `ddp` whatever Lightning takes for one.
        accelerator: As Lightning's.
        rank: Which of the processes of `ddp` this one is.
        precision: float32, or bfloat16 for the products of a training step; evaluations are always in float32.
            (float16 would need its losses scaled.)
        arguments: Of Lightning's Trainer.

    Raises:
        ConfigError: Several devices are asked for in a way that there is not, or more than there are.
    """

    def __init__(
        self,
        steps_per_execution: PositiveInt = 50,
        compile: Literal["auto"] | bool = "auto",
        fast_linear: bool = True,
        gradient_clip_val: PositiveFloat | None = None,
        precision: Literal["32-true", "32", 32, "bf16-mixed", "bf16"] = "32-true",
        strategy: Literal["auto", "ddp"] = "auto",
        devices: int | str | list[int] = 1,
        accelerator: str = "auto",
        rank: int = 0,
        **arguments: Any,
    ) -> None:
        self.processes = 1
        if strategy == "ddp":
            self.processes, devices = _processes(devices), _device(accelerator, rank, _processes(devices))
        # to Lightning each process is a run of its own: its way of sharing knows one update per step
        super().__init__(precision=precision, devices=devices, accelerator=accelerator, **arguments)
        if self.world_size > 1:
            raise ConfigError(f"trainer.devices={devices}: one run on several devices is trainer=ddp")
        self.steps_per_execution = steps_per_execution
        self.compile = compile
        self.fast_linear = fast_linear
        self.largest_gradient_norm = gradient_clip_val

    @property
    def global_step(self) -> int:
        """Optimizer updates so far; Lightning would count none, since it does not make them."""
        module = self.lightning_module
        return module.steps if isinstance(module, Experiment) else 0


def _processes(devices: Any) -> int:
    if not isinstance(devices, int) or devices < 1:
        raise ConfigError(f"trainer.devices={devices}: trainer=ddp needs to know how many: a whole number, 1 or more")
    return devices


def _device(accelerator: str, rank: int, processes: int) -> int | list[int]:
    """The device of one process: on a CPU they share it."""
    if accelerator == "cpu" or not torch.cuda.is_available():
        return 1
    if processes > torch.cuda.device_count():
        raise ConfigError(f"trainer.devices={processes}: there are {torch.cuda.device_count()}")
    return [rank]
