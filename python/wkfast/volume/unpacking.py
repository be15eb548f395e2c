"""Data zips unpacked into datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wkfast import _core
from wkfast.dataset.data_format import DataFormat
from wkfast.dataset.folder_drafts import place_folder
from wkfast.dataset.folder_place import FolderPlace
from wkfast.dataset.internals import dataset_properties, folder_of, list_layer, writable_place
from wkfast.dataset.layer_creation import copied_layer_name
from wkfast.dataset.layer_properties import KEEPS_ZEROS, LayerProperties
from wkfast.dataset.object_place import ObjectPlace
from wkfast.dataset.properties import FILE_NAME
from wkfast.errors import DatasetError, ExistsError
from wkfast.geometry import Mag
from wkfast.progress import observed
from wkfast.temporary import owned_temporary_folder
from wkfast.volume.data_zip import DataZip, annotation_axes, extent_of

if TYPE_CHECKING:
    from wkfast.dataset import Dataset, SegmentationLayer
    from wkfast.dataset.layer_properties import Json
    from wkfast.progress import Progress


def unpack_layer(
    source: DataZip,
    dataset: Dataset,
    layer_name: str,
    *,
    largest_segment_id: int | None,
    form: Literal["same", "annotation"] = "same",
    threads: int | None = None,
    progress: Progress = None,
) -> SegmentationLayer:
    """Add the mags of a data zip to `dataset` as a segmentation and return it. Chunks are copied as they are encoded.

    Into a bucket they go by way of a temporary folder.

    Parameters
    ----------
    largest_segment_id
        ``None`` leaves what the zip says.
    form
        ``"same"`` files as in the zip, or the ``"annotation"`` form that WEBKNOSSOS accepts, whatever the zip holds.
    threads
        Default: ``WKFAST_THREADS``, else one per core.
    progress
        ``True``: a bar. Or called on this thread with chunks done and chunks in all.

    Raises
    ------
    DatasetError
        The dataset has such a layer, or the name cannot name a folder. What a folder's name cannot hold of it becomes
        ``_``, with a warning.
    VolumeDataError
        A chunk is corrupt, or the disk full. The dataset is as it was.
    """
    layer_name = copied_layer_name(layer_name)
    if isinstance(writable_place(dataset), ObjectPlace):
        return _by_way_of_here(source, dataset, layer_name, largest_segment_id, form, threads, progress)
    place = _vacant_place(dataset, layer_name)
    entry = source.layer_json(layer_name, largest_segment_id)
    box = LayerProperties(entry, folder_of(dataset) / FILE_NAME).bounding_box
    with place_folder(*place.reached(place.folder(LayerProperties(entry, "")))) as made:
        mags = [
            (found["location"], made / mag.to_layer_name(), extent_of(box, mag))
            for found in source.mags
            for mag in [Mag(found["location"]["mag"])]
        ]
        with observed(progress, "exporting", unit="chunks") as observer:
            unpacked = _core.unpack_mags(mags, form=form, threads=threads, progress=observer)
        if form == "annotation":
            _describe_as_annotation(entry, source)
        elif unpacked:
            entry["dataFormat"] = unpacked[0]["format"]
        place.mark(made)
    try:
        list_layer(dataset, entry)
    except BaseException:
        place.remove(folder_of(dataset) / layer_name)
        raise
    layer = dataset.get_segmentation_layer(layer_name)
    place.unmark(folder_of(dataset) / layer_name)
    return layer


def _by_way_of_here(
    source: DataZip,
    dataset: Dataset,
    layer_name: str,
    largest_segment_id: int | None,
    form: Literal["same", "annotation"],
    threads: int | None,
    progress: Progress,
) -> SegmentationLayer:
    """Unpack into a temporary dataset, whose files are then put as objects."""
    with owned_temporary_folder("export") as folder:
        here = type(dataset)(folder / "dataset", voxel_size=dataset.voxel_size)
        layer = unpack_layer(
            source,
            here,
            layer_name,
            largest_segment_id=largest_segment_id,
            form=form,
            threads=threads,
            progress=progress,
        )
        dataset.add_layer_as_copy(layer, layer_name)
    return dataset.get_segmentation_layer(layer_name)


def _vacant_place(dataset: Dataset, layer_name: str) -> FolderPlace:
    """Return the place of a dataset that may get a layer, without what a killed call has left of it."""
    place = writable_place(dataset)
    if not isinstance(place, FolderPlace):
        raise DatasetError(f"{dataset} {place.no_folder}: nothing can be exported there")
    if layer_name in dataset.layers:
        raise ExistsError(f"{dataset.path} has a layer {layer_name!r} already; choose another layer_name, or delete it")
    (folder,) = place.vacant(dataset_properties(dataset), layer_name)
    if folder.exists():
        raise ExistsError(
            f"{folder} is in the way, though no layer of the dataset; move it, or choose another layer_name"
        )
    return place


def _describe_as_annotation(entry: Json, source: DataZip) -> None:
    """Say in `entry` what the annotation form is."""
    entry["dataFormat"] = DataFormat.Zarr3.value
    entry[KEEPS_ZEROS] = True
    for mag in entry["mags"]:
        mag.pop("cubeLength", None)
        mag["axisOrder"] = annotation_axes(source.mags[0]["grid"]["extra_axes"])
