"""Finding the NML of an annotation, and telling what was wrong with it."""

from __future__ import annotations

import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from wkfast.errors import AnnotationFileNotFoundError, AnnotationSuffixError, AnnotationZipError

if TYPE_CHECKING:
    from os import PathLike

    from wkfast import _core

# Where the content of a zip member comes from: bytes, or a path and perhaps a member of the zip file there.
MemberSource: TypeAlias = "bytes | tuple[str, str | None]"


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


def warn_about(problems: tuple[LoadProblem, ...], omitted: int, path: str | PathLike[str]) -> None:
    """Warn once about all problems of a file."""
    if problems:
        count = len(problems) + omitted
        more = f" (and {count - 1} more, see `problems`)" if count > 1 else ""
        warnings.warn(f"{path}: {problems[0]}{more}", UserWarning, stacklevel=4)


def require_annotation_suffix(path: Path) -> None:
    """Make sure that a path ends in ``.nml`` or ``.zip``.

    Raises
    ------
    AnnotationSuffixError
        It does not.
    """
    if path.suffix not in {".nml", ".zip"}:
        raise AnnotationSuffixError(f"{path}: an annotation file ends in .nml or .zip, not in {path.suffix!r}")


def nml_member(path: str | PathLike[str]) -> str | None:
    """Return the name of the NML in an annotation zip, None for a bare NML.

    Raises
    ------
    AnnotationFileNotFoundError
        There is no such file.
    AnnotationSuffixError
        It is neither ``.nml`` nor ``.zip``.
    AnnotationZipError
        It is no zip, or does not hold exactly one NML.
    """
    path = Path(path)
    require_annotation_suffix(path)
    if not path.is_file():
        raise AnnotationFileNotFoundError(f"{path}: there is no such file")
    if path.suffix == ".nml":
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            found = [name for name in archive.namelist() if name.endswith(".nml")]
    except zipfile.BadZipFile as error:
        raise AnnotationZipError(f"{path} is no zip file: {error}") from error
    if len(found) != 1:
        raise AnnotationZipError(f"{path} must hold exactly one .nml, it holds {found or 'none'}")
    return found[0]
