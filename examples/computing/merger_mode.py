"""What merger mode shows as a layer of its own: the segments under the nodes of one tree become one.

Chunks without such segments are copied as they are encoded. Run with
``python -m examples.computing.merger_mode FOLDER``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from examples.computing.neurites import made_in


def main(folder: Path) -> tuple[dict[int, int], np.ndarray]:
    """Write a layer and ``merger-mode.png``, before and after; return which ids became which, and the ids left."""
    layer, annotation = made_in(folder)
    mapping = annotation.merger_mode_mapping(layer)
    dataset = layer.dataset
    if "merged" in dataset.layers:
        dataset.delete_layer("merged")
    merged = layer.relabel(mapping, "merged")
    left = merged.segment_statistics()["id"]
    changed = {old: new for old, new in mapping.items() if old != new}
    print(f"{len(changed)} segments were merged into others, {len(left)} are left: {changed}")

    figure = Figure(figsize=(6, 5), layout="constrained")
    colours = np.random.default_rng(1).random((256, 3))
    colours[0] = 1
    for place, (name, shown) in enumerate((("segmentation", layer), ("merger mode", merged)), 1):
        plane = shown.get_mag(1).read(absolute_offset=(0, 0, 12), size=(*layer.bounding_box.size[:2], 1))[0, :, :, 0]
        axes = figure.add_subplot(2, 1, place)
        axes.imshow(colours[plane.T % 256], interpolation="nearest")
        axes.set(title=name, ylabel="y (voxels)")
    axes.set(xlabel="x (voxels)")
    figure.savefig(folder / "merger-mode.png")
    return changed, left


if __name__ == "__main__":
    main(Path(sys.argv[1]))
