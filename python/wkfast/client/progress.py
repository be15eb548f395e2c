"""Progress of a transfer, told not too often."""

from collections.abc import Callable

from wkfast.client.retry import Clock

Progress = Callable[..., object]

_INTERVAL = 0.1


class ProgressMeter:
    """Calls a :data:`Progress` at most ten times a second, and once at the end."""

    def __init__(self, report: Progress | None, total: int | None, clock: Clock) -> None:
        self._report = report
        self._total = total
        self._clock = clock
        self._next = clock.monotonic()
        self.done = 0

    def add(self, size: int) -> None:
        """Count ``size`` more bytes."""
        self.done += size
        if self._report is not None and self._clock.monotonic() >= self._next:
            self._report(self.done, self._total)
            self._next = self._clock.monotonic() + _INTERVAL

    def finish(self) -> None:
        """Report the last state."""
        if self._report is not None:
            self._report(self.done, self._total)
