"""What the libraries below expect of the machine, given where it is missing."""

import logging
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from vae_exp.cli.output import lasting_output
from vae_exp.errors import Interrupted, UserError

log = logging.getLogger(__name__)


@contextmanager
def surroundings() -> Iterator[None]:
    """Everything that a command needs around it: streams, a home, a backend for pictures, an answer to SIGTERM."""
    with lasting_output(), _terminable():
        # notebooks export one of their own, which may not be installed here; pictures are only ever saved
        os.environ["MPLBACKEND"] = "agg"
        yield


def provide_home() -> None:
    """Set HOME to a folder of this user's under the temporary directory where the system knows no home.

    Raises:
        UserError: Another user has made that folder.
    """
    try:
        Path.home()
    except RuntimeError:
        home = Path(tempfile.gettempdir()) / f"vae_exp-{os.getuid()}"
        home.mkdir(mode=0o700, exist_ok=True)
        if home.lstat().st_uid != os.getuid():
            raise UserError(f"HOME: is not set, and {home} belongs to another user: HOME=<a folder>") from None
        os.environ["HOME"] = str(home)
        log.warning("HOME is not set: %s is used for caches", home)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does: what it was doing is closed, and its message printed."""
    default = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not default or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number, "Interrupted")
