"""Shapes of new mags: what callers give in several ways, with WEBKNOSSOS's defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wkfast.dataset.data_format import FACTS
from wkfast.dataset.defaults import DEFAULT_CHUNK_SHAPE, DEFAULT_SHARD_SHAPE
from wkfast.errors import DatasetValueError
from wkfast.geometry import Vec3Int

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from wkfast import _core
    from wkfast.dataset.data_format import DataFormat
    from wkfast.geometry import Mag, NDBoundingBox, Vec3IntLike


@dataclass(frozen=True)
class Shapes:
    """How a new mag is cut and stored, in the words of callers; ``None``: by default, or like what it is made of."""

    chunk_shape: Vec3IntLike | int | None = None
    shard_shape: Vec3IntLike | int | None = None
    chunks_per_shard: Vec3IntLike | int | None = None
    compress: bool | None = None

    @property
    def given(self) -> bool:
        """Whether any shape is."""
        return (self.chunk_shape, self.shard_shape, self.chunks_per_shard) != (None, None, None)


def new_mag(
    data_format: DataFormat,
    dtype: np.dtype[Any],
    channels: int,
    shapes: Shapes,
    *,
    extent: tuple[int, int, int] = (0, 0, 0),
    axes: Mapping[str, int] | None = None,
    any_shape: bool = False,
) -> _core.NewMag:
    """Return what a new mag is to be, for ``_core.Mag.create``.

    Parameters
    ----------
    shapes
        Default: chunks of 32³, in shards of 1024³ where there are shards, compressed.
    axes
        Name and exclusive end of each axis, in the array's order; default: c, x, y, z.
    any_shape
        Accept edges that are no powers of two, which WEBKNOSSOS does not create: for what is like a mag there is.

    Raises
    ------
    DatasetValueError
        Both are given, chunks do not fill shards, or an edge is no power of two.

    Examples
    --------
    >>> import numpy as np
    >>> from wkfast.dataset import DataFormat
    >>> new_mag(DataFormat.Zarr3, np.dtype("uint8"), 1, Shapes(shard_shape=64))["chunks_per_shard"]
    [2, 2, 2]
    """
    facts = FACTS[data_format]
    chunk = _shape(shapes.chunk_shape, DEFAULT_CHUNK_SHAPE)
    per_shard = _per_shard(chunk, shapes, sharded=facts.has_shards)
    if not any_shape:
        _check_powers_of_two(chunk, chunk * per_shard)
    along = {} if axes is None or not facts.is_array else _axes(axes)
    return {
        "format": data_format.value,
        "voxel_type": dtype.name,
        "channels": channels,
        "chunk_shape": chunk.to_list(),
        "chunks_per_shard": per_shard.to_list(),
        "compress": shapes.compress is not False,
        "extent": list(extent),
        **along,  # type: ignore[typeddict-item] # of the same TypedDict
    }


def _check_powers_of_two(chunk: Vec3Int, shard: Vec3Int) -> None:
    for what, shape in (("chunks", chunk), ("shards", shard)):
        if any(edge & (edge - 1) for edge in shape):
            raise DatasetValueError(f"{what} of {shape}: WEBKNOSSOS takes powers of two only, such as 32 or 1024")


def _axes(axes: Mapping[str, int]) -> dict[str, Any]:
    extra = [{"name": axis, "length": end} for axis, end in axes.items() if axis not in "cxyz"]
    return {"extra_axes": extra, "axes": list(axes)}


def extent_in_mag(box: NDBoundingBox, mag: Mag) -> tuple[int, int, int]:
    """Return the end of a box in mag-1 voxels, in voxels of `mag`."""
    x, y, z = box.align_with_mag(mag, ceil=True).in_mag(mag).bottomright_xyz.to_tuple()
    return max(0, x), max(0, y), max(0, z)


def joined(first: NDBoundingBox, other: NDBoundingBox) -> NDBoundingBox:
    """Return the box around two of the same axes; an empty one holds nothing, wherever it is."""
    if first.is_empty() or other.is_empty():
        return other if first.is_empty() else first
    topleft = first.topleft.pairmin(other.topleft)
    return first.with_topleft(topleft).with_size(first.bottomright.pairmax(other.bottomright) - topleft)


def _per_shard(chunk: Vec3Int, shapes: Shapes, *, sharded: bool) -> Vec3Int:
    if shapes.shard_shape is not None and shapes.chunks_per_shard is not None:
        raise DatasetValueError("give shard_shape or chunks_per_shard, not both")
    if shapes.chunks_per_shard is not None:
        return _shape(shapes.chunks_per_shard, chunk)
    if shapes.shard_shape is None:
        return DEFAULT_SHARD_SHAPE.pairmax(chunk) // chunk if sharded else Vec3Int.ones()
    shard = _shape(shapes.shard_shape, chunk)
    if shard % chunk != Vec3Int.zeros():
        raise DatasetValueError(f"chunks of {chunk} do not fill shards of {shard}")
    return shard // chunk


def _shape(value: Vec3IntLike | int | None, default: Vec3Int) -> Vec3Int:
    if value is None:
        return default
    shape = Vec3Int.from_vec_or_int(value)
    if min(shape.to_tuple()) < 1:
        raise DatasetValueError(f"a shape of {shape} holds nothing")
    return shape
