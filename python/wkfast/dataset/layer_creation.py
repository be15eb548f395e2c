"""Creating layers: the part of :class:`Dataset` that adds them."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from wkfast.dataset.additional_axes import extra_axes_of
from wkfast.dataset.data_format import DataFormat
from wkfast.dataset.layer import Layer, SegmentationLayer, check_layer_name
from wkfast.dataset.layer_category import COLOR_CATEGORY, SEGMENTATION_CATEGORY
from wkfast.dataset.properties import KEEPS_ZEROS, LayerProperties, element_class, element_dtype
from wkfast.errors import DatasetValueError, ExistsError, MagNotFoundError
from wkfast.geometry import BoundingBox, Mag, NDBoundingBox, Vec3Int

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray

    from wkfast.dataset.properties import DatasetProperties, Json
    from wkfast.geometry import Vec3IntLike

_TYPES = {"uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64"}
_METADATA = {"header.wkw": DataFormat.WKW, ".zarray": DataFormat.Zarr, "zarr.json": DataFormat.Zarr3}


class LayerCreation:
    """Methods of a dataset that add layers."""

    if TYPE_CHECKING:

        @property
        def path(self) -> Path: ...  # noqa: D102
        @property
        def layers(self) -> dict[str, Layer]: ...  # noqa: D102
        def check_writable(self) -> None: ...  # noqa: D102
        def change(self, change: Callable[[DatasetProperties], None]) -> None: ...  # noqa: D102
        def get_layer(self, layer_name: str) -> Layer: ...  # noqa: D102

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
        self.check_writable()
        check_layer_name(layer_name)
        if num_channels is not None and num_channels < 1:
            raise DatasetValueError(f"layer {layer_name!r} cannot have {num_channels} channels: at least one")
        channels = num_channels or (3 if str(dtype_per_layer) == "uint24" else _channels_of(bounding_box))
        kind = _one_dtype(dtype, dtype_per_channel, dtype_per_layer, channels)
        _check_kind(layer_name, category, kind, channels)
        _check_box(layer_name, bounding_box, _parsed(data_format, layer_name), channels)
        entry: Json = {"name": layer_name, "category": category, "boundingBox": None}
        LayerProperties(entry, self.path).set_bounding_box(bounding_box or BoundingBox((0, 0, 0), (0, 0, 0)))
        entry |= {"dataFormat": _parsed(data_format, layer_name).value, "mags": []}
        if category == SEGMENTATION_CATEGORY:
            LayerProperties(entry, self.path).set_largest_segment_id(largest_segment_id)
            entry |= {"mappings": list(mappings)} if mappings is not None else {}
        entry |= {"numChannels": channels, "elementClass": element_class(kind, channels)}
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
        **more: Any,
    ) -> Layer:
        """Return a layer, added as by :meth:`add_layer` if it is not there.

        Raises
        ------
        DatasetValueError
            An ``AssertionError``: it is there, with another category, dtype or number of channels.
        """
        if layer_name not in self.layers:
            return self.add_layer(
                layer_name, category, dtype=dtype, dtype_per_channel=dtype_per_channel, num_channels=num_channels,
                data_format=data_format, **more,
            )  # fmt: skip
        layer = self.get_layer(layer_name)
        asked = dtype if dtype is not None else dtype_per_channel
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
            raise DatasetValueError(f"there is a layer {layer_name!r} already, but its {'; its '.join(differences)}")
        return layer

    def add_layer_like(self, other_layer: Layer, layer_name: str) -> Layer:
        """Add a layer without mags that is described like another, and return it."""
        self.check_writable()
        check_layer_name(layer_name)
        entry = copy.deepcopy(other_layer.properties.json)
        for key in ("attachments", "wkwResolutions", KEEPS_ZEROS):
            entry.pop(key, None)
        return self._add({**entry, "name": layer_name, "mags": []})

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

        Parameters
        ----------
        dtype, num_channels, data_format
            Default: what the files say; otherwise they must say the same.
        bounding_box
            Default: the box around all files of the finest mag.

        Raises
        ------
        MagNotFoundError
            There is no mag in the folder.
        DatasetValueError
            The files differ from what is asked for, or from mag to mag. Nothing was added.
        """
        self.check_writable()
        check_layer_name(layer_name)
        found = _mags_below(self.path / layer_name)
        declared = None if data_format is None else _parsed(data_format, layer_name)
        formats = {each for _, each in found if declared in {None, each}}
        if len(formats) != 1:
            raise MagNotFoundError(f"{self.path / layer_name} does not hold mags of one format, found {found}")
        probe: Json = {"name": layer_name, "category": category, "dataFormat": formats.pop().value, "mags": []}
        mags = [mag for mag, each in found if each.value == probe["dataFormat"]]
        kind = _kind_of_files(self, probe, mags[0])
        layer = self.add_layer(
            layer_name, category, dtype=kind[0] if dtype is None else dtype, num_channels=num_channels or kind[1],
            data_format=probe["dataFormat"], bounding_box=bounding_box, **more,
        )  # fmt: skip
        try:
            views = [layer.add_mag_for_existing_files(mag) for mag in mags]
        except BaseException:
            self.change(lambda properties: properties.remove_layer(layer_name))
            raise
        if bounding_box is None:
            for box in min(views, key=lambda view: view.mag).get_bounding_boxes_on_disk():
                layer.extend_bounding_box(box)
        return layer

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
        voxels = _with_axes(np.asarray(data), axes)
        topleft = Vec3Int(absolute_offset) if absolute_offset is not None else Vec3Int.zeros()
        box = BoundingBox(topleft, Vec3Int(voxels.shape[1:]) * Mag(mag).to_vec3_int())
        found = (self.path / layer_name).exists()
        layer = self.add_layer(
            layer_name, category, dtype=voxels.dtype, num_channels=voxels.shape[0], data_format=data_format,
            bounding_box=box,
        )  # fmt: skip
        try:
            view = layer.add_mag(
                mag, chunk_shape=chunk_shape, shard_shape=shard_shape, chunks_per_shard=chunks_per_shard
            )
            view.write(voxels, absolute_offset=topleft)
        except BaseException:
            self._take_back(layer_name, delete=not found)
            raise
        if isinstance(layer, SegmentationLayer):
            layer.largest_segment_id = int(voxels.max(initial=0))
        if downsample:
            cast("Any", layer).downsample(from_mag=view.mag)
        return layer

    def _take_back(self, layer_name: str, *, delete: bool) -> None:
        """Remove a layer that could not be made; its folder only if it was not there before."""
        if delete:
            cast("Any", self).delete_layer(layer_name)
        else:
            self.change(lambda properties: properties.remove_layer(layer_name))

    def _add(self, entry: Json) -> Layer:
        folder = self.path / entry["name"]
        if entry["name"] in self.layers:
            raise ExistsError(f"{self.path} has a layer {entry['name']!r} already")
        folder.mkdir(exist_ok=True)
        self.change(lambda properties: properties.add_layer(entry))
        return self.get_layer(entry["name"])


def _one_dtype(
    dtype: DTypeLike | None, per_channel: DTypeLike | None, per_layer: DTypeLike | None, channels: int
) -> np.dtype[Any]:
    given = [each for each in (dtype, per_channel, per_layer) if each is not None]
    if len(given) > 1:
        raise DatasetValueError("give one of dtype, dtype_per_channel and dtype_per_layer")
    for name, value in (("dtype_per_channel", per_channel), ("dtype_per_layer", per_layer)):
        if value is not None:
            warnings.warn(f"{name} is deprecated, use dtype", DeprecationWarning, stacklevel=4)
    try:
        if per_layer is not None:
            return element_dtype(str(per_layer), channels)
        return np.dtype(given[0] if given else "uint8")
    except TypeError as error:
        raise DatasetValueError(f"{given[0]!r} is no type of voxels: {error}") from None


def _check_kind(layer_name: str, category: str, dtype: np.dtype[Any], channels: int) -> None:
    if category not in {COLOR_CATEGORY, SEGMENTATION_CATEGORY}:
        raise DatasetValueError(f"layer {layer_name!r}: the category is {category!r}, not 'color' or 'segmentation'")
    if dtype.name not in _TYPES:
        raise DatasetValueError(f"layer {layer_name!r}: voxels cannot be {dtype}, but {', '.join(sorted(_TYPES))}")
    if category == SEGMENTATION_CATEGORY and dtype.kind not in "ui":
        raise DatasetValueError(f"layer {layer_name!r}: segment ids are whole numbers, not {dtype}")
    if channels < 1:
        raise DatasetValueError(f"layer {layer_name!r}: {channels} channels")


def _channels_of(box: NDBoundingBox | None) -> int:
    return box.get_shape("c") if box is not None and "c" in box.axes else 1


def _check_box(layer_name: str, box: NDBoundingBox | None, data_format: DataFormat, channels: int) -> None:
    if box is None:
        return
    if not set("xyz") <= set(box.axes):
        raise DatasetValueError(f"layer {layer_name!r} cannot have the box {box}: it lacks x, y or z")
    if "c" in box.axes and box.get_bounds("c") != (0, channels):
        raise DatasetValueError(f"layer {layer_name!r} has {channels} channels, not those of {box}")
    if min(box.topleft.to_tuple()) < 0:
        raise DatasetValueError(f"layer {layer_name!r} cannot have the box {box}: a coordinate is negative")
    further = extra_axes_of(box)
    if further and data_format is DataFormat.WKW:
        raise DatasetValueError(f"layer {layer_name!r}: WKW has no additional axes such as {further[0]}; use zarr3")


def _parsed(data_format: str | DataFormat, layer_name: str) -> DataFormat:
    return data_format if isinstance(data_format, DataFormat) else DataFormat.parse(data_format, layer=layer_name)


def _mags_below(folder: Path) -> list[tuple[Mag, DataFormat]]:
    """Return mags whose folders lie in `folder`, finest first, with the format of their metadata."""
    found = []
    for child in folder.iterdir() if folder.is_dir() else ():
        formats = [each for name, each in _METADATA.items() if (child / name).is_file()]
        try:
            found += [(Mag(child.name), each) for each in formats]
        except ValueError:
            continue
    if not found:
        raise MagNotFoundError(
            f"there is no mag in {folder}: no folder such as '1' or '2-2-1' with {', '.join(_METADATA)}"
        )
    return sorted(found, key=lambda pair: pair[0])


def _kind_of_files(dataset: Any, probe: Json, mag: Mag) -> tuple[np.dtype[Any], int]:
    view = Layer(dataset, LayerProperties({**probe, "mags": [{"mag": list(mag.to_tuple())}]}, dataset.path)).get_mag(
        mag
    )
    return view.get_dtype(), view.num_channels


def _with_axes(data: NDArray[Any], axes: Iterable[str] | None) -> NDArray[Any]:
    """Return `data` as (c, x, y, z)."""
    names = list(axes) if axes is not None else list("xyz" if data.ndim == len("xyz") else "cxyz")
    if len(names) != data.ndim or len(set(names)) != len(names) or not {"x", "y", "z"} <= set(names) <= {"c", *"xyz"}:
        raise DatasetValueError(f"an array of the shape {data.shape} does not have the axes {''.join(names)}")
    if "c" not in names:
        names, data = ["c", *names], data[np.newaxis]
    return data.transpose([names.index(axis) for axis in ("c", "x", "y", "z")])
