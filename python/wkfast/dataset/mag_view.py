"""One mag of a layer: an array of voxels on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wkfast._lazy import lazy_import
from wkfast.dataset.data_format import DataFormat
from wkfast.errors import DatasetError
from wkfast.geometry import BoundingBox, Mag, Vec3Int

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wkfast.dataset.layer import Layer
    from wkfast.dataset.voxel_source import VoxelSource

zarr: Any = lazy_import("zarr")
source_store: Any = lazy_import("wkfast.dataset.source_store")


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


class MagView:
    """Voxels of one mag. Obtained from a layer, e.g. ``layer.get_finest_mag()``."""

    def __init__(self, layer: Layer, mag: Mag, source: VoxelSource, path: Path | None) -> None:
        self._layer = layer
        self._mag = mag
        self._source = source
        self._path = path

    @property
    def layer(self) -> Layer:
        """The layer this mag belongs to."""
        return self._layer

    @property
    def mag(self) -> Mag:
        """The magnification."""
        return self._mag

    @property
    def name(self) -> str:
        """Name of the folder, e.g. ``2-2-1``."""
        return self._mag.to_layer_name()

    @property
    def path(self) -> Path:
        """Folder of the mag.

        Raises
        ------
        DatasetError
            The mag lies inside an archive.
        """
        if self._path is None:
            raise DatasetError(f"mag {self.name} of layer {self._layer.name!r} lies in an archive and has no folder")
        return self._path

    @property
    def bounding_box(self) -> BoundingBox:
        """Box of the layer in mag-1 voxels, grown to whole voxels of this mag."""
        return self._layer.bounding_box.align_with_mag(self._mag, ceil=True)

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

    def get_dtype(self) -> np.dtype[Any]:
        """Return the type of a voxel's channel."""
        return np.dtype(self._source.dtype)

    def read(
        self,
        *,
        absolute_offset: Vec3Int | Sequence[int] | None = None,
        relative_offset: Vec3Int | Sequence[int] | None = None,
        size: Vec3Int | Sequence[int] | None = None,
        absolute_bounding_box: BoundingBox | None = None,
        relative_bounding_box: BoundingBox | None = None,
    ) -> NDArray[Any]:
        """Return voxels as an array (c, x, y, z) in Fortran order; what was never written is zero.

        Parameters
        ----------
        absolute_offset, relative_offset
            Top left in mag-1 voxels, from the origin or from the layer's box; default: the box's.
        size
            In mag-1 voxels; default: up to the end of the layer's box.
        absolute_bounding_box, relative_bounding_box
            Both at once.

        Raises
        ------
        ValueError
            The choices contradict each other, or the box does not lie on voxels of this mag.
        VolumeDataError
            A chunk is corrupt; the message names file and chunk.
        """
        box = self._box(absolute_offset, relative_offset, size, absolute_bounding_box, relative_bounding_box)
        in_mag = box.align_with_mag(self._mag, ceil=True).in_mag(self._mag)
        (left, top, front), (width, height, depth) = in_mag.topleft.to_tuple(), in_mag.size.to_tuple()
        return self._source.read((left, top, front), (width, height, depth))

    def get_zarr_array(self) -> Any:
        """Return the mag as a ``zarr.Array``, opened for reading.

        A mag without files of its own, such as one that is merged while it is read, becomes an array (c, x, y, z) whose
        chunks are read when they are asked for; dask can share it among threads.

        Raises
        ------
        DatasetError
            The layer is WKW, which is no Zarr.
        """
        if self._path is None:
            extent = self.bounding_box.in_mag(self._mag).bottomright.to_tuple()
            return source_store.source_array(self._source, extent, f"mag {self.name} of layer {self._layer.name!r}")
        if self.info.data_format is DataFormat.WKW:
            raise DatasetError(f"layer {self._layer.name!r} is stored as WKW and has no Zarr array; use read()")
        return zarr.open_array(self.path, mode="r")

    def _box(
        self,
        absolute_offset: Vec3Int | Sequence[int] | None,
        relative_offset: Vec3Int | Sequence[int] | None,
        size: Vec3Int | Sequence[int] | None,
        absolute_bounding_box: BoundingBox | None,
        relative_bounding_box: BoundingBox | None,
    ) -> BoundingBox:
        layer_box = self._layer.bounding_box
        choices = (absolute_offset, relative_offset, absolute_bounding_box, relative_bounding_box)
        if sum(choice is not None for choice in choices) > 1:
            raise ValueError("give one offset or one bounding box, absolute or relative")
        if absolute_bounding_box is not None:
            return absolute_bounding_box
        if relative_bounding_box is not None:
            return relative_bounding_box.offset(layer_box.topleft)
        offset = layer_box.topleft
        if absolute_offset is not None:
            offset = Vec3Int(absolute_offset)
        elif relative_offset is not None:
            offset = layer_box.topleft + Vec3Int(relative_offset)
        extent = Vec3Int(size) if size is not None else layer_box.bottomright - offset
        if min(extent.to_tuple()) < 0:
            raise ValueError(f"cannot read a box of the size {extent}: no extent may be negative")
        return BoundingBox(offset, extent)

    def __repr__(self) -> str:
        return f"MagView(name={self.name!r}, bounding_box={self.bounding_box})"
