"""Merging volume annotations into fallback layers: planned, run on threads or executors, reported."""

from typing import TYPE_CHECKING

from wkfast._lazy import lazy_names

if TYPE_CHECKING:
    from wkfast.merge.report import MagPreview, MergeConflict, MergeCounts, MergePreview, MergeReport
    from wkfast.merge.status import MergeState, MergeStatus, MergeWorker, merge_status
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "wkfast.merge.report": ["MagPreview", "MergeConflict", "MergeCounts", "MergePreview", "MergeReport"],
            "wkfast.merge.status": ["MergeState", "MergeStatus", "MergeWorker", "merge_status"],
        },
    )

__all__ = [
    "MagPreview",
    "MergeConflict",
    "MergeCounts",
    "MergePreview",
    "MergeReport",
    "MergeState",
    "MergeStatus",
    "MergeWorker",
    "merge_status",
]
