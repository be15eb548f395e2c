"""Where scripts look for what describes datasets; it lies in :mod:`wkfast.dataset` and :mod:`wkfast.geometry`."""

from wkfast.dataset import (
    COLOR_CATEGORY,
    SEGMENTATION_CATEGORY,
    DataFormat,
    DatasetViewConfiguration,
    LayerViewConfiguration,
)
from wkfast.dataset.attachments import AttachmentDataFormat
from wkfast.dataset.layer_properties import LayerProperties, MagViewProperties, SegmentationLayerProperties
from wkfast.dataset.properties import DatasetProperties
from wkfast.dataset.transformations import (
    AffineCoordinateTransformation,
    CoordinateTransformation,
    ThinPlateSplineCoordinateTransformation,
)
from wkfast.geometry import LengthUnit, VoxelSize

__all__ = [
    "COLOR_CATEGORY",
    "SEGMENTATION_CATEGORY",
    "AffineCoordinateTransformation",
    "AttachmentDataFormat",
    "CoordinateTransformation",
    "DataFormat",
    "DatasetProperties",
    "DatasetViewConfiguration",
    "LayerProperties",
    "LayerViewConfiguration",
    "LengthUnit",
    "MagViewProperties",
    "SegmentationLayerProperties",
    "ThinPlateSplineCoordinateTransformation",
    "VoxelSize",
]
