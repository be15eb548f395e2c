"""Three floats: a voxel size, a rotation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeGuard

from wkfast._core import FloatVector3
from wkfast._lazy import lazy_import
from wkfast.errors import GeometryError
from wkfast.geometry._components import Components
from wkfast.geometry.vec_int import Vec3Int

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_import("numpy")

_LENGTH = 3
# Looked at first: a program that computes with them only has no need of numpy.
_NUMBERS = (int, float)


class Vec3Float(FloatVector3, Components[float]):
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

    if TYPE_CHECKING:

        def __new__(cls, *args: Vec3FloatLike | float) -> Self: ...  # noqa: D102 # see the class

    @classmethod
    def _made(cls, *args: Vec3FloatLike | float) -> Self:
        """Return the vector of what is neither three floats nor a tuple or list of them."""
        value: Any = args[0] if len(args) == 1 else args
        return cls._of(_three_floats(value))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._data

    @classmethod
    def from_xyz(cls, x: float, y: float, z: float) -> Self:
        """Return the vector of three components.

        Parameters
        ----------
        x, y, z
            The components.
        """
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

    def with_x(self, new_x: float) -> Self:
        """Return a vector with another x."""
        return type(self)(new_x, self.y, self.z)

    def with_y(self, new_y: float) -> Self:
        """Return a vector with another y."""
        return type(self)(self.x, new_y, self.z)

    def with_z(self, new_z: float) -> Self:
        """Return a vector with another z."""
        return type(self)(self.x, self.y, new_z)

    def to_vec3_int(self) -> Vec3Int:
        """Return the vector with fractions cut off, toward zero."""
        return Vec3Int(int(self.x), int(self.y), int(self.z))

    def prod(self) -> float:
        """Return the product of the components."""
        return self.x * self.y * self.z

    def pairmax(self, other: float | Vec3FloatLike) -> Self:
        """Return the larger of each pair of components."""
        return self._pairmax(other)

    def pairmin(self, other: float | Vec3FloatLike) -> Self:
        """Return the smaller of each pair of components."""
        return self._pairmin(other)

    def _operands(self, other: Any) -> tuple[float, float, float]:
        if not _is_number(other):
            return _three_floats(other)
        value = float(other)
        return value, value, value

    def __repr__(self) -> str:
        return f"Vec3Float({self.x},{self.y},{self.z})"


Vec3FloatLike: TypeAlias = Vec3Float | Vec3Int | tuple[float, float, float] | Iterable[float]


def _three_floats(value: Any) -> tuple[float, float, float]:
    items = tuple(value) if isinstance(value, Iterable) else ()
    if len(items) != _LENGTH or not all(_is_number(item) for item in items):
        raise GeometryError(f"expected three floats, got {value!r}")
    x, y, z = map(float, items)
    return x, y, z


def _is_number(value: object) -> TypeGuard[float]:
    return type(value) in _NUMBERS or isinstance(value, int | float | np.number)
