"""Build the callbacks of a run. Refuse those of Lightning and of users that cannot work here, and say why."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import (
    BaseFinetuning,
    BasePredictionWriter,
    BatchSizeFinder,
    DeviceStatsMonitor,
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateFinder,
    LearningRateMonitor,
    ModelCheckpoint,
    ModelPruning,
    OnExceptionCheckpoint,
    ProgressBar,
    SpikeDetection,
    StochasticWeightAveraging,
    ThroughputMonitor,
    Timer,
    WeightAveraging,
)

from vae_exp.architecture import Model
from vae_exp.config.assembly import build, foreign_failures
from vae_exp.config.objects import NO_OBJECTS, Objects, is_object
from vae_exp.config.schema import target_of
from vae_exp.dataset import Dataset
from vae_exp.errors import ConfigError, nearest_first
from vae_exp.results.metrics import better
from vae_exp.results.run_directory import RunDirectory
from vae_exp.training.checkpointing import Checkpoint
from vae_exp.training.drawing import DrawFigures
from vae_exp.training.evaluation import Evaluate
from vae_exp.training.loop import COUNTS
from vae_exp.training.progress import Progress
from vae_exp.training.stopping import is_from_user, patience

Part = TypeVar("Part")

ONE_EPOCH = "and a run here is one epoch of many evaluations"
MANY_UPDATES = "and a Lightning step here makes many updates (trainer.steps_per_execution)"
REFUSED: dict[type[pl.Callback], str] = {
    BaseFinetuning: f"it unfreezes layers at the end of an epoch, {ONE_EPOCH}",
    BasePredictionWriter: "it writes what trainer.predict returns, which is not called; vae_exp.load_run loads a model",
    BatchSizeFinder: "it trains before the run starts; try several sizes instead: -m dataset.batch_size=50,100,200",
    GradientAccumulationScheduler: "it changes how many images an update sees; dataset.batch_size=… does that",
    LearningRateFinder: "it trains before the run starts; try several rates instead: -m optimizer.lr=0.01,0.02",
    OnExceptionCheckpoint: "Lightning would start the next run from its file; last.ckpt is saved anyway",
    ModelPruning: f"it prunes at the end of an epoch, {ONE_EPOCH}",
    SpikeDetection: f"it looks at the loss of every update, {MANY_UPDATES}",
    StochasticWeightAveraging: f"it averages the weights once per epoch, {ONE_EPOCH}",
    ThroughputMonitor: f"it counts one batch per Lightning step, {MANY_UPDATES}; samples_per_second is logged already",
    WeightAveraging: f"it averages the weights once per Lightning step, {MANY_UPDATES}",
}
"""Callbacks of Lightning that would do nothing here, or not what their names promise; with the reasons."""

PARTS_OF_THE_LOOP = {f"{kind.__module__}.{kind.__name__}" for kind in (Evaluate, Checkpoint, DrawFigures, Progress)}
PER_EPOCH = ("check_on_train_epoch_end", "save_on_train_epoch_end", "every_n_epochs")
PER_STEP = ("every_n_train_steps", "train_time_interval")
NEVER_CALLED = (
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_before_zero_grad",
    "on_validation_batch_start",
    "on_validation_batch_end",
)


@dataclass(frozen=True)
class Callbacks:
    """The entries of `callbacks`: four parts of the training loop, and callbacks of Lightning and of users by name."""

    evaluate: Evaluate | None
    checkpoint: Checkpoint | None
    progress: Progress | None
    figures: DrawFigures | None
    foreign: Mapping[str, pl.Callback]


def build_callbacks(config: DictConfig, directory: RunDirectory, objects: Objects = NO_OBJECTS) -> Callbacks:
    """Build the entries of `callbacks`, except those that are objects.

    Raises:
        ConfigError: A callback cannot work here. The message names its key.
    """
    built = {
        str(name): _build(str(name), node, directory, config, objects)
        for name, node in config.callbacks.items()
        if node is not None
    }
    if not config.trainer.get("enable_progress_bar", True):
        built = {name: part for name, part in built.items() if not isinstance(part, Progress | ProgressBar)}
    foreign = {name: part for name, part in built.items() if isinstance(part, pl.Callback)}
    _check_conflicts(built, foreign)
    for name, callback in foreign.items():
        _check(f"callbacks.{name}", callback, config)
    return Callbacks(
        evaluate=_one(built, Evaluate),
        checkpoint=_one(built, Checkpoint),
        progress=_one(built, Progress),
        figures=_one(built, DrawFigures),
        foreign=foreign,
    )


def check_monitors(config: DictConfig, callbacks: Callbacks, model: Model, data: Dataset) -> None:
    """Refuse a monitored metric that no evaluation has, and one without a `mode` if its better direction is unknown.

    Args:
        config: The config of the run.
        callbacks: The callbacks.
        model: The model. If something is monitored, it is evaluated on two images to find the names of its metrics.
        data: The images.

    Raises:
        ConfigError: A monitored metric is unknown, or its `mode` is missing. For an unknown metric the message suggests
            the nearest name.
    """
    foreign, evaluate = callbacks.foreign, callbacks.evaluate
    monitored = {name: monitor for name, callback in foreign.items() if (monitor := _monitor(callback))}
    for name, monitor in monitored.items():
        if monitor.startswith("validation/") and "validation" not in data.splits:
            path = f"callbacks.{name}.monitor={monitor}"
            size = max(1, len(data.splits["train"]) // 6)  # of MNIST, the usual 10,000
            raise ConfigError(f"{path}: there is no validation split: dataset.validation_size={size}")
    if not monitored or any(is_from_user(callback) for callback in foreign.values()):
        return  # a user's callback may log a metric that another callback monitors
    known = [*COUNTS, *evaluate.names(model, data)] if evaluate else []
    for name, monitor in monitored.items():
        if monitor not in known:
            raise ConfigError(f"callbacks.{name}.monitor={monitor}: {_suggestion(monitor, known)}")
        node = config.callbacks[name]
        if _mode(monitor) is None and hasattr(foreign[name], "mode") and "mode" not in node and not is_object(node):
            raise ConfigError(
                f"callbacks.{name}.mode: a value is needed for {monitor}: +callbacks.{name}.mode=min or max"
            )


def foreign_callbacks(config: DictConfig) -> dict[str, Any]:
    """Return the entries of `callbacks` by name, without the four parts of the training loop."""
    entries: Any = OmegaConf.to_container(config.callbacks, resolve=True)
    return {
        name: entry
        for name, entry in entries.items()
        if entry and (is_object(entry) or entry["_target_"] not in PARTS_OF_THE_LOOP)
    }


def _built(path: str, node: DictConfig, checkpoints: Path, config: DictConfig) -> Any:
    with foreign_failures(node, path):
        try:
            return build(node, **_defaults(path, node, checkpoints, config))
        except (MisconfigurationException, ModuleNotFoundError, TypeError, ValueError) as error:
            raise ConfigError(f"{path}: {_one_line(error)}") from error


def _build(name: str, node: DictConfig, directory: RunDirectory, config: DictConfig, objects: Objects) -> Any:
    path = f"callbacks.{name}"
    callback = objects[path] if path in objects else _built(path, node, directory.checkpoints / name, config)
    if isinstance(callback, Evaluate | Checkpoint | Progress | DrawFigures):
        return callback
    if not isinstance(callback, pl.Callback):
        raise ConfigError(f"{path}._target_: {node['_target_']} is no callback of pytorch_lightning")
    for kind, reason in REFUSED.items():
        if isinstance(callback, kind):
            raise ConfigError(f"{path}: {type(callback).__name__} cannot be used: {reason}")
    if isinstance(callback, EarlyStopping | ModelCheckpoint):
        _check_schedule(path, node)
    if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
        raise ConfigError(f"{path}.dirpath: a folder is needed: ModelCheckpoint(dirpath=…)")
    if isinstance(callback, ModelCheckpoint) and Path(str(callback.dirpath)) == directory.checkpoints.resolve():
        raise ConfigError(
            f"{path}.dirpath: last.ckpt and best.ckpt are there. Leave it out: checkpoints/{name} is used"
        )
    return callback


def _defaults(path: str, node: DictConfig, checkpoints: Path, config: DictConfig) -> dict[str, Any]:
    """Return arguments that are not set: the checkpoints' folder, what `patience` monitors, and a metric's `mode`."""
    kind = target_of(node, path)
    accepted = signature(kind).parameters
    defaults: dict[str, Any] = {}
    if isinstance(kind, type) and issubclass(kind, ModelCheckpoint) and node.get("dirpath") is None:
        defaults["dirpath"] = str(checkpoints)
    if kind is patience and node.get("monitor") is None:
        measure = "error" if config.get("head") else "bound" if config.get("objective") else "nll"
        defaults["monitor"] = f"validation/{measure}"
    mode = _mode(str(defaults.get("monitor", node.get("monitor"))))
    if mode and "mode" in accepted and "mode" not in node:
        defaults["mode"] = mode
    return {key: value for key, value in defaults.items() if key in accepted}


def _check_schedule(path: str, node: DictConfig) -> None:
    for key in (*PER_EPOCH, *PER_STEP):
        if node.get(key) and (key, node[key]) != ("every_n_epochs", 1):
            reason = (ONE_EPOCH if key in PER_EPOCH else MANY_UPDATES).removeprefix("and ")
            raise ConfigError(
                f"{path}.{key}: is not allowed: {reason}. Leave it out: the callback is called at every evaluation "
                "(callbacks.evaluate.per_decade, callbacks.evaluate.decades)"
            )


def _one(built: Mapping[str, Any], kind: type[Part]) -> Part | None:
    """Return the part of this kind, if there is one."""
    parts = {name: part for name, part in built.items() if isinstance(part, kind)}
    if len(parts) > 1:
        first, *_, last = parts
        raise ConfigError(f"callbacks.{last}: there is {kind.__name__} already: callbacks.{first}=null removes it")
    return next(iter(parts.values()), None)


def _check_conflicts(built: Mapping[str, Any], foreign: Mapping[str, pl.Callback]) -> None:
    bars = [name for name, part in built.items() if isinstance(part, Progress | ProgressBar)]
    if len(bars) > 1:
        raise ConfigError(f"callbacks.{bars[-1]}: there is a progress bar already: callbacks.{bars[0]}=null removes it")
    keys: dict[str, str] = {}
    for name, callback in foreign.items():
        if type(callback).state_dict is pl.Callback.state_dict:
            continue
        other = keys.setdefault(callback.state_key, name)
        if other != name:
            raise ConfigError(
                f"callbacks.{name}: a checkpoint cannot tell its state from that of callbacks.{other}: both are "
                f"{callback.state_key}"
            )


def _check(path: str, callback: pl.Callback, config: DictConfig) -> None:
    kind = type(callback).__name__
    if isinstance(callback, LearningRateMonitor | DeviceStatsMonitor) and not config.get("logger"):
        raise ConfigError(f"{path}: {kind} needs a logger: logger=tensorboard, wandb or many")
    if isinstance(callback, Timer) and callback.time_remaining() == 0:
        raise ConfigError(f"{path}.duration: leaves no time to train")
    unused = [hook for hook in NEVER_CALLED if hook in _own_attributes(callback)]
    if unused:
        raise ConfigError(
            f"{path}: {kind}.{unused[0]} would never be called. Use on_train_batch_end, which is called after "
            "up to trainer.steps_per_execution updates, or on_validation_end, which is called after every evaluation"
        )
    monitor = _monitor(callback)
    if monitor:
        _check_monitor(path, monitor, getattr(callback, "mode", None))


def _check_monitor(path: str, monitor: str, mode: str | None) -> None:
    split, _, name = monitor.rpartition("/")
    if split == "test":
        raise ConfigError(
            f"{path}.monitor={monitor}: if the test split were used to choose, its {name} would no longer be that of "
            f"unseen images. Use {path}.monitor=validation/{name}, and dataset.validation_size=<images> if the "
            "data has no validation split of its own"
        )
    wanted = _mode(monitor)
    if wanted and mode not in (None, wanted):
        higher = "higher" if wanted == "max" else "lower"
        raise ConfigError(f"{path}.mode={mode}: a {higher} {monitor} is better: {path}.mode={wanted}")


def _suggestion(monitor: str, known: list[str]) -> str:
    if not known:
        return "callbacks.evaluate=null leaves nothing to monitor"
    names = nearest_first(monitor, [name for name in known if name.startswith(("train/", "validation/"))])
    # a name that is no misspelling, such as val_loss, most likely means the metric that ranks models
    nearest = get_close_matches(monitor, names, 1, 0.8) or [name for name in names if _mode(name)] or names
    held_out = any(name.startswith("validation/") for name in names)
    hint = "" if held_out else ". dataset.validation_size=10000 gives a validation split"
    return f"no evaluation has it. Did you mean {nearest[0]}? Allowed: {', '.join(names)}{hint}"


def _monitor(callback: pl.Callback) -> str | None:
    monitor = getattr(callback, "monitor", None)
    return monitor if isinstance(monitor, str) else None


def _mode(monitor: str) -> str | None:
    """Return `max` if a higher value of the metric is better, `min` if a lower one is, None if that is not known."""
    return {1: "max", -1: "min", 0: None}[better(monitor)]


def _own_attributes(callback: pl.Callback) -> set[str]:
    """Return the attributes that the user's classes define or that are set on the object (as LambdaCallback does)."""
    kinds = [kind for kind in type(callback).__mro__ if not kind.__module__.startswith("pytorch_lightning.")]
    return set(vars(callback)).union(*map(vars, kinds))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
