"""One process at a time."""

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
"""How a file system says that it has none, as some network file systems do."""


@contextmanager
def locked(path: Path, wait: bool) -> Iterator[None]:
    """Hold a lock file; it is free again when the process ends, however it ends.

    Where the file system has no locks this warns and goes on without.

    Args:
        path: The lock file; made where it is missing.
        wait: Whether to wait for another process that holds it.

    Raises:
        Timeout: Another process holds it, and there was no waiting.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            # a soft lock would outlive a process that is killed
            held.enter_context(FileLock(path, timeout=-1 if wait else 0, fallback_to_soft=False))
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            _warn(error.strerror)
        yield


@contextmanager
def alone(directory: Path, otherwise: str) -> Iterator[None]:
    """Keep other processes out of a directory.

    Args:
        directory: Made where it is missing.
        otherwise: What to say where one is in it.

    Raises:
        RunError: One is in it.
    """
    with ExitStack() as held:
        try:
            held.enter_context(locked(directory / ".lock", wait=False))
        except Timeout as error:
            raise RunError(otherwise) from error
        yield


@cache
def _warn(reason: str) -> None:
    log.warning("This file system has no locks (%s): nothing keeps two processes out of one run", reason)
