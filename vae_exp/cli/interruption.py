"""Handle SIGINT and SIGTERM before and after training: end the run at once, and say how to resume it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from vae_exp.errors import Interrupted
from vae_exp.results.run_directory import RunDirectory

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible(directory: RunDirectory) -> Iterator[None]:
    """End the `with` block at SIGINT or SIGTERM, unless it is ignored. During training `StopOnSignal` handles it.

    Args:
        directory: The directory of the run.

    Raises:
        Interrupted: A signal arrived. The message says how to resume.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number, _message(directory))

    caught = [number for number in SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    if threading.current_thread() is not threading.main_thread():  # some launchers run jobs in threads
        caught = []
    before = {number: signal.signal(number, interrupt) for number in caught}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _message(directory: RunDirectory) -> str:
    if directory.holds_a_run():
        return f"Interrupted; what was saved is kept. Go on with:\n  {directory.resume_command}"
    return "Interrupted before the training began; nothing is lost"
