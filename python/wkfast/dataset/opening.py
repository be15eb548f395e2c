"""Layers from whatever users hold: a folder, a ``zarr.Array``, or a layer of another package."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from wkfast import _core
from wkfast.dataset.data_format import FACTS, DataFormat, format_of_folder
from wkfast.dataset.dataset import Dataset
from wkfast.dataset.folder_place import FolderPlace
from wkfast.dataset.layer import Layer
from wkfast.dataset.layer_category import COLOR_CATEGORY, SEGMENTATION_CATEGORY
from wkfast.dataset.metadata_files import read_json
from wkfast.dataset.multiscales import axes_in_group
from wkfast.dataset.properties import FILE_NAME, DatasetProperties, Json, element_class
from wkfast.errors import DatasetError, DatasetNotFoundError
from wkfast.geometry import BoundingBox, Mag, Vec3Int


def open_layer(source: Any, *, mag: Any = 1, axes: str | None = None) -> Layer:
    """Return a layer from a folder, a ``zarr.Array`` on disk, or a layer of the ``webknossos`` package.

    Parameters
    ----------
    source
        The folder of a layer in a dataset, or of a single mag or array; a ``zarr.Array`` in a local folder; an object
        with a ``name`` and a ``dataset`` that has a ``path``, such as a layer of the reference package.
    mag
        Of a single array.
    axes
        What each axis of a single array is, e.g. ``"zyx"``; default: its dimension names, else those of the OME-Zarr
        group that lists it, else the last of c, x, y, z.

    Returns
    -------
    Layer
        That of its dataset, or a read-only one with the single mag and the array's extent as its box.

    Raises
    ------
    DatasetNotFoundError
        There is neither a layer nor an array.
    DatasetError
        The array does not lie on disk.

    Examples
    --------
    >>> import zarr
    >>> array = zarr.create_array(tmp_path / "labels", shape=(20, 30, 40), chunks=(8, 8, 8), dtype="uint32")
    >>> array[:] = 7
    >>> layer = open_layer(array)
    >>> layer.bounding_box, int(layer.get_mag(1).read().max())
    (BoundingBox(topleft=(0, 0, 0), size=(20, 30, 40)), 7)
    """
    if isinstance(source, Layer):
        return source
    if isinstance(source, str | PathLike):
        return _from_folder(Path(fspath(source)), Mag(mag), axes)
    dataset, name = getattr(source, "dataset", None), getattr(source, "name", None)
    path = getattr(dataset, "path", None)
    if isinstance(name, str) and path is not None:
        return Dataset.open(str(path)).get_layer(name)
    return _single(_folder_of_array(source), Mag(mag), axes)


def _from_folder(folder: Path, mag: Mag, axes: str | None) -> Layer:
    if (folder.parent / FILE_NAME).is_file():
        return Dataset.open(folder.parent).get_layer(folder.name)
    return _single(folder, mag, axes)


def _folder_of_array(array: Any) -> Path:
    """Return the folder of a ``zarr.Array``."""
    store = getattr(array, "store", None)
    root, path = getattr(store, "root", None), getattr(array, "path", None)
    if not isinstance(root, Path) or not isinstance(path, str):
        raise DatasetError(f"{array!r} is no layer and no array in a local folder; save it to one first")
    return root / path


def _single(folder: Path, mag: Mag, axes: str | None) -> Layer:
    """Return a layer of one mag, described by its array alone; nothing is written."""
    data_format = format_of_folder(folder)
    if data_format is None:
        names = ", ".join(facts.metadata for facts in FACTS.values())
        raise DatasetNotFoundError(f"{folder} is neither a layer of a dataset nor a mag: no {names}")
    if axes is None and FACTS[data_format].is_array and not _names_axes(folder / FACTS[data_format].metadata):
        axes = axes_in_group(folder)
    location: Any = {
        "mag": list(mag.to_tuple()),
        "format": data_format.value,
        "container": {"kind": "directory", "path": str(folder.absolute())},
        "prefix": "",
        "axis_order": None if axes is None else {name: place for place, name in enumerate(axes)},
    }
    array = _core.Mag.open(location)
    dtype = np.dtype(array.dtype)
    entry: Json = {
        "name": folder.name,
        "category": SEGMENTATION_CATEGORY if dtype.kind in "ui" and array.channels == 1 else COLOR_CATEGORY,
        "dataFormat": data_format.value,
        "numChannels": array.channels,
        "elementClass": element_class(dtype, array.channels),
        "mags": [{"mag": location["mag"], "path": str(folder.absolute()), "axisOrder": location["axis_order"]}],
    }
    properties = DatasetProperties.create(folder.parent, folder.parent.name, (1, 1, 1))
    properties.add_layer(entry)
    layer = Dataset._of(properties, FolderPlace(folder.parent, "it is opened as a single mag")).get_layer(folder.name)
    lengths = _extent(folder, data_format, array, axes)
    box = BoundingBox((0, 0, 0), Vec3Int([lengths.get(axis, 1) for axis in "xyz"]))
    layer._properties.set_bounding_box(box.from_mag_to_mag1(mag))
    further = [(name, place) for place, name in enumerate(lengths) if name not in "cxyz"]
    if further:
        order = {name: place for place, name in enumerate(lengths) if name in "cxyz"}
        layer._properties.json["mags"][0]["axisOrder"] = order
        layer._properties.json["additionalAxes"] = [
            {"name": name, "bounds": [0, lengths[name]], "index": place} for name, place in further
        ]
    return layer


def _names_axes(metadata: Path) -> bool:
    """Return whether an array names all of its dimensions itself."""
    stated: Any = read_json(metadata)
    names: Any = stated.get("dimension_names") if isinstance(stated, dict) else None
    return bool(names) and None not in names


def _extent(folder: Path, data_format: DataFormat, array: _core.Mag, axes: str | None) -> dict[str, int]:
    """Return name and length of an array's axes, in its voxels; of the files in WKW, which has no shape."""
    if not FACTS[data_format].is_array:
        chunks = array.chunks()[:, -3:].astype(np.int64)
        shape = (chunks.max(axis=0) + 1) * np.array(array.chunk_shape) if len(chunks) else np.zeros(3, np.int64)
        return dict(zip("xyz", shape.tolist(), strict=True))
    metadata: Any = read_json(folder / FACTS[data_format].metadata)
    lengths = metadata["shape"]
    named = metadata.get("dimension_names") or [None]
    names = axes or (named if None not in named else "cxyz"[-len(lengths) :] if len(lengths) > len("xy") else "xy")
    return dict(zip(names, lengths, strict=True))
