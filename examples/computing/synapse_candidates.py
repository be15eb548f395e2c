"""Where skeletons of different cells come close: the closest place of each pair of trees, as an annotation to look at.

Nodes are sorted into a grid of cells as wide as the distance: neighbours lie in adjacent cells. That finds what a k-d
tree finds, by numpy alone. Run with ``python -m examples.computing.synapse_candidates FOLDER``.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np

import wkfast as wk
from examples.computing.neurites import made_in

DISTANCE = 300.0


def close_pairs(places: np.ndarray, distance: float) -> np.ndarray:
    """Return rows of places that lie within a distance of each other, shape (n, 2), the smaller first."""
    cells = np.floor((places - places.min(axis=0)) / distance).astype(np.int64) + 1
    shape = cells.max(axis=0) + 2
    keys = np.ravel_multi_index(tuple(cells.T), tuple(shape))
    order = np.argsort(keys, kind="stable")
    found = []
    for step in itertools.product((-1, 0, 1), repeat=3):
        wanted = keys + step[0] * shape[1] * shape[2] + step[1] * shape[2] + step[2]
        first, end = (np.searchsorted(keys, wanted, side, sorter=order) for side in ("left", "right"))
        one = np.repeat(np.arange(len(places)), end - first)
        starts = np.cumsum(end - first) - (end - first)
        other = order[np.arange(len(one)) - np.repeat(starts, end - first) + first[one]]
        near = (one < other) & (((places[one] - places[other]) ** 2).sum(axis=1) <= distance**2)
        found.append(np.stack([one[near], other[near]], axis=1))
    return np.concatenate(found)


def main(folder: Path) -> np.ndarray:
    """Write ``candidates.zip`` and ``synapse-candidates.png``; return ids of trees that come close, shape (n, 2)."""
    _, annotation = made_in(folder)
    nodes = annotation.skeleton.nodes_table()
    places, trees = nodes["position"] * annotation.voxel_size, nodes["tree_id"]
    pairs = close_pairs(places, DISTANCE)
    pairs = pairs[trees[pairs[:, 0]] != trees[pairs[:, 1]]]
    nearest = pairs[np.argsort(((places[pairs[:, 0]] - places[pairs[:, 1]]) ** 2).sum(axis=1), kind="stable")]
    touching, first = np.unique(np.sort(trees[nearest], axis=1), axis=0, return_index=True)
    out = wk.Annotation("candidates", dataset_name=annotation.dataset_name, voxel_size=annotation.voxel_size)
    for (one, other), rows in zip(touching.tolist(), nearest[first], strict=True):
        for skeleton in (out.skeleton, annotation.skeleton):
            skeleton.add_tree_from_arrays(f"{one} and {other}", nodes["position"][rows], [(0, 1)], color=(1, 0, 0, 1))
    out.save(folder / "candidates.zip")
    print(f"{len(touching)} pairs of trees come within {DISTANCE:.0f} nm")
    annotation.skeleton.plot().savefig(folder / "synapse-candidates.png")
    return touching


if __name__ == "__main__":
    main(Path(sys.argv[1]))
