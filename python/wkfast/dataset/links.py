"""Where names on this machine lead. Links in a circle and names that are too long are errors of ours."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TypeVar

from wkfast.buckets import ObjectPath
from wkfast.errors import DatasetError

Place = TypeVar("Place", Path, ObjectPath, "Path | ObjectPath")


def followed(path: Place) -> Place:
    """Return a path with all links followed, be something there or not; there are no links in a bucket.

    Raises
    ------
    DatasetError
        Links lead round in a circle, or a name on the way is longer than file systems take.

    Examples
    --------
    >>> followed(Path("/"))
    PosixPath('/')
    """
    if not isinstance(path, Path):
        return path
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass  # it is followed as far as that goes
    except OSError as error:
        raise DatasetError(f"{path} leads nowhere: {error.strerror}") from error
    return Path(os.path.realpath(path))


def is_something(path: Path | ObjectPath) -> bool:
    """Return whether something lies where a path leads, or may lie there."""
    try:
        return path.exists()
    except OSError:  # a link that cannot be followed
        return True


def is_present(path: Path) -> bool:
    """Return whether something lies where a path leads; nothing has a name that is too long for one."""
    try:
        return path.exists()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def is_folder(path: Path) -> bool:
    """Return whether a path leads to a folder."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_taken(folder: Path) -> bool:
    """Return whether something is in the way of a new folder: files in it, or what is no folder. Links are followed."""
    return any(folder.iterdir()) if is_folder(folder) else is_something(folder)
