"""A dataset folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wkfast.dataset.layer import Layer, SegmentationLayer
from wkfast.dataset.layer_category import COLOR_CATEGORY, SEGMENTATION_CATEGORY
from wkfast.dataset.properties import FILE_NAME, DatasetProperties, LayerProperties
from wkfast.errors import DatasetError, LayerNotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike


class Dataset:
    """A folder of layers. The constructor creates one, :meth:`open` opens one.

    Parameters
    ----------
    dataset_path
        Folder to create; it may exist if it is empty.
    voxel_size
        Size of a mag-1 voxel in nm, x, y, z.
    name
        Default: name of the folder.
    exist_ok
        Open the dataset if there already is one of the same voxel size.

    Raises
    ------
    DatasetError
        The folder holds something, or no voxel size is given.

    Examples
    --------
    >>> dataset = Dataset(tmp_path / "sample", voxel_size=(11.2, 11.2, 25.0))
    >>> Dataset.open(tmp_path / "sample").voxel_size
    (11.2, 11.2, 25.0)
    """

    def __init__(
        self,
        dataset_path: str | PathLike[str],
        voxel_size: Sequence[float] | None = None,
        name: str | None = None,
        exist_ok: bool = False,
    ) -> None:
        folder = Path(dataset_path)
        if exist_ok and (folder / FILE_NAME).exists():
            self._properties = _existing(folder, voxel_size)
            return
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DatasetError(f"cannot create a dataset at {folder}: there is something already")
        if voxel_size is None:
            raise DatasetError(f"cannot create a dataset at {folder} without a voxel size")
        folder.mkdir(parents=True, exist_ok=True)
        self._properties = DatasetProperties.create(folder, name or folder.name, voxel_size)
        self._properties.write()

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
        dataset = cls.__new__(cls)
        dataset._properties = DatasetProperties.read(Path(dataset_path))
        return dataset

    @property
    def path(self) -> Path:
        """Folder of the dataset."""
        return self._properties.file.parent

    @property
    def name(self) -> str:
        """Name of the dataset as it is written down, else its folder's."""
        return self._properties.name

    @property
    def voxel_size(self) -> tuple[float, float, float]:
        """Size of a mag-1 voxel in the dataset's unit, nanometres unless it names another."""
        return self._properties.voxel_size

    @property
    def unit(self) -> str:
        """Unit of :attr:`voxel_size`, e.g. ``nanometer``."""
        return self._properties.unit

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
            raise LayerNotFoundError(
                f"layer {layer_name!r} of {self._properties.file.parent} is a {layer.category} layer, no segmentation"
            )
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


def _existing(folder: Path, voxel_size: Sequence[float] | None) -> DatasetProperties:
    properties = DatasetProperties.read(folder)
    if voxel_size is not None and tuple(map(float, voxel_size)) != properties.voxel_size:
        raise DatasetError(f"{folder} has the voxel size {properties.voxel_size}, not {tuple(voxel_size)}")
    return properties
