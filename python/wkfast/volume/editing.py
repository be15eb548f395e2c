"""Editing a volume layer: unpacked or in memory, and taken over as a new data zip when all went well."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wkfast._lazy import lazy_import
from wkfast._warnings import warn
from wkfast.dataset import DataFormat, Dataset
from wkfast.dataset.folder_place import FolderPlace
from wkfast.dataset.internals import dataset_at, dataset_properties, folder_of, properties_of
from wkfast.dataset.new_chunks import NewChunksOfMags
from wkfast.errors import AnnotationError, DatasetValueError
from wkfast.temporary import owned_temporary_folder
from wkfast.volume.edit_mode import VolumeLayerEditMode
from wkfast.volume.export import data_zip
from wkfast.volume.packing import pack_layer
from wkfast.volume.places import layer_in_memory
from wkfast.volume.unpacking import unpack_layer
from wkfast.volume.volume_data import TemporaryFile, VolumeData

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

    import numpy as np

    from wkfast.dataset import Layer, SegmentationLayer
    from wkfast.progress import Progress
    from wkfast.volume.data_zip import DataZip
    from wkfast.volume.volume_layer import VolumeLayer
else:
    np = lazy_import("numpy")


@contextmanager
def edit(
    volume: VolumeLayer,
    edit_mode: VolumeLayerEditMode,
    executor: Executor | None,
    *,
    redownsample: bool,
    fallback: Layer | None,
    progress: Progress,
) -> Iterator[SegmentationLayer]:
    """Yield the layer for changes; see ``VolumeLayer.edit``."""
    mode = VolumeLayerEditMode(edit_mode)
    if redownsample:
        _check_redownsampling(volume, mode)
    if fallback is not None:
        _check_fallback(volume, fallback)
    if mode is VolumeLayerEditMode.MEMORY:
        _check_in_process(executor)
    if volume.is_edited:
        raise AnnotationError(
            f"volume layer {volume.name!r} is being edited already: each edit would take over its own copy, and the "
            "last would undo the others; write into the layer that the open edit yields"
        )
    volume.is_edited = True
    over_fallback = volume.fallback_layer_name is not None or fallback is not None
    new_chunks = NewChunksOfMags(fallback) if over_fallback else None
    try:
        with _edited(volume, mode, executor, new_chunks, redownsample=redownsample, progress=progress) as layer:
            yield layer
    finally:
        volume.is_edited = False
    if new_chunks is not None and new_chunks.incomplete:
        _warn_of_erasure(volume, new_chunks.incomplete)


@contextmanager
def _edited(
    volume: VolumeLayer,
    mode: VolumeLayerEditMode,
    executor: Executor | None,
    new_chunks: NewChunksOfMags | None,
    *,
    redownsample: bool,
    progress: Progress,
) -> Iterator[SegmentationLayer]:
    """Yield the layer in the place the mode names, and take it over afterwards."""
    source = data_zip(volume)
    if mode is VolumeLayerEditMode.MEMORY:
        in_memory = layer_in_memory(
            source, volume.layer_name, volume.voxel_size or (1, 1, 1), volume.largest_segment_id, new_chunks
        )
        yield in_memory
        _take_over(volume, in_memory, source, progress)
        return
    with owned_temporary_folder("edit") as folder:
        dataset = Dataset(folder / "dataset", voxel_size=volume.voxel_size or (1, 1, 1))
        known = volume.largest_segment_id
        unpacked = unpack_layer(source, dataset, volume.layer_name, largest_segment_id=known, form="annotation")
        place = FolderPlace(folder_of(dataset), new_chunks=new_chunks)
        layer = dataset_at(place, dataset_properties(dataset)).get_segmentation_layer(unpacked.name)
        yield layer
        if redownsample:
            layer.redownsample(executor=executor)
        _take_over(volume, layer, source, progress)


def _check_redownsampling(volume: VolumeLayer, mode: VolumeLayerEditMode) -> None:
    if volume.fallback_layer_name is not None:
        raise DatasetValueError(
            f"redownsample=True: coarser voxels of {volume.name!r} show its fallback layer "
            f"{volume.fallback_layer_name!r}, too, and painted voxels alone would erase it there; merge the fallback "
            "layer first, which makes the coarser mags anew"
        )
    if mode is VolumeLayerEditMode.MEMORY:
        raise DatasetValueError("redownsample=True makes mags in files: use edit_mode TEMPORARY_DIRECTORY")


def _check_fallback(volume: VolumeLayer, fallback: Layer) -> None:
    """Refuse a fallback layer that is another than the annotation's, or whose labels or axes do not fit."""
    if volume.fallback_layer_name not in {None, fallback.name}:
        raise DatasetValueError(
            f"the fallback layer of {volume.name!r} is {volume.fallback_layer_name!r}, not {fallback.name!r}"
        )
    if volume.dtype is not None and not np.can_cast(fallback.dtype, volume.dtype):
        raise DatasetValueError(
            f"voxels of {volume.name!r} are {volume.dtype}, too small for labels of {fallback.name!r}, {fallback.dtype}"
        )
    axes = {
        f"volume layer {volume.name!r}": _additional_axes(volume),
        f"layer {fallback.name!r}": [*properties_of(fallback).additional_axes],
    }
    for name, further in axes.items():
        if further:
            raise DatasetValueError(
                f"fallback: chunks are filled along x, y, z alone, but {name} has the additional axes "
                f"{', '.join(further)}; edit without fallback=, and write whole chunks"
            )


def _additional_axes(volume: VolumeLayer) -> list[str]:
    mags = data_zip(volume).mags
    return mags[0]["grid"]["extra_axes"] if mags else []


def _warn_of_erasure(volume: VolumeLayer, chunks: int) -> None:
    filling = ", or pass that layer to edit(fallback=...), which fills new chunks with its voxels"
    warn(
        f"volume layer {volume.name!r}: {chunks} new chunk(s) of 32³ voxels were written in part. Elsewhere they are "
        f"zero and erase the fallback layer {volume.fallback_layer_name!r}. Write whole chunks"
        f"{'' if _additional_axes(volume) else filling}"
    )


def _check_in_process(executor: Executor | None) -> None:
    sequential = any(base.__name__ == "SequentialExecutor" for base in type(executor).__mro__)
    if executor is not None and not sequential and not isinstance(executor, ThreadPoolExecutor):
        raise DatasetValueError(
            f"edit_mode MEMORY keeps voxels in this process, which {type(executor).__name__} would not reach: use a "
            "SequentialExecutor, threads, or edit_mode TEMPORARY_DIRECTORY"
        )


def _take_over(
    volume: VolumeLayer,
    layer: SegmentationLayer,
    source: DataZip,
    progress: Progress,
) -> None:
    """Make what `layer` holds now the data of `volume`. Nothing of the volume changes before all is written."""
    if not source.mags and not layer.mags:
        return
    file = TemporaryFile(".zip")
    known = volume.largest_segment_id if source.mags else 0
    largest = pack_layer(layer, source, file.path, known_largest=known, progress=progress)
    volume.data = VolumeData.temporary(file)
    volume.data_format = DataFormat.Zarr3
    volume.largest_segment_id = max(largest or 0, layer.largest_segment_id or 0)
