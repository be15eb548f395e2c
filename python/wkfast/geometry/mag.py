"""Magnifications: how many mag-1 voxels a voxel spans."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from wkfast._lazy import lazy_import
from wkfast.errors import GeometryError
from wkfast.geometry.vec_int import Vec3Int

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt
else:
    np = lazy_import("numpy")


class Mag:
    """A magnification: mag-1 voxels per voxel along x, y and z, each a power of two.

    Made of an int, a text such as ``"2"`` or ``"2-2-1"``, three numbers, or a mag. Ordered by the largest of the
    three; equal to everything that makes the same mag.

    Raises
    ------
    GeometryError
        A ``ValueError`` and an ``AssertionError``: no mag, or not powers of two.

    Examples
    --------
    >>> Mag("4-4-2") < Mag(8)
    True
    >>> Mag(8).to_long_layer_name()
    '8-8-8'
    """

    __slots__ = ("_mag",)

    _mag: Vec3Int

    def __init__(self, mag: MagLike) -> None:
        # of exactly these types: a float is equal to an int, and no mag
        known = _MADE.get(mag) if type(mag) is int or type(mag) is str else None
        _set(self, known or _checked(_parse(mag), mag))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Mag is immutable, {name} cannot be set")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._mag.to_tuple(),)

    @property
    def x(self) -> int:
        """Mag-1 voxels along x."""
        return self._mag.x

    @property
    def y(self) -> int:
        """Mag-1 voxels along y."""
        return self._mag.y

    @property
    def z(self) -> int:
        """Mag-1 voxels along z."""
        return self._mag.z

    @property
    def max_dim(self) -> int:
        """The largest of x, y and z."""
        return max(self._mag)

    @property
    def max_dim_log2(self) -> int:
        """The power of two that ``max_dim`` is."""
        return self.max_dim.bit_length() - 1

    def to_layer_name(self) -> str:
        """Return the short name, e.g. ``"2"`` or ``"2-2-1"``."""
        x, y, z = self._mag.to_tuple()
        return str(x) if x == y == z else f"{x}-{y}-{z}"

    def to_long_layer_name(self) -> str:
        """Return the name of three numbers, e.g. ``"2-2-2"``."""
        x, y, z = self._mag
        return f"{x}-{y}-{z}"

    def to_list(self) -> list[int]:
        """Return x, y, z as a list."""
        return self._mag.to_list()

    def to_tuple(self) -> tuple[int, int, int]:
        """Return x, y, z as a tuple."""
        return self._mag.to_tuple()  # type: ignore[return-value] # three

    def to_np(self) -> npt.NDArray[np.int64]:
        """Return x, y, z as an array."""
        return self._mag.to_np()

    def to_vec3_int(self) -> Vec3Int:
        """Return x, y, z as a vector."""
        return self._mag

    def __iter__(self) -> Iterator[int]:
        return iter(self._mag)

    def __mul__(self, factor: int) -> Mag:
        return Mag(self._mag * factor)

    def __floordiv__(self, divisor: int) -> Mag:
        return Mag(self._mag // divisor)

    def __hash__(self) -> int:
        return hash(self._mag)

    def __eq__(self, other: object) -> bool:
        if type(other) is Mag:
            return self._mag == other._mag
        mag = _mag_or_none(other)
        return False if mag is None else self._mag == mag._mag

    def __lt__(self, other: object) -> bool:
        if type(other) is Mag:
            return max(self._mag) < max(other._mag)
        mag = _mag_or_none(other)
        return NotImplemented if mag is None else self.max_dim < mag.max_dim

    def __le__(self, other: object) -> bool:
        if type(other) is Mag:
            return max(self._mag) <= max(other._mag)
        mag = _mag_or_none(other)
        return NotImplemented if mag is None else self.max_dim <= mag.max_dim

    def __gt__(self, other: object) -> bool:
        if type(other) is Mag:
            return max(self._mag) > max(other._mag)
        mag = _mag_or_none(other)
        return NotImplemented if mag is None else self.max_dim > mag.max_dim

    def __ge__(self, other: object) -> bool:
        if type(other) is Mag:
            return max(self._mag) >= max(other._mag)
        mag = _mag_or_none(other)
        return NotImplemented if mag is None else self.max_dim >= mag.max_dim

    def __str__(self) -> str:
        return self.to_layer_name()

    def __repr__(self) -> str:
        return f"Mag({self.to_layer_name()})"


MagLike: TypeAlias = int | str | Iterable[int] | Vec3Int | Mag


# A Mag refuses to have its field set, so it is set past it.
_set = vars(Mag)["_mag"].__set__
# What numbers and texts stand for. There are few mags in the world; a program that makes up texts fills no memory.
_MADE: dict[int | str, Vec3Int] = {}
_MOST_MADE = 1024


def _parse(mag: Any) -> Vec3Int:
    if isinstance(mag, Mag):
        return mag.to_vec3_int()
    if hasattr(mag, "to_vec3_int") and hasattr(mag, "to_layer_name"):  # a mag of the webknossos package
        return Vec3Int(mag.to_vec3_int())
    if isinstance(mag, str):
        return _parse_text(mag)
    if isinstance(mag, list | tuple | Vec3Int) or _is_vector(mag):
        return Vec3Int(mag)
    # numpy is looked at last: it is loaded for that
    if isinstance(mag, int) or isinstance(mag, np.integer):  # noqa: SIM101
        return Vec3Int.full(int(mag))
    if isinstance(mag, np.ndarray):
        return Vec3Int(mag)
    raise _no_mag(mag)


def _parse_text(mag: str) -> Vec3Int:
    match = re.fullmatch(r"(\d+)(?:-(\d+)-(\d+))?", mag)
    if match is None:
        raise _no_mag(mag)
    x, y, z = match.groups()
    return Vec3Int.full(int(x)) if y is None else Vec3Int(int(x), int(y), int(z))


def _no_mag(mag: Any) -> GeometryError:
    return GeometryError(f'a mag is an int, three ints, or a text such as "2" or "2-2-1", got {mag!r}')


def _checked(mag: Vec3Int, given: Any) -> Vec3Int:
    for component in mag:
        if component <= 0 or component & (component - 1):
            raise GeometryError(f"the components of a mag are powers of two, {component} in {given!r} is not")
    if type(given) in {int, str} and len(_MADE) < _MOST_MADE:
        _MADE[given] = mag
    return mag


def _mag_or_none(other: object) -> Mag | None:
    try:
        return other if isinstance(other, Mag) else Mag(other)  # type: ignore[arg-type]
    except (GeometryError, TypeError, ValueError):
        return None


def _is_vector(value: object) -> bool:
    """Whether a value is a vector of the ``webknossos`` package."""
    return hasattr(value, "to_tuple") and hasattr(value, "axes")
