"""What other rooms need of datasets and layers, and users do not: where they lie, how they are described."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wkfast.dataset.dataset import Dataset
from wkfast.dataset.place import writable

if TYPE_CHECKING:
    from pathlib import Path

    from wkfast.dataset.layer import Layer
    from wkfast.dataset.layer_properties import Json, LayerProperties
    from wkfast.dataset.place import Place, WritablePlace
    from wkfast.dataset.properties import DatasetProperties
    from wkfast.geometry import Mag


def dataset_at(place: Place, properties: DatasetProperties) -> Dataset:
    """Return the dataset that lies in a place."""
    return Dataset._of(properties, place)


def folder_of(dataset: Dataset) -> Path:
    """Return the folder of a dataset.

    Raises
    ------
    DatasetError
        It has none on this machine.
    """
    return dataset._place.root


def properties_of(layer: Layer) -> LayerProperties:
    """Return how a layer is described; what is changed of it is changed for the layer, and not written down."""
    return layer._properties


def place_of(layer: Layer) -> Place:
    """Return where a layer lies."""
    return layer._place


def location_of(layer: Layer, mag: Mag) -> Json:
    """Return where a mag lies, as plain data for the core: see ``_core.MagLocation``.

    Raises
    ------
    MagNotFoundError
        The layer lists no such mag.
    DatasetError
        It has no files here.
    """
    return layer._place.location(layer._properties, mag, layer._entry_of(mag))


def locations_of(layer: Layer) -> list[Any]:
    """Return where each mag of a layer lies, as plain data for the core."""
    return [location_of(layer, layer._properties.mag_of(entry)) for entry in layer._properties.mags]


def dataset_properties(dataset: Dataset) -> DatasetProperties:
    """Return how a dataset is described."""
    return dataset._properties


def writable_place(dataset: Dataset) -> WritablePlace:
    """Return where a dataset is changed.

    Raises
    ------
    ReadOnlyError
        A ``RuntimeError`` and ``ValueError``: it is not to be changed; the message says why.
    """
    return writable(dataset._place, dataset)


def list_layer(dataset: Dataset, entry: Json) -> None:
    """List a layer whose files are there."""
    dataset._change(lambda properties: properties.add_layer(entry))
