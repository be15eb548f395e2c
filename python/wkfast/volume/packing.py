"""An edited layer as a data zip, in the form that WEBKNOSSOS accepts."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Literal

from wkfast import _core
from wkfast.dataset.properties import FILE_NAME, KEEPS_ZEROS, DatasetProperties
from wkfast.geometry import Mag
from wkfast.volume.data_zip import DataZip, extent_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wkfast.dataset.properties import Json
    from wkfast.volume.edited import EditedLayer, MemoryLayer


def pack_layer(
    layer: EditedLayer | MemoryLayer,
    before: DataZip,
    path: Path,
    *,
    known_largest: int | None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int | None:
    """Write `layer` as a new data zip at `path`; return the largest label it may hold.

    Parameters
    ----------
    before
        What was edited: a chunk of it that is no longer there has been erased, and is written as zeros.
    known_largest
        Largest label so far; only what has changed is then looked at. ``None``: everything is.

    Raises
    ------
    VolumeDataError
        A chunk is damaged, or the disk full. There is no file then.
    """
    mags = sorted(layer.properties.mag_of(entry) for entry in layer.properties.mags)
    count: Literal["changed", "all"] = "all" if known_largest is None else "changed"
    located = {Mag(found["location"]["mag"]): found["location"] for found in before.mags}
    inputs: list[_core.PackInput] = [
        {
            **layer.pack_source(mag),
            "folder": f"{layer.name}/{mag.to_layer_name()}",
            "before": located.get(mag),
            "extent": extent_of(layer.properties.bounding_box, mag),
            # Coarser mags hold no labels of their own.
            "count": count if mag == mags[0] else "none",
        }
        for mag in mags
    ]
    files = [(FILE_NAME, json.dumps(_description(layer, inputs, mags), indent=4).encode())]
    packed = _core.pack_mags(path, files, inputs, threads=threads, progress=progress)
    found = packed[0]["largest"] if packed else 0
    return max(found, known_largest or 0)


def _description(layer: EditedLayer | MemoryLayer, inputs: list[_core.PackInput], mags: list[Mag]) -> Json:
    """Return ``datasource-properties.json`` as WEBKNOSSOS writes it into data zips: nobody's dataset of one layer."""
    dataset = layer.dataset
    properties = DatasetProperties.create(dataset.path, "", dataset.voxel_size, dataset.unit)
    entry = copy.deepcopy(layer.properties.json)
    for key in ("attachments", KEEPS_ZEROS):
        entry.pop(key, None)
    entry["dataFormat"] = "zarr3"
    entry["mags"] = [
        {
            "mag": list(mag.to_tuple()),
            "path": f"./{layer.name}/{mag.to_layer_name()}",
            "axisOrder": {axis: at for at, axis in enumerate(["c", *given["grid"]["extra_axes"], "x", "y", "z"])},
        }
        for mag, given in zip(mags, inputs, strict=True)
    ]
    properties.json["dataLayers"] = [entry]
    return properties.json
