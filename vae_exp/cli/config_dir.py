"""Hydra's flags, above all `--config-dir=<folder>`, which adds the user's own configs to the packaged ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser  # nothing public lists Hydra's flags

from vae_exp.config.overrides import quoted
from vae_exp.errors import ConfigError, RunError


def overrides_of(arguments: Sequence[str]) -> list[str]:
    """Return the overrides among the arguments, plus one that adds the `--config-dir` folder to Hydra's search path."""
    return [*_parsed(arguments)["overrides"], *search_path_override(config_dir_of(arguments))]


def config_dir_of(arguments: Sequence[str]) -> Path | None:
    """Return the folder that `--config-dir` names."""
    folder = _parsed(arguments)["config_dir"]
    return None if folder is None else Path(folder).absolute()


def folders_of(arguments: Sequence[str]) -> list[Path]:
    """Return the folders of configs that the flags name: `--config-dir` and `--config-path`."""
    parsed = _parsed(arguments)
    return [Path(parsed[name]) for name in ("config_dir", "config_path") if parsed[name]]


def search_path_override(folder: Path | None) -> list[str]:
    """Return the override that adds a folder to Hydra's search path; [] without a folder."""
    return [] if folder is None else [f"hydra.searchpath=[{quoted(f'file://{folder}')}]"]


def check_flags(arguments: Sequence[str], recorded: Sequence[str], resume_command: str) -> None:
    """Refuse to resume without the flags that the run or sweep was started with: their folder holds its configs.

    The flags are not read from the record. A config in that folder can name code to run, so the user has to name it.

    Args:
        arguments: The arguments of the command line.
        recorded: The flags that the run or sweep was started with.
        resume_command: The command that resumes it with these flags.

    Raises:
        RunError: A flag is missing.
    """
    parsed = _parsed(arguments)
    for flag in recorded:
        name = flag.partition("=")[0]
        if parsed[name.lstrip("-").replace("-", "_")] is None:
            raise RunError(f"{name}: it was started with {flag}; type this flag again:\n  {resume_command}")


def flags_first(arguments: Sequence[str]) -> list[str]:
    """Sort arguments into the order that Hydra requires: flags and their values before the overrides.

    Raises:
        ConfigError: A flag does not exist.
    """
    parsed, unknown = get_args_parser().parse_known_intermixed_args(list(arguments))
    if unknown:
        key, _, value = unknown[0].lstrip("-").partition("=")
        raise ConfigError(f"{unknown[0]}: no such flag. Keys are written without dashes: {key}={value or '…'}")
    return [*(argument for argument in arguments if argument not in parsed.overrides), *parsed.overrides]


def flags_and_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate the flags, together with their values, from the overrides. The flags must come first."""
    overrides = _parsed(arguments)["overrides"]
    return list(arguments[: len(arguments) - len(overrides)]), overrides


def _parsed(arguments: Sequence[str]) -> dict[str, Any]:
    return vars(get_args_parser().parse_intermixed_args(list(arguments)))
