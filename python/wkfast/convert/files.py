"""Files that are written as a whole or not at all."""

from __future__ import annotations

from os import fspath
from typing import TYPE_CHECKING

from wkfast import _core

if TYPE_CHECKING:
    from pathlib import Path


def put(path: Path, content: bytes) -> None:
    """Make `content` the whole file; what is there stays until then."""
    draft = _core.Draft(fspath(path))
    try:
        draft.put(content)
    finally:
        draft.release()
