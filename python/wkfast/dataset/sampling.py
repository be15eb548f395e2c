"""Which coarser mags a layer gets: the sequences of WEBKNOSSOS."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from wkfast.errors import DatasetError, DatasetValueError
from wkfast.geometry import Mag

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# A layer is coarse enough when its longest edge has so many voxels.
_LONGEST_EDGE = 100


class SamplingModes(Enum):
    """How mags follow each other."""

    ANISOTROPIC = "anisotropic"
    """Towards cubes: axes with large voxels are halved later."""
    ISOTROPIC = "isotropic"
    """All axes at once."""
    CONSTANT_Z = "constant_z"
    """x and y only."""

    @classmethod
    def parse(cls, mode: str | SamplingModes) -> SamplingModes:
        """Return the mode of that name; ``"auto"`` is an older name of anisotropic.

        Raises
        ------
        DatasetValueError
            There is none.
        """
        name = getattr(mode, "value", mode)  # of an enum, also of the webknossos package's
        if name == "auto":
            return cls.ANISOTROPIC
        try:
            return cls(name)
        except ValueError:
            names = ", ".join(repr(known.value) for known in cls)
            raise DatasetValueError(f"{mode!r} is no sampling mode: choose {names}") from None

    def end(self, start: Mag, wanted: Mag) -> Mag:
        """Return where a sequence ends that leads from `start` to the mag that is wanted: with this mode's z."""
        if self is not SamplingModes.CONSTANT_Z:
            return wanted
        x, y, _ = wanted.to_tuple()
        return Mag([x, y, start.to_tuple()[2]])

    def aim(self, voxel_size: Sequence[float]) -> Sequence[float] | None:
        """Return the voxel size that mags make cubes of, ``None`` where axes double whatever their voxels are."""
        return voxel_size if self is SamplingModes.ANISOTROPIC else None


def voxels_per_voxel(finer: Mag, coarser: Mag) -> tuple[int, int, int] | None:
    """Return how many voxels of a mag lie along x, y, z in one of another; ``None`` where it is no coarser multiple.

    Examples
    --------
    >>> voxels_per_voxel(Mag(2), Mag("8-8-2"))
    (4, 4, 1)
    """
    pairs = list(zip(finer.to_tuple(), coarser.to_tuple(), strict=True))
    if finer == coarser or any(b % a for a, b in pairs):
        return None
    x, y, z = (b // a for a, b in pairs)
    return x, y, z


def default_coarsest_mag(size: Sequence[int]) -> Mag:
    """Return the mag in which a layer of `size` mag-1 voxels is at most 100 voxels long, and 4 at least.

    Examples
    --------
    >>> default_coarsest_mag((5000, 4000, 100))
    Mag(64)
    """
    edge = 4
    while max(size) > edge * _LONGEST_EDGE:
        edge *= 2
    return Mag(edge)


def mags_to_downsample(
    from_mag: Mag, coarsest_mag: Mag, voxel_size: Sequence[float] | None, aligned: Iterable[Mag]
) -> list[Mag]:
    """Return the mags after `from_mag`, each twice as coarse, up to the edge of `coarsest_mag`.

    Parameters
    ----------
    voxel_size
        Size of a mag-1 voxel; mags are chosen so that voxels come closest to cubes. ``None``: all axes double.
    aligned
        Mags that other layers have: they are taken where they fit.

    Raises
    ------
    DatasetError
        A ``RuntimeError``: no sequence leads there.

    Examples
    --------
    >>> mags_to_downsample(Mag(1), Mag(8), (11.24, 11.24, 25), [])
    [Mag(2-2-1), Mag(4-4-2), Mag(8-8-4)]
    """
    known = {max(mag.to_tuple()): mag for mag in aligned}
    coarsest, mags, mag = coarsest_mag.to_tuple(), list[Mag](), from_mag
    while max(mag.to_tuple()) < max(coarsest):
        edge = 2 * max(mag.to_tuple())
        best = _next(mag, edge, voxel_size)
        following = Mag([min(pair) for pair in zip(best.to_tuple(), coarsest, strict=True)])
        if edge in known and _is_coarser(known[edge], mag):
            following = known[edge]
        elif voxel_size is not None and following != best and max(following.to_tuple()) < max(coarsest):
            raise DatasetError(
                f"the coarsest mag {coarsest_mag} cannot be reached from {following} with the voxel size {voxel_size}: "
                "choose another coarsest_mag or sampling_mode"
            )
        mags.append(following)
        mag = following
    return mags


def _next(mag: Mag, edge: int, voxel_size: Sequence[float] | None) -> Mag:
    """Return the mag of the longest edge `edge` after `mag`.

    The shortest edges of a voxel double as long as that brings it closer to a cube, then all of them do.
    """
    factors = mag.to_tuple()
    while max(factors) < edge:
        sizes = [1.0] * 3 if voxel_size is None else [f * s for f, s in zip(factors, voxel_size, strict=True)]
        grown = [2 * size if size == min(sizes) else size for size in sizes]
        doubled = _elongation(grown) < _elongation(sizes)
        steps = [2 if not doubled or size == min(sizes) else 1 for size in sizes]
        factors = (factors[0] * steps[0], factors[1] * steps[1], factors[2] * steps[2])
    return Mag(list(factors))


def _elongation(edges: Sequence[float]) -> float:
    return max(edges) / min(edges)


def _is_coarser(mag: Mag, other: Mag) -> bool:
    return all(a >= b for a, b in zip(mag.to_tuple(), other.to_tuple(), strict=True))
