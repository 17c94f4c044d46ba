"""Keep a run alive when standard output or error fails: a closed terminal, a full disk, a pipe without a reader."""

import errno
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

log = logging.getLogger(__name__)


class Output:
    """A stream that discards its output after a write has failed, and logs this.

    Args:
        stream: The stream. Everything except writing is passed on to it.
        name: The name of the stream in the log.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text, or drop it if the stream fails."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write lines one after another."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the buffer, or drop it if the stream fails."""
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        """Redirect the descriptor to the null device, also for buffered text and for other code that writes to it."""
        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), self._stream.fileno())
        # a reader that stopped on purpose, such as `head`, needs no warning
        level = logging.INFO if error.errno == errno.EPIPE else logging.WARNING
        log.log(level, "%s is lost (%s); the program goes on without it", self._name, error.strerror)


@contextmanager
def lasting_output() -> Iterator[None]:
    """Replace standard output and standard error by an `Output`, also if they are closed.

    Characters that the encoding of a stream cannot represent are written as escapes in this context.
    """
    before = sys.stdout, sys.stderr
    encoding_errors = [_escape(stream) for stream in before]
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123
        sys.stdout = cast(TextIO, Output(sys.stdout or nowhere, "standard output"))
        sys.stderr = cast(TextIO, Output(sys.stderr or nowhere, "standard error"))
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            sys.stdout, sys.stderr = before
            for stream, errors in zip(before, encoding_errors, strict=True):
                _escape(stream, errors)


def _escape(stream: TextIO | None, errors: str | None = "backslashreplace") -> str | None:
    """Set what a stream does with characters that it cannot encode, if it allows that; return what it did before."""
    before = getattr(stream, "errors", None)
    if stream is not None and errors is not None and hasattr(stream, "reconfigure") and before != errors:
        stream.reconfigure(errors=errors)
    return before
