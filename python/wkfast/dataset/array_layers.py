"""Layers that nobody has described: by the arrays alone, or by the OME-Zarr group around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast._lazy import lazy_import
from wkfast.dataset.data_format import FACTS
from wkfast.dataset.layer_category import COLOR_CATEGORY, SEGMENTATION_CATEGORY
from wkfast.dataset.layer_properties import LayerProperties, element_class
from wkfast.dataset.multiscales import groups_below, image_of
from wkfast.errors import DatasetError, DatasetNotFoundError
from wkfast.geometry import BoundingBox, Vec3Int

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from wkfast.dataset.array_files import ArrayFiles
    from wkfast.dataset.layer_properties import Json
    from wkfast.dataset.multiscales import Image
    from wkfast.geometry import Mag
else:
    np = lazy_import("numpy")

# As many axes can be told apart without names: c, x, y, z.
_PLAIN = 4


def layer_entry(
    name: str,
    mags: Sequence[tuple[Mag, ArrayFiles]],
    axes: str | None,
    path_of: Callable[[ArrayFiles], str],
    category: str | None = None,
) -> Json:
    """Return the entry of a layer, as its arrays are.

    Parameters
    ----------
    mags
        Mags with their arrays, finest first: the first says what all are.
    axes
        What each axis of the arrays is; default: what they name, else the last of c, x, y, z.
    path_of
        Returns what an array's ``path`` is to be.
    category
        Default: a segmentation, if voxels are one integer.

    Raises
    ------
    DatasetError
        There is no array where there should be one, they are of several formats, or have many axes without names.
    """
    mag, finest = mags[0]
    array = _core.Mag.open(mag_location(mag, finest, axes))
    dtype = np.dtype(array.dtype)
    if category is None:
        category = SEGMENTATION_CATEGORY if dtype.kind in "ui" and array.channels == 1 else COLOR_CATEGORY
    entry: Json = {"name": name, "category": category, "dataFormat": _format(finest), "boundingBox": None}
    lengths = _extent(finest, array, axes)
    further = [(axis, place) for place, axis in enumerate(lengths) if axis not in "cxyz"]
    if further:
        entry["additionalAxes"] = [
            {"name": axis, "bounds": [0, lengths[axis]], "index": place} for axis, place in further
        ]
    order = {axis: place for place, axis in enumerate(lengths) if axis in "cxyz"} if axes or further else None
    entry |= {"numChannels": array.channels, "elementClass": element_class(dtype, array.channels), "mags": []}
    for each, files in mags:
        if _format(files) != entry["dataFormat"]:
            raise DatasetError(
                f"{files} is {_format(files)}, but {finest} is {entry['dataFormat']}: a layer has one format"
            )
        entry["mags"].append({"mag": list(each.to_tuple()), "path": path_of(files), "axisOrder": order})
    box = BoundingBox((0, 0, 0), Vec3Int([lengths.get(axis, 1) for axis in "xyz"]))
    LayerProperties(entry, str(finest)).set_bounding_box(box.from_mag_to_mag1(mag))
    return entry


def image_entry(name: str, image: Image, path_of: Callable[[ArrayFiles], str], mags: Any = None) -> Json:
    """Return the entry of a layer that an OME-Zarr group describes.

    Parameters
    ----------
    mags
        Default: mag 1 is the finest array.
    """
    return layer_entry(name, mags or image.mags(), image.axes, path_of, image.category)


def require_image(group: ArrayFiles) -> Image:
    """Return the image of a group.

    Raises
    ------
    DatasetNotFoundError
        It is none, or lists no image; the message says what lies in it.
    """
    image = image_of(group)
    if image is not None:
        return image
    if not group.is_group:
        names = ", ".join(facts.metadata for facts in FACTS.values())
        raise DatasetNotFoundError(f"{group} is neither a layer of a dataset nor a mag: no {names}")
    below = ", ".join(groups_below(group)) or "nothing that wkfast knows"
    raise DatasetNotFoundError(
        f"{group} is a group of Zarr without an image (multiscales): open what is in it: {below}"
    )


def mag_location(mag: Mag, files: ArrayFiles, axes: str | None) -> Json:
    """Return where an array lies, as plain data for the core: see ``_core.MagLocation``.

    Raises
    ------
    DatasetError
        It has more axes than can be told apart without names.
    """
    if axes is None:
        _check_axes(files)
    order = None if axes is None else {name: place for place, name in enumerate(axes)}
    return {"mag": list(mag.to_tuple()), "format": _format(files), **files.place, "axis_order": order}


def names_axes(files: ArrayFiles) -> bool:
    """Return whether an array names all of its dimensions itself."""
    names: Any = files.object("zarr.json").get("dimension_names")
    return bool(names) and None not in names


def _check_axes(files: ArrayFiles) -> None:
    shape = files.object(".zarray").get("shape") or files.object("zarr.json").get("shape")
    if isinstance(shape, list) and len(shape) > _PLAIN and not names_axes(files):
        raise DatasetError(
            f"{files} has {len(shape)} axes without names, of the lengths {shape}: say which is which by axes=, such "
            f"as axes={'tczyx'[-len(shape) :]!r}"
        )


def _format(files: ArrayFiles) -> str:
    data_format = files.data_format
    if data_format is None:
        names = ", ".join(facts.metadata for facts in FACTS.values())
        raise DatasetNotFoundError(f"{files} holds no mag and no array: no {names}")
    return data_format.value


def _extent(files: ArrayFiles, array: _core.Mag, axes: str | None) -> dict[str, int]:
    """Return name and length of an array's axes, in its voxels; of the files in WKW, which has no shape."""
    data_format = files.data_format
    if data_format is None or not FACTS[data_format].is_array:
        chunks = array.chunks()[:, -3:].astype(np.int64)
        shape = (chunks.max(axis=0) + 1) * np.array(array.chunk_shape) if len(chunks) else np.zeros(3, np.int64)
        return dict(zip("xyz", shape.tolist(), strict=True))
    metadata = files.object(FACTS[data_format].metadata)
    lengths = metadata["shape"]
    named = metadata.get("dimension_names") or [None]
    names = axes or (named if None not in named else "cxyz"[-len(lengths) :] if len(lengths) > len("xy") else "xy")
    return dict(zip(names, lengths, strict=True))
