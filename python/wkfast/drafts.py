"""Small files that are replaced as a whole, by one process at a time."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from wkfast import _core

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
