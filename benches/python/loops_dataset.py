"""Loops over layers and mags, and small reads and writes."""

from __future__ import annotations

import shutil
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
    dataset = wk.Dataset.open(path)
    layer = dataset.get_layer("c")
    mag = layer.get_mag(1)
    small = np.full((1, *(_SMALL,) * 3), 7, np.uint8)
    view = mag.get_view(absolute_offset=(32, 32, 32), size=(64, 64, 64))
    return {"wk": wk, "path": path, "dataset": dataset, "layer": layer, "mag": mag, "small": small, "view": view}


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


LOOPS = (
    *(loop for data_format in _FORMATS for loop in _of_each(data_format)),
    _look_up("layer.name", "layer.name"),
    _look_up("layer.category", "layer.category"),
    _look_up("layer.num_channels", "layer.num_channels"),
    _look_up("dataset.voxel_size", "dataset.voxel_size", check="list(dataset.voxel_size)"),
    _look_up("layer.mags", "list(layer.mags)", check="str(list(layer.mags))"),
    _look_up("layer.get_finest_mag", "layer.get_finest_mag()", check="str(layer.get_finest_mag().mag)"),
    _look_up("mag.mag, mag.name", "mag.mag, mag.name", check="mag.name"),
    _look_up("Dataset.open", "wk.Dataset.open(path)", check="len(wk.Dataset.open(path).layers)"),
)
