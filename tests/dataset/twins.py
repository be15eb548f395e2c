"""The obvious way to downsample a box, in numpy: yardstick for the core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

JOB = 1024


def downsampled(
    voxels: NDArray[Any], start: tuple[int, ...], factor: tuple[int, ...], mode: str, buffer: tuple[int, ...]
) -> NDArray[Any]:
    """Return the coarser voxels of `voxels` (c, x, y, z), which begin at `start`, in the whole of their box."""
    picks = [
        _picks(first, length, each, mode, at_once)
        for first, length, each, at_once in zip(start, voxels.shape[1:], factor, buffer, strict=True)
    ]
    shape = (voxels.shape[0], *(len(pick) for pick in picks))
    out = np.empty(shape, voxels.dtype)
    for place in np.ndindex(shape):
        channel, x, y, z = place
        block = voxels[channel][np.ix_(picks[0][x], picks[1][y], picks[2][z])]
        # z slowest, then x, then y.
        out[place] = _one(block.transpose(2, 0, 1).reshape(-1), mode)
    return out


def _picks(start: int, length: int, factor: int, mode: str, buffer: int) -> list[list[int]]:
    """Return, for each coarser voxel of an axis, the finer ones it is made of, counted from `start`."""
    first, last = start // factor, -(-(start + length) // factor)
    picks = []
    for voxel in range(first, last):
        job = max(first, voxel // JOB * JOB)
        begin = job + (voxel - job) // buffer * buffer
        end = min(begin + buffer, last, (voxel // JOB + 1) * JOB)
        inside = range(max(begin * factor, start), min(end * factor, start + length))
        finer = [voxel * factor + tap for tap in range(factor)]
        if mode == "nearest":
            count = end - begin
            step = (count * factor - 1) / (count - 1) if count > 1 else 0.0
            finer = [begin * factor + int(np.floor(step * (voxel - begin) + 0.5))]
        mirrored = np.pad(
            np.arange(len(inside)), (inside.start - begin * factor, end * factor - inside.stop), mode="symmetric"
        )
        picks.append([int(mirrored[place - begin * factor]) + inside.start - start for place in finer])
    return picks


def _one(values: NDArray[Any], mode: str) -> Any:
    if mode == "mode":
        found = values.tolist()
        return max(dict.fromkeys(found), key=found.count)
    if mode == "median":
        low, high = np.sort(values)[[(len(values) - 1) // 2, len(values) // 2]].tolist()
        return (low + high) / 2 if values.dtype.kind == "f" else int((low + high) / 2)
    return {"max": values.max, "min": values.min, "nearest": lambda: values[0]}[mode]()
