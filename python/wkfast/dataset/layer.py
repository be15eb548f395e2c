"""A layer: one image or segmentation in several mags."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from wkfast import _core
from wkfast.dataset.additional_axes import completed, is_flat
from wkfast.dataset.data_format import DataFormat
from wkfast.dataset.downsampling import LayerDownsampling
from wkfast.dataset.groups import write_layer_group
from wkfast.dataset.mag_building import MagBuilding
from wkfast.dataset.mag_view import MagView
from wkfast.dataset.new_chunks import KeepsZeros
from wkfast.dataset.new_mag import extent_in_mag, joined, new_mag
from wkfast.dataset.reshape_run import remove_folder
from wkfast.errors import DatasetError, DatasetValueError, ExistsError, MagNotFoundError
from wkfast.geometry import Mag, Vec3Int

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wkfast.dataset.dataset import Dataset
    from wkfast.dataset.properties import Json, LayerProperties
    from wkfast.dataset.voxel_source import VoxelSource
    from wkfast.geometry import NDBoundingBox, NormalizedBoundingBox, Vec3IntLike

# Edge of what is read at once where everything is looked at.
_PIECE = 256


class Layer(MagBuilding, LayerDownsampling):
    """One layer of a dataset."""

    def __init__(self, dataset: Dataset, properties: LayerProperties) -> None:
        self._dataset = dataset
        self._properties = properties

    @property
    def properties(self) -> LayerProperties:
        """The layer's entry in ``datasource-properties.json``."""
        return self._properties

    @property
    def dataset(self) -> Dataset:
        """The dataset this layer belongs to."""
        return self._dataset

    @property
    def name(self) -> str:
        """Name of the layer. Setting it renames the folder as well.

        Raises
        ------
        DatasetValueError
            A ``ValueError``: not letters, digits, ``_``, ``-`` and ``.``, or taken. Nothing was changed.
        OSError
            The file system refuses. Nothing was changed.
        """
        return self._properties.name

    @name.setter
    def name(self, name: str) -> None:
        check_layer_name(name)
        old = self.name
        if name == old:
            return
        if name in self._dataset.layers or (self._dataset.path / name).exists():
            raise DatasetValueError(f"cannot rename layer {old!r}: there is {name!r} already in {self._dataset.path}")
        self._dataset.rename_layer(old, name)

    @property
    def path(self) -> Path:
        """Folder of the layer."""
        return self._dataset.path / self.name

    @property
    def category(self) -> str:
        """``color`` or ``segmentation``."""
        return self._properties.category

    @property
    def data_format(self) -> DataFormat:
        """How the voxels are stored."""
        return DataFormat.parse(str(self._properties.json.get("dataFormat")), layer=self.name)

    @property
    def num_channels(self) -> int:
        """Values per voxel."""
        return self._properties.num_channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one channel."""
        return self._properties.dtype

    @property
    def bounding_box(self) -> NDBoundingBox:
        """Box of the data in mag-1 voxels: a ``BoundingBox``, unless the layer has additional axes.

        Setting it changes what counts as the layer; no voxel is written or deleted. Axes it lacks stay as they are.

        Raises
        ------
        DatasetValueError
            A coordinate is negative, or the layer does not have such axes.
        """
        return self._properties.full_bounding_box

    @bounding_box.setter
    def bounding_box(self, box: NDBoundingBox) -> None:
        whole = self._along_axes(box)
        if min(whole.topleft.to_tuple()) < 0:
            raise DatasetValueError(f"layer {self.name!r} cannot have the box {box}: a coordinate is negative")
        self._change(lambda entry: entry.set_bounding_box(whole))
        for mag in self.mags.values():
            mag.grow_to(whole)

    @property
    def normalized_bounding_box(self) -> NormalizedBoundingBox:
        """The same with an axis for the channels."""
        return self.bounding_box.normalize_axes(self.num_channels)

    def extend_bounding_box(self, box: NDBoundingBox) -> None:
        """Grow the layer's box to hold `box` as well; several processes may do so at once."""
        whole = self._along_axes(box)
        self._change(lambda entry: entry.set_bounding_box(joined(entry.full_bounding_box, whole)))

    def _along_axes(self, box: NDBoundingBox) -> NDBoundingBox:
        """Return a box along the axes of the layer's."""
        frame = self.bounding_box
        return box if is_flat(frame) and is_flat(box) else completed(box, frame)

    @property
    def read_only(self) -> bool:
        """Whether changes are refused."""
        return self._dataset.read_only

    @property
    def mags(self) -> dict[Mag, MagView]:
        """The mags, finest first."""
        entries = {self._properties.mag_of(entry): entry for entry in self._properties.mags}
        return {mag: self._open(mag, entries[mag]) for mag in sorted(entries)}

    def get_mag(self, mag: Any) -> MagView:
        """Return one mag, given as ``Mag``, number, name or triple.

        Raises
        ------
        MagNotFoundError
            There is none; the message lists those there are.
        """
        wanted = Mag(mag)
        return self._open(wanted, self._entry_of(wanted))

    def _entry_of(self, mag: Mag) -> Json:
        for entry in self._properties.mags:
            if self._properties.mag_of(entry) == mag:
                return entry
        raise MagNotFoundError(f"layer {self.name!r} has no mag {mag}; its mags: {self._mag_names()}")

    def get_finest_mag(self) -> MagView:
        """Return the mag with the smallest voxels.

        Raises
        ------
        MagNotFoundError
            The layer has no mags.
        """
        mags = [self._properties.mag_of(entry) for entry in self._properties.mags]
        if not mags:
            raise MagNotFoundError(f"layer {self.name!r} has no mags")
        return self.get_mag(min(mags))

    def add_mag(
        self,
        mag: Any,
        *,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        chunks_per_shard: Vec3IntLike | int | None = None,
        compress: bool = True,
    ) -> MagView:
        """Create an empty mag and return it.

        Parameters
        ----------
        mag
            ``Mag``, number, name or triple.
        chunk_shape
            Voxels that are compressed together; default 32³. A number means a cube.
        shard_shape, chunks_per_shard
            Voxels, or chunks, that share a file; default 1024³. Zarr v2 has a file for every chunk.
        compress
            With zstd in Zarr, with LZ4-HC in WKW.

        Raises
        ------
        ExistsError
            An ``IndexError``: there is that mag, or something in its folder.
        DatasetValueError
            A ``ValueError``: the format does not have such shapes, or an edge is no power of two.
        DatasetError
            A ``RuntimeError``: the dataset is read-only.

        Examples
        --------
        >>> from wkfast import Dataset
        >>> layer = Dataset(tmp_path / "new", voxel_size=(4, 4, 40)).add_layer("color", "color", data_format="wkw")
        >>> layer.add_mag("2-2-1", shard_shape=128).info.chunks_per_shard
        Vec3Int(4,4,4)
        """
        wanted = Mag(mag)
        self._dataset.check_writable()
        folder = self.path / wanted.to_layer_name()
        if wanted in self._listed_mags() or (folder.exists() and any(folder.iterdir())):
            raise ExistsError(f"cannot add mag {wanted} to layer {self.name!r}: there is one already at {folder}")
        spec = new_mag(
            self.data_format, self.dtype, self.num_channels, chunk_shape=chunk_shape, shard_shape=shard_shape,
            chunks_per_shard=chunks_per_shard, compress=compress, extent=extent_in_mag(self.bounding_box, wanted),
            axes=self.new_axes(),
        )  # fmt: skip
        location = self.new_location(wanted, folder)
        try:
            _core.Mag.create(location, spec)
        except ValueError as error:
            raise DatasetValueError(f"cannot add mag {wanted} to layer {self.name!r}: {error}") from None
        edge = spec["chunk_shape"][0] * spec["chunks_per_shard"][0]
        self._list_mag(wanted, folder, {"cubeLength": edge} if self.data_format is DataFormat.WKW else {})
        return self.get_mag(wanted)

    def get_or_add_mag(
        self,
        mag: Any,
        *,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        chunks_per_shard: Vec3IntLike | int | None = None,
        compress: bool | None = None,
    ) -> MagView:
        """Return a mag, created as by :meth:`add_mag` if it is not there.

        Raises
        ------
        DatasetValueError
            An ``AssertionError``: it is there, with other shapes or another compression than asked for.
        """
        if Mag(mag) not in self._listed_mags():
            more = {} if compress is None else {"compress": compress}
            return self.add_mag(
                mag, chunk_shape=chunk_shape, shard_shape=shard_shape, chunks_per_shard=chunks_per_shard, **more
            )
        view = self.get_mag(mag)
        info = view.info
        if shard_shape is None and chunks_per_shard is None:
            chunks_per_shard = info.chunks_per_shard
        asked = new_mag(
            info.data_format, info.voxel_type, info.num_channels, chunk_shape=chunk_shape or info.chunk_shape,
            shard_shape=shard_shape, chunks_per_shard=chunks_per_shard, any_shape=True,
        )  # fmt: skip
        found = (info.chunk_shape.to_list(), info.chunks_per_shard.to_list())
        if (asked["chunk_shape"], asked["chunks_per_shard"]) != found or compress not in {None, info.compression_mode}:
            raise DatasetValueError(f"layer {self.name!r} has the mag {view.name}, but not as asked for: {info}")
        return view

    def add_mag_for_existing_files(self, mag: Any) -> MagView:
        """List a mag whose files lie in the layer's folder already, and return it.

        Raises
        ------
        ExistsError
            It is listed already.
        MagNotFoundError, VolumeDataError
            There are no such files, or they are damaged.
        DatasetValueError
            They do not have the layer's dtype and channels.
        """
        wanted = Mag(mag)
        self._dataset.check_writable()
        if wanted in self._listed_mags():
            raise ExistsError(f"layer {self.name!r} has the mag {wanted} already")
        folder = self._folder(wanted, {})
        self._inside(f"./{folder.relative_to(self._dataset.path).as_posix()}")
        if not folder.is_dir():
            raise MagNotFoundError(f"layer {self.name!r} has no folder {folder}")
        found = _core.Mag.open(self._location_of(wanted, folder))
        if (np.dtype(found.dtype), found.channels) != (self.dtype, self.num_channels):
            raise DatasetValueError(
                f"{folder} holds {found.channels} channels of {found.dtype}, layer {self.name!r} has "
                f"{self.num_channels} of {self.dtype}"
            )
        edge = found.chunk_shape[0] * found.chunks_per_shard[0]
        self._list_mag(wanted, folder, {"cubeLength": edge} if self.data_format is DataFormat.WKW else {})
        return self.get_mag(wanted)

    def delete_mag(self, mag: Any) -> None:
        """Take a mag out of the layer, also one that is damaged, and delete its files.

        Files of other datasets stay, and those in a folder that other mags share.

        Raises
        ------
        MagNotFoundError
            There is none; the message lists those there are.
        """
        self._dataset.check_writable()
        wanted = Mag(mag)
        self._entry_of(wanted)
        folders = [folder for each, folder in self.mag_folders() if each == wanted]
        removed = [folder for folder in folders if self._dataset.may_remove(folder, self.name, wanted)]
        self._change(
            lambda entry: entry.set_mags([each for each in entry.mags if entry.mag_of(each) != wanted]),
        )
        for folder in removed:
            remove_folder(folder)
        self._write_group()

    def mag_folders(self) -> list[tuple[Mag, Path]]:
        """Return each mag with its folder, without those that lie out of the dataset by ``..`` or on a server."""
        folders = []
        for entry in self._properties.mags:
            mag = self._properties.mag_of(entry)
            with suppress(DatasetError):
                folders.append((mag, self._folder(mag, entry)))
        return folders

    def mag_locations(self) -> list[Json]:
        """Return where each mag lies, as plain data for the core: see ``_core.MagLocation``."""
        return [self._location(self._properties.mag_of(entry), entry) for entry in self._properties.mags]

    def _mag_names(self) -> str:
        return ", ".join(str(self._properties.mag_of(entry)) for entry in self._properties.mags) or "none"

    def _listed_mags(self) -> list[Mag]:
        return [self._properties.mag_of(entry) for entry in self._properties.mags]

    def _list_mag(self, mag: Mag, folder: Path, more: Json) -> None:
        """Write a mag of this layer into the properties."""
        path = f"./{folder.relative_to(self._dataset.path).as_posix()}"
        further = self._properties.additional_axes
        axes = {axis: place for place, axis in enumerate(self.new_axes()) if axis not in further}
        added = {"mag": list(mag.to_tuple()), "path": path, **more, "axisOrder": axes}
        self._change(
            lambda entry: entry.set_mags([*(e for e in entry.mags if entry.mag_of(e) != mag), added]),
        )
        self._write_group()

    def new_axes(self) -> dict[str, int]:
        """Return name and exclusive end, in mag-1 voxels, of each axis of arrays for new mags, in their order."""
        box, order = self.bounding_box, self._properties.axis_order
        ends = {"c": self.num_channels} | dict(zip(box.axes, box.bottomright, strict=True))
        return {axis: ends[axis] for axis in sorted(order, key=lambda axis: order[axis]) if axis in ends}

    def _write_group(self) -> None:
        sizes = self._dataset.voxel_size, self._dataset.unit
        write_layer_group(self.path, self.data_format, sorted(self._listed_mags()), *sizes, axes=list(self.new_axes()))

    def _change(self, change: Callable[[LayerProperties], None]) -> None:
        self._dataset.change_layer(self.name, change)

    def _open(self, mag: Mag, entry: Json) -> MagView:
        return MagView(self, mag, self._source(mag, entry), self._folder(mag, entry))

    def _source(self, mag: Mag, entry: Json) -> VoxelSource:
        """Return what the voxels of a mag are read from; a layer that lies elsewhere overrides this."""
        opened = _core.Mag.open(self._location(mag, entry))
        return KeepsZeros(opened, None) if self._properties.keeps_zeros else opened

    def _location(self, mag: Mag, entry: Json) -> Json:
        order = entry.get("axisOrder")
        if order and self._properties.additional_axes:
            order = {**order, **{axis: place for axis, (_, _, place) in self._properties.additional_axes.items()}}
        return {**self._location_of(mag, self._folder(mag, entry)), "axis_order": order}

    def new_location(self, mag: Mag, folder: Path) -> Json:
        """Return where a new mag is to lie, with the axes that it gets."""
        order = {axis: place for place, axis in enumerate(self.new_axes())}
        return {**self._location_of(mag, folder), "axis_order": order}

    def _location_of(self, mag: Mag, folder: Path) -> Json:
        return {
            "mag": list(mag.to_tuple()),
            "format": self.data_format.value,
            "container": {"kind": "directory", "path": str(folder)},
            "prefix": "",
        }

    def _folder(self, mag: Mag, entry: Json) -> Path:
        """Return the folder of a mag: its ``path`` if it has one, else the short or the long name, as it exists."""
        path = entry.get("path")
        if path is not None:
            return self._inside(str(path))
        short = self.path / mag.to_layer_name()
        long = self.path / mag.to_long_layer_name()
        return long if long.is_dir() and not short.is_dir() else short

    def _inside(self, path: str) -> Path:
        """Resolve a ``path`` entry: relative to the dataset or absolute, never out of the dataset by ``..``."""
        if "://" in path:
            where = path.split("?", maxsplit=1)[0]  # what follows may hold a token
            raise DatasetError(f"layer {self.name!r} lies at {where}: wkfast opens local folders only")
        folder = self._dataset.path / path
        relative = not path.startswith("/")
        if relative and not folder.resolve().is_relative_to(self._dataset.path.resolve()):
            raise DatasetError(f"layer {self.name!r}: the path {path!r} leads out of the dataset {self._dataset.path}")
        return folder

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, dtype={self.dtype}, num_channels={self.num_channels})"


class SegmentationLayer(Layer):
    """A layer whose voxels are segment ids."""

    @property
    def largest_segment_id(self) -> int | None:
        """Largest id in use, ``None`` if nobody wrote it down."""
        return self._properties.largest_segment_id

    @largest_segment_id.setter
    def largest_segment_id(self, largest: int | None) -> None:
        if largest is not None and not (isinstance(largest, int | np.integer) and 0 <= largest < 2**64):
            raise DatasetValueError(f"{largest!r} is no segment id: expected a whole number below 2⁶⁴, or None")
        self._change(lambda entry: entry.set_largest_segment_id(None if largest is None else int(largest)))

    def refresh_largest_segment_id(
        self,
        *,
        chunk_shape: Vec3IntLike | None = None,
        executor: Any = None,  # noqa: ARG002 - of the reference; pieces are read by the core's threads
    ) -> None:
        """Set :attr:`largest_segment_id` to the largest id there is in the finest mag, 0 if there is none.

        Only chunks with data are read, one file after another.

        Parameters
        ----------
        chunk_shape
            Size of what is read at once, in mag-1 voxels; default: 256³ voxels of the mag.
        executor
            For scripts of the reference package; the core uses its own threads.
        """
        finest = self.get_finest_mag()
        size = Vec3Int(chunk_shape) if chunk_shape is not None else finest.mag.to_vec3_int() * _PIECE
        parts = (
            part
            for view in finest.get_views_on_disk(read_only=True)
            for part in view.chunk(size, chunk_border_alignments=size)
        )
        self.largest_segment_id = max((int(part.read().max()) for part in parts), default=0)


def check_layer_name(name: str) -> None:
    """Refuse names of which no folder is made.

    Raises
    ------
    DatasetValueError
        A ``ValueError``: it is long, or holds other things than letters, digits, ``_``, ``-`` and ``.``.
    """
    if not re.fullmatch(r"[\w.-]{1,255}", name, re.ASCII) or name.startswith("."):
        raise DatasetValueError(
            f"a layer cannot be called {name!r}: use up to 255 letters, digits, '_', '-' and '.', no '.' at the start"
        )
