"""Agglomerate files of WEBKNOSSOS: which agglomerate every segment belongs to, in HDF5 or Zarr, read piece by piece."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import
from wkfast.dataset.hdf5_table import Hdf5Table
from wkfast.dataset.links import is_folder, is_present, regular_size
from wkfast.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray
else:
    np = lazy_import("numpy")

zarr: Any = lazy_import("zarr")

# Name of the table: the agglomerate of segment n is its entry n.
TABLE = "segment_to_agglomerate"
# Segments read at once, at least.
_PIECE = 1 << 20
# Bytes of a chunk of the table, decoded: as of voxels.
_MOST_OF_CHUNK = 1 << 30
# A table is at most so many times as large as what it is stored in: as members of archives are. Gaps of a file take no
# bytes, and so a few could fill a disk.
_MOST_RATIO = 1032
_ALWAYS = 64 << 20


@contextmanager
def opened(path: Path) -> Iterator[tuple[int, Iterator[NDArray[Any]]]]:
    """Yield how many segments an agglomerate file has, and their agglomerates in pieces, from segment 0 on.

    Raises
    ------
    DatasetError
        There is no such file, it is damaged or none, or h5py is missing.
    """
    if not is_present(path):
        raise DatasetError(f"{path} is not there: expected an agglomerate file (.hdf5) or folder (Zarr)")
    stored = _stored_bytes(path)
    with ExitStack() as held:
        try:
            if is_folder(path):
                table = zarr.open_group(path, mode="r")[TABLE]
            else:
                table = held.enter_context(Hdf5Table(path, TABLE))
        except ModuleNotFoundError as error:
            raise DatasetError(f"{path} needs {error.name}: pip install {error.name}") from error
        except KeyError:
            raise DatasetError(f"{path} has no {TABLE!r}: it is no agglomerate file") from None
        except Exception as error:  # of damaged files, packages raise what they like
            raise DatasetError(f"{path} is no complete agglomerate file: {error}") from error
        yield _table(table, path, stored)


def _stored_bytes(path: Path) -> int:
    """Return the bytes of a file, or of all in a folder, which are regular files: others might be waited for."""
    if not is_folder(path):
        return regular_size(path, "read")
    return sum(regular_size(Path(parent) / name, "read") for parent, _, names in os.walk(path) for name in names)


def _table(table: Any, path: Path, stored: int) -> tuple[int, Iterator[NDArray[Any]]]:
    shape, dtype = getattr(table, "shape", None), getattr(table, "dtype", None)
    if shape is None or len(shape) != 1 or np.dtype(dtype).kind not in "iu":
        raise DatasetError(f"{path}: {TABLE!r} is {dtype} of the shape {shape}, expected one axis of ids")
    entries, width = int(shape[0]), np.dtype(dtype).itemsize
    if entries * width > _ALWAYS + _MOST_RATIO * stored:
        raise DatasetError(f"{path}: {entries:,} segments are said to be in {stored:,} bytes, which cannot hold them")
    chunk = int((getattr(table, "chunks", None) or (0,))[0])
    if chunk * width > _MOST_OF_CHUNK:
        raise DatasetError(f"{path}: chunks of {chunk * width:,} bytes, more than {_MOST_OF_CHUNK:,} are not read")
    # No smaller than a chunk, which is decoded as a whole.
    piece = max(_PIECE, chunk)
    return entries, (_piece(table, start, piece, path) for start in range(0, entries, piece))


def _piece(table: Any, start: int, length: int, path: Path) -> NDArray[Any]:
    try:
        return np.asarray(table[start : start + length])
    except Exception as error:  # codecs raise what they like
        place = f"segments {start} to {min(start + length, int(table.shape[0])) - 1}"
        raise DatasetError(f"{path} is no complete agglomerate file: {place} cannot be read: {error}") from error
