"""An annotation's volume layer over its fallback layer, as a new dataset.

The core plans and moves voxels; this module finds both sides and describes the result. Order matters: everything is
validated before the target is touched, and ``datasource-properties.json`` is written last, so a target that is not
finished never looks like a dataset.
"""

from __future__ import annotations

import copy
import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from wkfast import _core
from wkfast.annotation.merge_report import MergeReport
from wkfast.dataset import Dataset, SegmentationLayer
from wkfast.dataset.properties import DatasetProperties, LayerProperties
from wkfast.errors import AnnotationError, MergeError
from wkfast.geometry import Mag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Executor
    from pathlib import Path

    from wkfast.annotation.volume_layer import VolumeLayer
    from wkfast.dataset.properties import Json

# Group metadata that makes the folders of a Zarr dataset readable as one hierarchy.
_GROUP_FILES = ("zarr.json", ".zgroup", ".zattrs")


def merge_fallback_layer(
    volume_layer: VolumeLayer,
    target: Path,
    dataset_path: Path,
    executor: Executor | None = None,
    *,
    policy: str = "chunk",
    mags: str = "all",
    threads: int | None = None,
    resume: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> MergeReport:
    """Write the fallback layer with `volume_layer` laid over it as the only layer of a new dataset.

    The layer keeps the fallback's name, format, chunks and shards. Its box grows to the touched chunks, its
    ``largestSegmentId`` is the larger of both.

    Parameters
    ----------
    volume_layer
        The annotation's layer. Without data the fallback is copied.
    target
        Folder to create. One that an interrupted merge of the same inputs left behind is completed.
    dataset_path
        The dataset that holds the fallback layer.
    executor
        Not supported yet; the core uses its own threads.
    policy
        ``"chunk"``: a chunk that the annotation has replaces the fallback's whole, zeros included, so what was erased
        stays erased. ``"nonzero"``: only labels replace; for files whose all-zero chunks were dropped by old servers.
    mags
        ``"all"``: mags that both have are merged, coarser ones of the fallback recomputed where touched.
        ``"finest"``: the annotation's finest mag alone, as the reference package does.
    threads
        Default: ``WKFAST_THREADS``, else one per core.
    resume
        Complete what an interrupted merge left behind; else refuse a target that is not empty.
    progress
        Called on the calling thread with shards done and shards in all.

    Returns
    -------
    MergeReport
        What was copied, passed through, changed; printable, and plain data by ``to_json()``.

    Raises
    ------
    MergeError
        A ``ValueError`` and ``AssertionError``: the two sides do not fit, the target is taken. Nothing was written.
    DatasetNotFoundError, LayerNotFoundError, MagNotFoundError
        The fallback is not there; the message lists what is.
    VolumeDataError
        A chunk is corrupt; the message names file and chunk. Finished shards stay and are used by the next call.
    """
    if executor is not None:
        raise MergeError("merge_fallback_layer runs on the core's own threads; pass threads=, not executor=")
    fallback = _fallback_layer(volume_layer, dataset_path)
    plan = _core.MergePlan(
        {
            "annotation": _painted(volume_layer),
            "fallback": fallback.mag_locations(),
            "fallback_bounding_box": _box(fallback),
            "target": str(target.absolute()),
            "target_mags": [{"mag": list(mag), "folder": _folder(fallback, mag)} for mag in _mags(fallback)],
            "options": {"policy": policy, "mags": mags},
        },
        resume=resume,
    )
    _warn_of_mapping(volume_layer)
    plan.run(threads=threads, progress=progress)
    facts = plan.commit()
    report = MergeReport.from_core(target, fallback.name, facts)
    _describe(report, fallback, volume_layer)
    return report


def _fallback_layer(volume_layer: VolumeLayer, dataset_path: Path) -> SegmentationLayer:
    name = volume_layer.fallback_layer_name
    if name is None:
        raise AnnotationError(
            f"volume layer {volume_layer.name!r} names no fallback layer: there is nothing to merge it with"
        )
    layer = Dataset.open(dataset_path).get_segmentation_layer(name)
    if any(part in {"", ".", ".."} for part in name.split("/")):
        raise MergeError(f"the fallback layer's name {name!r} cannot name a folder")
    return layer


def _painted(volume_layer: VolumeLayer) -> list[_core.MagLocation]:
    """Return where the annotation's own mags lie; none without data."""
    if volume_layer.data is None:
        return []
    return [found["location"] for found in volume_layer.data.mags(volume_layer.data_format)]


def _mags(layer: SegmentationLayer) -> list[tuple[int, int, int]]:
    return [tuple(location["mag"]) for location in layer.mag_locations()]


def _folder(layer: SegmentationLayer, mag: Iterable[int]) -> str:
    return f"{layer.name}/{Mag(list(mag)).to_layer_name()}"


def _box(layer: SegmentationLayer) -> Json:
    box = layer.bounding_box
    return {"topleft": list(box.topleft.to_tuple()), "size": list(box.size.to_tuple())}


def _warn_of_mapping(volume_layer: VolumeLayer) -> None:
    if volume_layer.mapping_name is not None:
        warnings.warn(
            f"the mapping {volume_layer.mapping_name!r} was active on volume layer {volume_layer.name!r}: the merged "
            "layer holds the segment ids before that mapping",
            UserWarning,
            stacklevel=4,
        )


def _describe(report: MergeReport, fallback: SegmentationLayer, volume_layer: VolumeLayer) -> None:
    """Write ``datasource-properties.json``: the fallback's description, changed where the result differs."""
    dataset = fallback.dataset
    layer = copy.deepcopy(fallback.properties.json)
    layer.pop("attachments", None)
    layer.pop("wkwResolutions", None)
    layer["mags"] = [_mag_entry(entry, fallback) for entry in _merged_entries(fallback, report)]
    layer["largestSegmentId"] = _largest(report, fallback, volume_layer)
    if np.dtype(report.dtype) != fallback.dtype:
        layer["elementClass"] = report.dtype
    properties = DatasetProperties.create(report.target, report.target.name, dataset.voxel_size, dataset.unit)
    properties.json["dataLayers"] = [layer]
    LayerProperties(layer, properties.file).set_bounding_box(report.bounding_box)
    _copy_group_metadata(dataset.path, report.target, kept=None)
    kept = {mag.to_layer_name() for mag in report.mags}
    _copy_group_metadata(fallback.path, report.target / fallback.name, kept=kept)
    properties.write()


def _merged_entries(fallback: SegmentationLayer, report: MergeReport) -> list[Json]:
    return [entry for entry in fallback.properties.mags if fallback.properties.mag_of(entry) in report.mags]


def _mag_entry(entry: Json, fallback: SegmentationLayer) -> Json:
    mag = fallback.properties.mag_of(entry)
    rest = {key: value for key, value in entry.items() if key not in {"mag", "path", "resolution"}}
    return {"mag": list(mag.to_tuple()), "path": f"./{_folder(fallback, mag.to_tuple())}", **rest}


def _largest(report: MergeReport, fallback: SegmentationLayer, volume_layer: VolumeLayer) -> int | None:
    """Return the largest id of both sides, ``None`` where the fallback's, and so the result's, is not known."""
    known = fallback.largest_segment_id
    if known is None:
        return None
    return max(known, report.largest_segment_id, volume_layer.largest_segment_id or 0)


def _copy_group_metadata(source: Path, target: Path, *, kept: set[str] | None) -> None:
    """Copy a Zarr group's own files, multiscale entries only for the mags that are `kept`."""
    for name in _GROUP_FILES:
        file = source / name
        if file.is_file():
            content = json.loads(file.read_text(encoding="utf-8"))
            if kept is not None:
                _keep_mags(content, kept)
            (target / name).write_text(json.dumps(content, indent=4), encoding="utf-8")


def _keep_mags(content: Any, kept: set[str]) -> None:
    """Drop multiscale datasets whose path is not in `kept`, wherever OME metadata nests them."""
    if isinstance(content, dict):
        for multiscale in content.get("multiscales", []):
            multiscale["datasets"] = [entry for entry in multiscale["datasets"] if entry["path"] in kept]
        for value in content.values():
            _keep_mags(value, kept)
