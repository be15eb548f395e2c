"""Volume layers as layers of datasets: in place, exported, copied for a while."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wkfast._lazy import lazy_import
from wkfast.dataset import Dataset
from wkfast.errors import DatasetValueError
from wkfast.temporary import owned_temporary_folder
from wkfast.volume.data_zip import DataZip, decode_all, largest_label
from wkfast.volume.places import layer_in_zip
from wkfast.volume.unpacking import unpack_layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from wkfast.dataset import SegmentationLayer
    from wkfast.progress import Progress
    from wkfast.volume.volume_layer import VolumeLayer
else:
    np = lazy_import("numpy")

TEMPORARY_DATASET = "tmp_annotation_dataset"
TEMPORARY_LAYER = "volume_layer"


def data_zip(volume: VolumeLayer) -> DataZip:
    """Return the data zip of a volume layer, open; that of a new one is known to be empty.

    Raises
    ------
    VolumeDataMissingError
        The voxels are not in the annotation file.
    VolumeDataError
        The data zip is damaged.
    """
    if volume.is_new:
        return DataZip.empty(Path(volume.name), volume.dtype or np.dtype(np.uint32))
    return volume.require_data().open(volume.data_format)


def in_place(volume: VolumeLayer) -> SegmentationLayer:
    """Return the layer for reading; see ``VolumeLayer.as_layer``."""
    return layer_in_zip(data_zip(volume), volume.name, volume.voxel_size or (1, 1, 1), volume.largest_segment_id)


def export(
    volume: VolumeLayer,
    dataset: object,
    layer_name: str,
    *,
    threads: int | None = None,
    progress: Progress = None,
) -> SegmentationLayer:
    """Add the voxels to a dataset; see ``VolumeLayer.export_to_dataset``. An unknown largest id is looked for.

    Raises
    ------
    DatasetValueError
        `dataset` is none, but the path of one, say.
    """
    if not isinstance(dataset, Dataset):
        kind = type(dataset).__name__
        raise DatasetValueError(
            f"voxels are added to a Dataset, not to a {kind}: open one, Dataset.open(…), or make it, Dataset(…)"
        )
    source = data_zip(volume)
    largest = volume.largest_segment_id
    if largest is None and source.mags:
        largest = largest_label(source, threads=threads)
    return unpack_layer(source, dataset, layer_name, largest_segment_id=largest, threads=threads, progress=progress)


def check(volume: VolumeLayer, *, chunks: bool) -> None:
    """Make sure that the voxels can be read; see ``VolumeLayer.check``."""
    source = data_zip(volume)
    if chunks:
        decode_all(source)


@contextmanager
def temporary_copy(volume: VolumeLayer, *, read_only: bool) -> Iterator[SegmentationLayer]:
    """Yield a copy of the layer in a temporary dataset; see ``Annotation.temporary_volume_layer_copy``."""
    with owned_temporary_folder("copy") as folder:
        path = folder / TEMPORARY_DATASET
        layer = export(volume, Dataset(path, voxel_size=volume.voxel_size or (1, 1, 1)), TEMPORARY_LAYER)
        if read_only:
            layer = Dataset.open(path, read_only=True).get_segmentation_layer(TEMPORARY_LAYER)
        yield layer
