"""Where downloaded bytes go: a file that is complete or absent, or a spooled temporary file."""

import os
from pathlib import Path
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import BinaryIO, Self, cast

_BUFFER = 1 << 20
_SPOOL = 16 << 20


class PartFile:
    """A file beside the target that becomes the target by a rename, or vanishes.

    Whatever ends the block before :meth:`commit`, Ctrl-C included, removes it.
    """

    def __init__(self, folder: Path, name: str) -> None:
        # the random part keeps two downloads apart; the name is cut so that the whole fits into a folder entry
        self.path = folder / f"{name[:100]}.part-{os.urandom(6).hex()}"
        self.file: BinaryIO = self.path.open("x+b", buffering=_BUFFER)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            # flushes its buffer, which fails once more on a full disk
            self.file.close()
        except OSError:
            if error is None:
                raise
        finally:
            self.path.unlink(missing_ok=True)

    def commit(self, path: Path, *, durable: bool = True) -> None:
        """Bring the bytes to disk, if they are to outlive the machine, and give them their final name."""
        self.file.flush()
        if durable:
            os.fsync(self.file.fileno())
        self.file.close()
        self.path.replace(path)
        if durable:
            _sync_folder(path.parent)


def spool() -> BinaryIO:
    """Return a temporary file without a name, in memory up to 16 MiB. Who calls this closes it."""
    return cast("BinaryIO", SpooledTemporaryFile(max_size=_SPOOL))


def restart(file: BinaryIO) -> None:
    """Empty a file that is being written."""
    file.seek(0)
    file.truncate()


def _sync_folder(folder: Path) -> None:
    """Bring the rename itself to disk, where the system lets folders be opened."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
