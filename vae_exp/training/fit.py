"""Build an experiment and a trainer, and fit; also for the processes that train beside this one."""

import logging
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import LambdaCallback
from pytorch_lightning.loggers import Logger

from vae_exp.architecture import Model
from vae_exp.config.assembly import (
    build,
    build_architecture,
    build_data,
    build_later,
    build_part,
    check_labels,
    check_pixels,
)
from vae_exp.config.memory import check_memory
from vae_exp.config.stored import read_config
from vae_exp.config.trust import Trust, targets, trusted
from vae_exp.dataset import Dataset
from vae_exp.dataset.shard import Shard
from vae_exp.errors import ConfigError
from vae_exp.likelihood import unvalidated
from vae_exp.network.linear import fast_linear
from vae_exp.results.run_directory import RunDirectory
from vae_exp.results.start import Start
from vae_exp.training.callbacks import build_callbacks, check_monitors
from vae_exp.training.checkpoint_io import AtomicCheckpointIO
from vae_exp.training.distributed import processes
from vae_exp.training.drawing import DrawFigures
from vae_exp.training.experiment import Experiment
from vae_exp.training.resume import is_trained
from vae_exp.training.signals import StopOnSignal
from vae_exp.training.stages import start_from
from vae_exp.training.trainer import Trainer

log = logging.getLogger(__name__)


def build_experiment(config: DictConfig, anew: bool) -> Experiment:
    """Build the model and its data. Nothing is read yet, except the weights that a new run starts from.

    Args:
        config: The config of the run.
        anew: Whether the run is new, not resumed.

    Raises:
        ConfigError: The parts do not go together, or need more memory than there is.
    """
    check_memory(config)
    pl.seed_everything(config.seed, verbose=False)
    data = build_data(config)
    architecture = build_architecture(config, data)
    if anew:
        check_pixels(architecture, data)
    if config.start_from is not None and anew:
        start_from(architecture, config.start_from, _trust(config))
    return Experiment(
        architecture,
        data,
        build_later(config.optimizer),
        weight_prior=config.weight_prior,
        samples=config.samples,
        seed=config.seed,
        config=OmegaConf.to_yaml(config, resolve=True),
    )


def _trust(config: DictConfig) -> Trust:
    """What the directories that the command line names may name: what it names itself."""
    return Trust(trusted(config.get("trust")), targets(OmegaConf.to_container(config, resolve=True)))


def fit(start: Start, experiment: Experiment, checkpoint: dict[str, Any] | None) -> None:
    """Train until the budget is spent, and draw the figures.

    Args:
        start: Called when the training can start.
        experiment: The experiment to train.
        checkpoint: The checkpoint to continue from; None for a new run.

    Raises:
        UserError: A part cannot work here, or the training diverges.
    """
    config, directory, data = start.config, start.directory, experiment.data
    callbacks = build_callbacks(config, directory)
    begin = LambdaCallback(on_train_start=lambda *_: start())
    trainer = build_trainer(config, directory, [begin, *callbacks.values(), StopOnSignal()])
    _check_shards(experiment.architecture, data, trainer.processes)
    data.load(trainer.strategy.root_device)
    check_labels(experiment.architecture, data)
    experiment.place(trainer.strategy.root_device, trainer.processes)
    check_monitors(config, callbacks, lambda evaluate: evaluate.names(experiment))
    log.info(_description(experiment))
    if config.get("logger"):
        resolved = OmegaConf.to_container(config, resolve=True)
        nodes = [config.logger] if "_target_" in config.logger else [node for node in config.logger.values() if node]
        own: dict[str, Any] = {"directory": directory.path, "config": resolved}
        trainer.loggers = [build_part(node, "logger", Logger, **own) for node in nodes]
    if checkpoint is not None and is_trained(checkpoint, config):
        start()
        _finish(directory, experiment, checkpoint, trainer)
    else:
        device, resumed = trainer.strategy.root_device, checkpoint is not None
        with processes(trainer.processes, device, directory.path, experiment.config, resumed) as shard:
            experiment.join(shard)
            _fit(directory, experiment, resumed, trainer)


def prepare_worker(path: Path, record: Path, shard: Shard, resumed: bool) -> tuple[torch.device, Callable[[], None]]:
    """What one of several processes does beside the one that the user started.

    Args:
        path: The run directory.
        record: The config of that process, resolved: the run directory's may be replaced later.
        shard: The part of every batch that the process trains on.
        resumed: Whether to go on from the last checkpoint.

    Returns:
        Its device, and what is to be called when all processes have met.
    """
    directory = RunDirectory(path)
    config = read_config(record)
    experiment = build_experiment(config, anew=not resumed)
    experiment.join(shard)
    trainer = build_trainer(config, directory, [], shard.rank)
    experiment.data.load(trainer.strategy.root_device)
    return trainer.strategy.root_device, partial(_fit, directory, experiment, resumed, trainer)


def _check_shards(architecture: Model, data: Dataset, processes: int) -> None:
    if processes > 1 and not architecture.amortized:
        raise ConfigError("trainer=ddp: this objective keeps something of every image, on one device: trainer=default")
    if processes > data.batch_size:
        raise ConfigError(f"trainer.devices={processes}: there are {data.batch_size} images in a batch")


def _finish(
    directory: RunDirectory,
    experiment: Experiment,
    checkpoint: dict[str, Any],
    trainer: pl.Trainer,
) -> None:
    """What is left of a run that was killed after its last update."""
    experiment.on_load_checkpoint(checkpoint)
    experiment.load_state_dict(checkpoint["state_dict"])
    for logger in trainer.loggers:  # where the pictures belong
        logger.log_metrics({"samples": experiment.samples_seen}, step=experiment.steps)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, DrawFigures):
            callback.draw(experiment, directory, trainer.loggers)
    for logger in trainer.loggers:
        logger.finalize("success")


def _fit(
    directory: RunDirectory,
    experiment: Experiment,
    resumed: bool,
    trainer: Trainer,
) -> None:
    # a loss that is not finite has a better message than the distributions give
    with warnings.catch_warnings(), unvalidated(), fast_linear(trainer.fast_linear):
        # Lightning 2.6 with torch 2.15, and its advice: a logging interval is in Lightning's steps, srun is not needed
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
        warnings.filterwarnings("ignore", message=".*is smaller than the logging interval.*")
        warnings.filterwarnings("ignore", message=".*`srun` command is available.*")
        # a resumed run may leave callbacks out, and a ModelCheckpoint finds the files that it made before
        warnings.filterwarnings("ignore", message=".*callbacks used to create the checkpoint need to be provided.*")
        warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
        path = directory.last_checkpoint if resumed else None
        try:
            trainer.fit(experiment, ckpt_path=path, weights_only=True)
        except (MisconfigurationException, ModuleNotFoundError) as error:
            raise ConfigError(f"callbacks: {' '.join(str(error).split())}") from error


def build_trainer(config: DictConfig, directory: RunDirectory, callbacks: list[pl.Callback], rank: int = 0) -> Trainer:
    """Build the trainer of one of the processes of a run."""
    trainer: Trainer = build(
        config.trainer,
        rank=rank,
        callbacks=callbacks,
        default_root_dir=directory.path,
        # a job of a scheduler is one process like any other, however many tasks it was given
        plugins=[AtomicCheckpointIO(), LightningEnvironment()],
    )
    return trainer


def _description(experiment: Experiment) -> str:
    data = experiment.data
    parameters = sum(p.numel() for p in experiment.architecture.parameters())
    sizes = ", ".join(f"{len(images):,} {split}" for split, images in data.splits.items())
    few = ""
    if data.labels is not None:
        few = f", {data.labels:,} of the former labelled ({data.labels // data.source.classes:,} of each class)"
    return f"{type(experiment.architecture).__name__}, {parameters:,} parameters; {sizes} images{few}"
