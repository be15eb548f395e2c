"""Whole files that lie here or in a bucket: replaced, or held by a path of this machine for a while."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wkfast.buckets.object_path import ObjectPath
from wkfast.drafts import exclusive_draft

if TYPE_CHECKING:
    from collections.abc import Iterator


def replace_whole(file: Path | ObjectPath, content: bytes) -> None:
    """Make `content` what a file holds, as a whole or not at all.

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
    with exclusive_draft(file) as draft:
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
    with tempfile.TemporaryDirectory(prefix="wkfast-") as folder:
        copy = Path(folder) / file.name
        if file.fetch(copy) is None:
            raise FileNotFoundError(f"{file} is not there")
        yield copy


@contextmanager
def local_folder(folder: Path | ObjectPath) -> Iterator[Path]:
    """Yield a folder of this machine, whose files go to `folder` if that lies in a bucket and nothing was raised.

    Examples
    --------
    >>> folder = ObjectPath("memory://bucket/filled")
    >>> with local_folder(folder) as here:
    ...     _ = (here / "a.txt").write_text("text")
    >>> folder.files()
    [('a.txt', 4)]
    """
    if not isinstance(folder, ObjectPath):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="wkfast-") as temporary:
        here = Path(temporary)
        yield here
        for file in sorted(here.iterdir()):
            (folder / file.name).put_file(file)
