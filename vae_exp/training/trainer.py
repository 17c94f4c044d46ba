"""Lightning's Trainer, with what makes small networks fast."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytorch_lightning as pl
import torch
from annotated_types import MinLen
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from vae_exp.errors import ConfigError
from vae_exp.training.experiment import Experiment

Devices = PositiveInt | Literal[-1, "auto"] | Annotated[list[NonNegativeInt], MinLen(1)]
"""How many, all of them, or the number of a GPU."""


class Trainer(pl.Trainer):
    """One Lightning step runs several optimizer updates, so that hooks, logging and the bar cost little per update.

    Of Lightning's own arguments it takes those that leave the budget, the evaluations and the update as they are.

    Args:
        callbacks: Lightning's, as are the next two.
        default_root_dir: The run directory.
        plugins: How checkpoints are written, and what the process knows of others.
        rank: Which of the processes of `ddp` this one is.
        steps_per_execution: Optimizer updates per Lightning step, None for 50, or 1000 where they are captured; fewer
            where the next evaluation or the end of the budget is nearer. The numbers do not depend on it.
        engine: How updates are computed: `eager`, operator by operator; `compiled`, by a program of torch.compile;
            `captured`, on a GPU, many updates as one CUDA graph, compiled where `compile` says so; `auto`, captured
            where that can be had, else eager or compiled. The numbers differ by rounding only.
        compile: Whether torch.compile makes one program of the loss and its gradient; `auto` where the budget is
            long enough to repay the time that takes. The numbers differ by rounding only.
        fast_linear: Whether linear layers on the CPU take their products from oneDNN; by rounding the same.
        gradient_clip_val: Largest norm of the gradient; None leaves it alone.
        strategy: `ddp` for one run on several devices, `auto` for one.
        devices: How many; without `ddp` one, or `[2]` for the third GPU.
        accelerator: `cpu`, `gpu`, or `auto` for a GPU where there is one.
        float32_matmul_precision: Of products of float32 in the training step, as torch.set_float32_matmul_precision has
            it: `highest`, or on GPUs with tensor cores `high` (TF32) and `medium` (bfloat16).
        precision: float32, or bfloat16 for the products of a training step; evaluations are always in float32. (On a
            GPU a training step's convolutions are in TF32 unless PyTorch is told otherwise; an evaluation's are not.)
            (float16 would need its losses scaled.)
        log_every_n_steps: Optimizer updates between two reports of the training loss.
        enable_progress_bar: Whether the bar and a line per evaluation are shown.
        enable_model_summary: Whether the layers are listed.
        profiler: Lightning's, of its steps and hooks.
        deterministic: Whether PyTorch refuses, or warns of, operations that give other numbers each time.
        benchmark: Whether cuDNN tries its convolutions for the fastest.
        detect_anomaly: Whether autograd says which operation gave a NaN; slow.

    Raises:
        ConfigError: Several devices are asked for in a way that there is not, or more than there are.
    """

    def __init__(
        self,
        callbacks: list[pl.Callback],
        default_root_dir: Path,
        plugins: list[Any],
        rank: int = 0,
        steps_per_execution: PositiveInt | None = None,
        engine: Literal["auto", "eager", "compiled", "captured"] = "auto",
        compile: Literal["auto"] | bool = "auto",
        fast_linear: bool = True,
        gradient_clip_val: PositiveFloat | None = None,
        precision: Literal["32-true", "32", 32, "bf16-mixed", "bf16"] = "32-true",
        float32_matmul_precision: Literal["highest", "high", "medium"] = "highest",
        strategy: Literal["auto", "ddp"] = "auto",
        devices: Devices = 1,
        accelerator: str = "auto",
        log_every_n_steps: PositiveInt = 50,
        enable_progress_bar: bool = True,
        enable_model_summary: bool = True,
        profiler: Literal["simple", "advanced", "pytorch"] | None = None,
        deterministic: bool | Literal["warn"] | None = None,
        benchmark: bool | None = None,
        detect_anomaly: bool = False,
    ) -> None:
        self.processes, own = 1, devices
        if strategy == "ddp":
            self.processes, own = _processes(devices), _device(accelerator, rank, _processes(devices))
        try:
            # to Lightning each process is a run of its own: its way of sharing knows one update per step
            super().__init__(
                callbacks=callbacks,
                default_root_dir=default_root_dir,
                plugins=plugins,
                precision=precision,
                devices=own,
                accelerator=accelerator,
                log_every_n_steps=log_every_n_steps,
                # by what is among the callbacks; Lightning would add its own
                enable_progress_bar=any(isinstance(callback, pl.callbacks.ProgressBar) for callback in callbacks),
                enable_checkpointing=any(isinstance(callback, pl.callbacks.Checkpoint) for callback in callbacks),
                enable_model_summary=enable_model_summary,
                profiler=profiler,
                deterministic=deterministic,
                benchmark=benchmark,
                detect_anomaly=detect_anomaly,
                logger=False,
                max_epochs=1,
                # callbacks are to expect validations within the epoch
                val_check_interval=1,
                check_val_every_n_epoch=None,
                num_sanity_val_steps=0,
            )
        except (MisconfigurationException, ImportError, TypeError, ValueError, RuntimeError) as error:
            asked = f"trainer.accelerator={accelerator} trainer.devices={devices}"
            raise ConfigError(f"trainer: {error} ({asked})") from error
        if self.world_size > 1:
            raise ConfigError(f"trainer.devices={devices}: one run on several devices is trainer=ddp")
        self.steps_per_execution = steps_per_execution
        self.engine = engine
        self.compiles = _compiles(engine, compile)
        """Whether to compile; None where the budget decides."""
        self.fast_linear = fast_linear
        self.float32_matmul_precision = float32_matmul_precision
        self.largest_gradient_norm = gradient_clip_val

    @property
    def global_step(self) -> int:
        """Optimizer updates so far; Lightning would count none, since it does not make them."""
        module = self.lightning_module
        return module.steps if isinstance(module, Experiment) else 0


def _compiles(engine: str, compile: Literal["auto"] | bool) -> bool | None:
    if (engine, compile) in {("eager", True), ("compiled", False)}:
        raise ConfigError(f"trainer.engine={engine}: contradicts trainer.compile={str(compile).lower()}")
    if engine in ("eager", "compiled"):
        return engine == "compiled"
    return None if compile == "auto" else compile


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
