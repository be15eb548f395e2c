"""Agglomerate files of WEBKNOSSOS: which agglomerate every segment belongs to, in HDF5 or Zarr, read piece by piece."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from wkfast._lazy import lazy_import
from wkfast.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

h5py: Any = lazy_import("h5py")
zarr: Any = lazy_import("zarr")

# Name of the table: the agglomerate of segment n is its entry n.
TABLE = "segment_to_agglomerate"
# Segments read at once.
_PIECE = 1 << 20


@contextmanager
def opened(path: Path) -> Iterator[tuple[int, Iterator[NDArray[Any]]]]:
    """Yield how many segments an agglomerate file has, and their agglomerates in pieces, from segment 0 on.

    Raises
    ------
    DatasetError
        There is no such file, it is damaged or none, or h5py is missing.
    """
    if not path.exists():
        raise DatasetError(f"{path} is not there: expected an agglomerate file (.hdf5) or folder (Zarr)")
    try:
        if path.is_dir():
            table = zarr.open_group(path, mode="r")[TABLE]
            yield _table(table, path)
        else:
            with h5py.File(path, "r") as file:
                yield _table(file[TABLE], path)
    except ModuleNotFoundError as error:
        raise DatasetError(f"{path} needs {error.name}: pip install {error.name}") from error
    except KeyError:
        raise DatasetError(f"{path} has no {TABLE!r}: it is no agglomerate file") from None
    except (OSError, ValueError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{path} is no complete agglomerate file: {error}") from error


def _table(table: Any, path: Path) -> tuple[int, Iterator[NDArray[Any]]]:
    if len(table.shape) != 1 or np.dtype(table.dtype).kind not in "iu":
        raise DatasetError(f"{path}: {TABLE!r} is {table.dtype} of the shape {table.shape}, expected one axis of ids")
    entries = int(table.shape[0])
    return entries, (np.asarray(table[start : start + _PIECE]) for start in range(0, entries, _PIECE))
