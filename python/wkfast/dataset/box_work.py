"""Voxels that are read box after box, here or by an executor's workers: compared, or searched for the largest label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import
from wkfast.dataset.chunk_loops import voxel_bytes
from wkfast.jobs import over_items

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from wkfast.dataset.view import View
    from wkfast.geometry import NDBoundingBox
else:
    np = lazy_import("numpy")


@dataclass(frozen=True)
class Comparison:
    """Two views of one box, as jobs get them."""

    one: View
    other: View

    def run(self, items: Sequence[NDBoundingBox], threads: int | None) -> bool:  # noqa: ARG002 - views read on all cores
        """Return whether they have the same voxels in some boxes, in mag-1 voxels; the first difference ends it."""
        return all(
            np.array_equal(self.one.read(absolute_bounding_box=box), self.other.read(absolute_bounding_box=box))
            for box in items
        )


@dataclass(frozen=True)
class LargestLabel:
    """A view, as jobs get it."""

    view: View

    def run(self, items: Sequence[NDBoundingBox], threads: int | None) -> int:  # noqa: ARG002 - views read on all cores
        """Return the largest label in some boxes, in mag-1 voxels, 0 if there are none."""
        return max((int(self.view.read(absolute_bounding_box=box).max()) for box in items), default=0)


def is_equal(one: View, other: View, boxes: Sequence[NDBoundingBox], executor: Any) -> bool:
    """Return whether two views have the same voxels in all boxes."""
    return all(over_items(executor, Comparison(one, other), boxes, lambda: voxel_bytes(one, boxes)))


def largest_label(view: View, boxes: Sequence[NDBoundingBox], executor: Any) -> int:
    """Return the largest label in all boxes, 0 if there are none."""
    return max(over_items(executor, LargestLabel(view), boxes, lambda: voxel_bytes(view, boxes)), default=0)
