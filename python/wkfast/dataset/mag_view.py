"""One mag of a layer: an array of voxels on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import
from wkfast.dataset.additional_axes import completed, is_flat
from wkfast.dataset.chunk_loops import merge_chunk
from wkfast.dataset.data_format import FACTS
from wkfast.dataset.kept import kept_by_entry
from wkfast.dataset.new_mag import Shapes, extent_in_mag, joined
from wkfast.dataset.points import voxels_at
from wkfast.dataset.rechunking import map_chunks, merge_with_view, rechunk
from wkfast.dataset.references import referenced_mag
from wkfast.dataset.reshaping import Workers
from wkfast.dataset.view import MagInfo, View
from wkfast.errors import DatasetError, DatasetValueError, ReadOnlyError, VolumeDataError
from wkfast.geometry import BoundingBox, NDBoundingBox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from os import PathLike

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from wkfast.buckets import ObjectPath
    from wkfast.dataset.layer import Layer
    from wkfast.dataset.place import WritablePlace
    from wkfast.geometry import Vec3IntLike
    from wkfast.progress import Progress
else:
    np = lazy_import("numpy")

__all__ = ["MagInfo", "MagView"]

zarr: Any = lazy_import("zarr")


@kept_by_entry(layer=(), name=(), path=("mags", "name"), _folder=("mags", "name"), read_only=("mags", "name"))
class MagView(View):
    """Voxels of one mag. Obtained from a layer, e.g. ``layer.get_finest_mag()``."""

    __slots__ = ()

    @property
    def layer(self) -> Layer:
        """The layer this mag belongs to."""
        return self._layer

    @property
    def name(self) -> str:
        """Name of the folder, e.g. ``2-2-1``."""
        return self._mag.to_layer_name()

    @property
    def path(self) -> Path | ObjectPath:
        """Folder of the mag; its address, if that is in a bucket.

        Raises
        ------
        DatasetError
            The mag lies in an archive, in memory or on a WEBKNOSSOS server.
        """
        folder = self._folder
        if folder is None:
            raise DatasetError(f"{self._title} {self._layer._place.no_folder}")
        return folder

    @property
    def _title(self) -> str:
        """What messages call it."""
        return f"mag {self.name} of layer {self._layer.name!r}"

    @property
    def _folder(self) -> Path | ObjectPath | None:
        layer = self._layer
        return layer._place.mag_folder(layer._properties, self._mag, layer._entry_of(self._mag))

    @property
    def read_only(self) -> bool:
        """Whether writing is refused: the dataset is opened so, or the voxels are another dataset's.

        As of when it was first asked for, or since the dataset listed other mags; what is written asks anew each time.
        """
        return super().read_only or self._refers

    @property
    def _refers(self) -> bool:
        """Whether the files are another layer's: they are not written through this mag."""
        return self._layer._place.refers(self._layer._properties, self._folder)

    def _writable(self) -> WritablePlace:
        place = super()._writable()
        if place.is_foreign(self._folder):
            raise self._reference_error()
        return place

    def _put(self, voxels: NDArray[Any], box: NDBoundingBox, whole: NDBoundingBox | None) -> None:
        # Another layer's files in this dataset can be replaced by ones of this layer, and are not written to either.
        if self._refers:
            raise self._reference_error()
        super()._put(voxels, box, whole)

    def _reference_error(self) -> ReadOnlyError:
        return ReadOnlyError(
            f"{self._title} is read-only: its files at {self._folder} are another layer's; referenced_mag() is the mag "
            "there, which can be written to"
        )

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
        self._writable()
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
            self._layer._extend_bounding_box(box)

    def write_cxyz(
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
        """Write voxels (c, x, y, z), whatever the axes of the layer's arrays; see :meth:`write`.

        Parameters
        ----------
        data
            Also (x, y, z) where there is one channel.
        allow_resize, allow_unaligned, relative_offset, absolute_offset, relative_bounding_box, absolute_bounding_box
            As of :meth:`write`.
        """
        voxels, where = self._from_cxyz(
            data, absolute_offset, relative_offset, absolute_bounding_box, relative_bounding_box
        )
        self.write(voxels, allow_resize=allow_resize, allow_unaligned=allow_unaligned, **where)

    def compress(
        self, *, target_path: str | PathLike[str] | None = None, executor: Any = None, progress: Progress = None
    ) -> None:
        """Compress the mag's files, in place or into another dataset; a compressed mag is left as it is.

        The mag is what it was until all is done, whatever happens; see :meth:`rechunk`.

        Parameters
        ----------
        target_path
            Folder of a dataset, created if need be, whose layer of the same name gets the mag; default: in place.
        executor
            Of ``concurrent.futures``, or one like it; default: the core's threads.
        progress
            ``True`` for a bar, or what is called with files done and in all.
        """
        if target_path is None:
            self._writable()
        if target_path is not None or not self.info.compression_mode:
            rechunk(self, Shapes(compress=True), target_path, Workers(executor, progress, "compressing"))

    def rechunk(
        self,
        *,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        compress: bool | None = None,
        target_path: str | PathLike[str] | None = None,
        executor: Any = None,
        progress: Progress = None,
    ) -> None:
        """Cut the mag into other chunks or files, in place or into another dataset.

        New files are written beside the old ones and change places with them in one step: until then, and if anything
        fails, the mag is what it was. Chunks that look the same are copied as they are; erased chunks stay erased. In a
        bucket the mag gets a folder of another name; processes that have it open read zeros there from then on.

        Parameters
        ----------
        chunk_shape, shard_shape, compress
            Default: as they are.
        target_path
            Folder of a dataset, created if need be, whose layer of the same name gets the mag.
        executor
            Of ``concurrent.futures``, or one like it; default: the core's threads.
        progress
            ``True`` for a bar, or what is called with files done and in all.

        Raises
        ------
        DatasetValueError
            The format does not have such shapes.
        ExistsError
            The dataset at `target_path` has the mag already.
        VolumeDataError
            A chunk is damaged, or the file system refuses. The mag is what it was.
        """
        if target_path is None:
            self._writable()
        shapes, workers = Shapes(chunk_shape, shard_shape, compress=compress), Workers(executor, progress, "rechunking")
        rechunk(self, shapes, target_path, workers)

    def merge_with_view(self, other: MagView, executor: Any = None) -> None:
        """Lay the chunks of another mag over this one: whatever chunk it has replaces what is here, zeros included.

        The mag is what it was until all is done. The layer's box grows to the chunks of the other.

        Parameters
        ----------
        other
            Same mag, dtype and channels; a file for every chunk, as annotations have them.
        executor
            Of ``concurrent.futures``, or one like it; default: the core's threads.

        Raises
        ------
        DatasetValueError
            The two do not fit.
        """
        self._writable()
        merge_with_view(self, other, executor)

    def values_at(
        self, positions: ArrayLike, *, additional_coordinates: Mapping[str, ArrayLike] | None = None
    ) -> NDArray[Any]:
        """Return the voxels at scattered positions.

        Every chunk that holds some is read and decoded once, on all cores; of a shard, its index and those chunks.

        Parameters
        ----------
        positions
            Shape ``(n, 3)``: x, y, z in mag-1 voxels, in any order, as often as you like.
        additional_coordinates
            Where the positions are on the axes beyond x, y, z, e.g. ``{"t": 3}``: a number, or one for each position.
            An axis with a single slice may be left out.

        Returns
        -------
        ndarray
            Of the layer's dtype, shape ``(n,)``, or ``(n, channels)`` where there are several. What :meth:`read` finds
            there: 0 where nothing was ever written, and outside of the layer.

        Raises
        ------
        DatasetValueError
            A ``ValueError``: positions of another shape, or that are no whole numbers.
        VolumeDataError
            A chunk is damaged; the message names file and chunk.

        Examples
        --------
        >>> from wkfast import Dataset
        >>> layer = Dataset(tmp_path / "new", voxel_size=(4, 4, 40)).add_layer("labels", "segmentation", dtype="uint32")
        >>> mag = layer.add_mag(1)
        >>> mag.write(np.full((3, 4, 5), 7, np.uint32), absolute_offset=(10, 10, 10), allow_resize=True)
        >>> mag.values_at([(12, 13, 14), (0, 0, 0), (12, 13, 14), (-5, 10, 10)])
        array([7, 0, 7, 0], dtype=uint32)
        """
        return voxels_at(self._source, positions, self._mag, self._layer.bounding_box, additional_coordinates or {})

    def map_chunks(
        self,
        function: Callable[[NDArray[Any]], NDArray[Any]],
        target: MagView,
        *,
        executor: Any = None,
        progress: Progress = None,
    ) -> None:
        """Fill another mag with what a function makes of the chunks of this one, on all cores.

        The function is compiled by numba if it is installed and can, or has been: then chunks are decoded, computed
        and encoded without any Python. Otherwise it is called as it is, and a warning says so. Absent chunks stay
        absent. The target is what it was until all is done.

        Parameters
        ----------
        function
            Takes a chunk as an array (c, x, y, z) in Fortran order, whole, and returns one of the same shape, in the
            target's dtype.
        target
            A mag of another layer, which is replaced. It takes the chunks of this one and keeps its format.
        executor
            Of ``concurrent.futures``, or one like it; default: the core's threads. The function travels by name, or
            with cloudpickle.
        progress
            ``True`` for a bar, or what is called with files done and in all.

        Raises
        ------
        DatasetValueError
            The function returns another dtype or shape, or cannot be sent; the two mags do not fit.
        VolumeDataError
            The function failed, or a chunk is damaged; the message names the chunk, and the line of the function. The
            target is what it was.

        Examples
        --------
        >>> import numba
        >>> from wkfast import Dataset
        >>> dataset = Dataset(tmp_path / "new", voxel_size=(4, 4, 40))
        >>> image = np.arange(4, dtype=np.uint8).reshape(4, 1, 1)
        >>> grey = dataset.write_layer("grey", "color", image, downsample=False)
        >>> bright = dataset.add_layer_like(grey, "bright").add_mag(1)
        >>> @numba.njit
        ... def inverted(voxels):
        ...     return ~voxels
        >>> grey.get_mag(1).map_chunks(inverted, bright)
        >>> bright.read().ravel()
        array([255, 254, 253, 252], dtype=uint8)
        """
        map_chunks(self, function, target, Workers(executor, progress, "mapping"))

    def merge_chunk(self, args: tuple[MagView, NDBoundingBox, list[NDBoundingBox]]) -> None:
        """Write what another mag has in some boxes of a shard; `args`: that mag, the shard's box, those boxes."""
        other, shard, boxes = args
        self._writable()
        merge_chunk(self, other, shard, boxes)

    @property
    def is_foreign(self) -> bool:
        """Whether the voxels are another dataset's, so that they are only read."""
        return self._layer._place.is_foreign(self._folder)

    def referenced_mag(self) -> MagView:
        """Return the mag of that dataset in which the files lie: what is written into it changes it for all.

        A mag that refers to another, see :meth:`Layer.add_mag_as_ref`, is never written through by itself.

        Raises
        ------
        DatasetError
            No dataset lists the files as its own, or there are none.

        Examples
        --------
        >>> import numpy as np
        >>> from wkfast import Dataset
        >>> raw = Dataset(tmp_path / "raw", voxel_size=(4, 4, 40))
        >>> _ = raw.write_layer("color", "color", np.ones((8, 8, 8), "uint8"), downsample=False)
        >>> linked = raw.shallow_copy_dataset(tmp_path / "linked").get_layer("color").get_mag(1)
        >>> linked.read_only, linked.referenced_mag().read_only
        (True, False)
        """
        return referenced_mag(self)

    def _grow_to(self, box: NDBoundingBox) -> None:
        """Make an array that states its extent reach to the end of a box in mag-1 voxels."""
        source: Any = self._source
        if not self.read_only and hasattr(source, "grow"):
            last = [max(0, box.bottomright.get(axis) - 1) for axis in source.extra_axes]
            source.grow(extent_in_mag(box, self._mag), extra=last)

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
        VolumeDataError
            The package zarr does not open it.
        """
        if not isinstance(self._folder, Path):
            extent = self.bounding_box.in_mag(self._mag).bottomright.to_tuple()
            return self._layer._place.array(self._source, extent, self._title)
        if not FACTS[self.info.data_format].is_array:
            raise DatasetError(f"layer {self._layer.name!r} is stored as WKW and has no Zarr array; use read()")
        try:
            return zarr.open_array(self._folder, mode="r" if self.read_only else "r+")
        except Exception as error:  # of metadata that it does not understand, the package raises what it likes
            raise VolumeDataError(f"{self._title} cannot be opened by zarr: {error}") from error

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, bounding_box={self.bounding_box})"
