"""What a run was started with, as plain data. Results, loggers and checkpoints get it in place of a config."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae_exp.config.flatten import flat
from vae_exp.config.formats import FORMAT
from vae_exp.config.overrides import key_of, parse, quoted


@dataclass(frozen=True)
class Record:
    """What a run was started with.

    Args:
        values: The resolved config, nested; empty if an interpolation in it has no target.
        overrides: The overrides of the command line with resolved interpolations, without `resume=` and `trust=`.
        choices: The option of each config group, by group.
        format: The format of the run directory.
    """

    values: Mapping[str, Any]
    overrides: tuple[str, ...]
    choices: Mapping[str, str | None]
    format: int = FORMAT

    @property
    def yaml(self) -> str:
        """The resolved config as YAML."""
        return OmegaConf.to_yaml(OmegaConf.create(dict(self.values)))

    @property
    def flat(self) -> dict[str, Any]:
        """Every value of the config under its key on the command line."""
        return flat(OmegaConf.create(dict(self.values)))


def record_of(config: DictConfig, hydra: DictConfig) -> Record:
    """Record a composed config.

    Args:
        config: The config of a run.
        hydra: Hydra's own config of the job: the command line and the choice of each group.
    """
    overrides = overrides_without_resume(hydra)
    try:
        values: Any = OmegaConf.to_container(config, resolve=True)
        overrides = [_resolved(text, config) for text in overrides]
    except OmegaConfBaseException:  # the check of the config refuses it
        values = {}
    choices: Any = OmegaConf.to_container(hydra.runtime.choices)
    return Record(values, tuple(overrides), choices)


def overrides_without_resume(hydra: DictConfig) -> list[str]:
    """Return the overrides of a job without `resume=` and `trust=`."""
    try:
        overrides = list(hydra.overrides.task)
    except OmegaConfBaseException:  # an interpolation without a target; the check of the config reports it
        overrides = OmegaConf.to_container(hydra.overrides.task, resolve=False)  # type: ignore[assignment]
    return [override for override in overrides if key_of(override) not in ("resume", "trust")]


def _resolved(text: str, config: DictConfig) -> str:
    """Resolve the interpolations of an override, because interpolations in a stored override are refused."""
    if "${" not in text:
        return text
    override = parse(text)
    value = OmegaConf.select(config, override.key)
    if isinstance(value, str):
        return override.with_value(quoted(value))
    return override.with_value(str(value)) if isinstance(value, bool | int | float) else text
