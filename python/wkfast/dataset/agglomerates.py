"""Agglomerate files of WEBKNOSSOS: which agglomerate every segment belongs to, in HDF5 or Zarr, read piece by piece."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import
from wkfast.dataset.links import is_present
from wkfast.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
else:
    np = lazy_import("numpy")

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
    if not is_present(path):
        raise DatasetError(f"{path} is not there: expected an agglomerate file (.hdf5) or folder (Zarr)")
    with ExitStack() as held:
        try:
            found = zarr.open_group(path, mode="r") if path.is_dir() else held.enter_context(h5py.File(path, "r"))
            table = found[TABLE]
        except ModuleNotFoundError as error:
            raise DatasetError(f"{path} needs {error.name}: pip install {error.name}") from error
        except KeyError:
            raise DatasetError(f"{path} has no {TABLE!r}: it is no agglomerate file") from None
        except (OSError, ValueError) as error:
            raise DatasetError(f"{path} is no complete agglomerate file: {error}") from error
        yield _table(table, path)


def _table(table: Any, path: Path) -> tuple[int, Iterator[NDArray[Any]]]:
    if len(table.shape) != 1 or np.dtype(table.dtype).kind not in "iu":
        raise DatasetError(f"{path}: {TABLE!r} is {table.dtype} of the shape {table.shape}, expected one axis of ids")
    entries = int(table.shape[0])
    return entries, (_piece(table, start, path) for start in range(0, entries, _PIECE))


def _piece(table: Any, start: int, path: Path) -> NDArray[Any]:
    try:
        return np.asarray(table[start : start + _PIECE])
    except Exception as error:  # codecs raise what they like
        place = f"segments {start} to {min(start + _PIECE, int(table.shape[0])) - 1}"
        raise DatasetError(f"{path} is no complete agglomerate file: {place} cannot be read: {error}") from error
