"""Where the command line prints: results to standard output, everything else to standard error."""

import sys

from rich import filesize
from rich.console import Console
from rich.text import Text

# A log has no width of its own: tables there are as wide as their content needs, up to this.
_LOG_WIDTH = 160


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else _LOG_WIDTH)


output = _console(stderr=False)
errors = _console(stderr=True)


def plain(value: object) -> Text:
    """Return a text from a file as it is: no markup, no control characters.

    Examples
    --------
    >>> plain("d[/x] [red]q" + chr(27)).plain
    'd[/x] [red]q?'
    """
    return Text("".join(letter if letter.isprintable() else "?" for letter in str(value)))


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
    return errors.is_terminal if asked is None else asked
