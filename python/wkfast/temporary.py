"""Folders for temporary files, which ``wkfast clean`` knows when a killed process has left them."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import weakref
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from wkfast._locks import take_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

# What they are for; folders are called by it.
Purpose = Literal["annotation", "copy", "download", "edit", "export", "labels", "tables", "upload", "volume"]
# A file in each, which its owner has locked.
OWNER = ".wkfast-owner"


@contextmanager
def owned_temporary_folder(purpose: Purpose) -> Iterator[Path]:
    """Yield a new folder for temporary files that goes away with the block.

    A locked file beside it says that somebody is at work, however long nothing changes; a killed process locks nothing.

    Examples
    --------
    >>> with owned_temporary_folder("copy") as folder:
    ...     list(folder.iterdir())
    []
    """
    temporary = tempfile.TemporaryDirectory(prefix=f"wkfast-{purpose}-", ignore_cleanup_errors=True)
    try:
        with temporary as name, _owned(Path(name)):
            folder = Path(name) / "files"
            folder.mkdir()
            yield folder
    finally:
        remove_temporary(Path(temporary.name))


class KeptFolder:
    """A new folder for temporary files that is there as long as this object.

    Those of one process and purpose lie in one that it has locked, so that thousands of them take one open file.
    A process that was forked of the one that made them leaves them to it.

    Parameters
    ----------
    purpose
        What it is for.
    single
        Name of the one file that it is to hold, where it holds no more.

    Examples
    --------
    >>> folder = KeptFolder("download")
    >>> path = folder.path
    >>> del folder
    >>> path.exists()
    False
    """

    def __init__(self, purpose: Purpose, single: str = "") -> None:
        home = _home_of(purpose)
        self.path = Path(tempfile.mkdtemp(dir=home.path))
        # the home stays until the last one is gone
        weakref.finalize(self, _end_kept, self.path, single, home, os.getpid())


class _Home:
    """The folder that those of one process and purpose lie in."""

    def __init__(self, purpose: Purpose) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=f"wkfast-{purpose}-"))
        try:
            owner = _owned(self.path)
        except BaseException:
            remove_temporary(self.path)
            raise
        weakref.finalize(self, _end_home, self.path, owner, os.getpid())


_homes: weakref.WeakValueDictionary[tuple[int, Purpose], _Home] = weakref.WeakValueDictionary()
_finding = threading.Lock()


def _home_of(purpose: Purpose) -> _Home:
    # a forked process has one of its own
    key = (os.getpid(), purpose)
    with _finding:
        home = _homes.get(key)
        if home is None or not home.path.is_dir():  # somebody has tidied up
            home = _homes[key] = _Home(purpose)
        return home


def _owned(folder: Path) -> BinaryIO:
    """Return a file that says, as long as it is open, that somebody is at work in a folder."""
    owner = (folder / OWNER).open("wb")
    take_lock(owner)
    return owner


def _end_kept(folder: Path, single: str, _home: _Home, process: int) -> None:
    if os.getpid() != process:
        return
    if single:
        # neither is opened: that files cannot be opened may be why they are not wanted
        with suppress(OSError):
            (folder / single).unlink(missing_ok=True)
            folder.rmdir()
            return
    remove_temporary(folder)


def _end_home(folder: Path, owner: BinaryIO, process: int) -> None:
    owner.close()
    if os.getpid() == process:
        remove_temporary(folder)


def remove_temporary(folder: Path) -> None:
    """Remove a folder with all in it, if it is there. What went wrong is tried once more, and no error.

    Removing opens folders, and a process that is short of files to open has more of them a moment later.
    """
    for _ in range(2):
        if os.path.lexists(folder):
            shutil.rmtree(folder, ignore_errors=True)
