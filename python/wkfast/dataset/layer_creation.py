"""Layers that are added to a dataset: empty, like another, or around an array."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import
from wkfast._warnings import warn
from wkfast.dataset.additional_axes import extra_axes_of
from wkfast.dataset.data_format import FACTS, DataFormat
from wkfast.dataset.files_place import FilesPlace
from wkfast.dataset.layer_category import COLOR_CATEGORY, SEGMENTATION_CATEGORY
from wkfast.dataset.layer_drafts import layer_draft
from wkfast.dataset.layer_properties import (
    ELSEWHERE,
    KEEPS_ZEROS,
    LayerProperties,
    element_class,
    element_dtype,
    without,
)
from wkfast.errors import DatasetValueError
from wkfast.geometry import BoundingBox, Vec3Int
from wkfast.geometry.bounding_box import as_box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy as np
    from numpy.typing import DTypeLike, NDArray

    from wkfast.dataset.dataset import Dataset
    from wkfast.dataset.layer import Layer
    from wkfast.dataset.layer_properties import Json
    from wkfast.dataset.new_mag import Shapes
    from wkfast.geometry import Mag, NDBoundingBox
else:
    np = lazy_import("numpy")

# What WEBKNOSSOS shows.
_IMAGES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32")
_SEGMENTS = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
_COLORED = 3
_LONGEST_NAME = 255


def new_entry(
    dataset: Dataset,
    name: str,
    category: str,
    kind: tuple[np.dtype[Any], int],
    data_format: str | DataFormat,
    box: NDBoundingBox | None,
    *,
    largest_segment_id: int | None = None,
    mappings: Iterable[str] | None = None,
) -> Json:
    """Return the entry of a layer without mags that can be; see :meth:`Dataset.add_layer`."""
    check_layer_name(name)
    dtype, channels = kind
    stored_as = _parsed(data_format, name)
    box = None if box is None else as_box(box)
    check_kind(name, category, dtype, channels)
    _check_box(name, box, stored_as, channels)
    entry: Json = {"name": name, "category": category, "boundingBox": None}
    properties = LayerProperties(entry, str(dataset.path))
    properties.set_bounding_box(box or BoundingBox((0, 0, 0), (0, 0, 0)))
    entry |= {"dataFormat": stored_as.value, "mags": []}
    if category == SEGMENTATION_CATEGORY:
        properties.set_largest_segment_id(largest_segment_id)
        entry |= {"mappings": list(mappings)} if mappings is not None else {}
    return entry | {"numChannels": channels, "elementClass": element_class(dtype, channels)}


def add_layer_like(dataset: Dataset, other: Layer, name: str) -> Layer:
    """Add a layer without mags that is described like another; see :meth:`Dataset.add_layer_like`."""
    return dataset._add(entry_like(other, name))


def entry_like(other: Layer, name: str) -> Json:
    """Return the entry of a layer without mags that is described like another.

    Raises
    ------
    DatasetValueError
        The name can be none of a folder.
    """
    check_layer_name(name)
    entry = without(other._properties.json, *ELSEWHERE, KEEPS_ZEROS)
    return {**entry, "name": name, "mags": [], "dataFormat": format_like(other).value}


def format_like(other: Layer) -> DataFormat:
    """Return the format of a layer like another: what a server sends does not tell in which files it has it."""
    return other.data_format if other._place.has_files else DataFormat.Zarr3


def write_layer(
    dataset: Dataset,
    name: str,
    category: str,
    voxels: NDArray[Any],
    topleft: Vec3Int,
    mag: Mag,
    data_format: str | DataFormat,
    shapes: Shapes,
    *,
    downsample: bool,
) -> Layer:
    """Add a layer around an array (c, x, y, z); see :meth:`Dataset.write_layer`."""
    box = BoundingBox(topleft, Vec3Int(voxels.shape[1:]) * mag.to_vec3_int())
    place = dataset._writable()
    entry = new_entry(dataset, name, category, (voxels.dtype, voxels.shape[0]), data_format, box)
    fill = partial(_fill, voxels=voxels, topleft=topleft, mag=mag, shapes=shapes, downsample=downsample)
    if isinstance(place, FilesPlace) and not place.holds(name):
        return add_filled(dataset, place, entry, fill)
    layer = dataset._add(entry)
    try:
        fill(layer)
    except BaseException:
        take_back(dataset, name, delete=not isinstance(place, FilesPlace))
        raise
    return layer


def add_filled(dataset: Dataset, place: FilesPlace, entry: Json, fill: Callable[[Layer], object]) -> Layer:
    """Add a layer that is listed when `fill` has made all that is in it: a call that is killed leaves none."""
    with layer_draft(place, dataset._properties, entry) as (draft, described):
        fill(type(dataset)._of(described, draft).get_layer(entry["name"]))
    dataset._forget_views()
    layer = dataset.get_layer(entry["name"])
    layer._settle()
    return layer


def _fill(layer: Layer, *, voxels: NDArray[Any], topleft: Vec3Int, mag: Mag, shapes: Shapes, downsample: bool) -> None:
    """Give a new layer its voxels and coarser mags."""
    view = layer.add_mag(
        mag, chunk_shape=shapes.chunk_shape, shard_shape=shapes.shard_shape, chunks_per_shard=shapes.chunks_per_shard
    )
    view.write(voxels, absolute_offset=topleft)
    if layer.category == SEGMENTATION_CATEGORY:
        layer._change(lambda entry: entry.set_largest_segment_id(int(voxels.max(initial=0))))
    if downsample:
        layer.downsample(from_mag=view.mag)


def take_back(dataset: Dataset, name: str, *, delete: bool = True) -> None:
    """Remove a layer that could not be made; its folder only if it was not there before.

    Where the disk is so full that not even that can be written down, its files go first.
    """
    if not delete:
        dataset._change(lambda properties: properties.remove_layer(name))
        return
    try:
        dataset.delete_layer(name)
    except OSError:
        place, folder = dataset._writable(), dataset.path / name
        if not isinstance(place, FilesPlace) or not place.may_remove(dataset._properties, folder, name):
            raise
        place.remove(folder)
        dataset.delete_layer(name)


def check_layer_name(name: str) -> None:
    """Refuse names of which no folder is made.

    Raises
    ------
    DatasetValueError
        A ``ValueError``: it is long, or holds other things than letters, digits, ``_``, ``-`` and ``.``.
    """
    if not _is_layer_name(name):
        raise DatasetValueError(
            f"a layer cannot be called {name!r}: use up to {_LONGEST_NAME} letters, digits, '_', '-' and '.', "
            "no '.' at the start"
        )


def _is_layer_name(name: str) -> bool:
    return (
        len(name) <= _LONGEST_NAME and re.fullmatch(r"[\w.-]+", name, re.ASCII) is not None and not name.startswith(".")
    )


def leads_elsewhere(name: str) -> bool:
    """Return whether a name is none of a folder right in another: empty, hidden, or of several parts."""
    return not name or name.startswith(".") or "/" in name or "\0" in name


def copied_layer_name(name: str) -> str:
    """Return a safe name for a copy of a layer as a server or another dataset calls it; see :func:`safe_layer_name`.

    Raises
    ------
    DatasetValueError
        It would lead elsewhere.
    """
    if leads_elsewhere(name):
        check_layer_name(name)
    return name if _is_layer_name(name) else safe_layer_name(name)


def safe_layer_name(name: str) -> str:
    """Return a name that a folder can have for a layer as a server calls it; warns if it is another.

    Examples
    --------
    >>> safe_layer_name("segmentation_v2")
    'segmentation_v2'
    """
    safe = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)[:_LONGEST_NAME]
    safe = f"_{safe}" if safe.startswith(".") or not safe else safe
    if safe != name:
        warn(f"layer {name!r} is called {safe!r} here: no folder is made of its name")
    return safe


def voxel_kind(
    dtypes: Mapping[str, DTypeLike | None], num_channels: int | None, box: NDBoundingBox | None
) -> tuple[np.dtype[Any], int]:
    """Return type and number of the channels of a voxel, which callers give in several ways.

    Raises
    ------
    DatasetValueError
        It is given in two ways, or is no type of voxels.
    """
    per_layer = dtypes["dtype_per_layer"]
    channels = num_channels or (3 if str(per_layer) == "uint24" else _channels_of(box))
    if num_channels is not None and num_channels < 1:
        raise DatasetValueError(f"a layer cannot have {num_channels} channels: at least one")
    given = [each for each in dtypes.values() if each is not None]
    if len(given) > 1:
        raise DatasetValueError("give one of dtype, dtype_per_channel and dtype_per_layer")
    for name, value in dtypes.items():
        if name != "dtype" and value is not None:
            warn(f"{name} is deprecated, use dtype", DeprecationWarning)
    try:
        if per_layer is not None:
            return element_dtype(str(per_layer), channels), channels
        return np.dtype(given[0] if given else "uint8"), channels
    except TypeError as error:
        raise DatasetValueError(f"{given[0]!r} is no type of voxels: {error}") from None


def check_kind(layer_name: str, category: str, dtype: np.dtype[Any], channels: int) -> None:
    """Refuse what WEBKNOSSOS does not show in a layer of a category, and warn of channels that it does not show.

    Raises
    ------
    DatasetValueError
        There is no such category, or voxels cannot be of that type.
    """
    if category not in {COLOR_CATEGORY, SEGMENTATION_CATEGORY}:
        raise DatasetValueError(f"layer {layer_name!r}: the category is {category!r}, not 'color' or 'segmentation'")
    shown = _SEGMENTS if category == SEGMENTATION_CATEGORY else _IMAGES
    if dtype.name not in shown:
        raise DatasetValueError(f"{category} layer {layer_name!r}: voxels cannot be {dtype}, but {', '.join(shown)}")
    if channels < 1:
        raise DatasetValueError(f"layer {layer_name!r}: {channels} channels")
    if channels > 1 and (dtype.name, channels) != ("uint8", _COLORED):
        warn(
            f"WEBKNOSSOS does not show layer {layer_name!r}: of several channels it takes three of uint8, not "
            f"{channels} of {dtype}; make a layer of each",
        )


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
    if further and not FACTS[data_format].is_array:
        raise DatasetValueError(f"layer {layer_name!r}: WKW has no additional axes such as {further[0]}; use zarr3")


def _parsed(data_format: str | DataFormat, layer_name: str) -> DataFormat:
    return DataFormat.parse(str(data_format), layer=layer_name)


def with_axes(data: NDArray[Any], axes: Iterable[str] | None) -> NDArray[Any]:
    """Return `data` as an array (c, x, y, z).

    Raises
    ------
    DatasetValueError
        It does not have such axes.
    """
    data = np.asarray(data)
    names = list(axes) if axes is not None else list("xyz" if data.ndim == len("xyz") else "cxyz")
    if len(names) != data.ndim or len(set(names)) != len(names) or not {"x", "y", "z"} <= set(names) <= {"c", *"xyz"}:
        raise DatasetValueError(f"an array of the shape {data.shape} does not have the axes {''.join(names)}")
    if "c" not in names:
        names, data = ["c", *names], data[np.newaxis]
    return data.transpose([names.index(axis) for axis in ("c", "x", "y", "z")])
