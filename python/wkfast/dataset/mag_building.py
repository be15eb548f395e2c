"""Mags made out of other mags: copied, cut anew, made coarser. Each is complete before it is listed."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast.buckets import ObjectPath, copy_files, replace_whole
from wkfast.dataset.data_format import FACTS
from wkfast.dataset.files_place import FilesPlace, Site
from wkfast.dataset.folder_place import FolderPlace
from wkfast.dataset.folders import changes_told
from wkfast.dataset.foreign import own_mag
from wkfast.dataset.links import regular_size
from wkfast.dataset.mag_locations import location_in
from wkfast.dataset.metadata_files import read_metadata
from wkfast.dataset.new_mag import Shapes, extent_in_mag, new_mag
from wkfast.dataset.place import writable
from wkfast.errors import DatasetError, DatasetValueError, ExistsError
from wkfast.geometry import Mag
from wkfast.geometry.constants import CXYZ_AXES
from wkfast.progress import observed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from wkfast.dataset.data_format import DataFormat
    from wkfast.dataset.layer import Layer
    from wkfast.dataset.layer_properties import Json
    from wkfast.dataset.mag_view import MagView
    from wkfast.dataset.reshaping import Workers


def build_mag(
    layer: Layer, mag: Mag, spec: _core.NewMag, source: MagView | None, workers: Workers, step: Any = "copy"
) -> MagView:
    """Create a mag out of another, or put it in the place of what there is, complete or not at all.

    Parameters
    ----------
    spec
        What it is to be, see :func:`wkfast.dataset.new_mag.new_mag`.
    source
        The mag to take voxels from, which may be the one that is replaced; ``None`` for an empty mag.
    step
        What to do to the voxels, see ``_core.Reshape``.

    Raises
    ------
    DatasetValueError
        The format does not have such a mag, or the voxels do not fit. Nothing has changed.
    VolumeDataError
        A chunk is damaged, or the file system refuses. Nothing has changed.
    """
    place, properties = files_of(layer), layer.dataset._properties
    check_replaceable(layer, mag)
    with place.building(properties, layer._properties, mag) as site:
        order = {axis: index for index, axis in enumerate(layer._properties.new_axes())}
        target = place.to_write(location_in(site.folder, layer._properties, mag, order))
        alike = source is not None and _keep_metadata(source, spec, site.folder, order, target.get("within"))
        if not alike:
            create_mag(target, spec, site.where)
        if source is not None:
            plan = {"source": location_of(source), "target": target, "step": step}
            name = f"{layer.name}/{mag.to_layer_name()}"
            if alike and step == "copy" and isinstance(site.folder, ObjectPath):
                copy_objects(source, site.folder, workers, name)
            else:
                workers.reshape(plan, name)
        place_and_list(layer, mag, spec, site)
    return layer.get_mag(mag)


def place_and_list(layer: Layer, mag: Mag, spec: _core.NewMag, site: Site) -> None:
    """Put a mag that was built in its place, and list it."""
    site.place()
    edge = spec["chunk_shape"][0] * spec["chunks_per_shard"][0]
    layer._list_new_mag(files_of(layer).entry(layer._properties, mag, site.where, edge), site.check)


def create_mag(location: Json, spec: _core.NewMag, where: object) -> None:
    """Create an empty mag, which messages call by where it lies in the end.

    Raises
    ------
    DatasetValueError
        The format does not have such a mag.
    """
    try:
        _core.Mag.create(location, spec)
    except ValueError as error:
        raise DatasetValueError(f"cannot make a mag at {where}: {error}") from None


def files_of(layer: Layer) -> FilesPlace:
    """Return the folder, here or in a bucket, in which a layer's mags are made.

    Raises
    ------
    ReadOnlyError
        It cannot be changed.
    DatasetError
        It lies in memory.
    """
    place = writable(layer._place, layer)
    if not isinstance(place, FilesPlace):
        raise DatasetError(f"{layer} {place.no_folder}: mags are not made out of others there")
    return place


def folder_place_of(layer: Layer, what: str) -> FolderPlace:
    """Return the folder of this machine in which a layer's mags are made.

    Raises
    ------
    ReadOnlyError
        It cannot be changed.
    DatasetError
        It lies in memory or in a bucket; the message says that `what` needs a folder.
    """
    place = files_of(layer)
    if not isinstance(place, FolderPlace):
        raise DatasetError(f"{layer} {place.no_folder}, which {what} needs; copy the layer to a dataset in one")
    return place


def check_replaceable(layer: Layer, mag: Mag) -> None:
    """Refuse to put another mag in the place of one that is not the layer's own.

    Raises
    ------
    DatasetError
        It lies elsewhere, or other mags lie in its folder.
    """
    if mag not in layer._listed_mags():
        return
    folder = layer.get_mag(mag).path
    if layer._place.is_foreign(folder):
        raise DatasetError(f"mag {mag} lies at {folder}, outside of {layer.dataset}: wkfast does not change it")
    check_alone(layer, mag, folder)


def check_alone(layer: Layer, mag: Mag, folder: Path | ObjectPath) -> None:
    """Refuse to put another folder in the place of one that is not a mag's alone.

    Raises
    ------
    DatasetError
        It is the dataset's or a layer's, or other mags lie in it.
    """
    if not files_of(layer).may_remove(layer.dataset._properties, folder, layer.name, mag):
        raise DatasetError(
            f"mag {mag} of layer {layer.name!r} cannot be made at {folder}: other mags or layers lie there and "
            "would be replaced with it; make it in a layer of its own, as by Dataset.add_layer_as_copy"
        )


def check_same_voxels(layer: Layer, source: MagView) -> None:
    """Refuse to make a mag of a layer out of voxels of another kind.

    Raises
    ------
    DatasetValueError
        Dtype or channels differ.
    """
    info = source.info
    if (info.voxel_type, info.num_channels) != (layer.dtype, layer.num_channels):
        raise DatasetValueError(
            f"{source} has {info.num_channels} channels of {info.voxel_type}, layer {layer.name!r} has "
            f"{layer.num_channels} of {layer.dtype}"
        )


def copy_mag(
    layer: Layer,
    given: MagView | str | PathLike[str],
    mag: Any,
    shapes: Shapes,
    *,
    extend: bool,
    exists_ok: bool,
    workers: Workers,
) -> MagView:
    """Copy a mag of another layer into this one; see :meth:`Layer.add_mag_as_copy`."""
    source = own_mag(given, type(layer.dataset).open)
    target = Mag(mag) if mag is not None else source.mag
    if target in layer._listed_mags() and not exists_ok:
        raise ExistsError(f"layer {layer.name!r} has the mag {target} already; pass exists_ok=True to replace it")
    check_same_voxels(layer, source)
    box = source.bounding_box.in_mag(source.mag).from_mag_to_mag1(target)
    axes = layer._properties.new_axes()
    spec = spec_like(source, layer.data_format, shapes, extent=extent_in_mag(box, target), axes=axes)
    copy = build_mag(layer, target, spec, source, workers)
    if extend:
        layer._extend_bounding_box(source.layer.bounding_box if target == source.mag else box)
    return copy


def spec_like(
    source: MagView, data_format: DataFormat, shapes: Shapes, *, extent: tuple[int, int, int], axes: Mapping[str, int]
) -> _core.NewMag:
    """Return what a mag with the voxels of another is to be: like it, but for what is given."""
    info = source.info
    sharded, was_sharded = FACTS[data_format].has_shards, FACTS[info.data_format].has_shards
    shard_shape, chunks_per_shard = shapes.shard_shape, shapes.chunks_per_shard
    if not shapes.given and sharded and was_sharded:
        chunks_per_shard = info.chunks_per_shard
    elif shard_shape is None and chunks_per_shard is None and data_format is info.data_format and sharded:
        shard_shape = info.shard_shape
    like = Shapes(
        info.chunk_shape if shapes.chunk_shape is None else shapes.chunk_shape, shard_shape, chunks_per_shard,
        _compressed_like(source) if shapes.compress is None else shapes.compress,
    )  # fmt: skip
    return new_mag(
        data_format, info.voxel_type, info.num_channels, like, extent=extent, axes=axes, any_shape=not shapes.given
    )


def _compressed_like(source: MagView) -> bool:
    """Return whether a mag like another one is compressed: what a server sends does not tell how it is stored there."""
    return source.info.compression_mode or not source.layer._place.has_files


def location_of(view: MagView) -> Json:
    """Return where a mag lies, as plain data for the core.

    Raises
    ------
    DatasetError
        It lies on a server or in memory, or is merged while it is read.
    """
    layer = view.layer
    return layer._place.location(layer._properties, view.mag, layer._entry_of(view.mag))


def _keep_metadata(
    source: MagView, spec: _core.NewMag, folder: Path | ObjectPath, axis_order: Json, within: str | None
) -> bool:
    """Describe a mag by the very metadata of the other where both are stored alike, so that its chunks can pass."""
    info = source.info
    found = (
        info.data_format.value, info.voxel_type.name, info.chunk_shape.to_list(), info.chunks_per_shard.to_list(),
        info.compression_mode,
    )  # fmt: skip
    wanted = (
        spec["format"], spec["voxel_type"], spec["chunk_shape"], spec["chunks_per_shard"], spec.get("compress", True)
    )  # fmt: skip
    location, name = location_of(source), FACTS[info.data_format].metadata
    metadata = _metadata(location, name) if found == wanted else None
    if metadata is None:
        return False
    if FACTS[info.data_format].is_array and _axis_order(location, metadata) != axis_order:
        return False
    if _core.Mag.open(location).encoding.startswith("channels by"):  # cut into several chunks, which are read only
        return False
    with changes_told():
        replace_whole(folder / name, metadata, None if within is None else Path(within))
    return True


def _metadata(location: dict[str, Any], name: str) -> bytes | None:
    """Return the metadata of a mag in a folder or bucket as they are, ``None`` where there are none."""
    folder = _folder_at(location)
    return None if folder is None else read_metadata(folder / name)


def _folder_at(location: Json) -> Path | ObjectPath | None:
    """Return the folder of a mag's files, ``None`` where they lie in an archive or a server streams them."""
    container, prefix = location["container"], str(location["prefix"])
    if container["kind"] == "zip" or "streamed" in location:
        return None
    return (
        Path(container["path"]) if container["kind"] == "directory" else ObjectPath.of_container(container)
    ) / prefix


def copy_objects(source: MagView, target: ObjectPath, workers: Workers, name: str) -> None:
    """Copy the files of a mag into a bucket as they are, many at once; its metadata are there.

    The server copies what lies in the same bucket. An executor would only wait for servers as well: it is not asked.
    """
    folder = _folder_at(location_of(source))
    if folder is None:
        raise DatasetError(f"{source} lies in an archive: unpack it first")
    files = _files_of_chunks(folder, source)
    with observed(workers.progress, f"{workers.what} {name}") as observer:
        copy_files(folder, target, files, observer)


def _files_of_chunks(folder: Path | ObjectPath, view: MagView) -> list[tuple[str, int]]:
    if isinstance(folder, ObjectPath):
        return [file for file in folder.files() if _is_chunk(file[0], view)]
    walked = (Path(parent) / name for parent, _, names in os.walk(folder) for name in names)
    names = (file.relative_to(folder).as_posix() for file in walked)
    return [(name, regular_size(folder / name, "copied")) for name in names if _is_chunk(name, view)]


def _is_chunk(name: str, view: MagView) -> bool:
    """Return whether a file in the folder of a mag holds chunks of it: other mags may lie in there."""
    axes = len(view._source.extra_axes) + len(CXYZ_AXES) if FACTS[view.info.data_format].is_array else len("xyz")
    parts = [part for part in re.split(r"[/.]", name) if part not in {"c", "wkw"}]
    without_channel = axes - 1 if view.num_channels == 1 else axes
    return without_channel <= len(parts) <= axes and all(re.fullmatch(r"[xyz]?\d+", part) for part in parts)


def _axis_order(location: Json, metadata: bytes) -> Json:
    """Return which axis of an array is which: as its layer says, else as its dimensions are called, else c, x, y, z."""
    names = json.loads(metadata).get("dimension_names") or list("cxyz")
    return location.get("axis_order") or {name: at for at, name in enumerate(names)}
