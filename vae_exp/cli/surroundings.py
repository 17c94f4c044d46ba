"""Provide what the libraries expect of the machine, such as a home folder, if it is missing."""

import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from vae_exp.cli.output import lasting_output
from vae_exp.errors import Interrupted, UserError

log = logging.getLogger(__name__)


@contextmanager
def surroundings() -> Iterator[None]:
    """Set up the process for a command: output streams, a backend for pictures, a handler for SIGTERM, own parts."""
    with lasting_output(), _terminable(), current_folder_importable():
        # pictures are only saved; notebooks export a backend of their own, which may not be installed here
        os.environ["MPLBACKEND"] = "agg"
        yield


@contextmanager
def current_folder_importable() -> Iterator[None]:
    """Let a `_target_` name a module in the current folder: `my_parts.Encoder` for `my_parts.py`.

    `python -m vae_exp` does this by itself, the console script does not. The folder is the last to be searched, so its
    files hide no installed package. `python -P` and PYTHONSAFEPATH turn it off, as for every Python program.
    """
    added = []
    if not sys.flags.safe_path:
        with suppress(OSError):  # the folder was deleted
            added = [folder for folder in [str(Path.cwd())] if folder not in sys.path]
    sys.path.extend(added)
    try:
        yield
    finally:
        sys.path[:] = [folder for folder in sys.path if folder not in added]


def provide_home() -> None:
    """If the system knows no home folder, set HOME to a folder of this user in the temporary directory.

    Raises:
        UserError: That folder belongs to another user.
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
    """Let SIGTERM end a command like Ctrl-C: resources are closed and the message is printed."""
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
