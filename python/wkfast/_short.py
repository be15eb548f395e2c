"""Values in messages, as long as somebody may want to read them."""

from __future__ import annotations

_MOST = 200


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
