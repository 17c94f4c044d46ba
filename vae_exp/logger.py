"""Weights & Biases, as this project uses it."""

import os
import secrets
from pathlib import Path
from typing import Any, Literal

import wandb
from pytorch_lightning.loggers import WandbLogger

from vae_exp.errors import ConfigError


def account_configured() -> bool:
    """Whether W&B would find an API key: in the environment, its settings or the netrc file."""
    return wandb.login(prompt=False, verify=False)


class WandB(WandbLogger):
    """Metrics, figures and config of one run, everything against `samples`.

    Args:
        directory: The run directory; an offline run lies in its `wandb/`.
        config: The composed config, resolved.
        project: W&B project.
        entity: W&B user or team; None for the account's default.
        group: Runs that belong together.
        job_type: What kind of run it is.
        tags: Any words.
        name: What the run is called; None for the name of its directory.
        mode: `auto` is online where an account is configured and offline elsewhere; WANDB_MODE overrules it.

    Raises:
        ConfigError: W&B does not accept one of these.
    """

    def __init__(
        self,
        directory: Path,
        config: dict[str, Any],
        project: str = "vae_exp",
        entity: str | None = None,
        group: str | None = None,
        job_type: str | None = "train",
        tags: list[str] = [],  # noqa: B006 (never changed)
        name: str | None = None,
        mode: Literal["auto", "online", "offline", "disabled"] = "auto",
    ) -> None:
        if mode == "auto":
            mode = os.environ.get("WANDB_MODE") or ("online" if account_configured() else "offline")  # type: ignore[assignment]
        super().__init__(
            project=project,
            entity=entity,
            group=group,
            job_type=job_type,
            tags=list(tags),
            name=name or directory.name,
            save_dir=directory,
            id=_run_id(directory),
            config=config,
            mode=mode,
            settings=wandb.Settings(silent=mode != "online", console="off"),
        )
        self._wandb_init.pop("anonymous", None)  # Lightning still passes it, W&B warns of it
        try:
            run = self.experiment
        except (wandb.errors.Error, ValueError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"logger: W&B refuses its project, entity, tags or mode: {reason}") from error
        run.define_metric("samples")
        run.define_metric("*", step_metric="samples", step_sync=True)


def finish(exit_code: int) -> None:
    """End the W&B run of this process, or the next job of a sweep would go on writing into it."""
    if wandb.run is not None:
        wandb.finish(exit_code=exit_code)


def _run_id(directory: Path) -> str:
    """The W&B id of a run directory: a resumed run goes on under its own."""
    path = directory / "wandb" / "id"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(secrets.token_hex(4))
    return path.read_text()
