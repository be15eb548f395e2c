"""An edited layer as a data zip, in the form that WEBKNOSSOS accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from wkfast import _core
from wkfast.dataset.data_format import DataFormat
from wkfast.dataset.internals import location_of, place_of, properties_of
from wkfast.dataset.layer_properties import ELSEWHERE, KEEPS_ZEROS, without
from wkfast.dataset.properties import FILE_NAME, DatasetProperties
from wkfast.geometry import Mag
from wkfast.progress import observed
from wkfast.volume.data_zip import DataZip, annotation_axes, extent_of
from wkfast.volume.places import MemoryPlace

if TYPE_CHECKING:
    from wkfast.dataset.layer import SegmentationLayer
    from wkfast.dataset.layer_properties import Json
    from wkfast.dataset.voxel_source import VoxelSource
    from wkfast.progress import Progress


def pack_layer(
    layer: SegmentationLayer,
    before: DataZip,
    path: Path,
    *,
    known_largest: int | None,
    threads: int | None = None,
    progress: Progress = None,
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
    described = properties_of(layer)
    mags = sorted(described.mag_of(entry) for entry in described.mags)
    count: Literal["changed", "all"] = "all" if known_largest is None else "changed"
    located = {Mag(found["location"]["mag"]): found["location"] for found in before.mags}
    inputs: list[_core.PackInput] = [
        {
            **_input(layer, mag),
            "folder": f"{layer.name}/{mag.to_layer_name()}",
            "before": located.get(mag),
            "extent": extent_of(described.bounding_box, mag),
            # Coarser mags hold no labels of their own.
            "count": count if mag == mags[0] else "none",
        }
        for mag in mags
    ]
    files = [(FILE_NAME, json.dumps(_description(layer, inputs, mags), indent=4).encode())]
    with observed(progress, "packing", unit="chunks") as observer:
        packed = _core.pack_mags(path, files, inputs, threads=threads, progress=observer)
    found = packed[0]["largest"] if packed else 0
    return max(found, known_largest or 0)


def _input(layer: SegmentationLayer, mag: Mag) -> _core.PackInput:
    """Return what is packed of a mag: what is in its files, or in memory over the zip it was."""
    place = place_of(layer)
    if isinstance(place, MemoryPlace):
        memory = place.mags[mag]
        return _of(memory, place.bases.get(mag), (memory.written(), memory.chunk_bytes))
    location: Any = location_of(layer, mag)
    return _of(_core.Mag.open(location), location, None)


def _of(mag: VoxelSource, source: Json | None, overlay: Any) -> _core.PackInput:
    grid = {
        "voxel_type": mag.dtype,
        "channels": mag.channels,
        "chunk_shape": mag.chunk_shape,
        "chunks_per_shard": mag.chunks_per_shard,
        "extra_axes": mag.extra_axes,
    }
    return {
        "folder": "",
        "grid": grid,
        "source": source,
        "before": None,
        "overlay": overlay,
        "extent": (0, 0, 0),
        "count": "none",
    }


def _description(layer: SegmentationLayer, inputs: list[_core.PackInput], mags: list[Mag]) -> Json:
    """Return ``datasource-properties.json`` as WEBKNOSSOS writes it into data zips: nobody's dataset of one layer."""
    dataset = layer.dataset
    properties = DatasetProperties.create(Path(), "", dataset.voxel_size_with_unit.factor, dataset.unit)
    entry = without(properties_of(layer).json, *ELSEWHERE, KEEPS_ZEROS)
    entry["dataFormat"] = DataFormat.Zarr3.value
    entry["mags"] = [
        {
            "mag": list(mag.to_tuple()),
            "path": f"./{layer.name}/{mag.to_layer_name()}",
            "axisOrder": annotation_axes(given["grid"]["extra_axes"]),
        }
        for mag, given in zip(mags, inputs, strict=True)
    ]
    properties.json["dataLayers"] = [entry]
    return properties.json
