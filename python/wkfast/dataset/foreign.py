"""Layers and mags as callers hand them over: ours, by their folders, or those of the ``webknossos`` package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wkfast.addresses import is_path
from wkfast.buckets import any_path, object_path
from wkfast.errors import DatasetValueError

if TYPE_CHECKING:
    from collections.abc import Callable

    from wkfast.dataset.dataset import Dataset
    from wkfast.dataset.layer import Layer
    from wkfast.dataset.mag_view import MagView

_REFERENCE = "webknossos"


def own_layer(given: Any, open_dataset: Callable[..., Dataset]) -> Layer:
    """Return the layer that is meant; one that has to be opened is read-only.

    Parameters
    ----------
    given
        A layer of either package, or the folder of one in a dataset.
    open_dataset
        ``Dataset.open``.

    Raises
    ------
    DatasetValueError
        It is something else, or lies on a server for the ``webknossos`` package.
    DatasetError
        There is no such dataset or layer.
    """
    if is_path(given):
        folder = any_path(given, "a layer")
        return open_dataset(folder.parent, read_only=True).get_layer(folder.name)
    if not is_of_reference(given):
        return _checked(given, "get_finest_mag", "layer")  # type: ignore[no-any-return] # a layer, as it has that
    return open_dataset(_folder_of(given), read_only=True).get_layer(given.name)


def own_mag(given: Any, open_dataset: Callable[..., Dataset]) -> MagView:
    """Return the mag that is meant; see :func:`own_layer`."""
    if is_path(given):
        folder = any_path(given, "a layer")
        return open_dataset(folder.parent.parent, read_only=True).get_layer(folder.parent.name).get_mag(folder.name)
    if not is_of_reference(given):
        return _checked(given, "get_zarr_array", "mag")  # type: ignore[no-any-return] # a mag, as it has that
    return own_layer(given.layer, open_dataset).get_mag(given.mag)


def is_of_reference(value: object) -> bool:
    """Return whether an object is the ``webknossos`` package's: scripts that move over pass both about."""
    return type(value).__module__.partition(".")[0] == _REFERENCE


def _folder_of(layer: Any) -> Any:
    path = getattr(layer.dataset, "path", None)
    if path is None:
        raise DatasetValueError(f"{layer!r} lies on a server: open its dataset with wkfast's RemoteDataset.open")
    return path if object_path(path) else str(path)


def _checked(given: Any, method: str, what: str) -> Any:
    if not hasattr(given, method):
        raise DatasetValueError(f"{given!r} is no {what}, nor the folder of one")
    return given
