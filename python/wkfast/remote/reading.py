"""One read of a streamed mag: which requests it takes, and where their voxels go."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from wkfast import _core
from wkfast.client.call import Batch
from wkfast.client.errors import ClientError, UnexpectedAnswerError
from wkfast.client.failures import meaning_of
from wkfast.client.stores import says_no_data
from wkfast.client.workers import fetch_all
from wkfast.errors import DatasetError
from wkfast.remote.box import Box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from wkfast.client.stores import Datastore, StreamedLayers
    from wkfast.remote.header import ArrayHeader, Int3, Int4

# Requests under way at once, as an upper bound: their number hides the way to the server and back.
_AT_ONCE = 256
# The same for requests that need a thread each.
CONCURRENCY = 32
# Requests after which something may be done beside.
_EARLY = 8
_REFUSED = 300

_T = TypeVar("_T")


@dataclass
class Cutouts:
    """The route for boxes of a dataset's layer, one request where chunks take many. Volume layers have none."""

    datastore: Datastore
    dataset_id: str
    layer: str
    mag: Int3
    #: Set when the server refused once: it is not asked again.
    refused: bool = False

    def target(self, box: Box) -> str:
        """Return path and query of the request for a box."""
        topleft = self._topleft(box)
        return self.datastore.cutout_target(self.dataset_id, self.layer, mag=self.mag, topleft=topleft, size=box.size)

    def _topleft(self, box: Box) -> Int3:
        x, y, z = (corner * step for corner, step in zip(box.start, self.mag, strict=True))
        return x, y, z

    def take_note(self, status: int) -> bool:
        """Take note of an answer that is no cut-out; it never says all there is to say."""
        # busy servers and those in trouble may answer the next time
        self.refused |= status >= _REFUSED and not meaning_of(status).error.retryable
        return False

    def voxels(self, box: Box, header: ArrayHeader) -> NDArray[Any] | None:
        """Return a box of voxels, ``None`` if chunks have to tell: the server refused, or left a part out."""
        try:
            cutout = self.datastore.cutout(
                self.dataset_id, self.layer, mag=self.mag, topleft=self._topleft(box), size=box.size, retries=0,
                limit=math.prod((header.shape[0], *box.size)) * header.dtype.itemsize,
            )  # fmt: skip
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
        try:
            self.voxels = np.zeros(shape, self.header.dtype.newbyteorder("="), order="F")
        except (MemoryError, ValueError, OverflowError):
            raise DatasetError(f"{self.layer}/{self.mag}: there is no memory for {shape} voxels") from None
        self._stored = self.box.common(Box((0, 0, 0), self.header.shape[1:]))

    def fetch(self, started: Callable[[], object] = lambda: None) -> None:
        """Fetch all voxels; `started` is called when the first requests are under way.

        Raises
        ------
        ClientError
            A chunk did not come, after all attempts.
        """
        datastore = self.streamed.datastore
        if not datastore.is_quick:
            first, tasks = _split(self.tasks())
            do(itertools.chain(first, [started], tasks))
            return
        boxes: Iterable[Box] = [self._stored]
        if self.cutouts is not None and not self.cutouts.refused and self._blocks:
            boxes, started = self._fetch_blocks(self.cutouts, started), _nothing
        self._fetch_chunks([cell for box in boxes for cell in self._chunks(box)], started)

    def _fetch_blocks(self, cutouts: Cutouts, started: Callable[[], object]) -> list[Box]:
        """Fetch cut-outs and return the boxes that have to be asked for by chunks."""
        blocks, channels = self._blocks, self.header.shape[0]
        voxel_bytes = channels * self.header.dtype.itemsize
        batch = Batch(
            [(cutouts.target(block), math.prod(block.size) * voxel_bytes) for block in blocks],
            self._sink([(self._corner(0, block), (channels, *block.size)) for block in blocks], "text/", "F"),
            _AT_ONCE, settles=lambda _, status, __: cutouts.take_note(status), meanwhile=started,
        )  # fmt: skip
        left = self.streamed.datastore.batch(batch)
        return [blocks[number] for number in left]

    def _fetch_chunks(self, chunks: list[tuple[Int4, Box]], started: Callable[[], object]) -> None:
        if not chunks:
            started()
            return
        target, size, shape = self._chunk_target, self.header.chunk_bytes, self.header.chunk_shape
        boxes = [(self._corner(index[0] * shape[0], chunk), shape) for index, chunk in chunks]
        batch = Batch(
            [(target(index), size) for index, _ in chunks], self._sink(boxes, "text/html", self.header.order),
            _AT_ONCE, settles=lambda _, status, body: says_no_data(status, body), meanwhile=started,
        )  # fmt: skip
        left = self.streamed.datastore.batch(batch)
        do(partial(self._fetch_chunk, *chunks[number]) for number in left)

    def _sink(self, boxes: list[tuple[Int4, Int4]], refused: str, order: str) -> _core.VoxelSink:
        """Return what puts bodies into the array, what is not data by its content type refused."""
        x, y, z = ((begin.start, begin.stop) for begin in self._stored.within(self.box))
        wanted = [(0, self.header.shape[0]), x, y, z]
        return _core.VoxelSink(
            _bytes_of(self.voxels), self.voxels.shape, self.voxels.itemsize, boxes, wanted,
            refused=refused, z_fastest=order == "C", big_endian=self.header.dtype.str.startswith(">"),
        )  # fmt: skip

    def _corner(self, channel: int, box: Box) -> Int4:
        """Return where a box begins in the array."""
        (x, y, z), (left, top, front) = box.start, self.box.start
        return channel, x - left, y - top, z - front

    def tasks(self) -> Iterator[Callable[[], object]]:
        """Yield what is to be done, in any order and by any number of threads: the slow twin of :meth:`fetch`."""
        if self.cutouts is None or not self._blocks:
            yield from self._chunk_tasks(self._stored)
            return
        for block in self._blocks:
            yield partial(self._fetch_block, self.cutouts, block)

    @cached_property
    def _blocks(self) -> list[Box]:
        """The boxes that are asked for as cut-outs, none where chunks are as quick."""
        edge = self.header.chunk_shape[1:]
        return self._stored.blocks(edge, math.prod(edge) * self.header.shape[0] * self.header.dtype.itemsize)

    def _chunks(self, box: Box) -> Iterator[tuple[Int4, Box]]:
        _, *edge = self.header.chunk_shape
        channels = range(-(-self.header.shape[0] // self.header.chunk_shape[0]))
        for ((x, y, z), chunk), c in itertools.product(box.cells((edge[0], edge[1], edge[2])), channels):
            yield (c, x, y, z), chunk

    def _chunk_tasks(self, box: Box) -> Iterator[Callable[[], object]]:
        return (partial(self._fetch_chunk, index, chunk) for index, chunk in self._chunks(box))

    def _fetch_block(self, cutouts: Cutouts, block: Box) -> None:
        voxels = None if cutouts.refused else cutouts.voxels(block, self.header)
        if voxels is None:
            for fetch_chunk in self._chunk_tasks(block):
                fetch_chunk()
            return
        self.part(block)[...] = voxels

    def _fetch_chunk(self, index: Int4, chunk: Box) -> None:
        body = self.streamed.chunk(self.layer, self.mag, index, limit=self.header.chunk_bytes)
        if body is not None:
            self.place(index, chunk, body)

    def part(self, box: Box) -> NDArray[Any]:
        """Return the view of a box that lies within the one being read."""
        return self.voxels[(slice(None), *box.within(self.box))]

    def place(self, index: Int4, chunk: Box, body: bytes | memoryview) -> None:
        """Put a chunk's voxels where they belong."""
        wanted = chunk.common(self._stored)
        voxels = self.header.voxels(body, self._name_of_chunk, index)
        first = index[0] * self.header.chunk_shape[0]
        last = min(first + self.header.chunk_shape[0], self.header.shape[0])
        place = self.voxels[(slice(first, last), *wanted.within(self.box))]
        # a chunk that is wanted as a whole needs no cutting
        whole = place.shape == voxels.shape
        place[...] = voxels if whole else voxels[(slice(0, last - first), *wanted.within(chunk))]

    def _name_of_chunk(self, index: Int4) -> str:
        return f"{self.layer}/{self.mag}/{'.'.join(map(str, index))}"

    @cached_property
    def _chunk_target(self) -> Callable[[Int4], str]:
        """Makes the index of a chunk into path and query."""
        return self.streamed.chunk_targets(self.layer, self.mag)


def do(tasks: Iterable[Callable[[], object]]) -> None:
    """Do tasks, a single one in this thread and more in threads of their own; the first error is raised."""
    first, upcoming = _split(tasks, 2)
    if len(first) < 2:  # noqa: PLR2004 (a single one needs no thread)
        for task in first:
            task()
        return
    for _ in fetch_all(lambda task: task(), itertools.chain(first, upcoming), concurrency=CONCURRENCY):
        pass


def _split(items: Iterable[_T], count: int = _EARLY) -> tuple[list[_T], Iterator[_T]]:
    rest = iter(items)
    return list(itertools.islice(rest, count)), rest


def _nothing() -> None:
    """Do nothing."""


def _bytes_of(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the memory of an array in one piece, first axis fastest."""
    return array.reshape(-1, order="F").view(np.uint8)
