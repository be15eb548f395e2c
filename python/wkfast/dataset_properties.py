"""Where scripts look for what describes datasets; it lies in :mod:`wkfast.dataset` and :mod:`wkfast.geometry`."""

from wkfast.dataset import (
    COLOR_CATEGORY,
    SEGMENTATION_CATEGORY,
    DataFormat,
    DatasetViewConfiguration,
    LayerViewConfiguration,
)
from wkfast.geometry import LengthUnit, VoxelSize

__all__ = [
    "COLOR_CATEGORY",
    "SEGMENTATION_CATEGORY",
    "DataFormat",
    "DatasetViewConfiguration",
    "LayerViewConfiguration",
    "LengthUnit",
    "VoxelSize",
]
