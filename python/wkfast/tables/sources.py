"""Which files hold NML: those that are given, those in folders, and those in zip files."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from os import PathLike, fspath
from pathlib import Path, PurePosixPath
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from wkfast import _core
from wkfast.addresses import is_path, local_path
from wkfast.buckets import ObjectPath, core_file, object_path
from wkfast.buckets.requests import AT_ONCE, Requests
from wkfast.errors import (
    AddressError,
    AnnotationFileNotFoundError,
    AnnotationZipError,
    FileNameError,
    WkfastError,
)
from wkfast.skeleton.annotation_file import nml_members, require_file, require_suffix

if TYPE_CHECKING:
    from collections.abc import Iterator

    Paths = str | PathLike[str] | ObjectPath | Iterable[str | PathLike[str] | ObjectPath]

_ARCHIVE = ".zip"
_SUFFIXES = frozenset({".nml", _ARCHIVE})


class Source(NamedTuple):
    """A skeleton's text, in a file of its own or in a zip file.

    Attributes
    ----------
    path, member
        The file, as text or as the object that it is; the member of it if it is a zip.
    name
        What tables call it: the path, with ``!member`` where a zip holds several.
    known_size
        Bytes of text, where somebody has looked.
    """

    path: str | ObjectPath
    member: str | None
    name: str
    known_size: int | None = None

    @property
    def size(self) -> int:
        """Bytes of text; 0 where the file went away, which is told by who opens it."""
        if self.known_size is not None:
            return self.known_size
        if isinstance(self.path, ObjectPath):
            return self.path.size() or 0
        state = _state(self.path)
        return 0 if state is None else state.st_size

    @property
    def file(self) -> str | _core.ObjectFile:
        """The file as the core takes it."""
        return self.path if isinstance(self.path, str) else self.path.object_file()

    @property
    def annotation(self) -> str:
        """Name of the annotation: stem of the file or of the member."""
        return PurePosixPath(self.member).stem if self.member is not None else _split(self.name)[0]


@dataclass(frozen=True)
class Unusable:
    """A file that was given and holds no skeleton, and why."""

    path: str | ObjectPath
    error: Exception

    @property
    def name(self) -> str:
        """What tables call it: the path."""
        return str(self.path)

    @property
    def annotation(self) -> str:
        """Name of the annotation that could have been in it."""
        return Path(self.name).stem


def find(given: Paths, *, also: frozenset[str] = frozenset()) -> Iterator[Source | Unusable]:
    """Yield what is to be read: of a file, of a folder and those in it by name, or of many of either.

    Files are ``.nml`` and ``.zip``, and those of text with a suffix in `also`.
    """
    paths: Any = [given] if is_path(given) else given
    if not isinstance(paths, Iterable):
        raise AddressError(f"{given!r} is no path, and not many of them: give text or path objects")
    yield from _in_order(_given(paths, also), also)


def _given(paths: Iterable[Any], also: frozenset[str]) -> Iterator[Source | Unusable | ObjectPath]:
    """Yield what is to be read, and zips in buckets that are to be looked into."""
    for path in paths:
        far = object_path(path)
        if far is not None:
            yield from _far(far, also)
            continue
        try:
            near = fspath(local_path(path))
        except FileNameError as error:
            yield Unusable(str(path), error)
        else:
            yield from _near(near, also)


def _in_order(found: Iterable[Source | Unusable | ObjectPath], also: frozenset[str]) -> Iterator[Source | Unusable]:
    """Yield what is found; zips in buckets are looked into ahead, many at once. Errors come in their turn."""
    waiting: deque[Callable[[], list[Source | Unusable]]] = deque()
    with ExitStack() as stack:
        requests = None
        for one in _caught(found):
            if isinstance(one, Exception):
                waiting.append(partial(_raised, one))
            elif isinstance(one, ObjectPath):
                requests = requests or stack.enter_context(Requests())
                waiting.append(requests.submit(lambda zipped: list(_looked_into(zipped, also)), one).result)
            elif waiting:
                waiting.append([one].copy)
            else:
                yield one
            if len(waiting) > AT_ONCE:
                yield from waiting.popleft()()
        for ahead in waiting:
            yield from ahead()


def _caught(found: Iterable[Source | Unusable | ObjectPath]) -> Iterator[Source | Unusable | ObjectPath | Exception]:
    """Yield what is found, and what ends it: who looks ahead comes to that before its turn."""
    try:
        yield from found
    except Exception as error:  # noqa: BLE001 - it is raised in its turn
        yield error


def _raised(error: Exception) -> NoReturn:
    raise error


def _near(path: str, also: frozenset[str]) -> Iterator[Source | Unusable]:
    """Yield what is to be read of a file or folder of this machine."""
    # Thousands of files are usual: those in folders that are plain text are not looked at before they are read.
    texts = (_SUFFIXES | also) - {_ARCHIVE}
    state = _state(path)
    is_folder = state is not None and S_ISDIR(state.st_mode)
    is_file = state is not None and S_ISREG(state.st_mode)
    for file in _files_below(path, _SUFFIXES | also) if is_folder else [path]:
        if (is_folder or is_file) and _split(file)[1] in texts:
            yield Source(file, None, file)
        else:
            yield from _looked_into(file, also)


def _far(path: ObjectPath, also: frozenset[str]) -> Iterator[Source | ObjectPath]:
    """Yield what is to be read of an object, or of those in a folder, which is listed; zips as they are."""
    if path.suffix in _SUFFIXES | also:
        # Texts are not asked for before they are read, all at once.
        yield path if path.suffix == _ARCHIVE else Source(path, None, str(path))
        return
    listed = [(name, size) for name, size in path.files() if _split(name)[1] in _SUFFIXES | also]
    if not listed:
        raise _nothing_in(str(path), _SUFFIXES | also)
    for name, size in sorted(listed, key=lambda entry: entry[0].split("/")):
        file = path / name
        yield file if file.suffix == _ARCHIVE else Source(file, None, str(file), size)


def _looked_into(file: str | ObjectPath, also: frozenset[str]) -> Iterator[Source | Unusable]:
    try:
        yield from _sources_in(file, also)
    except (WkfastError, OSError) as error:
        yield Unusable(file, error)


def _files_below(folder: str, suffixes: frozenset[str]) -> list[str]:
    """Return files of some suffixes, sorted by the names of folders and their own; links to folders lead nowhere."""
    found, folders = [], [folder]
    for place in folders:
        for entry in _entries(place):
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif _split(entry.name)[1] in suffixes and _is_file(entry):
                found.append(entry.path)
    if not found:
        raise _nothing_in(folder, suffixes)
    if folder == os.curdir:
        # As pathlib has it, the working directory is no part of names.
        found = [name[len("./") :] for name in found]
    return sorted(found, key=lambda name: name.split("/"))


def _nothing_in(folder: str, suffixes: frozenset[str]) -> AnnotationFileNotFoundError:
    missing = " and ".join(f"no {suffix}" for suffix in sorted(suffixes))
    return AnnotationFileNotFoundError(f"there is {missing} in the folder {folder} or below")


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """Return what a folder holds, nothing if it may not be looked at."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _state(path: str) -> os.stat_result | None:
    """Return what the file system says of a file, ``None`` where it does not know it; why is told by who opens it."""
    try:
        return os.stat(path)  # noqa: PTH116 - see above
    except (OSError, ValueError):
        return None


def _split(path: str) -> tuple[str, str]:
    """Return stem and suffix of the last part of a path.

    Examples
    --------
    >>> _split("a/b.k.zip"), _split("a/.nml")
    (('b.k', '.zip'), ('.nml', ''))
    """
    return os.path.splitext(os.path.basename(path))  # noqa: PTH119, PTH122 - see above


def _sources_in(path: str | ObjectPath, also: frozenset[str]) -> Iterator[Source]:
    file = path if isinstance(path, ObjectPath) else Path(path)
    require_file(file)
    if file.suffix not in also:
        require_suffix(file)
    if file.suffix != _ARCHIVE:
        yield Source(path, None, str(file))
        return
    archive = _core.AnnotationZip(core_file(file))
    members = nml_members(archive.names())
    if not members:
        raise AnnotationZipError(f"{file} holds no .nml")
    for member in members:
        name = str(file) if len(members) == 1 else f"{file}!{member}"
        yield Source(path, member, name, archive.size(member) or 0)
