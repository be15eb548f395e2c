"""Voxels of one mag within a box: what mags and views of parts of them have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wkfast.dataset.data_format import DataFormat
from wkfast.errors import DatasetError, DatasetValueError
from wkfast.geometry import BoundingBox, Mag, Vec3Int

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wkfast.dataset.layer import Layer
    from wkfast.dataset.voxel_source import VoxelSource
    from wkfast.geometry import Vec3IntLike


@dataclass(frozen=True)
class MagInfo:
    """How a mag is stored. Shapes are x, y, z in voxels of the mag."""

    data_format: DataFormat
    voxel_type: np.dtype[Any]
    num_channels: int
    chunk_shape: Vec3Int
    shard_shape: Vec3Int
    chunks_per_shard: Vec3Int
    compression_mode: bool


class View:
    """A box of one mag. Made by :meth:`get_view` and :meth:`chunk`; a :class:`MagView` is one of a whole layer."""

    def __init__(
        self, layer: Layer, mag: Mag, source: VoxelSource, *, box: BoundingBox | None = None, read_only: bool = False
    ) -> None:
        self._layer = layer
        self._mag = mag
        self._source = source
        self._box_in_mag1 = box
        self._read_only = read_only

    @property
    def mag(self) -> Mag:
        """The magnification."""
        return self._mag

    @property
    def bounding_box(self) -> BoundingBox:
        """Box of the view in mag-1 voxels, whole voxels of the mag."""
        return self._frame.align_with_mag(self._mag, ceil=True)

    @property
    def read_only(self) -> bool:
        """Whether writing is refused."""
        return self._read_only or self._layer.dataset.read_only

    @property
    def info(self) -> MagInfo:
        """Format, type and shapes."""
        source = self._source
        chunk, per_shard = Vec3Int(source.chunk_shape), Vec3Int(source.chunks_per_shard)
        return MagInfo(
            data_format=DataFormat(source.data_format),
            voxel_type=self.get_dtype(),
            num_channels=source.channels,
            chunk_shape=chunk,
            shard_shape=chunk * per_shard,
            chunks_per_shard=per_shard,
            compression_mode=source.compressed,
        )

    @property
    def num_channels(self) -> int:
        """Values per voxel."""
        return self._source.channels

    def get_dtype(self) -> np.dtype[Any]:
        """Return the type of a voxel's channel."""
        return np.dtype(self._source.dtype)

    @property
    def _frame(self) -> BoundingBox:
        """What relative positions count from, and where writing is allowed."""
        return self._layer.bounding_box if self._box_in_mag1 is None else self._box_in_mag1

    def read(
        self,
        size: Vec3IntLike | None = None,
        *,
        relative_offset: Vec3IntLike | None = None,
        absolute_offset: Vec3IntLike | None = None,
        relative_bounding_box: BoundingBox | None = None,
        absolute_bounding_box: BoundingBox | None = None,
    ) -> NDArray[Any]:
        """Return voxels as an array (c, x, y, z) in Fortran order; what was never written is zero.

        Parameters
        ----------
        size
            In mag-1 voxels; default: up to the end of the box.
        absolute_offset, relative_offset
            Top left in mag-1 voxels, from the origin or from the box; default: the box's.
        absolute_bounding_box, relative_bounding_box
            Both at once.

        Raises
        ------
        ValueError
            The choices contradict each other, or the box does not lie on voxels of this mag.
        VolumeDataError
            A chunk is corrupt; the message names file and chunk.
        """
        others = (relative_offset, relative_bounding_box, absolute_bounding_box)
        if absolute_offset is not None and size is not None and others == (None, None, None):
            return self._source.read(*self._in_mag(absolute_offset, size))
        box = self._box(absolute_offset, relative_offset, size, absolute_bounding_box, relative_bounding_box)
        return self._source.read(*self._in_mag(box.topleft.to_tuple(), box.size.to_tuple()))

    def _in_mag(self, topleft: Vec3IntLike, size: Vec3IntLike) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Return a box in voxels of the mag, grown to whole ones. Plain numbers: small boxes are read by thousands."""
        (left, top, front), (width, height, depth) = (_numbers(topleft), _numbers(size))
        x, y, z = self._mag.to_tuple()
        if min(width, height, depth) < 0:
            raise DatasetValueError(f"cannot read a box of the size {width, height, depth}: no extent may be negative")
        start = (left // x, top // y, front // z)
        end = (-(-(left + width) // x), -(-(top + height) // y), -(-(front + depth) // z))
        return start, (end[0] - start[0], end[1] - start[1], end[2] - start[2])

    def write(
        self,
        data: NDArray[Any],
        *,
        allow_unaligned: bool = False,
        relative_offset: Vec3IntLike | None = None,
        absolute_offset: Vec3IntLike | None = None,
        relative_bounding_box: BoundingBox | None = None,
        absolute_bounding_box: BoundingBox | None = None,
    ) -> None:
        """Write voxels (c, x, y, z), or (x, y, z) where there is one channel.

        Any number of threads and processes may write at once: those that share a shard wait for each other, and every
        shard is replaced as a whole. Who writes a part of a shard rewrites all of it, so whole shards are fastest.

        Parameters
        ----------
        data
            Voxels of the mag; another dtype is converted if that changes no value.
        allow_unaligned
            Accept a box that covers shards in part, other than at the ends of the layer's box.
        absolute_offset, relative_offset
            Top left in mag-1 voxels, from the origin or from the box; default: the box's.
        absolute_bounding_box, relative_bounding_box
            The same with a size, which must be that of `data`.

        Raises
        ------
        DatasetValueError
            A ``ValueError``: shape, dtype or place do not fit. Nothing was written.
        DatasetError
            A ``RuntimeError``: the data are read-only.
        VolumeDataError
            A partly covered chunk is corrupt, or the file system refuses; each shard is as it was, or complete.
        """
        voxels = self._fitting(data)
        box = self._target(voxels, absolute_offset, relative_offset, absolute_bounding_box, relative_bounding_box)
        if not self.bounding_box.contains_bbox(box):
            raise DatasetValueError(f"{box} does not lie in {self.bounding_box}, the box of {self!r}")
        self._put(voxels, box, None if allow_unaligned else self._layer.bounding_box)

    def get_view(
        self,
        size: Vec3IntLike | None = None,
        *,
        relative_offset: Vec3IntLike | None = None,
        absolute_offset: Vec3IntLike | None = None,
        relative_bounding_box: BoundingBox | None = None,
        absolute_bounding_box: BoundingBox | None = None,
        read_only: bool | None = None,
    ) -> View:
        """Return a part of this view; positions are given as in :meth:`read`.

        Raises
        ------
        DatasetValueError
            The part is larger than the view, which only read-only ones may be, or does not lie on voxels of the mag.
        """
        box = self._box(absolute_offset, relative_offset, size, absolute_bounding_box, relative_bounding_box)
        self._check_on_voxels(box)
        only_read = self.read_only if read_only is None else read_only
        if self.read_only and not only_read:
            raise DatasetValueError(f"{self!r} is read-only, a view of it cannot be writable")
        if not only_read and not self.bounding_box.contains_bbox(box):
            raise DatasetValueError(
                f"{box} does not lie in {self.bounding_box}; only read-only views may reach out of it"
            )
        return View(self._layer, self._mag, self._source, box=box, read_only=only_read)

    def chunk(
        self,
        chunk_shape: Vec3IntLike,
        *,
        chunk_border_alignments: Vec3IntLike | None = None,
        read_only: bool | None = None,
    ) -> Iterator[View]:
        """Yield views that tile this one.

        Parameters
        ----------
        chunk_shape
            Size of a tile in mag-1 voxels; those at the end are smaller.
        chunk_border_alignments
            Borders lie on multiples of these; default: they count from the top left.
        """
        for box in self.bounding_box.chunk(Vec3Int(chunk_shape), chunk_border_alignments):
            yield self.get_view(absolute_bounding_box=box, read_only=read_only)

    def content_is_equal(self, other: View, *, chunk_shape: Vec3IntLike | None = None) -> bool:
        """Return whether `other` has the same box and the same voxels. It is read in pieces.

        Parameters
        ----------
        chunk_shape
            Size of a piece in mag-1 voxels; default: about 64 MB.
        """
        if self.bounding_box != other.bounding_box or self.num_channels != other.num_channels:
            return False
        shape = Vec3Int(chunk_shape) if chunk_shape is not None else self._mag.to_vec3_int() * 256
        pieces = self.bounding_box.chunk(shape, shape)
        return all(
            np.array_equal(self.read(absolute_bounding_box=piece), other.read(absolute_bounding_box=piece))
            for piece in pieces
        )

    def _check_writable(self) -> None:
        if self.read_only:
            raise DatasetError(f"{self!r} is read-only")
        if not hasattr(self._source, "write"):
            raise DatasetError(f"{self!r} is read-only: its voxels are computed or fetched while they are read")

    def _put(self, voxels: NDArray[Any], box: BoundingBox, whole: BoundingBox | None) -> None:
        """Write into a box; given `whole`, the layer's, only if it covers shards as far as `whole` reaches."""
        self._check_writable()
        in_mag = box.in_mag(self._mag)
        if whole is not None:
            self._check_aligned(in_mag, whole.align_with_mag(self._mag, ceil=True).in_mag(self._mag))
        self._source.write(_triple(in_mag.topleft), voxels)  # type: ignore[attr-defined] # checked above

    def _fitting(self, data: NDArray[Any]) -> NDArray[Any]:
        """Return `data` with four axes and of the mag's dtype."""
        voxels = np.asarray(data)
        if voxels.ndim == len("xyz"):
            voxels = voxels[np.newaxis]
        channels, dtype = self.num_channels, self.get_dtype()
        if voxels.ndim != len("cxyz") or voxels.shape[0] != channels:
            raise DatasetValueError(f"an array of the shape {data.shape} is not ({channels}, x, y, z)")
        if voxels.dtype == dtype:
            return voxels.astype(dtype, copy=False)
        with np.errstate(invalid="ignore"):
            converted = voxels.astype(dtype)
        if not np.array_equal(converted, voxels):
            raise DatasetValueError(f"values of {voxels.dtype} do not fit into {dtype}, the type of {self!r}")
        return converted

    def _target(
        self,
        voxels: NDArray[Any],
        absolute_offset: Vec3IntLike | None,
        relative_offset: Vec3IntLike | None,
        absolute_bounding_box: BoundingBox | None,
        relative_bounding_box: BoundingBox | None,
    ) -> BoundingBox:
        """Return the box in mag-1 voxels that `voxels` are to fill."""
        size = Vec3Int(voxels.shape[1:]) * self._mag.to_vec3_int()
        box = self._box(absolute_offset, relative_offset, size, absolute_bounding_box, relative_bounding_box)
        self._check_on_voxels(box.with_size(size))
        if box.align_with_mag(self._mag, ceil=True).size != size:
            raise DatasetValueError(f"{box} is not filled by an array of the shape {voxels.shape} in mag {self._mag}")
        if min(box.topleft.to_tuple()) < 0:
            raise DatasetValueError(f"{box} cannot be written: it begins at a negative coordinate")
        return box.with_size(size)

    def _check_on_voxels(self, box: BoundingBox) -> None:
        if box.align_with_mag(self._mag) != box:
            raise DatasetValueError(f"{box} does not lie on voxels of mag {self._mag}; see BoundingBox.align_with_mag")

    def _check_aligned(self, box: BoundingBox, edge: BoundingBox) -> None:
        """Refuse a box that covers shards in part, other than at the ends of `edge`; both in voxels of the mag."""
        shard = self.info.shard_shape
        start, end = box.topleft, box.bottomright
        for axis in range(3):
            starts = start[axis] % shard[axis] == 0 or start[axis] <= edge.topleft[axis]
            ends = end[axis] % shard[axis] == 0 or end[axis] >= edge.bottomright[axis]
            if not (starts and ends):
                raise DatasetValueError(
                    f"{box} (in mag {self._mag}) is not aligned with shards of {shard}: each would be rewritten for a "
                    "part of it. Write whole shards, or pass allow_unaligned=True"
                )

    def _box(
        self,
        absolute_offset: Vec3IntLike | None,
        relative_offset: Vec3IntLike | None,
        size: Vec3IntLike | None,
        absolute_bounding_box: BoundingBox | None,
        relative_bounding_box: BoundingBox | None,
    ) -> BoundingBox:
        frame = self._frame
        choices = (absolute_offset, relative_offset, absolute_bounding_box, relative_bounding_box)
        if sum(choice is not None for choice in choices) > 1:
            raise DatasetValueError("give one offset or one bounding box, absolute or relative")
        if absolute_bounding_box is not None:
            return absolute_bounding_box
        if relative_bounding_box is not None:
            return relative_bounding_box.offset(frame.topleft)
        offset = frame.topleft
        if absolute_offset is not None:
            offset = Vec3Int(absolute_offset)
        elif relative_offset is not None:
            offset = frame.topleft + Vec3Int(relative_offset)
        extent = Vec3Int(size) if size is not None else frame.bottomright - offset
        if min(extent.to_tuple()) < 0:
            raise DatasetValueError(f"cannot take a box of the size {extent}: no extent may be negative")
        return BoundingBox(offset, extent)

    def __repr__(self) -> str:
        return f"View({self._layer.name!r}, mag={self._mag}, bounding_box={self.bounding_box})"


def _numbers(vector: Vec3IntLike) -> tuple[int, ...]:
    """Return three whole numbers; a tuple of them is taken as it is."""
    if isinstance(vector, tuple) and [type(number) for number in vector] == [int, int, int]:
        return vector
    return Vec3Int(vector).to_tuple()


def _triple(vector: Vec3Int) -> tuple[int, int, int]:
    x, y, z = vector.to_tuple()
    return x, y, z
