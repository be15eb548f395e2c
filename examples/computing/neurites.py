"""Input of the examples: twelve wavy neurites along x, skeletons through them, and a segmentation with known faults.

Neurites 0 to 3 are cut in two at half their length, 4 and 5 share an id, and the others are right: 4 splits, 1 merger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import wkfast as wk

if TYPE_CHECKING:
    from pathlib import Path

SHAPE, RADIUS, STEP = (256, 96, 72), 7, 4
SPLITS, MERGED = range(4), (4, 5)
NEURITES = [(16 + 24 * (number // 3), 12 + 24 * (number % 3)) for number in range(12)]


def centre(number: int, x: np.ndarray) -> np.ndarray:
    """Return where the middle of a neurite lies, by x: shape (n, 3), voxels."""
    y, z = NEURITES[number]
    return np.stack([x, y + 3 * np.sin(x / 20 + number), np.full(len(x), z)], axis=1)


def labels() -> np.ndarray:
    """Return the segmentation, shape (x, y, z): ids from 1 on, second halves of split neurites from 101 on."""
    out = np.zeros(SHAPE, np.uint32)
    x, y, z = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    for number in range(len(NEURITES)):
        middle = centre(number, np.arange(SHAPE[0]))[:, 1].reshape(-1, 1, 1)
        inside = (y - middle) ** 2 + (z - NEURITES[number][1]) ** 2 <= RADIUS**2
        out[inside] = 1 + (MERGED[0] if number in MERGED else number)
        if number in SPLITS:
            out[inside & (x >= SHAPE[0] // 2)] = 101 + number
    return out


def made_in(folder: Path) -> tuple[wk.Layer, wk.Annotation]:
    """Return the segmentation and the skeletons, one tree for each neurite; both are written unless they are there."""
    if not (folder / "neurites").exists():
        dataset = wk.Dataset(folder / "neurites", voxel_size=(10, 10, 20))
        layer = dataset.add_layer("segmentation", "segmentation", dtype="uint32", data_format="zarr3")
        layer.add_mag(1).write(labels(), absolute_offset=(0, 0, 0), allow_resize=True)
        annotation = wk.Annotation("neurites", dataset_name="neurites", voxel_size=(10, 10, 20))
        for number in range(len(NEURITES)):
            places = np.floor(centre(number, np.arange(2, SHAPE[0], STEP)))
            rows = np.arange(len(places))
            annotation.skeleton.add_tree_from_arrays(
                f"neurite {number}", places, np.stack([rows[:-1], rows[1:]], axis=1)
            )
        annotation.save(folder / "neurites.zip")
    layer = wk.Dataset.open(folder / "neurites").get_layer("segmentation")
    return layer, wk.Annotation.load(folder / "neurites.zip")
