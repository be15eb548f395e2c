"""Three floats: a voxel size, a rotation."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any, Self, TypeAlias, TypeGuard, TypeVar

import numpy as np

from wkfast.errors import GeometryError
from wkfast.geometry._components import Components
from wkfast.geometry.vec_int import Vec3Int

_LENGTH = 3


class Vec3Float(Components[float]):
    """Three floats: x, y, z, compared and hashed like a plain tuple of them.

    Raises
    ------
    GeometryError
        A ``ValueError``: not three numbers.

    Examples
    --------
    >>> Vec3Float(11.24, 11.24, 28) * 2
    Vec3Float(22.48,22.48,56.0)
    >>> Vec3Float(1.9, -1.9, 0).to_vec3_int()
    Vec3Int(1,-1,0)
    """

    __slots__ = ()

    _data: tuple[float, float, float]

    def __new__(cls, *args: Vec3FloatLike | float) -> Self:  # noqa: D102 # see the class
        value: Any = args[0] if len(args) == 1 else args
        return _make(cls, _three_floats(value))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._data

    @classmethod
    def from_xyz(cls, x: float, y: float, z: float) -> Self:
        """Return the vector of three components."""
        return cls(x, y, z)

    @classmethod
    def from_str(cls, string: str) -> Self:
        """Return the vector of a text such as ``"1.5,2,3"``, bracketed or not."""
        text = string.strip().removeprefix(cls.__name__).strip("()[] \t")
        return cls(*map(float, text.split(",")))

    @classmethod
    def zeros(cls) -> Self:
        """Return (0, 0, 0)."""
        return cls.full(0)

    @classmethod
    def ones(cls) -> Self:
        """Return (1, 1, 1)."""
        return cls.full(1)

    @classmethod
    def full(cls, value: float) -> Self:
        """Return the value three times."""
        return cls(value, value, value)

    @property
    def x(self) -> float:
        """The component along x."""
        return self._data[0]

    @property
    def y(self) -> float:
        """The component along y."""
        return self._data[1]

    @property
    def z(self) -> float:
        """The component along z."""
        return self._data[2]

    def with_x(self, new_x: float) -> Self:
        """Return a vector with another x."""
        return type(self)(new_x, self.y, self.z)

    def with_y(self, new_y: float) -> Self:
        """Return a vector with another y."""
        return type(self)(self.x, new_y, self.z)

    def with_z(self, new_z: float) -> Self:
        """Return a vector with another z."""
        return type(self)(self.x, self.y, new_z)

    def to_tuple(self) -> tuple[float, float, float]:
        """Return the components as a tuple."""
        return self._data

    def to_vec3_int(self) -> Vec3Int:
        """Return the vector with fractions cut off, toward zero."""
        return Vec3Int.from_vec3_float(self._data)

    def prod(self) -> float:
        """Return the product of the components."""
        return self.x * self.y * self.z

    def pairmax(self, other: float | Vec3FloatLike) -> Self:
        """Return the larger of each pair of components."""
        return self._element_wise(other, max)

    def pairmin(self, other: float | Vec3FloatLike) -> Self:
        """Return the smaller of each pair of components."""
        return self._element_wise(other, min)

    def _element_wise(self, other: float | Vec3FloatLike, fn: Callable[[float, float], float]) -> Self:
        others = (float(other),) * _LENGTH if _is_number(other) else _three_floats(other)
        return _make(type(self), map(fn, self._data, others))

    def __add__(self, other: float | Vec3FloatLike) -> Self:
        return self._element_wise(other, operator.add)

    def __sub__(self, other: float | Vec3FloatLike) -> Self:
        return self._element_wise(other, operator.sub)

    def __mul__(self, other: float | Vec3FloatLike) -> Self:
        return self._element_wise(other, operator.mul)

    def __truediv__(self, other: float | Vec3FloatLike) -> Self:
        return self._element_wise(other, operator.truediv)

    def __neg__(self) -> Self:
        return _make(type(self), (-v for v in self._data))

    def _comparable(self, other: object) -> tuple[float, ...] | None:
        if isinstance(other, Vec3Float):
            return other._data
        return other if isinstance(other, tuple) else None

    def __repr__(self) -> str:
        return f"Vec3Float({self.x},{self.y},{self.z})"


Vec3FloatLike: TypeAlias = Vec3Float | Vec3Int | tuple[float, float, float] | np.ndarray | Iterable[float]


Vector = TypeVar("Vector", bound=Vec3Float)


def _make(cls: type[Vector], values: Iterable[float]) -> Vector:
    vector = object.__new__(cls)
    x, y, z = values
    vector._data = (x, y, z)
    return vector


def _three_floats(value: Any) -> tuple[float, float, float]:
    items = tuple(value) if isinstance(value, Iterable) else ()
    if len(items) != _LENGTH or not all(_is_number(item) for item in items):
        raise GeometryError(f"expected three floats, got {value!r}")
    x, y, z = map(float, items)
    return x, y, z


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float | np.number)
