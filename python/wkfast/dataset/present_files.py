"""Mags and layers whose files are there already: found, checked against the layer, and listed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from wkfast import _core
from wkfast._lazy import lazy_import
from wkfast.dataset.data_format import FACTS, DataFormat, format_of_folder
from wkfast.dataset.folder_copies import copy_folder
from wkfast.dataset.folder_drafts import place_copied
from wkfast.dataset.folder_place import FolderPlace
from wkfast.dataset.folders import mark_left, remove_folder
from wkfast.dataset.layer_creation import check_layer_name
from wkfast.dataset.layer_properties import LayerProperties
from wkfast.dataset.mag_building import files_of, folder_place_of
from wkfast.dataset.mag_locations import location_in
from wkfast.dataset.metadata_files import read_json
from wkfast.dataset.ome_zarr import image_in, list_image
from wkfast.dataset.place import writable
from wkfast.errors import DatasetError, DatasetValueError, ExistsError, MagNotFoundError
from wkfast.geometry import Mag
from wkfast.geometry.constants import CXYZ_AXES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike

    from wkfast.buckets import ObjectPath
    from wkfast.dataset.dataset import Dataset
    from wkfast.dataset.files_place import FilesPlace
    from wkfast.dataset.layer import Layer
    from wkfast.dataset.layer_properties import Json
    from wkfast.dataset.mag_view import MagView
    from wkfast.geometry import NDBoundingBox
else:
    np = lazy_import("numpy")

# Parts of the name of a mag's metadata, seen from its layer's folder.
_DEPTH = 2


def list_files(layer: Layer, mag: Mag) -> MagView:
    """List a mag whose files lie in the layer's folder; see :meth:`Layer.add_mag_for_existing_files`."""
    place, properties = files_of(layer), layer._properties
    if mag in layer._listed_mags():
        raise ExistsError(f"layer {layer.name!r} has the mag {mag} already")
    folder = place.mag_folder(properties, mag, {})
    if folder is None or place.is_foreign(folder):
        raise DatasetError(f"layer {layer.name!r}: {folder} leads out of the dataset {place.where}")
    if isinstance(place, FolderPlace) and isinstance(folder, Path):
        place.own(folder, f"mag {mag} of layer {layer.name!r}")
    if not (folder.is_dir() if isinstance(folder, Path) else (folder / FACTS[layer.data_format].metadata).is_file()):
        raise MagNotFoundError(f"layer {layer.name!r} has no folder {folder}")
    found = _checked(layer, mag, folder)
    entry = place.entry(properties, mag, folder, found.chunk_shape[0] * found.chunks_per_shard[0])
    layer._list_mag({**entry, **_axis_order(layer, folder)})
    return layer.get_mag(mag)


def take_array(layer: Layer, mag: Mag, path: Path, *, move: bool, extend: bool) -> MagView:
    """Take the files of an array as a mag; see :meth:`Layer.add_mag_from_zarrarray`."""
    place = folder_place_of(layer, "add_mag_from_zarrarray")
    source = place.root / path
    data_format = format_of_folder(source)
    if data_format is not layer.data_format or not FACTS[data_format].is_array:
        raise DatasetValueError(
            f"{source} holds {data_format or 'no array'}, layer {layer.name!r} is stored as {layer.data_format}"
        )
    _checked(layer, mag, source)
    folder = place.new_folder(layer.dataset._properties, layer._properties, mag)
    if mag in layer._listed_mags() or os.path.lexists(folder):
        raise ExistsError(f"layer {layer.name!r} has the mag {mag} already, or something at {folder}")
    where, root = place.reached(folder)
    with place_copied(where, root) as draft:
        copy_folder(source, draft)
        mark_left(draft, draft.parent)
    view = list_files(layer, mag)
    if move:
        remove_folder(source)
    if extend:
        lengths, scale = lengths_of_array(layer, folder), dict(zip("xyz", mag.to_tuple(), strict=True))
        ends = {axis: lengths.get(axis, 1) * factor for axis, factor in scale.items()}
        box = layer.bounding_box
        reach = [max(end, ends.get(axis, 0)) for axis, end in zip(box.axes, box.bottomright, strict=True)]
        layer.bounding_box = box.with_bottomright(reach)
    return layer.get_mag(view.mag)


def _checked(layer: Layer, mag: Mag, folder: Path | ObjectPath) -> _core.Mag:
    """Open the mag in a folder; it must hold what the layer does."""
    location = location_in(folder, layer._properties, mag, _axis_order(layer, folder).get("axisOrder"))
    found = _core.Mag.open(location)
    if (np.dtype(found.dtype), found.channels) != (layer.dtype, layer.num_channels):
        raise DatasetValueError(
            f"{folder} holds {found.channels} channels of {found.dtype}, layer {layer.name!r} has "
            f"{layer.num_channels} of {layer.dtype}"
        )
    return found


def _axis_order(layer: Layer, folder: Path | ObjectPath) -> Json:
    """Return which axis of an array is which, as its entry says it: as it names them, else as the layer has them."""
    if not FACTS[layer.data_format].is_array:
        return {}
    names = _axes(layer, _metadata(layer, folder))
    return {"axisOrder": {name: place for place, name in enumerate(names) if name in CXYZ_AXES}}


def _metadata(layer: Layer, folder: Path | ObjectPath) -> Json:
    found = read_json(folder / FACTS[layer.data_format].metadata)
    return found if isinstance(found, dict) and isinstance(found.get("shape"), list) else {"shape": []}


def _axes(layer: Layer, metadata: Json) -> list[str]:
    names, usual, count = metadata.get("dimension_names"), list(layer._properties.new_axes()), len(metadata["shape"])
    if names and None not in names:
        return list(names)
    return usual if len(usual) == count else list(CXYZ_AXES)[-count:]


def lengths_of_array(layer: Layer, folder: Path | ObjectPath) -> dict[str, int]:
    """Return name and length of each axis of the array in a folder, in its voxels; WKW has no length.

    Raises
    ------
    DatasetError
        There is no array any more, or another one, whose axes are not those of the layer.
    """
    if not FACTS[layer.data_format].is_array:
        return {"c": layer.num_channels, "x": 0, "y": 0, "z": 0}
    metadata = _metadata(layer, folder)
    names, shape = _axes(layer, metadata), metadata["shape"]
    if len(names) != len(shape) or not all(isinstance(length, int) for length in shape):
        raise DatasetError(
            f"{folder} holds an array of the shape {shape}, expected a length for each of the axes {names}"
        )
    return dict(zip(names, shape, strict=True))


def add_layer_of_files(
    dataset: Dataset,
    layer_name: str,
    category: str,
    dtype: DTypeLike | None,
    num_channels: int | None,
    data_format: str | DataFormat | None,
    bounding_box: NDBoundingBox | None,
    more: dict[str, Any],
) -> Layer:
    """List a layer with all mags whose files are there; see :meth:`Dataset.add_layer_for_existing_files`."""
    check_layer_name(layer_name)
    image = image_in(dataset, layer_name)
    if image is not None:
        asked = {**more, "dtype": dtype, "num_channels": num_channels, "data_format": data_format}
        place = cast("FilesPlace", writable(dataset._place, dataset))
        list_image(dataset, place, layer_name, category, image, asked, bounding_box)
        return dataset.get_layer(layer_name)
    found = _mags_below(dataset._place.where / layer_name)
    declared = None if data_format is None else DataFormat.parse(str(data_format), layer=layer_name)
    formats = {each for _, each in found if declared in {None, each}}
    if len(formats) != 1:
        raise MagNotFoundError(f"{dataset.path / layer_name} does not hold mags of one format, found {found}")
    probe: Json = {"name": layer_name, "category": category, "dataFormat": formats.pop().value, "mags": []}
    mags = [mag for mag, each in found if each.value == probe["dataFormat"]]
    kind = _kind_of_files(dataset, probe, mags[0])
    layer = dataset.add_layer(
        layer_name, category, dtype=kind[0] if dtype is None else dtype, num_channels=num_channels or kind[1],
        data_format=probe["dataFormat"], bounding_box=bounding_box, **more,
    )  # fmt: skip
    try:
        views = [layer.add_mag_for_existing_files(mag) for mag in mags]
    except BaseException:
        dataset._change(lambda properties: properties.remove_layer(layer_name))
        raise
    if bounding_box is None:
        for box in min(views, key=lambda view: view.mag).get_bounding_boxes_on_disk():
            layer._extend_bounding_box(box)
    return layer


def _folders_below(folder: Path | ObjectPath) -> list[Path | ObjectPath]:
    """Return what lies in a folder and may be the folder of a mag."""
    if isinstance(folder, Path):
        return list(folder.iterdir()) if folder.is_dir() else []
    metadata = {facts.metadata for facts in FACTS.values()}
    parts = (name.split("/") for name, _ in folder.files())
    return [folder / part[0] for part in parts if len(part) == _DEPTH and part[1] in metadata]


def _mags_below(folder: Path | ObjectPath) -> list[tuple[Mag, DataFormat]]:
    """Return mags whose folders lie in `folder`, finest first, with the format of their metadata."""
    found = []
    for child in _folders_below(folder):
        data_format = format_of_folder(child)
        try:
            found += [(Mag(child.name), data_format)] if data_format is not None else []
        except ValueError:
            continue
    if not found:
        names = ", ".join(facts.metadata for facts in FACTS.values())
        raise MagNotFoundError(f"there is no mag in {folder}: no folder such as '1' or '2-2-1' with {names}")
    return sorted(found, key=lambda pair: pair[0])


def _kind_of_files(dataset: Dataset, probe: Json, mag: Mag) -> tuple[np.dtype[Any], int]:
    layer = dataset._wrap(LayerProperties({**probe, "mags": [{"mag": list(mag.to_tuple())}]}, str(dataset.path)))
    view = layer.get_mag(mag)
    return view.get_dtype(), view.num_channels
