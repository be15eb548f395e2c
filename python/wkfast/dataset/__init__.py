"""Datasets: folders of layers of mags, described by ``datasource-properties.json``."""

from wkfast.dataset.data_format import DataFormat
from wkfast.dataset.dataset import Dataset
from wkfast.dataset.layer import Layer, SegmentationLayer
from wkfast.dataset.layer_category import COLOR_CATEGORY, SEGMENTATION_CATEGORY
from wkfast.dataset.mag_view import MagInfo, MagView
from wkfast.dataset.opening import open_layer
from wkfast.dataset.sampling import SamplingModes
from wkfast.dataset.view import View
from wkfast.dataset.view_configuration import DatasetViewConfiguration, LayerViewConfiguration

__all__ = [
    "COLOR_CATEGORY",
    "SEGMENTATION_CATEGORY",
    "DataFormat",
    "Dataset",
    "DatasetViewConfiguration",
    "Layer",
    "LayerViewConfiguration",
    "MagInfo",
    "MagView",
    "SamplingModes",
    "SegmentationLayer",
    "View",
    "open_layer",
]
