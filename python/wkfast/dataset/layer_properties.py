"""An entry of a layer in ``datasource-properties.json``: what it says by name, checked when it is asked for.

The parsed JSON stays the one truth. Views read from it and write into it, so keys that wkfast does not know survive
every rewrite. Format: the dataset documentation of WEBKNOSSOS.
"""

from __future__ import annotations

import copy
import functools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast._lazy import lazy_import
from wkfast._short import short
from wkfast.dataset.data_format import FACTS, DataFormat
from wkfast.dataset.layer_category import SEGMENTATION_CATEGORY
from wkfast.dataset.transformations import transformations_of
from wkfast.dataset.view_configuration import LayerViewConfiguration, configuration_of
from wkfast.errors import DatasetError, DatasetValueError
from wkfast.geometry import BoundingBox, Mag, NDBoundingBox, Vec3Int
from wkfast.geometry.constants import CXYZ_AXES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from wkfast.dataset.transformations import CoordinateTransformation
else:
    np = lazy_import("numpy")

# Files beside the voxels.
ATTACHMENTS = "attachments"
# Where the mags of a layer stand in files of earlier versions.
EARLIER_MAGS = "wkwResolutions"
# What a layer's entry says of where it lies: another layer like it has neither.
ELSEWHERE = (ATTACHMENTS, EARLIER_MAGS)
# Key of a layer that is being edited, for all who open its dataset meanwhile.
KEEPS_ZEROS = "wkfastKeepsZeros"
# No dataset is wider: 2⁴⁰ voxels of a nanometre are a kilometre.
FARTHEST = 2**40

Json = dict[str, Any]

_ELEMENT_CLASSES = {"float": "float32", "double": "float64", "uint24": "uint8"}
# JavaScript's numbers end here; WEBKNOSSOS spells larger ones as text.
_LARGEST_PLAIN = 2**53 - 1
# Bytes of a name and of a path that a file can have.
_LONGEST_NAME = 255
_LONGEST_PATH = 4096
_PATH = f"a text of {_LONGEST_PATH:,} bytes at most, {_LONGEST_NAME} between two slashes"
# More than any array in Zarr has.
_MOST_AXES = 64


def without(entry: Json, *keys: str) -> Json:
    """Return a copy of a layer's entry that has none of `keys`.

    Examples
    --------
    >>> without({"name": "em", "mags": [], "attachments": {}}, *ELSEWHERE)
    {'name': 'em', 'mags': []}
    """
    return copy.deepcopy({key: value for key, value in entry.items() if key not in keys})


class MagViewProperties(dict[str, Any]):
    """One entry of ``mags``: the JSON object, and what it says by name."""

    @property
    def mag(self) -> Mag:
        """The magnification."""
        return Mag(self["mag"])

    @property
    def path(self) -> str | None:
        """Where the files are, seen from the dataset's folder; ``None`` where it is not written down."""
        return self.get("path")

    @property
    def cube_length(self) -> int | None:
        """Edge of a file in voxels, where it is written down."""
        return self.get("cubeLength")

    @property
    def axis_order(self) -> dict[str, int] | None:
        """Place of each axis in the array, where it is written down."""
        return self.get("axisOrder")


@dataclass(frozen=True)
class LayerProperties:
    """One entry of ``dataLayers``: the JSON object, and what it says by name."""

    json: Json
    # What to call the file that it stands in.
    file: object

    @property
    def name(self) -> str:
        """Name of the layer, which is its folder's unless its mags say otherwise: it never leads out of the dataset."""
        name = self._text("name")
        if ".." in name or name.startswith("/"):
            climbed = os.path.normpath(name)
            if name.startswith("/") or climbed == ".." or climbed.startswith("../"):
                raise DatasetError(f"{self.file}: the name {name!r} of a layer leads out of the dataset")
        return name

    @property
    def category(self) -> str:
        """What the layer shows."""
        return self._text("category")

    @property
    def data_format(self) -> DataFormat:
        """How the voxels are stored."""
        return DataFormat.parse(str(self.json.get("dataFormat")), layer=self.name)

    @property
    def bounding_box(self) -> BoundingBox:
        """Box in mag-1 voxels."""
        box = self._required("boundingBox")
        try:
            topleft = Vec3Int(box["topLeft"])
            size = Vec3Int(box["width"], box["height"], box["depth"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._malformed("boundingBox", '{"topLeft": [x, y, z], "width", "height", "depth"}') from error
        if min(size.to_tuple()) < 0 or max(map(abs, (*topleft.to_tuple(), *size.to_tuple()))) > FARTHEST:
            raise self._malformed("boundingBox", f"sizes from 0 on, and coordinates within ±{FARTHEST:,}")
        return BoundingBox(topleft, size)

    @property
    def additional_axes(self) -> dict[str, tuple[int, int, int]]:
        """Axes beyond c, x, y, z: name, start, exclusive end, and place among an array's axes."""
        given = self.json.get("additionalAxes")
        try:
            axes = {str(axis["name"]): (*map(int, axis["bounds"]), int(axis["index"])) for axis in given or ()}
            typed = {name: (start, end, place) for name, (start, end, place) in axes.items()}
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._malformed("additionalAxes", '[{"name", "bounds": [start, end], "index"}]') from error
        if any(max(-start, end) > FARTHEST or not 0 <= place < _MOST_AXES for start, end, place in typed.values()):
            raise self._malformed("additionalAxes", f"bounds within ±{FARTHEST:,}, and an index below {_MOST_AXES}")
        return typed

    @property
    def axis_order(self) -> dict[str, int]:
        """Place of every axis in an array, as the first mag states it; else c, the additional axes, x, y, z."""
        further = {name: place for name, (_, _, place) in self.additional_axes.items()}
        stated = next((entry["axisOrder"] for entry in self.mags if entry.get("axisOrder")), None)
        if stated is not None:
            return {**stated, **further}
        free = (place for place in range(4 + len(further)) if place not in further.values())
        return {**dict(zip("cxyz", free, strict=False)), **further}

    def stored_order(self, entry: Json) -> Json | None:
        """Return the place of every axis in the array of one mag, if its entry states it."""
        order, further = entry.get("axisOrder"), self.additional_axes
        if order and further:
            order = {**order, **{axis: place for axis, (_, _, place) in further.items()}}
        return order

    @property
    def full_bounding_box(self) -> NDBoundingBox:
        """Box in mag-1 voxels, along all axes of arrays where there are additional ones."""
        box, further = self.bounding_box, self.additional_axes
        if not further:
            return box
        bounds = {axis: box.get_bounds(axis) for axis in "xyz"} | {"c": (0, self.num_channels)}
        bounds |= {name: (start, end) for name, (start, end, _) in further.items()}
        order = self.axis_order
        if not set("xyz") <= set(order) <= set(bounds):
            raise self._malformed("mags", f"an axisOrder of {', '.join(bounds)}")
        starts, sizes = [bounds[a][0] for a in order], [bounds[a][1] - bounds[a][0] for a in order]
        return NDBoundingBox(starts, sizes, tuple(order), tuple(order.values()))

    @property
    def axes_of_arrays(self) -> tuple[str, ...]:
        """Axes of arrays that are read, without the additional ones: those that the mags state, in their order."""
        if not FACTS[self.data_format].is_array:
            return CXYZ_AXES
        order = {axis: place for axis, place in self.axis_order.items() if axis in CXYZ_AXES}
        names = tuple(sorted(order, key=lambda axis: order[axis]))
        counted = self.num_channels > 1 or 0 not in self.axis_order.values()
        return names if "c" in names or not counted else ("c", *names)

    def new_axes(self) -> dict[str, int]:
        """Return name and exclusive end, in mag-1 voxels, of each axis of arrays for new mags, in their order."""
        box, order = self.full_bounding_box, self.axis_order
        ends = {"c": self.num_channels} | dict(zip(box.axes, box.bottomright, strict=True))
        return {axis: ends[axis] for axis in sorted(order, key=lambda axis: order[axis]) if axis in ends}

    def set_bounding_box(self, box: NDBoundingBox) -> None:
        """Write a box in mag-1 voxels into the entry; the additional axes stay what they are where it has none.

        Raises
        ------
        DatasetValueError
            It has more axes than are read.
        """
        further = [axis for axis in box.axes if axis not in "cxyz"]
        if len(further) >= _MOST_AXES:
            name = self.json.get("name", "?")
            raise DatasetValueError(f"layer {name!r}: a box of {len(further)} additional axes; {_MOST_AXES - 1} can be")
        width, height, depth = box.size_xyz.to_tuple()
        topleft = list(box.topleft_xyz.to_tuple())
        self.json["boundingBox"] = {"topLeft": topleft, "width": width, "height": height, "depth": depth}
        places = self.additional_axes
        if further:
            self.json["additionalAxes"] = [
                {"name": axis, "bounds": list(box.get_bounds(axis)), "index": places.get(axis, (0, 0, place))[2]}
                for place, axis in enumerate(further, 1)
            ]

    def widen_additional_axes(self, bounds: Mapping[str, Sequence[int]]) -> None:
        """Make the bounds (start, exclusive end) of additional axes hold those in `bounds` as well, by their names."""
        axes = self.json.get("additionalAxes")
        if axes:
            self.json["additionalAxes"] = [
                {**axis, "bounds": _around(axis["bounds"], bounds.get(axis["name"], axis["bounds"]))} for axis in axes
            ]

    @property
    def num_channels(self) -> int:
        """Values per voxel."""
        value = self.json.get("numChannels", 1)
        if not isinstance(value, int) or value < 1:
            raise self._malformed("numChannels", "a positive number")
        return value

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one channel. ``elementClass`` names the whole voxel: ``uint24`` is three channels of ``uint8``."""
        element = self._text("elementClass")
        try:
            return element_dtype(element, self.num_channels)
        except (TypeError, ValueError):
            raise self._malformed("elementClass", "uint8 to uint64, int8 to int64, float or double") from None

    @property
    def dtype_name(self) -> str:
        """Name of :attr:`dtype`, which needs no numpy: a merge has no other use for that."""
        name = element_type(self._text("elementClass"), self.num_channels)
        return name if name in _core.VOXEL_TYPES else self.dtype.name

    @property
    def dtype_np(self) -> np.dtype[Any]:
        """The same as :attr:`dtype`, by the name of the reference package."""
        return self.dtype

    @property
    def default_view_configuration(self) -> LayerViewConfiguration | None:
        """How the layer is shown at first, where that is written down."""
        return configuration_of(self.json, LayerViewConfiguration)  # type: ignore[no-any-return] # of that kind

    @property
    def coordinate_transformations(self) -> tuple[CoordinateTransformation, ...]:
        """How the layer is placed, step by step."""
        return transformations_of(self.json)

    @property
    def mappings(self) -> list[str] | None:
        """Names of the mappings of a segmentation, where they are written down."""
        return self.json.get("mappings")

    @property
    def largest_segment_id(self) -> int | None:
        """Largest segment id in use, ``None`` if nobody wrote it down."""
        value = self.json.get("largestSegmentId")
        if isinstance(value, dict) and str(value.get("value", "")).isdecimal():
            return int(value["value"])
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise self._malformed("largestSegmentId", "an integer or null")
        return value

    def set_largest_segment_id(self, value: int | None) -> None:
        """Write the largest segment id; ``None`` for one that is not known."""
        if value is None:
            self.json.pop("largestSegmentId", None)
        elif value > _LARGEST_PLAIN:
            self.json["largestSegmentId"] = {"customJsonEncoding": "bigint", "value": str(value)}
        else:
            self.json["largestSegmentId"] = value

    @property
    def keeps_zeros(self) -> bool:
        """Whether chunks of zeros are stored: the layer is an annotation's, where they erase."""
        return self.json.get(KEEPS_ZEROS) is True

    def set_mags(self, entries: Sequence[Json]) -> None:
        """Write the mags, in today's form."""
        self.json.pop(EARLIER_MAGS, None)
        self.json["mags"] = [dict(entry) for entry in entries]

    def move_mags(self, old: str, new: str) -> None:
        """Write another folder of the dataset into the paths of those mags that lie in the folder `old`."""
        if "mags" in self.json:
            self.json["mags"] = [_moved(mag, old, new) for mag in self.json["mags"]]

    @property
    def mags(self) -> list[MagViewProperties]:
        """Entries of ``mags``; those of the legacy ``wkwResolutions`` in the same form.

        Raises
        ------
        DatasetError
            They are no list of objects, or an ``axisOrder`` or a ``path`` is none.
        """
        if "mags" in self.json:
            return [self._checked_mag(entry) for entry in self._listed("mags")]
        legacy = self._listed(EARLIER_MAGS) if EARLIER_MAGS in self.json else []
        return [self._checked_mag({**entry, "mag": entry.get("resolution")}) for entry in legacy]

    def _listed(self, key: str) -> list[Json]:
        entries = self._required(key)
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise self._malformed(key, "a list of objects")
        return entries

    def _checked_mag(self, entry: Json) -> MagViewProperties:
        """Return a copy of an entry whose parts are of the types that they should be."""
        order, path = entry.get("axisOrder"), entry.get("path")
        numbers = list(order.values()) if isinstance(order, dict) else [None] * (order is not None)
        if not all(type(place) is int and 0 <= place < _MOST_AXES for place in numbers):
            expected = f'an axisOrder such as {{"c": 0, "x": 1, "y": 2, "z": 3}}, of {_MOST_AXES} axes at most'
            raise self._malformed("mags", expected)
        if path is not None and not _is_path(path):
            raise self._malformed("mags", f"{_PATH} as path")
        return MagViewProperties(entry)

    def mag_of(self, entry: Json) -> Mag:
        """Return the mag of an entry: a number or three."""
        try:
            found = entry["mag"]
            plain = type(found) is list and [type(number) for number in found] == [int, int, int]
            mag = _mag_of_numbers(*found) if plain else Mag(found)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._malformed("mags", "a mag such as 2 or [2, 2, 1]") from error
        if max(mag.to_tuple()) > FARTHEST:
            raise self._malformed("mags", f"a mag of at most {FARTHEST:,}")
        return mag

    def _text(self, key: str) -> str:
        value: str = self._required(key)
        if not _is_path(value):
            raise self._malformed(key, _PATH)
        return value

    def _required(self, key: str) -> Any:
        try:
            return self.json[key]
        except KeyError:
            raise self._malformed(key, "a value") from None

    def _malformed(self, key: str, expected: str) -> DatasetError:
        name = self.json.get("name", "?")
        found = self.json.get(key, "nothing")
        return DatasetError(f"{self.file}: layer {short(name)}: {key!r} is {short(found)}, expected {expected}")


class SegmentationLayerProperties(LayerProperties):
    """One entry of ``dataLayers`` whose voxels are segment ids."""


def layer_properties(json: Json, file: Path | str) -> LayerProperties:
    """Return what an entry says by name, a segmentation's as such."""
    segmentation = json.get("category") == SEGMENTATION_CATEGORY
    return (SegmentationLayerProperties if segmentation else LayerProperties)(json, file)


def _moved(mag: Json, old: str, new: str) -> Json:
    """Return the entry of a mag with another folder of the dataset in its path, if it lies in the folder `old`."""
    path = str(mag.get("path", ""))
    for start in ("./", ""):
        if path.startswith(f"{start}{old}/"):
            return {**mag, "path": f"{start}{new}/" + path.removeprefix(f"{start}{old}/")}
    return mag


def _around(first: Sequence[int], other: Sequence[int]) -> list[int]:
    return [min(first[0], other[0]), max(first[1], other[1])]


@functools.lru_cache(1024)
def _mag_of_numbers(x: int, y: int, z: int) -> Mag:
    return Mag((x, y, z))


def _is_path(path: object) -> bool:
    """Return whether a value can be a path, or an address.

    File systems take no surrogates and no zero, and no names beyond 255 bytes.
    """
    if not isinstance(path, str):
        return False
    try:
        spelled = path.encode()
    except UnicodeEncodeError:
        return False
    is_short = len(spelled) <= _LONGEST_PATH and all(len(name) <= _LONGEST_NAME for name in spelled.split(b"/"))
    return b"\0" not in spelled and (is_short or "://" in path)


def element_type(element: str, channels: int) -> str:
    """Return the name of the type of one of `channels` values that together are an ``elementClass``, known or not.

    Examples
    --------
    >>> element_type("uint48", 3), element_type("double", 2)
    ('uint16', 'float32')
    """
    name = {"float": "float32", "double": "float64"}.get(element, element)
    kind, bits = name.rstrip("0123456789"), name.lstrip("abcdefghijklmnopqrstuvwxyz")
    if channels > 1 and bits.isdecimal() and int(bits) % (8 * channels) == 0:
        return f"{kind}{int(bits) // channels}"
    return _ELEMENT_CLASSES.get(element, element)


def element_dtype(element: str, channels: int) -> np.dtype[Any]:
    """Return the type that :func:`element_type` names.

    Examples
    --------
    >>> element_dtype("uint48", 3), element_dtype("double", 2)
    (dtype('uint16'), dtype('float32'))
    """
    return np.dtype(element_type(element, channels))


def element_class(dtype: np.dtype[Any], channels: int) -> str:
    """Return the ``elementClass`` of voxels of `channels` values: the inverse of :func:`element_dtype`.

    Examples
    --------
    >>> element_class(np.dtype("uint8"), 3), element_class(np.dtype("float32"), 1)
    ('uint24', 'float')
    """
    name = f"{dtype.name.rstrip('0123456789')}{8 * dtype.itemsize * channels}"
    return {"float32": "float", "float64": "double"}.get(name, name)
