"""Compose the stages of a run. Each stage is an ordinary run in its own folder and may start from an earlier one."""

import logging
import re
from pathlib import Path

import torch
from hydra import compose
from omegaconf import DictConfig, OmegaConf, open_dict

from vae_exp.architecture import Model
from vae_exp.config.assembly import build_architecture, build_data, check_config
from vae_exp.config.contracts.check import check_contracts
from vae_exp.config.memory import check_memory
from vae_exp.config.objects import Objects, with_objects
from vae_exp.config.overrides import Override, parse, quoted
from vae_exp.config.record import overrides_without_resume
from vae_exp.config.relative import make_absolute
from vae_exp.config.stored import check_folder_name
from vae_exp.config.trust import Trust, check_directory
from vae_exp.errors import ConfigError, RunError, UserError
from vae_exp.results.checkpoint import STATE, read_checkpoint
from vae_exp.results.run_directory import RunDirectory, path_hint

log = logging.getLogger(__name__)


def configs_of(
    config: DictConfig, path: Path, hydra: DictConfig, objects: Objects
) -> dict[str, tuple[DictConfig, DictConfig]]:
    """Compose and check the config of each stage, together with Hydra's own config.

    A stage is the experiment, plus the command-line overrides that apply to the stage, plus the stage's own overrides.
    If the command line and the stage set the same key, the stage wins, except for `samples`, the budget. A stage's
    override may refer to the directory of an earlier stage: `start_from={layer1}`.

    Stages that have a checkpoint are resumed.

    Args:
        config: The composed config of the whole run.
        path: The directory of the whole run.
        hydra: Hydra's own config of the job.
        objects: Built parts that the config stands for.

    Raises:
        ConfigError: A stage is not allowed. The message names it.
    """
    configs: dict[str, tuple[DictConfig, DictConfig]] = {}
    for stage, overrides in config.stages.items():
        check_folder_name(stage, "stages")
        stage_overrides = [
            _insert_directories(override, {name: path / name for name in configs}) for override in overrides
        ]
        try:
            composed, stage_hydra = _composed(stage_overrides, config, overrides_without_resume(hydra))
            stage_config = with_objects(composed, objects)
            configs[str(stage)] = stage_config, stage_hydra
            make_absolute(stage_config, Path(hydra.runtime.cwd))
            stage_config.trust = config.get("trust")
            check_config(stage_config)
            check_memory(stage_config, objects)
            check_contracts(stage_config, objects)
            build_architecture(stage_config, build_data(stage_config, objects=objects), objects=objects)
        except UserError as error:
            raise ConfigError(f"stages.{stage}: {error}") from error
    started = [name for name in configs if RunDirectory(path / name).last_checkpoint.exists()]
    for name in started:
        stage_config, _ = configs[name]
        stage_config.resume = str(path / name)
        if name != started[-1]:  # do not train it further: later stages have already started from its weights
            stage_config.samples = read_checkpoint(RunDirectory(path / name).last_checkpoint)[STATE]["samples_seen"]
    return configs


def _composed(stage: list[str], config: DictConfig, command_line: list[str]) -> tuple[DictConfig, DictConfig]:
    """Compose a stage's config and Hydra's own config from the overrides of the stage and of the command line."""
    typed = [parse(text) for text in command_line]
    budget = [override for override in typed if override.key == "samples"]
    own = [override for override in map(parse, stage) if override.key != "samples" or not budget]
    typed = [override for override in typed if override.key not in {other.key for other in own}]
    stage = [override.text for override in own]
    choices = [override.text for override in typed if not _is_value(override, config)]
    base = compose("config", [*choices, *stage, "stages=null"])
    # an override whose key this stage's parts lack is meant for another stage
    values = [override.text for override in typed if _is_value(override, config) and _holds(base, override.key)]
    composed = compose("config", [*choices, *values, *stage, "stages=null"], return_hydra_config=True)
    stage_hydra = composed.hydra
    with open_dict(composed):
        del composed["hydra"]
    return composed, stage_hydra


def _insert_directories(override: str, directories: dict[str, Path]) -> str:
    """Replace `{stage}` in an override by the directory of that stage."""
    for name, path in directories.items():
        override = override.replace(f"{{{name}}}", quoted(str(path)))
    unknown = re.search(r"=\{(\w+)\}$", override)
    if unknown:
        earlier = ", ".join(directories) or "none"
        raise ConfigError(f"stages: {override}: {unknown[1]} is not an earlier stage. Earlier stages: {earlier}")
    return override


def _is_value(override: Override, config: DictConfig) -> bool:
    """Return whether an override sets a value; otherwise it chooses an option of a group."""
    chooses = override.sign or "/" in override.key_or_group or override.package is not None
    return not chooses and not isinstance(OmegaConf.select(config, override.key), DictConfig)


def _holds(config: DictConfig, key: str) -> bool:
    """Return whether the config has this dotted key."""
    parent, _, leaf = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    return isinstance(node, DictConfig) and leaf in node


def start_from(architecture: Model, path: str, trust: Trust) -> None:
    """Load the weights of another run's model that have the same names in this model.

    If no name is the same, compare with the model's `start_from_prefix` in front of the other model's names.

    Args:
        architecture: The model that takes the weights.
        path: The directory of the other run.
        trust: What the config of the other run may name.

    Raises:
        RunError: There is no such run, its config names something that is not trusted, its checkpoint cannot be read, a
            weight has another size there, or no weight has the same name.
    """
    check_directory(Path(path), trust)
    try:
        trained = read_checkpoint(RunDirectory(path).last_checkpoint)["state_dict"]
    except RunError as error:
        raise RunError(f"start_from={path}: {error}{path_hint(path)}") from error
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
    log.info("Beginning with %d of %d weights and biases, taken from %s", len(shared), len(ours), path)
