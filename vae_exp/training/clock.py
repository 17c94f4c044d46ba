"""The seconds that a run has trained for."""

import time


class Clock:
    """Counts seconds while it runs.

    Args:
        seconds: Those counted before, of a resumed run.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self._counted = seconds
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self._counted + (0.0 if self._since is None else time.perf_counter() - self._since)

    def start(self) -> None:
        """Count from now on."""
        self._since = time.perf_counter()

    def stop(self) -> None:
        """Count no further."""
        self._counted, self._since = self.seconds, None
