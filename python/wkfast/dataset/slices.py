"""Slices of a mag one after the other, read and written in buffers as thick as its chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from wkfast._lazy import lazy_import
from wkfast.errors import DatasetValueError
from wkfast.geometry import BoundingBox, Vec3Int
from wkfast.geometry.constants import XYZ_AXES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

    from wkfast.dataset.view import View
    from wkfast.geometry import NDBoundingBox
else:
    np = lazy_import("numpy")


class BufferedSliceReader:
    """Slices (c, and the other two axes) of a box along an axis; made by :meth:`View.get_buffered_slice_reader`."""

    def __init__(self, view: View, box: NDBoundingBox, buffer_size: int | None, dimension: str | int) -> None:
        self._view = view
        self._box = box
        self._axis = axis_number(dimension)
        self._thickness = _checked_buffer(view, self._axis, buffer_size)

    def __enter__(self) -> Iterator[NDArray[Any]]:
        return iter(self)

    def __exit__(self, *raised: object) -> None:
        """Nothing is open."""

    def __iter__(self) -> Iterator[NDArray[Any]]:
        edge = self._view.mag.to_tuple()[self._axis]
        step = self._box.size_xyz.with_replaced(self._axis, self._thickness * edge)
        for box in BoundingBox(self._box.topleft_xyz, self._box.size_xyz).chunk(step):
            voxels = self._view.read_cxyz(absolute_bounding_box=box)
            yield from np.moveaxis(voxels, self._axis + 1, 0)


class BufferedSliceWriter:
    """Takes slices one after the other and writes them in buffers; made by :meth:`View.get_buffered_slice_writer`."""

    def __init__(
        self,
        view: View,
        topleft: Vec3Int,
        bounds: NDBoundingBox | None,
        buffer_size: int | None,
        dimension: str | int,
        *,
        allow_unaligned: bool,
    ) -> None:
        self._view = view
        self._next = topleft
        self._bounds = bounds
        self._axis = axis_number(dimension)
        self._allow_unaligned = allow_unaligned
        self._edge = view.mag.to_tuple()[self._axis]
        self._thickness = _checked_buffer(view, self._axis, buffer_size)
        self._held: list[NDArray[Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is held, unless something went wrong."""
        if kind is None:
            self._flush()

    def send(self, data: NDArray[Any]) -> None:
        """Take the next slice: the two other axes, with the channels in front where there are several.

        Raises
        ------
        DatasetValueError
            It has another shape than the slices before, or lies behind the end. What was written stays.
        """
        piece = np.asarray(data)
        piece = piece[np.newaxis] if piece.ndim == len(XYZ_AXES) - 1 else piece
        if piece.ndim != len(XYZ_AXES) or (self._held and piece.shape != self._held[0].shape):
            raise DatasetValueError(f"a slice of the shape {np.shape(data)} does not go on {self._shape_held()}")
        self._held.append(piece)
        end = self._next[self._axis] // self._edge + len(self._held)
        if end % self._thickness == 0:
            self._flush()

    def _flush(self) -> None:
        if not self._held:
            return
        voxels = np.stack(self._held, axis=self._axis + 1)
        size = Vec3Int(voxels.shape[1:]) * self._view.mag.to_vec3_int()
        box = BoundingBox(self._next, size)
        if self._bounds is not None and not self._bounds.contains_bbox(box):
            raise DatasetValueError(f"slices up to {box} lie behind the end of {self._bounds}")
        self._view.write_cxyz(voxels, absolute_offset=self._next, allow_unaligned=self._allow_unaligned)
        self._next = self._next.with_replaced(self._axis, self._next[self._axis] + len(self._held) * self._edge)
        self._held = []

    def _shape_held(self) -> str:
        return f"those of {self._held[0].shape}" if self._held else "as a slice with or without channels"


def slice_writer(
    view: View,
    box: NDBoundingBox,
    buffer_size: int | None,
    dimension: str | int,
    *,
    bounded: bool,
    allow_unaligned: bool,
) -> BufferedSliceWriter:
    """Return a writer that begins at the top left of a box; see :meth:`View.get_buffered_slice_writer`.

    Raises
    ------
    DatasetValueError
        It begins within a shard.
    """
    axis = axis_number(dimension)
    shard = (view.info.shard_shape * view.mag.to_vec3_int())[axis]
    start, first = box.topleft_xyz[axis], view.bounding_box.topleft_xyz[axis]
    if not allow_unaligned and start % shard and start != first:
        raise DatasetValueError(
            f"slices from {box.topleft_xyz} on begin within shards {shard} voxels thick, each of which would be "
            "written twice: begin at a multiple, or pass allow_unaligned=True"
        )
    bounds = box if bounded else None
    return BufferedSliceWriter(view, box.topleft_xyz, bounds, buffer_size, dimension, allow_unaligned=allow_unaligned)


def axis_number(dimension: str | int) -> int:
    """Return the place of an axis in x, y, z.

    Raises
    ------
    DatasetValueError
        There is no such axis.
    """
    place = XYZ_AXES.index(dimension) if dimension in XYZ_AXES else dimension
    if not isinstance(place, int) or not 0 <= place < len(XYZ_AXES):
        raise DatasetValueError(f"there are no slices along {dimension!r}: choose x, y, z, or 0, 1, 2")
    return place


def _checked_buffer(view: View, axis: int, buffer_size: int | None) -> int:
    """Return how many slices are held: by default as many as a file of the mag is thick."""
    if buffer_size is not None and buffer_size < 1:
        raise DatasetValueError(f"a buffer of {buffer_size} slices holds nothing")
    return view.info.shard_shape[axis] if buffer_size is None else buffer_size
