"""A run in stages: each an ordinary run in a folder of the run directory, beginning where an earlier one ended."""

import json
import logging
from pathlib import Path
from typing import Any

import torch
from hydra import compose
from omegaconf import DictConfig, open_dict

from vae_exp.architecture import Architecture
from vae_exp.checkpoint import read_checkpoint
from vae_exp.errors import ConfigError, RunError
from vae_exp.resume import key_of
from vae_exp.run_directory import RunDirectory, typed

log = logging.getLogger(__name__)


def configs_of(config: DictConfig, path: Path, hydra: DictConfig) -> dict[str, tuple[DictConfig, DictConfig]]:
    """Each stage's config and Hydra's own: the experiment, then the stage's words, then what was typed.

    A word may name an earlier stage's directory: `start_from={layer1}`.

    Raises:
        ConfigError: A word names a stage that does not come before.
    """
    found: dict[str, tuple[DictConfig, DictConfig]] = {}
    asked = typed(hydra)
    keys = {key_of(word) for word in asked}
    for stage, words in config.stages.items():
        own = []
        for word in words:
            try:
                own.append(word.format_map({name: _quoted(path / name) for name in found}))
            except (KeyError, ValueError, IndexError) as error:
                raise ConfigError(
                    f"stages.{stage}: {word}: {error} is no stage before this one. Before it: {', '.join(found) or '—'}"
                ) from error
        chosen = [word for word in own if key_of(word) not in keys]
        composed = compose("config", [*chosen, *asked, "stages=null"], return_hydra_config=True)
        own_hydra = composed.hydra
        with open_dict(composed):
            del composed["hydra"]
        last = RunDirectory(path / str(stage)).last_checkpoint
        composed.resume = str(path / str(stage)) if last.exists() else None
        found[str(stage)] = composed, own_hydra
    return found


def begin_stages(directory: RunDirectory, names: list[str], resumed: bool) -> None:
    """Claim a new run's directory, unless the run is one that goes on.

    Raises:
        RunError: It holds a run already.
    """
    held = [name for name in names if RunDirectory(directory.path / name).last_checkpoint.exists()]
    if held and not resumed:
        raise RunError(
            f"{directory.path}: holds a run already. Go on with it (resume={directory.path}) or name another folder"
        )


def results_of(path: Path) -> dict[str, Any]:
    """The results of a stage; empty where it has none."""
    file = RunDirectory(path).results
    results: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return results


def start_from(architecture: Architecture, path: str) -> None:
    """Take over the weights of another run's model that have the same names.

    Raises:
        RunError: There is no such run, or no weight of that name and size.
    """
    prefix = "architecture."
    trained = read_checkpoint(RunDirectory(path).last_checkpoint)["state_dict"]
    ours = architecture.state_dict()
    shared = {
        name: trained[prefix + name]
        for name, value in ours.items()
        if isinstance(value, torch.Tensor) and prefix + name in trained and trained[prefix + name].shape == value.shape
    }
    if not shared:
        raise RunError(f"start_from={path}: its model has no weight in common with this one")
    architecture.load_state_dict(shared, strict=False)
    log.info("Beginning with %d of %d weights and biases of %s", len(shared), len(ours), path)


def _quoted(path: Path) -> str:
    escaped = str(path).replace("'", "\\'")
    return f"'{escaped}'"
