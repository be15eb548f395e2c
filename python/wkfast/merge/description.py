"""The files that make a dataset of a merge's target: decided with the plan, written when all is done."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wkfast.buckets import replace_whole
from wkfast.dataset.layer_creation import check_layer_name, leads_elsewhere
from wkfast.dataset.layer_properties import LayerProperties
from wkfast.dataset.mapping import TABLE_SUFFIX
from wkfast.dataset.properties import FILE_NAME, DatasetProperties

if TYPE_CHECKING:
    from wkfast.buckets import ObjectPath
    from wkfast.dataset.layer_properties import Json
    from wkfast.geometry import Mag
    from wkfast.merge.base import MergeBase
    from wkfast.merge.report import MergeReport


def description_of(base: MergeBase, target: Path | ObjectPath, largest_id: int, touched_extra: Json) -> Json:
    """Return everything that will be written about the result, as plain data.

    Parameters
    ----------
    largest_id
        What the annotations say of their largest id; what is found in their chunks will count too.
    touched_extra
        How far annotations reach along additional axes, see ``_core.MergePlan.summary``.
    """
    dataset = DatasetProperties.create(target, target.name, base.voxel_size, base.unit)
    layer = copy.deepcopy(base.entry)
    if layer.get("additionalAxes"):
        LayerProperties(layer, dataset.file).widen_additional_axes(touched_extra)
    return {
        "dataset": dataset.json,
        "layer": layer,
        "mags": {
            name: {key: value for key, value in entry.items() if key not in {"mag", "path", "resolution"}}
            for name, entry in base.mag_entries.items()
        },
        "groups": base.groups,
        "layer_groups": base.layer_groups,
        "largest_painted_id": largest_id,
    }


# What a description holds, and as what.
_SHAPE: dict[str, type] = {
    **dict.fromkeys(("dataset", "layer", "mags", "groups", "layer_groups"), dict),
    **dict.fromkeys(("annotations", "warnings"), list),
    "largest_painted_id": int,
}


def check_description(description: Any) -> None:
    """Make sure that what a plan file says is a description: it may be anybody's.

    Raises
    ------
    TypeError, DatasetError
        It is none, and why.
    """
    if not isinstance(description, dict):
        raise TypeError("its description is no object")
    for name, kind in _SHAPE.items():
        if not isinstance(description.get(name), kind):
            raise TypeError(f"{name} of its description is {description.get(name)!r}, no {kind.__name__}")
    mapping = description.get("mapping", {"table": "", "source": ""})
    if not isinstance(mapping, dict) or not all(isinstance(mapping.get(name), str) for name in ("table", "source")):
        raise TypeError("mapping of its description has no table and source")
    if mapping["table"] and not mapping["table"].endswith(TABLE_SUFFIX):
        raise TypeError(f"the table {mapping['table']!r} of its mapping is no file of wkfast")
    if not all(isinstance(warning, str) for warning in description["warnings"]):
        raise TypeError("the warnings of its description are no texts")
    name = LayerProperties(description["layer"], Path(FILE_NAME)).name
    if leads_elsewhere(name):
        check_layer_name(name)


def describe(description: Json, report: MergeReport, folder: Path | ObjectPath) -> None:
    """Write the files that make a dataset of the target, the one that counts last.

    Parameters
    ----------
    folder
        Where the target is reached, whatever its name leads to by now.
    """
    properties = DatasetProperties(copy.deepcopy(description["dataset"]), str(report.target / FILE_NAME))
    layer = copy.deepcopy(description["layer"])
    layer["mags"] = [_mag_entry(mag, layer["name"], description["mags"]) for mag in report.mags]
    layer["largestSegmentId"] = _largest_of_both(description, report)
    view = LayerProperties(layer, properties.file)
    if report.dtype != view.dtype_name:
        layer["elementClass"] = report.dtype
    view.set_bounding_box(report.bounding_box)
    properties.json["dataLayers"] = [layer]
    kept = {mag.to_layer_name() for mag in report.mags}
    for content in description["layer_groups"].values():
        _keep_mags(content, kept)
    # Whatever has become a link in the target meanwhile: nothing is written behind it.
    within = folder if isinstance(folder, Path) else None
    _write_group_metadata(description["groups"], folder, within)
    _write_group_metadata(description["layer_groups"], folder / report.layer_name, within)
    replace_whole(folder / FILE_NAME, properties.text(), within)


def _mag_entry(mag: Mag, layer: str, entries: Json) -> Json:
    name = mag.to_layer_name()
    return {"mag": list(mag.to_tuple()), "path": f"./{layer}/{name}", **entries[name]}


def _largest_of_both(description: Json, report: MergeReport) -> int | None:
    """Return the largest id of all sides, ``None`` where the fallback's, and so the result's, is not known."""
    largest: int | None = description["layer"]["largestSegmentId"]
    if largest is None:
        return None
    painted: int = description["largest_painted_id"]
    return max(largest, report.largest_segment_id, painted)


def _write_group_metadata(files: dict[str, Any], folder: Path | ObjectPath, within: Path | None) -> None:
    for name, content in files.items():
        replace_whole(folder / name, json.dumps(content, indent=4).encode(), within)


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
