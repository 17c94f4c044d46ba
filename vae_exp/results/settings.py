"""The settings of a run: the choice of every part and every key of the config, as text."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from vae_exp.config.flatten import flat_values
from vae_exp.config.formats import choices_in_current_format
from vae_exp.config.stored import read_yaml
from vae_exp.results.files import read_or_warn
from vae_exp.results.run_directory import RunDirectory

GROUPS = (
    "dataset",
    "architecture",
    "head",
    "likelihood",
    "network",
    "objective",
    "prior",
    "posterior",
    "optimizer",
    "scheduler",
)
"""The groups whose choice is a setting, such as `likelihood=gaussian`."""

CHOSEN_BY = {"objective": "architecture", "prior": "architecture", "posterior": "architecture"}
"""Choices that only some choices of another group have."""

IRRELEVANT = (
    "callbacks",
    "dataset.placement",
    "dataset.source.cache",
    "dataset.source.root",
    "hydra",
    "logger",
    "name",
    "paths",
    "resume",
    "touch",
    "trust",
)
"""Keys that do not affect the results, and folders of the machine."""

LATER_SETTINGS = {"dataset.dequantise": False}
"""Keys that runs of earlier versions do not have, with the values that they stand for."""

Settings = dict[str, str]
"""Key → value, written as on the command line."""


def settings_of(path: Path, results: Mapping[str, Any], overrides: Mapping[str, str]) -> Settings:
    """Read the settings of a run, which may be unfinished or of an earlier version.

    Args:
        path: The run directory.
        results: The content of `results.json`, as far as there is one.
        overrides: The overrides of the run. They are all that is known if the run ended before it wrote its config.
    """
    config = RunDirectory(path).config
    values = read_or_warn(read_yaml, config) if config.exists() else None
    if not isinstance(values, dict):
        return dict(overrides)
    recorded = choices_in_current_format(results if "dataset" in results else _choices(config.with_name("hydra.yaml")))
    choices = {group: str(recorded[group]) for group in GROUPS if recorded.get(group) is not None}
    choices |= {group: "none" for group in GROUPS if group in values and values[group] is None}  # head=none
    flat = LATER_SETTINGS | flat_values(values)
    return choices | {key: written(value) for key, value in flat.items() if key not in choices}


def written(value: Any) -> str:
    """Write a value as on the command line: null, true, [500, 200]."""
    if isinstance(value, str):
        return value
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")


def differing(all_settings: Iterable[Settings]) -> list[str]:
    """Return the relevant keys whose values differ, in the order of the config. A missing key is no equal key.

    Keys that a run lacks because it has another part, such as `architecture.contraction` of a VAE beside an
    autoencoder, are left out if the other runs agree on them: the choice of the part says enough. So is the `_target_`
    of a part if it follows from the choice.
    """
    runs = list(all_settings)
    keys = dict.fromkeys(key for settings in runs for key in settings)
    relevant = [key for key in keys if key not in ("seed", "stages") and not key.startswith(IRRELEVANT)]
    return [key for key in relevant if _differs(key, runs)]


def _differs(key: str, runs: list[Settings]) -> bool:
    group = CHOSEN_BY.get(key, key.partition(".")[0])
    if key == f"{group}._target_" and any(group in settings for settings in runs):
        pairs = {(settings.get(group), settings.get(key)) for settings in runs}
        return len(pairs) > len({choice for choice, _ in pairs})
    having = [settings for settings in runs if key in settings]
    if len({settings[key] for settings in having}) > 1:
        return True
    lacking = [settings for settings in runs if key not in settings]
    if group == key or not any(group in settings for settings in runs):
        return bool(lacking)
    return not {settings.get(group) for settings in having}.isdisjoint(settings.get(group) for settings in lacking)


def _choices(record: Path) -> Mapping[str, Any]:
    """Read the choice of every group from Hydra's record; {} if it is missing or damaged."""
    values = read_or_warn(read_yaml, record) if record.exists() else None
    try:
        choices = values["hydra"]["runtime"]["choices"]  # type: ignore[index]
    except (TypeError, KeyError):
        return {}
    return choices if isinstance(choices, dict) else {}
