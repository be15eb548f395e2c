"""How large a voxel is, and the units of length that NML files and datasets name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Self

from wkfast._short import short
from wkfast.errors import GeometryError
from wkfast.geometry.vec3_float import Vec3Float

if TYPE_CHECKING:
    from wkfast.geometry.vec3_float import Vec3FloatLike


class LengthUnit(Enum):
    """Units of length. The value is the name that files hold."""

    YOCTOMETER = "yoctometer"
    ZEPTOMETER = "zeptometer"
    ATTOMETER = "attometer"
    FEMTOMETER = "femtometer"
    PICOMETER = "picometer"
    NANOMETER = "nanometer"
    MICROMETER = "micrometer"
    MILLIMETER = "millimeter"
    CENTIMETER = "centimeter"
    DECIMETER = "decimeter"
    METER = "meter"
    HECTOMETER = "hectometer"
    KILOMETER = "kilometer"
    MEGAMETER = "megameter"
    GIGAMETER = "gigameter"
    TERAMETER = "terameter"
    PETAMETER = "petameter"
    EXAMETER = "exameter"
    ZETTAMETER = "zettameter"
    YOTTAMETER = "yottameter"
    ANGSTROM = "angstrom"
    INCH = "inch"
    FOOT = "foot"
    YARD = "yard"
    MILE = "mile"
    PARSEC = "parsec"

    @property
    def nanometers(self) -> float:
        """How many nanometres one of this unit is."""
        return _NANOMETERS[self]

    @classmethod
    def from_text(cls, text: str) -> LengthUnit:
        """Return the unit of a full name or an abbreviation such as ``"nm"``.

        Raises
        ------
        GeometryError
            A ``ValueError``: no such unit.
        """
        try:
            return cls(_ABBREVIATIONS.get(text, text))
        except ValueError:
            known = ", ".join(sorted({*_ABBREVIATIONS, *(unit.value for unit in cls)}))
            raise GeometryError(f"unknown unit of length {short(text)}; known are {known}") from None


_PREFIXES: tuple[str, ...] = ("yocto", "zepto", "atto", "femto", "pico", "nano", "micro", "milli", "meter")
_PREFIXES += ("kilo", "mega", "giga", "tera", "peta", "exa", "zetta", "yotta")
_NANOMETERS = {
    LengthUnit(prefix if prefix == "meter" else f"{prefix}meter"): float(f"1e{3 * power - 15}")
    for power, prefix in enumerate(_PREFIXES)
} | {
    LengthUnit.CENTIMETER: 1e7,
    LengthUnit.DECIMETER: 1e8,
    LengthUnit.HECTOMETER: 1e11,
    LengthUnit.ANGSTROM: 0.1,
    LengthUnit.INCH: 25_400_000.0,
    LengthUnit.FOOT: 304_800_000.0,
    LengthUnit.YARD: 914_400_000.0,
    LengthUnit.MILE: 1_609_344_000_000.0,
    LengthUnit.PARSEC: 3.085677581491367e25,  # 648000 / pi astronomical units
}
_SYMBOLS = "yzafpnµm-kMGTPEZY"
_ABBREVIATIONS = {f"{s}m": f"{p}meter" for s, p in zip(_SYMBOLS, _PREFIXES, strict=True) if s != "-"} | {
    "m": "meter",
    "cm": "centimeter",
    "dm": "decimeter",
    "hm": "hectometer",
    "Å": "angstrom",
    "in": "inch",
    "ft": "foot",
    "yd": "yard",
    "mi": "mile",
    "pc": "parsec",
}


@dataclass(frozen=True, slots=True)
class VoxelSize:
    """Size of a mag-1 voxel: three lengths and their unit.

    Attributes
    ----------
    factor
        Length along x, y and z, in units of :attr:`unit`.
    unit
        Nanometres if none is given; a text such as ``"µm"`` is understood, too.

    Examples
    --------
    >>> VoxelSize((0.5, 0.5, 2), LengthUnit.MICROMETER).to_nanometer()
    Vec3Float(500.0,500.0,2000.0)
    """

    factor: Vec3Float
    unit: LengthUnit = LengthUnit.NANOMETER

    def __init__(self, factor: Vec3FloatLike, unit: LengthUnit = LengthUnit.NANOMETER) -> None:
        name = getattr(unit, "value", unit)  # of ours, or of the webknossos package's
        object.__setattr__(self, "factor", Vec3Float(factor))
        object.__setattr__(self, "unit", unit if isinstance(unit, LengthUnit) else LengthUnit.from_text(name))

    @classmethod
    def from_any(cls, size: VoxelSize | Vec3FloatLike) -> Self | VoxelSize:
        """Return a voxel size, also for one of the ``webknossos`` package; plain numbers are nanometres."""
        if isinstance(size, VoxelSize):
            return size
        factor, unit = getattr(size, "factor", None), getattr(size, "unit", None)
        return cls(size) if factor is None or unit is None else cls(factor, unit)

    def to_nanometer(self) -> Vec3Float:
        """Return the size in nanometres."""
        return self.factor * self.unit.nanometers
