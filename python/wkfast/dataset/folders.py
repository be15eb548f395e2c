"""Folders that take their place, or go, in one step, and what killed calls leave of them."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from wkfast import _core

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# In a folder that is not listed, this file says that a call was killed between making and listing it, or between
# taking it off the list and removing it: nobody misses what is in there.
LEFT = ".wkfast-left"
_GONE = ".wkfast-gone"
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


def remove_aside(folder: Path) -> None:
    """Remove a folder with all in it; of a link, the link alone. Nothing happens where there is none.

    It loses its name first, so that the name is free even where somebody still reads in the folder and the system keeps
    a part of it. Such remains go with the next folder that is removed beside them.
    """
    if folder.is_symlink():
        folder.unlink()
    elif folder.is_dir():
        folder.rename(folder.with_name(f".{secrets.token_hex(8)}{_GONE}"))
        for gone in folder.parent.glob(f".*{_GONE}"):
            shutil.rmtree(gone, ignore_errors=True)


@contextmanager
def place_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder beside `folder` that becomes it when the block ends well, and goes away when it does not.

    Whoever looks at `folder` finds nothing, or all of it. What a killed process left beside it is removed first.
    """
    with _draft(folder) as draft:
        yield draft
        draft.rename(folder)


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder beside `folder` that takes its place when the block ends well, and goes away when it does not.

    Whoever looks at `folder` finds what was there, or all of the new: they change places in one step.
    """
    with _draft(folder) as draft:
        yield draft
        _core.exchange_folders(str(draft), str(folder))


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    name = folder.name
    if len(name) > _LONG:
        name = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
    draft = folder.with_name(f".{name}.wkfast-part")
    remove_aside(draft)
    draft.mkdir(parents=True)
    try:
        yield draft
    finally:
        with suppress(OSError):
            remove_aside(draft)
