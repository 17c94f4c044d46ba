"""One process at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
