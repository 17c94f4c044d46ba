"""Standard output and standard error that a run survives: a closed terminal, a full disk, a reader that has left."""

import errno
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

log = logging.getLogger(__name__)


class Output:
    """A stream that writes to nowhere once it cannot be written any more, and says so in the log.

    Characters that its encoding lacks are written as escapes.

    Args:
        stream: The stream; everything but writing is left to it.
        name: What it is called in the log.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self._name = name
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or drop the text."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write one after another."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hand on what is buffered, or drop it."""
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        """From now on write to nowhere, also what is still buffered and what other code writes to the descriptor."""
        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), self._stream.fileno())
        # a reader that has seen enough, such as `head`, need not be told so
        level = logging.INFO if error.errno == errno.EPIPE else logging.WARNING
        log.log(level, "%s is lost (%s); the program goes on without it", self._name, error.strerror)


@contextmanager
def lasting_output() -> Iterator[None]:
    """Put an `Output` in the place of standard output and standard error, also where they are closed."""
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123
        sys.stdout = cast(TextIO, Output(sys.stdout or nowhere, "standard output"))
        sys.stderr = cast(TextIO, Output(sys.stderr or nowhere, "standard error"))
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            sys.stdout, sys.stderr = before
