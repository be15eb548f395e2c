"""wkfast: WEBKNOSSOS annotations for large data.

The names are those of the ``webknossos`` package: a script ports by changing its import.

>>> import wkfast as wk
>>> annotation = wk.Annotation("my_annotation", dataset_name="sample", voxel_size=(11.2, 11.2, 25.0))
>>> tree = annotation.skeleton.add_tree("dendrite")
>>> tree.add_edge(tree.add_node(position=(10, 20, 30)), tree.add_node(position=(13, 24, 30)))
>>> tree.number_of_nodes(), tree.number_of_edges()
(2, 1)
"""

import importlib
import sys
import warnings
from typing import TYPE_CHECKING, Any

if sys.platform == "win32":
    raise ImportError("wkfast does not support Windows: use it on Linux or macOS, or inside WSL")

from wkfast import _core, errors
from wkfast.annotation import (
    Annotation,
    AnnotationState,
    AnnotationType,
    MergeReport,
    SegmentInformation,
    VolumeLayer,
    VolumeLayerEditMode,
    merge_annotations,
)
from wkfast.dataset import (
    COLOR_CATEGORY,
    SEGMENTATION_CATEGORY,
    DataFormat,
    Dataset,
    Layer,
    MagView,
    SamplingModes,
    SegmentationLayer,
    View,
)
from wkfast.geometry import (
    BoundingBox,
    LengthUnit,
    Mag,
    NDBoundingBox,
    NormalizedBoundingBox,
    Vec3Float,
    Vec3Int,
    VecInt,
    VoxelSize,
)
from wkfast.merge import MergePreview
from wkfast.skeleton import Group, Node, Skeleton, Tree, iterate_trees

if TYPE_CHECKING:
    from wkfast.annotation.annotation_info import AnnotationInfo, Task
    from wkfast.annotation.remote_annotation import RemoteAnnotation
    from wkfast.client import login, webknossos_context
    from wkfast.remote import RemoteDataset, RemoteLayer, RemoteMagView, RemoteSegmentationLayer

__version__: str = _core.__version__

__all__ = [
    "COLOR_CATEGORY",
    "SEGMENTATION_CATEGORY",
    "Annotation",
    "AnnotationInfo",
    "AnnotationState",
    "AnnotationType",
    "BoundingBox",
    "DataFormat",
    "Dataset",
    "Group",
    "Layer",
    "LengthUnit",
    "Mag",
    "MagView",
    "MergePreview",
    "MergeReport",
    "NDBoundingBox",
    "Node",
    "NormalizedBoundingBox",
    "RemoteAnnotation",
    "RemoteDataset",
    "RemoteLayer",
    "RemoteMagView",
    "RemoteSegmentationLayer",
    "SamplingModes",
    "SegmentInformation",
    "SegmentationLayer",
    "Skeleton",
    "Task",
    "Tree",
    "Vec3Float",
    "Vec3Int",
    "VecInt",
    "View",
    "VolumeLayer",
    "VolumeLayerEditMode",
    "VoxelSize",
    "errors",
    "iterate_trees",
    "login",
    "merge_annotations",
    "webknossos_context",
]


# What speaks to a server, and where it lies: most scripts never do.
_ON_SERVERS = {
    "AnnotationInfo": "wkfast.annotation.annotation_info",
    "RemoteAnnotation": "wkfast.annotation.remote_annotation",
    "RemoteDataset": "wkfast.remote",
    "RemoteLayer": "wkfast.remote",
    "RemoteMagView": "wkfast.remote",
    "RemoteSegmentationLayer": "wkfast.remote",
    "Task": "wkfast.annotation.annotation_info",
    "login": "wkfast.client",
    "webknossos_context": "wkfast.client",
}


def __getattr__(name: str) -> Any:
    """Load what speaks to a server when it is asked for first."""
    if name in _ON_SERVERS:
        return getattr(importlib.import_module(_ON_SERVERS[name]), name)
    raise AttributeError(f"module 'wkfast' has no attribute {name!r}")


if _core.DEBUG_BUILD:
    warnings.warn(
        "wkfast._core is a debug build: ten times slower, for work on wkfast itself; `make setup` builds a release",
        RuntimeWarning,
        stacklevel=2,
    )
