"""Lightning's Trainer, built from the settings."""

from pathlib import Path

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException

from vae_exp.errors import ConfigError
from vae_exp.training.checkpoint_io import AtomicCheckpointIO
from vae_exp.training.settings import Devices, TrainerSettings


def build_trainer(
    settings: TrainerSettings, directory: Path, callbacks: list[pl.Callback], rank: int = 0
) -> pl.Trainer:
    """Build the trainer of one process of a run.

    For Lightning each process is a run of its own, because its strategies allow only one update per step.

    Args:
        settings: What the user chose.
        directory: The run directory.
        callbacks: All callbacks, in the order in which they are called.
        rank: The number of the process.

    Raises:
        ConfigError: Lightning refuses a setting, or there are fewer devices than processes.
    """
    try:
        trainer = pl.Trainer(
            callbacks=callbacks,
            default_root_dir=directory,
            # in a scheduler's job too, Lightning must see a single process, whatever the number of the job's tasks
            plugins=[AtomicCheckpointIO(), LightningEnvironment()],
            precision=settings.precision,
            devices=_own_devices(settings, rank),
            accelerator=settings.accelerator,
            log_every_n_steps=settings.log_every_n_steps,
            # Lightning would add a bar and a checkpoint callback of its own
            enable_progress_bar=any(isinstance(callback, pl.callbacks.ProgressBar) for callback in callbacks),
            enable_checkpointing=any(isinstance(callback, pl.callbacks.Checkpoint) for callback in callbacks),
            enable_model_summary=settings.enable_model_summary,
            profiler=settings.profiler,
            deterministic=settings.deterministic,
            benchmark=settings.benchmark,
            detect_anomaly=settings.detect_anomaly,
            logger=False,
            max_epochs=1,
            # callbacks must expect validations within the epoch
            val_check_interval=1,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
        )
    except (MisconfigurationException, ImportError, TypeError, ValueError, RuntimeError) as error:
        chosen = f"trainer.accelerator={settings.accelerator} trainer.devices={settings.devices}"
        raise ConfigError(f"trainer: {error} ({chosen})") from error
    if trainer.world_size > 1:
        raise ConfigError(f"trainer.devices={settings.devices}: one run on several devices is trainer=ddp")
    return trainer


def report_steps(trainer: pl.Trainer, steps: int) -> None:
    """Tell Lightning the number of optimizer updates so far. It is `trainer.global_step`, which callbacks read.

    Lightning counts the calls of its own wrapper of the optimizer, which the engine does not use.
    """
    count = {"ready": steps, "completed": steps}
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    progress.load_state_dict({"total": count, "current": count})


def _own_devices(settings: TrainerSettings, rank: int) -> Devices:
    """Return the devices of one process: with `ddp` its GPU, or the CPU, which the processes share."""
    if settings.strategy != "ddp":
        return settings.devices
    if settings.accelerator == "cpu" or not torch.cuda.is_available():
        return 1
    if settings.processes > torch.cuda.device_count():
        raise ConfigError(f"trainer.devices={settings.processes}: there are {torch.cuda.device_count()}")
    return [rank]
