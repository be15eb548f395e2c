"""Values and counts in what is told: as long as somebody may want to read them, and of one thing in the singular."""

from __future__ import annotations

_MOST = 200
# Of a message. What is longer has a value of a file in it that nobody can read.
_LONGEST_MESSAGE, _END_OF_MESSAGE = 2000, 500


def short(value: object) -> str:
    """Return what a value is for a message, without most of it if that is long.

    Examples
    --------
    >>> short([1, 2])
    '[1, 2]'
    >>> short("x" * 5000)[:4], short("x" * 5000)[-20:]
    ("'xxx", '… (5,002 characters)')
    """
    text = repr(value)
    return text if len(text) <= _MOST else f"{text[:_MOST]}… ({len(text):,} characters)"


def short_message(message: str) -> str:
    """Return an error or a warning without its middle, if it is longer than 2,000 characters.

    Examples
    --------
    >>> short_message("no file"), len(short_message("x" * 9000))
    ('no file', 2000)
    """
    if len(message) <= _LONGEST_MESSAGE:
        return message
    left_out = f" … ({len(message):,} characters in all) … "
    return message[: _LONGEST_MESSAGE - _END_OF_MESSAGE - len(left_out)] + left_out + message[-_END_OF_MESSAGE:]


def counted(count: int, things: str) -> str:
    """Return how many there are of what is called by its plural, which ends in ``s``.

    Examples
    --------
    >>> counted(1, "trees"), counted(1200, "nodes"), counted(0, "files")
    ('1 tree', '1,200 nodes', '0 files')
    """
    return f"{count:,} {things.removesuffix('s') if count == 1 else things}"
