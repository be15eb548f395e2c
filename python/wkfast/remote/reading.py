"""One read of a streamed mag: which requests it takes, and where their voxels go."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from wkfast.client.errors import ClientError, UnexpectedAnswerError
from wkfast.remote.box import Box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from wkfast.client.datastore import Datastore, StreamedLayers
    from wkfast.remote.header import ArrayHeader, Int3, Int4

# A cut-out is asked for from this many chunks on; fewer are as quick one by one.
_CHUNKS_OF_A_CUTOUT = 8
# Chunks along each edge of a cut-out: a mebibyte of uint32, so that many are under way at once.
_CUTOUT_EDGE = 2


@dataclass
class Cutouts:
    """The route for boxes of a dataset's layer, one request where chunks take many. Volume layers have none."""

    datastore: Datastore
    dataset_id: str
    layer: str
    mag: Int3
    #: Set when the server refused once: it is not asked again.
    refused: bool = False

    def voxels(self, box: Box, header: ArrayHeader) -> NDArray[Any] | None:
        """Return a box of voxels, ``None`` if chunks have to tell: the server refused, or left a part out."""
        x, y, z = (corner * step for corner, step in zip(box.start, self.mag, strict=True))
        try:
            cutout = self.datastore.cutout(
                self.dataset_id, self.layer, mag=self.mag, topleft=(x, y, z), size=box.size, retries=0
            )
        except ClientError as error:
            if error.status is None and not isinstance(error, UnexpectedAnswerError):
                return None
            self.refused = True
            return None
        shape = (header.shape[0], *box.size)
        if cutout.missing_buckets or len(cutout.voxels) != math.prod(shape) * header.dtype.itemsize:
            return None
        return np.frombuffer(cutout.voxels, header.dtype).reshape(shape, order="F")


@dataclass
class Reading:
    """A box being read, by a header that says what chunks look like.

    Attributes
    ----------
    voxels
        The box (c, x, y, z), zero until something comes.
    """

    streamed: StreamedLayers
    layer: str
    mag: str
    header: ArrayHeader
    box: Box
    cutouts: Cutouts | None = None
    voxels: NDArray[Any] = field(init=False)

    def __post_init__(self) -> None:
        shape = (self.header.shape[0], *self.box.size)
        self.voxels = np.zeros(shape, self.header.dtype.newbyteorder("="), order="F")
        self._stored = self.box.common(Box((0, 0, 0), self.header.shape[1:]))

    def tasks(self) -> Iterator[Callable[[], None]]:
        """Yield what is to be done, in any order and by any number of threads."""
        edge = self.header.chunk_shape[1:]
        if self.cutouts is None or self._stored.number_of_cells(edge) < _CHUNKS_OF_A_CUTOUT:
            yield from self._chunks(self._stored)
            return
        x, y, z = edge
        for _, block in self._stored.cells((x * _CUTOUT_EDGE, y * _CUTOUT_EDGE, z * _CUTOUT_EDGE)):
            yield partial(self._fetch_block, self.cutouts, block.common(self._stored))

    def _chunks(self, box: Box) -> Iterator[Callable[[], None]]:
        _, *edge = self.header.chunk_shape
        channels = range(-(-self.header.shape[0] // self.header.chunk_shape[0]))
        for ((x, y, z), chunk), c in itertools.product(box.cells((edge[0], edge[1], edge[2])), channels):
            yield partial(self._fetch_chunk, (c, x, y, z), chunk)

    def _fetch_block(self, cutouts: Cutouts, block: Box) -> None:
        voxels = None if cutouts.refused else cutouts.voxels(block, self.header)
        if voxels is None:
            for fetch_chunk in self._chunks(block):
                fetch_chunk()
            return
        self.voxels[(slice(None), *block.within(self.box))] = voxels

    def _fetch_chunk(self, index: Int4, chunk: Box) -> None:
        body = self.streamed.chunk(self.layer, self.mag, index)
        if body is None:
            return
        wanted = chunk.common(self._stored)
        voxels = self.header.voxels(body, f"{self.layer}/{self.mag}/{'.'.join(map(str, index))}")
        first = index[0] * self.header.chunk_shape[0]
        last = min(first + self.header.chunk_shape[0], self.header.shape[0])
        self.voxels[(slice(first, last), *wanted.within(self.box))] = voxels[
            (slice(0, last - first), *wanted.within(chunk))
        ]
