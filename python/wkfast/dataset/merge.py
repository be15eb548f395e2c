"""Painted mags over a segmentation layer, as a new dataset.

The core plans and moves voxels; this module says what goes where and describes the result. Order matters: everything is
validated before the target is touched, the description included, and ``datasource-properties.json`` is written last, so
a target that is not finished never looks like a dataset.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wkfast import _core
from wkfast.dataset.merge_report import MergeReport
from wkfast.dataset.properties import DatasetProperties, LayerProperties
from wkfast.errors import DatasetError, MergeError
from wkfast.geometry import Mag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from wkfast.dataset.layer import SegmentationLayer
    from wkfast.dataset.properties import Json

POLICIES = ("chunk", "nonzero")
MAG_CHOICES = ("all", "finest")
# Group metadata that makes the folders of a Zarr dataset readable as one hierarchy.
_GROUP_FILES = ("zarr.json", ".zgroup", ".zattrs")


@dataclass(frozen=True)
class MergeRules:
    """How a merge decides.

    Attributes
    ----------
    policy
        ``"chunk"``: a painted chunk replaces the fallback's whole, zeros included. ``"nonzero"``: only labels replace.
    mags
        ``"all"`` mags of the fallback from the finest painted one on, or the ``"finest"`` painted one alone.
    threads
        ``None`` for ``WKFAST_THREADS``, else one per core.
    resume
        Complete what an interrupted merge left behind.

    Raises
    ------
    MergeError
        A choice does not exist.

    Examples
    --------
    >>> MergeRules(policy="newest")
    Traceback (most recent call last):
    ...
    wkfast.errors.MergeError: policy is 'newest', expected 'chunk' or 'nonzero'
    """

    policy: str = "chunk"
    mags: str = "all"
    threads: int | None = None
    resume: bool = True

    def __post_init__(self) -> None:
        for name, value, choices in (("policy", self.policy, POLICIES), ("mags", self.mags, MAG_CHOICES)):
            if value not in choices:
                raise MergeError(f"{name} is {value!r}, expected {' or '.join(map(repr, choices))}")
        if self.threads is not None and self.threads < 1:
            raise MergeError(f"threads is {self.threads!r}, expected a positive number, or None for one per core")


def merge_over(
    fallback: SegmentationLayer,
    painted: Sequence[_core.MagLocation],
    target: Path,
    rules: MergeRules,
    *,
    largest_painted_id: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> MergeReport:
    """Write `fallback` with the `painted` mags over it as the only layer of the dataset `target`.

    Parameters
    ----------
    painted
        Where the painted mags lie; without any, the fallback is copied.
    largest_painted_id
        What the annotation says of its largest id; what is found in its chunks counts too.
    progress
        Called on the calling thread with shards done and shards in all.

    Raises
    ------
    MergeError, DatasetError, MagNotFoundError
        The two sides do not fit, the fallback is described badly, the target is taken. Nothing was written.
    VolumeDataError
        A chunk is corrupt; the message names file and chunk. Finished shards are used by the next call.
    """
    description = _Description(fallback, target, largest_painted_id)
    plan = _core.MergePlan(
        {
            "annotations": [list(painted)] if painted else [],
            "fallback": fallback.mag_locations(),
            "fallback_bounding_box": _box(fallback),
            "target": str(target.absolute()),
            "target_mags": [{"mag": list(mag), "folder": _folder(fallback, mag)} for mag in _mags(fallback)],
            "options": {"policy": rules.policy, "mags": rules.mags},
        },
        resume=rules.resume,
    )
    plan.run(threads=rules.threads, progress=progress and (lambda done, total, *_bytes: progress(done, total)))
    report = MergeReport.from_core(target, fallback.name, plan.commit())
    description.write(report)
    return report


class _Description:
    """``datasource-properties.json`` and group metadata of the result, prepared before a byte is written."""

    def __init__(self, fallback: SegmentationLayer, target: Path, largest_painted_id: int) -> None:
        if any(part in {"", ".", ".."} for part in fallback.name.split("/")):
            raise MergeError(f"the fallback layer's name {fallback.name!r} cannot name a folder")
        self._fallback = fallback
        self._dtype = fallback.dtype
        self._largest = fallback.largest_segment_id
        self._largest_painted = largest_painted_id
        dataset = fallback.dataset
        self._properties = DatasetProperties.create(target, target.name, dataset.voxel_size, dataset.unit)
        self._group = _group_metadata(dataset.path)
        self._layer_group = _group_metadata(fallback.path)

    def write(self, report: MergeReport) -> None:
        """Write the files, the one that makes a dataset of the folder last."""
        layer = copy.deepcopy(self._fallback.properties.json)
        layer.pop("attachments", None)
        layer.pop("wkwResolutions", None)
        layer["mags"] = [self._mag_entry(entry) for entry in self._merged_entries(report)]
        layer["largestSegmentId"] = self._largest_of_both(report)
        if np.dtype(report.dtype) != self._dtype:
            layer["elementClass"] = report.dtype
        LayerProperties(layer, self._properties.file).set_bounding_box(report.bounding_box)
        self._properties.json["dataLayers"] = [layer]
        kept = {mag.to_layer_name() for mag in report.mags}
        for content in self._layer_group.values():
            _keep_mags(content, kept)
        _write_group_metadata(self._group, report.target)
        _write_group_metadata(self._layer_group, report.target / self._fallback.name)
        self._properties.write()

    def _merged_entries(self, report: MergeReport) -> list[Json]:
        properties = self._fallback.properties
        return [entry for entry in properties.mags if properties.mag_of(entry) in report.mags]

    def _mag_entry(self, entry: Json) -> Json:
        mag = self._fallback.properties.mag_of(entry)
        rest = {key: value for key, value in entry.items() if key not in {"mag", "path", "resolution"}}
        return {"mag": list(mag.to_tuple()), "path": f"./{_folder(self._fallback, mag.to_tuple())}", **rest}

    def _largest_of_both(self, report: MergeReport) -> int | None:
        """Return the largest id of both sides, ``None`` where the fallback's, and so the result's, is not known."""
        if self._largest is None:
            return None
        return max(self._largest, report.largest_segment_id, self._largest_painted)


def _mags(layer: SegmentationLayer) -> list[tuple[int, ...]]:
    return [tuple(location["mag"]) for location in layer.mag_locations()]


def _folder(layer: SegmentationLayer, mag: Iterable[int]) -> str:
    return f"{layer.name}/{Mag(list(mag)).to_layer_name()}"


def _box(layer: SegmentationLayer) -> Json:
    box = layer.bounding_box
    return {"topleft": list(box.topleft.to_tuple()), "size": list(box.size.to_tuple())}


def _group_metadata(folder: Path) -> dict[str, Any]:
    """Return the contents of a Zarr group's own files, by name."""
    return {name: _json(folder / name) for name in _GROUP_FILES if (folder / name).is_file()}


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{file}: not valid JSON: {error}") from error


def _write_group_metadata(files: dict[str, Any], folder: Path) -> None:
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=4), encoding="utf-8")


def _keep_mags(content: Any, kept: set[str]) -> None:
    """Drop multiscale datasets whose path is not in `kept`, wherever OME metadata nests them."""
    if not isinstance(content, dict):
        return
    multiscales = content.get("multiscales")
    for multiscale in multiscales if isinstance(multiscales, list) else []:
        if isinstance(multiscale, dict) and isinstance(multiscale.get("datasets"), list):
            entries = multiscale["datasets"]
            multiscale["datasets"] = [e for e in entries if isinstance(e, dict) and e.get("path") in kept]
    for value in content.values():
        _keep_mags(value, kept)
