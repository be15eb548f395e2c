"""What kinds and states of annotations there are."""

from enum import Enum


class AnnotationType(Enum):
    """How an annotation came to be."""

    EXPLORATIONAL = "Explorational"
    TASK = "Task"
    _COMPOUND_TASK = "CompoundTask"
    _COMPOUND_PROJECT = "CompoundProject"
    _COMPOUND_TASK_TYPE = "CompoundTaskType"


class AnnotationState(Enum):
    """State of an annotation that belongs to a task."""

    ACTIVE = "Active"
    CANCELLED = "Cancelled"
    FINISHED = "Finished"
    INITIALIZING = "Initializing"
