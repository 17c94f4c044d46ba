"""Write files of runs and sweeps atomically, flushed to disk. Read them, or refuse them with a one-line message."""

import csv
import errno
import json
import logging
import os
import shutil
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
"""The error numbers of a file system that does not support flushing."""

ERRORS_OF_DAMAGED_FILES = (
    OSError,
    ValueError,
    RecursionError,
    SyntaxError,
    YAMLError,
    OmegaConfBaseException,
    csv.Error,
)
"""The exceptions that damaged text, JSON, YAML, CSV and pictures raise."""

JSON_TYPE_NAMES: dict[type, str] = {dict: "an object with names and values", list: "a list"}
"""The names of the types of JSON values, for messages."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`. At the end, flush it to disk and rename it to `path`.

    After an error the temporary file is deleted. A power cut or a kill leaves either the old file or the new one.

    Args:
        path: The file to replace. Its folder is created if it is missing.

    Raises:
        OSError: The disk is full, or the folder is not writable.
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


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Make an empty folder beside `path`. At the end, put it in the place of `path`.

    After an error the new folder is deleted, and the old one stays as it was.

    Args:
        path: The folder to replace. Its parent folder is created if it is missing.

    Raises:
        OSError: The disk is full, or the parent folder is not writable.
    """
    part, old = (path.with_name(f"{path.name}.{suffix}") for suffix in ("part", "old"))
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        if path.exists():
            path.replace(old)
        part.replace(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
    flush_folder(path.parent)


def write_atomically(path: Path, text: str) -> None:
    """Write a text file that is never half-written."""
    with replacing(path) as file:
        file.write(text.encode())


def append(path: Path, text: str) -> None:
    """Append to a text file. The text is on disk when this returns."""
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        _flush(file.fileno())


def flush_folder(folder: Path) -> None:
    """Flush a folder if the platform can open one, so that a renamed file keeps its new name after a power cut."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_text(path: Path) -> str:
    """Read the text of a file.

    Raises:
        RunError: The file is missing or empty, or its text is not UTF-8.
    """
    with reporting_read_errors(path):
        text = path.read_text(encoding="utf-8")
        if not text.strip():
            raise ValueError("it is empty")
        return text


def read_json(path: Path, kind: type[T]) -> T:
    """Read the value in a JSON file.

    Raises:
        RunError: The file is missing or truncated, or its value does not have the type `kind`.
    """
    text = read_text(path)
    with reporting_read_errors(path):
        return _of_kind(json.loads(text), kind)


@contextmanager
def reporting_read_errors(path: Path) -> Iterator[None]:
    """Turn an error while a file is read into a message that names the file.

    Raises:
        RunError: Reading failed.
    """
    try:
        yield
    except ERRORS_OF_DAMAGED_FILES as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RunError(f"{path}: cannot be read: {' '.join(reason.split())}") from error


def read_or_warn(read: Callable[[Path], T], path: Path) -> T | None:
    """Read a file. If it cannot be read, log a warning and return None, as if the file were missing."""
    try:
        return read(path)
    except RunError as error:
        _warn_once(f"{error}. It counts as missing")
        return None


@cache
def _warn_once(message: str) -> None:
    """Log a warning only once, although a damaged file may be read many times."""
    log.warning(message)


def _flush(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise


def _of_kind(value: Any, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise ValueError(f"{JSON_TYPE_NAMES[kind]} is expected")
    return value
