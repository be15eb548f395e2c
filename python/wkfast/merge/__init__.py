"""Merging volume annotations into fallback layers: planned, run on threads or executors, reported."""

from wkfast.merge.report import MagPreview, MergeConflict, MergeCounts, MergePreview, MergeReport

__all__ = ["MagPreview", "MergeConflict", "MergeCounts", "MergePreview", "MergeReport"]
