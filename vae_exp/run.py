"""A finished run as an object."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from vae_exp.architecture import Architecture
from vae_exp.assembly import build_architecture, build_data, check_config
from vae_exp.checkpoint import read_checkpoint
from vae_exp.config.stored import folder, read_config
from vae_exp.config.trust import Packages, Trust, check_directory, trusted
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


def load_run(path: str | Path, checkpoint: str = "last", trust: Packages = None) -> Run:
    """Load a run that has ended; of one in stages the last of them.

    A run directory is data: it builds our own parts alone, whoever sent it, unless you trust others.

    Args:
        path: The run directory.
        checkpoint: `last`, which the results are of, or `best`.
        trust: Packages that the run may name parts of, such as `("my_package",)`.

    Raises:
        RunError: It is no run directory, it has not ended, it names what is not trusted, or its checkpoint cannot be
            used.
    """
    directory = RunDirectory(path)
    if not directory.config.exists():
        raise RunError(f"run={path}: is not a run directory: {directory.config} is missing")
    if not directory.results.exists():
        raise RunError(f"run={path}: has not ended: it is running, or was killed (go on with resume={path})")
    check_directory(directory.path, Trust(trusted(trust)))
    config = read_config(directory.config)
    if config.get("stages"):
        results = json.loads(directory.results.read_text())
        if results["status"] != "completed":
            raise RunError(f"run={path}: {results['status']} in stage {results['stage']} (go on with resume={path})")
        stage = folder(results.get("stage"), f"stage in {directory.results}")
        return load_run(directory.path / stage, checkpoint, trust)
    check_config(config)
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
