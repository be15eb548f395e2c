"""Folders that are made beside the one whose place they take in one step, and whose they are meanwhile."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from wkfast import _core
from wkfast._locks import take_lock
from wkfast.dataset.folders import (
    changes_told,
    held_beneath,
    is_left,
    make_beneath,
    path_of_held,
    remove_folder,
    told_of,
)
from wkfast.errors import BeingMadeError, VolumeDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# How a folder is opened, and no link to one.
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# What the system says where somebody else has made, or placed, the folder first.
_QUICKER = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOENT}
# File systems take names of 255 bytes, and what is made beside a folder has a longer one.
_LONG = 200
# What is copied, in the folder that is made for it.
_COPIED = "copied"
# Of the bits of a folder those that a file has as well.
_OF_FILES = 0o666


@contextmanager
def place_folder(folder: Path, within: Path | None = None) -> Iterator[Path]:
    """Yield a folder beside `folder` that becomes it when the block ends well, and goes away when it does not.

    Whoever looks at `folder` finds nothing, or all of it. What a killed process left beside it is removed first. No
    link is followed on the way from the folder `within`.
    """
    with fresh_folder(folder, within) as (draft, place):
        yield draft
        place()


@contextmanager
def fresh_folder(folder: Path, within: Path | None = None) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Yield a folder beside `folder`, and what makes it that; see :func:`place_folder`.

    Until the block ends it is ours: :func:`remove_left` of others leaves it alone.
    """
    with _claimed(folder, within) as claim:

        def place() -> None:
            claim.check()
            with changes_told(), claim.told_where_taken():
                if within is None:
                    claim.draft.rename(folder)
                    return
                with held_beneath(within, folder.parent) as held, told_of(folder):
                    os.rename(claim.draft.name, folder.name, src_dir_fd=held, dst_dir_fd=held)

        yield claim.draft, place


@contextmanager
def place_copied(folder: Path, within: Path) -> Iterator[Path]:
    """Yield where a file or folder is copied to, which takes the place of `folder` as :func:`place_folder` has it.

    The path leads to the same place also where another process has put a link in that of a folder that it lies in. It
    is for this process alone, and for the block.
    """
    with _claimed(folder, within) as claim, held_beneath(within, claim.draft) as held:
        yield path_of_held(held, claim.draft) / _COPIED
        claim.check()
        with claim.told_where_taken(), held_beneath(within, folder.parent) as parent, told_of(folder):
            os.rename(_COPIED, folder.name, src_dir_fd=held, dst_dir_fd=parent)


def remove_left(folder: Path, within: Path, is_unlisted: Callable[[], bool]) -> bool:
    """Remove a folder that a killed call has left, and which is not listed; return whether there was one.

    Raises
    ------
    BeingMadeError
        The call is not killed: it has put the folder there and has not listed it yet.
    """
    if not is_left(folder):
        return False
    claim = _Claim(folder)
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            claim.take(folder)
        # Whoever had it may have listed it before that.
        if not is_left(folder) or not is_unlisted():
            return False
        remove_folder(folder, within)
    finally:
        claim.give_up()
    return True


@contextmanager
def replaced_folder(folder: Path, within: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Yield a folder beside `folder`, and what puts it in its place.

    Whoever looks at `folder` finds what was there, or all of the new: they change places in one step. What lies beside
    it at the end of the block goes away. No link is followed on the way from the folder `within`.
    """
    with _claimed(folder, within) as claim:

        def place() -> None:
            claim.check()
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
        self._taken = being_made(folder)
        # What is ours: as it was found, and open if it is a folder.
        self._own: list[tuple[os.stat_result, int | None]] = []

    def take(self, folder: Path) -> bool:
        """Lock a folder; return whether the file system has locks.

        Raises
        ------
        BeingMadeError
            Another thread or process has it.
        """
        held = os.open(folder, _FOLDER)
        # Somebody may have taken it for what was left, and replaced it.
        own = os.fstat(held)
        locked = take_lock(held)
        if locked is False or not _is_at(folder, own, held):
            os.close(held)
            raise self._taken
        self._own.append((own, held))
        return locked is not None

    def replaces(self, folder: Path) -> None:
        """Take what is replaced, a folder or a link to one: it lies under the draft's name until it has gone."""
        with suppress(OSError):
            self._own.append((folder.lstat(), None))
            self.take(folder)

    def check(self) -> None:
        """Refuse to place what is not ours.

        Raises
        ------
        BeingMadeError
            Where the system has no locks, or none between machines, somebody else makes the folder anew.
        """
        if not self.holds_draft():
            raise self._taken

    def holds_draft(self) -> bool:
        """Return whether what has the draft's name is ours, and not what others make since."""
        return any(_is_at(self.draft, own, held) for own, held in self._own)

    def make(self, within: Path | None) -> None:
        """Make the draft, in the place of what was left there; without locks beside it, for somebody may be at it."""
        with suppress(FileNotFoundError):
            if stat.S_ISDIR(self.draft.lstat().st_mode) and not self.take(self.draft):
                self.draft = self.draft.with_name(f"{self.draft.stem}.{secrets.token_hex(4)}{self.draft.suffix}")
            else:
                remove_folder(self.draft, within)
        with self.told_where_taken():
            if within is None:
                self.draft.mkdir(parents=True)
            else:
                make_beneath(within, self.draft)
            self.take(self.draft)

    @contextmanager
    def told_where_taken(self) -> Iterator[None]:
        """Let what the system says of names say that somebody was quicker.

        Raises
        ------
        BeingMadeError
            There is a folder that was not there a moment ago, or none where one was made.
        """
        try:
            yield
        except OSError as error:
            if error.errno in _QUICKER and os.path.lexists(self.draft.parent):
                raise self._taken from error
            raise

    def give_up(self) -> None:
        """Let others take it."""
        for _, held in self._own:
            if held is not None:
                os.close(held)


@contextmanager
def _claimed(folder: Path, within: Path | None) -> Iterator[_Claim]:
    """Yield what makes `folder`: an empty folder beside it, which goes away with the block.

    Raises
    ------
    BeingMadeError
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


def being_made(folder: Path) -> BeingMadeError:
    """Return the error of whoever comes second."""
    return BeingMadeError(f"{folder} is being made by somebody else at the moment")


def _is_at(path: Path, found: os.stat_result, held: int | None) -> bool:
    """Return whether what was found once, and is held since if it is a folder, is what is at a path."""
    try:
        # On some mounts the number of a folder that was removed is the next one's at once, however long it is held.
        return os.path.samestat(path.lstat(), found) and (held is None or os.fstat(held).st_nlink > 0)
    except OSError:
        return False
