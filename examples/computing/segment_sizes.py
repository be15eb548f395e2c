"""How large segments are: every chunk is decoded once, on all cores; memory is that of the table.

Run with ``python -m examples.computing.segment_sizes FOLDER``; with a layer of yours in place of ``layer``, any size.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from examples.computing.neurites import made_in


def main(folder: Path) -> dict[int, float]:
    """Print the largest segments, write ``segment-sizes.png``, and return the volume of each segment in µm³."""
    layer, _ = made_in(folder)
    table = layer.segment_statistics()
    volumes = table["volume"] / 1e9
    for row in np.argsort(-volumes)[:5]:
        print(f"segment {table['id'][row]}: {volumes[row]:.3f} µm³ around {table['centroid'][row].round().tolist()}")

    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.add_subplot()
    axes.hist(volumes, bins=20)
    axes.set(xlabel="volume (µm³)", ylabel="segments", title=f"{len(volumes)} segments")
    figure.savefig(folder / "segment-sizes.png")
    return dict(zip(table["id"].tolist(), volumes.tolist(), strict=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
