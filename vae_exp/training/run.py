"""Train one run: from its config to its results."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.types import RunMode
from omegaconf import DictConfig

from vae_exp.config.assembly import check_config
from vae_exp.config.memory import readable_shortage
from vae_exp.config.objects import NO_OBJECTS, Objects, check_objects, with_objects
from vae_exp.config.overrides import check_overrides
from vae_exp.config.record import overrides_without_resume
from vae_exp.dataset import Dataset
from vae_exp.errors import Diverged, Interrupted
from vae_exp.results.checkpoint import STATE, check_weights
from vae_exp.results.load import load_trusted
from vae_exp.results.metrics import format_headline, headline
from vae_exp.results.report import try_report
from vae_exp.results.run import Run
from vae_exp.results.run_directory import RunDirectory
from vae_exp.results.start import Start
from vae_exp.results.summary import known_results
from vae_exp.results.touch import try_touch
from vae_exp.training.fit import build_experiment, fit, trust_of
from vae_exp.training.loggers.wandb import finish
from vae_exp.training.results import results_of
from vae_exp.training.resume import checkpoint_to_resume, is_trained, why_it_is_trained
from vae_exp.training.stages import configs_of

log = logging.getLogger(__name__)
LEVELS = {
    "pytorch_lightning": logging.WARNING,  # no advertisements between the results
    "pytorch_lightning.callbacks": logging.INFO,  # messages that users ask for
    "torch.utils.cpp_extension": logging.ERROR,  # without a GPU it would warn: "No CUDA runtime is found"
}
"""The levels of the loggers of libraries during a run."""

STATUS_OF_ERROR = {
    Diverged: "diverged",
    Interrupted: "interrupted",
    KeyboardInterrupt: "interrupted",
    SystemExit: "interrupted",
}


def train(config: DictConfig, path: Path, hydra: DictConfig, objects: Objects = NO_OBJECTS) -> float:
    """Train, evaluate, draw, and write everything into the run directory.

    Args:
        config: The composed config.
        path: The run directory. With `config.resume`, the directory of the run to resume.
        hydra: Hydra's own config of the job: the command line and the choice of each group.
        objects: Built parts that the config stands for.

    Returns:
        The final test bound (nats per image, higher is better). −test/nll if the code has no prior; −test/error for a
        classifier; NaN if nothing was evaluated.

    Raises:
        UserError: The run failed for a reason that the user can fix. The status in `results.json` is `failed` or
            `diverged`.
        Interrupted: A signal stopped the run. Everything is saved.
    """
    directory, config = RunDirectory(path), with_objects(config, objects)
    with levels_of_libraries():
        if config.get("stages"):
            _check(config, hydra, objects)
            return _train_stages(config, directory, hydra, objects)
        return _train_alone(Start(config, directory, hydra), objects)


@contextmanager
def levels_of_libraries() -> Iterator[None]:
    """Set the levels of the loggers of libraries in this context."""
    loggers = {logging.getLogger(name): level for name, level in LEVELS.items()}
    before = {logger: logger.level for logger in loggers}
    try:
        for logger, level in loggers.items():
            logger.setLevel(level)
        yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)


def _train_alone(start: Start, objects: Objects) -> float:
    """Train a run without stages, or one stage of a run. It is new or resumed."""
    config, directory = start.config, start.directory
    with directory.locked():
        if config.resume is None:
            _begin(start)
            return _train(start, None, objects)
        _check(config, start.hydra, objects)
        checkpoint = checkpoint_to_resume(config, directory)
        if is_trained(checkpoint, config) and directory.is_completed():
            log.info("%s %s", directory.path, why_it_is_trained(checkpoint))
            return _value(checkpoint[STATE]["metrics"])
        return _train(start, checkpoint, objects)


def _begin(start: Start) -> None:
    """Claim a new run's directory. The directory of a sweep's job may exist already, without a checkpoint."""
    if start.hydra.mode == RunMode.MULTIRUN:
        start.directory.claim_again()
    else:
        start.directory.claim()


def _train_stages(config: DictConfig, directory: RunDirectory, hydra: DictConfig, objects: Objects) -> float:
    """Train the stages one after another, each in its own folder. The run's results are those of the last stage."""
    names = [str(name) for name in config.stages]
    name, status, error = names[0], "failed", None
    start = Start(config, directory, hydra)
    with directory.locked():
        if config.resume is None:
            _begin(start)
            start()
        try:
            for name, (stage_config, stage_hydra) in configs_of(config, directory.path, hydra, objects).items():
                log.info("Stage %s (%d of %d)", name, names.index(name) + 1, len(names))
                stage = Start(stage_config, RunDirectory(directory.path / name), stage_hydra, whole=start)
                value = _train_alone(stage, objects)
            status = "completed"
        except Interrupted as exception:
            status = "interrupted"
            error = f"Interrupted in stage {name}; all is saved. Go on with:\n  {directory.resume_command}"
            raise Interrupted(exception.signal_number, error) from None
        except BaseException as exception:
            status, error = _ending(exception)
            raise
        finally:
            if start.made or status == "completed":
                stage_results = known_results(RunDirectory(directory.path / name).results)
                own = {"status": status, "error": error, "stage": name, "overrides": list(start.record.overrides)}
                directory.write_results((stage_results or results_of(start, None, status, error)) | own)
                _touch(config, directory, status, objects, None)
                try_report(directory.path)
    return value


def _touch(config: DictConfig, directory: RunDirectory, status: str, objects: Objects, data: Dataset | None) -> None:
    """Write the page of the model as the config says, with these images if they are loaded."""

    def load(path: Path) -> Run:
        return replace(load_trusted(path, "last", trust_of(config), objects), loaded=data)

    try_touch(directory.path, load, status == "completed" and config.get("touch", False))


def _train(start: Start, checkpoint: dict[str, Any] | None, objects: Objects) -> float:
    config, directory, hydra = start.config, start.directory, start.hydra
    experiment, status, error = None, "failed", None
    try:
        if checkpoint is None:
            _check(config, hydra, objects)
            start()
        experiment = build_experiment(config, anew=checkpoint is None, objects=objects)
        if checkpoint is not None:
            check_weights(checkpoint["state_dict"], experiment, directory.last_checkpoint)
        with readable_shortage():
            fit(start, experiment, checkpoint, objects)
        status = "completed"
    except BaseException as exception:
        status, error = _ending(exception)
        raise
    finally:
        try:
            if start.made or checkpoint is None:
                directory.write_results(results_of(start, experiment, status, error))
                if start.whole is None:
                    _touch(config, directory, status, objects, experiment.data if experiment else None)
                try_report(directory.path)
        finally:
            finish(exit_code=int(status != "completed"))
    if experiment.metrics:
        score = " ".join(format_headline(experiment.metrics, "test").split())
        if experiment.stopped_by:
            log.info("Stopped by %s", experiment.stopped_by)
        log.info("%s after %s samples; results in %s", score, f"{experiment.samples_seen:,}", directory.path)
    return _value(experiment.metrics)


def _value(metrics: dict[str, float]) -> float:
    """Return the value that `train` returns; NaN if nothing was evaluated."""
    return headline(metrics, "test")[1] if metrics else math.nan


def _check(config: DictConfig, hydra: DictConfig, objects: Objects) -> None:
    check_overrides(config, overrides_without_resume(hydra))
    check_objects(config, objects)
    check_config(config)


def _ending(exception: BaseException) -> tuple[str, str]:
    """Return the status of a run that ended with this exception, and the reason, for the results."""
    return STATUS_OF_ERROR.get(type(exception), "failed"), str(exception) or type(exception).__name__
