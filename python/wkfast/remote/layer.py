"""Layers and mags whose voxels stay on a server until they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from wkfast._lazy import lazy_import
from wkfast.dataset import Layer, MagView, SegmentationLayer
from wkfast.errors import DatasetError, ReadOnlyError
from wkfast.remote.header import ArrayHeader
from wkfast.remote.source import RemoteSource

if TYPE_CHECKING:
    from pathlib import Path

    from wkfast.dataset.properties import Json, LayerProperties
    from wkfast.geometry import Mag
    from wkfast.remote.dataset import RemoteDataset

zarr: Any = lazy_import("zarr")
zarr_store: Any = lazy_import("wkfast.remote.zarr_store")


class RemoteMagView(MagView):
    """Voxels of one mag on a server. Reading fetches what is read; nothing is kept."""

    _source: RemoteSource

    @property
    def url(self) -> str:
        """Where the mag is streamed from."""
        return self._source.url

    @property
    def path(self) -> Path:
        """No folder: see :attr:`url`.

        Raises
        ------
        DatasetError
            Always.
        """
        raise DatasetError(f"mag {self.name} of layer {self._layer.name!r} is streamed from {self.url}, it has no path")

    def write(self, *_: object, **__: object) -> NoReturn:
        """Refuse.

        Raises
        ------
        ReadOnlyError
            A ``RuntimeError``: always.
        """
        raise ReadOnlyError(
            f"mag {self.name} of layer {self._layer.name!r} is streamed from {self.url} and read-only: "
            "copy it into a local dataset to change it"
        )

    def get_zarr_array(self) -> Any:
        """Return the mag as a read-only ``zarr.Array`` (c, x, y, z) that fetches what is read.

        Chunks are fetched at once in the number that ``zarr.config["async.concurrency"]`` allows.
        """
        name = f"mag {self.name} of layer {self._layer.name!r}"
        return zarr.open_array(zarr_store.RemoteStore(self._source, name), mode="r")

    def __repr__(self) -> str:
        return f"RemoteMagView(name={self.name!r}, bounding_box={self.bounding_box})"


class RemoteLayer(Layer):
    """A layer of a :class:`RemoteDataset`."""

    _dataset: RemoteDataset

    def __init__(self, dataset: RemoteDataset, properties: LayerProperties) -> None:
        super().__init__(dataset, properties)
        self._views: dict[Mag, RemoteMagView] = {}

    @property
    def read_only(self) -> bool:
        """Always."""
        return True

    def _open(self, mag: Mag, entry: Json) -> RemoteMagView:
        # one view per mag, so that its header is asked for once
        if mag not in self._views:
            self._views[mag] = RemoteMagView(self, mag, self._source(mag, entry), None)
        return self._views[mag]

    def _source(self, mag: Mag, entry: Json) -> RemoteSource:
        return RemoteSource(
            self._dataset.streamed,
            self.name,
            _folder_name(mag, entry),
            ArrayHeader.expected(self._properties, mag),
            self._dataset.cutouts(self.name, mag),
        )


class RemoteSegmentationLayer(RemoteLayer, SegmentationLayer):
    """A layer of a :class:`RemoteDataset` whose voxels are segment ids."""


def _folder_name(mag: Mag, entry: Json) -> str:
    """Return the name of the mag in URLs: the last part of its path, which servers before 2025 do not tell."""
    path = entry.get("path")
    return str(path).rstrip("/").rpartition("/")[2] if path else mag.to_layer_name()
