"""Boxes of voxels cut along a grid, for requests of a bearable size."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wkfast import _core

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wkfast.remote.header import Int3


@dataclass(frozen=True)
class Box:
    """Voxels of a mag from ``start`` up to, not including, ``stop``."""

    start: Int3
    stop: Int3

    @classmethod
    def at(cls, topleft: Int3, size: Int3) -> Box:
        """Return the box of a corner and a size."""
        (x, y, z), (width, height, depth) = topleft, size
        return cls(topleft, (x + width, y + height, z + depth))

    @property
    def size(self) -> Int3:
        """Extent along each axis, never negative."""
        x, y, z = (max(0, end - begin) for begin, end in zip(self.start, self.stop, strict=True))
        return x, y, z

    @property
    def is_empty(self) -> bool:
        """Whether there is no voxel in it."""
        return min(self.size) == 0

    def common(self, other: Box) -> Box:
        """Return the voxels that lie in both."""
        # written out here and below: this is done for each chunk of a read, and a generator would double its cost
        (x, y, z), (left, top, front) = self.start, other.start
        (u, v, w), (right, bottom, back) = self.stop, other.stop
        return Box((max(x, left), max(y, top), max(z, front)), (min(u, right), min(v, bottom), min(w, back)))

    def within(self, outer: Box) -> tuple[slice, slice, slice]:
        """Return where this box lies in an array of ``outer``'s voxels."""
        (x, y, z), (right, bottom, back), (left, top, front) = self.start, self.stop, outer.start
        return slice(x - left, right - left), slice(y - top, bottom - top), slice(z - front, back - front)

    def cells(self, side: Int3) -> Iterator[tuple[Int3, Box]]:
        """Yield position and extent of each cell of a grid through the origin that holds voxels of this box.

        Examples
        --------
        >>> [cell for cell, _ in Box((30, 0, 0), (70, 32, 1)).cells((32, 32, 32))]
        [(0, 0, 0), (1, 0, 0), (2, 0, 0)]
        """
        if self.is_empty:
            return
        for x, y, z in itertools.product(*self._ranges(side)):
            start = (x * side[0], y * side[1], z * side[2])
            yield (x, y, z), Box.at(start, side)

    def blocks(self, side: Int3, cell_bytes: int) -> list[Box]:
        """Return the boxes that together are this one, each of whole cells of a grid and asked for as one cut-out.

        There are none where cells of so many bytes are as quick one by one.

        Examples
        --------
        >>> [block.size for block in Box((0, 0, 0), (64, 90, 64)).blocks((32, 32, 32), 1 << 18)]
        [(64, 64, 32), (64, 26, 32), (64, 64, 32), (64, 26, 32)]
        """
        if self.is_empty:
            return []
        cells = [(numbers.start, numbers.stop) for numbers in self._ranges(side)]
        return [self._of_cells(block, side) for block in _core.cutout_blocks(cells, cell_bytes)]

    def _of_cells(self, cells: Sequence[tuple[int, int]], side: Int3) -> Box:
        (left, right), (top, bottom), (front, back) = cells
        x, y, z = side
        return Box((left * x, top * y, front * z), (right * x, bottom * y, back * z)).common(self)

    def _ranges(self, side: Int3) -> list[range]:
        return [
            range(begin // step, -(-end // step)) for begin, end, step in zip(self.start, self.stop, side, strict=True)
        ]
