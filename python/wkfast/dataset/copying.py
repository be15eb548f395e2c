"""Copies of layers and of all layers of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wkfast.dataset.data_format import DataFormat
from wkfast.dataset.files_place import FilesPlace
from wkfast.dataset.foreign import own_layer
from wkfast.dataset.layer import SegmentationLayer
from wkfast.dataset.layer_creation import add_filled, copied_layer_name, entry_like, format_like
from wkfast.dataset.mag_building import copy_mag
from wkfast.dataset.place import writable
from wkfast.errors import ExistsError

if TYPE_CHECKING:
    from collections.abc import Container
    from os import PathLike

    from wkfast.dataset.dataset import Dataset
    from wkfast.dataset.layer import Layer
    from wkfast.dataset.layer_properties import Json
    from wkfast.dataset.new_mag import Shapes
    from wkfast.dataset.reshaping import Workers


def copy_layer(
    dataset: Dataset,
    foreign_layer: Layer | str | PathLike[str],
    name: str | None,
    shapes: Shapes,
    data_format: str | DataFormat | None,
    *,
    exists_ok: bool,
    workers: Workers,
    with_attachments: bool = True,
) -> Layer:
    """Copy a layer into a dataset; see :meth:`Dataset.add_layer_as_copy`."""
    foreign = own_layer(foreign_layer, type(dataset).open)
    name = name or copied_layer_name(foreign.name)
    if name in dataset.layers and not exists_ok:
        raise ExistsError(f"{dataset.path} has a layer {name!r} already; pass exists_ok=True to complete it")
    wanted = format_like(foreign) if data_format is None else DataFormat.parse(str(data_format), layer=name)
    place = writable(dataset._place, dataset)
    if name not in dataset.layers and isinstance(place, FilesPlace):
        layer = _copied_whole(
            dataset, place, foreign, {**entry_like(foreign, name), "dataFormat": wanted.value}, shapes, workers
        )
    else:
        layer = dataset.layers.get(name) or dataset.add_layer_like(foreign, name)
        if layer.data_format is not wanted and not layer.mags:
            layer._change(lambda entry: entry.json.update(dataFormat=wanted.value))
        _copy_mags(layer, foreign, shapes, workers, exists_ok=exists_ok)
    if with_attachments:
        _copy_attachments(foreign, layer)
    return layer


def _copied_whole(
    dataset: Dataset, place: FilesPlace, foreign: Layer, entry: Json, shapes: Shapes, workers: Workers
) -> Layer:
    """Copy all mags of a layer, and list the new one when they are there."""
    return add_filled(dataset, place, entry, lambda layer: _copy_mags(layer, foreign, shapes, workers))


def _copy_mags(layer: Layer, foreign: Layer, shapes: Shapes, workers: Workers, *, exists_ok: bool = False) -> None:
    for mag in foreign.mags.values():
        copy_mag(layer, mag, None, shapes, extend=False, exists_ok=exists_ok, workers=workers)
    layer._extend_bounding_box(foreign.bounding_box)


def _copy_attachments(source: Layer, target: Layer) -> None:
    """Copy the attachments that are not there yet."""
    if isinstance(source, SegmentationLayer) and isinstance(target, SegmentationLayer):
        there = {(each.container_name, each.name) for each in target.attachments}
        for each in source.attachments:
            if (each.container_name, each.name) not in there:
                target.attachments.add_attachment_as_copy(each)


def copy_layers(
    source: Dataset,
    copy: Dataset,
    shapes: Shapes,
    data_format: str | DataFormat | None,
    *,
    without: Container[str],
    exists_ok: bool,
    workers: Workers,
) -> None:
    """Copy all layers of a dataset into another; see :meth:`Dataset.copy_dataset`."""
    for name, layer in source.layers.items():
        if name not in without:
            copy_layer(copy, layer, None, shapes, data_format, exists_ok=exists_ok, workers=workers)
