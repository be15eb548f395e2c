"""Voxels that are read box after box, here or by an executor's workers: compared, or searched for the largest label."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import
from wkfast.jobs import Tally, run_jobs

if TYPE_CHECKING:
    import numpy as np

    from wkfast.dataset.view import View
    from wkfast.geometry import NDBoundingBox
else:
    np = lazy_import("numpy")


@dataclass(frozen=True)
class Comparison:
    """Boxes of two views of one box, in mag-1 voxels, as jobs get them: those from number `offset` on."""

    one: View
    other: View
    boxes: tuple[NDBoundingBox, ...]
    offset: int = 0

    def part(self, first: int, end: int) -> Comparison:
        """Return the work with some of the boxes alone."""
        return replace(self, boxes=self.boxes[first - self.offset : end - self.offset], offset=first)

    def run(self, first: int, end: int, threads: int | None) -> bool:  # noqa: ARG002 - views read on the cores there are
        """Return whether the voxels of some of the boxes are the same; the first difference ends it."""
        return all(
            np.array_equal(self.one.read(absolute_bounding_box=box), self.other.read(absolute_bounding_box=box))
            for box in self.part(first, end).boxes
        )


@dataclass(frozen=True)
class LargestLabel:
    """Boxes of a view, in mag-1 voxels, as jobs get them: those from number `offset` on."""

    view: View
    boxes: tuple[NDBoundingBox, ...]
    offset: int = 0

    def part(self, first: int, end: int) -> LargestLabel:
        """Return the work with some of the boxes alone."""
        return replace(self, boxes=self.boxes[first - self.offset : end - self.offset], offset=first)

    def run(self, first: int, end: int, threads: int | None) -> int:  # noqa: ARG002 - views read on the cores there are
        """Return the largest label of some of the boxes, 0 if there are none."""
        return max(
            (int(self.view.read(absolute_bounding_box=box).max()) for box in self.part(first, end).boxes), default=0
        )


def is_equal(comparison: Comparison, executor: Any) -> bool:
    """Return whether two views have the same voxels."""
    if executor is None:
        return comparison.run(0, len(comparison.boxes), None)
    return all(run_jobs(executor, comparison, _tally(comparison.one, comparison.boxes)))


def largest_label(work: LargestLabel, executor: Any) -> int:
    """Return the largest label of all boxes, 0 if there are none."""
    if executor is None:
        return work.run(0, len(work.boxes), None)
    return max(run_jobs(executor, work, _tally(work.view, work.boxes)), default=0)


def _tally(view: View, boxes: tuple[NDBoundingBox, ...]) -> Tally:
    per_voxel = view.get_dtype().itemsize * view.num_channels / float(view.mag.to_vec3_int().prod())
    return Tally([int(box.volume() * per_voxel) for box in boxes])
