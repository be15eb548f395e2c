"""Small files that are replaced as a whole, by one process at a time."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Draft:
    """A file under construction that nobody else constructs meanwhile."""

    def __init__(self, target: Path, path: Path, handle: int) -> None:
        self._target = target
        self._path = path
        self._handle = handle

    def put(self, content: bytes) -> None:
        """Make `content` the whole file, with the permissions of the old one; it is on disk before it has its name."""
        with suppress(FileNotFoundError, PermissionError):
            os.fchmod(self._handle, self._target.stat().st_mode & 0o777)
        os.ftruncate(self._handle, 0)
        written = 0
        while written < len(content):
            written += os.pwrite(self._handle, content[written:], written)
        os.fsync(self._handle)
        self._path.rename(self._target)


@contextmanager
def exclusive_draft(target: Path) -> Iterator[Draft]:
    """Hold the right to replace `target` until the end of the block, and wait for it if another process has it.

    The draft lies beside the file under a name made of the file's, and is the lock as well: what a killed process
    leaves behind is taken over by the next. Readers of `target` see the old content or the new one.
    """
    path = target.with_name(f".{target.name}.wkfast-part")
    handle = _locked(path)
    try:
        yield Draft(target, path, handle)
    finally:
        # Removed while it is still ours, unless it has become the file.
        with suppress(FileNotFoundError):
            if path.lstat().st_ino == os.fstat(handle).st_ino:
                path.unlink()
        os.close(handle)


def _locked(path: Path) -> int:
    """Open `path` and lock it; its last holder may have renamed or removed it while we waited, then again."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            ours, found = os.fstat(handle), path.lstat()
            if (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino):
                return handle
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
