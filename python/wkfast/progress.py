"""How far long work is: a bar in a terminal or notebook, a line a minute in a log, or a call of the user's."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from wkfast._lazy import lazy_import

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    # Shards done and in all, then bytes done and in all.
    Observer = Callable[[int, int, int, int], object]
    # What users may pass: nothing, a bar, or something to call with shards done and in all.
    Progress = bool | Callable[[int, int], object] | None

console: Any = lazy_import("rich.console")
bars: Any = lazy_import("rich.progress")

SECONDS_BETWEEN_LINES = 60.0


@contextmanager
def observed(progress: Progress, title: str) -> Iterator[Observer | None]:
    """Yield what the core is to call, ``None`` where nobody looks.

    Parameters
    ----------
    progress
        ``True``: a bar on standard error if that is a terminal or notebook, else one line a minute. A function is
        called on the thread that started the work with shards done and in all; what it raises ends the work.
    title
        What is being done, e.g. ``merging``.

    Examples
    --------
    >>> seen = []
    >>> with observed(lambda done, total: seen.append((done, total)), "merging") as observer:
    ...     observer(1, 2, 500, 1000)
    >>> seen
    [(1, 2)]
    """
    if progress is None or progress is False:
        yield None
    elif progress is True:
        with _shown(title) as observer:
            yield observer
    else:
        yield lambda done, total, *_bytes: progress(done, total)


@contextmanager
def _shown(title: str) -> Iterator[Observer]:
    screen = console.Console(stderr=True)
    if not (screen.is_terminal or screen.is_jupyter):
        yield LogLines(title).observe
        return
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.DownloadColumn(),
        bars.TextColumn("{task.fields[shards]} shards, left:"),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(title, total=None, shards="0")

        def observe(done: int, total: int, bytes_done: int, bytes_total: int) -> None:
            bar.update(task, completed=bytes_done, total=bytes_total, shards=f"{done}/{total}")

        yield observe


@dataclass
class LogLines:
    """Writes how far the work is, at most once a minute, so that a log of days stays readable.

    Examples
    --------
    >>> clock = iter([0.0, 30.0, 61.0]).__next__
    >>> lines = LogLines("merging", stream=sys.stdout, clock=clock)
    >>> lines.observe(1, 8, 100_000_000, 800_000_000)
    >>> lines.observe(2, 8, 200_000_000, 800_000_000)
    merging: 2 of 8 shards, 0.2 of 0.8 GB, about 3 min left
    """

    title: str
    # Standard error as it is when the first line is due.
    stream: TextIO | None = None
    clock: Callable[[], float] = time.monotonic
    started: float = field(init=False)
    told: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.told = self.clock()

    def observe(self, done: int, total: int, bytes_done: int, bytes_total: int) -> None:
        """Take note, and write a line if the last one is a minute old."""
        now = self.clock()
        if now - self.told < SECONDS_BETWEEN_LINES:
            return
        self.told = now
        gigabytes = f"{bytes_done / 1e9:.1f} of {bytes_total / 1e9:.1f} GB"
        left = _time_left(now - self.started, bytes_done, bytes_total)
        stream = sys.stderr if self.stream is None else self.stream
        print(f"{self.title}: {done:,} of {total:,} shards, {gigabytes}, {left}", file=stream, flush=True)


def _time_left(elapsed: float, done: int, total: int) -> str:
    if done == 0:
        return "time left unknown"
    minutes = elapsed * (total - done) / done / 60
    if minutes < 1:
        return "less than a minute left"
    return f"about {minutes:.0f} min left" if minutes < 100 else f"about {minutes / 60:.0f} h left"  # noqa: PLR2004
