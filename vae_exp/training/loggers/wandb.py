"""The logger that writes to Weights & Biases, and the W&B run that summarises a sweep."""

import logging
import os
import re
import secrets
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal

import wandb
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import WandbLogger

from vae_exp.config.overrides import values_by_key
from vae_exp.config.stored import read_overrides
from vae_exp.errors import ConfigError
from vae_exp.results.files import read_or_warn, read_text, reporting_read_errors, write_atomically
from vae_exp.results.run_directory import RunDirectory
from vae_exp.results.sweep_directory import SweepDirectory
from vae_exp.training.turns import current_place

log = logging.getLogger(__name__)

_RUN: ContextVar[Any] = ContextVar("run", default=None)
"""The W&B run of this thread."""


def account_configured() -> bool:
    """Tell whether W&B finds an API key in the environment, in its settings or in the netrc file."""
    return wandb.login(prompt=False, verify=False)


class WandB(WandbLogger):
    """Log the metrics, figures and config of one run. The x axis is `samples`.

    If an argument is not set, W&B's environment variable is used: WANDB_PROJECT, WANDB_ENTITY, WANDB_RUN_GROUP,
    WANDB_JOB_TYPE, WANDB_TAGS or WANDB_NAME; if that is not set either, the default below. WANDB_NOTES, WANDB_DIR and
    WANDB_RUN_ID have no argument.

    Args:
        directory: The run directory. Offline runs are written to its `wandb/`, or to WANDB_DIR.
        config: The composed config, resolved.
        project: W&B project; by default `vae_exp`.
        entity: W&B user or team; by default the account's own.
        group: Name of a group of runs; by default the sweep or, outside of sweeps, the experiment.
        job_type: Kind of run; by default `train`.
        tags: Any words; by default none.
        name: Name of the run; by default the name of its directory and, in a sweep, the values that vary.
        mode: `auto` is the value of WANDB_MODE or, if that is not set, `online` with an account and `offline` without.

    Raises:
        ConfigError: W&B does not accept one of these values.
    """

    def __init__(
        self,
        directory: Path,
        config: dict[str, Any],
        project: str | None = None,
        entity: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        tags: list[str] = [],  # noqa: B006 (never changed)
        name: str | None = None,
        mode: Literal["auto", "online", "offline", "disabled"] = "auto",
    ) -> None:
        chosen: Any = mode
        if mode == "auto":
            chosen = _from_environment("MODE") or ("online" if account_configured() else "offline")
        project = project or _from_environment("PROJECT") or "vae_exp"
        folder = _from_environment("DIR") or str(directory)
        # runs that take turns in one process would otherwise all write into the first one's
        beside: Literal["default", "create_new"] = "default" if current_place() is None else "create_new"
        try:
            # not by Lightning, which passes `anonymous` too: W&B warns of it
            run = wandb.init(
                project=project,
                entity=entity or _from_environment("ENTITY"),
                group=group or _from_environment("RUN_GROUP") or _group(directory, config["name"]),
                job_type=job_type or _from_environment("JOB_TYPE") or "train",
                tags=list(tags) or [tag.strip() for tag in (_from_environment("TAGS") or "").split(",") if tag.strip()],
                name=name or _from_environment("NAME") or _run_name(directory),
                notes=_from_environment("NOTES"),
                dir=folder,
                id=_run_id(directory),
                resume="allow",
                config=config,
                mode=chosen,
                settings=wandb.Settings(silent=chosen != "online", console="off", reinit=beside),
            )
        except (wandb.errors.Error, ValueError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"logger: W&B refuses its project, entity, tags or mode: {reason}") from error
        _RUN.set(run)
        super().__init__(project=project, save_dir=folder, id=run.id, experiment=run)
        _keep_id(directory, run.id)
        run.define_metric("trainer/global_step")  # the x axis of what callbacks of Lightning log
        run.define_metric("samples")
        run.define_metric("*", step_metric="samples", step_sync=True)

    def log_histograms(self, values: dict[str, list[float]], samples: int, step: int) -> None:
        """Log a histogram of each list at this number of samples, and at this step of Lightning."""
        histograms: Any = {name: wandb.Histogram(numbers) for name, numbers in values.items()}
        self.log_metrics({"samples": samples, **histograms}, step)


def finish(exit_code: int) -> None:
    """End the W&B run of this thread: otherwise the next job of a sweep would write into it."""
    run = wandb.run if current_place() is None else _RUN.get()
    if run is not None:
        run.finish(exit_code=exit_code)


def log_sweep(directory: Path, config: DictConfig, table: list[dict[str, Any]], pictures: list[Path]) -> None:
    """Log the table and the pictures of a sweep to W&B, as one more run of the sweep's group.

    If the jobs are not logged to W&B, log nothing.

    Args:
        directory: The sweep directory.
        config: The config of one of the jobs.
        table: One row per job.
        pictures: The image files.
    """
    resolved: Any = OmegaConf.to_container(config, resolve=True)
    chosen = resolved["logger"] or {}
    nodes = [chosen] if "_target_" in chosen else [node for node in chosen.values() if node]
    for node in nodes:
        if node["_target_"] != f"{__name__}.{WandB.__name__}":
            continue
        own = {key: value for key, value in node.items() if not key.startswith("_")}
        exit_code = 1
        try:
            logger = WandB(directory, {"name": resolved["name"]}, **own | {"job_type": "summary"})
            columns: list[str | int] = list(table[0])
            cells = [[None if row[str(name)] is None else str(row[str(name)]) for name in columns] for row in table]
            logger.experiment.log(
                {"sweep": wandb.Table(columns, cells)}
                | {f"figures/{path.stem}": wandb.Image(str(path)) for path in pictures}
            )
            exit_code = 0
        finally:
            finish(exit_code)


def _sweep_of(directory: Path) -> SweepDirectory | None:
    """Find the sweep of a run that is a job, or a stage of a job; None outside of sweeps."""
    folders = map(SweepDirectory, directory.absolute().parents)
    return next((sweep for sweep in folders if sweep.record.exists()), None)


def _run_name(directory: Path) -> str:
    """Name a run by its folder; the name of a sweep's job also contains its values of the keys that vary."""
    sweep = _sweep_of(directory)
    if sweep is None:
        return directory.name
    values = values_by_key(read_or_warn(read_overrides, RunDirectory(directory).overrides) or [])
    varied = [f"{key.rpartition('.')[2]}={values[key]}" for key in sweep.varied() if key in values]
    return " ".join([str(directory.absolute().relative_to(sweep.path)), *varied])


def _group(directory: Path, name: str) -> str:
    """Name the group of a run: the name and the folder of its sweep, or the experiment outside of sweeps."""
    if SweepDirectory(directory).record.exists():
        return f"{name}/{directory.name}"
    sweep = _sweep_of(directory)
    return name if sweep is None else f"{name}/{sweep.path.name}"


def _from_environment(name: str) -> str | None:
    """Read the environment variable `WANDB_<name>`; None if it is not set or empty."""
    return os.environ.get(f"WANDB_{name}") or None


def _run_id(directory: Path) -> str:
    """Return the W&B id of a run directory: its recorded id if the run is resumed, else WANDB_RUN_ID or a random one.

    Jobs of a sweep and stages never use WANDB_RUN_ID: they are several runs and cannot share an id.
    """
    path = directory / "wandb" / "id"
    recorded = read_or_warn(_read_id, path) if path.exists() else None
    if recorded is not None:
        return recorded
    requested = _from_environment("RUN_ID")
    if requested and (SweepDirectory(directory).record.exists() or _sweep_of(directory) or _is_stage(directory)):
        log.warning("WANDB_RUN_ID=%s: is the id of one run; the jobs of a sweep and stages have their own", requested)
        requested = None
    return requested or secrets.token_hex(4)


def _read_id(path: Path) -> str:
    run_id = read_text(path)
    with reporting_read_errors(path):
        if not re.fullmatch(r"[\w-]{1,128}", run_id, re.ASCII):
            raise ValueError("it holds no id of a W&B run")
    return run_id


def _is_stage(directory: Path) -> bool:
    return RunDirectory(directory.absolute().parent).config.exists()


def _keep_id(directory: Path, run_id: str) -> None:
    """Record the id that W&B used, for when the run is resumed: a sweep's agent replaces the requested id."""
    path = directory / "wandb" / "id"
    write_atomically(path, run_id)
