"""A run's directory: where everything is, and a finished run as an object."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vae_exp.architecture import Architecture
from vae_exp.assembly import build_architecture, build_data
from vae_exp.errors import RunError
from vae_exp.metrics import read_metrics, write_atomically


@dataclass(frozen=True)
class RunDirectory:
    """The files of one run."""

    path: Path

    def __init__(self, path: str | Path) -> None:
        object.__setattr__(self, "path", Path(path))

    @property
    def name(self) -> str:
        """What the run is called: its experiment and its own folder."""
        return f"{self.path.absolute().parent.name}/{self.path.absolute().name}"

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / ".hydra" / "config.yaml"

    @property
    def overrides(self) -> Path:
        """The command line."""
        return self.path / ".hydra" / "overrides.yaml"

    @property
    def checkpoints(self) -> Path:
        """`last.ckpt` and `best.ckpt`; the folder is there as soon as the run has begun."""
        return self.path / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        """Where the run goes on, and the model that its results are of."""
        return self.checkpoints / "last.ckpt"

    @property
    def metrics(self) -> Path:
        """One row per evaluation."""
        return self.path / "metrics.csv"

    @property
    def results(self) -> Path:
        """One flat object, written last."""
        return self.path / "results.json"

    @property
    def figures(self) -> Path:
        """The pictures."""
        return self.path / "figures"

    def begin(self) -> None:
        """Claim a new run's directory.

        Raises:
            RunError: It holds a run already.
        """
        try:
            self.checkpoints.mkdir(parents=True)
        except FileExistsError as error:
            raise RunError(
                f"hydra.run.dir={self.path}: holds a run already. Go on with it (resume={self.path}) or name another"
            ) from error

    def write_config(self, config: DictConfig) -> None:
        """The record of what runs, interpolations resolved."""
        self.config.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.config, OmegaConf.to_yaml(config, resolve=True))

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Write `results.json`, whole or not at all."""
        write_atomically(self.results, json.dumps(results, indent=2) + "\n")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        path: Its directory.
        config: The resolved config.
        metrics: `results.json`: identity, final metrics (nats per image), `status`.
        history: `metrics.csv`: one dict per evaluation.
        model: The architecture with its trained weights, in evaluation mode: `encode(x)`, `decode(z)`,
            `sample(n)`, `bound(x)`.
    """

    path: Path
    config: DictConfig
    metrics: dict[str, Any]
    history: list[dict[str, float]]
    model: Architecture


def load_run(path: str | Path, checkpoint: str = "last") -> Run:
    """Load a run that has ended.

    Args:
        path: The run directory.
        checkpoint: `last`, which the results are of, or `best`.

    Raises:
        RunError: It is no run directory, it has not ended, or its checkpoint cannot be used.
    """
    from vae_exp.checkpoint import read_checkpoint

    directory = RunDirectory(path)
    if not directory.config.exists():
        raise RunError(f"run={path}: is not a run directory: {directory.config} is missing")
    if not directory.results.exists():
        raise RunError(f"run={path}: has not ended: it is running, or was killed (go on with resume={path})")
    config = OmegaConf.load(directory.config)
    assert isinstance(config, DictConfig)
    model = build_architecture(config, build_data(config))
    _load_weights(model, read_checkpoint(directory.checkpoints / f"{checkpoint}.ckpt"), directory)
    return Run(
        directory.path,
        config,
        json.loads(directory.results.read_text()),
        read_metrics(directory.metrics) if directory.metrics.exists() else [],
        model.eval().requires_grad_(False),
    )


def _load_weights(model: Architecture, checkpoint: dict[str, Any], directory: RunDirectory) -> None:
    prefix = "architecture."
    weights = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise RunError(f"{directory.last_checkpoint}: does not fit {directory.config}: {error}") from error
