"""The demo's second opinion: the merge done again the slow way, and compared."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from examples.demo.plain_layers import Box, PlainAnnotation, PlainLayer
from examples.demo.plain_wkw import Voxels, paste

CHUNK_EDGE = 32
_BLOCK_EDGE = 256
# Enough for every small dataset; beyond it the untouched part of a large one is sampled.
DEFAULT_VOXELS = 2**28


@dataclass(frozen=True)
class CheckResult:
    """What was compared."""

    mag: str
    chunks: int
    voxels: int
    differing: int
    complete: bool

    @property
    def ok(self) -> bool:
        """Whether every compared voxel is as expected."""
        return self.differing == 0


def slow_merge(fallback: PlainLayer, chunks: dict[tuple[int, int, int], Voxels], mag: str, box: Box) -> Voxels:
    """Return the voxels (x, y, z) that a merge must have in `box`, in voxels of `mag`.

    The fallback's voxels, and over them every annotation chunk whole, zeros included.
    """
    topleft, size = box
    out = np.array(fallback.read(mag, topleft, size))
    first = [start // CHUNK_EDGE for start in topleft]
    counts = [-(-(start + n) // CHUNK_EDGE) - f for start, n, f in zip(topleft, size, first, strict=True)]
    for offset in np.ndindex(*counts):
        x, y, z = (f + o for f, o in zip(first, offset, strict=True))
        if (x, y, z) in chunks:
            paste(chunks[x, y, z], [x * CHUNK_EDGE, y * CHUNK_EDGE, z * CHUNK_EDGE], out, topleft)
    return out


def check(
    merged: PlainLayer,
    fallback: PlainLayer,
    annotation: PlainAnnotation,
    mag: str,
    *,
    max_voxels: int = DEFAULT_VOXELS,
) -> CheckResult:
    """Compare one mag of the merged layer with :func:`slow_merge`: every touched block, the others up to a limit."""
    chunks = dict(annotation.chunks(mag))
    differing = voxels = 0
    complete = True
    for box, touched in _blocks(merged, mag, chunks):
        if not touched and voxels + np.prod(box[1]) > max_voxels:
            complete = False
            continue
        found = merged.read(mag, *box)
        differing += int(np.count_nonzero(found != slow_merge(fallback, chunks, mag, box)))
        voxels += found.size
    return CheckResult(mag, len(chunks), voxels, differing, complete)


def _blocks(layer: PlainLayer, mag: str, chunks: dict[tuple[int, int, int], Voxels]) -> Iterator[tuple[Box, bool]]:
    """Yield blocks that cover the layer's box, touched ones first, and whether a chunk of the annotation lies in it."""
    edges = [int(edge) for edge in mag.split("-")] * (3 if "-" not in mag else 1)
    (topleft, size) = layer.box
    start = [begin // edge for begin, edge in zip(topleft, edges, strict=True)]
    stop = [-(-(begin + n) // edge) for begin, n, edge in zip(topleft, size, edges, strict=True)]
    touched = {tuple(i * CHUNK_EDGE // _BLOCK_EDGE for i in index) for index in chunks}
    first = [begin // _BLOCK_EDGE for begin in start]
    counts = [-(-end // _BLOCK_EDGE) - f for end, f in zip(stop, first, strict=True)]
    blocks = [tuple(f + o for f, o in zip(first, offset, strict=True)) for offset in np.ndindex(*counts)]
    for block in sorted(blocks, key=lambda block: block not in touched):
        low = [max(i * _BLOCK_EDGE, begin) for i, begin in zip(block, start, strict=True)]
        high = [min((i + 1) * _BLOCK_EDGE, end) for i, end in zip(block, stop, strict=True)]
        x, y, z = (b - a for a, b in zip(low, high, strict=True))
        yield ((low[0], low[1], low[2]), (x, y, z)), block in touched
