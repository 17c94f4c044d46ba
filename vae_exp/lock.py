"""One process at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vae_exp.errors import RunError


@contextmanager
def locked(path: Path, wait: bool) -> Iterator[None]:
    """Hold a lock file; it is free again when the process ends, however it ends.

    Args:
        path: The lock file; made where it is missing.
        wait: Whether to wait for another process that holds it.

    Raises:
        BlockingIOError: Another process holds it, and there was no waiting.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
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
    try:
        with locked(directory / ".lock", wait=False):
            yield
    except BlockingIOError as error:
        raise RunError(otherwise) from error
