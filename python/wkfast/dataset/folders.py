"""Folders that take their place, or go, in one step, and what killed calls leave of them."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wkfast import _core
from wkfast._locks import take_lock
from wkfast.errors import ChangedMeanwhileError, DatasetError, ExistsError, VolumeDataError, WkfastError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# In a folder that is not listed, this file says that a call was killed between making and listing it, or between
# taking it off the list and removing it: nobody misses what is in there.
LEFT = ".wkfast-left"
# What the system says where a name is not what it was: of links that are none any more, the last two.
_OF_NAMES = (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError)
_NUMBERS_OF_NAMES = {errno.ENOTEMPTY, errno.ESTALE, errno.EINVAL, errno.ELOOP}
# How a folder is opened, and no link to one.
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# File systems take names of 255 bytes, and what is made beside a folder has a longer one.
_LONG = 200
# Of the bits of a folder those that a file has as well.
_OF_FILES = 0o666
# Files that an error names.
_SHOWN = 3


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
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
            with _told_of(folder):
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
        with held_beneath(within, folder) as held, _told_of(folder / LEFT):
            os.close(os.open(LEFT, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=held))


def unmark_left(folder: Path, within: Path) -> None:
    """Take that back."""
    if not folder.is_symlink():
        with (
            suppress(FileNotFoundError, NotADirectoryError),
            held_beneath(within, folder) as held,
            _told_of(folder / LEFT),
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


@contextmanager
def place_folder(folder: Path, within: Path | None = None) -> Iterator[Path]:
    """Yield a folder beside `folder` that becomes it when the block ends well, and goes away when it does not.

    Whoever looks at `folder` finds nothing, or all of it. What a killed process left beside it is removed first. No
    link is followed on the way from the folder `within`.
    """
    with _claimed(folder, within) as claim:
        draft = claim.draft
        yield draft
        with changes_told():
            if within is None:
                draft.rename(folder)
                return
            with held_beneath(within, folder.parent) as held, _told_of(folder):
                os.rename(draft.name, folder.name, src_dir_fd=held, dst_dir_fd=held)


@contextmanager
def place_copied(folder: Path, within: Path) -> Iterator[Path]:
    """Yield where files are copied to, an empty folder as :func:`place_folder` makes one; a file may take its place.

    The path leads to this very folder also where another process has put a link in the place of one that it lies in.
    It is for this process alone, and for the block.
    """
    with place_folder(folder, within) as draft, held_beneath(within, draft.parent) as parent:
        yield path_of_held(parent, draft.parent) / draft.name


@contextmanager
def replaced_folder(folder: Path, within: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Yield a folder beside `folder`, and what puts it in its place.

    Whoever looks at `folder` finds what was there, or all of the new: they change places in one step. What lies beside
    it at the end of the block goes away. No link is followed on the way from the folder `within`.
    """
    with _claimed(folder, within) as claim:

        def place() -> None:
            claim.replaces(folder)
            _take_modes(folder, claim.draft)
            _core.exchange_folders(claim.draft, folder, within)

        yield claim.draft, place


class _Claim:
    """A folder under construction, which is locked: what a killed process has left under its name is not.

    Attributes
    ----------
    draft
        Where it lies.
    """

    def __init__(self, folder: Path) -> None:
        name = folder.name
        if len(name) > _LONG:
            name = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
        self.draft = folder.with_name(f".{name}.wkfast-part")
        self._taken = f"{folder} is being made by somebody else at the moment"
        self._held: list[int] = []
        self._own: list[os.stat_result] = []

    def take(self, folder: Path) -> None:
        """Lock a folder, as far as the file system has locks.

        Raises
        ------
        ExistsError
            Another thread or process has it.
        """
        held = os.open(folder, _FOLDER)
        # Somebody may have taken it for what was left, and replaced it.
        own = os.fstat(held)
        if take_lock(held) is False or not _is_at(folder, own):
            os.close(held)
            raise ExistsError(self._taken)
        self._held.append(held)
        self._own.append(own)

    def replaces(self, folder: Path) -> None:
        """Take what is replaced, a folder or a link to one: it lies under the draft's name until it has gone."""
        with suppress(OSError):
            self._own.append(folder.lstat())
            self.take(folder)

    def holds_draft(self) -> bool:
        """Return whether what has the draft's name is ours, and not what others make since."""
        return any(_is_at(self.draft, own) for own in self._own)

    def make(self, within: Path | None) -> None:
        """Make the draft, in the place of what was left there."""
        with suppress(FileNotFoundError):
            if stat.S_ISDIR(self.draft.lstat().st_mode):
                self.take(self.draft)
            remove_folder(self.draft, within)
        try:
            if within is None:
                self.draft.mkdir(parents=True)
            else:
                _make_beneath(within, self.draft)
            self.take(self.draft)
        except (FileExistsError, FileNotFoundError) as error:
            if os.path.lexists(self.draft.parent):  # somebody was quicker
                raise ExistsError(self._taken) from error
            raise

    def give_up(self) -> None:
        """Let others take it."""
        for held in self._held:
            os.close(held)


def _take_modes(replaced: Path, draft: Path) -> None:
    """Give a folder the mode and group of the one that it replaces, and what is in it those that go with them.

    Nothing is touched where they are alike, as of most folders: both follow the umask, and the folder that they lie in.
    """
    try:
        was = replaced.stat()
    except OSError:  # there is none
        return
    now = draft.stat()
    if (was.st_mode, was.st_gid) == (now.st_mode, now.st_gid):
        return
    for _, _, names, folder in os.fwalk(draft):
        _give(folder, stat.S_IMODE(was.st_mode), was.st_gid)
        for name in names:
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            try:
                _give(file, was.st_mode & _OF_FILES, was.st_gid)
            finally:
                os.close(file)


def _give(opened: int, mode: int, group: int) -> None:
    """Set mode and group as far as the system allows: what takes another group loses none of its bits by that."""
    with suppress(PermissionError):
        os.fchown(opened, -1, group)
    with suppress(PermissionError):
        os.fchmod(opened, mode)


def _is_at(path: Path, found: os.stat_result) -> bool:
    """Return whether what was found once is what is at a path."""
    try:
        return os.path.samestat(path.lstat(), found)
    except OSError:
        return False


@contextmanager
def _claimed(folder: Path, within: Path | None) -> Iterator[_Claim]:
    """Yield what makes `folder`: an empty folder beside it, which goes away with the block.

    Raises
    ------
    ExistsError
        Another thread or process is making `folder`. Where the system has no locks this is not seen.
    """
    claim = _Claim(folder)
    try:
        with changes_told():
            claim.make(within)
        yield claim
    finally:
        if claim.holds_draft():
            with suppress(VolumeDataError):
                remove_folder(claim.draft, within)
        claim.give_up()


def copy_folder(source: Path, target: Path) -> None:
    """Copy what is in a folder into an empty one; links are followed.

    Raises
    ------
    DatasetError
        It cannot be copied, or links lead into one folder more than once: a few that lead to each other would fill a
        disk.
    """
    copied = {os.path.realpath(target)}

    def enter(folder: str, _names: list[str]) -> tuple[str, ...]:
        real = os.path.realpath(folder)
        if real in copied:
            raise DatasetError(f"{source} cannot be copied: {folder} leads to {real}, which would be copied again")
        copied.add(real)
        return ()

    try:
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=enter, copy_function=_copy_file)
    except OSError as error:
        raise DatasetError(f"{source} cannot be copied: {_reasons(error)}") from error


def _copy_file(source: str, target: str) -> None:
    if not stat.S_ISREG(os.stat(source).st_mode):  # noqa: PTH116 - as shutil has it
        raise shutil.SpecialFileError("it is no regular file")
    shutil.copy2(source, target)


def _reasons(error: OSError) -> str:
    """Return what an error of copying says, shortly: one of many files lists all of them."""
    if not isinstance(error, shutil.Error) or not isinstance(error.args[0], list):
        return str(error)
    told = [f"{place}: {reason}" for place, _, reason in error.args[0]]
    return "; ".join(told[:_SHOWN]) + (f" (and {len(told) - _SHOWN} more)" if len(told) > _SHOWN else "")


def _make_beneath(within: Path, folder: Path) -> None:
    """Make a folder, and what is missing of those that it lies in, from `within` on through no link."""
    below = folder.relative_to(within)
    for above in [*reversed(below.parents)][1:]:
        with suppress(FileExistsError):
            _make(within, above)
    _make(within, below)


def _make(within: Path, below: Path) -> None:
    with held_beneath(within, within / below.parent) as held, _told_of(within / below):
        os.mkdir(below.name, dir_fd=held)
