"""Datasets and layers of OME-Zarr images whose arrays stay where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import
from wkfast.dataset.array_files import ArrayFiles
from wkfast.dataset.array_layers import image_entry, require_image
from wkfast.dataset.folder_place import FolderPlace
from wkfast.dataset.layer_category import SEGMENTATION_CATEGORY
from wkfast.dataset.layer_creation import check_kind, safe_layer_name
from wkfast.dataset.layer_properties import LayerProperties
from wkfast.dataset.multiscales import image_of, label_groups
from wkfast.errors import DatasetError, DatasetValueError
from wkfast.geometry import Mag

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from wkfast.buckets import ObjectPath
    from wkfast.dataset.dataset import Dataset
    from wkfast.dataset.files_place import FilesPlace
    from wkfast.dataset.layer_properties import Json
    from wkfast.dataset.multiscales import Image
    from wkfast.geometry import NDBoundingBox, VoxelSize
else:
    np = lazy_import("numpy")

_SUFFIXES = (".zarr", ".ome")


def entries_of_image(folder: Path | ObjectPath) -> tuple[VoxelSize, list[Json]]:
    """Return the voxel size of the image in a folder, and the entries of layers for it and its labels."""
    group = ArrayFiles(folder)
    image = require_image(group)
    name = group.name
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    entries = [image_entry(safe_layer_name(name), image, _stated)]
    for labels in label_groups(group):
        found = require_image(labels)
        entry = image_entry(safe_layer_name(labels.name), found, _stated, found.mags(image.voxel_size))
        if any(entry["name"] == other["name"] for other in entries):
            entry["name"] = f"{entry['name']}_labels"
        entries.append({**entry, "category": SEGMENTATION_CATEGORY})
    return image.voxel_size, entries


def _stated(files: ArrayFiles) -> str:
    return files.stated


def image_in(dataset: Dataset, layer_name: str) -> tuple[Image, list[tuple[Mag, ArrayFiles]]] | None:
    """Return the image whose group is the folder of a layer, and the mags of its arrays for the dataset's voxel size.

    ``None`` where there is none, and where its arrays lie in folders that are called as their mags are: so they do in
    datasets of WEBKNOSSOS.

    Raises
    ------
    DatasetError
        Its voxels are of another size than those of the dataset.
    """
    image = image_of(ArrayFiles(dataset._place.where / layer_name))
    if image is None:
        return None
    named = [_mag_or_none(level.path) for level in image.levels]
    try:
        mags = image.mags(dataset.voxel_size_with_unit)
    except DatasetError:
        if None in named:
            raise
        return None
    return None if set(named) == {mag for mag, _ in mags} and _as_named(mags) else (image, mags)


def _as_named(mags: list[tuple[Mag, ArrayFiles]]) -> bool:
    return all(_mag_or_none(files.path.name) == mag for mag, files in mags)


def _mag_or_none(name: str) -> Mag | None:
    try:
        return Mag(name)
    except ValueError:
        return None


def list_image(
    dataset: Dataset,
    place: FilesPlace,
    layer_name: str,
    category: str,
    found: tuple[Image, list[tuple[Mag, ArrayFiles]]],
    asked: dict[str, Any],
    box: NDBoundingBox | None,
) -> None:
    """List an image that lies in the folder of a layer; see ``Dataset.add_layer_for_existing_files``.

    Raises
    ------
    DatasetValueError
        It differs from what is asked for. Nothing was added.
    ExistsError
        There is a layer of that name.
    """
    dataset._properties.check_free(layer_name)
    image, mags = found
    for mag, files in mags:
        if isinstance(place, FolderPlace):
            place.own(files.here, f"mag {mag} of layer {layer_name!r}")
    root = place.where.absolute()

    def stated(files: ArrayFiles) -> str:
        return f"./{files.path.absolute().relative_to(root).as_posix()}"  # type: ignore[arg-type] # both here or both far

    entry = image_entry(layer_name, image, stated, mags)
    properties = LayerProperties({**entry, "category": category}, str(root))
    for what, wanted, there in (
        ("dtype", np.dtype(asked["dtype"] or properties.dtype), properties.dtype),
        ("num_channels", asked["num_channels"] or properties.num_channels, properties.num_channels),
        ("data_format", str(asked["data_format"] or properties.data_format), str(properties.data_format)),
    ):
        if wanted != there:
            raise DatasetValueError(f"{root / layer_name}: its {what} is {there}, not {wanted}")
    check_kind(layer_name, category, properties.dtype, properties.num_channels)
    if box is not None:
        properties.set_bounding_box(box)
    if category == SEGMENTATION_CATEGORY:
        properties.set_largest_segment_id(asked.get("largest_segment_id"))
        properties.json.update({"mappings": list(asked["mappings"])} if asked.get("mappings") is not None else {})
    dataset._change(lambda fresh: fresh.add_layer(properties.json))
