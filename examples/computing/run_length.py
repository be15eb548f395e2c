"""How good a segmentation is, by skeletons: expected run length, splits and mergers (Januszewski et al. 2018).

An edge is right if both its nodes lie in one segment that no other tree is in. The expected run length is that of the
run along right edges which a random place on the skeletons lies in. Run with
``python -m examples.computing.run_length FOLDER``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from examples.computing.neurites import made_in


def main(folder: Path) -> dict[str, float]:
    """Print and return the figures, and write ``run-length.png``, a bar for each run; lengths in µm."""
    layer, annotation = made_in(folder)
    skeleton = annotation.skeleton
    nodes, edges = skeleton.nodes_table(), skeleton.edges_table()
    under = skeleton.labels_at(layer).astype(np.int64)
    order = np.argsort(nodes["id"])
    rows = [order[np.searchsorted(nodes["id"], edges[end], sorter=order)] for end in ("source", "target")]
    ends, labels = nodes["position"][np.array(rows)] * annotation.voxel_size, under[np.array(rows)]
    lengths = np.linalg.norm(ends[0] - ends[1], axis=1) / 1000

    pairs = np.unique(np.stack([nodes["tree_id"], under], axis=1)[under != 0], axis=0)
    ids, trees = np.unique(pairs[:, 1], return_counts=True)
    merged = ids[trees > 1]
    split = (labels[0] != labels[1]) & (labels != 0).all(axis=0)
    right = (labels[0] == labels[1]) & (labels[0] != 0) & ~np.isin(labels[0], merged)
    # A segment that a tree enters twice counts as one run.
    kinds, of = np.unique(np.stack([edges["tree_id"], labels[0]], axis=1)[right], axis=0, return_inverse=True)
    runs = np.bincount(of.ravel(), lengths[right], minlength=len(kinds))
    found = {
        "expected_run_length": float((runs**2).sum() / lengths.sum()),
        "best": float((np.bincount(edges["tree_id"], lengths) ** 2).sum() / lengths.sum()),
        "splits": int(split.sum()),
        "mergers": len(merged),
        "omitted": int((labels == 0).any(axis=0).sum()),
    }
    print(*(f"{name}: {value:.4g}" for name, value in found.items()), sep="\n")

    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.add_subplot()
    axes.bar(range(len(runs)), np.sort(runs)[::-1])
    axes.axhline(found["expected_run_length"], color="black")
    axes.set(xlabel="run", ylabel="length (µm)", title=f"expected run length {found['expected_run_length']:.2f} µm")
    figure.savefig(folder / "run-length.png")
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
