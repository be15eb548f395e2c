"""A dataset folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wkfast.dataset.layer import Layer, SegmentationLayer
from wkfast.dataset.layer_category import COLOR_CATEGORY, SEGMENTATION_CATEGORY
from wkfast.dataset.properties import DatasetProperties, LayerProperties
from wkfast.errors import LayerNotFoundError

if TYPE_CHECKING:
    from os import PathLike


class Dataset:
    """A folder of layers, opened with :meth:`open`."""

    def __init__(self, properties: DatasetProperties) -> None:
        self._properties = properties

    @classmethod
    def open(cls, dataset_path: str | PathLike[str]) -> Dataset:
        """Return the dataset in the folder `dataset_path`.

        Raises
        ------
        DatasetNotFoundError
            There is no ``datasource-properties.json``.
        DatasetError
            It cannot be read.
        """
        return cls(DatasetProperties.read(Path(dataset_path)))

    @property
    def path(self) -> Path:
        """Folder of the dataset."""
        return self._properties.file.parent

    @property
    def name(self) -> str:
        """Name of the dataset: its folder's."""
        return self.path.name

    @property
    def voxel_size(self) -> tuple[float, float, float]:
        """Size of a mag-1 voxel in the dataset's unit, nanometres unless it names another."""
        return self._properties.voxel_size

    @property
    def layers(self) -> dict[str, Layer]:
        """The layers by name, as listed."""
        return {layer.name: self._wrap(layer) for layer in self._properties.layers}

    def get_layer(self, layer_name: str) -> Layer:
        """Return a layer.

        Raises
        ------
        LayerNotFoundError
            There is none of that name; the message lists those there are.
        """
        return self._wrap(self._properties.layer(layer_name))

    def get_segmentation_layer(self, layer_name: str) -> SegmentationLayer:
        """Return a layer that must be a segmentation.

        Raises
        ------
        LayerNotFoundError
            There is none of that name, or it shows something else.
        """
        layer = self.get_layer(layer_name)
        if not isinstance(layer, SegmentationLayer):
            raise LayerNotFoundError(f"layer {layer_name!r} of {self.path} is a {layer.category} layer, no segmentation")
        return layer

    def get_segmentation_layers(self) -> list[SegmentationLayer]:
        """Return the segmentations, as listed."""
        return [layer for layer in self.layers.values() if isinstance(layer, SegmentationLayer)]

    def get_color_layers(self) -> list[Layer]:
        """Return the image layers, as listed."""
        return [layer for layer in self.layers.values() if layer.category == COLOR_CATEGORY]

    def _wrap(self, properties: LayerProperties) -> Layer:
        segmentation = properties.json.get("category") == SEGMENTATION_CATEGORY
        return SegmentationLayer(self, properties) if segmentation else Layer(self, properties)

    def __repr__(self) -> str:
        return f"Dataset({str(self.path)!r})"
