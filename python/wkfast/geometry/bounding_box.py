"""Bounding boxes: along any axes, in the normal form of datasets (with a channel axis), and along x, y, z."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Self, TypeVar

from wkfast._lazy import lazy_import
from wkfast.errors import GeometryError
from wkfast.geometry._box import CLASSES, PLAIN_LOOK, UNNAMED, Box, grid
from wkfast.geometry.constants import XYZ_AXES
from wkfast.geometry.vec_int import Vec3Int, Vec3IntLike, VecInt, VecIntLike

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from wkfast.geometry._box import Color
else:
    np = lazy_import("numpy")

AnyBox = TypeVar("AnyBox", bound="NDBoundingBox")
XYZ_INDEX = Vec3Int(1, 2, 3)
# Rows of an array that become Python numbers at a time.
_AT_ONCE = 4096


class NDBoundingBox(Box):
    """A box along named axes, in voxels; the end is exclusive.

    Parameters
    ----------
    topleft, size
        One integer per axis. A negative extent is turned around.
    axes
        Their names.
    index
        Where each axis stands in an array, 0 and up as they come by default. The box is kept in this order.
    name, is_visible, color
        How WEBKNOSSOS shows it; they do not count for equality.

    Raises
    ------
    GeometryError
        A ``ValueError`` and an ``AssertionError``: the lengths differ.

    Examples
    --------
    >>> box = NDBoundingBox((0, 10, 10, 10), (3, 5, 5, 5), ("t", "x", "y", "z"))
    >>> box.bottomright_xyz
    Vec3Int(15,15,15)
    """

    __slots__ = ()

    def __init__(
        self,
        topleft: VecIntLike,
        size: VecIntLike,
        axes: Iterable[str],
        index: VecIntLike | None = None,
        name: str | None = UNNAMED,
        is_visible: bool = True,
        color: Color | None = None,
    ) -> None:
        axes = tuple(axes)
        places = tuple(range(len(axes))) if index is None else tuple(index)
        starts, extents = tuple(topleft), tuple(size)
        if not len(starts) == len(extents) == len(axes) == len(places) == len(set(axes)):
            raise GeometryError(f"topleft {starts}, size {extents}, axes {axes} and index {places} do not match")
        order = sorted(range(len(axes)), key=places.__getitem__)
        names = tuple(axes[i] for i in order)
        parts = (starts, extents, places)
        start, extent, place = [VecInt(tuple([part[i] for i in order]), axes=names) for part in parts]
        self._fill(start, extent, place, (name, is_visible, color))

    def __reduce__(self) -> tuple[Any, ...]:
        corner, extent, places = (vector.to_tuple() for vector in (self.topleft, self.size, self.index))
        return type(self), (corner, extent, self.axes, places, *self._look.values())

    def _replaced(self, **fields: Any) -> Self:
        values = {"topleft": self.topleft, "size": self.size, "axes": self.axes, "index": self.index}
        return type(self)(**(values | self._look | fields))

    @classmethod
    def from_axes(cls, axes: Iterable[str], sizes: Iterable[int]) -> Self:
        """Return the box of the sizes at the origin.

        Parameters
        ----------
        axes
            Names of the axes, in the order of arrays.
        sizes
            Voxels along each of them.
        """
        names, extents = tuple(axes), tuple(sizes)
        return cls((0,) * len(names), extents, names)

    def __hash__(self) -> int:
        return hash((self.topleft_xyz, self.size_xyz))

    def __eq__(self, other: object) -> bool:
        if type(other) is BoundingBox and type(self) is BoundingBox:
            return self.topleft == other.topleft and self.size == other.size
        if not isinstance(other, NDBoundingBox) and not _is_like_a_box(other):
            return NotImplemented
        try:
            a, b = self._pair(other)  # type: ignore[arg-type] # or like one
        except GeometryError:
            return False
        return a.topleft == b.topleft and a.size == b.size

    def _pair(self, other: NDBoundingBox) -> tuple[NDBoundingBox, NDBoundingBox]:
        """Return both boxes along the same axes: one with channels lends them to one without."""
        a, b = self, as_box(other)
        if type(a) is BoundingBox and type(b) is BoundingBox:
            return a, b
        if isinstance(a, NormalizedBoundingBox) and "c" in a.axes and "c" not in b.axes:
            b = b.normalize_axes(a.get_shape("c"))
        elif isinstance(b, NormalizedBoundingBox) and "c" in b.axes and "c" not in a.axes:
            a = a.normalize_axes(b.get_shape("c"))
        if a.axes != b.axes:
            raise GeometryError(f"boxes along {a.axes} and {b.axes} cannot be combined")
        return a, b

    def contains_bbox(self, inner_bbox: NDBoundingBox) -> bool:
        """Return whether a box lies wholly inside; an empty one always does."""
        outer, inner = self._pair(inner_bbox)
        return outer.encloses(inner)

    def intersected_with(self, other: NDBoundingBox, dont_assert: bool = False) -> NDBoundingBox:
        """Return what both boxes cover.

        Parameters
        ----------
        other
            The other box.
        dont_assert
            Return an empty box where they do not meet, instead of an error.

        Raises
        ------
        GeometryError
            An ``AssertionError``: they do not meet, and ``dont_assert`` is not set.
        """
        box = self._common(other)
        if box is None:
            a, b = self._pair(other)
            box = a.cut_to(b, dont_assert)
        return box

    def extended_by(self, other: NDBoundingBox) -> NDBoundingBox:
        """Return the smallest box around both; an empty one adds nothing."""
        box = self._around(other)
        if box is None:
            a, b = self._pair(other)
            box = a.joined_with(b)
        return box

    def normalize_axes(self, num_channels: int) -> NormalizedBoundingBox:
        """Return the box with a channel axis in front, as datasets describe it."""
        if "c" in self.axes:
            return self._as_normalized().with_bounds("c", new_size=num_channels)
        if set(self.axes) - set(XYZ_AXES):
            if num_channels != 1:
                raise GeometryError(f"{self!r} has no channel axis, so not {num_channels} channels")
            return self._as_normalized()
        shift = 0 if min(self.index) > 0 else 1
        places = (0, *(place + shift for place in self.index))
        corner, extent = (0, *self.topleft), (num_channels, *self.size)
        return NormalizedBoundingBox(corner, extent, ("c", *self.axes), places, **self._look)

    def _as_normalized(self) -> NormalizedBoundingBox:
        return NormalizedBoundingBox(self.topleft, self.size, self.axes, self.index, **self._look)

    def denormalize(self) -> NDBoundingBox:
        """Return the box without a channel axis where there is nothing else but x, y, z."""
        return self


class NormalizedBoundingBox(NDBoundingBox):
    """A box as ``datasource-properties.json`` describes it: the channels are an axis, ``c``, of their own.

    Parameters
    ----------
    topleft, size
        Corner and extent along the axes, in voxels.
    axes
        Their names; ``c`` is the axis of channels.
    index
        Where each axis stands in arrays, from 0 on; default: in the order given.
    name, is_visible, color
        How WEBKNOSSOS shows the box.
    """

    __slots__ = ()

    def denormalize(self) -> NDBoundingBox:
        """Return the box without a channel axis where there is nothing else but x, y, z."""
        if set(self.axes) == {"c", *XYZ_AXES} and self.index_xyz == XYZ_INDEX:
            return BoundingBox(self.topleft_xyz, self.size_xyz, **self._look)
        return NDBoundingBox(self.topleft, self.size, self.axes, self.index, **self._look)

    def to_wkw_dict(self) -> dict[str, Any]:
        """Return the form of ``datasource-properties.json``."""
        further = [axis for axis in self.axes if axis not in {"c", *XYZ_AXES}]
        described: dict[str, Any] = {"topLeft": self.topleft_xyz.to_list()}
        described |= dict(zip(("width", "height", "depth"), self.size_xyz, strict=True))
        if further:
            described["additionalAxes"] = [
                {"name": axis, "bounds": list(self.get_bounds(axis)), "index": self.index.get(axis)} for axis in further
            ]
        if "c" in self.axes:
            described["numChannels"] = self.get_shape("c")
        described["axisOrder"] = {axis: self.index.get(axis) for axis in self.axes if axis not in further}
        return described

    @classmethod
    def from_wkw_dict(cls, bbox: dict[str, Any]) -> Self:
        """Return the box of a ``boundingBox`` in ``datasource-properties.json``."""
        order: dict[str, int] = bbox.get("axisOrder", {"c": 0, "x": 1, "y": 2, "z": 3})
        starts = {"c": 0, **dict(zip(XYZ_AXES, bbox["topLeft"], strict=True))}
        ends = {"c": bbox.get("numChannels", 1)}
        for axis, extent in zip(XYZ_AXES, (bbox["width"], bbox["height"], bbox["depth"]), strict=True):
            ends[axis] = starts[axis] + extent
        for axis in bbox.get("additionalAxes", []):
            starts[axis["name"]], ends[axis["name"]] = axis["bounds"]
            order = order | {axis["name"]: axis["index"]}
        axes = tuple(order)
        return cls([starts[a] for a in axes], [ends[a] - starts[a] for a in axes], axes, [order[a] for a in axes])


class BoundingBox(NDBoundingBox):
    """A box along x, y, z, in voxels; the end is exclusive.

    Parameters
    ----------
    topleft, size
        Three integers each. A negative extent is turned around.
    name, is_visible, color
        How WEBKNOSSOS shows it; they do not count for equality.

    Examples
    --------
    >>> box = BoundingBox((0, 0, 0), (20, 10, 5))
    >>> box.intersected_with(BoundingBox((15, 0, 0), (20, 10, 5)))
    BoundingBox(topleft=(15, 0, 0), size=(5, 10, 5))
    >>> [chunk.size for chunk in box.chunk((16, 16, 16))]
    [Vec3Int(16,10,5), Vec3Int(4,10,5)]
    """

    __slots__ = ()

    topleft: Vec3Int
    size: Vec3Int
    bottomright: Vec3Int

    def __init__(
        self,
        topleft: Vec3IntLike,
        size: Vec3IntLike,
        axes: Iterable[str] = XYZ_AXES,
        index: VecIntLike = XYZ_INDEX,
        name: str | None = UNNAMED,
        is_visible: bool = True,
        color: Color | None = None,
    ) -> None:
        if axes is not XYZ_AXES and tuple(axes) != XYZ_AXES:
            raise GeometryError(
                f"the axes of a BoundingBox are {XYZ_AXES}, not {tuple(axes)}; NDBoundingBox takes others"
            )
        places = index if index is XYZ_INDEX else Vec3Int(index)
        self._fill(Vec3Int(topleft), Vec3Int(size), places, (name, is_visible, color))

    def _replaced(self, **fields: Any) -> Self:
        if type(self) is not BoundingBox:
            return super()._replaced(**fields)
        get = fields.get
        look = get("name", self.name), get("is_visible", self.is_visible), get("color", self.color)
        box = type(self).__new__(type(self))
        box._fill(get("topleft", self.topleft), get("size", self.size), Vec3Int(get("index", self.index)), look)
        return box

    def _long(self, values: VecIntLike) -> Vec3Int:
        return Vec3Int(values)

    def _padded(self, vector: VecIntLike, fill: int | VecInt) -> VecInt:
        # x, y, z are all axes there are
        return Vec3Int(vector) if type(vector) is Vec3Int or type(vector) is tuple else super()._padded(vector, fill)

    @property
    def topleft_xyz(self) -> Vec3Int:
        """Topleft along x, y, z."""
        return self.topleft

    @property
    def size_xyz(self) -> Vec3Int:
        """Size along x, y, z."""
        return self.size

    @property
    def bottomright_xyz(self) -> Vec3Int:
        """Exclusive end along x, y, z."""
        return self.bottomright

    def __hash__(self) -> int:
        return hash((self.topleft, self.size))

    def contains(self, coord: Vec3IntLike | NDArray[Any]) -> bool:
        """Return whether a point, fractions allowed, is in the box; the end is outside."""
        try:
            x, y, z = coord
        except (TypeError, ValueError):
            return super().contains(coord)
        a, b, c = self.topleft
        d, e, f = self.bottomright
        return True if a <= x < d and b <= y < e and c <= z < f else False  # noqa: SIM210 # numbers of numpy have a bool of their own

    @classmethod
    def from_axes(cls, axes: Iterable[str], sizes: Iterable[int]) -> Self:
        """Return the box of the sizes at the origin.

        Parameters
        ----------
        axes
            ``x``, ``y``, ``z`` in any order.
        sizes
            Voxels along each of them.
        """
        return cls(Vec3Int.zeros(), Vec3Int(sizes, axes=axes))

    @classmethod
    def of_one_size(cls, corners: NDArray[np.int64], size: Vec3IntLike) -> Iterator[Self]:
        """Yield boxes of one positive size: a hundred thousand of them take a fraction of a second.

        Parameters
        ----------
        corners
            Topleft corners, ``(n, 3)``.
        size
            Voxels along x, y, z, of all of them.

        Examples
        --------
        >>> list(BoundingBox.of_one_size(np.array([[0, 0, 0], [8, 0, 0]]), (8, 8, 8)))[1]
        BoundingBox(topleft=(8, 0, 0), size=(8, 8, 8))
        """
        extent = cls((0, 0, 0), size).size
        for start in range(0, len(corners), _AT_ONCE):
            for corner in corners[start : start + _AT_ONCE].tolist():
                box = cls.__new__(cls)
                box._fill(Vec3Int(corner), extent, XYZ_INDEX, PLAIN_LOOK)
                yield box

    @classmethod
    def from_ndbbox(cls, bbox: NDBoundingBox) -> Self:
        """Return the x, y, z part of a box."""
        return cls(bbox.topleft_xyz, bbox.size_xyz)

    @classmethod
    def from_points(cls, points: Iterable[Vec3IntLike]) -> Self:
        """Return the smallest box that contains all points.

        >>> BoundingBox.from_points([(0, 0, 0), (9, 4, 2)])
        BoundingBox(topleft=(0, 0, 0), size=(10, 5, 3))
        """
        array = np.array([tuple(point) for point in points])
        if array.ndim != 2 or not len(array):  # noqa: PLR2004 # a table of points
            raise GeometryError("a box of points needs at least one point of three coordinates")
        low = np.floor(array.min(axis=0)).astype(np.int64)
        high = np.floor(array.max(axis=0)).astype(np.int64)
        return cls(low, high - low + 1)

    @classmethod
    def from_tuple2(cls, tuple2: tuple[Vec3IntLike, Vec3IntLike]) -> Self:
        """Return the box of a pair of topleft and size."""
        topleft, size = tuple2
        return cls(topleft, size)

    @classmethod
    def from_tuple6(cls, tuple6: Iterable[int]) -> Self:
        """Return the box of topleft and size as six integers."""
        numbers = tuple(tuple6)
        if len(numbers) != 2 * len(XYZ_AXES):
            raise GeometryError(f"expected three integers for topleft and three for size, got {numbers}")
        return cls(numbers[:3], numbers[3:])

    @classmethod
    def from_csv(cls, csv_bbox: str) -> Self:
        """Return the box of a text such as ``"0,0,0,10,10,10"``: topleft, then size."""
        return cls.from_tuple6(int(part) for part in csv_bbox.strip().strip("()[]").split(","))

    @classmethod
    def from_checkpoint_name(cls, checkpoint_name: str) -> Self:
        """Return the box of a file name that holds topleft and size, joined by underscores."""
        match = re.search(r"(?<!\d)-?\d+(?:_-?\d+){5}(?!\d)", checkpoint_name)
        if match is None:
            raise GeometryError(f"no six numbers joined by underscores in {checkpoint_name!r}")
        return cls.from_tuple6(map(int, match[0].split("_")))

    @classmethod
    def from_config_dict(cls, bbox: dict[str, Any]) -> Self:
        """Return the box of a dict with ``topleft`` and ``size``."""
        return cls(bbox["topleft"], bbox["size"])

    @classmethod
    def from_wkw_dict(cls, bbox: dict[str, Any]) -> Self:
        """Return the box of a dict with ``topLeft``, ``width``, ``height`` and ``depth``."""
        return cls(bbox["topLeft"], (bbox["width"], bbox["height"], bbox["depth"]))

    @classmethod
    def from_auto(cls, obj: BoundingBox | str | dict[str, Any] | list[Any] | tuple[Any, ...]) -> Self | BoundingBox:
        """Return the box of any of the forms above: text (CSV or JSON), dict, pair or six numbers."""
        if isinstance(obj, BoundingBox):
            return obj
        if _is_like_a_box(obj):
            return cls.from_ndbbox(as_box(obj))
        if isinstance(obj, str):
            return cls.from_auto(json.loads(obj)) if obj.lstrip().startswith(("{", "[")) else cls.from_csv(obj)
        if isinstance(obj, dict):
            return cls.from_wkw_dict(obj) if "topLeft" in obj else cls.from_config_dict(obj)
        if isinstance(obj, list | tuple) and len(obj) in (2, 6):
            return cls.from_tuple6(obj) if len(obj) == 2 * len(XYZ_AXES) else cls.from_tuple2((obj[0], obj[1]))
        raise GeometryError(f"{obj!r} is no bounding box")

    @classmethod
    def empty(cls) -> Self:
        """Return the box without extent at the origin."""
        return cls(Vec3Int.zeros(), Vec3Int.zeros())

    def with_bounds_x(self, new_topleft_x: int | None = None, new_size_x: int | None = None) -> Self:
        """Return a box with another start or extent along x.

        Parameters
        ----------
        new_topleft_x
            Where the box starts; default: as it does.
        new_size_x
            How far it reaches, in voxels; default: as it does.
        """
        return self.with_bounds("x", new_topleft_x, new_size_x)

    def with_bounds_y(self, new_topleft_y: int | None = None, new_size_y: int | None = None) -> Self:
        """Return a box with another start or extent along y.

        Parameters
        ----------
        new_topleft_y, new_size_y
            As those of :meth:`with_bounds_x`.
        """
        return self.with_bounds("y", new_topleft_y, new_size_y)

    def with_bounds_z(self, new_topleft_z: int | None = None, new_size_z: int | None = None) -> Self:
        """Return a box with another start or extent along z.

        Parameters
        ----------
        new_topleft_z, new_size_z
            As those of :meth:`with_bounds_x`.
        """
        return self.with_bounds("z", new_topleft_z, new_size_z)

    def to_tuple6(self) -> tuple[int, int, int, int, int, int]:
        """Return topleft and size as six integers."""
        return (*self.topleft, *self.size)

    def to_csv(self) -> str:
        """Return topleft and size as text, separated by commas."""
        return ",".join(map(str, self.to_tuple6()))

    def to_config_dict(self) -> dict[str, Any]:
        """Return topleft and size as plain lists."""
        return {"topleft": self.topleft.to_list(), "size": self.size.to_list()}

    def iter_chunk_toplefts(
        self,
        chunk_shape: Vec3IntLike,
        chunk_border_alignments: Vec3IntLike | None = None,
        clip_to: BoundingBox | None = None,
    ) -> Iterator[tuple[int, int, int]]:
        """Yield the corners of the grid that ``chunk`` cuts along, before clipping, x slowest.

        With ``clip_to``, only those of chunks that meet that box.

        Parameters
        ----------
        chunk_shape
            Size of a chunk in voxels.
        chunk_border_alignments
            Where the borders lie: at multiples of these.
        clip_to
            Only chunks that meet this box.
        """
        shape = Vec3Int(chunk_shape)
        start = self._chunk_start(shape, chunk_border_alignments, Vec3Int.ones())
        for x, y, z in grid(start, shape, self.bottomright):
            if (
                clip_to is None
                or not BoundingBox((x, y, z), shape).intersected_with(clip_to, dont_assert=True).is_empty()
            ):
                yield x, y, z

    def __repr__(self) -> str:
        return f"BoundingBox(topleft={tuple(self.topleft)}, size={tuple(self.size)})"


CLASSES.update((NDBoundingBox, NormalizedBoundingBox, BoundingBox))


def _is_like_a_box(value: object) -> bool:
    """Whether a value is a box of another package with the same interface."""
    return all(hasattr(value, name) for name in ("topleft", "size", "axes", "index", "bottomright"))


def as_box(value: Any) -> NDBoundingBox:
    """Return a box of ours for one of ours, or of the ``webknossos`` package: scripts that move over pass both about.

    Raises
    ------
    GeometryError
        A ``ValueError`` and an ``AssertionError``: it is no box.
    """
    if isinstance(value, NDBoundingBox):
        return value
    if not _is_like_a_box(value):
        raise GeometryError(f"expected a bounding box, got {value!r}")
    corner, extent, axes, places = (tuple(part) for part in (value.topleft, value.size, value.axes, value.index))
    look = {"name": value.name, "is_visible": value.is_visible, "color": value.color}
    if axes == XYZ_AXES:
        return BoundingBox(corner, extent, index=places, **look)
    cls = NormalizedBoundingBox if hasattr(value, "to_wkw_dict") else NDBoundingBox
    return cls(corner, extent, axes, places, **look)
