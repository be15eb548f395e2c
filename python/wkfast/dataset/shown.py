"""Planes of layers as pictures: which mag and which voxels they are, and what is read of them at most."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from wkfast._lazy import lazy_import
from wkfast.dataset.additional_axes import extra_axes_of
from wkfast.dataset.layer_category import SEGMENTATION_CATEGORY
from wkfast.errors import DatasetValueError, WkfastError
from wkfast.geometry.constants import XYZ_AXES
from wkfast.pictures.planes import PLANES
from wkfast.pictures.slices import Extent, slices

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from wkfast.dataset.layer import Layer
    from wkfast.dataset.view import View
    from wkfast.geometry import Mag, NDBoundingBox
    from wkfast.pictures import pixels
else:
    np = lazy_import("numpy")
    pixels = lazy_import("wkfast.pictures.pixels")

# Edge, in pixels, up to which a finer mag is shown, and what no figure goes beyond.
_ENOUGH = 1024
_MOST = 8192
_THUMBNAIL = 192
# What is decoded at most for a picture that nobody asked for.
_MOST_BYTES = 64 << 20
# Voxels that are looked through for the plane where most differs, and edge of what is read at once.
_MOST_SEARCHED = 1 << 28
_PIECE = 128


class Plane(NamedTuple):
    """A plane of a mag: its box in mag-1 voxels, one voxel thick along the axis that is looked along."""

    layer: Layer
    view: View
    axes: tuple[int, int]
    box: NDBoundingBox

    @property
    def extent(self) -> Extent:
        """Where it lies, in nm."""
        size = self.layer.dataset.voxel_size
        (right, down), start, end = self.axes, self.box.topleft_xyz, self.box.bottomright_xyz
        return Extent(
            start[right] * size[right], end[right] * size[right], start[down] * size[down], end[down] * size[down]
        )

    @property
    def title(self) -> str:
        """What is shown: layer, mag, and position along the axis that is looked along."""
        axis = _depth(self.axes)
        return f"{self.layer.name}, mag {self.view.mag}, {XYZ_AXES[axis]} = {self.box.topleft_xyz[axis]}"

    def voxels(self) -> NDArray[Any]:
        """Return channels, columns, rows."""
        found = self.view.read_cxyz(absolute_bounding_box=self.box)
        first, second = (axis + 1 for axis in self.axes)
        return found.transpose(0, first, second, _depth(self.axes) + 1)[..., 0]

    def pixels(self) -> NDArray[np.uint8]:
        """Return rows, columns, red, green and blue."""
        return as_pixels(self.layer, self.voxels())


def plane_of(layer: Layer, view: View, plane: str, position: int | None) -> Plane:
    """Return a plane of a view.

    Parameters
    ----------
    plane
        ``"xy"``, ``"zy"`` or ``"xz"``.
    position
        In mag-1 voxels along the axis that is looked along; default: the middle.

    Raises
    ------
    DatasetValueError
        There is no such plane, or not there.
    """
    if plane not in PLANES:
        raise DatasetValueError(f"{plane!r} is no plane: choose {', '.join(map(repr, PLANES))}")
    axes, box = PLANES[plane], view.bounding_box
    axis = _depth(axes)
    start, end, step = box.topleft_xyz[axis], box.bottomright_xyz[axis], view.mag.to_tuple()[axis]
    at = (start + end) // 2 if position is None else position
    if not start <= at < end:
        raise DatasetValueError(
            f"there is no {plane} plane at {XYZ_AXES[axis]} = {at} of {view!r}: it is {start} to {end}"
        )
    box = box.with_bounds(XYZ_AXES[axis], at // step * step, step)
    for extra in extra_axes_of(box):
        box = box.with_bounds(extra, box.get_bounds(extra)[0], 1)
    return Plane(layer, view, axes, box)


def view_to_show(layer: Layer, mag: Any, bounding_box: NDBoundingBox | None, plane: str, enough: int = _ENOUGH) -> View:
    """Return the part of the finest mag, or of a given one, that is shown on about a screen."""
    views = [layer.get_mag(mag)] if mag is not None else list(layer.mags.values()) or [layer.get_finest_mag()]
    axes = PLANES.get(plane, PLANES["xy"])
    for view in views:
        box = view.bounding_box if bounding_box is None else bounding_box.align_with_mag(view.mag, ceil=True)
        if view is views[-1] or max(_pixels_along(box, view.mag, axes)) <= enough:
            break
    return view.get_view(absolute_bounding_box=box, read_only=True)


def plot(plane: Plane) -> Figure:
    """Return a figure of a plane.

    Raises
    ------
    DatasetValueError
        It has more pixels along an edge than a figure shows.
    """
    _check_size(plane)
    return slices({"": plane.pixels()}, plane.extent, plane.title)


def plot_both(before: Layer, after: Plane) -> Figure:
    """Return a figure of a plane as it was in another layer, as it is, and of what differs."""
    _check_size(after)
    old = before.get_mag(after.view.mag).get_view(absolute_bounding_box=after.box, read_only=True)
    voxels, voxels_before = after.voxels(), Plane(before, old, after.axes, after.box).voxels()
    if voxels.shape != voxels_before.shape:
        raise DatasetValueError(f"{before!r} and {after.layer!r} have other numbers of channels")
    shown, differs = as_pixels(after.layer, voxels), (voxels != voxels_before).any(axis=0).T
    # What was erased is black like what never was anything, so it is white here.
    changed = np.where((voxels == 0).all(axis=0).T[..., None], np.uint8(255), shown)
    pictures = {
        "before": as_pixels(before, voxels_before),
        "after": shown,
        f"{np.count_nonzero(differs):,} changed": np.where(differs[..., None], changed, shown // 6),
    }
    return slices(pictures, after.extent, after.title)


def most_changed(before: Layer, after: Layer, plane: str, box: NDBoundingBox | None) -> int | None:
    """Return where along the axis that is looked along most voxels differ in the coarsest mag that both have.

    ``None`` where nothing does, or there are too many voxels to look through for a picture.
    """
    view = view_to_show(after, max(before.mags.keys() & after.mags.keys(), default=None), box, plane)
    step, whole = view.mag.to_tuple(), view.bounding_box
    if plane not in PLANES or whole.in_mag(view.mag).volume() > _MOST_SEARCHED:
        return None
    axis, old = _depth(PLANES[plane]), before.get_mag(view.mag)
    differing = np.zeros(whole.size_xyz[axis] // step[axis], np.int64)
    for part in view.chunk(view.mag.to_vec3_int() * _PIECE):
        box = part.bounding_box
        differs = (part.read_cxyz() != old.read_cxyz(absolute_bounding_box=box)).any(axis=0)
        start = (box.topleft_xyz[axis] - whole.topleft_xyz[axis]) // step[axis]
        counts = differs.sum(axis=tuple(other for other in range(3) if other != axis))
        differing[start : start + len(counts)] += counts
    found = int(differing.argmax())
    return whole.topleft_xyz[axis] + found * step[axis] if differing[found] else None


def as_pixels(layer: Layer, voxels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a plane (channels, columns, rows) as rows, columns, red, green and blue."""
    turned = voxels.swapaxes(1, 2)
    if layer.category == SEGMENTATION_CATEGORY:
        return pixels.of_labels(turned[0])
    configuration = layer.default_view_configuration
    return pixels.of_values(turned, None if configuration is None else configuration.intensity_range)


def thumbnail(layer: Layer) -> bytes:
    """Return a PNG file; see ``Layer.thumbnail``."""
    return _as_thumbnail(_middle(layer))


def thumbnail_as_html(layer: Layer) -> str:
    """Return a small picture for notebooks, empty where it cannot be had: a view of a layer never fails."""
    try:
        plane = _middle(layer)
        return pixels.as_img(_as_thumbnail(plane)) if _bytes_decoded(plane) <= _MOST_BYTES else ""
    except (WkfastError, OSError):
        return ""


def _as_thumbnail(plane: Plane) -> bytes:
    """Return a PNG file with square pixels, whatever voxels are."""
    extent = plane.extent
    width, height = extent.right - extent.left, extent.bottom - extent.top
    scale = _THUMBNAIL / max(width, height)
    return pixels.png(pixels.resized(plane.pixels(), max(1, round(width * scale)), max(1, round(height * scale))))


def _middle(layer: Layer) -> Plane:
    """Return the middle plane of a mag that is small enough; its middle, where the coarsest is still large."""
    view = view_to_show(layer, None, None, "xy", _THUMBNAIL)
    plane = plane_of(layer, view, "xy", None)
    box = plane.box
    for axis in plane.axes:
        step, name = view.mag.to_tuple()[axis], XYZ_AXES[axis]
        count = box.size_xyz[axis] // step
        if count > 2 * _THUMBNAIL:
            start = box.topleft_xyz[axis] + (count // 2 - _THUMBNAIL) * step
            box = box.with_bounds(name, start, 2 * _THUMBNAIL * step)
    return plane._replace(box=box)


def _bytes_decoded(plane: Plane) -> int:
    info, start, size = plane.view.info, plane.box.topleft_xyz, plane.box.size_xyz
    chunks = 1
    for axis, step in enumerate(plane.view.mag.to_tuple()):
        edge = info.chunk_shape[axis] * step
        chunks *= math.ceil((start[axis] + size[axis]) / edge) - start[axis] // edge
    return int(chunks * info.chunk_shape.prod() * info.num_channels * info.voxel_type.itemsize)


def _check_size(plane: Plane) -> None:
    columns, rows = _pixels_along(plane.box, plane.view.mag, plane.axes)
    if max(columns, rows) > _MOST:
        raise DatasetValueError(
            f"{plane.title} has {columns:,} × {rows:,} pixels, a figure {_MOST:,} at most along an edge: "
            "show a coarser mag, or a part with bounding_box"
        )


def _pixels_along(box: NDBoundingBox, mag: Mag, axes: tuple[int, int]) -> tuple[int, int]:
    right, down = (box.size_xyz[axis] // mag.to_tuple()[axis] for axis in axes)
    return right, down


def _depth(axes: tuple[int, int]) -> int:
    return 3 - sum(axes)
