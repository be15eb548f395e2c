"""Where the command line prints: results to standard output, everything else to standard error.

Lines and JSON are printed as they are; rich is loaded once there is a table to show.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from wkfast._lazy import lazy_import

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich import bar, console, filesize, text
    from rich.bar import Bar
    from rich.table import Table
    from rich.text import Text
else:
    bar = lazy_import("rich.bar")
    console = lazy_import("rich.console")
    filesize = lazy_import("rich.filesize")
    text = lazy_import("rich.text")

# A log has no width of its own: tables there are as wide as their content needs, up to this.
_LOG_WIDTH = 160
_BAR_WIDTH = 20
_COLORS = {"red": 31, "yellow": 33}


class OutputError(Exception):
    """Standard output takes nothing more: its disk is full.

    Attributes
    ----------
    done
        Whether the command's work is complete all the same.
    """

    def __init__(self, message: str, *, done: bool = False) -> None:
        super().__init__(message)
        self.done = done


@contextmanager
def after_work(done: str) -> Iterator[None]:
    """Say what is complete where the block cannot print what it has to tell of it.

    Examples
    --------
    >>> with after_work("the file is written"):
    ...     raise OutputError("standard output: File too large")
    Traceback (most recent call last):
    wkfast.cli.console.OutputError: standard output: File too large; the file is written, only the report is lost
    """
    try:
        yield
    except OutputError as error:
        raise OutputError(f"{error}; {done}, only the report is lost", done=True) from error


@contextmanager
def _printing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output: {error.strerror}") from error


def tell(value: object) -> None:
    """Print one line: a result."""
    tell_text(printable(value) + "\n")


def tell_text(text: str) -> None:
    """Print lines of our own, such as a script, as they are."""
    with _printing():
        sys.stdout.write(text)
        sys.stdout.flush()  # a reader that went away is noticed here, not at the end of the process


def tell_json(facts: object) -> None:
    """Print plain data for scripts."""
    tell_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")


def show(table: Table) -> None:
    """Print a table: a result."""
    with _printing():
        console.Console(width=None if sys.stdout.isatty() else _LOG_WIDTH).print(table)
        sys.stdout.flush()


def bars(counts: Sequence[int]) -> list[list[Bar]]:
    """Return the last cell of each row of a table: a bar as long as a count is large; nothing in a log or a pipe."""
    if not sys.stdout.isatty() or not any(counts):
        return [[] for _ in counts]
    return [[bar.Bar(max(counts), 0, count, width=_BAR_WIDTH)] for count in counts]


def complain(value: object, color: str | None = None) -> None:
    """Print one line to standard error, in a colour if that is a terminal."""
    line = printable(value)
    if color and sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        line = f"\033[{_COLORS[color]}m{line}\033[0m"
    # what is said of work does not end it: logs lie on full disks, too
    with suppress(OSError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def printable(value: object) -> str:
    """Return a text from a file without control characters, which could do anything to a terminal.

    Examples
    --------
    >>> printable("d" + chr(27) + "[31m")
    'd?[31m'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in str(value))


def plain(value: object) -> Text:
    """Return a text from a file for a table, as it is: no markup, no control characters.

    Examples
    --------
    >>> plain("d[/x] [red]q" + chr(27)).plain
    'd[/x] [red]q?'
    """
    return text.Text(printable(value))


def bytes_text(count: int) -> str:
    """Return a count of bytes for people.

    Examples
    --------
    >>> bytes_text(512), bytes_text(3_400_000)
    ('512 bytes', '3.4 MB')
    """
    return filesize.decimal(count)


def progress_wanted(asked: bool | None) -> bool:
    """Whether progress is shown: if asked for, else in a terminal only, so that a batch log stays silent."""
    return sys.stderr.isatty() if asked is None else asked
