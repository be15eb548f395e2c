"""Metadata files as JSON. Absent is only what stat says is absent, and nothing but a file of a sane size is read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast.buckets import ObjectPath
from wkfast.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

# Files that say that a folder is an array or a group of Zarr.
ZARR_FILES = ("zarr.json", ".zarray", ".zgroup", ".zattrs")
# As the core reads of a file on disk at most.
_MOST = 64 << 20


def read_metadata(file: Path | ObjectPath) -> bytes | None:
    """Return what a file of metadata holds, on this machine or elsewhere; ``None`` if there is no such file.

    Raises
    ------
    DatasetError
        It is no regular file (a FIFO, a device, a folder), or larger than 64 MiB.
    """
    return file.read(_MOST) if isinstance(file, ObjectPath) else _core.read_metadata(file)


def read_json(file: Path | ObjectPath) -> Any | None:
    """Return what `file` holds, ``None`` if there is no such file.

    Raises
    ------
    DatasetError
        It is no JSON, or no file that :func:`read_metadata` reads.
    """
    text = read_metadata(file)
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{file}: not valid JSON: {error}") from error
