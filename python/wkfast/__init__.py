"""wkfast: WEBKNOSSOS annotations for large data.

The names are those of the ``webknossos`` package: a script ports by changing its import.

>>> import wkfast as wk
>>> annotation = wk.Annotation("my_annotation", dataset_name="sample", voxel_size=(11.2, 11.2, 25.0))
>>> tree = annotation.skeleton.add_tree("dendrite")
>>> tree.add_edge(tree.add_node(position=(10, 20, 30)), tree.add_node(position=(13, 24, 30)))
>>> tree.number_of_nodes(), tree.number_of_edges()
(2, 1)
"""

import warnings
from typing import TYPE_CHECKING, Any

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
    MergePreview,
    SegmentationLayer,
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
from wkfast.skeleton import Group, Node, Skeleton, Tree, iterate_trees

if TYPE_CHECKING:
    from wkfast.client import login, webknossos_context

__version__: str = _core.__version__

__all__ = [
    "COLOR_CATEGORY",
    "SEGMENTATION_CATEGORY",
    "Annotation",
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
    "SegmentInformation",
    "SegmentationLayer",
    "Skeleton",
    "Tree",
    "Vec3Float",
    "Vec3Int",
    "VecInt",
    "VolumeLayer",
    "VolumeLayerEditMode",
    "VoxelSize",
    "errors",
    "iterate_trees",
    "login",
    "merge_annotations",
    "webknossos_context",
]


def __getattr__(name: str) -> Any:
    """Load the client when one of its names is asked for first: most scripts never speak to a server."""
    if name in {"login", "webknossos_context"}:
        from wkfast import client  # noqa: PLC0415

        return getattr(client, name)
    raise AttributeError(f"module 'wkfast' has no attribute {name!r}")


if _core.DEBUG_BUILD:
    warnings.warn(
        "wkfast._core is a debug build: ten times slower, for work on wkfast itself; `make setup` builds a release",
        RuntimeWarning,
        stacklevel=2,
    )
