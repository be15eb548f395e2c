"""Folders that take their place, or go, in one step, and what killed calls leave of them."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wkfast import _core
from wkfast.errors import VolumeDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# In a folder that is not listed, this file says that a call was killed between making and listing it, or between
# taking it off the list and removing it: nobody misses what is in there.
LEFT = ".wkfast-left"
# File systems take names of 255 bytes, and what is made beside a folder has a longer one.
_LONG = 200


def mark_left(folder: Path) -> None:
    """Say of a folder that it is nobody's unless it is listed."""
    if folder.is_dir() and not folder.is_symlink():
        (folder / LEFT).touch()


def unmark_left(folder: Path) -> None:
    """Take that back."""
    with suppress(FileNotFoundError, NotADirectoryError):
        if not folder.is_symlink():
            (folder / LEFT).unlink()


def is_left(folder: Path) -> bool:
    """Return whether a folder that is not listed was left by a killed call."""
    return not folder.is_symlink() and (folder / LEFT).is_file()


def remove_folder(folder: Path) -> None:
    """Delete a folder with all in it; of a link, the link alone. Nothing happens where there is none.

    Its name is free at once. What somebody still has open, on a network mount, waits under another name that begins
    with a dot until the next folder beside it is deleted.

    Raises
    ------
    VolumeDataError
        The file system refuses.
    """
    _core.remove_folder(folder)


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
def place_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder beside `folder` that becomes it when the block ends well, and goes away when it does not.

    Whoever looks at `folder` finds nothing, or all of it. What a killed process left beside it is removed first.
    """
    with _draft(folder) as draft:
        yield draft
        draft.rename(folder)


@contextmanager
def replaced_folder(folder: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Yield a folder beside `folder`, and what puts it in its place.

    Whoever looks at `folder` finds what was there, or all of the new: they change places in one step. What lies beside
    it at the end of the block goes away.
    """
    with _draft(folder) as draft:
        yield draft, lambda: _core.exchange_folders(str(draft), str(folder))


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    name = folder.name
    if len(name) > _LONG:
        name = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
    draft = folder.with_name(f".{name}.wkfast-part")
    remove_folder(draft)
    draft.mkdir(parents=True)
    try:
        yield draft
    finally:
        with suppress(VolumeDataError):
            remove_folder(draft)
