"""Layers made of data zips: read in place, or unpacked into a dataset."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wkfast import _core
from wkfast.dataset.dataset import Dataset
from wkfast.dataset.layer import SegmentationLayer, check_layer_name
from wkfast.dataset.mag_view import MagView
from wkfast.dataset.properties import FILE_NAME, KEEPS_ZEROS, DatasetProperties, LayerProperties
from wkfast.errors import ExistsError
from wkfast.geometry import Mag
from wkfast.volume.data_zip import DataZip, extent_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wkfast.dataset.properties import Json
    from wkfast.dataset.voxel_source import VoxelSource
    from wkfast.geometry import BoundingBox


class DataZipLayer(SegmentationLayer):
    """A volume layer of an annotation, read in place. It has no folder and cannot be changed."""

    def __init__(self, dataset: Dataset, properties: LayerProperties, source: DataZip) -> None:
        super().__init__(dataset, properties)
        self._zip = source

    @classmethod
    def of(
        cls, source: DataZip, name: str, voxel_size: Sequence[float], largest_segment_id: int | None
    ) -> DataZipLayer:
        """Return the layer called `name` that lies in `source`."""
        properties = DatasetProperties.create(source.path, source.path.stem, voxel_size)
        entry = _with_largest(source.layer_json(name), largest_segment_id)
        properties.json["dataLayers"].append(entry)
        dataset = Dataset.of_properties(properties, read_only=True)
        return cls(dataset, properties.layer(name), source)

    def _open(self, mag: Mag, entry: Json) -> MagView:
        return MagView(self, mag, self._source(mag, entry), None)

    def _source(self, mag: Mag, entry: Json) -> VoxelSource:
        return _core.Mag.open(self._location(mag, entry))

    def _location(self, mag: Mag, entry: Json) -> Json:  # noqa: ARG002 - where it lies is known
        return next(dict(found["location"]) for found in self._zip.mags if Mag(found["location"]["mag"]) == mag)


def unpack_layer(
    source: DataZip,
    dataset: Dataset,
    layer_name: str,
    *,
    largest_segment_id: int | None,
    form: Literal["same", "annotation"] = "same",
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SegmentationLayer:
    """Add the mags of a data zip to `dataset` as a segmentation and return it. Chunks are copied as they are encoded.

    Parameters
    ----------
    largest_segment_id
        ``None`` leaves what the zip says.
    form
        ``"same"`` files as in the zip, or the ``"annotation"`` form that WEBKNOSSOS accepts, whatever the zip holds.
    threads
        Default: ``WKFAST_THREADS``, else one per core.
    progress
        Called on this thread with chunks done and chunks in all.

    Raises
    ------
    DatasetError
        The dataset has such a layer, or the name cannot name a folder.
    VolumeDataError
        A chunk is corrupt, or the disk full. The dataset is as it was.
    """
    folder = _vacant_folder(dataset, layer_name)
    entry = _with_largest(source.layer_json(layer_name), largest_segment_id)
    box = LayerProperties(entry, dataset.path / FILE_NAME).bounding_box
    made = Path(tempfile.mkdtemp(prefix=".layer.", suffix=".part", dir=dataset.path))
    try:
        made.chmod(dataset.path.stat().st_mode & 0o777)
        mags = [
            (found["location"], made / Mag(found["location"]["mag"]).to_layer_name(), _extent(box, found))
            for found in source.mags
        ]
        unpacked = _core.unpack_mags(mags, form=form, threads=threads, progress=progress)
        if form == "annotation":
            _describe_as_annotation(entry, source)
        elif unpacked:
            entry["dataFormat"] = unpacked[0]["format"]
        made.rename(folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    try:
        dataset.change(lambda properties: properties.add_layer(entry))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return dataset.get_segmentation_layer(layer_name)


def _extent(box: BoundingBox, found: _core.DiscoveredMag) -> tuple[int, int, int]:
    return extent_of(box, Mag(found["location"]["mag"]))


def _vacant_folder(dataset: Dataset, layer_name: str) -> Path:
    dataset.check_writable()
    check_layer_name(layer_name)
    if layer_name in dataset.layers:
        raise ExistsError(f"{dataset.path} has a layer {layer_name!r} already; choose another layer_name, or delete it")
    folder = dataset.path / layer_name
    if folder.exists():
        raise ExistsError(
            f"{folder} is in the way, though no layer of the dataset; move it, or choose another layer_name"
        )
    return folder


def _describe_as_annotation(entry: Json, source: DataZip) -> None:
    """Say in `entry` what the annotation form is."""
    entry["dataFormat"] = "zarr3"
    entry[KEEPS_ZEROS] = True
    for mag in entry["mags"]:
        mag.pop("cubeLength", None)
        axes = ["c", *(source.mags[0]["grid"]["extra_axes"]), "x", "y", "z"]
        mag["axisOrder"] = {axis: place for place, axis in enumerate(axes)}


def _with_largest(entry: Json, largest_segment_id: int | None) -> Json:
    if largest_segment_id is not None:
        entry["largestSegmentId"] = largest_segment_id
    return entry
