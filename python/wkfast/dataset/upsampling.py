"""Finer mags, each made out of a coarser one: its voxels, repeated. No detail comes back that was not there."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast.dataset.downsampling import aligned_mags
from wkfast.dataset.foreign import own_mag
from wkfast.dataset.mag_building import check_same_voxels, create_mag, files_of, place_and_list
from wkfast.dataset.mag_locations import location_in
from wkfast.dataset.new_mag import Shapes, extent_in_mag, new_mag
from wkfast.dataset.sampling import SamplingModes, mags_to_downsample, voxels_per_voxel
from wkfast.dataset.view import View
from wkfast.errors import DatasetValueError, ExistsError
from wkfast.geometry import Mag, Vec3Int
from wkfast.jobs import over_items
from wkfast.progress import observed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wkfast.dataset.dataset import Dataset
    from wkfast.dataset.layer import Layer
    from wkfast.dataset.layer_properties import Json
    from wkfast.dataset.mag_view import MagView
    from wkfast.dataset.reshaping import Workers
    from wkfast.geometry import NDBoundingBox, Vec3IntLike

# Edge of what is made at once, at most, in voxels of the finer mag.
_PIECE = 512


@dataclass(frozen=True)
class Upsampling:
    """How finer mags are made; see :meth:`Layer.upsample`."""

    shapes: Shapes
    buffer_shape: Vec3IntLike | int | None
    workers: Workers


def upsample(
    layer: Layer,
    how: Upsampling,
    from_mag: Mag,
    finest_mag: Mag,
    sampling_mode: str | SamplingModes,
    align: bool | Dataset,
    from_mag_view: MagView | None,
) -> None:
    """Make the finer mags of a layer; see :meth:`Layer.upsample`."""
    start = layer.get_mag(from_mag) if from_mag_view is None else own_mag(from_mag_view, type(layer.dataset).open)
    if start.mag != from_mag:
        raise DatasetValueError(f"from_mag_view is the mag {start.mag}, from_mag says {from_mag}")
    check_same_voxels(layer, start)
    wanted = _sequence(layer, start.mag, finest_mag, SamplingModes.parse(sampling_mode), align)
    for mag in wanted:
        if mag in layer.mags:
            raise ExistsError(f"layer {layer.name!r} has the mag {mag} already")
    for coarser, mag in pairwise([start.mag, *wanted]):
        _upsample_mag(layer, how, start if coarser == start.mag else layer.get_mag(coarser), mag)


def repeated(voxels: NDArray[Any], axes: Sequence[str], factors: Sequence[int]) -> NDArray[Any]:
    """Return an array with every voxel as often along x, y, z as `factors` say.

    Examples
    --------
    >>> import numpy as np
    >>> repeated(np.array([[1, 2]]), "xy", (2, 3, 1)).tolist()
    [[1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2]]
    """
    by_axis = dict(zip("xyz", factors, strict=True))
    for place, axis in enumerate(axes):
        if by_axis.get(axis, 1) != 1:
            voxels = voxels.repeat(by_axis[axis], axis=place)
    return voxels


def _sequence(layer: Layer, start: Mag, finest: Mag, mode: SamplingModes, align: bool | Dataset) -> list[Mag]:
    """Return the mags to make after `start`, finer and finer: those that downsampling would pass on its way back."""
    end = mode.end(start, finest)
    passed = mags_to_downsample(end, start, mode.aim(layer.dataset.voxel_size), aligned_mags(layer, align))
    mags = [*reversed(passed[:-1]), end]
    for coarser, finer in pairwise([start, *mags]):
        _factors(coarser, finer)
    return mags


def _factors(coarser: Mag, finer: Mag) -> tuple[int, int, int]:
    factors = voxels_per_voxel(finer, coarser)
    if factors is None:
        raise DatasetValueError(f"mag {finer} cannot be made out of mag {coarser}, which is no multiple of it")
    return factors


def _upsample_mag(layer: Layer, how: Upsampling, source: MagView, mag: Mag) -> None:
    """Make one mag; it is listed when it is complete."""
    place = files_of(layer)
    axes = layer._properties.new_axes()
    extent = extent_in_mag(layer.bounding_box, mag)
    spec = new_mag(layer.data_format, layer.dtype, layer.num_channels, how.shapes, extent=extent, axes=axes)
    with place.building(layer.dataset._properties, layer._properties, mag) as site:
        order = {axis: index for index, axis in enumerate(axes)}
        location = location_in(site.folder, layer._properties, mag, order)
        create_mag(location, spec, site.where)
        _run(_Pieces(source, layer, mag, location), _boxes(layer, how, source, mag, spec), how.workers)
        place_and_list(layer, mag, spec, site)


def _boxes(layer: Layer, how: Upsampling, source: MagView, mag: Mag, spec: _core.NewMag) -> tuple[NDBoundingBox, ...]:
    """Return the boxes to fill one after the other, whole voxels of both mags."""
    shard = Vec3Int(spec["chunk_shape"]) * Vec3Int(spec["chunks_per_shard"])
    piece = shard.pairmin(_PIECE) if how.buffer_shape is None else Vec3Int.from_vec_or_int(how.buffer_shape)
    coarse = source.mag.to_vec3_int()
    shape = (piece * mag.to_vec3_int()).ceildiv(coarse) * coarse
    return tuple(layer.bounding_box.align_with_mag(source.mag, ceil=True).chunk(shape, shape))


@dataclass(frozen=True)
class _Pieces:
    """A mag that is made box by box, as jobs get it: those of an executor read and write the same files."""

    source: MagView
    layer: Layer
    mag: Mag
    location: Json

    def run(self, items: Sequence[NDBoundingBox], threads: int | None) -> None:  # noqa: ARG002 - the core's own
        """Fill some of the boxes."""
        target = View(self.layer, self.mag, _core.Mag.open(self.location))
        whole = self.layer.bounding_box.align_with_mag(self.mag, ceil=True)
        for box in items:
            self._fill(target, box, box.intersected_with(whole))

    def _fill(self, target: View, box: NDBoundingBox, inside: NDBoundingBox) -> None:
        voxels = self.source.read(absolute_bounding_box=box)
        if not voxels.any():
            return
        axes = self.source._frame_of_arrays.axes
        finer = repeated(voxels, axes, _factors(self.source.mag, self.mag))
        scale = dict(zip("xyz", self.mag.to_tuple(), strict=True))
        starts = dict(zip(box.axes, inside.topleft - box.topleft, strict=True))
        sizes = dict(zip(inside.axes, inside.size, strict=True))
        cut = tuple(
            slice(starts[axis] // scale[axis], (starts[axis] + sizes[axis]) // scale[axis])
            if axis in scale
            else slice(None)
            for axis in axes
        )
        target._put(finer[cut], inside, None)


def _run(pieces: _Pieces, boxes: Sequence[NDBoundingBox], workers: Workers) -> None:
    with observed(workers.progress, f"{workers.what} {pieces.layer.name}/{pieces.mag.to_layer_name()}") as observer:
        for _ in over_items(workers.executor, pieces, boxes, lambda: [int(box.volume()) for box in boxes], observer):
            pass
