"""SIGINT and SIGTERM before a run trains and after: it ends at once and says how to go on."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from vae_exp.errors import Interrupted
from vae_exp.run_directory import RunDirectory

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible(directory: RunDirectory) -> Iterator[None]:
    """End what goes on inside at a signal that is not ignored; while it trains `StopOnSignal` has its own answer.

    Args:
        directory: The run's.

    Raises:
        Interrupted: A signal came; the message says how to go on.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number, _message(directory))

    caught = [number for number in SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    if threading.current_thread() is not threading.main_thread():  # a launcher's way to run jobs beside each other
        caught = []
    before = {number: signal.signal(number, interrupt) for number in caught}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _message(directory: RunDirectory) -> str:
    if directory.holds_a_run():
        return f"Interrupted; what was saved is kept. Go on with:\n  {directory.go_on}"
    return "Interrupted before the training began; nothing is lost"
