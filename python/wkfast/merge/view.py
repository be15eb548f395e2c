"""A segmentation layer with paint over it that is merged while it is read, and written nowhere."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from wkfast import _core
from wkfast.dataset.layer import SegmentationLayer
from wkfast.dataset.mag_view import MagView
from wkfast.dataset.properties import LayerProperties
from wkfast.errors import DatasetError
from wkfast.geometry import BoundingBox, Mag, Vec3Int

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wkfast.dataset.properties import Json
    from wkfast.dataset.voxel_source import VoxelSource
    from wkfast.merge.rules import MergeRules


class MergedSegmentationLayer(SegmentationLayer):
    """A layer as ``merge_fallback_layer`` would write it. Its mags read like any other's; none of it can be changed.

    The files below must stay as they are while it is in use: they are read when voxels are asked for.
    """

    def __init__(
        self,
        fallback: SegmentationLayer,
        painted: Sequence[Sequence[_core.MagLocation]],
        rules: MergeRules,
        *,
        largest_painted_id: int = 0,
    ) -> None:
        box = fallback.properties.bounding_box
        self._merged = _core.MergedLayer(
            {
                "annotations": [list(mags) for mags in painted],
                "fallback": fallback.mag_locations(),
                "fallback_bounding_box": {
                    "topleft": list(box.topleft.to_tuple()),
                    "size": list(box.size.to_tuple()),
                },
                "options": rules.options,
            }
        )
        super().__init__(fallback.dataset, self._describe(fallback, largest_painted_id))

    def _describe(self, fallback: SegmentationLayer, largest_painted_id: int) -> LayerProperties:
        facts = self._merged.summary()
        entry = copy.deepcopy(fallback.properties.json)
        for gone in ("attachments", "wkwResolutions"):
            entry.pop(gone, None)
        mags = [Mag(list(mag)) for mag in self._merged.mags]
        entry["mags"] = [mag for mag in fallback.properties.mags if fallback.properties.mag_of(mag) in mags]
        if fallback.largest_segment_id is not None:
            entry["largestSegmentId"] = max(fallback.largest_segment_id, largest_painted_id)
        properties = LayerProperties(entry, fallback.properties.file)
        if np.dtype(facts["dtype"]) != properties.dtype:
            entry["elementClass"] = facts["dtype"]
        properties.widen_additional_axes(facts["touched_extra"])
        box = facts["bounding_box"]
        properties.set_bounding_box(BoundingBox(Vec3Int(box["topleft"]), Vec3Int(box["size"])))
        return properties

    @property
    def path(self) -> Path:
        """A merged view has no folder.

        Raises
        ------
        DatasetError
            Always.
        """
        self._refuse("has no folder")

    def mag_locations(self) -> list[Json]:
        """Refuse: a merged view has no files.

        Raises
        ------
        DatasetError
            Always.
        """
        self._refuse("has no files")

    @property
    def read_only(self) -> bool:
        """Whether changes are refused: always."""
        return True

    def _change(self, *_change: object) -> NoReturn:
        self._refuse("is no part of the dataset")

    def _refuse(self, what: str) -> NoReturn:
        raise DatasetError(
            f"layer {self.name!r} is merged while it is read: it {what} and cannot be changed; "
            "merge_fallback_layer writes it as a dataset"
        )

    def _open(self, mag: Mag, entry: Json) -> MagView:
        return MergedMagView(self, mag, self._source(mag, entry), None)

    def _source(self, mag: Mag, entry: Json) -> VoxelSource:  # noqa: ARG002 - the signature is Layer's
        x, y, z = mag.to_tuple()
        return self._merged.mag((x, y, z))


class MergedMagView(MagView):
    """A mag of a merged view: read-only."""

    def write(self, *_args: Any, **_options: Any) -> NoReturn:
        """Refuse.

        Raises
        ------
        DatasetError
            Always.
        """
        raise DatasetError(
            f"mag {self.name} of layer {self.layer.name!r} is merged while it is read and cannot be written; "
            "merge_fallback_layer writes it as a dataset"
        )
