"""Load a finished run as an object."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from vae_exp.architecture import Model
from vae_exp.config.assembly import build_architecture, build_data, check_config
from vae_exp.config.memory import readable_shortage
from vae_exp.config.objects import NO_OBJECTS, Objects, check_objects_of_run
from vae_exp.config.stored import check_folder_name, printable, read_config
from vae_exp.config.trust import Packages, Trust, check_directory, trusted_packages
from vae_exp.dataset import Info
from vae_exp.dataset.standardisation import restored
from vae_exp.errors import ConfigError, RunError
from vae_exp.results.checkpoint import STATE, check_weights, read_checkpoint
from vae_exp.results.metrics import history
from vae_exp.results.run import Run
from vae_exp.results.run_directory import RunDirectory, path_hint
from vae_exp.results.summary import read_results


def load_run(path: str | Path, checkpoint: str = "last", trust: Packages = None) -> Run:
    """Load the run of a command, which passes no objects. `vae_exp.load_run` takes them too.

    Args:
        path: The run directory.
        checkpoint: `last`, the model that the results belong to, or `best`.
        trust: Packages whose parts the run may use.

    Raises:
        RunError: As `load_trusted`.
    """
    return load_trusted(path, checkpoint, Trust(trusted_packages(trust)), NO_OBJECTS)


def load_trusted(path: str | Path, checkpoint: str, trust: Trust, objects: Objects) -> Run:
    """Load a run that has ended. For a run in stages, load its last stage.

    Args:
        path: The run directory.
        checkpoint: `last` or `best`.
        trust: Which `_target_`s the run may name.
        objects: The objects that its config stands for.

    Raises:
        RunError: The path is not a run directory, the run has not ended, it names parts that are not trusted, it was
            made of objects that are not given, or a file is damaged.
    """
    if not str(path):
        raise RunError("run=: a run directory is needed, and this is empty")
    directory = RunDirectory(path)
    if not directory.config.exists():
        raise RunError(f"run={path}: is not a run directory: {directory.config} is missing{path_hint(path)}")
    if not directory.results.exists():
        raise RunError(f"run={path}: has not ended: it is running, or was killed (go on with resume={path})")
    check_directory(directory.path, trust)
    config, results = read_config(directory.config), read_results(directory.results)
    if config.get("stages"):
        stage = results.get("stage")
        if results["status"] != "completed":
            raise RunError(f"run={path}: {results['status']} in stage {stage} (go on with resume={path})")
        folder = check_folder_name(stage, f"stage in {directory.results}")
        return load_trusted(directory.path / folder, checkpoint, trust, objects)
    check_objects_of_run(config, objects, str(path))
    model = _built(config, _images(results), directory.config, objects)
    state = _load_weights(model, directory.checkpoint(checkpoint))
    return Run(
        directory.path,
        config,
        results,
        history(directory.metrics),
        model.eval().requires_grad_(False),
        restored(state.get("standardisation"), model.shape),
        objects,
    )


def _built(config: DictConfig, info: Info | None, path: Path, objects: Objects) -> Model:
    """Build the model that a stored config describes, with its initial weights."""
    try:
        check_config(config)
        # drawing the initial weights must not change the caller's random numbers
        with readable_shortage(), torch.random.fork_rng(devices=[]):
            return build_architecture(config, build_data(config, info, objects), objects=objects)
    except ConfigError as error:
        raise RunError(f"{path}: {printable(error)}") from error


def _images(results: Mapping[str, Any]) -> Info | None:
    """Return what the images of a run were, as its results say; None if an earlier version wrote them."""
    if "shape" not in results:
        return None
    channels, height, width = results["shape"]
    return Info((channels, height, width), tuple(results["classes"]))


def _load_weights(model: Model, path: Path) -> dict[str, Any]:
    """Load the weights of a checkpoint; return our own entry in it."""
    checkpoint = read_checkpoint(path)
    prefix = "architecture."
    named = {str(name): value for name, value in checkpoint["state_dict"].items()}
    weights = {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}
    check_weights(weights, model, path)
    model.load_state_dict(weights)
    state: dict[str, Any] = checkpoint[STATE]
    return state
