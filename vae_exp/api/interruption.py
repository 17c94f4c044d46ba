"""What Ctrl-C raises during `vae_exp.train` and `vae_exp.sweep`, and how the work continues."""

import signal
from pathlib import Path

from vae_exp.errors import Interrupted
from vae_exp.results.run import Run
from vae_exp.results.swept import Sweep


class Interruption(KeyboardInterrupt):
    """Ctrl-C, or the interrupt of a notebook's kernel. The message says what was saved and how to continue.

    Args:
        message: The message.
        path: The directory of the run or sweep; None if it did not begin.
        result: The run or sweep so far. `result.resume()` continues a run, also one in stages. None if nothing was
            saved.
    """

    def __init__(self, message: str, path: Path | None = None, result: Run | Sweep | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.result = result


def what_happened(interruption: Interrupted, continued_by: str | None) -> str:
    """Return the message for a program. SIGTERM goes to the caller's own handler first, which may end the process.

    Args:
        interruption: What ended the work. Its message names the command that continues it.
        continued_by: The call that continues it; None if nothing was saved.
    """
    if interruption.signal_number == signal.SIGTERM:
        signal.raise_signal(signal.SIGTERM)
    message = str(interruption).partition(". Go on with")[0].partition("; ")[0]
    return message if continued_by is None else f"{message}; all is saved. Go on with:\n  {continued_by}"
