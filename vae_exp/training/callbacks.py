"""Build the callbacks of a run. Refuse those of Lightning and of users that cannot work here, and say why."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from typing import Any

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

from vae_exp.config.assembly import build
from vae_exp.config.schema import target
from vae_exp.errors import ConfigError, nearest_first
from vae_exp.results.metrics import MEASURES
from vae_exp.results.run_directory import RunDirectory
from vae_exp.training.checkpointing import Checkpoint
from vae_exp.training.evaluation import Evaluate
from vae_exp.training.stopping import is_users

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


def build_callbacks(config: DictConfig, directory: RunDirectory) -> dict[str, pl.Callback]:
    """Build the callbacks, by their names in the config, in the order in which they must be called.

    `Evaluate` comes first, so that every other callback sees the evaluation. `Checkpoint` comes last, so that it saves
    the state that the others have after the evaluation.

    Raises:
        ConfigError: A callback cannot work here. The message names its key.
    """
    built: dict[str, pl.Callback] = {}
    for name, node in config.callbacks.items():
        if node is not None:
            built[str(name)] = _build(str(name), node, directory)
    if not config.trainer.get("enable_progress_bar", True):
        built = {name: callback for name, callback in built.items() if not isinstance(callback, ProgressBar)}
    _check_conflicts(built)
    for name, callback in built.items():
        _check(f"callbacks.{name}", callback, config)
    order = sorted(built, key=lambda name: isinstance(built[name], Checkpoint) - isinstance(built[name], Evaluate))
    return {name: built[name] for name in order}


def check_monitors(
    config: DictConfig, callbacks: Mapping[str, pl.Callback], names: Callable[[Evaluate], Iterable[str]]
) -> None:
    """Refuse a monitored metric that no evaluation has, and one without a `mode` if its better direction is unknown.

    Args:
        config: The config of the run.
        callbacks: The callbacks by their names in the config.
        names: Returns the names of the metrics that an evaluation has. It is called only if something is monitored.

    Raises:
        ConfigError: A monitored metric is unknown, or its `mode` is missing. For an unknown metric the message suggests
            the nearest name.
    """
    monitored = {name: monitor for name, callback in callbacks.items() if (monitor := _monitor(callback))}
    evaluate = next((callback for callback in callbacks.values() if isinstance(callback, Evaluate)), None)
    if not monitored or any(is_users(callback) for callback in callbacks.values()):
        return  # a user's callback may log a metric that another callback monitors
    known = list(names(evaluate)) if evaluate else []
    for name, monitor in monitored.items():
        if monitor not in known:
            raise ConfigError(f"callbacks.{name}.monitor={monitor}: {_suggestion(monitor, known)}")
        if _mode(monitor) is None and hasattr(callbacks[name], "mode") and "mode" not in config.callbacks[name]:
            raise ConfigError(
                f"callbacks.{name}.mode: a value is needed for {monitor}: +callbacks.{name}.mode=min or max"
            )


def others(config: DictConfig) -> dict[str, Any]:
    """Return the entries of `callbacks` whose classes are not in this package, by name."""
    entries: Any = OmegaConf.to_container(config.callbacks, resolve=True)
    return {name: entry for name, entry in entries.items() if entry and not entry["_target_"].startswith("vae_exp.")}


def _build(name: str, node: DictConfig, directory: RunDirectory) -> pl.Callback:
    path = f"callbacks.{name}"
    try:
        callback = build(node, **_defaults(path, node, directory.checkpoints / name))
    except (MisconfigurationException, ModuleNotFoundError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: {_one_line(error)}") from error
    if not isinstance(callback, pl.Callback):
        raise ConfigError(f"{path}._target_: {node['_target_']} is no callback of pytorch_lightning")
    for kind, reason in REFUSED.items():
        if isinstance(callback, kind):
            raise ConfigError(f"{path}: {type(callback).__name__} cannot be used: {reason}")
    if isinstance(callback, EarlyStopping | ModelCheckpoint):
        _check_schedule(path, node)
    if isinstance(callback, ModelCheckpoint) and Path(str(callback.dirpath)) == directory.checkpoints.resolve():
        raise ConfigError(
            f"{path}.dirpath: last.ckpt and best.ckpt are there. Leave it out: checkpoints/{name} is used"
        )
    return callback


def _defaults(path: str, node: DictConfig, checkpoints: Path) -> dict[str, Any]:
    """Return arguments whose defaults in Lightning are wrong here: the checkpoints' folder and a metric's `mode`."""
    kind = target(node, path)
    accepted = signature(kind).parameters
    defaults: dict[str, Any] = {}
    if isinstance(kind, type) and issubclass(kind, ModelCheckpoint) and node.get("dirpath") is None:
        defaults["dirpath"] = str(checkpoints)
    mode = _mode(str(node.get("monitor")))
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


def _check_conflicts(callbacks: Mapping[str, pl.Callback]) -> None:
    bars = [name for name, callback in callbacks.items() if isinstance(callback, ProgressBar)]
    if len(bars) > 1:
        raise ConfigError(f"callbacks.{bars[-1]}: there is a progress bar already: callbacks.{bars[0]}=null removes it")
    keys: dict[str, str] = {}
    for name, callback in callbacks.items():
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
        _check_monitor(path, monitor, getattr(callback, "mode", None), config)


def _check_monitor(path: str, monitor: str, mode: str | None, config: DictConfig) -> None:
    split, _, name = monitor.rpartition("/")
    if split == "test":
        raise ConfigError(
            f"{path}.monitor={monitor}: if the test split were used to choose, its {name} would no longer be that of "
            f"unseen images. Use dataset.validation_size=10000 {path}.monitor=validation/{name}"
        )
    if split == "validation" and not config.dataset.get("validation_size"):
        raise ConfigError(f"{path}.monitor={monitor}: there is no validation split: dataset.validation_size=10000")
    better = _mode(monitor)
    if better and mode not in (None, better):
        higher = "higher" if better == "max" else "lower"
        raise ConfigError(f"{path}.mode={mode}: a {higher} {monitor} is better: {path}.mode={better}")


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
    better = MEASURES | {"bits_per_dim": -1}
    return {1: "max", -1: "min", 0: None}[better.get(monitor.rpartition("/")[2], 0)]


def _own_attributes(callback: pl.Callback) -> set[str]:
    """Return the attributes that the user's classes define or that are set on the object (as LambdaCallback does)."""
    kinds = [kind for kind in type(callback).__mro__ if not kind.__module__.startswith("pytorch_lightning.")]
    return set(vars(callback)).union(*map(vars, kinds))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
