"""Annotations: the whole of skeleton, volume layers and description, and what is done with them."""

from wkfast.annotation.annotation import Annotation
from wkfast.annotation.enums import AnnotationState, AnnotationType
from wkfast.annotation.merge_annotations import merge_annotations
from wkfast.merge.report import MergeCounts, MergeReport
from wkfast.volume import SegmentInformation, VolumeLayer, VolumeLayerEditMode

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
