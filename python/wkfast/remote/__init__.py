"""Datasets on a server: layers that are streamed when they are read.

Layers and mags are those of :mod:`wkfast.dataset`; only where voxels come from differs.
"""

from wkfast.remote.dataset import RemoteDataset
from wkfast.remote.layer import RemoteLayer, RemoteMagView, RemoteSegmentationLayer
from wkfast.remote.metadata import RemoteMetadata

__all__ = ["RemoteDataset", "RemoteLayer", "RemoteMagView", "RemoteMetadata", "RemoteSegmentationLayer"]
