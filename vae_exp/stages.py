"""A run in stages: each an ordinary run in a folder of the run directory, beginning where an earlier one ended."""

import json
import logging
from pathlib import Path
from typing import Any

import torch
from hydra import compose
from omegaconf import DictConfig, OmegaConf, open_dict

from vae_exp.architecture import Architecture
from vae_exp.checkpoint import read_checkpoint
from vae_exp.errors import ConfigError, RunError
from vae_exp.resume import key_of
from vae_exp.run_directory import RunDirectory, typed

log = logging.getLogger(__name__)


def configs_of(config: DictConfig, path: Path, hydra: DictConfig) -> dict[str, tuple[DictConfig, DictConfig]]:
    """Each stage's config and Hydra's own: the experiment, then the stage's words, then what was typed and fits.

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
        choices = [word for word in asked if not _is_value(word, config)]
        base = compose("config", [*chosen, *choices, "stages=null"])
        # a key that this stage's parts do not have is meant for another one
        values = [word for word in asked if word not in choices and _holds(base, key_of(word))]
        composed = compose("config", [*chosen, *choices, *values, "stages=null"], return_hydra_config=True)
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
        RunError: There is no such run, a weight has another size there, or none has the same name.
    """
    prefix = architecture.inherits
    trained = read_checkpoint(RunDirectory(path).last_checkpoint)["state_dict"]
    theirs = {
        prefix + name.removeprefix("architecture."): value
        for name, value in trained.items()
        if isinstance(value, torch.Tensor)
    }
    ours = architecture.state_dict()
    shared = {name: value for name, value in theirs.items() if name in ours}
    if not shared:
        raise RunError(f"start_from={path}: its model has no weight in common with this one")
    for name, value in shared.items():
        if value.shape != ours[name].shape:
            raise RunError(f"start_from={path}: {name} is {[*value.shape]} there and {[*ours[name].shape]} here")
    architecture.load_state_dict(shared, strict=False)
    log.info("Beginning with %d of %d weights and biases, those of %s", len(shared), len(ours), path)


def _is_value(word: str, config: DictConfig) -> bool:
    """Whether an override gives a value, not a choice of a group."""
    return not word.startswith(("+", "~")) and not isinstance(OmegaConf.select(config, key_of(word)), DictConfig)


def _holds(config: DictConfig, key: str) -> bool:
    parent, _, leaf = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    return isinstance(node, DictConfig) and leaf in node


def _quoted(path: Path) -> str:
    escaped = str(path).replace("'", "\\'")
    return f"'{escaped}'"
