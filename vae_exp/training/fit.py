"""Build an experiment and its trainer, and train; also in the other processes of a run on several devices."""

import logging
import warnings
from collections.abc import Callable
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import LambdaCallback
from pytorch_lightning.loggers import Logger
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from vae_exp.architecture import Model
from vae_exp.config.assembly import (
    build_architecture,
    build_data,
    build_later,
    build_part,
)
from vae_exp.config.contracts.check import check_contracts
from vae_exp.config.memory import check_memory
from vae_exp.config.objects import NO_OBJECTS, Objects
from vae_exp.config.schema import target_of
from vae_exp.config.stored import read_config
from vae_exp.config.suitability import check_labels, check_pixels
from vae_exp.config.trust import Trust, targets_in, trusted_packages
from vae_exp.dataset import Dataset
from vae_exp.dataset.shard import Shard
from vae_exp.errors import ConfigError
from vae_exp.likelihood import unvalidated
from vae_exp.network.linear import fast_linear
from vae_exp.results.run_directory import RunDirectory
from vae_exp.results.start import Start
from vae_exp.training.allocator import keep_freed_memory
from vae_exp.training.callbacks import build_callbacks, check_monitors
from vae_exp.training.distributed import processes
from vae_exp.training.drawing import DrawFigures
from vae_exp.training.engine.compiled import keep_programs
from vae_exp.training.experiment import Experiment
from vae_exp.training.loop import Loop
from vae_exp.training.resume import is_trained
from vae_exp.training.settings import TrainerSettings
from vae_exp.training.signals import StopOnSignal
from vae_exp.training.stages import start_from
from vae_exp.training.trainer import build_trainer
from vae_exp.training.turns import current_place

log = logging.getLogger(__name__)


def build_experiment(config: DictConfig, anew: bool, objects: Objects = NO_OBJECTS) -> Experiment:
    """Build the model and its data. This reads no files yet, except the weights that a new run starts from.

    Args:
        config: The config of the run.
        anew: Whether the run is new and not resumed.
        objects: Built parts that the config stands for.

    Raises:
        ConfigError: The parts do not fit together, or they need more memory than the machine has.
        PartError: A part from outside this package does not keep its contract.
    """
    check_memory(config, objects)
    check_contracts(config, objects)
    keep_programs(Path(config.paths.cache).expanduser() / "programs")
    pl.seed_everything(config.seed, verbose=False)
    data = build_data(config, objects=objects)
    architecture = build_architecture(config, data, objects=objects)
    if anew:
        check_pixels(architecture, data)
    if config.start_from is not None and anew:
        start_from(architecture, config.start_from, trust_of(config))
    return Experiment(
        architecture,
        data,
        build_later(config.optimizer),
        weight_prior=config.weight_prior,
        samples=config.samples,
        seed=config.seed,
        settings=build_part(config.trainer, "trainer", TrainerSettings),
        scheduler=None
        if config.get("scheduler") is None
        else partial(_scheduler, config.scheduler, data, architecture),
        config=OmegaConf.to_yaml(config, resolve=True),
    )


def _scheduler(node: DictConfig, data: Dataset, architecture: Model, optimizer: Optimizer) -> LRScheduler:
    """Build the scheduler of an optimizer. Our own ones are told how many samples are in a step."""
    arguments: dict[str, Any] = {"optimizer": optimizer}
    if "batch_size" in signature(target_of(node, "scheduler")).parameters:
        arguments["batch_size"] = data.training_batch_size(architecture.serving)
    scheduler: LRScheduler = build_part(node, "scheduler", LRScheduler, **arguments)
    return scheduler


def trust_of(config: DictConfig) -> Trust:
    """Return what the stored config of a run may name: trusted packages, and the targets that this config names."""
    return Trust(trusted_packages(config.get("trust")), targets_in(OmegaConf.to_container(config, resolve=True)))


def fit(start: Start, experiment: Experiment, checkpoint: dict[str, Any] | None, objects: Objects) -> None:
    """Train until the budget is spent, then draw the figures.

    Args:
        start: Has the config and the directory of the run. It is called when training is ready to start.
        experiment: The experiment to train.
        checkpoint: The checkpoint to continue from; None for a new run.
        objects: Built parts that the config stands for; callbacks may be among them.

    Raises:
        UserError: A part of the config cannot work in this run, or the training diverges.
    """
    config, directory, data = start.config, start.directory, experiment.data
    settings = experiment.settings
    callbacks = build_callbacks(config, directory, objects)
    call_start = LambdaCallback(on_train_start=lambda *_: start())
    loop = Loop(callbacks.evaluate, callbacks.checkpoint, callbacks.progress, callbacks.figures)
    trainer = build_trainer(settings, directory.path, [call_start, *callbacks.foreign.values(), loop, StopOnSignal()])
    _check_shards(experiment.architecture, data, settings.processes, objects)
    data.load(trainer.strategy.root_device)
    check_labels(experiment.architecture, data)
    experiment.place(trainer.strategy.root_device, settings.processes)
    if callbacks.evaluate is not None:
        callbacks.evaluate.check(experiment.architecture)
        experiment.end_executions_at(callbacks.evaluate.points(experiment.samples))
    check_monitors(config, callbacks, experiment.architecture, data)
    log.info(_description(experiment))
    if config.get("logger"):
        nodes = [config.logger] if "_target_" in config.logger else [node for node in config.logger.values() if node]
        run_arguments: dict[str, Any] = {"directory": directory.path, "config": dict(start.record.values)}
        trainer.loggers = [build_part(node, "logger", Logger, **run_arguments) for node in nodes]
    if checkpoint is not None and is_trained(checkpoint, config):
        start()
        _finish(directory, experiment, checkpoint, trainer, callbacks.figures)
    else:
        device, resumed = trainer.strategy.root_device, checkpoint is not None
        with processes(settings.processes, device, directory.path, experiment.config, resumed) as shard:
            experiment.join(shard)
            _fit(directory, experiment, resumed, trainer)


def prepare_worker(path: Path, record: Path, shard: Shard, resumed: bool) -> tuple[torch.device, Callable[[], None]]:
    """Prepare the training in a process other than the one that the user started.

    Args:
        path: The run directory.
        record: The file with the resolved config of the process that the user started. The config in the run directory
            may be replaced later.
        shard: The part of every batch that this process trains on.
        resumed: Whether to continue from the last checkpoint.

    Returns:
        The device of this process, and the function that trains. Call it when all processes are connected.
    """
    directory = RunDirectory(path)
    config = read_config(record)
    experiment = build_experiment(config, anew=not resumed)
    experiment.join(shard)
    trainer = build_trainer(experiment.settings, path, [], shard.rank)
    experiment.data.load(trainer.strategy.root_device)
    return trainer.strategy.root_device, partial(_fit, directory, experiment, resumed, trainer)


def _check_shards(architecture: Model, data: Dataset, processes: int, objects: Objects) -> None:
    if processes > 1 and current_place() is not None:
        raise ConfigError(
            "trainer=ddp: an ensemble trains on one device. Use trainer=default, or another hydra/launcher"
        )
    if processes > 1 and objects:
        raise ConfigError(
            f"trainer=ddp: the other processes cannot be given objects ({', '.join(objects)}). Name their classes "
            "(docs/own_parts.md), or use trainer=default"
        )
    if processes > 1 and not architecture.amortized:
        raise ConfigError(
            "trainer=ddp: this objective keeps a state for every image on one device. Use trainer=default"
        )
    if processes > data.batch_size:
        raise ConfigError(f"trainer.devices={processes}: there are {data.batch_size} images in a batch")


def _finish(
    directory: RunDirectory,
    experiment: Experiment,
    checkpoint: dict[str, Any],
    trainer: pl.Trainer,
    figures: DrawFigures | None,
) -> None:
    """Draw the figures and close the loggers of a run that was killed after its last update."""
    experiment.on_load_checkpoint(checkpoint)
    experiment.load_state_dict(checkpoint["state_dict"])
    for logger in trainer.loggers:  # the pictures are logged at this step
        logger.log_metrics({"samples": experiment.samples_seen}, step=experiment.steps)
    if figures is not None:
        figures.draw(experiment, directory, trainer.loggers)
    for logger in trainer.loggers:
        logger.finalize("success")


def _fit(
    directory: RunDirectory,
    experiment: Experiment,
    resumed: bool,
    trainer: pl.Trainer,
) -> None:
    keep_freed_memory()
    # unvalidated: our message for a loss that is not finite is better than that of the distributions
    with warnings.catch_warnings(), unvalidated(), fast_linear(experiment.settings.fast_linear):
        # Lightning 2.6 warns about torch 2.15. Its advice does not apply: the logging interval is in Lightning's steps,
        # and srun is not needed
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
        warnings.filterwarnings("ignore", message=".*is smaller than the logging interval.*")
        warnings.filterwarnings("ignore", message=".*`srun` command is available.*")
        # an E step passes a batch without an update
        warnings.filterwarnings("ignore", message=".*`lr_scheduler.step..` before `optimizer.step.*")
        # a resumed run may leave callbacks out, and a ModelCheckpoint finds the files that it wrote earlier
        warnings.filterwarnings("ignore", message=".*callbacks used to create the checkpoint need to be provided.*")
        warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
        path = directory.last_checkpoint if resumed else None
        try:
            trainer.fit(experiment, ckpt_path=path, weights_only=True)
        except (MisconfigurationException, ModuleNotFoundError) as error:
            raise ConfigError(f"callbacks: {' '.join(str(error).split())}") from error


def _description(experiment: Experiment) -> str:
    data = experiment.data
    parameters = sum(p.numel() for p in experiment.architecture.parameters())
    sizes = ", ".join(f"{len(images):,} {split}" for split, images in data.splits.items())
    labelled = ""
    if data.labels is not None:
        labelled = f", {data.labels:,} of the former labelled ({data.labels // data.info.classes:,} of each class)"
    units = ""
    if data.standardisation is not None:
        units = f", standardised; log densities are in the original units ({data.log_jacobian:+.2f} nats)"
    return f"{type(experiment.architecture).__name__}, {parameters:,} parameters; {sizes} images{labelled}{units}"
