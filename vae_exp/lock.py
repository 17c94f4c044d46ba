"""Locks that let only one process at a time use a file or directory."""

import errno
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

from vae_exp.errors import RunError

log = logging.getLogger(__name__)

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""The error codes of a file system that has no locks, as some network file systems."""


@contextmanager
def locked(path: Path, wait: bool) -> Iterator[None]:
    """Hold a lock file in this context. The lock is also released if the process is killed.

    If the file system has no locks, warn and continue without a lock.

    Args:
        path: The lock file; created if it is missing.
        wait: Whether to wait until no other process holds the lock.

    Raises:
        Timeout: Another process holds the lock and `wait` is False.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            # a soft lock would remain after its process is killed
            held.enter_context(FileLock(path, timeout=-1 if wait else 0, fallback_to_soft=False))
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            _warn(error.strerror)
        yield


@contextmanager
def exclusive_access(directory: Path, otherwise: str) -> Iterator[None]:
    """Keep other processes out of a directory in this context.

    Args:
        directory: The directory; created if it is missing.
        otherwise: The error message if another process uses the directory.

    Raises:
        RunError: Another process uses the directory.
    """
    with ExitStack() as held:
        try:
            held.enter_context(locked(directory / ".lock", wait=False))
        except Timeout as error:
            raise RunError(otherwise) from error
        yield


@cache
def _warn(reason: str) -> None:
    log.warning("This file system has no locks (%s): nothing prevents two processes from using the same run", reason)
