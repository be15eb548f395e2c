"""Storing a mag in another way, in its place or in another dataset, and laying chunks of another over it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast.addresses import local_path
from wkfast.dataset.compiled import ChunkFunction
from wkfast.dataset.data_format import FACTS
from wkfast.dataset.folders import temporary_folder
from wkfast.dataset.mag_building import build_mag, check_alone, copy_mag, folder_place_of, location_of, spec_like
from wkfast.dataset.new_mag import Shapes, extent_in_mag, new_mag
from wkfast.dataset.plan_workers import run_on_workers
from wkfast.errors import DatasetValueError
from wkfast.geometry import BoundingBox, Vec3Int

if TYPE_CHECKING:
    from os import PathLike

    from wkfast.dataset.mag_view import MagView
    from wkfast.dataset.reshaping import Workers


def rechunk(view: MagView, shapes: Shapes, target_path: str | PathLike[str] | None, workers: Workers) -> None:
    """Cut a mag into other chunks or files; see :meth:`MagView.rechunk`."""
    layer = view.layer
    if target_path is not None:
        dataset = layer.dataset._in_folder(target_path)
        there = dataset.layers.get(layer.name) or dataset.add_layer_like(layer, layer.name)
        copy_mag(there, view, None, shapes, extend=True, exists_ok=False, workers=workers)
        return
    extent, axes = extent_in_mag(layer.bounding_box, view.mag), layer._properties.new_axes()
    spec = spec_like(view, view.info.data_format, shapes, extent=extent, axes=axes)
    build_mag(layer, view.mag, spec, view, workers)


def map_chunks(view: MagView, function: Any, target: MagView, workers: Workers) -> None:
    """Fill a mag with what a function makes of another; see :meth:`MagView.map_chunks`."""
    if not hasattr(target, "info"):
        raise DatasetValueError(
            f"{target!r} is no mag: expected one to write to, such as layer.get_mag({str(view.mag)!r})"
        )
    target._writable()
    source, there, layer = view.info, target.info, target.layer
    if view.mag != target.mag or source.num_channels != there.num_channels:
        raise DatasetValueError(f"{view} cannot fill {target}: mag or channels differ")
    if view.layer._place.identity == layer._place.identity and view.layer.name == layer.name:
        raise DatasetValueError(f"{view} cannot be mapped onto itself: make another layer, e.g. by add_layer_like")
    compiled = ChunkFunction.of(function, source.voxel_type, there.voxel_type)
    extent, axes = extent_in_mag(layer.bounding_box, target.mag), layer._properties.new_axes()
    shapes = Shapes(source.chunk_shape, compress=there.compression_mode)
    if FACTS[there.data_format].has_shards:
        shapes = Shapes(source.chunk_shape, None, source.chunks_per_shard, there.compression_mode)
    spec = new_mag(
        there.data_format, there.voxel_type, there.num_channels, shapes, extent=extent, axes=axes, any_shape=True
    )
    build_mag(layer, target.mag, spec, view, replace(workers, function=compiled), "apply")
    layer._extend_bounding_box(view.layer.bounding_box)


def merge_with_view(view: MagView, other: MagView, executor: Any) -> None:
    """Lay the chunks of another mag over this one; see :meth:`MagView.merge_with_view`."""
    layer = view.layer
    folder_place_of(layer, "merge_with_view")
    mine, theirs = view.info, other.info
    if view.mag != other.mag or mine.voxel_type != theirs.voxel_type or mine.num_channels != theirs.num_channels:
        raise DatasetValueError(f"{other} cannot be laid over {view}: mag, dtype or channels differ")
    if theirs.chunks_per_shard != Vec3Int.ones():
        raise DatasetValueError(f"{other} has {theirs.chunks_per_shard} chunks in a file; rechunk it to one")
    check_alone(layer, view.mag, view.path)
    box, location = layer._properties.bounding_box, location_of(view)
    with temporary_folder(local_path(view.path).parent, ".merge.") as folder:
        plan = _core.MergePlan(
            {
                "annotations": [[location_of(other)]],
                "fallback": [location],
                "fallback_bounding_box": {"topleft": box.topleft.to_list(), "size": box.size.to_list()},
                "target": str(folder / "merged"),
                "target_mags": [{"mag": location["mag"], "folder": view.name}],
                "options": {"policy": "chunk", "mags": "finest"},
            }
        )
        if executor is None:
            merged = plan.complete()["bounding_box"]
        else:
            run_on_workers(plan, folder / "merged", executor)
            merged = plan.commit()["bounding_box"]
        _core.exchange_folders(str(folder / "merged" / view.name), str(view.path))
    layer._extend_bounding_box(BoundingBox(merged["topleft"], merged["size"]))
