"""Coarser mags, each made out of a finer one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from wkfast.dataset.foreign import own_mag
from wkfast.dataset.mag_building import build_mag, check_same_voxels
from wkfast.dataset.new_mag import Shapes, extent_in_mag, new_mag
from wkfast.dataset.reshaping import Workers
from wkfast.dataset.sampling import SamplingModes, default_coarsest_mag, mags_to_downsample, voxels_per_voxel
from wkfast.errors import DatasetError, DatasetValueError, ExistsError
from wkfast.geometry import Mag, Vec3Int

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wkfast import _core
    from wkfast.dataset.dataset import Dataset
    from wkfast.dataset.layer import Layer
    from wkfast.dataset.mag_view import MagView
    from wkfast.geometry import Vec3IntLike

_MODES = ("mode", "median", "nearest", "max", "min")
_REFUSED = ("bilinear", "bicubic")
# What WEBKNOSSOS computes at once, at most: in voxels of the finer mag, and of the coarser.
_FINER_BUFFER = 1024
_COARSER_BUFFER = 512


@dataclass(frozen=True)
class Downsampling:
    """How coarser mags are made; see :meth:`Layer.downsample`."""

    interpolation_mode: str = "default"
    buffer_shape: Vec3IntLike | int | None = None
    shapes: Shapes = field(default_factory=Shapes)
    allow_overwrite: bool = False
    only_setup: bool = False
    workers: Workers = field(default_factory=lambda: Workers(what="downsampling"))


def downsample(
    layer: Layer,
    how: Downsampling,
    from_mag: Mag | None,
    coarsest_mag: Mag | None,
    sampling_mode: str | SamplingModes,
    align: bool | Dataset,
    from_mag_view: MagView | None,
) -> None:
    """Make the coarser mags of a layer; see :meth:`Layer.downsample`."""
    start = _start(layer, from_mag, from_mag_view)
    wanted = _sequence(layer, start, coarsest_mag, SamplingModes.parse(sampling_mode), align)
    for finer, mag in pairwise([start, *wanted]):
        _factor(finer, mag)
    for finer, mag in pairwise([start, *wanted]):
        downsample_mag(layer, how, finer, mag, from_mag_view if finer == start else None)


def downsample_mag(
    layer: Layer, how: Downsampling, from_mag: Mag, target_mag: Mag, from_mag_view: MagView | None = None
) -> None:
    """Make one mag out of a finer one; see :meth:`Layer.downsample_mag`."""
    source = layer.get_mag(from_mag) if from_mag_view is None else own_mag(from_mag_view, type(layer.dataset).open)
    target = Mag(target_mag)
    factor = _factor(source.mag, target)
    kind = _interpolation(how.interpolation_mode, layer)
    check_same_voxels(layer, source)
    old = layer.get_mag(target).info if target in layer.mags else None
    if old is not None and not how.allow_overwrite:
        raise ExistsError(f"layer {layer.name!r} has the mag {target} already; pass allow_overwrite=True")
    shapes, like = how.shapes, how.shapes
    if old is not None:
        like = replace(
            shapes, chunk_shape=shapes.chunk_shape or old.chunk_shape, shard_shape=shapes.shard_shape or old.shard_shape
        )
    spec = new_mag(
        layer.data_format, layer.dtype, layer.num_channels, like, extent=extent_in_mag(layer.bounding_box, target),
        axes=layer._properties.new_axes(),
        any_shape=old is not None and shapes.chunk_shape is None and shapes.shard_shape is None,
    )  # fmt: skip
    step = _step(layer, source, kind, factor, _buffer(how.buffer_shape, factor, spec))
    build_mag(layer, target, spec, None if how.only_setup else source, how.workers, step)


def downsample_mags(layer: Layer, how: Downsampling, from_mag: Mag, target_mags: Sequence[Mag]) -> None:
    """Make mags one out of the other; see :meth:`Layer.downsample_mag_list`."""
    mags = [Mag(from_mag), *(Mag(mag) for mag in target_mags)]
    for finer, mag in pairwise(mags):
        _factor(finer, mag)
    for finer, mag in pairwise(mags):
        downsample_mag(layer, how, finer, mag)


def redownsample(layer: Layer, how: Downsampling) -> None:
    """Make all mags but the finest anew; see :meth:`Layer.redownsample`."""
    mags = list(layer.mags)
    if len(mags) > 1:
        downsample_mags(layer, replace(how, allow_overwrite=True), mags[0], mags[1:])


def _start(layer: Layer, from_mag: Mag | None, from_mag_view: MagView | None) -> Mag:
    if from_mag_view is not None:
        return Mag(from_mag_view.mag)
    if from_mag is not None:
        return layer.get_mag(from_mag).mag
    if not layer.mags:
        raise DatasetError(f"layer {layer.name!r} has no mag to start from")
    return max(layer.mags)


def _sequence(layer: Layer, start: Mag, coarsest: Mag | None, mode: SamplingModes, align: bool | Dataset) -> list[Mag]:
    """Return the mags to make after `start`."""
    end = coarsest if coarsest is not None else default_coarsest_mag(layer.bounding_box.size_xyz.to_tuple())
    voxel_size = mode.aim(layer.dataset.voxel_size)
    return mags_to_downsample(start, mode.end(start, Mag(end)), voxel_size, aligned_mags(layer, align))


def aligned_mags(layer: Layer, align: bool | Dataset) -> list[Mag]:
    """Return the mags of the layers to align with: the others of the dataset, or all of another dataset.

    Raises
    ------
    DatasetValueError
        Two of them differ in what follows a mag.
    """
    if align is False:
        return []
    layers = layer.dataset.layers if align is True else align.layers
    others = [other for other in layers.values() if align is not True or other.name != layer.name]
    by_edge: dict[int, Mag] = {}
    for mag in (Mag(mag) for other in others for mag in other.mags):
        known = by_edge.setdefault(max(mag.to_tuple()), mag)
        if known != mag:
            raise DatasetValueError(
                f"layer {layer.name!r} cannot be aligned with layers of the mags {known} and {mag}: pass "
                "align_with_other_layers=False, or a dataset whose layers agree"
            )
    return list(by_edge.values())


def _factor(finer: Mag, coarser: Mag) -> tuple[int, int, int]:
    factor = voxels_per_voxel(finer, coarser)
    if factor is None:
        raise DatasetValueError(f"mag {coarser} cannot be made out of mag {finer}: it is no multiple of it")
    return factor


def _interpolation(text: str, layer: Layer) -> str:
    name = text.lower()
    if name == "default":
        return "mode" if layer.category == "segmentation" else "median"
    if name in _REFUSED:
        raise DatasetValueError(
            f"wkfast does not interpolate {name}: its result depends on the buffers it is computed in; choose 'median'"
        )
    if name not in _MODES:
        raise DatasetValueError(f"{text!r} is no interpolation mode: choose default, {', '.join(_MODES)}")
    return name


def _buffer(
    buffer_shape: Vec3IntLike | int | None, factor: tuple[int, int, int], spec: _core.NewMag
) -> tuple[int, int, int]:
    """Return the coarser voxels that WEBKNOSSOS computes at once."""
    if buffer_shape is not None:
        x, y, z = Vec3Int.from_vec_or_int(buffer_shape).to_tuple()
        return x, y, z
    shards = [chunk * count for chunk, count in zip(spec["chunk_shape"], spec["chunks_per_shard"], strict=True)]
    x, y, z = (
        min(shard, _COARSER_BUFFER, max(1, _FINER_BUFFER // each)) for shard, each in zip(shards, factor, strict=True)
    )
    return x, y, z


def _step(
    layer: Layer, source: MagView, kind: str, factor: tuple[int, int, int], buffer: tuple[int, int, int]
) -> dict[str, Any]:
    region = layer._properties.bounding_box.align_with_mag(source.mag, ceil=True).in_mag(source.mag)
    box = {"topleft": list(region.topleft.to_tuple()), "size": list(region.size.to_tuple())}
    how = {"interpolation": kind, "factor": list(factor), "region": box, "buffer_shape": list(buffer)}
    return {"downsampling": how}
