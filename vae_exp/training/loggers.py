"""Weights & Biases and TensorBoard, as this project uses them."""

import logging
import os
import re
import secrets
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import wandb
from matplotlib.image import imread
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from vae_exp.config.flatten import flat
from vae_exp.config.overrides import values_by_key
from vae_exp.config.stored import read_overrides
from vae_exp.errors import ConfigError
from vae_exp.results.files import known, read_text, readable, write_atomically
from vae_exp.results.metrics import headline
from vae_exp.results.run_directory import RunDirectory
from vae_exp.results.sweep_directory import SweepDirectory

log = logging.getLogger(__name__)

# to Lightning each process is a run of its own, also where a scheduler has numbered it (SLURM_PROCID, RANK)
rank_zero_only.rank = 0  # type: ignore[attr-defined]


def account_configured() -> bool:
    """Whether W&B would find an API key: in the environment, its settings or the netrc file."""
    return wandb.login(prompt=False, verify=False)


class WandB(WandbLogger):
    """Metrics, figures and config of one run, everything against `samples`.

    What is not set here comes from W&B's own environment variable: WANDB_PROJECT, WANDB_ENTITY, WANDB_RUN_GROUP,
    WANDB_JOB_TYPE, WANDB_TAGS, WANDB_NAME, WANDB_NOTES, WANDB_DIR and WANDB_RUN_ID; without one from the run.

    Args:
        directory: The run directory; an offline run lies in its `wandb/`, unless WANDB_DIR names another place.
        config: The composed config, resolved.
        project: W&B project; `vae_exp` by default.
        entity: W&B user or team; the account's default.
        group: Runs that belong together; by default those of its sweep, or of its experiment.
        job_type: What kind of run it is; `train` by default.
        tags: Any words.
        name: What the run is called; by default the name of its directory, in a sweep with the values that vary.
        mode: `auto` is online where an account is configured and offline elsewhere; WANDB_MODE overrules it.

    Raises:
        ConfigError: W&B does not accept one of these.
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
        try:
            # not by Lightning, which passes `anonymous` too: W&B warns of it
            run = wandb.init(
                project=project,
                entity=entity or _from_environment("ENTITY"),
                group=group or _from_environment("RUN_GROUP") or _group(directory, config["name"]),
                job_type=job_type or _from_environment("JOB_TYPE") or "train",
                tags=list(tags) or [tag.strip() for tag in (_from_environment("TAGS") or "").split(",") if tag.strip()],
                name=name or _from_environment("NAME") or _called(directory),
                notes=_from_environment("NOTES"),
                dir=folder,
                id=_run_id(directory),
                resume="allow",
                config=config,
                mode=chosen,
                settings=wandb.Settings(silent=chosen != "online", console="off"),
            )
        except (wandb.errors.Error, ValueError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"logger: W&B refuses its project, entity, tags or mode: {reason}") from error
        super().__init__(project=project, save_dir=folder, id=run.id, experiment=run)
        _keep_id(directory, run.id)
        run.define_metric("trainer/global_step")  # the x axis of what callbacks of Lightning log
        run.define_metric("samples")
        run.define_metric("*", step_metric="samples", step_sync=True)


class TensorBoard(TensorBoardLogger):
    """Metrics, figures and config of one run in its `tensorboard/`, everything against `samples`.

    Args:
        directory: The run directory.
        config: The composed config, resolved.

    Raises:
        ConfigError: TensorBoard is not installed.
    """

    def __init__(self, directory: Path, config: dict[str, Any]) -> None:
        if find_spec("tensorboard") is None:
            raise ConfigError("logger: TensorBoard is an extra: pip install 'vae_exp[tensorboard]'")
        super().__init__(directory, name="", version="tensorboard", default_hp_metric=False, flush_secs=30)
        self.log_hyperparams(config)  # to hparams.yaml
        self._config = flat(OmegaConf.create(config))
        self._samples = 0
        self._evaluated: Mapping[str, float] = {}

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Scalars against the `samples` that are among them, whatever the step; without any against the step."""
        values = dict(metrics)
        if "samples" not in values:  # a callback of Lightning's logs, or a user's
            super().log_metrics(values, step)
            return
        self._samples = int(values.pop("samples"))
        if any(name.startswith("test/") for name in values):
            self._evaluated = values
        super().log_metrics(values, self._samples)

    def log_image(self, key: str, images: list[str]) -> None:
        """Pictures by their paths, against the last `samples`."""
        for path in images:
            self.experiment.add_image(key, imread(path), self._samples, dataformats="HWC")

    def finalize(self, status: str) -> None:
        """The config beside the final test number, for the table of runs; close the file."""
        if self._evaluated:
            from torch.utils.tensorboard.summary import hparams

            name, _ = headline(self._evaluated, "test")
            plain = {k: v if isinstance(v, int | float | str) else str(v) for k, v in self._config.items()}
            for summary in hparams(plain, {name.removeprefix("-"): 0.0}):
                self.experiment.file_writer.add_summary(summary)
        super().finalize(status)


def finish(exit_code: int) -> None:
    """End the W&B run of this process, or the next job of a sweep would go on writing into it."""
    if wandb.run is not None:
        wandb.finish(exit_code=exit_code)


def log_sweep(directory: Path, config: DictConfig, table: list[dict[str, Any]], pictures: list[Path]) -> None:
    """One more run in the group of a sweep, where its jobs are logged to W&B: the table and the pictures of all.

    Args:
        directory: The sweep's.
        config: That of one of its jobs.
        table: A row per job.
        pictures: Files.
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
    """The sweep that a run is a job of, or a stage of one."""
    folders = map(SweepDirectory, directory.absolute().parents)
    return next((sweep for sweep in folders if sweep.record.exists()), None)


def _called(directory: Path) -> str:
    """The name of its folder; of a sweep's job also its values of what is swept."""
    sweep = _sweep_of(directory)
    if sweep is None:
        return directory.name
    values = values_by_key(known(read_overrides, RunDirectory(directory).overrides) or [])
    varied = [f"{key.rpartition('.')[2]}={values[key]}" for key in sweep.varied() if key in values]
    return " ".join([str(directory.absolute().relative_to(sweep.path)), *varied])


def _group(directory: Path, name: str) -> str:
    """A sweep's name and its folder's; outside of sweeps the experiment's name."""
    if SweepDirectory(directory).record.exists():
        return f"{name}/{directory.name}"
    sweep = _sweep_of(directory)
    return name if sweep is None else f"{name}/{sweep.path.name}"


def _from_environment(name: str) -> str | None:
    """One of W&B's own variables, `WANDB_<name>`; None where it is not set, or empty."""
    return os.environ.get(f"WANDB_{name}") or None


def _run_id(directory: Path) -> str:
    """The W&B id of a run directory: a resumed run goes on under its own, a new one takes WANDB_RUN_ID.

    A sweep and a run in stages are several runs to W&B, which cannot share one.
    """
    path = directory / "wandb" / "id"
    kept = known(_read_id, path) if path.exists() else None
    if kept is not None:
        return kept
    asked = _from_environment("RUN_ID")
    if asked and (SweepDirectory(directory).record.exists() or _sweep_of(directory) or _is_stage(directory)):
        log.warning("WANDB_RUN_ID=%s: is the id of one run; the jobs of a sweep and stages have their own", asked)
        asked = None
    return asked or secrets.token_hex(4)


def _read_id(path: Path) -> str:
    found = read_text(path)
    with readable(path):
        if not re.fullmatch(r"[\w-]{1,128}", found, re.ASCII):
            raise ValueError("it holds no id of a W&B run")
    return found


def _is_stage(directory: Path) -> bool:
    return RunDirectory(directory.absolute().parent).config.exists()


def _keep_id(directory: Path, run_id: str) -> None:
    """The id that W&B took, for when the run is resumed: in the process of a sweep's agent it is the agent's."""
    path = directory / "wandb" / "id"
    write_atomically(path, run_id)
