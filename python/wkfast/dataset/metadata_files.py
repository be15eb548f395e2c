"""Metadata files as JSON. Absent is only what stat says is absent, and nothing but a file of a sane size is read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast.buckets import ObjectPath
from wkfast.errors import DatasetError, WkfastError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Files that make one hierarchy of the folders of a dataset in Zarr.
GROUP_FILES = ("zarr.json", ".zgroup", ".zattrs")
# Files that say that a folder is an array or a group of Zarr.
ZARR_FILES = (*GROUP_FILES, ".zarray")
# As the core reads of a file on disk at most.
_MOST = 64 << 20
# Lists and objects in one another: Python fails to copy and pickle what nests a few hundred deep.
_DEEPEST = 128


def read_metadata(file: Path | ObjectPath) -> bytes | None:
    """Return what a file of metadata holds, on this machine or elsewhere; ``None`` if there is no such file.

    Raises
    ------
    DatasetError
        It is no regular file (a FIFO, a device, a folder), larger than 64 MiB, or the system refuses.
    """
    if isinstance(file, ObjectPath):
        return file.read(_MOST)
    try:
        return _core.read_metadata(file)
    except WkfastError:
        raise
    except OSError as error:
        raise DatasetError(f"{file} cannot be read: {error.strerror}") from error


def read_json(file: Path | ObjectPath) -> Any | None:
    """Return what `file` holds, ``None`` if there is no such file.

    Raises
    ------
    DatasetError
        It is no JSON, or no file that :func:`read_metadata` reads.
    """
    text = read_metadata(file)
    return None if text is None else parsed_json(text, file)


def read_jsons(folder: Path | ObjectPath, names: Sequence[str]) -> dict[str, Any]:
    """Return what files of `folder` hold, by name, as far as they are there; see :func:`read_json`."""
    if isinstance(folder, ObjectPath):
        texts = dict(zip(names, folder.read_files(names, _MOST), strict=True))
    else:
        texts = {name: read_metadata(folder / name) for name in names}
    return {name: parsed_json(text, folder / name) for name, text in texts.items() if text is not None}


def parsed_json(text: bytes, file: object) -> Any:
    """Return what a text of `file` says.

    Raises
    ------
    DatasetError
        It is no JSON, or nests deeper than can be copied and pickled.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{file}: not valid JSON: {error}") from error
    written_as = json.detect_encoding(text)
    if written_as != "utf-8":  # as it is read
        text = text.decode(written_as, "surrogatepass").encode("utf-8", "surrogatepass")
    _check_nesting(text, file)
    return value


def json_text(value: Any, file: object) -> bytes:
    """Return what `file` is to hold.

    Raises
    ------
    DatasetError
        It nests deeper than can be read again.
    """
    try:
        text = json.dumps(value, indent=4).encode()
    except RecursionError:
        raise _too_deep(file) from None
    _check_nesting(text, file)
    return text


def _check_nesting(text: bytes, file: object) -> None:
    """Refuse JSON that nests deeper than can be copied and pickled, when `file` is read and before it is written.

    Raises
    ------
    DatasetError
        It does.
    """
    if _core.json_nests_deeper(text, _DEEPEST):
        raise _too_deep(file)


def _too_deep(file: object) -> DatasetError:
    return DatasetError(f"{file}: lists and objects nest deeper than {_DEEPEST}")
