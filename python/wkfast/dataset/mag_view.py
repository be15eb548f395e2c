"""One mag of a layer: an array of voxels on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wkfast import _core
from wkfast._lazy import lazy_import
from wkfast.dataset.additional_axes import completed, is_flat
from wkfast.dataset.data_format import DataFormat
from wkfast.dataset.new_mag import extent_in_mag, joined
from wkfast.dataset.rechunking import Rechunking
from wkfast.dataset.view import MagInfo, View
from wkfast.errors import DatasetError, DatasetValueError
from wkfast.geometry import BoundingBox, Mag, NDBoundingBox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from wkfast.dataset.layer import Layer
    from wkfast.dataset.voxel_source import VoxelSource
    from wkfast.geometry import Vec3IntLike

__all__ = ["MagInfo", "MagView"]

zarr: Any = lazy_import("zarr")
source_store: Any = lazy_import("wkfast.dataset.source_store")


class MagView(Rechunking, View):
    """Voxels of one mag. Obtained from a layer, e.g. ``layer.get_finest_mag()``."""

    def __init__(
        self, layer: Layer, mag: Mag, source: VoxelSource, path: Path | None, *, read_only: bool = False
    ) -> None:
        super().__init__(layer, mag, source, read_only=read_only)
        self._path = path

    @property
    def layer(self) -> Layer:
        """The layer this mag belongs to."""
        return self._layer

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
    def is_foreign(self) -> bool:
        """Whether the voxels belong to another dataset, or to none."""
        return self._path is None or not self._layer.dataset.owns(self._path)

    @property
    def read_only(self) -> bool:
        """Whether writing is refused: the dataset is opened so, or the voxels are another dataset's."""
        return super().read_only or self.is_foreign

    def write(
        self,
        data: NDArray[Any],
        *,
        allow_resize: bool = False,
        allow_unaligned: bool = False,
        relative_offset: Vec3IntLike | None = None,
        absolute_offset: Vec3IntLike | None = None,
        relative_bounding_box: NDBoundingBox | None = None,
        absolute_bounding_box: NDBoundingBox | None = None,
    ) -> None:
        """Write voxels (c, x, y, z), or (x, y, z) where there is one channel; see :meth:`View.write`.

        Parameters
        ----------
        data
            Voxels of the mag; another dtype is converted if that changes no value, or rounds longer floats.
        allow_resize
            Grow the layer's box to hold them.
        allow_unaligned
            Accept a box that covers shards in part, other than at the ends of the layer's box.
        absolute_offset, relative_offset, absolute_bounding_box, relative_bounding_box
            Where, in mag-1 voxels; default: the top left of the layer's box.

        Raises
        ------
        DatasetValueError
            A ``ValueError``: shape, dtype or place do not fit. Nothing was written.
        DatasetError
            A ``RuntimeError``: the data are read-only.
        VolumeDataError
            A partly covered chunk is corrupt, or the file system refuses; each shard is as it was, or complete.

        Examples
        --------
        >>> from wkfast import Dataset
        >>> layer = Dataset(tmp_path / "new", voxel_size=(4, 4, 40)).add_layer("labels", "segmentation", dtype="uint32")
        >>> mag = layer.add_mag(1)
        >>> mag.write(np.full((3, 4, 5), 7, np.uint32), absolute_offset=(10, 10, 10), allow_resize=True)
        >>> layer.bounding_box
        BoundingBox(topleft=(10, 10, 10), size=(3, 4, 5))
        >>> int(mag.read().sum())
        420
        """
        self._check_writable()
        voxels, box = self._placed(data, absolute_offset, relative_offset, absolute_bounding_box, relative_bounding_box)
        inside = self.bounding_box.contains_bbox(box)
        if not inside and not allow_resize:
            raise DatasetValueError(
                f"{box} does not lie in the layer's box {self._layer.bounding_box}; pass allow_resize=True, or set "
                "layer.bounding_box first"
            )
        grown = joined(self._layer.bounding_box, box)
        self._put(voxels, box, None if allow_unaligned else grown)
        if not inside:
            self._layer.extend_bounding_box(box)

    def adopt(self, renewed: MagView) -> None:
        """Look at the files that have taken the place of those this view was opened on."""
        self._source = renewed._source

    def grow_to(self, box: NDBoundingBox) -> None:
        """Make an array that states its extent reach to the end of a box in mag-1 voxels."""
        if not self.read_only and isinstance(self._source, _core.Mag):
            last = [max(0, box.bottomright.get(axis) - 1) for axis in self._source.extra_axes]
            self._source.grow(extent_in_mag(box, self._mag), extra=last)

    def get_bounding_boxes_on_disk(self) -> Iterator[NDBoundingBox]:
        """Yield the box of every file with voxels, in mag-1 voxels: a shard, or a chunk where there are no shards."""
        yield from self._boxes_on_disk()

    def get_views_on_disk(self, read_only: bool | None = None) -> Iterator[View]:
        """Yield a view of the part of every file with voxels that lies in the layer's box."""
        for box in self._boxes_on_disk():
            part = box.intersected_with(self.bounding_box, dont_assert=True)
            if not part.is_empty():
                inside = BoundingBox(part.topleft_xyz, part.size_xyz) if is_flat(part) else part
                yield self.get_view(absolute_bounding_box=inside, read_only=read_only)

    def _boxes_on_disk(self) -> Iterator[NDBoundingBox]:
        names, chunks = self._source.extra_axes, self._source.chunks().astype(np.int64)
        per_shard = np.array([1] * len(names) + list(self._source.chunks_per_shard))
        shards = np.unique(chunks // per_shard, axis=0) if len(chunks) else chunks
        size = self.info.shard_shape * self._mag.to_vec3_int()
        if not names:
            yield from BoundingBox.of_one_size(shards * np.array(size.to_tuple()), size)
            return
        frame = self._layer.bounding_box
        for *extra, x, y, z in shards.tolist():
            place = NDBoundingBox((*extra, *(size * (x, y, z))), (*[1] * len(extra), *size), (*names, *"xyz"))
            yield completed(place, frame)

    def get_zarr_array(self) -> Any:
        """Return the mag as a ``zarr.Array``, writable where the mag is.

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
        return zarr.open_array(self.path, mode="r" if self.read_only else "r+")

    def __repr__(self) -> str:
        return f"MagView(name={self.name!r}, bounding_box={self.bounding_box})"
