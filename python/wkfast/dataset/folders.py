"""Folders that are held, marked, removed, and what errors say of them."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wkfast import _core
from wkfast.errors import ChangedMeanwhileError, VolumeDataError, WkfastError

if TYPE_CHECKING:
    from collections.abc import Iterator

# In a folder that is not listed, this file says that a call was killed between making and listing it, or between
# taking it off the list and removing it: nobody misses what is in there.
LEFT = ".wkfast-left"
# What the system says where a name is not what it was: of links that are none any more, the last two.
_OF_NAMES = (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError)
_NUMBERS_OF_NAMES = {errno.ENOTEMPTY, errno.ESTALE, errno.EINVAL, errno.ELOOP}


@contextmanager
def told_of(path: Path) -> Iterator[None]:
    """Let errors of the system name this path, where they have a part of it that a held folder was asked for."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


@contextmanager
def changes_told() -> Iterator[None]:
    """Let what the system says of names be an error of wkfast's own, which says the same.

    Others may change a dataset at the same time: what was there a moment ago is gone, or something is there now. Other
    refusals, as of a disk that is full, are not told otherwise.

    Examples
    --------
    >>> with changes_told():
    ...     os.mkdir("/")
    Traceback (most recent call last):
    wkfast.errors.ChangedMeanwhileError: [Errno 17] File exists: '/'
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, WkfastError) or not (isinstance(error, _OF_NAMES) or error.errno in _NUMBERS_OF_NAMES):
            raise
        raise _told(error) from error


def _told(error: OSError) -> ChangedMeanwhileError:
    told = ChangedMeanwhileError(str(error))
    if error.filename is not None:
        told.errno, told.strerror, told.filename = error.errno, error.strerror, error.filename
    return told


@contextmanager
def held_beneath(within: Path, folder: Path) -> Iterator[int]:
    """Yield a folder, open, that is reached from the folder `within` through no link: it stays this one, come what may.

    Raises
    ------
    OSError
        It is not there, or a part of its path is a link.
    """
    flags = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
    held = os.open(within, flags)
    try:
        for part in folder.relative_to(within).parts:
            with told_of(folder):
                inner = os.open(part, flags | os.O_NOFOLLOW, dir_fd=held)
            os.close(held)
            held = inner
        yield held
    finally:
        os.close(held)


def path_of_held(held: int, folder: Path) -> Path:
    """Return where a folder that is held is reached, for this process alone; its own path where no system tells."""
    by_number = Path(f"/proc/self/fd/{held}")
    return by_number if by_number.is_dir() else folder


def mark_left(folder: Path, within: Path) -> None:
    """Say of a folder in `within` that it is nobody's unless it is listed; nothing is said of a link."""
    if not folder.is_symlink() and folder.is_dir():
        with held_beneath(within, folder) as held, told_of(folder / LEFT):
            os.close(os.open(LEFT, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=held))


def unmark_left(folder: Path, within: Path) -> None:
    """Take that back."""
    if not folder.is_symlink():
        with (
            suppress(FileNotFoundError, NotADirectoryError),
            held_beneath(within, folder) as held,
            told_of(folder / LEFT),
        ):
            os.unlink(LEFT, dir_fd=held)


def is_left(folder: Path) -> bool:
    """Return whether a folder that is not listed was left by a killed call."""
    return not folder.is_symlink() and (folder / LEFT).is_file()


def remove_folder(folder: Path, within: Path | None = None) -> None:
    """Delete a folder with all in it; of a link, the link alone. Nothing happens where there is none.

    No link is followed on the way from the folder `within` to it.

    Its name is free at once. What somebody still has open, on a network mount, waits under another name that begins
    with a dot until the next folder beside it is deleted.

    Raises
    ------
    VolumeDataError
        The file system refuses.
    """
    _core.remove_folder(folder, within)


@contextmanager
def temporary_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a new folder in `parent` that goes away with the block, whoever still has files in it open."""
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=prefix, suffix=".wkfast-part"))
    try:
        yield folder
    finally:
        with suppress(VolumeDataError):
            remove_folder(folder)


def make_beneath(within: Path, folder: Path) -> None:
    """Make a folder, and what is missing of those that it lies in, from `within` on through no link."""
    below = folder.relative_to(within)
    for above in [*reversed(below.parents)][1:]:
        with suppress(FileExistsError):
            _make(within, above)
    _make(within, below)


def _make(within: Path, below: Path) -> None:
    with held_beneath(within, within / below.parent) as held, told_of(within / below):
        os.mkdir(below.name, dir_fd=held)
