"""A mag whose changes stay in memory, compressed, while the rest is read from where it lies."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import
from wkfast.dataset.points import groups_of, picked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Literal

    import numpy as np
    from numpy.typing import NDArray

    from wkfast.dataset.voxel_source import VoxelSource
else:
    np = lazy_import("numpy")

blosc2: Any = lazy_import("blosc2")

EDGE = 32
"""Voxels along the edges of a chunk: what WEBKNOSSOS stores as one."""

Index = tuple[int, ...]
Triple = tuple[int, int, int]


class MemoryMag:
    """Voxels over those of another source, in chunks of 32³.

    A chunk that was written to exists, zeros included: that is how something is erased. Any number of threads may read
    and write; it does not travel to other processes.

    Parameters
    ----------
    base
        What is read where nothing was written; ``None`` for nothing.
    dtype
        Type of a voxel.
    extra_axes
        Names of axes beyond c, x, y, z.

    Examples
    --------
    >>> mag = MemoryMag(None, "uint16")
    >>> mag.write((30, 0, 0), np.ones((1, 4, 1, 1), np.uint16))
    >>> mag.read((29, 0, 0), (6, 1, 1)).ravel()
    array([0, 1, 1, 1, 1, 0], dtype=uint16)
    >>> mag.chunks().tolist()
    [[0, 0, 0], [1, 0, 0]]
    """

    def __init__(self, base: VoxelSource | None, dtype: str, extra_axes: Sequence[str] = ()) -> None:
        self._base = base
        self._dtype = np.dtype(dtype)
        self._extra_axes = list(extra_axes)
        self._chunks: dict[Index, bytes] = {}
        self._lock = threading.Lock()

    @property
    def data_format(self) -> Literal["wkw", "zarr", "zarr3"]:
        """What it is written as in the end."""
        return "zarr3"

    @property
    def dtype(self) -> str:
        """Type of a voxel, as numpy spells it."""
        return self._dtype.name

    @property
    def channels(self) -> int:
        """Values per voxel."""
        return 1

    @property
    def chunk_shape(self) -> Triple:
        """Voxels in a chunk along x, y, z."""
        return (EDGE, EDGE, EDGE)

    @property
    def chunks_per_shard(self) -> Triple:
        """Chunks that share a file."""
        return (1, 1, 1)

    @property
    def extra_axes(self) -> list[str]:
        """Names of axes beyond c, x, y, z."""
        return self._extra_axes

    @property
    def compressed(self) -> bool:
        """Whether chunks are compressed."""
        return True

    @property
    def memory(self) -> int:
        """Bytes of the chunks in memory, compressed."""
        return sum(map(len, self._chunks.values()))

    def chunks(self) -> NDArray[np.uint32]:
        """Return the chunks that hold data, a row each: additional axes, then x, y, z, counted in chunks."""
        rows = {*self.written(), *self._chunks_of_base()}
        return np.array(sorted(rows), np.uint32).reshape(len(rows), 3 + len(self._extra_axes))

    def written(self) -> list[Index]:
        """Return the chunks that were written to."""
        return sorted(self._chunks)

    def chunk_bytes(self, index: Index) -> bytes:
        """Return the voxels of a chunk that was written to, x fastest."""
        return bytes(blosc2.decompress2(self._chunks[index]))

    def read(self, topleft: Triple, size: Triple, *, extra: Sequence[int] = ()) -> NDArray[Any]:
        """Return a box (c, x, y, z) in Fortran order; what was never written is zero."""
        if self._base is None:
            out: NDArray[Any] = np.zeros((1, *size), self._dtype, order="F")
        else:
            out = self._base.read(topleft, size, extra=list(extra))
        for index, in_chunk, in_box in _shared(topleft, size, extra):
            if index in self._chunks:
                out[in_box] = self._voxels(index)[in_chunk]
        return out

    def values_at(self, points: NDArray[np.int64]) -> NDArray[Any]:
        """Return voxels at rows of coordinates along the additional axes and x, y, z: ``(points, channels)``."""
        if self._base is None:
            out: NDArray[Any] = np.zeros((len(points), 1), self._dtype)
        else:
            out = self._base.values_at(points)
        for index, rows in groups_of(points, self.chunk_shape):
            if index in self._chunks:
                out[rows] = picked(self._voxels(index), points[rows], self.chunk_shape)
        return out

    def write(self, topleft: Triple, array: NDArray[Any], *, extra: Sequence[int] = (), **_options: object) -> None:
        """Write a box (c, x, y, z)."""
        width, height, depth = array.shape[1:]
        for index, in_chunk, in_box in _shared(topleft, (width, height, depth), extra):
            with self._lock:
                part = array[in_box]
                voxels = part if part.shape[1:] == self.chunk_shape else self._changed(index, in_chunk, part)
                self._chunks[index] = _compress(np.asfortranarray(voxels, self._dtype))

    def _changed(self, index: Index, in_chunk: tuple[slice, ...], part: NDArray[Any]) -> NDArray[Any]:
        """Return a chunk with a part of it replaced."""
        *extra, x, y, z = index
        corner = (x * EDGE, y * EDGE, z * EDGE)
        voxels = self._voxels(index) if index in self._chunks else self.read(corner, self.chunk_shape, extra=extra)
        voxels[in_chunk] = part
        return voxels

    def _voxels(self, index: Index) -> NDArray[Any]:
        flat = np.frombuffer(bytearray(self.chunk_bytes(index)), self._dtype)
        return flat.reshape((1, *self.chunk_shape), order="F")

    def _chunks_of_base(self) -> Iterator[Index]:
        if self._base is None:
            return
        shape = self._base.chunk_shape
        for *extra, x, y, z in self._base.chunks().tolist():
            edges = zip((x, y, z), shape, strict=True)
            spans = (range(at * edge // EDGE, ((at + 1) * edge - 1) // EDGE + 1) for at, edge in edges)
            yield from ((*extra, *place) for place in itertools.product(*spans))


def _shared(
    topleft: Triple, size: Triple, extra: Sequence[int]
) -> Iterator[tuple[Index, tuple[slice, ...], tuple[slice, ...]]]:
    """Yield the chunks that a box touches, and what they share with it: within the chunk and within the box."""
    ends = tuple(start + length for start, length in zip(topleft, size, strict=True))
    if min(size) <= 0:
        return
    spans = (range(max(start, 0) // EDGE, (end - 1) // EDGE + 1) for start, end in zip(topleft, ends, strict=True))
    for place in itertools.product(*spans):
        in_chunk, in_box = [slice(None)], [slice(None)]
        for at, start, end in zip(place, topleft, ends, strict=True):
            first, last = max(at * EDGE, start), min((at + 1) * EDGE, end)
            in_chunk.append(slice(first - at * EDGE, last - at * EDGE))
            in_box.append(slice(first - start, last - start))
        yield (*extra, *place), tuple(in_chunk), tuple(in_box)


def _compress(voxels: NDArray[Any]) -> bytes:
    # One thread: a chunk is too small to share, and callers may use threads of their own.
    flat = voxels.ravel(order="F")
    return bytes(blosc2.compress2(flat, codec=blosc2.Codec.LZ4, clevel=5, typesize=voxels.dtype.itemsize, nthreads=1))
