"""Collect the results of a run for `results.json`."""

import math
import platform
import time
from importlib.metadata import version
from typing import Any

import torch

from vae_exp.architecture import Generative
from vae_exp.config.objects import recorded_objects
from vae_exp.dataset import Info
from vae_exp.results.settings import GROUPS
from vae_exp.results.start import Start
from vae_exp.training.experiment import Experiment

PARTS = (*GROUPS, "weight_prior")
PACKAGES = ("vae_exp", "torch", "torchvision", "pytorch-lightning", "hydra-core", "wandb")


def results_of(start: Start, experiment: Experiment | None, status: str, error: str | None) -> dict[str, Any]:
    """Collect the results as one flat object: config, status, latest metrics and their sample count, device, versions.

    Args:
        start: What the run was started with.
        experiment: The experiment; None if the run failed before it was built.
        status: How the run ended: `completed`, `failed`, `diverged` or `interrupted`.
        error: The reason if the run is not completed.
    """
    metrics = {} if experiment is None else dict(experiment.metrics)
    model, record = experiment.architecture if experiment else None, start.record
    for name in ("step", "epoch", "seconds"):
        metrics.pop(name, None)
    values = record.flat
    results: dict[str, Any] = {"format": record.format, "status": status, "error": error, "name": values.get("name")}
    results["overrides"] = list(record.overrides)
    results |= {group: record.choices.get(group) for group in GROUPS}
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
        "train/bound": None,  # remains None if the architecture has no bound, or before the first evaluation
        "test/bound": None,
        "bounds": model.bounds if isinstance(model, Generative) else None,
        **_jacobian(experiment),
        **{name: value if math.isfinite(value) else None for name, value in metrics.items()},
        "train_seconds": experiment.clock.seconds if experiment else 0.0,
        "device": experiment.trained_on if experiment else None,
        **(experiment.computation if experiment else {}),
        **(_images(experiment.data.info) if experiment else {}),
        **({"objects": objects} if (objects := recorded_objects(record.values)) else {}),
        "threads": torch.get_num_threads(),
        "git_revision": start.revision,
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "version/python": platform.python_version(),
    }
    results |= {f"version/{package}": version(package) for package in PACKAGES}
    return results | {key: value for key, value in values.items() if key.split(".")[0] in PARTS}


def _images(info: Info) -> dict[str, Any]:
    """Say what the images are, so that the model can be built again where they are not."""
    return {"shape": list(info.shape), "classes": list(info.class_names)}


def _jacobian(experiment: Experiment | None) -> dict[str, float]:
    """Return the constant that the log densities contain because the pixels were standardised; none if they are not."""
    if experiment is None or experiment.data.standardisation is None:
        return {}
    return {"jacobian": experiment.data.log_jacobian}
