"""A layer: one image or segmentation in several mags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast.dataset.data_format import DataFormat
from wkfast.dataset.mag_view import MagView
from wkfast.errors import DatasetError, MagNotFoundError
from wkfast.geometry import Mag

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from wkfast.dataset.dataset import Dataset
    from wkfast.dataset.properties import Json, LayerProperties
    from wkfast.dataset.voxel_source import VoxelSource
    from wkfast.geometry import BoundingBox


class Layer:
    """One layer of a dataset."""

    def __init__(self, dataset: Dataset, properties: LayerProperties) -> None:
        self._dataset = dataset
        self._properties = properties

    @property
    def properties(self) -> LayerProperties:
        """The layer's entry in ``datasource-properties.json``."""
        return self._properties

    @property
    def dataset(self) -> Dataset:
        """The dataset this layer belongs to."""
        return self._dataset

    @property
    def name(self) -> str:
        """Name of the layer."""
        return self._properties.name

    @property
    def path(self) -> Path:
        """Folder of the layer."""
        return self._dataset.path / self.name

    @property
    def category(self) -> str:
        """``color`` or ``segmentation``."""
        return str(self._properties.json["category"])

    @property
    def data_format(self) -> DataFormat:
        """How the voxels are stored."""
        return DataFormat.parse(str(self._properties.json.get("dataFormat")), layer=self.name)

    @property
    def num_channels(self) -> int:
        """Values per voxel."""
        return int(self._properties.json.get("numChannels", 1))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one channel."""
        return self._properties.dtype

    @property
    def bounding_box(self) -> BoundingBox:
        """Box of the data in mag-1 voxels."""
        return self._properties.bounding_box

    @property
    def mags(self) -> dict[Mag, MagView]:
        """The mags, finest first."""
        entries = {self._properties.mag_of(entry): entry for entry in self._properties.mags}
        return {mag: self._open(mag, entries[mag]) for mag in sorted(entries)}

    def get_mag(self, mag: Any) -> MagView:
        """Return one mag, given as ``Mag``, number, name or triple.

        Raises
        ------
        MagNotFoundError
            There is none; the message lists those there are.
        """
        wanted = Mag(mag)
        for entry in self._properties.mags:
            if self._properties.mag_of(entry) == wanted:
                return self._open(wanted, entry)
        raise MagNotFoundError(f"layer {self.name!r} has no mag {wanted}; its mags: {self._mag_names()}")

    def get_finest_mag(self) -> MagView:
        """Return the mag with the smallest voxels.

        Raises
        ------
        MagNotFoundError
            The layer has no mags.
        """
        mags = [self._properties.mag_of(entry) for entry in self._properties.mags]
        if not mags:
            raise MagNotFoundError(f"layer {self.name!r} has no mags")
        return self.get_mag(min(mags))

    def mag_locations(self) -> list[Json]:
        """Return where each mag lies, as plain data for the core: see ``_core.MagLocation``."""
        return [self._location(self._properties.mag_of(entry), entry) for entry in self._properties.mags]

    def _mag_names(self) -> str:
        return ", ".join(str(self._properties.mag_of(entry)) for entry in self._properties.mags) or "none"

    def _open(self, mag: Mag, entry: Json) -> MagView:
        return MagView(self, mag, self._source(mag, entry), self._folder(mag, entry))

    def _source(self, mag: Mag, entry: Json) -> VoxelSource:
        """Return what the voxels of a mag are read from; a layer that lies elsewhere overrides this."""
        return _core.Mag.open(self._location(mag, entry))

    def _location(self, mag: Mag, entry: Json) -> Json:
        return {
            "mag": list(mag.to_tuple()),
            "format": self.data_format.value,
            "container": {"kind": "directory", "path": str(self._folder(mag, entry))},
            "prefix": "",
            "axis_order": entry.get("axisOrder"),
        }

    def _folder(self, mag: Mag, entry: Json) -> Path:
        """Return the folder of a mag: its ``path`` if it has one, else the short or the long name, as it exists."""
        path = entry.get("path")
        if path is not None:
            return self._inside(str(path))
        short = self.path / mag.to_layer_name()
        long = self.path / mag.to_long_layer_name()
        return long if long.is_dir() and not short.is_dir() else short

    def _inside(self, path: str) -> Path:
        """Resolve a ``path`` entry: relative to the dataset or absolute, never out of the dataset by ``..``."""
        if "://" in path:
            where = path.split("?", maxsplit=1)[0]  # what follows may hold a token
            raise DatasetError(f"layer {self.name!r} lies at {where}: wkfast opens local folders only")
        folder = self._dataset.path / path
        relative = not path.startswith("/")
        if relative and not folder.resolve().is_relative_to(self._dataset.path.resolve()):
            raise DatasetError(f"layer {self.name!r}: the path {path!r} leads out of the dataset {self._dataset.path}")
        return folder

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, dtype={self.dtype}, num_channels={self.num_channels})"


class SegmentationLayer(Layer):
    """A layer whose voxels are segment ids."""

    @property
    def largest_segment_id(self) -> int | None:
        """Largest id in use, ``None`` if nobody wrote it down."""
        return self._properties.largest_segment_id
