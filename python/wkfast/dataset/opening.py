"""Layers from whatever users hold: a folder, a zip file, a ``zarr.Array``, or a layer of another package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from wkfast.addresses import is_path
from wkfast.buckets import any_path
from wkfast.dataset.archive_place import ArchivePlace
from wkfast.dataset.array_files import ArrayFiles
from wkfast.dataset.array_layers import image_entry, layer_entry, names_axes, require_image
from wkfast.dataset.data_format import FACTS
from wkfast.dataset.dataset import Dataset
from wkfast.dataset.folder_place import FolderPlace
from wkfast.dataset.layer import Layer
from wkfast.dataset.links import is_file
from wkfast.dataset.multiscales import axes_in_group
from wkfast.dataset.object_place import ObjectPlace
from wkfast.dataset.properties import FILE_NAME, DatasetProperties
from wkfast.errors import DatasetError, DatasetNotFoundError
from wkfast.geometry import Mag, VoxelSize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wkfast.buckets import ObjectPath
    from wkfast.dataset.layer_properties import Json
    from wkfast.dataset.place import Place


def open_layer(
    source: Any, *, mag: Any = 1, axes: str | None = None, storage_options: Mapping[str, Any] | None = None
) -> Layer:
    """Return a layer from a folder, a zip file, a ``zarr.Array`` on disk, or a layer of the ``webknossos`` package.

    Parameters
    ----------
    source
        The folder of a layer in a dataset, of an OME-Zarr image, or of a single mag or array, or its address in a
        bucket or on a server of files; a zip file with an image or array; a ``zarr.Array`` in a local folder; an object
        with a ``name`` and a ``dataset`` that has a ``path``, such as a layer of the reference package.
    mag
        Of a single array. Those of an image follow from the scales in its group, the finest array has mag 1.
    axes
        What each axis of a single array is, e.g. ``"zyx"``; default: its dimension names, else those of the OME-Zarr
        group that lists it, else the last of c, x, y, z.
    storage_options
        How a bucket is reached; see :class:`ObjectPath`.

    Returns
    -------
    Layer
        That of its dataset; otherwise a read-only one whose box is the extent of the arrays, and whose dataset has the
        voxel size of the OME-Zarr group (1 nm without one; numbers without a unit are nanometres).

    Raises
    ------
    DatasetNotFoundError
        There is neither a layer nor an array.
    DatasetError
        The array does not lie on disk, or has more than four axes without names.

    Examples
    --------
    >>> import zarr
    >>> array = zarr.create_array(tmp_path / "labels", shape=(20, 30, 40), chunks=(8, 8, 8), dtype="uint32")
    >>> array[:] = 7
    >>> layer = open_layer(array)
    >>> layer.bounding_box, int(layer.get_mag(1).read().max())
    (BoundingBox(topleft=(0, 0, 0), size=(20, 30, 40)), 7)
    """
    if isinstance(source, Layer):
        return source
    if is_path(source):
        return _from_path(any_path(source, "an array", storage_options), Mag(mag), axes)
    dataset, name = getattr(source, "dataset", None), getattr(source, "name", None)
    path = getattr(dataset, "path", None)
    if isinstance(name, str) and path is not None:
        return Dataset.open(str(path)).get_layer(name)
    return _of_files(ArrayFiles(_folder_of_array(source)), Mag(mag), axes)


def _from_path(path: Path | ObjectPath, mag: Mag, axes: str | None) -> Layer:
    if isinstance(path, Path) and is_file(path):
        if path.suffix != ".zip":
            raise DatasetNotFoundError(f"{path} is a file: expected a folder, or a zip file whose name ends in .zip")
        return _of_files(ArrayFiles.in_zip(path), mag, axes)
    if is_file(path.parent / FILE_NAME):
        return Dataset.open(path.parent).get_layer(path.name)
    if is_file(path / FILE_NAME):
        names = ", ".join(Dataset.open(path).layers)
        raise DatasetNotFoundError(f"{path} is a dataset: Dataset.open opens it; its layers are {names or 'none'}")
    return _of_files(ArrayFiles(path), mag, axes)


def _folder_of_array(array: Any) -> Path:
    """Return the folder of a ``zarr.Array``."""
    store = getattr(array, "store", None)
    root, path = getattr(store, "root", None), getattr(array, "path", None)
    if not isinstance(root, Path) or not isinstance(path, str):
        raise DatasetError(f"{array!r} is no layer and no array in a local folder; save it to one first")
    return root / path


def _of_files(files: ArrayFiles, mag: Mag, axes: str | None) -> Layer:
    """Return the layer that an array or an image is; nothing is written."""
    data_format = files.data_format
    if data_format is None:
        image = require_image(files)
        return _described(files, image_entry(files.name, image, _path_of), image.voxel_size, "an OME-Zarr image")
    if axes is None and FACTS[data_format].is_array and not names_axes(files):
        axes = axes_in_group(files)
    return _described(
        files, layer_entry(files.name, [(mag, files)], axes, _path_of), VoxelSize((1, 1, 1)), "a single mag"
    )


def _path_of(files: ArrayFiles) -> str:
    return files.stated if files.archive is None else files.inside


def _described(files: ArrayFiles, entry: Json, size: VoxelSize, kind: str) -> Layer:
    """Return the layer of an entry that is written nowhere."""
    home = files.path.parent
    place = _place_of(files, kind)
    properties = DatasetProperties.create(home, home.name, size.factor.to_tuple(), size.unit.value)
    properties.add_layer(entry)
    return Dataset._of(properties, place).get_layer(entry["name"])


def _place_of(files: ArrayFiles, kind: str) -> Place:
    if files.archive is not None:
        return ArchivePlace(files)
    if isinstance(files.path, Path):
        return FolderPlace(files.path.parent, f"it is opened as {kind}")
    return ObjectPlace(files.path.parent, f"it is opened as {kind}")
