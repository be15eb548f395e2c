"""What notebooks show: a line that opens into a table. Names come from files, so all text is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Colours are those of the page, so that light and dark ones are fine.
_BOX = (
    "font-family:inherit;color:inherit;border:1px solid rgba(128,128,128,.4);border-radius:6px;"
    "padding:.4em .8em;margin:.2em 0;overflow-x:auto"
)
_CELL = "text-align:left;padding:.1em .8em .1em 0;border:none;background:none;color:inherit"
# A notebook must stay quick, whatever is shown.
MOST_ROWS = 20


def card(title: str, facts: Mapping[str, Any], parts: Iterable[str] = (), *, is_open: bool = True) -> str:
    """Return HTML of a title that opens into facts, and into further HTML below them.

    Parameters
    ----------
    title
        Any text.
    facts
        Any values by their names; those that are None are left out.
    parts
        HTML, as this function and :func:`rows` return it.
    is_open
        Whether it is open at first.

    Examples
    --------
    >>> view = card("a <script>", {"name": "<i>"})
    >>> "<script>" in view, "&lt;script&gt;" in view, "<i>" in view
    (False, True, False)
    """
    cells = "".join(
        f'<tr style="background:none"><td style="{_CELL};opacity:.7">{escape(name)}</td>'
        f'<td style="{_CELL}">{escape(str(value))}</td></tr>'
        for name, value in facts.items()
        if value is not None
    )
    state = " open" if is_open else ""
    return (
        f'<details{state} style="{_BOX}"><summary><b>{escape(title)}</b></summary>'
        f'<table style="border:none;background:none">{cells}</table>{"".join(parts)}</details>'
    )


def rows(title: str, heads: Sequence[str], lines: Sequence[Sequence[Any]], count: int | None = None) -> str:
    """Return HTML of a title that opens into a table; empty without lines.

    Parameters
    ----------
    title
        Any text.
    heads, lines
        Names of the columns; any values. The first 20 lines are shown.
    count
        How many lines there are, if `lines` are the first of more.
    """
    if not lines:
        return ""
    total = len(lines) if count is None else count
    head = "".join(f'<th style="{_CELL}">{escape(name)}</th>' for name in heads)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(str(value))}</td>' for value in line) + "</tr>"
        for line in lines[:MOST_ROWS]
    )
    more = f"<div>and {total - MOST_ROWS:,} more</div>" if total > MOST_ROWS else ""
    return (
        f'<details style="{_BOX}"><summary>{escape(title)} ({total:,})</summary>'
        f'<table style="border:none;background:none"><tr>{head}</tr>{body}</table>{more}</details>'
    )
