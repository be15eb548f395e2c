"""A segmentation layer with paint over it that is merged while it is read, and written nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wkfast import _core
from wkfast.dataset.internals import locations_of, place_of, properties_of
from wkfast.dataset.layer import SegmentationLayer
from wkfast.dataset.layer_properties import ELSEWHERE, LayerProperties, without
from wkfast.dataset.place import Place
from wkfast.geometry import BoundingBox, Mag, Vec3Int
from wkfast.merge.labels import labels_for
from wkfast.merge.sides import check_alike, fallback_layer, largest_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wkfast.buckets import ObjectPath
    from wkfast.dataset.layer_properties import Json
    from wkfast.dataset.voxel_source import VoxelSource
    from wkfast.merge.options import MergeOptions
    from wkfast.merge.sides import Below, Side


class MergedPlace(Place):
    """A fallback layer and annotations over it, merged where voxels are read. The files below must stay as they are."""

    read_only_reason = "it is merged while it is read and cannot be written; merge_fallback_layer writes a dataset"
    no_folder = "is merged while it is read and has no folder"

    def __init__(self, fallback: Place, merged: _core.MergedLayer) -> None:
        self._fallback = fallback
        self._merged = merged

    @property
    def root(self) -> Path:
        """Folder of the fallback layer's dataset."""
        return self._fallback.root

    @property
    def where(self) -> Path | ObjectPath:
        """Folder or address of the fallback layer's dataset."""
        return self._fallback.where

    def open(self, layer: LayerProperties, mag: Mag, entry: Json) -> VoxelSource:  # noqa: ARG002 - there is one layer
        """Return what voxels of a mag are read from."""
        x, y, z = mag.to_tuple()
        return self._merged.mag((x, y, z))


def merged_layer(sides: Sequence[Side], below: Below, options: MergeOptions) -> SegmentationLayer:
    """Return the fallback layer of `sides` as ``merge_fallback_layer`` would write it; none of it can be changed.

    Its dataset is the fallback's, which does not list it.

    Raises
    ------
    AnnotationError
        There is no fallback, or the annotations do not belong together.
    """
    check_alike(sides)
    fallback = fallback_layer(sides[0], below)
    box = properties_of(fallback).bounding_box
    with labels_for(sides, below, options) as labels:
        merged = _core.MergedLayer(
            {
                "annotations": [side.mags for side in sides if side.mags],
                "fallback": locations_of(fallback),
                "fallback_bounding_box": {"topleft": box.topleft.to_list(), "size": box.size.to_list()},
                "options": options.core,
                "mapping": None if labels is None else labels.core,
            }
        )
    if options.rule is not None:
        options.rule.give(merged)
    dataset = fallback.dataset
    stated = fallback.largest_segment_id if labels is None else labels.largest
    properties = _described(fallback, merged, None if stated is None else max(stated, largest_id(sides)))
    return SegmentationLayer(dataset, properties, MergedPlace(place_of(fallback), merged))


def _described(fallback: SegmentationLayer, merged: _core.MergedLayer, largest: int | None) -> LayerProperties:
    """Return the entry that the merged layer would have."""
    facts, before = merged.summary(), properties_of(fallback)
    entry = without(before.json, *ELSEWHERE)
    mags = [Mag(list(mag)) for mag in merged.mags]
    entry["mags"] = [mag for mag in before.mags if before.mag_of(mag) in mags]
    entry["largestSegmentId"] = largest
    properties = LayerProperties(entry, before.file)
    if facts["dtype"] != properties.dtype_name:
        entry["elementClass"] = facts["dtype"]
    properties.widen_additional_axes(facts["touched_extra"])
    box = facts["bounding_box"]
    properties.set_bounding_box(BoundingBox(Vec3Int(box["topleft"]), Vec3Int(box["size"])))
    return properties
