"""Chunks that come into being in an edit of an annotation: whole, in part, or over voxels of its fallback layer."""

from __future__ import annotations

import itertools
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from wkfast._lazy import lazy_import

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from wkfast.dataset.layer import Layer
    from wkfast.dataset.view import View
    from wkfast.geometry import Mag
else:
    np = lazy_import("numpy")

Index = tuple[int, ...]
Triple = tuple[int, int, int]
Part = tuple[Triple, Triple]
"""Start and exclusive end within a chunk."""


class NewChunks:
    """What was written into chunks of a mag that the annotation did not have.

    Parameters
    ----------
    shape
        Of a chunk.
    known
        Chunks that there were before; asked for once, when something is written.
    fallback
        Where new chunks get their voxels from; ``None``: they are zero.

    Examples
    --------
    >>> chunks = NewChunks((8, 8, 8), lambda: [(0, 0, 0)], None)
    >>> chunks.enter((4, 0, 0), (8, 8, 8), (), print)
    >>> chunks.incomplete
    1
    >>> chunks.enter((12, 0, 0), (4, 8, 8), (), print)
    >>> chunks.incomplete
    0
    """

    def __init__(self, shape: Triple, known: Callable[[], Iterable[Index]], fallback: View | None) -> None:
        self._shape = shape
        self._ask = known
        self._known: set[Index] | None = None
        self._fallback = fallback
        self._parts: dict[Index, list[Part]] = {}
        self._lock = threading.Lock()

    def enter(
        self, topleft: Triple, size: Triple, extra: Sequence[int], fill: Callable[[Triple, NDArray[Any]], None]
    ) -> None:
        """Take notice of a box that is about to be written.

        `fill` is called before, with the top left and the fallback's voxels of every new chunk that the box covers in
        part: once for each chunk, however many threads write into it.
        """
        with self._lock:
            if self._known is None:
                self._known = set(self._ask())
            for place, part in _parts(topleft, size, self._shape):
                index = (*extra, *place)
                if index not in self._known:
                    self._enter(index, place, part, fill)
                    if part == ((0, 0, 0), self._shape) or self._fallback is not None:
                        self._known.add(index)

    def _enter(self, index: Index, place: Triple, part: Part, fill: Callable[[Triple, NDArray[Any]], None]) -> None:
        if part == ((0, 0, 0), self._shape):
            self._parts.pop(index, None)
        elif self._fallback is None:
            self._parts.setdefault(index, []).append(part)
        else:
            x, y, z = (at * edge for at, edge in zip(place, self._shape, strict=True))
            fill((x, y, z), _voxels(self._fallback, (x, y, z), self._shape))

    @property
    def incomplete(self) -> int:
        """Number of new chunks of which some voxels were never written."""
        return sum(not _fill(parts, self._shape) for parts in self._parts.values())


class KeepsZeros:
    """A mag of an annotation: what is written is kept where it is zero, and new chunks are taken note of."""

    def __init__(self, mag: Any, new_chunks: NewChunks | None) -> None:
        self._mag = mag
        self._new_chunks = new_chunks

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._mag, name)

    def write(self, topleft: Triple, array: NDArray[Any], *, extra: Sequence[int] = ()) -> None:
        """Write a box (c, x, y, z)."""
        if self._new_chunks is not None:
            width, height, depth = array.shape[1:]
            self._new_chunks.enter(topleft, (width, height, depth), extra, partial(self._fill, list(extra)))
        self._mag.write(topleft, array, extra=list(extra), keep_zeros=True)

    def _fill(self, extra: list[int], topleft: Triple, voxels: NDArray[Any]) -> None:
        self._mag.write(topleft, np.asfortranarray(voxels, self._mag.dtype), extra=extra, keep_zeros=True)


class NewChunksOfMags:
    """The same for all mags of a layer."""

    def __init__(self, fallback: Layer | None) -> None:
        self._fallback = fallback
        self._mags: dict[Mag, NewChunks] = {}

    def of(self, mag: Mag, shape: Triple, known: Callable[[], NDArray[np.uint32]]) -> NewChunks:
        """Return those of one mag."""
        if mag not in self._mags:
            source = None if self._fallback is None else self._fallback.mags.get(mag)
            self._mags[mag] = NewChunks(shape, lambda: map(tuple, known().tolist()), source)
        return self._mags[mag]

    def forget(self, mag: Mag) -> None:
        """Take notice that a mag is gone; one of that name is another, with no chunks yet."""
        self._mags.pop(mag, None)

    @property
    def incomplete(self) -> int:
        """Number of new chunks of which some voxels were never written."""
        return sum(mag.incomplete for mag in self._mags.values())


def _parts(topleft: Triple, size: Triple, shape: Triple) -> Iterator[tuple[Triple, Part]]:
    """Yield the chunks that a box touches, and what of each."""
    axes = list(zip(topleft, size, shape, strict=True))
    spans = (range(start // edge, -(-(start + length) // edge)) for start, length, edge in axes)
    for place in itertools.product(*spans):
        corners = [
            (max(start - at * edge, 0), min(start + length - at * edge, edge))
            for at, (start, length, edge) in zip(place, axes, strict=True)
        ]
        yield cast("Triple", place), cast("Part", tuple(zip(*corners, strict=True)))


def _fill(parts: list[Part], shape: Triple) -> bool:
    """Return whether parts make up a whole chunk."""
    volumes = (np.prod(np.subtract(end, start)) for start, end in parts)
    if sum(volumes) < np.prod(shape):
        return False
    written = np.zeros(shape, bool)
    for start, end in parts:
        written[tuple(map(slice, start, end))] = True
    return bool(written.all())


def _voxels(fallback: View, corner: Triple, shape: Triple) -> NDArray[Any]:
    """Return a chunk (c, x, y, z) of the fallback."""
    scale = fallback.mag.to_vec3_int()
    return fallback.read_cxyz(absolute_offset=scale * corner, size=scale * shape)
