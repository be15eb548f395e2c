"""Loops over layers and mags, and small reads and writes."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benches.python.loops import Loop

if TYPE_CHECKING:
    from pathlib import Path

    from benches.python.loops import World

_EDGE = 128
_SMALL = 32
_FORMATS = ("wkw", "zarr", "zarr3")
# Layers of a dataset, and mags of a layer, that are walked through.
_MANY = 300
_TALL = 40
# Files were written longer ago than any clock of a file system ticks, as those that scripts read mostly were.
_AGE = 3600


def _dataset(data_format: str, wk: Any, folder: Path) -> World:
    """A dataset of one layer of 128³ voxels in two mags, written by the package itself."""
    path = folder / f"loops-{data_format}-{wk.__name__}"
    shutil.rmtree(path, ignore_errors=True)
    dataset = wk.Dataset(path, voxel_size=(4, 4, 40))
    box = wk.BoundingBox((0, 0, 0), (_EDGE,) * 3)
    layer = dataset.add_layer("c", "color", dtype="uint8", data_format=data_format, bounding_box=box)
    values = np.random.default_rng(1).integers(1, 255, (1, *(_EDGE,) * 3), np.uint8)
    mag = layer.add_mag(1, chunk_shape=(_SMALL,) * 3, shard_shape=(_EDGE if data_format != "zarr" else _SMALL,) * 3)
    mag.write(values)
    dataset.add_layer("s", "segmentation", dtype="uint32", data_format=data_format, largest_segment_id=7)
    _age(path)
    dataset = wk.Dataset.open(path)
    layer = dataset.get_layer("c")
    mag = layer.get_mag(1)
    small = np.full((1, *(_SMALL,) * 3), 7, np.uint8)
    view = mag.get_view(absolute_offset=(32, 32, 32), size=(64, 64, 64))
    labels = dataset.get_layer("s")
    key = wk.Mag(1)
    names = ("wk", "path", "dataset", "layer", "labels", "mag", "small", "view", "key")
    return dict(zip(names, (wk, path, dataset, layer, labels, mag, small, view, key), strict=True))


def _age(path: Path) -> None:
    """Let all files of a dataset be of an hour ago."""
    then = time.time() - _AGE
    for file in path.rglob("*"):
        os.utime(file, (then, then))


def _much(wk: Any, folder: Path) -> World:
    """A dataset of many layers, one of which has many mags; the description is made, the mags are small."""
    path = folder / f"loops-much-{wk.__name__}"
    shutil.rmtree(path, ignore_errors=True)
    dataset = wk.Dataset(path, voxel_size=(4, 4, 40))
    tall = dataset.add_layer("tall", "color", data_format="wkw", bounding_box=wk.BoundingBox((0, 0, 0), (32,) * 3))
    for x, y, z in itertools.islice(itertools.product(range(4), repeat=3), _TALL):
        tall.add_mag((1 << x, 1 << y, 1 << z))
    properties = path / "datasource-properties.json"
    described = json.loads(properties.read_bytes())
    one = {**described["dataLayers"][0], "mags": []}
    described["dataLayers"] += [{**one, "name": f"l{number}"} for number in range(_MANY - 1)]
    properties.write_text(json.dumps(described))
    dataset = wk.Dataset.open(path)
    tall = dataset.get_layer("tall")
    names = [layer["name"] for layer in described["dataLayers"]]
    return {"dataset": dataset, "tall": tall, "names": names, "keys": [mag.to_tuple() for mag in tall.mags]}


def _of_each(data_format: str) -> list[Loop]:
    def loop(what: str, statement: str, check: str | None = None) -> Loop:
        return Loop(f"{what} ({data_format})", statement, partial(_dataset, data_format), check=check)

    one, cube = "absolute_offset=(40, 41, 42), size=(1, 1, 1)", "absolute_offset=(40, 41, 42), size=(32, 32, 32)"
    return [
        loop("dataset.get_layer().get_mag()", "dataset.get_layer('c').get_mag(1)", check="str(mag.mag)"),
        loop("layer.bounding_box", "layer.bounding_box", check="repr(layer.bounding_box.size_xyz)"),
        loop("mag.bounding_box", "mag.bounding_box", check="repr(mag.bounding_box.size_xyz)"),
        loop("mag.get_view", "mag.get_view(absolute_offset=(32, 32, 32), size=(64, 64, 64))", check="1"),
        loop("mag.read of one voxel", f"mag.read({one})"),
        loop("mag.read of 32³", f"mag.read({cube})"),
        loop("view.read of 32³", "view.read(relative_offset=(8, 8, 8), size=(32, 32, 32))"),
        loop("mag.write of 32³", "mag.write(small, absolute_offset=(64, 64, 64), allow_unaligned=True)", check="1"),
    ]


def _look_up(what: str, statement: str, check: str | None = None) -> Loop:
    return Loop(what, statement, partial(_dataset, "zarr3"), check=check)


def _many(what: str, statement: str, per: int) -> Loop:
    return Loop(what, statement, _much, per=per, check="1")


LOOPS = (
    *(loop for data_format in _FORMATS for loop in _of_each(data_format)),
    _look_up("layer.name", "layer.name"),
    _look_up("layer.category", "layer.category"),
    _look_up("layer.num_channels", "layer.num_channels"),
    _look_up("layer.dtype", "layer.dtype", check="str(layer.dtype)"),
    _look_up("layer.data_format", "layer.data_format", check="layer.data_format.value"),
    _look_up("layer.read_only", "layer.read_only"),
    _look_up("layer.dataset", "layer.dataset", check="layer.dataset is dataset"),
    _look_up("layer.path", "layer.path", check="layer.path.name"),
    _look_up("layer.is_foreign", "layer.is_foreign"),
    _look_up("layer.normalized_bounding_box", "layer.normalized_bounding_box", check="1"),
    _look_up("layer.default_view_configuration", "layer.default_view_configuration"),
    _look_up("layer.coordinate_transformations", "layer.coordinate_transformations"),
    _look_up("layer.mags", "list(layer.mags)", check="str(list(layer.mags))"),
    _look_up("layer.mags[mag]", "layer.mags[key]", check="str(layer.mags[key].mag)"),
    _look_up("layer.get_finest_mag", "layer.get_finest_mag()", check="str(layer.get_finest_mag().mag)"),
    _look_up("repr of a layer", "repr(layer)", check="1"),
    _look_up("segmentation.largest_segment_id", "labels.largest_segment_id"),
    _look_up("dataset.name", "dataset.name", check="1"),
    _look_up("dataset.path", "dataset.path", check="1"),
    _look_up("dataset.read_only", "dataset.read_only"),
    _look_up("dataset.voxel_size", "dataset.voxel_size", check="list(dataset.voxel_size)"),
    _look_up("dataset.voxel_size_with_unit", "dataset.voxel_size_with_unit", check="1"),
    _look_up("dataset.layers", "list(dataset.layers)"),
    _look_up("dataset.layers[name]", "dataset.layers['c']", check="dataset.layers['c'].name"),
    _look_up("dataset.get_layer", "dataset.get_layer('c')", check="dataset.get_layer('c').name"),
    _look_up("dataset.get_color_layers", "dataset.get_color_layers()", check="len(dataset.get_color_layers())"),
    _look_up("dataset.get_segmentation_layers", "dataset.get_segmentation_layers()", check="1"),
    _look_up("dataset.calculate_bounding_box", "dataset.calculate_bounding_box()", check="1"),
    _look_up("mag.mag, mag.name", "mag.mag, mag.name", check="mag.name"),
    _look_up("mag.layer", "mag.layer", check="mag.layer.name"),
    _look_up("mag.path", "mag.path", check="mag.path.name"),
    _look_up("mag.read_only", "mag.read_only"),
    _look_up("mag.num_channels", "mag.num_channels"),
    _look_up("mag.get_dtype", "mag.get_dtype()", check="str(mag.get_dtype())"),
    _look_up("mag.info", "mag.info", check="list(mag.info.chunk_shape)"),
    _look_up("mag.info.chunk_shape", "mag.info.chunk_shape"),
    _look_up("mag.info.data_format", "mag.info.data_format", check="mag.info.data_format.value"),
    _look_up("mag.normalized_bounding_box", "mag.normalized_bounding_box", check="1"),
    _look_up("view.bounding_box", "view.bounding_box", check="repr(view.bounding_box)"),
    _look_up("view.mag, view.read_only", "view.mag, view.read_only", check="view.read_only"),
    Loop(
        "one view of view.chunk",
        "for part in view.chunk((16, 16, 16)): pass",
        partial(_dataset, "zarr3"),
        per=64,
        check="repr(part.bounding_box)",
    ),
    _look_up("Dataset.open", "wk.Dataset.open(path)", check="len(wk.Dataset.open(path).layers)"),
    _many("one of dataset.get_layer over 300 layers", "for name in names: dataset.get_layer(name)", _MANY),
    _many("one of dataset.layers, 300 layers", "for layer in dataset.layers.values(): layer.name", _MANY),
    _many("one of layer.get_mag over 40 mags", "for mag in keys: tall.get_mag(mag)", _TALL),
    _many("one of layer.mags, 40 mags", "for mag, view in tall.mags.items(): view.mag", _TALL),
)
