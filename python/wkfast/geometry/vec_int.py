"""Vectors of integers along named axes, and their everyday case of x, y, z."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeGuard, TypeVar

from wkfast._core import IntVector, IntVector3
from wkfast._lazy import lazy_import
from wkfast.errors import GeometryError
from wkfast.geometry._components import Components
from wkfast.geometry.constants import XYZ_AXES

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_import("numpy")

_USAGE = (
    'expected integers with axes, VecInt(1, 2, axes=("x", "t")) or VecInt((1, 2), ("x", "t")), or axes as names, '
    "VecInt(x=1, t=2)"
)


class VecInt(IntVector, Components[int]):
    """Integers along named axes, compared and hashed like a plain tuple of them.

    Arithmetic is element-wise with an int, a vector of the same axes, or any sequence of the same length; fractions
    are cut off. Axes are named once, at construction.

    Parameters
    ----------
    *args
        The components, or one vector or sequence of them.
    axes
        Name of each axis; not needed with another vector, or with names.
    **named
        Components by the name of their axis, instead.

    Raises
    ------
    GeometryError
        A ``ValueError`` and an ``AssertionError``: not a vector, or no axes.

    Examples
    --------
    >>> size = VecInt(t=2, x=10, y=20, z=30)
    >>> size
    VecInt(2,10,20,30, axes=('t', 'x', 'y', 'z'))
    >>> size.xyz // 10
    Vec3Int(1,2,3)
    >>> size == (2, 10, 20, 30)
    True
    """

    __slots__ = ()

    if TYPE_CHECKING:

        def __init__(
            self, *args: VecIntLike | Iterable[str] | int, axes: Iterable[str] | None = None, **named: int
        ) -> None: ...

    @classmethod
    def _made(
        cls, *args: VecIntLike | Iterable[str] | int, axes: Iterable[str] | None = None, **named: int
    ) -> Self | VecInt:
        """Return the vector of what is no tuple of integers with a tuple of names, which the base takes as they are."""
        if len(args) == 1 and not named and axes is None and isinstance(args[0], VecInt):
            return args[0]
        values, names = _values_and_axes(args, axes, named)
        if not values:
            raise GeometryError(f"no components: {_USAGE}")
        return cls._of(values, names)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self._data, self.axes)

    @classmethod
    def from_str(cls, string: str) -> Self | VecInt:
        """Return the vector of a text such as ``"x=1,t=2"`` or the repr of a vector."""
        named = _parse_named(string)
        return cls(named.values(), axes=named)

    @classmethod
    def zeros(cls, axes: tuple[str, ...]) -> Self | VecInt:
        """Return a vector of zeros along the axes."""
        return cls.full(0, axes)

    @classmethod
    def ones(cls, axes: tuple[str, ...]) -> Self | VecInt:
        """Return a vector of ones along the axes."""
        return cls.full(1, axes)

    @classmethod
    def full(cls, an_int: int, axes: tuple[str, ...]) -> Self | VecInt:
        """Return a vector that is ``an_int`` along every axis.

        Parameters
        ----------
        an_int
            Each component.
        axes
            Names of the axes.
        """
        return cls([an_int] * len(axes), axes=axes)

    @property
    def x(self) -> int:
        """The component along x."""
        return self._component("x")

    @property
    def y(self) -> int:
        """The component along y."""
        return self._component("y")

    @property
    def z(self) -> int:
        """The component along z."""
        return self._component("z")

    @property
    def c(self) -> int:
        """The component along c, the channel."""
        return self._component("c")

    @property
    def xyz(self) -> Vec3Int:
        """The components along x, y and z."""
        return Vec3Int._of((self.x, self.y, self.z))

    def _component(self, axis: str) -> int:
        try:
            return self._data[self.axes.index(axis)]
        except ValueError:
            raise KeyError(f"the vector has no {axis} component, its axes are {self.axes}") from None

    def get(self, axis: str, default: int | None = None) -> int:
        """Return the component along an axis, or the default where there is one and no such axis.

        Parameters
        ----------
        axis
            Name of the axis.
        default
            What to return where the vector has no such axis; without it that is an error.
        """
        if axis in self.axes or default is None:
            return self._component(axis)
        return default

    def with_x(self, new_x: int) -> Self:
        """Return a vector with another x."""
        return self.with_replaced("x", new_x)

    def with_y(self, new_y: int) -> Self:
        """Return a vector with another y."""
        return self.with_replaced("y", new_y)

    def with_z(self, new_z: int) -> Self:
        """Return a vector with another z."""
        return self.with_replaced("z", new_z)

    def with_c(self, new_c: int) -> Self:
        """Return a vector with another c."""
        return self.with_replaced("c", new_c)

    def with_xyz(self, new_xyz: Vec3IntLike) -> Self:
        """Return a vector with other x, y and z."""
        new = Vec3Int(new_xyz)
        return self.with_x(new.x).with_y(new.y).with_z(new.z)

    def with_replaced(self, axis: str | int, new_element: int) -> Self:
        """Return a vector with another component along an axis, given by name or position.

        Parameters
        ----------
        axis
            Name of the axis, or its position.
        new_element
            The component.
        """
        if isinstance(axis, str):
            self._component(axis)
            axis = self.axes.index(axis)
        values = list(self._data)
        values[axis] = new_element
        return self._like(_integers(values))

    def contains(self, needle: int) -> bool:
        """Return whether any component equals the needle."""
        return needle in self._data

    def is_positive(self, strictly_positive: bool = False) -> bool:
        """Return whether no component is negative, or none is zero either."""
        return min(self._data) > 0 if strictly_positive else min(self._data) >= 0

    def is_uniform(self) -> bool:
        """Return whether all components are equal."""
        return len(set(self._data)) == 1

    def prod(self) -> int:
        """Return the product of the components."""
        product = 1
        for value in self._data:
            product *= value
        return product

    def add_or_none(self, other: VecIntLike | None) -> Self | None:
        """Return the sum, or None where there is nothing to add."""
        return None if other is None else self + other

    def moveaxis(self, source: int | list[int], target: int | list[int]) -> Self:
        """Return the vector with axes in another order; positions are meant as by ``numpy.moveaxis``.

        Parameters
        ----------
        source
            Positions of the axes to move.
        target
            Where they go.
        """
        shape = np.empty(tuple(range(1, len(self) + 1)), dtype=np.bool_)
        order = [length - 1 for length in np.moveaxis(shape, source, target).shape]
        values, axes = tuple(self._data[i] for i in order), tuple(self.axes[i] for i in order)
        return self._like(values) if isinstance(self, Vec3Int) else self._of(values, axes)

    def _operands(self, other: Any) -> tuple[Any, ...]:
        if isinstance(other, VecInt):
            if other.axes != self.axes:
                raise GeometryError(f"the axes of {self!r} and {other!r} differ")
            return other.to_tuple()
        if _is_integer(other):
            return (int(other),) * len(self._data)
        items = tuple(other) if isinstance(other, Iterable) and not isinstance(other, str) else ()
        if len(items) != len(self._data):
            raise GeometryError(f"{other!r} and {self!r} have different shapes")
        return tuple(map(int, items))

    def ceildiv(self, other: int | VecIntLike) -> Self:
        """Return the quotient, rounded up."""
        return self._ceildiv(other)

    def pairmax(self, other: int | VecIntLike) -> Self:
        """Return the larger of each pair of components."""
        return self._pairmax(other)

    def pairmin(self, other: int | VecIntLike) -> Self:
        """Return the smaller of each pair of components."""
        return self._pairmin(other)

    def __repr__(self) -> str:
        return f"VecInt({','.join(map(str, self._data))}, axes={self.axes})"


class Vec3Int(IntVector3, VecInt):
    """Three integers: x, y, z, e.g. a position in voxels.

    Made of three numbers, named numbers, or anything of three numbers; fractions are cut off (toward zero).

    Parameters
    ----------
    *args
        Three numbers, or one vector, list, tuple or array of three.
    axes
        Names of the three, if they come in another order than x, y, z.
    **named
        ``x``, ``y`` and ``z``, instead.

    Examples
    --------
    >>> Vec3Int(1, 2, 3) + (10, 0, 0)
    Vec3Int(11,2,3)
    >>> Vec3Int.from_vec_or_int(5).prod()
    125
    """

    __slots__ = ()

    if TYPE_CHECKING:

        def __init__(
            self, *args: Vec3IntLike | Iterable[str] | int, axes: Iterable[str] | None = XYZ_AXES, **named: int
        ) -> None: ...

    @classmethod
    def _made(
        cls, *args: Vec3IntLike | Iterable[str] | int, axes: Iterable[str] | None = XYZ_AXES, **named: int
    ) -> Self:
        """Return the vector of what is neither three integers nor a tuple or list of them."""
        if len(args) == 1 and isinstance(args[0], np.ndarray) and args[0].dtype.kind in "iu" and args[0].shape == (3,):
            return cls._of(tuple(args[0].tolist()))
        if len(args) == 1 and isinstance(args[0], Vec3Int):
            return cls._of(args[0].to_tuple())
        values, names = _values_and_axes(args, axes, named)
        if len(values) != len(XYZ_AXES):
            raise GeometryError(f"expected three integers or a vector of three, got {_shown(args, named)}")
        if names != XYZ_AXES and set(names) == set(XYZ_AXES):
            values = tuple(values[names.index(axis)] for axis in XYZ_AXES)
        return cls._of(values)

    @classmethod
    def from_str(cls, string: str) -> Self:
        """Return the vector of a text such as ``"1,2,3"``, bracketed or not.

        >>> Vec3Int.from_str("(1, 2, 3)")
        Vec3Int(1,2,3)
        """
        text = string.strip().removeprefix("Vec3Int").strip("()[] \t")
        return cls(*(int(part) for part in text.split(",")))

    @classmethod
    def from_xyz(cls, x: int, y: int, z: int) -> Self:
        """Return the vector of three components.

        Parameters
        ----------
        x, y, z
            The components.
        """
        return cls(x, y, z)

    @classmethod
    def from_vec3_float(cls, vec: Iterable[float]) -> Self:
        """Return the vector with fractions cut off."""
        return cls(map(int, vec))

    @classmethod
    def from_vec_or_int(cls, vec_or_int: Vec3IntLike | int) -> Self:
        """Return the vector, or the one with the int three times."""
        if _is_integer(vec_or_int):
            return cls.full(vec_or_int)
        return cls(vec_or_int)

    @classmethod
    def zeros(cls, _axes: tuple[str, ...] = XYZ_AXES) -> Self:
        """Return (0, 0, 0)."""
        return cls.full(0)

    @classmethod
    def ones(cls, _axes: tuple[str, ...] = XYZ_AXES) -> Self:
        """Return (1, 1, 1)."""
        return cls.full(1)

    @classmethod
    def full(cls, an_int: int, _axes: tuple[str, ...] = XYZ_AXES) -> Self:
        """Return the int three times.

        Parameters
        ----------
        an_int
            Each component.
        _axes
            For scripts that call it as on ``VecInt``; always x, y, z.
        """
        return cls(an_int, an_int, an_int)

    def with_x(self, new_x: int) -> Self:
        """Return a vector with another x."""
        return self._like((new_x, self.y, self.z)) if type(new_x) is int else self.with_replaced("x", new_x)

    def with_y(self, new_y: int) -> Self:
        """Return a vector with another y."""
        return self._like((self.x, new_y, self.z)) if type(new_y) is int else self.with_replaced("y", new_y)

    def with_z(self, new_z: int) -> Self:
        """Return a vector with another z."""
        return self._like((self.x, self.y, new_z)) if type(new_z) is int else self.with_replaced("z", new_z)

    def __repr__(self) -> str:
        return f"Vec3Int({self._data[0]},{self._data[1]},{self._data[2]})"


VecIntLike: TypeAlias = VecInt | tuple[int, ...] | Iterable[int]
Vec3IntLike: TypeAlias = Vec3Int | tuple[int, int, int] | Iterable[int]


Vector = TypeVar("Vector", bound=VecInt)


def _restore(cls: type[Vector], values: tuple[int, ...], axes: tuple[str, ...]) -> Vector:
    return cls._of(values) if issubclass(cls, Vec3Int) else cls._of(values, axes)


def _values_and_axes(
    args: tuple[Any, ...], axes: Iterable[str] | None, named: dict[str, int]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    if named:
        if args:
            raise GeometryError(f"got both {_shown(args, {})} and {_shown((), named)}: {_USAGE}")
        return _integers(named.values()), tuple(named)
    first, *further = args or (None,)
    if len(further) == 1 and not _is_number(further[0]):  # values and axes
        axes, further = further[0], []
    values = args
    if args and not further and not _is_number(first):
        values = _items(first)
        axes = first.axes if isinstance(first, VecInt) and axes in {None, XYZ_AXES} else axes
    names = None if axes is None else tuple(axes)
    if names == XYZ_AXES and len(values) != len(XYZ_AXES):
        raise GeometryError(f"expected three integers or a vector of three, got {_shown(args, named)}")
    if names is None or len(names) != len(values):
        raise GeometryError(f"{_shown(args, named)} has no axes, or not as many as components: {_USAGE}")
    return _integers(values), names


def _items(value: object) -> tuple[Any, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise GeometryError(f"{value!r} is no vector; a text is read by from_str")
    return tuple(value.flat) if isinstance(value, np.ndarray) else tuple(value)


def _integers(values: Iterable[Any]) -> tuple[int, ...]:
    values = tuple(values)
    if any(isinstance(value, str) for value in values):
        raise GeometryError(f"expected integers, got {values}")
    try:
        return tuple(map(int, values))
    except (ValueError, OverflowError, TypeError):
        raise GeometryError(f"expected integers, got {values}") from None


def _is_integer(value: object) -> TypeGuard[int]:
    return type(value) is int or isinstance(value, int | np.integer)


def _is_number(value: object) -> bool:
    return type(value) in (int, float) or isinstance(value, int | float | np.number)


def _shown(args: tuple[Any, ...], named: dict[str, int]) -> str:
    return ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in named.items())]) or "nothing"


def _parse_named(string: str) -> dict[str, int]:
    """Read ``x=1,t=2`` or what ``repr`` writes."""
    written = re.fullmatch(r"\s*VecInt\((?P<values>[-\d, ]*), *axes=\((?P<axes>[^)]*)\)\)\s*", string)
    if written:
        names = [name.strip("'\" ") for name in written["axes"].split(",") if name.strip()]
        pairs: Iterable[tuple[str, str]] = zip(names, written["values"].split(","), strict=True)
    else:
        parts = (part.partition("=") for part in string.split(","))
        pairs = [(name, value) for name, _, value in parts]
    return {name.strip(): int(value) for name, value in pairs}
