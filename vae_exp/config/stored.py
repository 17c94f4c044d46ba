"""Run and sweep directories are data: they are read as plain values, and nothing in them is resolved or followed."""

import os
import re
from collections.abc import Iterator
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf._utils import get_yaml_loader
from omegaconf.errors import OmegaConfBaseException

from vae_exp.errors import RunError

WANDB_LINK = "debug-core.log"
"""W&B links to its service's own log, which nothing here reads or writes."""


def _loader() -> Any:
    """OmegaConf's loader, which has its own rules for numbers, dates and repeated keys, with the parser of libyaml."""
    slow = get_yaml_loader()
    return type("Loader", (yaml.CSafeLoader, slow), {}) if yaml.__with_libyaml__ else slow


LOADER = _loader()


class Damaged(RunError):
    """A file that cannot be read as what it should be."""


def read_yaml(path: Path) -> Any:
    """The plain values in a YAML file; interpolations stay text.

    Raises:
        Damaged: It is no such file.
    """
    try:
        return parse(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise Damaged(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def parse(text: Any, path: Path) -> Any:
    """The plain values in a YAML text that was found in a file.

    Raises:
        Damaged: It is no such text.
    """
    try:
        return deepcopy(_plain(text))
    except (TypeError, AttributeError, ValueError, RecursionError, yaml.YAMLError, OmegaConfBaseException) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Damaged(f"{path}: cannot be read: {printable(reason)}") from error


@lru_cache(maxsize=32)  # a command reads the same record several times
def _plain(text: str) -> Any:
    """An alias can grow without bound, and a tag makes objects."""
    if not text.strip():
        raise ValueError("it is empty")
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=LOADER)):
        raise ValueError("it holds an alias")
    read = yaml.load(text, Loader=LOADER)
    values = OmegaConf.to_container(OmegaConf.create({} if read is None else read), resolve=False)
    for key, value in leaves(values):
        if not isinstance(value, str | int | float | None):
            raise ValueError(f"{key} is no plain value")
    return values


def read_words(path: Path) -> list[str]:
    """The overrides in an `overrides.yaml`.

    Raises:
        Damaged: It is no list of words.
    """
    words = read_yaml(path)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise Damaged(f"{path}: cannot be read: it is no list of overrides")
    return words


def read_config(path: Path) -> DictConfig:
    """A stored config.

    Raises:
        Damaged: It is no mapping.
        RunError: It holds an interpolation: it was resolved when it was written.
    """
    return resolved(read_yaml(path), path)


def resolved(values: Any, path: Path) -> DictConfig:
    """Plain values as a config, in which there is nothing left to resolve.

    Raises:
        Damaged: They are no mapping.
        RunError: One is an interpolation.
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
    """Every value that is no mapping or list, by its key on the command line."""
    if not isinstance(node, dict | list):
        yield path, node
        return
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield from leaves(value, f"{path}.{key}" if path else str(key))


def check_files(directory: Path) -> None:
    """Refuse links by which a file outside would be read, shown or written over; and pipes, which have no end.

    Raises:
        RunError: A link leads out of the directory, or something in it is neither a file nor a folder.
    """
    root = Path(os.path.realpath(directory))
    for folder, folders, files in os.walk(directory):
        for entry in (Path(folder) / name for name in [*folders, *files]):
            link = entry.name != WANDB_LINK and entry.is_symlink()
            if link and not Path(os.path.realpath(entry)).is_relative_to(root):
                raise RunError(f"{printable(entry)}: is a link that leads out of {directory}: put in what it leads to")
            if entry.exists() and not (entry.is_file() or entry.is_dir()):
                raise RunError(f"{printable(entry)}: is neither a file nor a folder: take it out")


def folder(name: Any, where: str) -> str:
    """A stored name of a folder in the directory itself.

    Raises:
        RunError: It leads elsewhere.
    """
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]*", name):
        raise RunError(f"{where}={printable(name)}: is not allowed: the name of a folder in the run directory")
    return name


def printable(value: Any) -> str:
    """A stored value in a message: one line, and no control characters for the terminal."""
    text = str(value)
    return text if text.isprintable() else repr(text)
