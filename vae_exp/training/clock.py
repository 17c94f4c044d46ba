"""Count the seconds for which a run has trained."""

import time


class Clock:
    """A stopwatch that counts seconds while it runs.

    Args:
        seconds: Seconds counted earlier, for a resumed run.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self._counted = seconds
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds counted so far."""
        return self._counted + (0.0 if self._since is None else time.perf_counter() - self._since)

    def start(self) -> None:
        """Start to count."""
        self._since = time.perf_counter()

    def stop(self) -> None:
        """Stop counting."""
        self._counted, self._since = self.seconds, None
