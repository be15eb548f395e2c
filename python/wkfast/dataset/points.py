"""Voxels at scattered points: what a caller may give as positions, and looking them up chunk by chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import
from wkfast.dataset.additional_axes import extra_axes_of
from wkfast.errors import DatasetValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from wkfast.dataset.voxel_source import VoxelSource
    from wkfast.geometry import Mag, NDBoundingBox

    Triple = tuple[int, int, int]
else:
    np = lazy_import("numpy")

# Beyond this no layer reaches, and arithmetic on int64 stays exact.
_FARTHEST = 1 << 48


def voxels_at(
    source: VoxelSource, positions: ArrayLike, mag: Mag, frame: NDBoundingBox, coordinates: Mapping[str, ArrayLike]
) -> NDArray[Any]:
    """Return the voxels of a mag at positions in mag-1 voxels; see :meth:`MagView.values_at`."""
    places = checked_positions(positions)
    unknown = [axis for axis in coordinates if axis not in source.extra_axes]
    if unknown:
        raise DatasetValueError(f"the layer has no axis {', '.join(unknown)}; it has {extra_axes_of(frame) or 'none'}")
    extra = [_along(axis, coordinates.get(axis), len(places), frame) for axis in source.extra_axes]
    rows = np.column_stack([*extra, places // np.array(mag.to_tuple(), np.int64)])
    values = source.values_at(np.ascontiguousarray(rows, np.int64))
    return values[:, 0] if source.channels == 1 else values


def checked_positions(positions: ArrayLike) -> NDArray[np.int64]:
    """Return positions as int64 of the shape ``(n, 3)``.

    Raises
    ------
    DatasetValueError
        They have another shape, or are no whole numbers.

    Examples
    --------
    >>> checked_positions([[1, 2, 3], [4.0, 5.0, 6.0]]).tolist()
    [[1, 2, 3], [4, 5, 6]]
    """
    try:
        array = np.asarray(positions)
    except ValueError as error:
        raise DatasetValueError(f"positions are no array of the shape (n, 3): {error}") from None
    if array.size == 0 and array.ndim <= 2:  # noqa: PLR2004 - no positions at all, e.g. an empty list
        return np.empty((0, 3), np.int64)
    if array.ndim != 2 or array.shape[1] != 3:  # noqa: PLR2004 - rows of x, y, z
        hint = "; transpose them" if array.ndim == 2 and array.shape[0] == 3 else ""  # noqa: PLR2004 - as above
        raise DatasetValueError(
            f"positions have the shape {array.shape}, expected (n, 3): x, y, z in mag-1 voxels{hint}"
        )
    return _whole(array, "positions")


def _whole(array: NDArray[Any], what: str) -> NDArray[np.int64]:
    """Return numbers as int64; what lies beyond any layer stays beyond."""
    if array.dtype.kind not in "iuf":
        raise DatasetValueError(f"{what} are {array.dtype}, expected whole numbers: mag-1 voxels")
    if array.dtype.kind == "f":
        wrong = np.flatnonzero(~(np.floor(array) == array).reshape(len(array), -1).all(axis=1))
        if len(wrong):
            raise DatasetValueError(
                f"{what} are no whole numbers: {array[wrong[0]].tolist()} in row {wrong[0]}; "
                "np.floor(positions) tells the voxels that they lie in"
            )
    near: NDArray[Any] = np.clip(array, 0 if array.dtype.kind == "u" else -_FARTHEST, _FARTHEST)
    whole: NDArray[np.int64] = near.astype(np.int64)
    return whole


def _along(axis: str, given: ArrayLike | None, count: int, frame: NDBoundingBox) -> NDArray[np.int64]:
    """Return a coordinate along an additional axis for every position."""
    if given is None:
        start, end = frame.get_bounds(axis) if axis in frame.axes else (0, 0)
        if end - start != 1:
            raise DatasetValueError(
                f"the layer has the axis {axis} from {start} to {end - 1}: say where on it the positions are, "
                f"additional_coordinates={{{axis!r}: ...}}, a number or one for each"
            )
        given = start
    array = np.asarray(given)
    if array.shape not in {(), (count,)}:
        raise DatasetValueError(f"coordinates along {axis} have the shape {array.shape}, expected () or ({count},)")
    return np.broadcast_to(_whole(array.reshape(-1), f"coordinates along {axis}"), (count,))


def values_by_chunk(
    source: VoxelSource,
    points: NDArray[np.int64],
    each: Callable[[Callable[[Any], None], Iterable[Any]], Iterable[None]] = map,
) -> NDArray[Any]:
    """Return the voxels of a source at points by reading every chunk that holds some, once.

    Parameters
    ----------
    points
        Rows of coordinates along the additional axes and x, y, z, in voxels of the mag.
    each
        What does the reads, e.g. ``map`` of an executor.

    Returns
    -------
    ndarray
        ``(points, channels)``; zero at negative coordinates.
    """
    out = np.zeros((len(points), source.channels), source.dtype)

    def take(group: tuple[tuple[int, ...], NDArray[np.intp]]) -> None:
        (*extra, x, y, z), rows = group
        width, height, depth = source.chunk_shape
        voxels = source.read((x * width, y * height, z * depth), (width, height, depth), extra=extra)
        out[rows] = picked(voxels, points[rows], source.chunk_shape)

    for _ in each(take, groups_of(points, source.chunk_shape)):
        pass
    return out


def groups_of(points: NDArray[np.int64], shape: Sequence[int]) -> Iterator[tuple[tuple[int, ...], NDArray[np.intp]]]:
    """Yield every chunk that holds points, as additional axes, x, y, z in chunks, with the rows of its points.

    Examples
    --------
    >>> points = np.array([[9, 0, 0], [1, 1, 1], [8, 7, 7], [-1, 0, 0]])
    >>> [(chunk, rows.tolist()) for chunk, rows in groups_of(points, (8, 8, 8))]
    [((0, 0, 0), [1]), ((1, 0, 0), [0, 2])]
    """
    inside = np.flatnonzero((points >= 0).all(axis=1) & (points < _FARTHEST).all(axis=1))
    chunks = points[inside]
    chunks[:, -3:] //= np.array(shape, np.int64)
    order = np.lexsort(chunks.T, axis=0)
    chunks, inside = chunks[order], inside[order]
    starts = np.flatnonzero(np.r_[True, (chunks[1:] != chunks[:-1]).any(axis=1)][: len(chunks)])
    for start, rows in zip(starts, np.split(inside, starts[1:]), strict=False):
        yield tuple(chunks[start].tolist()), rows


def picked(voxels: NDArray[Any], points: NDArray[np.int64], shape: Sequence[int]) -> NDArray[Any]:
    """Return the voxels of a chunk (c, x, y, z) at points that lie in it: ``(points, channels)``."""
    x, y, z = (points[:, -3:] % np.array(shape, np.int64)).T
    return voxels[:, x, y, z].T
