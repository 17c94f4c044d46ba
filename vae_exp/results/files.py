"""Files of runs and sweeps: written whole or not at all, and on the disk; read, or refused in one line."""

import csv
import errno
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from vae_exp.errors import RunError

T = TypeVar("T")
log = logging.getLogger(__name__)

UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
"""What a file system says that has nothing to flush."""

DAMAGE = (OSError, ValueError, RecursionError, SyntaxError, YAMLError, OmegaConfBaseException, csv.Error)
"""What damaged text, JSON, YAML, CSV and pictures raise."""

KINDS: dict[type, str] = {dict: "names with values", list: "a list"}


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path` that takes its place at the end, once it is on the disk; after an error nothing is left.

    A power cut or a kill leaves the old file or the new one.

    Args:
        path: Its folder is made where it is missing.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w+b") as file:
            yield file
            file.flush()
            _flush(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def write_atomically(path: Path, text: str) -> None:
    """Write a text so that there is never half of it."""
    with replacing(path) as file:
        file.write(text.encode())


def append(path: Path, text: str) -> None:
    """Add to the end of a text file, on the disk when this returns."""
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        _flush(file.fileno())


def flush_folder(folder: Path) -> None:
    """Keep the new name of a file over a power cut, where the platform can open a folder."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        RunError: It is missing, empty, or no UTF-8.
    """
    with readable(path):
        text = path.read_text(encoding="utf-8")
        if not text.strip():
            raise ValueError("it is empty")
        return text


def read_json(path: Path, kind: type[T]) -> T:
    """The value in a JSON file.

    Raises:
        RunError: It is missing, cut off, or not of that kind.
    """
    text = read_text(path)
    with readable(path):
        return _of_kind(json.loads(text), kind)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Name the file in whatever goes wrong while it is read.

    Raises:
        RunError: Something did.
    """
    try:
        yield
    except DAMAGE as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RunError(f"{path}: cannot be read: {' '.join(reason.split())}") from error


def known(read: Callable[[Path], T], path: Path) -> T | None:
    """What is in a file; None, and a warning, where it cannot be read: then it counts as missing."""
    try:
        return read(path)
    except RunError as error:
        _warn_once(f"{error}. It counts as missing")
        return None


@cache
def _warn_once(message: str) -> None:
    """A damaged file may be read many times."""
    log.warning(message)


def _flush(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise


def _of_kind(value: Any, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise ValueError(f"{KINDS[kind]} should be there")
    return value
