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

if "t" in getattr(sys, "abiflags", ""):
    raise ImportError("wkfast does not support free-threaded Python yet: use one with the GIL, such as python3.13")

from wkfast import _core, errors
from wkfast._lazy import lazy_names

if TYPE_CHECKING:
    from wkfast.annotation import (
        Annotation,
        AnnotationState,
        AnnotationType,
        MergeReport,
    )
    from wkfast.annotation.annotation_info import AnnotationInfo, Project, Task, User
    from wkfast.annotation.bulk import download_annotations
    from wkfast.annotation.merge_annotations import merge_annotations
    from wkfast.annotation.remote_annotation import RemoteAnnotation
    from wkfast.client import login, webknossos_context
    from wkfast.dataset import (
        COLOR_CATEGORY,
        SEGMENTATION_CATEGORY,
        DataFormat,
        Dataset,
        DatasetViewConfiguration,
        Layer,
        LayerViewConfiguration,
        MagView,
        SamplingModes,
        SegmentationLayer,
        View,
    )
    from wkfast.dataset.attachments import Attachment, AttachmentDataFormat, Attachments
    from wkfast.dataset.defaults import DEFAULT_CHUNK_SHAPE, DEFAULT_DATA_FORMAT, DEFAULT_SHARD_SHAPE
    from wkfast.dataset.transformations import (
        AffineCoordinateTransformation,
        CoordinateTransformation,
        ThinPlateSplineCoordinateTransformation,
    )
    from wkfast.geometry import (
        BoundingBox,
        LengthUnit,
        Mag,
        MagLike,
        NDBoundingBox,
        NormalizedBoundingBox,
        Vec3Float,
        Vec3FloatLike,
        Vec3Int,
        Vec3IntLike,
        VecInt,
        VecIntLike,
        VoxelSize,
    )
    from wkfast.geometry.constants import (
        C_AXIS,
        CXYZ_AXES,
        T_AXIS,
        TCXYZ_AXES,
        TXYZ_AXES,
        X_AXIS,
        XY_AXES,
        XYZ_AXES,
        Y_AXIS,
        Z_AXIS,
    )
    from wkfast.merge import MergePreview
    from wkfast.remote import RemoteDataset, RemoteLayer, RemoteMagView, RemoteSegmentationLayer
    from wkfast.skeleton import Group, Node, Skeleton, Tree, iterate_trees
    from wkfast.tables import FileError, SkeletonTables, iterate_skeletons, read_skeletons, skeletons_to_parquet
    from wkfast.volume import SegmentInformation, VolumeLayer, VolumeLayerEditMode

__version__: str = _core.__version__

__all__ = [
    "COLOR_CATEGORY",
    "CXYZ_AXES",
    "C_AXIS",
    "DEFAULT_CHUNK_SHAPE",
    "DEFAULT_DATA_FORMAT",
    "DEFAULT_SHARD_SHAPE",
    "SEGMENTATION_CATEGORY",
    "TCXYZ_AXES",
    "TXYZ_AXES",
    "T_AXIS",
    "XYZ_AXES",
    "XY_AXES",
    "X_AXIS",
    "Y_AXIS",
    "Z_AXIS",
    "AffineCoordinateTransformation",
    "Annotation",
    "AnnotationInfo",
    "AnnotationState",
    "AnnotationType",
    "Attachment",
    "AttachmentDataFormat",
    "Attachments",
    "BoundingBox",
    "CoordinateTransformation",
    "DataFormat",
    "Dataset",
    "DatasetViewConfiguration",
    "FileError",
    "Group",
    "Layer",
    "LayerViewConfiguration",
    "LengthUnit",
    "Mag",
    "MagLike",
    "MagView",
    "MergePreview",
    "MergeReport",
    "NDBoundingBox",
    "Node",
    "NormalizedBoundingBox",
    "Project",
    "RemoteAnnotation",
    "RemoteDataset",
    "RemoteLayer",
    "RemoteMagView",
    "RemoteSegmentationLayer",
    "SamplingModes",
    "SegmentInformation",
    "SegmentationLayer",
    "Skeleton",
    "SkeletonTables",
    "Task",
    "ThinPlateSplineCoordinateTransformation",
    "Tree",
    "User",
    "Vec3Float",
    "Vec3FloatLike",
    "Vec3Int",
    "Vec3IntLike",
    "VecInt",
    "VecIntLike",
    "View",
    "VolumeLayer",
    "VolumeLayerEditMode",
    "VoxelSize",
    "download_annotations",
    "errors",
    "iterate_skeletons",
    "iterate_trees",
    "login",
    "merge_annotations",
    "read_skeletons",
    "skeletons_to_parquet",
    "webknossos_context",
]


# Where the names lie. Each is loaded when it is asked for first, with what it needs: a script that draws boxes loads no
# skeletons, one that opens files no client.
_PLACES = {
    "wkfast.annotation": (
        "Annotation",
        "AnnotationState",
        "AnnotationType",
        "MergeReport",
        "merge_annotations",
    ),
    "wkfast.annotation.annotation_info": ("AnnotationInfo", "Project", "Task", "User"),
    "wkfast.annotation.bulk": ("download_annotations",),
    "wkfast.annotation.remote_annotation": ("RemoteAnnotation",),
    "wkfast.client": ("login", "webknossos_context"),
    "wkfast.dataset": (
        "COLOR_CATEGORY",
        "SEGMENTATION_CATEGORY",
        "DataFormat",
        "Dataset",
        "DatasetViewConfiguration",
        "Layer",
        "LayerViewConfiguration",
        "MagView",
        "SamplingModes",
        "SegmentationLayer",
        "View",
    ),
    "wkfast.dataset.attachments": ("Attachment", "AttachmentDataFormat", "Attachments"),
    "wkfast.dataset.transformations": (
        "AffineCoordinateTransformation",
        "CoordinateTransformation",
        "ThinPlateSplineCoordinateTransformation",
    ),
    "wkfast.dataset.defaults": ("DEFAULT_CHUNK_SHAPE", "DEFAULT_DATA_FORMAT", "DEFAULT_SHARD_SHAPE"),
    "wkfast.geometry.constants": (
        "CXYZ_AXES",
        "C_AXIS",
        "TCXYZ_AXES",
        "TXYZ_AXES",
        "T_AXIS",
        "XYZ_AXES",
        "XY_AXES",
        "X_AXIS",
        "Y_AXIS",
        "Z_AXIS",
    ),
    "wkfast.geometry": (
        "MagLike",
        "Vec3FloatLike",
        "Vec3IntLike",
        "VecIntLike",
        "BoundingBox",
        "LengthUnit",
        "Mag",
        "NDBoundingBox",
        "NormalizedBoundingBox",
        "Vec3Float",
        "Vec3Int",
        "VecInt",
        "VoxelSize",
    ),
    "wkfast.merge": ("MergePreview",),
    "wkfast.remote": ("RemoteDataset", "RemoteLayer", "RemoteMagView", "RemoteSegmentationLayer"),
    "wkfast.skeleton": ("Group", "Node", "Skeleton", "Tree", "iterate_trees"),
    "wkfast.tables": ("FileError", "SkeletonTables", "iterate_skeletons", "read_skeletons", "skeletons_to_parquet"),
    "wkfast.volume": ("SegmentInformation", "VolumeLayer", "VolumeLayerEditMode"),
}
_load, _names = lazy_names(__name__, _PLACES)
_ROOMS = (
    "annotation",
    "client",
    "convert",
    "dataset",
    "geometry",
    "merge",
    "progress",
    "remote",
    "rules",
    "schema",
    "skeleton",
    "tables",
    "volume",
)


def __getattr__(name: str) -> Any:
    """Load a name, or one of the packages, when it is asked for first."""
    if name in _ROOMS:
        return importlib.import_module(f"wkfast.{name}")
    return _load(name)


def __dir__() -> list[str]:
    """Return the names of the module and those that are still to be loaded."""
    return sorted({*_names(), *__all__, *_ROOMS})


if _core.DEBUG_BUILD:
    warnings.warn(
        "wkfast._core is a debug build: ten times slower, for work on wkfast itself; `make setup` builds a release",
        RuntimeWarning,
        stacklevel=2,
    )
