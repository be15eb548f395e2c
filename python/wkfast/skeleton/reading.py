"""What was wrong with an NML that was loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from wkfast._warnings import warn

if TYPE_CHECKING:
    from wkfast import _core

# Where the content of a zip member comes from: bytes, or a path and perhaps a member of the zip file there.
MemberSource: TypeAlias = "bytes | tuple[str | _core.ObjectFile, str | None]"


@dataclass(frozen=True)
class LoadProblem:
    """A fault of an NML file that loading survived.

    Attributes
    ----------
    line, column
        Where, both counted from 1; the column counts characters.
    element
        The element concerned.
    reason
        What is wrong.
    done
        What was done about it.
    rejected_by_server
        Whether a server would reject the file for it; ``strict=True`` then raises.
    """

    line: int
    column: int
    element: str
    reason: str
    done: str
    rejected_by_server: bool

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: <{self.element}>: {self.reason}; {self.done}"


def load_problems(loaded: _core.NmlDocument) -> tuple[LoadProblem, ...]:
    """Return the problems of a file as read."""
    return tuple(LoadProblem(*problem) for problem in loaded.problems)


def warn_about(problems: tuple[LoadProblem, ...], omitted: int, path: object) -> None:
    """Warn once about all problems of a file."""
    if problems:
        count = len(problems) + omitted
        more = f" (and {count - 1} more, see `problems`)" if count > 1 else ""
        warn(f"{path}: {problems[0]}{more}")
