"""A run in stages: each an ordinary run in a folder of the run directory, beginning where an earlier one ended."""

import logging
import re
from pathlib import Path

import torch
from hydra import compose
from omegaconf import DictConfig, OmegaConf, open_dict

from vae_exp.architecture import Model
from vae_exp.config.assembly import build_architecture, build_data, check_config
from vae_exp.config.memory import check_memory
from vae_exp.config.overrides import key_of
from vae_exp.config.relative import make_absolute
from vae_exp.config.stored import folder
from vae_exp.config.trust import Trust, check_directory
from vae_exp.errors import ConfigError, RunError, UserError
from vae_exp.results.checkpoint import STATE, read_checkpoint
from vae_exp.results.run_directory import RunDirectory, hint, overrides_without_resume

log = logging.getLogger(__name__)


def configs_of(config: DictConfig, path: Path, hydra: DictConfig) -> dict[str, tuple[DictConfig, DictConfig]]:
    """Each stage's config and Hydra's own, checked: the experiment, what was typed and fits, then the stage's words.

    Of what was typed the budget alone, `samples`, goes before a stage's own word. A word may name an earlier stage's
    directory: `start_from={layer1}`.

    Raises:
        ConfigError: A stage is not allowed; the message names it.
    """
    found: dict[str, tuple[DictConfig, DictConfig]] = {}
    for stage, words in config.stages.items():
        folder(stage, "stages")
        own = [_with_directories(word, {name: path / name for name in found}) for word in words]
        try:
            found[str(stage)] = _composed(own, config, overrides_without_resume(hydra))
            make_absolute(found[str(stage)][0], Path(hydra.runtime.cwd))
            found[str(stage)][0].trust = config.get("trust")
            check_config(found[str(stage)][0])
            check_memory(found[str(stage)][0])
            build_architecture(found[str(stage)][0], build_data(found[str(stage)][0]))
        except UserError as error:
            raise ConfigError(f"stages.{stage}: {error}") from error
    begun = [name for name in found if RunDirectory(path / name).last_checkpoint.exists()]
    for name in begun:
        stage_config, _ = found[name]
        stage_config.resume = str(path / name)
        if name != begun[-1]:  # what came after it was built on it
            stage_config.samples = read_checkpoint(RunDirectory(path / name).last_checkpoint)[STATE]["samples_seen"]
    return found


def _composed(own: list[str], config: DictConfig, asked: list[str]) -> tuple[DictConfig, DictConfig]:
    own = [word for word in own if key_of(word) != "samples" or not any(key_of(other) == "samples" for other in asked)]
    asked = [word for word in asked if key_of(word) not in {key_of(other) for other in own}]
    choices = [word for word in asked if not _is_value(word, config)]
    base = compose("config", [*choices, *own, "stages=null"])
    # a key that this stage's parts do not have is meant for another one
    values = [word for word in asked if word not in choices and _holds(base, key_of(word))]
    composed = compose("config", [*choices, *values, *own, "stages=null"], return_hydra_config=True)
    own_hydra = composed.hydra
    with open_dict(composed):
        del composed["hydra"]
    return composed, own_hydra


def _with_directories(word: str, directories: dict[str, Path]) -> str:
    for name, path in directories.items():
        escaped = str(path).replace("'", "\\'")
        word = word.replace(f"{{{name}}}", f"'{escaped}'")
    named = re.search(r"=\{(\w+)\}$", word)
    if named:
        before = ", ".join(directories) or "none"
        raise ConfigError(f"stages: {word}: {named[1]} is no stage before this one. Before it: {before}")
    return word


def _is_value(word: str, config: DictConfig) -> bool:
    """Whether an override gives a value, not a choice of a group."""
    key = key_of(word)
    chooses = word.startswith(("+", "~")) or "/" in key or "@" in key
    return not chooses and not isinstance(OmegaConf.select(config, key), DictConfig)


def _holds(config: DictConfig, key: str) -> bool:
    parent, _, leaf = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    return isinstance(node, DictConfig) and leaf in node


def start_from(architecture: Model, path: str, trust: Trust) -> None:
    """Take over the weights of another run's model that have the same names.

    Raises:
        RunError: There is no such run, it names what is not trusted, its checkpoint cannot be read, a weight has
            another size there, or none has the same name.
    """
    check_directory(Path(path), trust)
    try:
        trained = read_checkpoint(RunDirectory(path).last_checkpoint)["state_dict"]
    except RunError as error:
        raise RunError(f"start_from={path}: {error}{hint(path)}") from error
    theirs = {
        str(name).removeprefix("architecture."): value
        for name, value in trained.items()
        if isinstance(value, torch.Tensor) and value.layout == torch.strided
    }
    ours = architecture.state_dict()
    prefix = architecture.start_from_prefix
    shared = {name: value for name, value in theirs.items() if name in ours} or {
        prefix + name: value for name, value in theirs.items() if prefix + name in ours
    }
    if not shared:
        raise RunError(f"start_from={path}: its model has no weight in common with this one")
    for name, value in shared.items():
        if value.shape != ours[name].shape:
            raise RunError(f"start_from={path}: {name} is {[*value.shape]} there and {[*ours[name].shape]} here")
    architecture.load_state_dict(shared, strict=False)
    log.info("Beginning with %d of %d weights and biases, those of %s", len(shared), len(ours), path)
