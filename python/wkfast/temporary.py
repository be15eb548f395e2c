"""Folders for temporary files, which ``wkfast clean`` knows when a killed process has left them."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

# What they are for; folders are called by it.
Purpose = Literal["annotation", "copy", "download", "edit", "export", "labels", "tables", "upload"]
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
        with temporary as name, (Path(name) / OWNER).open("wb") as owner:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            folder = Path(name) / "files"
            folder.mkdir()
            yield folder
    finally:
        remove_temporary(Path(temporary.name))


def folder_lock(folder: Path) -> int | None:
    """Lock a folder, which says that somebody needs what is in it, however long nothing changes.

    Returns
    -------
    int, optional
        What is to be closed when nobody does any more; ``None`` where the system has no lock for it.
    """
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(opened)
        return None
    return opened


def remove_temporary(folder: Path) -> None:
    """Remove a folder with all in it, if it is there. What went wrong is tried once more, and no error.

    Removing opens folders, and a process that is short of files to open has more of them a moment later.
    """
    for _ in range(2):
        if os.path.lexists(folder):
            shutil.rmtree(folder, ignore_errors=True)
