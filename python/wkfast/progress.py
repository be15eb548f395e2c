"""How far long work is: a bar in a terminal or notebook, a line a minute in a log, or a call of the user's."""

from __future__ import annotations

import importlib.util
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from wkfast._lazy import lazy_import

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    # What work calls: how much is done and in all, ``None`` where nobody knows; work on files adds the same in bytes.
    Observer = Callable[..., Any]
    # What ``progress=`` takes everywhere: nothing, ``True`` for a bar, or something to call with done and total.
    Progress = bool | Callable[[int, int], object] | Callable[[int, int | None], object] | None

console: Any = lazy_import("rich.console")
bars: Any = lazy_import("rich.progress")
filesize: Any = lazy_import("rich.filesize")

SECONDS_BETWEEN_LINES = 60.0
_SECONDS_BETWEEN_CALLS = 0.1


@dataclass
class ProgressState:
    """How far a piece of work is. Hand one in as ``progress=`` and look at it from anywhere, e.g. another thread.

    Attributes
    ----------
    done, total
        In units; the total is ``None`` where nobody knows it. After a broken attempt ``done`` starts again from 0.
    unit
        What is counted: ``bytes``, ``chunks``, ``shards``, ``annotations``.
    what
        What is being done: ``downloading``.

    Examples
    --------
    >>> state = ProgressState()
    >>> with observed(state, "exporting", "chunks") as observer:
    ...     observer(3, 8)
    >>> state
    ProgressState(done=3, total=8, unit='chunks', what='exporting')
    """

    done: int = 0
    total: int | None = None
    unit: str = ""
    what: str = ""

    def __call__(self, done: int, total: int | None) -> None:
        """Take note."""
        self.done, self.total = done, total


@contextmanager
def observed(
    progress: Progress, title: str, unit: str = "shards", *, last_line: bool = False
) -> Iterator[Observer | None]:
    """Yield what work is to call, ``None`` where nobody looks.

    Parameters
    ----------
    progress
        ``True``: a bar on standard error if that is a terminal, or in a notebook that has ipywidgets, else one line a
        minute. A function, or a :class:`ProgressState`, is called on the thread that does the work with what is done
        and in all; what it raises ends the work.
    title
        What is being done, e.g. ``merging``.
    unit
        What is counted.
    last_line
        Whether a log gets a line at the end too, however short the work was.

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
        with _shown(title, unit, last_line=last_line) as observer:
            yield observer
    else:
        if isinstance(progress, ProgressState):
            progress.what, progress.unit = title, unit
        tell: Callable[[int, Any], object] = progress
        yield lambda done, total, *_bytes: tell(done, total)


@contextmanager
def _shown(title: str, unit: str, *, last_line: bool) -> Iterator[Observer]:
    screen = console.Console(stderr=True)
    if not (screen.is_terminal or (screen.is_jupyter and _has_widgets())):
        lines = LogLines(title, unit=unit)
        yield lines.observe
        if last_line:
            lines.tell()
        return
    columns = [bars.TextColumn("{task.description}"), bars.BarColumn(), bars.TaskProgressColumn()]
    columns += [bars.DownloadColumn(), bars.TransferSpeedColumn()] if unit in ("bytes", "shards") else []
    columns += [bars.TextColumn("{task.fields[counted]}"), bars.TextColumn("left:"), bars.TimeRemainingColumn()]
    with bars.Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(title, total=None, counted="")

        def observe(done: int, total: int | None, *in_bytes: Any) -> None:
            counted = "" if unit == "bytes" else f"{_of(done, total)} {unit}"
            if in_bytes and in_bytes[1] is None:
                counted, in_bytes = f"{counted}, {filesize.decimal(in_bytes[0])}", ()
            completed, whole = in_bytes or (done, total)
            bar.update(task, completed=completed, total=whole, counted=counted)

        yield observe


def _has_widgets() -> bool:
    """Return whether a notebook can show a bar: without ipywidgets, rich draws none and warns instead."""
    return all(importlib.util.find_spec(name) is not None for name in ("IPython", "ipywidgets"))


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
    unit: str = "shards"
    # Standard error as it is when the first line is due.
    stream: TextIO | None = None
    clock: Callable[[], float] = time.monotonic
    started: float = field(init=False)
    told: float = field(init=False)
    last: tuple[int, int | None, int | None, int | None] = (0, None, None, None)

    def __post_init__(self) -> None:
        self.started = self.told = self.clock()

    def observe(
        self, done: int, total: int | None, bytes_done: int | None = None, bytes_total: int | None = None
    ) -> None:
        """Take note, and write a line if the last one is a minute old."""
        self.last = done, total, bytes_done, bytes_total
        now = self.clock()
        if now - self.told >= SECONDS_BETWEEN_LINES:
            self.told = now
            self._write(_time_left(now - self.started, *(self.last[2:] if bytes_total is not None else self.last[:2])))

    def tell(self) -> None:
        """Write a line now."""
        self._write(f"{self.clock() - self.started:.0f} s")

    def _write(self, time: str) -> None:
        done, total, bytes_done, bytes_total = self.last
        counted = _size(done, total) if self.unit == "bytes" else f"{_of(done, total)} {self.unit}"
        parts = [counted, *([] if bytes_done is None else [_gigabytes(bytes_done, bytes_total)]), time]
        stream = sys.stderr if self.stream is None else self.stream
        # a log on a full disk does not end the work
        with suppress(OSError):
            print(f"{self.title}: {', '.join(parts)}", file=stream, flush=True)


def throttled(observer: Observer | None, clock: Callable[[], float] = time.monotonic) -> Observer:
    """Return what may be called for each block of a transfer: the observer hears of it ten times a second.

    With ``last=True`` it hears of it in any case.
    """
    due = clock()

    def report(done: int, total: int | None, *, last: bool = False) -> None:
        nonlocal due
        if observer is not None and (last or clock() >= due):
            due = clock() + _SECONDS_BETWEEN_CALLS
            observer(done, total)

    return report


def _of(done: int, total: int | None) -> str:
    return f"{done:,}" if total is None else f"{done:,} of {total:,}"


def _size(done: int, total: int | None) -> str:
    text: str = filesize.decimal(done)
    return text if total is None else f"{text} of {filesize.decimal(total)}"


def _gigabytes(done: int, total: int | None) -> str:
    return _size(done, None) if total is None else f"{done / 1e9:.1f} of {total / 1e9:.1f} GB"


def _time_left(elapsed: float, done: int | None, total: int | None) -> str:
    if not done or total is None:
        return "time left unknown"
    minutes = elapsed * (total - done) / done / 60
    if minutes < 1:
        return "less than a minute left"
    return f"about {minutes:.0f} min left" if minutes < 100 else f"about {minutes / 60:.0f} h left"  # noqa: PLR2004
