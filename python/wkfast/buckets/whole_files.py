"""Whole files that lie here or in a bucket: read, replaced, removed, or held by a path of this machine for a while."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from wkfast.buckets.object_path import ObjectPath
from wkfast.drafts import exclusive_draft
from wkfast.temporary import owned_temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wkfast.temporary import Purpose

# Of an object; it is read to memory.
_MOST = 1 << 36


def read_whole(file: Path | ObjectPath) -> bytes:
    """Return what a file holds.

    Raises
    ------
    FileNotFoundError
        There is none.

    Examples
    --------
    >>> file = ObjectPath("memory://bucket/read.txt")
    >>> file.write(b"text")
    >>> read_whole(file)
    b'text'
    """
    if not isinstance(file, ObjectPath):
        return file.read_bytes()
    content = file.read(_MOST)
    if content is None:
        raise FileNotFoundError(f"{file} is not there")
    return content


def size_of(file: Path | ObjectPath) -> int:
    """Return the bytes of a file; 0 of an object that is not there."""
    return file.size() or 0 if isinstance(file, ObjectPath) else file.stat().st_size


def remove_file(file: Path | ObjectPath) -> None:
    """Remove a file; nothing happens where there is none."""
    if isinstance(file, ObjectPath):
        file.remove()
    else:
        file.unlink(missing_ok=True)


def replace_whole(file: Path | ObjectPath, content: bytes, within: Path | None = None) -> None:
    """Make `content` what a file holds, as a whole or not at all; from the folder `within` on through no link.

    Examples
    --------
    >>> file = ObjectPath("memory://bucket/whole.txt")
    >>> replace_whole(file, b"text")
    >>> file.read(100)
    b'text'
    """
    if isinstance(file, ObjectPath):
        file.write(content)
        return
    with exclusive_draft(file, within) as draft:
        draft.put(content)


@contextmanager
def local_copy(file: Path | ObjectPath) -> Iterator[Path]:
    """Yield a file of this machine with what a file holds: itself, or among temporary files what was fetched.

    Raises
    ------
    FileNotFoundError
        There is no such file or object.

    Examples
    --------
    >>> file = ObjectPath("memory://bucket/copied.txt")
    >>> file.write(b"text")
    >>> with local_copy(file) as copy:
    ...     copy.name, copy.read_bytes()
    ('copied.txt', b'text')
    """
    if not isinstance(file, ObjectPath):
        if not file.is_file():
            raise FileNotFoundError(f"{file} is not there")
        yield file
        return
    with owned_temporary_folder("upload") as folder:
        copy = folder / file.name
        if file.fetch(copy) is None:
            raise FileNotFoundError(f"{file} is not there")
        yield copy


@contextmanager
def local_folder(folder: Path | ObjectPath, purpose: Purpose) -> Iterator[Path]:
    """Yield a folder of this machine, whose files go to `folder` if that lies in a bucket and nothing was raised.

    Examples
    --------
    >>> folder = ObjectPath("memory://bucket/filled")
    >>> with local_folder(folder, "tables") as here:
    ...     _ = (here / "a.txt").write_text("text")
    >>> folder.files()
    [('a.txt', 4)]
    """
    if not isinstance(folder, ObjectPath):
        yield folder
        return
    with owned_temporary_folder(purpose) as here:
        yield here
        for file in sorted(here.iterdir()):
            (folder / file.name).put_file(file)
