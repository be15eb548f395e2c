"""Where names on this machine lead. Links in a circle and names that are too long are errors of ours."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from wkfast.buckets import ObjectPath
from wkfast.errors import DatasetError, WkfastError

if TYPE_CHECKING:
    from collections.abc import Callable, Container

Place = TypeVar("Place", Path, ObjectPath, "Path | ObjectPath")


def followed(path: Place) -> Place:
    """Return a path with all links followed, be something there or not; there are no links in a bucket.

    Raises
    ------
    DatasetError
        Links lead round in a circle, or a name on the way is one that no file system takes.

    Examples
    --------
    >>> followed(Path("/"))
    PosixPath('/')
    """
    if not isinstance(path, Path):
        return path
    try:
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):  # it is followed as far as that goes
            path.stat()
        return Path(os.path.realpath(path))
    except OSError as error:  # also of a link that has become something else while it was read
        raise DatasetError(f"{path} leads nowhere: {error.strerror}") from error
    except ValueError as error:
        raise DatasetError(f"{str(path)!r} leads nowhere: no file can be called so") from error


def said_of_dangling(path: Path | ObjectPath) -> str | None:
    """Return what is wrong with a link that leads to nothing, where no folder can be made; ``None`` of all else.

    Examples
    --------
    >>> said_of_dangling(Path("/")) is None
    True
    """
    if not isinstance(path, Path) or not os.path.islink(path) or is_something(path):  # noqa: PTH114 - raises of nothing
        return None
    return f"{path} is a link to {path.readlink()}, which is not there"


def is_something(path: Path | ObjectPath) -> bool:
    """Return whether something lies where a path leads, or may lie there."""
    try:
        return path.exists()
    except OSError as error:  # a link that cannot be followed
        return error.errno != errno.ENAMETOOLONG


def is_present(path: Path | ObjectPath) -> bool:
    """Return whether something lies where a path leads; nothing has a name that is too long for one.

    Raises
    ------
    DatasetError
        The system does not tell: nothing is taken for absent that may be there.
    """
    return _told(path, path.exists)


def is_file(path: Path | ObjectPath) -> bool:
    """Return whether a path leads to a regular file, see :func:`is_present`."""
    return _told(path, path.is_file)


def regular_size(file: Path, done: str) -> int:
    """Return the bytes of a file that is to be read or copied, as `done` says: a FIFO or a device may never end.

    Raises
    ------
    DatasetError
        It is no regular file, or cannot be looked at.
    """
    try:
        found = file.stat()
    except OSError as error:  # also of a link that leads nowhere
        raise DatasetError(f"{file} cannot be {done}: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise DatasetError(f"{file} cannot be {done}: it is no regular file")
    return found.st_size


def _told(path: Path | ObjectPath, look: Callable[[], bool]) -> bool:
    try:
        return look()
    except OSError as error:
        if isinstance(error, WkfastError):
            raise
        if error.errno != errno.ENAMETOOLONG:
            raise DatasetError(f"{path} cannot be looked at: {error.strerror}") from error
        return False


def is_folder(path: Path) -> bool:
    """Return whether a path leads to a folder."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_taken(folder: Path, but: Container[str] = ()) -> bool:
    """Return whether something is in the way of a new folder: what is no folder, or files in it `but` those names.

    Links are followed.
    """
    if not is_something(folder):
        return False
    if not is_folder(folder):  # asked for last: it may be made at this moment
        return True
    return _told(folder, lambda: any(inside.name not in but for inside in folder.iterdir()))
