"""What all bounding boxes share: a topleft and a size along ordered axes, and the arithmetic of them."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Self

from wkfast import _core
from wkfast._lazy import lazy_import
from wkfast.errors import GeometryError
from wkfast.geometry.constants import XYZ_AXES
from wkfast.geometry.vec_int import Vec3Int, Vec3IntLike, VecInt, VecIntLike

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    import numpy as np
    import numpy.typing as npt

    from wkfast.geometry.mag import Mag

    Color = tuple[float, float, float, float]
    # Name, is_visible, color.
    Look = tuple[str | None, bool, Color | None]
else:
    np = lazy_import("numpy")


class Box(_core.BoxFields):
    """A box with ordered axes. Its subclasses are the public ones."""

    __slots__ = ()

    def _turned(self, topleft: VecInt, size: VecInt) -> tuple[VecInt, VecInt]:
        """Return corner and extent of a box whose extent may be negative."""
        return (topleft + size.pairmin(0), size.pairmax(-size)) if min(size._data) < 0 else (topleft, size)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a bounding box is immutable; with_{name}(...) makes a changed copy")

    @property
    def _look(self) -> dict[str, Any]:
        return {"name": self.name, "is_visible": self.is_visible, "color": self.color}

    def _derived(self, topleft: VecInt, size: VecInt, look: Look | None) -> Self:
        """Return a copy with other corners of a box whose class may have a constructor of its own."""
        fields = {} if look is None else dict(zip(_LOOK, look, strict=True))
        return self._replaced(topleft=topleft, size=size, **fields)

    @abstractmethod
    def _replaced(self, **fields: Any) -> Self:
        """Return a copy with other fields."""

    def _long(self, values: VecIntLike) -> VecInt:
        """Return the values as a vector along the axes of this box."""
        if isinstance(values, VecInt) and values.axes == self.axes:
            return values
        return VecInt(values, axes=self.axes)

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes, in the order of ``index``."""
        return self.topleft.axes

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.axes)

    def __len__(self) -> int:
        return self.ndim

    @property
    def topleft_xyz(self) -> Vec3Int:
        """Topleft along x, y, z."""
        return self._xyz_of(self.topleft, 0)

    @property
    def size_xyz(self) -> Vec3Int:
        """Size along x, y, z; 1 along one that the box does not have."""
        return self._xyz_of(self.size, 1)

    @property
    def bottomright_xyz(self) -> Vec3Int:
        """Exclusive end along x, y, z."""
        return self._xyz_of(self.bottomright, 1)

    @property
    def index_xyz(self) -> Vec3Int:
        """Position of x, y, z among the axes of an array."""
        return self.index.xyz

    @staticmethod
    def _xyz_of(vector: VecInt, default: int) -> Vec3Int:
        return Vec3Int(*(vector.get(axis, default) for axis in XYZ_AXES))

    def with_name(self, name: str | None) -> Self:
        """Return the box with another name."""
        return self._replaced(name=name)

    def with_color(self, color: Color | None) -> Self:
        """Return the box with another colour: red, green, blue, alpha from 0 to 1."""
        return self._replaced(color=color)

    def with_is_visible(self, is_visible: bool) -> Self:
        """Return the box shown or hidden."""
        return self._replaced(is_visible=is_visible)

    def with_topleft(self, new_topleft: VecIntLike) -> Self:
        """Return a box of the same size elsewhere."""
        return self._elsewhere(self._long(new_topleft), self.size)

    def with_size(self, new_size: VecIntLike) -> Self:
        """Return a box of another size with the same topleft."""
        return self._elsewhere(self.topleft, self._long(new_size))

    def with_bottomright(self, new_bottomright: VecIntLike) -> Self:
        """Return a box with the same topleft and another exclusive end."""
        return self._elsewhere(self.topleft, self._long(new_bottomright) - self.topleft)

    def with_index(self, new_index: VecIntLike) -> Self:
        """Return a box whose axes stand elsewhere in an array."""
        return self._replaced(index=self._long(new_index))

    def with_topleft_xyz(self, new_xyz: Vec3IntLike) -> Self:
        """Return a box with another topleft along x, y, z."""
        return self.with_topleft(self.topleft.with_xyz(new_xyz))

    def with_size_xyz(self, new_xyz: Vec3IntLike) -> Self:
        """Return a box of another size along x, y, z."""
        return self.with_size(self.size.with_xyz(new_xyz))

    def with_bottomright_xyz(self, new_xyz: Vec3IntLike) -> Self:
        """Return a box with another exclusive end along x, y, z."""
        return self.with_bottomright(self.bottomright.with_xyz(new_xyz))

    def with_index_xyz(self, new_xyz: Vec3IntLike) -> Self:
        """Return a box whose x, y, z stand elsewhere in an array."""
        return self.with_index(VecInt(self.index, axes=self.axes).with_xyz(new_xyz))

    def with_bounds(self, axis: str, new_topleft: int | None = None, new_size: int | None = None) -> Self:
        """Return a box with another start or extent along one axis.

        Parameters
        ----------
        axis
            Name of the axis.
        new_topleft
            Where the box starts along it; default: as it does.
        new_size
            How far it reaches along it, in voxels; default: as it does.
        """
        self._position(axis)
        start = self.topleft if new_topleft is None else self.topleft.with_replaced(axis, new_topleft)
        extent = self.size if new_size is None else self.size.with_replaced(axis, new_size)
        return self._elsewhere(start, extent)

    def _position(self, axis: str) -> int:
        if axis not in self.axes:
            raise KeyError(f"the box has no axis {axis!r}, its axes are {self.axes}")
        return self.axes.index(axis)

    def get_shape(self, axis_name: str) -> int:
        """Return the extent along an axis."""
        return self.size[self._position(axis_name)]

    def get_bounds(self, axis: str) -> tuple[int, int]:
        """Return start and exclusive end along an axis."""
        position = self._position(axis)
        return self.topleft[position], self.bottomright[position]

    def volume(self) -> int:
        """Return the number of voxels."""
        return self.size.prod()

    def is_empty(self) -> bool:
        """Return whether the box holds no voxel."""
        return min(self.size._data) <= 0

    def contains(self, coord: VecIntLike | npt.NDArray[Any]) -> bool:
        """Return whether a point, fractions allowed, is in the box; the end is outside."""
        point = tuple(coord)
        if len(point) != self.ndim:
            raise GeometryError(f"expected {self.ndim} coordinates along {self.axes}, got {coord!r}")
        return all(a <= p < b for a, p, b in zip(self.topleft, point, self.bottomright, strict=True))

    def encloses(self, inner: Box) -> bool:
        """Return whether a box of the same axes lies inside."""
        outer = self.topleft.to_tuple(), self.bottomright.to_tuple()
        corners = zip(*outer, inner.topleft, inner.bottomright, strict=True)
        return inner.is_empty() or all(a <= c and d <= b for a, b, c, d in corners)

    def cut_to(self, other: Box, dont_assert: bool) -> Self:
        """Return what this box and one of the same axes cover.

        Parameters
        ----------
        other
            A box along the same axes.
        dont_assert
            Return an empty box where they do not meet, instead of an error.
        """
        topleft = self.topleft._pairmax(other.topleft.to_tuple())
        size = (self.bottomright._pairmin(other.bottomright.to_tuple()) - topleft)._pairmax(0)
        box = self._elsewhere(topleft, size)
        if box.is_empty() and not dont_assert:
            raise GeometryError(f"{self!r} and {other!r} do not intersect")
        return box

    def joined_with(self, other: Box) -> Self:
        """Return the smallest box around this one and one of the same axes."""
        if other.is_empty():
            return self
        start, end = other.topleft.to_tuple(), other.bottomright.to_tuple()
        topleft = self._long(start) if self.is_empty() else self.topleft.pairmin(start)
        bottomright = self._long(end) if self.is_empty() else self.bottomright.pairmax(end)
        return self._elsewhere(topleft, bottomright - topleft)

    def offset(self, vector: VecIntLike) -> Self:
        """Return the box moved by a vector: one component per axis, or x, y, z."""
        return self._elsewhere(self.topleft + self._padded(vector, 0), self.size)

    def _padded(self, vector: VecIntLike, fill: int | VecInt) -> VecInt:
        """Return a vector along the axes. Three numbers are x, y, z, whatever the order of the axes, and filled up."""
        values = tuple(vector)
        own_axes = type(vector) is VecInt and vector.axes == self.axes
        if len(values) == self.ndim and (own_axes or self.ndim != len(XYZ_AXES) or self.axes == XYZ_AXES):
            return self._long(values)
        filler = VecInt([fill] * self.ndim, axes=self.axes) if isinstance(fill, int) else fill
        return filler.with_xyz(values)

    def padded_with_margins(self, margins_left: Vec3IntLike, margins_right: Vec3IntLike | None = None) -> Self:
        """Return the box grown by margins before and after, the same ones if only one is given.

        Parameters
        ----------
        margins_left
            Voxels to add before x, y, z; negative ones shrink.
        margins_right
            Voxels to add behind; default: as before.
        """
        left = self._padded(Vec3Int(margins_left), 0)
        right = left if margins_right is None else self._padded(Vec3Int(margins_right), 0)
        return self._elsewhere(self.topleft - left, self.size + (left + right))

    def in_mag(self, mag: Mag) -> Self:
        """Return the box counted in voxels of a mag; it must be aligned.

        Raises
        ------
        GeometryError
            An ``AssertionError``: topleft or bottomright lies inside a voxel of the mag.
        """
        factor = self._padded(mag.to_vec3_int(), 1)
        for what, corner in (("topleft", self.topleft), ("bottomright", self.bottomright)):
            if any(corner % factor):
                raise GeometryError(f"{what} {corner} is not aligned with mag {mag}; align_with_mag() makes it so")
        return self._elsewhere(self.topleft // factor, self.size // factor)

    def from_mag_to_mag1(self, from_mag: Mag) -> Self:
        """Return the box, counted in voxels of a mag, in mag-1 voxels."""
        factor = self._padded(from_mag.to_vec3_int(), 1)
        return self._elsewhere(self.topleft * factor, self.size * factor)

    def align_with_mag(self, mag: Mag | Vec3Int, ceil: bool = False) -> Self:
        """Return the largest aligned box inside this one or, with ``ceil``, the smallest around it.

        Parameters
        ----------
        mag
            The grid: corners of the result are multiples of it.
        ceil
            Grow to the grid instead of shrinking.
        """
        factor = self._padded(mag if isinstance(mag, Vec3Int) else mag.to_vec3_int(), 1)
        down, up = (self.topleft, self.bottomright) if ceil else (self.bottomright, self.topleft)
        low, high = down // factor * factor, up.ceildiv(factor) * factor
        topleft, bottomright = (low, high) if ceil else (high, low)
        return self._elsewhere(topleft, (bottomright - topleft).pairmax(0))

    def chunk(
        self, chunk_shape: VecIntLike, chunk_border_alignments: VecIntLike | None = None
    ) -> Generator[Self, None, None]:
        """Yield boxes that cover this one, the last axis fastest.

        A shape of three means x, y, z; channels stay together and further axes are cut to 1. With alignments the
        borders lie at multiples of them (of which the shape must be one), so that chunks at the rim are smaller.

        Parameters
        ----------
        chunk_shape
            Size of a chunk in voxels; each at least 1.
        chunk_border_alignments
            Where the borders lie: at multiples of these. Default: counted from the box's corner.
        """
        unit = self._unit()
        shape = self._padded(chunk_shape, unit)
        start = self._chunk_start(shape, chunk_border_alignments, unit)
        for corner in grid(start, shape, self.bottomright):
            quick = self._cell(corner, shape, PLAIN_LOOK)
            yield self._chunk_at(start._like(corner), shape) if quick is None else quick

    def _chunk_at(self, topleft: VecInt, shape: VecInt) -> Self:
        """Return what this box has of a box at a corner of the grid."""
        first, end = topleft._pairmax(self.topleft), (topleft + shape)._pairmin(self.bottomright)
        return self._elsewhere(first, end - first, PLAIN_LOOK)

    def chunks_array(
        self, chunk_shape: VecIntLike, chunk_border_alignments: VecIntLike | None = None
    ) -> npt.NDArray[np.int64]:
        """Return what :meth:`chunk` yields as one array of shape (n, 2, axes), int64: topleft and size of each chunk.

        A million chunks take the time of some thousand boxes.

        Parameters
        ----------
        chunk_shape, chunk_border_alignments
            As in :meth:`chunk`.

        Examples
        --------
        >>> from wkfast.geometry import BoundingBox
        >>> box = BoundingBox((0, 0, 0), (20, 10, 5))
        >>> box.chunks_array((16, 16, 16)).tolist()
        [[[0, 0, 0], [16, 10, 5]], [[16, 0, 0], [4, 10, 5]]]
        >>> [[chunk.topleft.to_list(), chunk.size.to_list()] for chunk in box.chunk((16, 16, 16))]
        [[[0, 0, 0], [16, 10, 5]], [[16, 0, 0], [4, 10, 5]]]
        """
        unit = self._unit()
        shape = self._padded(chunk_shape, unit)
        start = self._chunk_start(shape, chunk_border_alignments, unit)
        bounds = zip(start, self.topleft, self.bottomright, shape, strict=True)
        grids = [_cuts(*along, axis, self.ndim) for axis, along in enumerate(bounds)]
        found = np.empty((*(len(firsts.ravel()) for firsts, _ in grids), 2, self.ndim), np.int64)
        for axis, (firsts, extents) in enumerate(grids):
            found[..., 0, axis], found[..., 1, axis] = firsts, extents
        return found.reshape(-1, 2, self.ndim)

    def _unit(self) -> VecInt:
        """Return the extent of chunks along axes that a shape of x, y, z does not name: channels stay together."""
        return self._long(tuple([self.get_shape(axis) if axis == "c" else 1 for axis in self.axes]))

    def _chunk_start(self, shape: VecInt, alignments: VecIntLike | None, unit: VecInt) -> VecInt:
        if not shape.is_positive(strictly_positive=True):
            raise GeometryError(f"chunks need a positive extent along every axis, got {shape}")
        if alignments is None:
            return self.topleft
        borders = self._padded(alignments, unit)
        if any(shape % borders):
            raise GeometryError(f"the chunk shape {shape} is no multiple of the alignment {borders}")
        return self.topleft // borders * borders

    @classmethod
    def group_boxes_with_aligned_mag(cls, bounding_boxes: Iterable[Self], aligning_mag: Mag) -> dict[Self, list[Self]]:
        """Return the boxes by the aligned box around each of them.

        Parameters
        ----------
        bounding_boxes
            Boxes along the same axes.
        aligning_mag
            The grid that the boxes around them lie on.
        """
        groups: dict[Self, list[Self]] = defaultdict(list)
        for box in bounding_boxes:
            groups[box.align_with_mag(aligning_mag, ceil=True)].append(box)
        return groups

    def to_slices(self) -> tuple[slice, ...]:
        """Return a slice per axis."""
        return tuple(map(slice, self.topleft, self.bottomright))

    def to_slices_xyz(self) -> tuple[slice, ...]:
        """Return a slice per axis of a box that is flat in all but x, y, z."""
        self._check_flat()
        return self.to_slices()

    def slice_array(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the part of an array, a view, that lies in the box."""
        return array[self.to_slices()]

    def xyz_array_to_bbox_shape(self, data: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return an array with axes x, y, z as one with the axes of this box, which is flat in all others."""
        self._check_flat()
        order = [XYZ_AXES.index(axis) for axis in self.axes if axis in XYZ_AXES]
        flat = tuple(i for i, axis in enumerate(self.axes) if axis not in XYZ_AXES)
        return np.expand_dims(np.transpose(data, order), flat)

    def _check_flat(self) -> None:
        if any(extent != 1 for axis, extent in zip(self.axes, self.size, strict=True) if axis not in XYZ_AXES):
            raise GeometryError(f"{self!r} is not flat in all axes but x, y and z")

    def to_checkpoint_name(self) -> str:
        """Return topleft and size joined by underscores, as file names carry them."""
        return "_".join(map(str, (*self.topleft, *self.size)))

    def to_config_dict(self) -> dict[str, Any]:
        """Return topleft, size and axes as plain values."""
        return {"topleft": self.topleft.to_list(), "size": self.size.to_list(), "axes": self.axes}

    def __repr__(self) -> str:
        axes = dict(zip(self.axes, self.index, strict=True))
        return f"{type(self).__name__}(topleft={tuple(self.topleft)}, size={tuple(self.size)}, axes={axes})"


_LOOK = ("name", "is_visible", "color")
UNNAMED = "Unnamed Bounding Box"
PLAIN_LOOK: Look = (UNNAMED, True, None)
# The public classes: boxes of theirs are as they are filled. What users derive may have a constructor, which is called.
CLASSES: set[type[_core.BoxFields]] = _core.BOX_CLASSES


def grid(start: VecInt, step: VecInt, end: VecInt) -> Iterator[tuple[int, ...]]:
    """Yield the corners of a grid, the last axis fastest."""
    return itertools.product(*itertools.starmap(range, zip(start, end, step, strict=True)))


def _cuts(
    start: int, first: int, end: int, step: int, axis: int, ndim: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return where the chunks along an axis begin within a box, and their extents, shaped to lie along that axis."""
    cuts = np.arange(start, end, step, dtype=np.int64).reshape([-1 if i == axis else 1 for i in range(ndim)])
    firsts = np.maximum(cuts, first)
    return firsts, np.minimum(cuts + step, end) - firsts
