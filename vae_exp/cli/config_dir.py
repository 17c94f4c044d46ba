"""The flags of Hydra, above all `--config-dir=<folder>`: configs of the user's own beside ours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser

from vae_exp.errors import ConfigError, RunError


def overrides_of(arguments: Sequence[str]) -> list[str]:
    """The overrides among some arguments, and one that has Hydra look into the folder that `--config-dir` names."""
    return [*_parsed(arguments)["overrides"], *searching(config_dir_of(arguments))]


def config_dir_of(arguments: Sequence[str]) -> Path | None:
    """The folder that `--config-dir` names."""
    named = _parsed(arguments)["config_dir"]
    return None if named is None else Path(named).absolute()


def searching(folder: Path | None) -> list[str]:
    """The override that has Hydra look into a folder too."""
    escaped = str(folder).replace("'", "\\'")
    return [] if folder is None else [f"hydra.searchpath=['file://{escaped}']"]


def check_flags(arguments: Sequence[str], recorded: Sequence[str], go_on: str) -> None:
    """Refuse to go on without the flags that it began with: their folder holds some of its configs.

    They are not taken from the record: what a config of one's own names is run, so its folder has to be typed.

    Args:
        arguments: What was typed.
        recorded: The flags that it began with.
        go_on: The command that has them.

    Raises:
        RunError: One is missing.
    """
    parsed = _parsed(arguments)
    for flag in recorded:
        name = flag.partition("=")[0]
        if parsed[name.lstrip("-").replace("-", "_")] is None:
            raise RunError(f"{name}: it was begun with {flag}, and the folder has to be named again:\n  {go_on}")


def flags_first(arguments: Sequence[str]) -> list[str]:
    """Arguments in any order, in the one that Hydra takes: flags and their values before the overrides.

    Raises:
        ConfigError: There is no such flag.
    """
    parsed, unknown = get_args_parser().parse_known_intermixed_args(list(arguments))
    if unknown:
        key, _, value = unknown[0].lstrip("-").partition("=")
        raise ConfigError(f"{unknown[0]}: no such flag. Keys are written without dashes: {key}={value or '…'}")
    return [*(word for word in arguments if word not in parsed.overrides), *parsed.overrides]


def _parsed(arguments: Sequence[str]) -> dict[str, Any]:
    return vars(get_args_parser().parse_intermixed_args(list(arguments)))
