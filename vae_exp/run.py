"""A finished run as an object."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from vae_exp.architecture import Architecture
from vae_exp.assembly import build_architecture, build_data
from vae_exp.checkpoint import read_checkpoint
from vae_exp.errors import RunError
from vae_exp.metrics import read_metrics
from vae_exp.run_directory import RunDirectory


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
    """Load a run that has ended; of one in stages the last of them.

    Args:
        path: The run directory.
        checkpoint: `last`, which the results are of, or `best`.

    Raises:
        RunError: It is no run directory, it has not ended, or its checkpoint cannot be used.
    """
    directory = RunDirectory(path)
    if not directory.config.exists():
        raise RunError(f"run={path}: is not a run directory: {directory.config} is missing")
    if not directory.results.exists():
        raise RunError(f"run={path}: has not ended: it is running, or was killed (go on with resume={path})")
    config = OmegaConf.load(directory.config)
    assert isinstance(config, DictConfig)
    if config.get("stages"):
        results = json.loads(directory.results.read_text())
        if results["status"] != "completed":
            raise RunError(f"run={path}: {results['status']} in stage {results['stage']} (go on with resume={path})")
        return load_run(directory.path / results["stage"], checkpoint)
    with torch.random.fork_rng(devices=[]):  # the first weights are drawn, and thrown away
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
