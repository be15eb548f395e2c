"""Files that are replaced as a whole: small ones by one process at a time, large ones while they are written."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from wkfast import _core
from wkfast._locks import take_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_BUFFER = 1 << 20
# what the system says of a file, and not of a terminal or a server that somebody writes to meanwhile
_OF_DISKS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
# bytes of a name that leave room for a suffix within what folders allow, 255
_LENGTH = 180


@contextmanager
def exclusive_draft(target: Path, within: Path | None = None) -> Iterator[_core.Draft]:
    """Hold the right to replace `target` until the end of the block, and wait for it if another process has it.

    No link is followed on the way from the folder `within`, in which it lies, to the file.

    The draft lies beside the file under a name made of the file's, and is the lock as well, for the core's own writers,
    too: what a killed process leaves behind is taken over by the next. Readers of `target` see the old content or the
    new one.
    """
    draft = _core.Draft(target, within)
    try:
        yield draft
    finally:
        draft.release()


class PartFile:
    """A file beside the target that becomes the target by a rename, or vanishes.

    Whatever ends the block before :meth:`commit`, Ctrl-C included, removes it. What the system refuses is told of
    the target: nobody knows the name that this one has.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._target = folder / name
        # the random part keeps two writers apart; the name is cut so that the whole fits into a folder entry
        self.path = folder / f"{shortened(name)}.part-{os.urandom(6).hex()}"
        with named(self._target):
            self.file: BinaryIO = self.path.open("x+b", buffering=_BUFFER)
        # gone with this process, however it ends: `wkfast clean` and the next download see whose nobody is
        take_lock(self.file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with named(self._target):
            try:
                # flushes its buffer, which fails once more on a full disk
                self.file.close()
            except OSError:
                if error is None:
                    raise
            finally:
                self.path.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno in _OF_DISKS and error.filename in {None, str(self.path)}:
                raise error

    def commit(self, path: Path, *, durable: bool = True) -> None:
        """Bring the bytes to disk, if they are to outlive the machine, and give them their final name."""
        with named(path):
            self.file.close()
        draft = _core.Draft(path)
        try:
            draft.put_file(self.path, durable)
        finally:
            draft.release()


@contextmanager
def whole_file(target: Path) -> Iterator[BinaryIO]:
    """Yield a file that becomes `target` when the block ends well; before, and when it does not, the old one stays.

    Of a link, what it leads to is replaced.

    Raises
    ------
    OSError
        The system refuses; it names `target`.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "table.csv"
    >>> with whole_file(target) as file:
    ...     _ = file.write(b"id")
    ...     target.exists()
    False
    >>> target.read_bytes()
    b'id'
    """
    real = Path(os.path.realpath(target))
    with PartFile(real.parent, real.name) as part:
        yield part.file
        part.commit(real)


def make_folder(folder: Path) -> None:
    """Make a folder that files come into, with those that it lies in, if it is not there.

    Raises
    ------
    OSError
        The system refuses; a ``FileExistsError`` where something else is there, or a link that leads nowhere.

    Examples
    --------
    >>> link = tmp_path / "out"
    >>> link.symlink_to("gone")
    >>> try:
    ...     make_folder(link)
    ... except FileExistsError as error:
    ...     print(error.strerror)
    a link to gone, which is not there, is in the place of a folder
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        there = f"a link to {folder.readlink()}, which is not there," if folder.is_symlink() else "a file"
        raise FileExistsError(errno.EEXIST, f"{there} is in the place of a folder", str(folder)) from None


@contextmanager
def named(file: Path) -> Iterator[None]:
    """Give what the system refuses in the block the name of a file that people know.

    Examples
    --------
    >>> with named(Path("table.csv")):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    OSError: [Errno 28] No space left on device: 'table.csv'
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:  # not the system's
            raise
        raise OSError(error.errno, os.strerror(error.errno), os.fspath(file)) from error


def shortened(name: str) -> str:
    """Return the beginning of a name, in whole letters, with room for what is put behind it."""
    return os.fsencode(name)[:_LENGTH].decode("utf-8", errors="ignore")
