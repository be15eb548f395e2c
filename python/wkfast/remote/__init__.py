"""Datasets on a server: layers that are streamed when they are read.

Layers and mags are those of :mod:`wkfast.dataset`; only where voxels come from differs.
"""

# whoever comes here speaks to a server next: what the client puts off until then is loaded now, before a request waits
import http.client  # noqa: F401
import importlib.metadata  # noqa: F401
import urllib.request  # noqa: F401

from wkfast.remote.dataset import RemoteDataset
from wkfast.remote.layer import RemoteLayer, RemoteMagView, RemoteSegmentationLayer
from wkfast.remote.metadata import RemoteMetadata

__all__ = ["RemoteDataset", "RemoteLayer", "RemoteMagView", "RemoteMetadata", "RemoteSegmentationLayer"]
