"""Annotations: the whole of skeleton, volume layers and description, and what is done with them."""

from typing import TYPE_CHECKING

from wkfast._lazy import lazy_names
from wkfast.annotation.annotation import Annotation
from wkfast.annotation.enums import AnnotationState, AnnotationType
from wkfast.annotation.merge_annotations import merge_annotations
from wkfast.volume import SegmentInformation, VolumeLayer, VolumeLayerEditMode

if TYPE_CHECKING:
    from wkfast.merge.report import MergeCounts, MergeReport
else:
    __getattr__, __dir__ = lazy_names(__name__, {"wkfast.merge.report": ["MergeCounts", "MergeReport"]})

__all__ = [
    "Annotation",
    "AnnotationState",
    "AnnotationType",
    "MergeCounts",
    "MergeReport",
    "SegmentInformation",
    "VolumeLayer",
    "VolumeLayerEditMode",
    "merge_annotations",
]
