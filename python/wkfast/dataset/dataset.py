"""A dataset folder."""

from __future__ import annotations

import os
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from wkfast import _core
from wkfast._lazy import lazy_import
from wkfast._warnings import warn
from wkfast.buckets import ObjectPath, any_path
from wkfast.dataset.copying import copy_layer, copy_layers
from wkfast.dataset.data_format import DataFormat
from wkfast.dataset.folder_drafts import place_folder
from wkfast.dataset.folder_place import FolderPlace
from wkfast.dataset.foreign import own_layer
from wkfast.dataset.get_or_add import get_or_add
from wkfast.dataset.kept import kept_by_entry
from wkfast.dataset.layer import Layer, SegmentationLayer
from wkfast.dataset.layer_category import COLOR_CATEGORY, SEGMENTATION_CATEGORY
from wkfast.dataset.layer_creation import (
    add_layer_like,
    new_entry,
    take_back,
    voxel_kind,
    with_axes,
    write_layer,
)
from wkfast.dataset.links import followed, is_present, is_taken, said_of_dangling
from wkfast.dataset.new_mag import Shapes, joined
from wkfast.dataset.object_place import ObjectPlace
from wkfast.dataset.ome_zarr import entries_of_image
from wkfast.dataset.place import writable
from wkfast.dataset.present_files import add_layer_of_files
from wkfast.dataset.properties import FILE_NAME, UNFINISHED, DatasetProperties
from wkfast.dataset.references import add_layer_link, add_layer_ref, referred_layer
from wkfast.dataset.reshaping import Workers
from wkfast.dataset.sampling import SamplingModes
from wkfast.dataset.slots import state_without
from wkfast.dataset.stated import check_reachable
from wkfast.dataset.view_configuration import DatasetViewConfiguration, configuration_of, set_configuration
from wkfast.errors import (
    DatasetError,
    DatasetNotFoundError,
    DatasetValueError,
    ExistsError,
    FileNameError,
    LayerNotFoundError,
)
from wkfast.geometry import BoundingBox, LengthUnit, Mag, NDBoundingBox, Vec3Int, VoxelSize
from wkfast.pictures import html

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence
    from os import PathLike

    import numpy as np
    from numpy.typing import DTypeLike, NDArray

    from wkfast.dataset.files_place import FilesPlace
    from wkfast.dataset.layer_properties import Json, LayerProperties
    from wkfast.dataset.place import Place, WritablePlace
    from wkfast.geometry import MagLike, Vec3Float, Vec3FloatLike, Vec3IntLike
    from wkfast.progress import Progress
    from wkfast.remote import RemoteDataset
else:
    np = lazy_import("numpy")

# Datasets on servers lie above those in folders. The reference opens them by names of the class below, too, and nobody
# who does not call those loads them.
remote: Any = lazy_import("wkfast.remote")


@kept_by_entry(
    "layers",
    name=("id",),
    path=(),
    read_only=(),
    voxel_size=("scale",),
    voxel_size_with_unit=("scale",),
    layers=("dataLayers",),
    _entries=("dataLayers",),
)
class Dataset(_core.Keeper):
    """A folder of layers. The constructor creates one, :meth:`open` opens one.

    Parameters
    ----------
    dataset_path
        Folder to create; it may exist if it is empty. Its address (``s3://``, ``gs://``, ``az://``), as text or as a
        ``UPath``, if it is to lie in a bucket, which there has to be.
    voxel_size
        Size of a mag-1 voxel in nm, x, y, z.
    name
        Default: name of the folder.
    exist_ok
        Open the dataset if there already is one of the same voxel size and name. Many tasks may say so at once: one of
        them makes it.
    voxel_size_with_unit
        Instead of `voxel_size`, in another unit.
    read_only
        Refuse all changes; for datasets that exist.
    storage_options
        How a bucket is reached; see :class:`ObjectPath`.

    Raises
    ------
    DatasetError
        The folder holds something, or is not writable.
    ObjectStoreError
        An ``OSError``: there is no such bucket, the server does not allow it or does not answer.
    DatasetValueError
        A ``ValueError``: no voxel size is given, or two are.

    Examples
    --------
    >>> dataset = Dataset(tmp_path / "sample", voxel_size=(11.2, 11.2, 25.0))
    >>> Dataset.open(tmp_path / "sample").voxel_size
    Vec3Float(11.2,11.2,25.0)
    """

    __slots__ = ("__weakref__", "_layers", "_place", "_properties")

    # What is handed out as layers; a server's datasets have layers of their own, for what the reference calls them.
    _layer_class: ClassVar[type[Layer]] = Layer
    _segmentation_class: ClassVar[type[SegmentationLayer]] = SegmentationLayer

    def __init__(
        self,
        dataset_path: str | PathLike[str] | ObjectPath,
        voxel_size: Vec3FloatLike | None = None,
        name: str | None = None,
        exist_ok: bool = False,
        *,
        voxel_size_with_unit: VoxelSize | None = None,
        read_only: bool = False,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        folder = any_path(dataset_path, "a dataset", storage_options)
        place = _place_at(folder, read_only=read_only)
        size = _one_size(folder, voxel_size, voxel_size_with_unit)
        properties = get_or_add(
            lambda: _existing(folder, name, size) if exist_ok and is_present(folder / FILE_NAME) else None,
            lambda: _created(folder, name, size, read_only=read_only),
        )
        self._look_at(properties, place)

    def _look_at(self, properties: DatasetProperties, place: Place) -> None:
        self._properties = properties
        self._place = place
        self._layers: dict[str, Layer] = {}

    def _kept_by(self) -> tuple[Json, None]:
        """Return what properties follow from."""
        return self._properties.json, None

    def _in_folder(self, path: str | PathLike[str]) -> Dataset:
        """Return a dataset in a folder with the voxel size of this one, made if need be; also of one on a server."""
        return Dataset(path, self.voxel_size, exist_ok=True)

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        """Return what another process needs: layers are made there when they are asked for."""
        return state_without(self, _layers={})

    def __eq__(self, other: object) -> bool:
        """Return whether it is the same dataset: its folder, opened alike."""
        if not isinstance(other, Dataset) or type(self) is not type(other):
            return NotImplemented
        return self is other or self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[object, ...]:
        return self._place.identity, self._place.read_only_reason

    @classmethod
    def open(
        cls,
        dataset_path: str | PathLike[str] | ObjectPath,
        read_only: bool = False,
        *,
        storage_options: Mapping[str, Any] | None = None,
    ) -> Dataset:
        """Return the dataset in the folder `dataset_path`, which may lie in a bucket or on a server of files.

        Parameters
        ----------
        dataset_path
            The folder; or its address, ``s3://``, ``gs://``, ``az://`` or ``https://``, as text or as a ``UPath``.
            What a server of files has is read-only.
        read_only
            Refuse everything that would change the dataset.
        storage_options
            How a bucket is reached; see :class:`ObjectPath`.

        Raises
        ------
        DatasetNotFoundError
            There is no ``datasource-properties.json``.
        DatasetError
            It cannot be read.
        AddressError
            wkfast does not know the scheme of the address, or an option.
        ObjectStoreError
            An ``OSError``: a server refuses or does not answer.
        """
        try:
            folder = any_path(dataset_path, "a dataset", storage_options)
        except FileNameError as error:
            raise DatasetNotFoundError(f"there is no dataset at {error}") from None
        return cls._of(DatasetProperties.read(folder), _place_at(folder, read_only=read_only))

    @classmethod
    def open_remote(
        cls,
        dataset_name_or_url: str | None = None,
        *,
        organization_id: str | None = None,
        sharing_token: str | None = None,
        webknossos_url: str | None = None,
        dataset_id: str | None = None,
        annotation_id: str | None = None,
        read_only: bool = False,
        use_zarr_streaming: bool | None = None,
    ) -> RemoteDataset:
        """Return a dataset on a server; :meth:`RemoteDataset.open` has taken its place.

        Parameters
        ----------
        dataset_name_or_url, organization_id, sharing_token, webknossos_url, dataset_id, annotation_id, read_only
            As there.
        use_zarr_streaming
            For scripts of the reference package: voxels are always streamed.
        """
        warn("Dataset.open_remote is deprecated, use RemoteDataset.open", DeprecationWarning)
        if use_zarr_streaming is False:
            raise DatasetValueError("use_zarr_streaming=False: wkfast reads datasets on servers by streaming alone")
        return remote.RemoteDataset.open(  # type: ignore[no-any-return] # loaded when it is called
            dataset_name_or_url, organization_id=organization_id, sharing_token=sharing_token,
            webknossos_url=webknossos_url, dataset_id=dataset_id, annotation_id_or_url=annotation_id,
            read_only=read_only,
        )  # fmt: skip

    @classmethod
    def download(
        cls,
        dataset_name_or_url: str,
        *,
        organization_id: str | None = None,
        sharing_token: str | None = None,
        webknossos_url: str | None = None,
        bbox: BoundingBox | None = None,
        layers: Iterable[str] | str | None = None,
        mags: Iterable[MagLike] | None = None,
        path: str | PathLike[str] | None = None,
        exist_ok: bool = False,
    ) -> Dataset:
        """Fetch a dataset, or a part of it, into a folder; :meth:`RemoteDataset.download` has taken its place.

        Parameters
        ----------
        dataset_name_or_url, organization_id, sharing_token, webknossos_url
            As of :meth:`RemoteDataset.open`.
        bbox, layers, mags, path, exist_ok
            As of :meth:`RemoteDataset.download`.
        """
        warn("Dataset.download is deprecated, use RemoteDataset.download", DeprecationWarning)
        found = remote.RemoteDataset.open(
            dataset_name_or_url, organization_id=organization_id, sharing_token=sharing_token,
            webknossos_url=webknossos_url,
        )  # fmt: skip
        return found.download(  # type: ignore[no-any-return] # loaded when it is called
            bounding_box=bbox, layers=layers, mags=mags, path=path, exist_ok=exist_ok
        )

    @staticmethod
    def get_remote_datasets(
        *,
        organization_id: str | None = None,
        tags: str | Sequence[str] | None = None,
        name: str | None = None,
        folder_id: str | None = None,
    ) -> Mapping[str, RemoteDataset]:
        """Return the datasets that the user may see; :meth:`RemoteDataset.list` has taken its place.

        Parameters
        ----------
        organization_id, tags, name, folder_id
            As there.
        """
        warn("Dataset.get_remote_datasets is deprecated, use RemoteDataset.list", DeprecationWarning)
        return remote.RemoteDataset.list(  # type: ignore[no-any-return] # loaded when it is called
            organization_id, tags, name, folder_id
        )

    @classmethod
    def from_ome_zarr(
        cls, ome_zarr_path: str | PathLike[str], dataset_path: str | PathLike[str], *, name: str | None = None
    ) -> Dataset:
        """Return a new dataset of an OME-Zarr image and its labels. Nothing is copied, and the image is not changed.

        Parameters
        ----------
        ome_zarr_path
            The folder of the image's group, of version 0.1 to 0.5.
        dataset_path
            Folder to create. ``datasource-properties.json`` in it names the arrays by absolute paths.
        name
            Default: name of the new folder.

        Returns
        -------
        Dataset
            Of the image's voxel size in its unit (nanometres where it has none), with a layer for the image and one for
            each of its labels, read-only as all mags are that lie elsewhere; :meth:`copy_dataset` copies them.

        Raises
        ------
        DatasetNotFoundError
            There is no image.
        DatasetError
            It is not OME-Zarr, its arrays cannot be read, or the new folder holds something.

        Examples
        --------
        >>> import json, zarr
        >>> group = zarr.open_group(tmp_path / "cells.ome.zarr", mode="w", zarr_format=2)
        >>> array = group.create_array("0", shape=(10, 20, 30), chunks=(10, 10, 10), dtype="uint8")
        >>> axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
        >>> scale = {"type": "scale", "scale": [2.0, 0.5, 0.5]}
        >>> datasets = [{"path": "0", "coordinateTransformations": [scale]}]
        >>> group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
        >>> dataset = Dataset.from_ome_zarr(tmp_path / "cells.ome.zarr", tmp_path / "cells")
        >>> dataset.voxel_size, dataset.get_layer("cells").bounding_box.size
        (Vec3Float(500.0,500.0,2000.0), Vec3Int(30,20,10))
        """
        image = any_path(ome_zarr_path, "an OME-Zarr image")
        size, entries = entries_of_image(image)
        folder = any_path(dataset_path, "a dataset")
        check_reachable(image, folder)
        name = name or folder.absolute().name

        def make(where: Path | ObjectPath) -> Dataset:
            dataset = cls(where, name=name, voxel_size_with_unit=size)
            dataset._change(lambda properties: properties.json["dataLayers"].extend(entries))
            return dataset

        return _made_whole(folder, make)

    @classmethod
    def _of(cls, properties: DatasetProperties, place: Place) -> Dataset:
        """Return a dataset at another place than a folder, as one of layers in an archive or in memory."""
        dataset = cls.__new__(cls)
        dataset._look_at(properties, place)
        return dataset

    @property
    def path(self) -> Path | ObjectPath:
        """Folder of the dataset; the address of one in a bucket.

        Raises
        ------
        DatasetError
            It is streamed from a WEBKNOSSOS server.
        """
        return self._place.where

    @property
    def resolved_path(self) -> Path | ObjectPath:
        """Folder of the dataset with all links followed; the address of one in a bucket."""
        return followed(self._place.where)

    @property
    def name(self) -> str:
        """Name of the dataset as it is written down, else its folder's. Setting it does not rename the folder."""
        return self._properties.name

    @name.setter
    def name(self, name: str) -> None:
        self._change(lambda properties: properties.set_name(name))

    @property
    def read_only(self) -> bool:
        """Whether changes are refused."""
        return self._place.read_only_reason is not None

    @property
    def voxel_size(self) -> Vec3Float:
        """Size of a mag-1 voxel in nanometres, whatever the dataset's unit is."""
        return self.voxel_size_with_unit.to_nanometer()

    @property
    def unit(self) -> str:
        """Unit that the voxel size is written in, e.g. ``nanometer``."""
        return self._properties.unit

    @property
    def voxel_size_with_unit(self) -> VoxelSize:
        """Size of a mag-1 voxel."""
        return VoxelSize(self._properties.voxel_size, LengthUnit.from_text(self.unit))

    @property
    def default_view_configuration(self) -> DatasetViewConfiguration | None:
        """How WEBKNOSSOS shows the dataset at first; ``None`` where nobody said. Change it by setting another."""
        return configuration_of(self._properties.json, DatasetViewConfiguration)  # type: ignore[no-any-return]

    @default_view_configuration.setter
    def default_view_configuration(self, configuration: DatasetViewConfiguration | None) -> None:
        self._change(lambda properties: set_configuration(properties.json, configuration, DatasetViewConfiguration))

    @property
    def layers(self) -> dict[str, Layer]:
        """The layers by name, as listed."""
        return {layer.name: self._known(layer) for layer in self._properties.layers}

    def get_layer(self, layer_name: str) -> Layer:
        """Return a layer.

        Raises
        ------
        LayerNotFoundError
            There is none of that name; the message lists those there are.
        """
        return self._layers.get(layer_name) or self._known(self._entry_of(layer_name))

    @property
    def _entries(self) -> dict[str, LayerProperties]:
        """The entries of layers by name, the first of each; none where one is damaged, which a search may not meet."""
        entries: dict[str, LayerProperties] = {}
        try:
            for entry in self._properties.layers:
                entries.setdefault(entry.name, entry)
        except DatasetError:
            return {}
        return entries

    def _entry_of(self, layer_name: str) -> LayerProperties:
        found = self._entries.get(layer_name)
        return self._properties.layer(layer_name) if found is None or found.name != layer_name else found

    def _known(self, properties: LayerProperties) -> Layer:
        """Return the layer of an entry; there is one as long as the entry stays."""
        layer = self._layers.get(properties.name)
        kind = self._kind_of(properties)
        if layer is None or layer._properties.json is not properties.json or type(layer) is not kind:
            layer = self._layers[properties.name] = kind(self, properties)
        return layer

    def _kind_of(self, properties: LayerProperties) -> type[Layer]:
        segmentation = properties.json.get("category") == SEGMENTATION_CATEGORY
        return self._segmentation_class if segmentation else self._layer_class

    def get_segmentation_layer(self, layer_name: str) -> SegmentationLayer:
        """Return a layer that must be a segmentation.

        Raises
        ------
        LayerNotFoundError
            There is none of that name, or it shows something else.
        """
        layer = self.get_layer(layer_name)
        if not isinstance(layer, SegmentationLayer):
            raise LayerNotFoundError(f"layer {layer_name!r} of {self} is a {layer.category} layer, no segmentation")
        return layer

    def get_segmentation_layers(self) -> list[SegmentationLayer]:
        """Return the segmentations, as listed."""
        return [layer for layer in self.layers.values() if isinstance(layer, SegmentationLayer)]

    def get_color_layers(self) -> list[Layer]:
        """Return the image layers, as listed."""
        return [layer for layer in self.layers.values() if layer.category == COLOR_CATEGORY]

    def delete_layer(self, layer_name: str) -> None:
        """Take a layer out of the dataset and delete its folder.

        Mags that lie elsewhere keep their files, and so does a folder in which mags of other layers lie. Where the file
        system refuses to delete what is out of the list already, the same call can be made again.

        Raises
        ------
        LayerNotFoundError
            There is none of that name; the message lists those there are.
        """
        place = self._writable()
        try:
            layer = self.get_layer(layer_name)
        except LayerNotFoundError:
            if place.finish_removal(layer_name, None):
                return
            raise
        with place.removal(self._properties, layer._properties, None):
            self._change(lambda properties: properties.remove_layer(layer_name))

    def add_layer(
        self,
        layer_name: str,
        category: str,
        *,
        dtype: DTypeLike | None = None,
        dtype_per_channel: DTypeLike | None = None,
        num_channels: int | None = None,
        data_format: str | DataFormat = DataFormat.Zarr3,
        bounding_box: NDBoundingBox | None = None,
        largest_segment_id: int | None = None,
        mappings: Iterable[str] | None = None,
        dtype_per_layer: DTypeLike | None = None,
        compressed: bool | None = None,
    ) -> Layer:
        """Add an empty layer without mags and return it.

        Parameters
        ----------
        layer_name
            Letters, digits, ``_``, ``-`` and ``.``; names the folder.
        category
            ``"color"`` or ``"segmentation"``.
        dtype
            Type of one channel; default uint8.
        dtype_per_channel, dtype_per_layer
            Older ways to say it: as `dtype`, and of all channels together (``uint24`` for three of uint8).
        num_channels
            Values per voxel; default 1.
        data_format
            ``"zarr3"``, ``"zarr"`` or ``"wkw"``.
        bounding_box
            In mag-1 voxels; default: empty. With additional axes, arrays have the axes c, those, x, y, z.
        largest_segment_id, mappings
            For segmentations.
        compressed
            For scripts of old; it says nothing, as in the reference package: see ``compress`` of :meth:`Layer.add_mag`.

        Raises
        ------
        ExistsError
            An ``IndexError``: there is a layer of that name.
        DatasetValueError
            A ``ValueError``: name, category or type are not possible.
        DatasetError
            A ``RuntimeError``: the dataset is read-only.

        Examples
        --------
        >>> from wkfast import Dataset
        >>> dataset = Dataset(tmp_path / "new", voxel_size=(4, 4, 40))
        >>> dataset.add_layer("labels", "segmentation", dtype="uint32", largest_segment_id=7)
        SegmentationLayer('labels', dtype=uint32, num_channels=1)
        """
        self._writable()
        if compressed is not None:
            warn("compressed= says nothing of a layer: give compress= to add_mag", DeprecationWarning)
        dtypes = {"dtype": dtype, "dtype_per_channel": dtype_per_channel, "dtype_per_layer": dtype_per_layer}
        kind = voxel_kind(dtypes, num_channels, bounding_box)
        entry = new_entry(
            self, layer_name, category, kind, data_format, bounding_box, largest_segment_id=largest_segment_id,
            mappings=mappings,
        )  # fmt: skip
        return self._add(entry)

    def get_or_add_layer(
        self,
        layer_name: str,
        category: str,
        *,
        dtype: DTypeLike | None = None,
        dtype_per_channel: DTypeLike | None = None,
        num_channels: int | None = None,
        data_format: str | DataFormat = DataFormat.Zarr3,
        bounding_box: NDBoundingBox | None = None,
        largest_segment_id: int | None = None,
        mappings: Iterable[str] | None = None,
        dtype_per_layer: DTypeLike | None = None,
    ) -> Layer:
        """Return a layer, added as by :meth:`add_layer` if it is not there. Of many that say so at once, one adds it.

        Parameters
        ----------
        layer_name, category
            Of the layer; a layer that is there must be of this category.
        dtype, dtype_per_channel, dtype_per_layer, num_channels
            As in :meth:`add_layer`; where given, a layer that is there must have them.
        data_format, bounding_box, largest_segment_id, mappings
            As in :meth:`add_layer`, of a new layer.

        Raises
        ------
        DatasetValueError
            An ``AssertionError``: it is there, with another category, dtype or number of channels.
        BeingMadeError
            An ``IndexError``: somebody else has been making it for ten seconds.
        """
        asked = dtype if dtype is not None else dtype_per_channel
        return get_or_add(
            lambda: self._layer_like(layer_name, category, asked, num_channels) if layer_name in self.layers else None,
            lambda: self.add_layer(
                layer_name, category, dtype=dtype, dtype_per_channel=dtype_per_channel, num_channels=num_channels,
                data_format=data_format, bounding_box=bounding_box, largest_segment_id=largest_segment_id,
                mappings=mappings, dtype_per_layer=dtype_per_layer,
            ),
            self._look_again,
        )  # fmt: skip

    def _layer_like(self, name: str, category: str, asked: DTypeLike | None, num_channels: int | None) -> Layer:
        """Return a layer that is there, if it is as it is asked for."""
        layer = self.get_layer(name)
        differences = [
            f"{what} is {found}, not {wanted}"
            for what, found, wanted in (
                ("category", layer.category, category),
                ("dtype", layer.dtype, layer.dtype if asked is None else np.dtype(asked)),
                ("num_channels", layer.num_channels, num_channels or layer.num_channels),
            )
            if found != wanted
        ]
        if differences:
            raise DatasetValueError(f"there is a layer {name!r} already, but its {'; its '.join(differences)}")
        return layer

    def add_layer_like(self, other_layer: Layer, layer_name: str) -> Layer:
        """Add a layer without mags that is described like another, and return it.

        Parameters
        ----------
        other_layer
            Category, dtype, channels, format and box are taken from it.
        layer_name
            Name of the new layer.
        """
        self._writable()
        return add_layer_like(self, own_layer(other_layer, type(self).open), layer_name)

    def add_layer_for_existing_files(
        self,
        layer_name: str,
        category: str,
        *,
        dtype: DTypeLike | None = None,
        num_channels: int | None = None,
        data_format: str | DataFormat | None = None,
        bounding_box: NDBoundingBox | None = None,
        **more: Any,
    ) -> Layer:
        """List a layer whose files lie in the folder `layer_name` already, with all its mags, and return it.

        Where the folder is the group of an OME-Zarr image, its arrays are listed where they are, with the mags that
        follow from its scales and the dataset's voxel size.

        Parameters
        ----------
        dtype, num_channels, data_format
            Default: what the files say; otherwise they must say the same.
        bounding_box
            Default: the box around all files of the finest mag; of an OME-Zarr image, its extent.

        Raises
        ------
        MagNotFoundError
            There is no mag in the folder.
        DatasetValueError
            The files differ from what is asked for, or from mag to mag. Nothing was added.
        """
        self._writable()
        return add_layer_of_files(self, layer_name, category, dtype, num_channels, data_format, bounding_box, more)

    def write_layer(
        self,
        layer_name: str,
        category: str,
        data: NDArray[Any],
        *,
        data_format: str | DataFormat = DataFormat.Zarr3,
        downsample: bool = True,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        chunks_per_shard: Vec3IntLike | int | None = None,
        axes: Iterable[str] | None = None,
        absolute_offset: Vec3IntLike | None = None,
        mag: Any = 1,
    ) -> Layer:
        """Add a layer, write an array into it and return it.

        Parameters
        ----------
        data
            (x, y, z) or (c, x, y, z) unless `axes` says otherwise.
        downsample
            Add the coarser mags as well.
        axes
            What each axis of `data` is, e.g. ``"zyx"``.
        absolute_offset
            Of the array, in mag-1 voxels; default: the origin.
        mag
            Of the array.

        Raises
        ------
        DatasetValueError, ExistsError
            As of :meth:`add_layer` and :meth:`Layer.add_mag`. The layer is not added.
        """
        self._writable()
        shapes = Shapes(chunk_shape, shard_shape, chunks_per_shard)
        topleft = Vec3Int(absolute_offset) if absolute_offset is not None else Vec3Int.zeros()
        return write_layer(
            self, layer_name, category, with_axes(data, axes), topleft, Mag(mag), data_format, shapes,
            downsample=downsample,
        )  # fmt: skip

    def downsample(
        self,
        *,
        sampling_mode: SamplingModes = SamplingModes.ANISOTROPIC,
        coarsest_mag: Mag | None = None,
        interpolation_mode: str = "default",
        compress: bool = True,
        executor: Any = None,
        progress: Progress = None,
    ) -> None:
        """Make coarser mags of all layers that have none yet; see :meth:`Layer.downsample`.

        Parameters
        ----------
        sampling_mode, coarsest_mag, interpolation_mode, compress, executor, progress
            As in :meth:`Layer.downsample`, for each layer.
        """
        self._writable()
        for layer in self.layers.values():
            if len(layer.mags) == 1:
                layer.downsample(
                    coarsest_mag=coarsest_mag, sampling_mode=sampling_mode, interpolation_mode=interpolation_mode,
                    compress=compress, executor=executor, progress=progress,
                )  # fmt: skip

    def compress(self, *, executor: Any = None, progress: Progress = None) -> None:
        """Compress all mags that are not compressed, in place; see :meth:`MagView.compress`.

        Parameters
        ----------
        executor, progress
            As there.
        """
        self._writable()
        for layer in self.layers.values():
            for mag in layer.mags.values():
                mag.compress(executor=executor, progress=progress)

    def add_layer_as_copy(
        self,
        foreign_layer: Layer | str | PathLike[str],
        new_layer_name: str | None = None,
        *,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        chunks_per_shard: Vec3IntLike | int | None = None,
        data_format: str | DataFormat | None = None,
        compress: bool | None = None,
        exists_ok: bool = False,
        executor: Any = None,
        with_attachments: bool = True,
        progress: Progress = None,
    ) -> Layer:
        """Copy a layer of another dataset with all its mags and return the copy; see :meth:`Layer.add_mag_as_copy`.

        Parameters
        ----------
        foreign_layer
            The layer, or its folder in a dataset.
        new_layer_name
            Default: as it is called there.
        data_format, chunk_shape, shard_shape, chunks_per_shard, compress
            Default: as there; of a layer that a server streams, Zarr v3 in shards, compressed.
        exists_ok
            Complete a layer that is there already; its mags of the same name are replaced.
        with_attachments
            Copy meshes and the like as well.
        progress
            ``True`` for a bar, or what is called with files done and in all, of one mag after the other.

        Raises
        ------
        ExistsError
            There is a layer of that name.
        """
        self._writable()
        shapes = Shapes(chunk_shape, shard_shape, chunks_per_shard, compress)
        return copy_layer(
            self, foreign_layer, new_layer_name, shapes, data_format, exists_ok=exists_ok,
            workers=Workers(executor, progress), with_attachments=with_attachments,
        )  # fmt: skip

    def copy_dataset(
        self,
        new_dataset_path: str | PathLike[str] | ObjectPath,
        *,
        voxel_size: Vec3FloatLike | None = None,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        chunks_per_shard: Vec3IntLike | int | None = None,
        data_format: str | DataFormat | None = None,
        compress: bool | None = None,
        exists_ok: bool = False,
        executor: Any = None,
        voxel_size_with_unit: VoxelSize | None = None,
        layers_to_ignore: Iterable[str] | None = None,
        progress: Progress = None,
    ) -> Dataset:
        """Copy the dataset and return the copy; see :meth:`add_layer_as_copy`.

        Parameters
        ----------
        new_dataset_path
            Folder to create, which may lie in a bucket.
        voxel_size, voxel_size_with_unit
            Of the copy, in nm or with a unit; default: as it is.
        data_format, chunk_shape, shard_shape, chunks_per_shard, compress
            Of all layers of the copy; default: as they are.
        exists_ok
            Complete a dataset that is there already.
        executor
            Of ``concurrent.futures``, or one like it; default: the core's threads.
        layers_to_ignore
            Names of layers to leave out.
        progress
            ``True`` for a bar, or what is called with files done and in all, of one mag after the other.

        Examples
        --------
        >>> import numpy as np
        >>> from wkfast import Dataset
        >>> dataset = Dataset(tmp_path / "small", voxel_size=(4, 4, 40))
        >>> _ = dataset.write_layer("color", "color", np.ones((64, 64, 64), "uint8"), data_format="wkw")
        >>> copy = dataset.copy_dataset(tmp_path / "copy", data_format="zarr3")
        >>> copy.get_layer("color").get_finest_mag().read().sum()
        np.uint64(262144)
        """
        shapes = Shapes(chunk_shape, shard_shape, chunks_per_shard, compress)
        size = voxel_size_with_unit
        if size is None and voxel_size is None:
            size = self.voxel_size_with_unit
        # what is copied from a server lies in a folder
        made = type(self) if self._place.has_files else Dataset
        copy = made(new_dataset_path, voxel_size, exist_ok=exists_ok, voxel_size_with_unit=size)
        if self.default_view_configuration is not None:
            copy.default_view_configuration = self.default_view_configuration
        copy_layers(
            self, copy, shapes, data_format, without=set(layers_to_ignore or ()), exists_ok=exists_ok,
            workers=Workers(executor, progress),
        )  # fmt: skip
        return copy

    def add_layer_as_ref(self, foreign_layer: Layer | str | PathLike[str], new_layer_name: str | None = None) -> Layer:
        """Add a layer that refers to one of another dataset, and return it; no voxel is copied.

        Its mags are read-only here: :meth:`MagView.referenced_mag` is the way to write. Deleting the layer, or a mag of
        it, deletes the reference. What is changed there later, as the box, does not change here.

        Parameters
        ----------
        foreign_layer
            The layer, or its folder in a dataset.
        new_layer_name
            Default: as it is called there.

        Raises
        ------
        ExistsError
            An ``IndexError``: there is a layer of that name.
        DatasetValueError
            An ``AssertionError``: it is a layer of this dataset.
        DatasetError
            It has no files here, as layers on a server: :meth:`RemoteDataset.download` fetches them.

        Examples
        --------
        >>> import numpy as np
        >>> from wkfast import Dataset
        >>> raw = Dataset(tmp_path / "raw", voxel_size=(4, 4, 40))
        >>> _ = raw.write_layer("color", "color", np.ones((8, 8, 8), "uint8"), downsample=False)
        >>> layer = Dataset(tmp_path / "view", voxel_size=(4, 4, 40)).add_layer_as_ref(raw.get_layer("color"))
        >>> int(layer.get_mag(1).read().sum())
        512
        """
        self._writable()
        return add_layer_ref(self, foreign_layer, new_layer_name)

    def add_remote_layer(self, foreign_layer: Layer | str | PathLike[str], new_layer_name: str | None = None) -> Layer:
        """Add a layer by :meth:`add_layer_as_ref`, of which this is an older name.

        Parameters
        ----------
        foreign_layer, new_layer_name
            As there.
        """
        warn("add_remote_layer is deprecated, use add_layer_as_ref", DeprecationWarning)
        return self.add_layer_as_ref(foreign_layer, new_layer_name)

    def add_symlink_layer(
        self,
        foreign_layer: Layer | str | PathLike[str],
        new_layer_name: str | None = None,
        *,
        make_relative: bool = False,
    ) -> Layer:
        """Add a layer whose folder is a symbolic link to another's; :meth:`add_layer_as_ref` has taken its place.

        Parameters
        ----------
        make_relative
            The link is seen from this dataset's folder, so that both can be moved together.

        Raises
        ------
        ExistsError
            There is a layer of that name, or something in its folder's place.
        """
        warn("add_symlink_layer is deprecated, use add_layer_as_ref", DeprecationWarning)
        self._writable()
        return add_layer_link(self, foreign_layer, new_layer_name, relative=make_relative)

    def shallow_copy_dataset(
        self,
        new_dataset_path: str | PathLike[str] | ObjectPath,
        *,
        name: str | None = None,
        layers_to_ignore: Iterable[str] | None = None,
        make_relative: bool | None = None,
    ) -> Dataset:
        """Make a dataset whose layers refer to those of this one, and return it; see :meth:`add_layer_as_ref`.

        Parameters
        ----------
        name
            Default: as this one is called.
        make_relative
            For scripts of the reference package; references have whole paths.
        """
        if make_relative is not None:
            warn("make_relative does nothing: references have whole paths", DeprecationWarning)
        without = set(layers_to_ignore or ())
        folder = any_path(new_dataset_path, "a dataset")
        return _made_whole(folder, lambda where: self._referred_to(where, name or self.name, without))

    def _referred_to(self, folder: Path | ObjectPath, name: str, without: Container[str]) -> Dataset:
        """Return a new dataset whose layers refer to those of this one."""
        copy = Dataset(folder, name=name, voxel_size_with_unit=self.voxel_size_with_unit)
        if self.default_view_configuration is not None:
            copy.default_view_configuration = self.default_view_configuration
        referred = [layer for layer in self.layers.values() if layer.name not in without]
        copy._add_all([referred_layer(copy, layer, layer.name) for layer in referred])
        return copy

    def calculate_bounding_box(self) -> BoundingBox:
        """Return the box around all layers along x, y, z, in mag-1 voxels."""
        boxes: list[NDBoundingBox] = [layer._properties.bounding_box for layer in self.layers.values()]
        around = reduce(joined, boxes) if boxes else BoundingBox((0, 0, 0), (0, 0, 0))
        return BoundingBox(around.topleft_xyz, around.size_xyz)

    # -- for the rooms that do the work ---------------------------------------------------------------------------

    def _writable(self) -> WritablePlace:
        """Return the place to change the dataset at; it says why not, if so."""
        return writable(self._place, self)

    def _change(self, change: Callable[[DatasetProperties], None]) -> None:
        """Change ``datasource-properties.json`` as it is now, and take over what other processes wrote."""
        self._writable().update(self._properties, change)
        self._forget_views()

    def _look_again(self) -> None:
        """Take over what others have written meanwhile."""
        self._writable().look_again(self._properties)
        self._forget_views()

    def _add(self, entry: Json) -> Layer:
        """Add the layer that an entry describes."""
        return self._add_all([entry])[0]

    def _add_all(self, entries: Sequence[Json]) -> list[Layer]:
        """Add the layers that entries describe, all or none."""
        place, names = self._writable(), [entry["name"] for entry in entries]
        found = {name for name in names if isinstance(place, FolderPlace) and place.holds(name)}
        place.add_layers(self._properties, entries)
        self._forget_views()
        layers = [self.get_layer(name) for name in names]
        try:
            for layer in layers:
                layer._settle()
        except BaseException:
            for name in names if isinstance(place, FolderPlace) else ():
                take_back(self, name, delete=name not in found)
            raise
        return layers

    def _forget_views(self) -> None:
        """Let layers look at their entries again: one has changed."""
        self._changed()
        listed = {layer.name: layer for layer in self._properties.layers}
        self._layers = {
            name: layer
            for name, layer in self._layers.items()
            if name in listed
            and layer._properties.json is listed[name].json
            and type(layer) is self._kind_of(listed[name])
        }

    def _wrap(self, properties: LayerProperties) -> Layer:
        return self._kind_of(properties)(self, properties)

    def __repr__(self) -> str:
        return f"Dataset({str(self.path)!r})"

    def _repr_html_(self) -> str:
        facts = {"path": self.path, "voxel size": f"{tuple(self.voxel_size)} nm"}
        return html.card(
            f"Dataset {self.name}", facts, [layer._as_html(is_open=False) for layer in self.layers.values()]
        )


def _place_at(folder: Path | ObjectPath, *, read_only: bool) -> FilesPlace:
    reason = "the dataset is opened with read_only=True" if read_only else None
    return FolderPlace(folder, reason) if isinstance(folder, Path) else ObjectPlace(folder, reason)


def _one_size(
    folder: Path | ObjectPath, voxel_size: Vec3FloatLike | None, with_unit: VoxelSize | None
) -> VoxelSize | None:
    if voxel_size is not None and with_unit is not None:
        raise DatasetValueError(f"{folder}: give voxel_size or voxel_size_with_unit, not both")
    given = with_unit if voxel_size is None else voxel_size
    return None if given is None else VoxelSize.from_any(given)


def _existing(folder: Path | ObjectPath, name: str | None, size: VoxelSize | None) -> DatasetProperties:
    properties = DatasetProperties.read(folder)
    if name not in {None, properties.name}:
        raise DatasetError(f"{folder} is a dataset called {properties.name!r}, not {name!r}")
    found = VoxelSize(properties.voxel_size, LengthUnit.from_text(properties.unit))
    if size is not None and size != found:
        raise DatasetError(f"{folder} has the voxel size {found}, not {size}")
    return properties


def _made_whole(folder: Path | ObjectPath, make: Callable[[Path | ObjectPath], Dataset]) -> Dataset:
    """Return a dataset that is made beside its place, where nothing is: a call that is killed leaves no part of it."""
    if not isinstance(folder, Path) or os.path.lexists(folder):
        return make(folder)
    with place_folder(folder.absolute()) as made:
        make(made)
    return Dataset.open(folder)


def _created(
    folder: Path | ObjectPath, name: str | None, size: VoxelSize | None, *, read_only: bool
) -> DatasetProperties:
    if isinstance(folder, Path) and is_taken(folder, but=UNFINISHED):
        raise ExistsError(f"cannot create a dataset at {folder}: there is something already")
    dangling = said_of_dangling(folder)
    if dangling is not None:
        raise DatasetError(f"cannot create a dataset: {dangling}")
    if size is None:
        raise DatasetValueError(f"cannot create a dataset at {folder} without a voxel size; Dataset.open opens one")
    if read_only:
        raise DatasetError(f"cannot create a dataset at {folder} that is read-only")
    named = name or folder.absolute().name
    properties = DatasetProperties.create(folder, named, size.factor.to_tuple(), size.unit.value)
    if isinstance(folder, ObjectPath):
        ObjectPlace(folder).create(properties)
        return properties
    try:
        folder.mkdir(parents=True, exist_ok=True)
        properties.write_new()
    except OSError as error:
        raise DatasetError(f"cannot create a dataset at {folder}: {error}") from error
    return properties
