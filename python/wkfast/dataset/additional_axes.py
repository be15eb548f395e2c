"""Voxels along more axes than c, x, y, z: boxes of layers that have some, and arrays in the order of a box's axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import
from wkfast.errors import DatasetError, DatasetValueError
from wkfast.geometry import NormalizedBoundingBox
from wkfast.geometry.constants import C_AXIS, CXYZ_AXES, XYZ_AXES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from wkfast.dataset.voxel_source import VoxelSource
    from wkfast.geometry import NDBoundingBox
else:
    np = lazy_import("numpy")


def extra_axes_of(box: NDBoundingBox) -> list[str]:
    """Return the axes beyond c, x, y, z, in the box's order.

    Examples
    --------
    >>> from wkfast.geometry import NDBoundingBox
    >>> extra_axes_of(NDBoundingBox((0, 0, 0, 0), (5, 1, 1, 1), ("t", "z", "y", "x")))
    ['t']
    """
    return [axis for axis in box.axes if axis not in {C_AXIS, *XYZ_AXES}]


def is_flat(box: NDBoundingBox) -> bool:
    """Return whether a box has no axes but x, y, z, in this order."""
    return box.axes == XYZ_AXES


def along_axes(box: NDBoundingBox, axes: Sequence[str], channels: int) -> NormalizedBoundingBox:
    """Return a box of x, y, z along the axes that arrays have.

    Examples
    --------
    >>> from wkfast.geometry import BoundingBox
    >>> along_axes(BoundingBox((1, 2, 3), (4, 5, 6)), "zyx", 1)
    NormalizedBoundingBox(topleft=(3, 2, 1), size=(6, 5, 4), axes={'z': 0, 'y': 1, 'x': 2})
    """
    whole = box.normalize_axes(channels)
    bounds = [whole.get_bounds(axis) for axis in axes]
    starts = [start for start, _ in bounds]
    return NormalizedBoundingBox(starts, [end - start for start, end in bounds], tuple(axes), tuple(range(len(axes))))


def slices_of(box: NDBoundingBox) -> list[str]:
    """Return the axes beyond c, x, y, z along which a box is a single slice.

    Raises
    ------
    DatasetValueError
        It has several slices along one.
    """
    extra = extra_axes_of(box)
    for axis in extra:
        if box.get_shape(axis) != 1:
            raise DatasetValueError(f"{box} is no array (c, x, y, z): it has {box.get_shape(axis)} slices along {axis}")
    return extra


def to_cxyz(data: NDArray[Any], axes: Sequence[str]) -> NDArray[Any]:
    """Return an array along some or all of c, x, y, z as one along all, in this order."""
    names = list(axes)
    if C_AXIS not in names:
        names, data = [C_AXIS, *names], data[np.newaxis]
    return data.transpose([names.index(axis) for axis in CXYZ_AXES])


def from_cxyz(data: NDArray[Any], frame: NDBoundingBox) -> NDArray[Any]:
    """Return an array (c, x, y, z), or (x, y, z) of one channel, along the axes of `frame`.

    Raises
    ------
    DatasetValueError
        It has another number of axes, or several channels where `frame` has none.
    """
    whole = data[np.newaxis] if data.ndim == len(XYZ_AXES) else data
    if whole.ndim != len(CXYZ_AXES) or (C_AXIS not in frame.axes and whole.shape[0] != 1):
        raise DatasetValueError(f"an array of the shape {data.shape} is not (c, x, y, z) of the layer's channels")
    names = list(CXYZ_AXES)
    if C_AXIS not in frame.axes:
        names, whole = names[1:], whole[0]
    for axis in extra_axes_of(frame):
        names, whole = [axis, *names], whole[np.newaxis]
    return whole.transpose([names.index(axis) for axis in frame.axes])


def completed(box: NDBoundingBox, frame: NDBoundingBox) -> NDBoundingBox:
    """Return a box along the axes of `frame`: whole along those that it lacks.

    Raises
    ------
    DatasetValueError
        It has an axis that `frame` lacks.

    Examples
    --------
    >>> from wkfast.geometry import NDBoundingBox
    >>> frame = NDBoundingBox((0, 2, 0, 0, 0), (1, 3, 64, 64, 64), ("c", "t", "x", "y", "z"))
    >>> completed(NDBoundingBox((8, 8, 8, 4), (4, 4, 4, 1), ("z", "y", "x", "t")), frame)
    NDBoundingBox(topleft=(0, 4, 8, 8, 8), size=(1, 1, 4, 4, 4), axes={'c': 0, 't': 1, 'x': 2, 'y': 3, 'z': 4})
    """
    unknown = [axis for axis in box.axes if axis not in frame.axes and axis != C_AXIS]
    if unknown:
        raise DatasetValueError(f"{box} has the axes {', '.join(unknown)}, which the layer does not: {frame.axes}")
    given = {axis: box.get_bounds(axis) for axis in box.axes}
    bounds = [given.get(axis, frame.get_bounds(axis)) for axis in frame.axes]
    starts = [start for start, _ in bounds]
    return frame.with_topleft(starts).with_size([end - start for start, end in bounds])


def moved(box: NDBoundingBox, frame: NDBoundingBox) -> NDBoundingBox:
    """Return a box that is counted from the top left of `frame` as one that is counted from the origin."""
    starts = [start + frame.topleft.get(axis, 0) for axis, start in zip(box.axes, box.topleft, strict=True)]
    return box.with_topleft(starts)


def axes_of_array(given: NDBoundingBox | None, frame: NDBoundingBox) -> tuple[str, ...]:
    """Return the axes of an array read from, or written to, the box that a caller gave: the box's own if it has all.

    A box that has all but the channels gets them in front.
    """
    if given is None or not set(given.axes) >= set(frame.axes) - {C_AXIS}:
        return frame.axes
    return given.axes if C_AXIS in given.axes or C_AXIS not in frame.axes else (C_AXIS, *given.axes)


def in_frame_order(
    data: NDArray[Any], given: NDBoundingBox | None, frame: NDBoundingBox, channels: int
) -> NDArray[Any]:
    """Return an array that fills `given` with its axes in the order of `frame`. One channel may go without its axis.

    Raises
    ------
    DatasetValueError
        It has another number of axes.
    """
    names = axes_of_array(given, frame)
    if C_AXIS in names and channels == 1 and data.ndim == len(names) - 1:
        at = names.index(C_AXIS)
        data = np.expand_dims(data, at)
    elif C_AXIS not in names and data.ndim == len(names) + 1 and data.shape[0] == 1:
        data = data[0]
    if data.ndim != len(names):
        raise DatasetValueError(f"an array of the shape {data.shape} does not have the axes {', '.join(names)}")
    if C_AXIS in names and C_AXIS not in frame.axes:
        data, names = data.take(0, names.index(C_AXIS)), tuple(name for name in names if name != C_AXIS)
    return data.transpose([names.index(name) for name in frame.axes])


def read_box(source: VoxelSource, box: NDBoundingBox, axes: Sequence[str]) -> NDArray[Any]:
    """Return voxels of a mag, an axis of the array for each of `axes`, in Fortran order.

    Parameters
    ----------
    box
        In voxels of the mag, with all axes but perhaps the channels, which are then one.

    Raises
    ------
    DatasetValueError
        There are not so many channels.
    DatasetError
        The array has other axes than its layer says.
    """
    first, end = _channels(source, box)
    extents = {C_AXIS: end - first, **dict(zip(box.axes, box.size, strict=True))}
    out = np.zeros([extents[axis] for axis in axes], source.dtype, order="F")
    target = _core_order(out, axes, source)
    (x, y, z), (width, height, depth) = box.topleft_xyz, box.size_xyz
    for place, extra in _slices(source, box):
        if min(extra, default=0) >= 0:
            target[place] = source.read((x, y, z), (width, height, depth), extra=extra)[first:end]
    return out


def write_box(source: Any, box: NDBoundingBox, data: NDArray[Any]) -> None:
    """Write an array with the axes of `box`, slice by slice along the additional ones.

    Raises
    ------
    DatasetValueError
        Some channels are left out, which share their chunks with the others. Nothing was written.
    """
    if _channels(source, box) != (0, source.channels):
        raise DatasetValueError(f"{box} leaves out some of {source.channels} channels; write all of them at once")
    voxels = _core_order(data, box.axes, source)
    for place, extra in _slices(source, box):
        source.write(box.topleft_xyz.to_tuple(), voxels[place], extra=extra)


def _channels(source: VoxelSource, box: NDBoundingBox) -> tuple[int, int]:
    start, end = box.get_bounds(C_AXIS) if C_AXIS in box.axes else (0, 1)
    if not 0 <= start <= end <= source.channels:
        raise DatasetValueError(f"{box} lies outside of the {source.channels} channels there are")
    return start, end


def _core_order(array: NDArray[Any], axes: Sequence[str], source: VoxelSource) -> NDArray[Any]:
    """Return a view of an array that the core's arrays (c, x, y, z) lie in, slice by slice of the additional axes."""
    names = list(axes)
    if C_AXIS not in names:
        names, array = [C_AXIS, *names], array[np.newaxis]
    stored = {*source.extra_axes, *CXYZ_AXES}
    if set(names) != stored:
        raise DatasetError(f"its layer has the axes {', '.join(names)}, but the array {', '.join(sorted(stored))}")
    return array.transpose([names.index(name) for name in (*source.extra_axes, *CXYZ_AXES)])


def _slices(source: VoxelSource, box: NDBoundingBox) -> Iterator[tuple[tuple[int, ...], list[int]]]:
    """Yield places along the additional axes: counted from the box, and from the origin."""
    names = source.extra_axes
    starts = [box.topleft[box.axes.index(name)] for name in names]
    for place in np.ndindex(*(box.get_shape(name) for name in names)):
        yield place, [start + step for start, step in zip(starts, place, strict=True)]
