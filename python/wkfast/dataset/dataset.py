"""A dataset folder."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from wkfast.dataset.copying import Copying
from wkfast.dataset.groups import write_dataset_group
from wkfast.dataset.layer import Layer, SegmentationLayer
from wkfast.dataset.layer_category import COLOR_CATEGORY, SEGMENTATION_CATEGORY
from wkfast.dataset.layer_creation import LayerCreation
from wkfast.dataset.new_mag import joined
from wkfast.dataset.properties import FILE_NAME, DatasetProperties, LayerProperties
from wkfast.dataset.reshape_run import remove_folder
from wkfast.errors import DatasetError, DatasetValueError, LayerNotFoundError
from wkfast.geometry import BoundingBox, LengthUnit, NDBoundingBox, VoxelSize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import PathLike

    from wkfast.geometry import Mag, Vec3FloatLike


class Dataset(LayerCreation, Copying):
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
    voxel_size_with_unit
        Instead of `voxel_size`, in another unit.
    read_only
        Refuse all changes; for datasets that exist.

    Raises
    ------
    DatasetError
        The folder holds something, or is not writable.
    DatasetValueError
        A ``ValueError``: no voxel size is given, or two are.

    Examples
    --------
    >>> dataset = Dataset(tmp_path / "sample", voxel_size=(11.2, 11.2, 25.0))
    >>> Dataset.open(tmp_path / "sample").voxel_size
    (11.2, 11.2, 25.0)
    """

    def __init__(
        self,
        dataset_path: str | PathLike[str],
        voxel_size: Vec3FloatLike | None = None,
        name: str | None = None,
        exist_ok: bool = False,
        *,
        voxel_size_with_unit: VoxelSize | None = None,
        read_only: bool = False,
    ) -> None:
        folder = Path(dataset_path)
        self._read_only = read_only
        size = _one_size(folder, voxel_size, voxel_size_with_unit)
        if exist_ok and (folder / FILE_NAME).exists():
            self._properties = _existing(folder, size)
            return
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DatasetError(f"cannot create a dataset at {folder}: there is something already")
        if size is None:
            raise DatasetValueError(f"cannot create a dataset at {folder} without a voxel size; Dataset.open opens one")
        if read_only:
            raise DatasetError(f"cannot create a dataset at {folder} that is read-only")
        self._properties = _created(folder, name or folder.absolute().name, size)

    @classmethod
    def open(cls, dataset_path: str | PathLike[str], read_only: bool = False) -> Dataset:
        """Return the dataset in the folder `dataset_path`.

        Raises
        ------
        DatasetNotFoundError
            There is no ``datasource-properties.json``.
        DatasetError
            It cannot be read.
        """
        dataset = cls.__new__(cls)
        dataset._read_only = read_only
        dataset._properties = DatasetProperties.read(Path(dataset_path))
        return dataset

    @classmethod
    def of_properties(cls, properties: DatasetProperties, *, read_only: bool = False) -> Dataset:
        """Return a dataset that need not lie in a folder, as one of layers in an archive or in memory."""
        dataset = cls.__new__(cls)
        dataset._read_only = read_only
        dataset._properties = properties
        return dataset

    @property
    def path(self) -> Path:
        """Folder of the dataset."""
        return self._properties.file.parent

    @property
    def name(self) -> str:
        """Name of the dataset as it is written down, else its folder's. Setting it does not rename the folder."""
        return self._properties.name

    @name.setter
    def name(self, name: str) -> None:
        self.change(lambda properties: properties.set_name(name))

    @property
    def read_only(self) -> bool:
        """Whether changes are refused."""
        return self._read_only

    @property
    def voxel_size(self) -> tuple[float, float, float]:
        """Size of a mag-1 voxel in the dataset's unit, nanometres unless it names another."""
        return self._properties.voxel_size

    @property
    def unit(self) -> str:
        """Unit of :attr:`voxel_size`, e.g. ``nanometer``."""
        return self._properties.unit

    @property
    def voxel_size_with_unit(self) -> VoxelSize:
        """Size of a mag-1 voxel."""
        return VoxelSize(self.voxel_size, LengthUnit.from_text(self.unit))

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

    def delete_layer(self, layer_name: str) -> None:
        """Take a layer out of the dataset and delete its folder.

        Mags that lie elsewhere keep their files, and so does a folder in which mags of other layers lie.

        Raises
        ------
        LayerNotFoundError
            There is none of that name; the message lists those there are.
        """
        self.check_writable()
        folder = self.get_layer(layer_name).path
        alone = self.may_remove(folder, layer_name)
        self.change(lambda properties: properties.remove_layer(layer_name))
        if alone:
            remove_folder(folder)

    def calculate_bounding_box(self) -> BoundingBox:
        """Return the box around all layers along x, y, z, in mag-1 voxels."""
        boxes: list[NDBoundingBox] = [layer.properties.bounding_box for layer in self.layers.values()]
        around = reduce(joined, boxes) if boxes else BoundingBox((0, 0, 0), (0, 0, 0))
        return BoundingBox(around.topleft_xyz, around.size_xyz)

    def check_writable(self) -> None:
        """Refuse changes to a read-only dataset.

        Raises
        ------
        DatasetError
            A ``RuntimeError``: it is.
        """
        if self._read_only:
            raise DatasetError(f"{self!r} is read-only")

    def owns(self, path: Path) -> bool:
        """Return whether a file or folder lies in this dataset, with all links followed."""
        return path.resolve().is_relative_to(self.path.resolve())

    def may_remove(self, folder: Path, layer_name: str, mag: Mag | None = None) -> bool:
        """Return whether `folder` may go with a layer, or with one mag of it.

        It must be a link, or lie below the dataset's folder, and hold nothing that is listed besides. Entries of a
        ``datasource-properties.json`` may name any folder, and several may share one.
        """
        if folder.is_symlink():
            return self.owns(folder.parent)
        place = folder.resolve()
        kept = [self.path, *self._listed_folders(layer_name, mag)]
        return self.owns(folder) and not any(other.resolve().is_relative_to(place) for other in kept)

    def _listed_folders(self, layer_name: str, mag: Mag | None) -> Iterator[Path]:
        """Yield the folders of all layers and mags but the one layer, or but its one mag."""
        for name, layer in self.layers.items():
            mine = name == layer_name
            if mine and mag is None:
                continue
            yield layer.path
            yield from (folder for other, folder in layer.mag_folders() if not mine or other != mag)

    def change(self, change: Callable[[DatasetProperties], None]) -> None:
        """Change ``datasource-properties.json`` as it is now, and take over what other processes wrote."""
        self.check_writable()
        self._properties.update(change)

    def change_layer(self, layer_name: str, change: Callable[[LayerProperties], None]) -> None:
        """Change one layer's entry; see :meth:`change`."""
        self.change(lambda properties: change(properties.layer(layer_name)))

    def rename_layer(self, old: str, name: str) -> None:
        """Give a layer and its folder another name. Mags of other layers in that folder are found there again.

        Raises
        ------
        OSError
            The file system refuses. Nothing was changed.
        """
        source, target = self.path / old, self.path / name
        held = self._properties.layer(old).json

        def rename(properties: DatasetProperties) -> None:
            for layer in properties.layers:
                layer.move_mags(old, name)
            properties.layer(old).json["name"] = name
            if source.exists():
                source.rename(target)
            held["name"] = name

        try:
            self.change(rename)
        except BaseException:
            if held["name"] != old and target.exists():
                target.rename(source)
            held["name"] = old
            raise

    def _wrap(self, properties: LayerProperties) -> Layer:
        segmentation = properties.json.get("category") == SEGMENTATION_CATEGORY
        return SegmentationLayer(self, properties) if segmentation else Layer(self, properties)

    def __repr__(self) -> str:
        return f"Dataset({str(self.path)!r})"


def _one_size(folder: Path, voxel_size: Vec3FloatLike | None, with_unit: VoxelSize | None) -> VoxelSize | None:
    if voxel_size is not None and with_unit is not None:
        raise DatasetValueError(f"{folder}: give voxel_size or voxel_size_with_unit, not both")
    return with_unit if voxel_size is None else VoxelSize(voxel_size)


def _existing(folder: Path, size: VoxelSize | None) -> DatasetProperties:
    properties = DatasetProperties.read(folder)
    found = VoxelSize(properties.voxel_size, LengthUnit.from_text(properties.unit))
    if size is not None and size != found:
        raise DatasetError(f"{folder} has the voxel size {found}, not {size}")
    return properties


def _created(folder: Path, name: str, size: VoxelSize) -> DatasetProperties:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_dataset_group(folder)
        properties = DatasetProperties.create(folder, name, size.factor.to_tuple(), size.unit.value)
        properties.write()
    except OSError as error:
        raise DatasetError(f"cannot create a dataset at {folder}: {error}") from error
    return properties
