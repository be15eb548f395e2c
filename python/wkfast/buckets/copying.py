"""Files that are copied whole, into buckets and out of them, many at a time."""

from __future__ import annotations

import threading
from concurrent.futures import as_completed
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wkfast import _core
from wkfast.buckets.object_path import ObjectPath
from wkfast.buckets.requests import Requests
from wkfast.drafts import named
from wkfast.errors import ObjectStoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


def copy_files(
    source: Path | ObjectPath,
    target: Path | ObjectPath,
    files: Sequence[tuple[str, int]],
    told: Callable[[int, int, int, int], object] | None = None,
) -> None:
    """Copy files of a folder to another, one of which at least lies in a bucket.

    The server copies within a bucket; otherwise files pass through memory, as many bytes at once as may be on their way
    (``WKFAST_BYTES_IN_FLIGHT``, 256 MiB), or one that is larger.

    Parameters
    ----------
    source, target
        The folders.
    files
        Where each file lies in them, and its bytes; see :meth:`ObjectPath.files`.
    told
        Called with files done and in all, and with bytes done and in all.

    Raises
    ------
    ObjectStoreError
        A file is gone, or a server refuses or does not answer. Some of the files may have been copied.

    Examples
    --------
    >>> folder = ObjectPath("memory://bucket/from")
    >>> (folder / "a/b.txt").write(b"text")
    >>> copy_files(folder, tmp_path, folder.files())
    >>> (tmp_path / "a" / "b.txt").read_text()
    'text'
    """
    room = _Room(_core.bytes_in_flight())
    done, done_bytes, all_bytes = 0, 0, sum(size for _, size in files)
    with Requests() as requests:
        copies = {requests.submit(_copy, source, target, name, size, room): size for name, size in files}
        for copied in as_completed(copies):
            copied.result()
            done, done_bytes = done + 1, done_bytes + copies[copied]
            if told is not None:
                told(done, len(files), done_bytes, all_bytes)


class _Room:
    """Bytes that may be in memory at once; a file that is larger than all of them waits until it is alone."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._freed = threading.Condition()

    @contextmanager
    def of(self, size: int) -> Iterator[None]:
        with self._freed:
            self._freed.wait_for(lambda: self._taken == 0 or self._taken + size <= self._most)
            self._taken += size
        try:
            yield
        finally:
            with self._freed:
                self._taken -= size
                self._freed.notify_all()


def _copy(source: Path | ObjectPath, target: Path | ObjectPath, name: str, size: int, room: _Room) -> None:
    old, new = source / name, target / name
    if isinstance(old, ObjectPath) and isinstance(new, ObjectPath) and new.copied_from(old, size):
        return
    with room.of(size):
        content = old.read(max(size, 1)) if isinstance(old, ObjectPath) else old.read_bytes()
        if content is None:
            raise ObjectStoreError(f"{old}: is gone, though it was listed a moment ago; copy again")
        if isinstance(new, ObjectPath):
            new.write(content)
        else:
            new.parent.mkdir(parents=True, exist_ok=True)
            with named(new):
                new.write_bytes(content)
