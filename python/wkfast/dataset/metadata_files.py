"""Metadata files as JSON. Absent is only what stat says is absent, and nothing but a file of a sane size is read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path


def read_json(file: Path) -> Any | None:
    """Return what `file` holds, ``None`` if there is no such file.

    Raises
    ------
    DatasetError
        It is no JSON, no regular file (a FIFO, a device, a folder), or larger than 64 MiB.
    """
    text = _core.read_metadata(file)
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{file}: not valid JSON: {error}") from error
