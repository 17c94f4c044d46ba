"""The config of a named experiment as it is without other overrides."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from vae_exp.config.flatten import flat_values
from vae_exp.config.paths import CONFIG_DIR


@dataclass(frozen=True)
class Defaults:
    """The config of an experiment, or of a run without one.

    Attributes:
        source: The comment at the beginning of the experiment's yaml: what it is, and from which paper.
        choices: The option of each config group, by group.
        values: Every value under its key on the command line, except those that follow from other values.
        derived: The keys of the values that follow from other values, such as `scheduler.samples=${samples}`.
    """

    source: str
    choices: Mapping[str, str | None]
    values: Mapping[str, Any]
    derived: frozenset[str]


@lru_cache(32)
def defaults_of(experiment: str | None) -> Defaults | None:
    """Compose the config of one of our experiments; None for an experiment that is not ours.

    Args:
        experiment: Its name; None for the config of a run without an experiment.
    """
    file = CONFIG_DIR / "experiment" / f"{experiment}.yaml"
    if experiment is not None and not (re.fullmatch(r"\w+", experiment) and file.exists()):
        return None
    with suppress(HydraException):
        config = _composed([] if experiment is None else [f"+experiment={experiment}"])
        plain: Any = OmegaConf.to_container(config, resolve=False)
        hydra = plain.pop("hydra")
        values = flat_values(plain)
        derived = frozenset(key for key, value in values.items() if "${" in str(value))
        source = "" if experiment is None else _first_comment(file.read_text(encoding="utf-8"))
        kept = {key: value for key, value in values.items() if key not in derived}
        return Defaults(source, hydra["runtime"]["choices"], kept, derived)
    return None


def _composed(overrides: list[str]) -> DictConfig:
    if GlobalHydra.instance().is_initialized():  # a run is being trained: its Hydra must stay as it is
        return compose("config", overrides, return_hydra_config=True)
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose("config", overrides, return_hydra_config=True)


def _first_comment(text: str) -> str:
    """Return the comment at the beginning of a yaml, without the line that is for Hydra."""
    lines = re.match(r"(?:#.*\n)*", text)
    comments = [line.removeprefix("#").strip() for line in (lines[0] if lines else "").splitlines()]
    return " ".join(line for line in comments if not line.startswith("@package"))
