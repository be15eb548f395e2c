"""Reading and writing a mag, by wkfast, the reference, tensorstore, zarr-python and wkw.

Every writer gets the layout that wkfast chose, and every reader the files that wkfast wrote; results must be equal.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benches.python.volumes import labels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LAYER = "segmentation"
_SMALL = 32
_SLAB = 128
SMALL_READS = 5000
_METADATA = ("header.wkw", ".zarray", "zarr.json")


def dataset(folder: Path, data_format: str, edge: int) -> Path:
    """Return a dataset with one layer of `edge`³ voxels uint32, made if it is not there."""
    import wkfast as wk

    target = folder / f"written-{data_format}-{edge}"
    if not (target / "datasource-properties.json").exists():
        made = wk.Dataset(target, voxel_size=(4, 4, 40))
        box = wk.BoundingBox((0, 0, 0), (edge,) * 3)
        layer = made.add_layer(LAYER, "segmentation", dtype="uint32", data_format=data_format, bounding_box=box)
        mag = layer.add_mag(1)
        for z in range(0, edge, _SLAB):
            slab = labels((0, 0, z), (edge, edge, min(_SLAB, edge - z)))
            mag.write(np.asfortranarray(slab[np.newaxis]), absolute_offset=(0, 0, z), allow_unaligned=True)
    return target


def wkfast_read(path: str, _edge: str) -> Callable[[], NDArray[Any]]:
    """``MagView.read`` of everything."""
    import wkfast as wk

    mag = wk.Dataset.open(path).get_layer(LAYER).get_mag(1)
    return mag.read


def reference_read(path: str, _edge: str) -> Callable[[], NDArray[Any]]:
    """The same in the reference package."""
    import webknossos as wk

    mag = wk.Dataset.open(path).get_layer(LAYER).get_mag(1)
    return mag.read


def tensorstore_read(path: str, edge: str) -> Callable[[], NDArray[Any]]:
    """The same by tensorstore, in the order in which the reference wants it."""
    array = _tensorstore(_mag(path), int(edge))
    return lambda: array.read(order="F").result()


def zarr_read(path: str, edge: str) -> Callable[[], NDArray[Any]]:
    """The same by zarr-python."""
    import zarr

    array, n = zarr.open_array(_mag(path), mode="r"), int(edge)
    return lambda: array[:, :n, :n, :n]


def wkw_read(path: str, edge: str) -> Callable[[], NDArray[Any]]:
    """The same by the wkw library."""
    import wkw

    opened, n = wkw.Dataset.open(str(_mag(path))), int(edge)
    return lambda: opened.read((0, 0, 0), (n, n, n))


def wkfast_write(path: str, edge: str) -> Callable[[], str]:
    """``MagView.write`` of everything into an empty mag."""
    import wkfast as wk

    target, data = _emptied(path), _voxels(int(edge))
    mag = wk.Dataset.open(target).get_layer(LAYER).get_mag(1)
    return lambda: mag.write(data) or str(target)


def reference_write(path: str, edge: str) -> Callable[[], str]:
    """The same in the reference package."""
    import webknossos as wk

    target, data = _emptied(path), _voxels(int(edge))
    mag = wk.Dataset.open(target).get_layer(LAYER).get_mag(1)
    return lambda: mag.write(data) or str(target)


def tensorstore_write(path: str, edge: str) -> Callable[[], str]:
    """The same by tensorstore, which is told not to wait for the disk either."""
    target, data = _emptied(path), _voxels(int(edge))
    array = _tensorstore(_mag(str(target)), int(edge))
    return lambda: array.write(data).result() or str(target)


def zarr_write(path: str, edge: str) -> Callable[[], str]:
    """The same by zarr-python."""
    import zarr

    target, data, n = _emptied(path), _voxels(int(edge)), int(edge)
    array = zarr.open_array(_mag(str(target)), mode="r+")

    def work() -> str:
        array[:, :n, :n, :n] = data
        return str(target)

    return work


def wkfast_small_reads(path: str, edge: str) -> Callable[[], int]:
    """Random 32³ boxes on the grid of chunks, the shard's index known."""
    import wkfast as wk

    mag = wk.Dataset.open(path).get_layer(LAYER).get_mag(1)
    return _small_reads(lambda at: mag.read(absolute_offset=at, size=(_SMALL,) * 3), int(edge))


def tensorstore_small_reads(path: str, edge: str) -> Callable[[], int]:
    """The same by tensorstore with its cache off and its index kept."""
    array = _tensorstore(_mag(path), int(edge))

    def read(at: tuple[int, int, int]) -> NDArray[Any]:
        x, y, z = at
        return array[:, x : x + _SMALL, y : y + _SMALL, z : z + _SMALL].read(order="F").result()

    return _small_reads(read, int(edge))


def _small_reads(read: Callable[[tuple[int, int, int]], NDArray[Any]], edge: int) -> Callable[[], int]:
    corners = np.random.default_rng(5).integers(0, edge // _SMALL, (SMALL_READS, 3)) * _SMALL
    places = [(int(x), int(y), int(z)) for x, y, z in corners]
    read(places[0])
    return lambda: sum(int(read(place)[0, 0, 0, 0]) for place in places)


def _digest(voxels: NDArray[Any]) -> str:
    import hashlib

    return hashlib.sha256(np.ascontiguousarray(voxels.T).data).hexdigest()[:16]


def _written_digest(path: str) -> str:
    """Digest of what was written, as wkfast reads it."""
    return _digest(wkfast_read(path, "")())


check_wkfast_read = check_reference_read = check_tensorstore_read = check_zarr_read = check_wkw_read = _digest
check_wkfast_write = check_reference_write = check_tensorstore_write = check_zarr_write = _written_digest


def _voxels(edge: int) -> NDArray[np.uint32]:
    """Return labels (1, x, y, z) in Fortran order, as a mag hands them out."""
    return np.asfortranarray(labels((0, 0, 0), (edge,) * 3)[np.newaxis])


def _mag(path: str) -> Path:
    return Path(path) / LAYER / "1"


def _emptied(path: str) -> Path:
    """Return a copy of the dataset without voxels."""
    target = Path(f"{path}-copy")
    shutil.rmtree(target, ignore_errors=True)
    mag = _mag(path)

    def chunks(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if Path(folder) == mag and name not in _METADATA]

    shutil.copytree(path, target, ignore=chunks)
    return target


def _tensorstore(mag: Path, edge: int) -> Any:
    import tensorstore

    driver = "zarr3" if (mag / "zarr.json").exists() else "zarr"
    context = {"file_io_sync": False}
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": str(mag)}, "context": context}
    return tensorstore.open(spec).result()[:, :edge, :edge, :edge]
