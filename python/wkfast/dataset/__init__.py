"""Datasets: folders of layers of mags, described by ``datasource-properties.json``."""

from typing import TYPE_CHECKING

from wkfast._lazy import lazy_names

if TYPE_CHECKING:
    from wkfast.dataset.data_format import DataFormat
    from wkfast.dataset.dataset import Dataset
    from wkfast.dataset.layer import Layer, SegmentationLayer
    from wkfast.dataset.layer_category import COLOR_CATEGORY, SEGMENTATION_CATEGORY
    from wkfast.dataset.mag_view import MagInfo, MagView
    from wkfast.dataset.opening import open_layer
    from wkfast.dataset.sampling import SamplingModes
    from wkfast.dataset.view import View
    from wkfast.dataset.view_configuration import DatasetViewConfiguration, LayerViewConfiguration
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "wkfast.dataset.data_format": ["DataFormat"],
            "wkfast.dataset.dataset": ["Dataset"],
            "wkfast.dataset.layer": ["Layer", "SegmentationLayer"],
            "wkfast.dataset.layer_category": ["COLOR_CATEGORY", "SEGMENTATION_CATEGORY"],
            "wkfast.dataset.mag_view": ["MagInfo", "MagView"],
            "wkfast.dataset.opening": ["open_layer"],
            "wkfast.dataset.sampling": ["SamplingModes"],
            "wkfast.dataset.view": ["View"],
            "wkfast.dataset.view_configuration": ["DatasetViewConfiguration", "LayerViewConfiguration"],
        },
    )

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
