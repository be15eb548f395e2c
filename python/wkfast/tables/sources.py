"""Which files hold NML: those that are given, those in folders, and those in zip files."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast.addresses import is_path, local_path
from wkfast.errors import AnnotationFileNotFoundError, AnnotationZipError, WkfastError
from wkfast.skeleton.annotation_file import nml_members, require_file, require_suffix

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SUFFIXES = frozenset({".nml", ".zip"})


@dataclass(frozen=True)
class Source:
    """A skeleton's text, in a file of its own or in a zip file.

    Attributes
    ----------
    path, member
        The file; the member of it if it is a zip.
    name
        What tables call it: the path, with ``!member`` where a zip holds several.
    size
        Bytes of text.
    """

    path: str
    member: str | None
    name: str
    size: int

    @property
    def annotation(self) -> str:
        """Name of the annotation: stem of the file or of the member."""
        return PurePosixPath(self.member).stem if self.member is not None else Path(self.path).stem


@dataclass(frozen=True)
class Unusable:
    """A file that was given and holds no skeleton, and why."""

    name: str
    error: Exception

    @property
    def annotation(self) -> str:
        """Name of the annotation that could have been in it."""
        return Path(self.name).stem


def find(
    given: str | PathLike[str] | Iterable[str | PathLike[str]], *, also: frozenset[str] = frozenset()
) -> Iterator[Source | Unusable]:
    """Yield what is to be read: of a file, of a folder and those in it by name, or of many of either.

    Files are ``.nml`` and ``.zip``, and those of text with a suffix in `also`.
    """
    paths: Any = [given] if is_path(given) else given
    for path in map(local_path, paths):
        for file in _files_below(path, _SUFFIXES | also) if path.is_dir() else [path]:
            try:
                yield from _sources_in(file, also)
            except (WkfastError, OSError) as error:
                yield Unusable(fspath(file), error)


def _files_below(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    found = sorted(file for file in folder.rglob("*") if file.suffix in suffixes and file.is_file())
    if not found:
        missing = " and ".join(f"no {suffix}" for suffix in sorted(suffixes))
        raise AnnotationFileNotFoundError(f"there is {missing} in the folder {folder} or below")
    return found


def _sources_in(file: Path, also: frozenset[str]) -> Iterator[Source]:
    if file.suffix not in also:
        require_suffix(file)
    require_file(file)
    if file.suffix != ".zip":
        yield Source(fspath(file), None, fspath(file), file.stat().st_size)
        return
    archive = _core.AnnotationZip(file)
    members = nml_members(archive.names())
    if not members:
        raise AnnotationZipError(f"{file} holds no .nml")
    for member in members:
        name = fspath(file) if len(members) == 1 else f"{file}!{member}"
        yield Source(fspath(file), member, name, archive.size(member) or 0)
