"""Read run and sweep directories as data: plain values, without resolving interpolations or following links out."""

import os
import re
from collections.abc import Iterator
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf._utils import get_yaml_loader  # OmegaConf.create has no libyaml: twice the time
from omegaconf.errors import OmegaConfBaseException

from vae_exp.config.formats import in_current_format, renamed_override
from vae_exp.errors import RunError

WANDB_LINK = "debug-core.log"
"""A link that W&B makes to the log of its own service. Nothing here reads or writes it."""


def _loader() -> Any:
    """Combine OmegaConf's loader, with its rules for numbers, dates and repeated keys, and libyaml's fast parser."""
    slow = get_yaml_loader()
    return type("Loader", (yaml.CSafeLoader, slow), {}) if yaml.__with_libyaml__ else slow


LOADER = _loader()


class Damaged(RunError):
    """A file whose content is not what it should be."""


def read_yaml(path: Path) -> Any:
    """Read the plain values in a YAML file. Interpolations stay text.

    Raises:
        Damaged: The file cannot be read, or is not YAML with plain values.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise Damaged(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def parse_yaml(text: Any, path: Path) -> Any:
    """Read the plain values in a YAML text.

    Args:
        text: The text.
        path: The file that contains it, for messages.

    Raises:
        Damaged: The text is not YAML with plain values.
    """
    try:
        return deepcopy(_plain(text))
    except (TypeError, AttributeError, ValueError, RecursionError, yaml.YAMLError, OmegaConfBaseException) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Damaged(f"{path}: cannot be read: {printable(reason)}") from error


@lru_cache(maxsize=32)  # a command reads the same record several times
def _plain(text: str) -> Any:
    """Parse a YAML text. Refuse aliases, which can expand without bound, and tags that make objects."""
    if not text.strip():
        raise ValueError("it is empty")
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=LOADER)):
        raise ValueError("it holds an alias")
    loaded = yaml.load(text, Loader=LOADER)
    values = loaded if isinstance(loaded, dict | list) and _is_simple(loaded) else _checked_by_omegaconf(loaded)
    for key, value in leaves(values):
        if not isinstance(value, str | int | float | None):
            raise ValueError(f"{key} is no plain value")
    return in_current_format(values)


def _is_simple(node: Any) -> bool:
    """Return whether OmegaConf would hold the values as they are. It takes fifty times as long to find out."""
    if isinstance(node, dict):
        return all(isinstance(key, str) and _is_simple(value) for key, value in node.items())
    if isinstance(node, list):
        return all(_is_simple(value) for value in node)
    return isinstance(node, int | float | None) or (isinstance(node, str) and "${" not in node)


def _checked_by_omegaconf(loaded: Any) -> Any:
    return OmegaConf.to_container(OmegaConf.create({} if loaded is None else loaded), resolve=False)


def read_overrides(path: Path) -> list[str]:
    """Read the overrides in an `overrides.yaml`.

    Raises:
        Damaged: The file is not a list of texts.
    """
    overrides = read_yaml(path)
    if not isinstance(overrides, list) or not all(isinstance(override, str) for override in overrides):
        raise Damaged(f"{path}: cannot be read: it is no list of overrides")
    return [renamed_override(override) for override in overrides]


def read_config(path: Path) -> DictConfig:
    """Read a stored config.

    Raises:
        Damaged: The file is not a mapping.
        RunError: The config contains an interpolation, although stored configs are resolved when they are written.
    """
    return config_of_values(read_yaml(path), path)


def config_of_values(values: Any, path: Path) -> DictConfig:
    """Make a config from plain values, without interpolations.

    Raises:
        Damaged: The values are not a mapping.
        RunError: A value is an interpolation or missing (`???`).
    """
    if not isinstance(values, dict):
        raise Damaged(f"{path}: cannot be read: it is no config")
    for key, value in leaves(values):
        if isinstance(value, str) and ("${" in value or value == "???"):
            raise RunError(
                f"{printable(key)}={printable(value)} in {printable(path)}: a stored config is resolved already: "
                "interpolations are refused"
            )
    return OmegaConf.create(values)


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value that is not a mapping or list, with its key on the command line."""
    if not isinstance(node, dict | list):
        yield path, node
        return
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield from leaves(value, f"{path}.{key}" if path else str(key))


def check_files(directory: Path) -> None:
    """Refuse links out of the directory, which could make the program read, show or overwrite other files.

    Also refuse pipes, because reading one may never end.

    Raises:
        RunError: A link leads out of the directory, or an entry is neither a file nor a folder.
    """
    root = Path(os.path.realpath(directory))
    for parent, folders, files in os.walk(directory):
        for entry in (Path(parent) / name for name in [*folders, *files]):
            link = entry.name != WANDB_LINK and entry.is_symlink()
            if link and not Path(os.path.realpath(entry)).is_relative_to(root):
                raise RunError(f"{printable(entry)}: is a link that leads out of {directory}: put in what it leads to")
            if entry.exists() and not (entry.is_file() or entry.is_dir()):
                raise RunError(f"{printable(entry)}: is neither a file nor a folder: take it out")


def check_folder_name(name: Any, where: str) -> str:
    """Check a stored folder name and return it. The folder must be directly in the run directory.

    Raises:
        RunError: The name is not a plain folder name, so it could lead elsewhere.
    """
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]*", name):
        raise RunError(f"{where}={printable(name)}: is not allowed: the name of a folder in the run directory")
    return name


def printable(value: Any) -> str:
    """Format a stored value for a message: one line, without control characters for the terminal."""
    text = str(value)
    return text if text.isprintable() else repr(text)
