"""One run from config to results."""

import logging
import math
import platform
import subprocess
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.types import RunMode
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning.callbacks import LambdaCallback
from pytorch_lightning.loggers import Logger

from vae_exp.architecture import Architecture
from vae_exp.assembly import (
    build,
    build_architecture,
    build_data,
    build_later,
    build_part,
    check_config,
    check_labels,
    check_pixels,
)
from vae_exp.callbacks import DrawFigures, StopOnSignal
from vae_exp.checkpoint import AtomicCheckpointIO, check_same_config, check_weights, flat, read_checkpoint
from vae_exp.config.overrides import check_overrides
from vae_exp.config.stored import printable, read_config
from vae_exp.config.trust import Trust, targets, trusted
from vae_exp.data_parallel import Share, processes
from vae_exp.dataset import DataModule
from vae_exp.errors import ConfigError, Diverged, Interrupted, RunError
from vae_exp.experiment import STATE, Experiment
from vae_exp.likelihood import unvalidated
from vae_exp.logger import finish
from vae_exp.memory import check_memory, readable_shortage
from vae_exp.metrics import headline, history, told
from vae_exp.network.linear import fast_linear
from vae_exp.other_callbacks import build_callbacks, check_monitors, others
from vae_exp.report import try_report
from vae_exp.results.start import Start
from vae_exp.results.summary import known_results
from vae_exp.run_directory import RunDirectory, typed
from vae_exp.stages import configs_of, start_from
from vae_exp.trainer import Trainer

log = logging.getLogger(__name__)
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # no advertisements between the results
logging.getLogger("pytorch_lightning.callbacks").setLevel(logging.INFO)  # what a callback is asked to print

IDENTITY = ("dataset", "architecture", "likelihood", "network", "objective", "optimizer")
PARTS = (*IDENTITY, "weight_prior")
PACKAGES = ("vae_exp", "torch", "torchvision", "pytorch-lightning", "hydra-core", "wandb")
ENDINGS = {
    Diverged: "diverged",
    Interrupted: "interrupted",
    KeyboardInterrupt: "interrupted",
    SystemExit: "interrupted",
}


def train(config: DictConfig, path: Path, hydra: DictConfig) -> float:
    """Train, evaluate, draw, and write everything into the run directory.

    Args:
        config: The composed config.
        path: The run directory; with `config.resume` the one to go on with.
        hydra: Hydra's own config of the job: the command line and the choice of each group.

    Returns:
        The final test bound (nats per image, higher is better), −test/nll where the code has no prior, −test/error of
        a classifier.

    Raises:
        UserError: Something that the user can mend; `results.json` says `failed` or `diverged`.
        Interrupted: A signal asked for the end; all is saved.
    """
    directory = RunDirectory(path)
    if config.get("stages"):
        _check(config, hydra)
        return _train_stages(config, directory, hydra)
    return _train_alone(Start(config, directory, hydra))


def _train_alone(start: Start) -> float:
    """A run, or a stage of one, that is new or goes on."""
    config, directory = start.config, start.directory
    with directory.taken():
        if config.resume is None:
            _begin(start)
            return _train(start, checkpoint=None)
        _check(config, start.hydra)
        checkpoint = _checkpoint_to_go_on_from(config, directory)
        if _is_trained(checkpoint, config) and directory.is_completed():
            log.info("%s %s", directory.path, _why_it_is_trained(checkpoint))
            return _value(checkpoint[STATE]["metrics"])
        return _train(start, checkpoint)


def _begin(start: Start) -> None:
    """Claim a new run's directory; a sweep's job may be there already, without a checkpoint."""
    if start.hydra.mode == RunMode.MULTIRUN:
        start.directory.begin_again()
    else:
        start.directory.begin()


def _train_stages(config: DictConfig, directory: RunDirectory, hydra: DictConfig) -> float:
    """One run after another, each in its folder; the results are those of the last."""
    names = [str(name) for name in config.stages]
    name, status, error = names[0], "failed", None
    start = Start(config, directory, hydra)
    with directory.taken():
        if config.resume is None:
            _begin(start)
            start()
        try:
            for name, (stage, of_stage) in configs_of(config, directory.path, hydra).items():
                log.info("Stage %s (%d of %d)", name, names.index(name) + 1, len(names))
                value = _train_alone(Start(stage, RunDirectory(directory.path / name), of_stage, whole=start))
            status = "completed"
        except Interrupted as exception:
            status = "interrupted"
            error = f"Interrupted in stage {name}; all is saved. Go on with:\n  {directory.go_on}"
            raise Interrupted(exception.signal_number, error) from None
        except BaseException as exception:
            status, error = _ending(exception)
            raise
        finally:
            if start.made or status == "completed":
                reached = known_results(RunDirectory(directory.path / name).results)
                own = {"status": status, "error": error, "stage": name, "overrides": typed(hydra)}
                directory.write_results((reached or _results(config, hydra, None, status, error)) | own)
                try_report(directory.path)
    return value


def _train(start: Start, checkpoint: dict[str, Any] | None) -> float:
    config, directory, hydra = start.config, start.directory, start.hydra
    experiment, status, error = None, "failed", None
    try:
        if checkpoint is None:
            _check(config, hydra)
            start()
        experiment, data = _build(config, anew=checkpoint is None)
        if checkpoint is not None:
            check_weights(checkpoint["state_dict"], experiment, directory.last_checkpoint)
        with readable_shortage():
            _run(start, experiment, data, checkpoint)
        status = "completed"
    except BaseException as exception:
        status, error = _ending(exception)
        raise
    finally:
        try:
            if start.made or checkpoint is None:
                directory.write_results(_results(config, hydra, experiment, status, error))
                try_report(directory.path)
        finally:
            finish(exit_code=int(status != "completed"))
    if experiment.metrics:
        reached = " ".join(told(experiment.metrics, "test").split())
        if experiment.stopped_by:
            log.info("Stopped by %s", experiment.stopped_by)
        log.info("%s after %s samples; all of it in %s", reached, f"{experiment.samples_seen:,}", directory.path)
    return _value(experiment.metrics)


def _value(metrics: dict[str, float]) -> float:
    """What `train` returns; NaN where nothing was evaluated."""
    return headline(metrics, "test")[1] if metrics else math.nan


def _check(config: DictConfig, hydra: DictConfig) -> None:
    check_overrides(config, typed(hydra))
    check_config(config)


def _ending(exception: BaseException) -> tuple[str, str]:
    """The status and the reason, for the results."""
    return ENDINGS.get(type(exception), "failed"), str(exception) or type(exception).__name__


def _checkpoint_to_go_on_from(config: DictConfig, directory: RunDirectory) -> dict[str, Any]:
    history(directory.metrics)  # its rows are kept, so they have to be readable
    checkpoint = read_checkpoint(directory.last_checkpoint)
    check_same_config(checkpoint, config, directory.last_checkpoint)
    seen = checkpoint[STATE]["samples_seen"]
    if seen > config.samples:
        raise RunError(f"samples={config.samples}: {directory.path} has seen {seen} already")
    return checkpoint


def _is_trained(checkpoint: dict[str, Any], config: DictConfig) -> bool:
    """Whether nothing is left to train: the budget is spent, or a callback stopped the run and is still there."""
    state = checkpoint[STATE]
    if state.get("stopped_by") is None:
        return bool(state["samples_seen"] == config.samples)
    began = OmegaConf.create(state["config"])
    return bool(began.samples == config.samples) and others(began) == others(config)


def _why_it_is_trained(checkpoint: dict[str, Any]) -> str:
    state = checkpoint[STATE]
    if state.get("stopped_by") is None:
        return f"has its {state['samples_seen']:,} samples already: samples=… goes on further"
    return (
        f"was stopped after {state['samples_seen']:,} samples by {printable(state['stopped_by'])}. "
        "More samples=… go on further, as do other callbacks (callbacks.<name>=null leaves one out)"
    )


def _build(config: DictConfig, anew: bool) -> tuple[Experiment, DataModule]:
    """What is trained, and on what; nothing is read yet but the weights that a new run starts from."""
    check_memory(config)
    pl.seed_everything(config.seed, verbose=False)
    data = build_data(config)
    architecture = build_architecture(config, data)
    if anew:
        check_pixels(architecture, data)
    if config.start_from is not None and anew:
        start_from(architecture, config.start_from, _trust(config))
    experiment = Experiment(
        architecture,
        build_later(config.optimizer),
        weight_prior=config.weight_prior,
        samples=config.samples,
        seed=config.seed,
        config=OmegaConf.to_yaml(config, resolve=True),
    )
    return experiment, data


def _trust(config: DictConfig) -> Trust:
    """What the directories that the command line names may name: what it names itself."""
    return Trust(trusted(config.get("trust")), targets(OmegaConf.to_container(config, resolve=True)))


def _run(start: Start, experiment: Experiment, data: DataModule, checkpoint: dict[str, Any] | None) -> None:
    config, directory = start.config, start.directory
    callbacks = build_callbacks(config, directory)
    begin = LambdaCallback(on_train_start=lambda *_: start())
    trainer = _build_trainer(config, directory, [begin, *callbacks.values(), StopOnSignal()])
    _check_shares(experiment.architecture, data, trainer.processes)
    data.load(trainer.strategy.root_device)
    check_labels(experiment.architecture, data)
    experiment.to(trainer.strategy.root_device)
    check_monitors(config, callbacks, lambda evaluate: evaluate.names(experiment, data))
    experiment.trained_on = _device_name(trainer.strategy.root_device)
    if trainer.processes > 1:
        experiment.trained_on += f" × {trainer.processes}"
    log.info(_description(experiment, data))
    if config.get("logger"):
        resolved = OmegaConf.to_container(config, resolve=True)
        nodes = [config.logger] if "_target_" in config.logger else [node for node in config.logger.values() if node]
        own: dict[str, Any] = {"directory": directory.path, "config": resolved}
        trainer.loggers = [build_part(node, "logger", Logger, **own) for node in nodes]
    if checkpoint is not None and _is_trained(checkpoint, config):
        start()
        _finish(directory, experiment, data, checkpoint, trainer)
    else:
        device, resumed = trainer.strategy.root_device, checkpoint is not None
        with processes(trainer.processes, device, directory.path, experiment.config, resumed) as experiment.share:
            _fit(directory, experiment, data, resumed, trainer)


def prepare_share(path: Path, record: Path, share: Share, resumed: bool) -> tuple[torch.device, Callable[[], None]]:
    """What one of several processes does beside the one that the user started.

    Args:
        path: The run directory.
        record: The config of that process, resolved: the run directory's may be replaced later.
        share: Of every batch.
        resumed: Whether to go on from the last checkpoint.

    Returns:
        Its device, and what is to be called when all processes have met.
    """
    directory = RunDirectory(path)
    config = read_config(record)
    experiment, data = _build(config, anew=not resumed)
    experiment.share = share
    trainer = _build_trainer(config, directory, [], share.rank)
    data.load(trainer.strategy.root_device)
    return trainer.strategy.root_device, partial(_fit, directory, experiment, data, resumed, trainer)


def _check_shares(architecture: Architecture, data: DataModule, processes: int) -> None:
    if processes > 1 and not architecture.amortized:
        raise ConfigError("trainer=ddp: this objective keeps something of every image, on one device: trainer=default")
    if processes > data.batch_size:
        raise ConfigError(f"trainer.devices={processes}: there are {data.batch_size} images in a batch")


def _finish(
    directory: RunDirectory,
    experiment: Experiment,
    data: DataModule,
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
            callback.draw(experiment, data, directory, trainer.loggers)
    for logger in trainer.loggers:
        logger.finalize("success")


def _fit(
    directory: RunDirectory,
    experiment: Experiment,
    data: DataModule,
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
            trainer.fit(experiment, datamodule=data, ckpt_path=path, weights_only=True)
        except (MisconfigurationException, ModuleNotFoundError) as error:
            raise ConfigError(f"callbacks: {' '.join(str(error).split())}") from error


def _build_trainer(config: DictConfig, directory: RunDirectory, callbacks: list[pl.Callback], rank: int = 0) -> Trainer:
    trainer: Trainer = build(
        config.trainer,
        rank=rank,
        callbacks=callbacks,
        default_root_dir=directory.path,
        # a job of a scheduler is one process like any other, however many tasks it was given
        plugins=[AtomicCheckpointIO(), LightningEnvironment()],
    )
    return trainer


def _description(experiment: Experiment, data: DataModule) -> str:
    parameters = sum(p.numel() for p in experiment.architecture.parameters())
    sizes = ", ".join(f"{len(images):,} {split}" for split, images in data.splits.items())
    few = ""
    if data.labels is not None:
        few = f", {data.labels:,} of the former labelled ({data.labels // data.source.classes:,} of each class)"
    return f"{type(experiment.architecture).__name__}, {parameters:,} parameters; {sizes} images{few}"


def _results(
    config: DictConfig, hydra: DictConfig, experiment: Experiment | None, status: str, error: str | None
) -> dict[str, Any]:
    """One flat object: what ran, how it ended, the latest metrics and at how many samples, on what."""
    metrics = {} if experiment is None else dict(experiment.metrics)
    for name in ("step", "epoch", "seconds"):
        metrics.pop(name, None)
    try:
        values = flat(config)
    except OmegaConfBaseException:  # which is what went wrong
        values = {}
    results: dict[str, Any] = {"status": status, "error": error, "name": values.get("name")}
    results["overrides"] = typed(hydra)
    results |= {group: hydra.runtime.choices.get(group) for group in IDENTITY}
    results |= {
        "latent_dim": values.get("architecture.latent_dim"),
        "seed": values.get("seed"),
        "budget": values.get("samples"),
    }
    results |= {
        "stopped_by": experiment.stopped_by if experiment else None,
        "samples": experiment.samples_seen if experiment else 0,
        "step": experiment.steps if experiment else 0,
        "evaluated_at": metrics.pop("samples", None),
        "train/bound": None,  # stays so for an architecture that has none, or before the first evaluation
        "test/bound": None,
        "bounds": experiment.architecture.bounds if experiment and experiment.architecture.prior is not None else None,
        **{name: value if math.isfinite(value) else None for name, value in metrics.items()},
        "train_seconds": experiment.seconds if experiment else 0.0,
        "device": experiment.trained_on if experiment else None,
        **(experiment.computation if experiment else {}),
        "threads": torch.get_num_threads(),
        "git_revision": _git_revision(),
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "version/python": platform.python_version(),
    }
    results |= {f"version/{package}": version(package) for package in PACKAGES}
    return results | {key: value for key, value in values.items() if key.split(".")[0] in PARTS}


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()})"


def _git_revision() -> str | None:
    """The commit of the checkout that this code runs from, `+` where it was changed; None when installed."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        git = ["git", "-C", str(root)]
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed.stdout.strip() else "")
