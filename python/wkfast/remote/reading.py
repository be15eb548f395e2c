"""One read of a streamed mag: which requests it takes, and where their voxels go."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from wkfast.client.batch import BatchRequest
from wkfast.client.errors import BusyError, ClientError, ServerError, UnexpectedAnswerError
from wkfast.client.failures import meaning_of
from wkfast.client.stores import says_no_data
from wkfast.client.workers import fetch_all
from wkfast.errors import DatasetError
from wkfast.remote.box import Box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from wkfast.client.stores import Datastore, StreamedLayers
    from wkfast.remote.header import ArrayHeader, Int3, Int4

# A cut-out is asked for from this many chunks on; fewer are as quick one by one.
_CHUNKS_OF_A_CUTOUT = 8
# What one cut-out brings at most: many are under way at once.
_CUTOUT_BYTES = 2 << 20
# Requests under way at once. Cut-outs fill the line with a few; chunks are small, so it is their number that hides the
# way to the server and back. Each is an upper bound, see RequestBatch.
_CUTOUTS_AT_ONCE = 32
_CHUNKS_AT_ONCE = 256
# The same for requests that need a thread each.
CONCURRENCY = 32
# Requests after which something may be done beside.
_EARLY = 8
# Memory touched while the first requests are under way, and how much of it comes at once.
_TOUCHED, _PAGE = 64 << 20, 4096
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
        self.spare: list[memoryview] = []

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
        waiting = _in_turn(started, self._touch)
        if self.cutouts is not None and not self.cutouts.refused and self._is_large:
            requests = self._blocks(self.cutouts)
            blocks = datastore.batch(requests, concurrency=_CUTOUTS_AT_ONCE, meanwhile=waiting)
            boxes, waiting = (block.box for block in blocks if isinstance(block, _Block)), _in_turn()
        chunks = (_Chunk(self, index, chunk) for box in boxes for index, chunk in self._chunks(box))
        left = datastore.batch(chunks, concurrency=_CHUNKS_AT_ONCE, meanwhile=waiting)
        do(partial(self._fetch_chunk, chunk.index, chunk.box) for chunk in left if isinstance(chunk, _Chunk))

    def tasks(self) -> Iterator[Callable[[], object]]:
        """Yield what is to be done, in any order and by any number of threads: the slow twin of :meth:`fetch`."""
        if self.cutouts is None or not self._is_large:
            yield from self._chunk_tasks(self._stored)
            return
        for block in self._blocks(self.cutouts):
            yield partial(self._fetch_block, self.cutouts, block.box)

    def _touch(self) -> None:
        """Let the system find memory for what the first requests bring, which takes as long as receiving it."""
        _bytes_of(self.voxels)[:_TOUCHED:_PAGE] = bytes(-(-min(self.voxels.nbytes, _TOUCHED) // _PAGE))

    @property
    def _is_large(self) -> bool:
        return self._stored.number_of_cells(self.header.chunk_shape[1:]) >= _CHUNKS_OF_A_CUTOUT

    def _blocks(self, cutouts: Cutouts) -> Iterator[_Block]:
        edge = self.header.chunk_shape[1:]
        voxel_bytes = self.header.shape[0] * self.header.dtype.itemsize
        cells = max(1, _CUTOUT_BYTES // (math.prod(edge) * voxel_bytes))
        return (_Block(self, cutouts, box) for box in self._stored.blocks(edge, cells))

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
    def chunk_target(self) -> Callable[[Int4], str]:
        """Makes the index of a chunk into path and query."""
        return self.streamed.chunk_targets(self.layer, self.mag)


class _Chunk(BatchRequest):
    """A chunk: received beside the array, because its rows lie apart there."""

    __slots__ = ("_reading", "_scratch", "box", "index")

    def __init__(self, reading: Reading, index: Int4, box: Box) -> None:
        self.target = reading.chunk_target(index)
        self.size = reading.header.chunk_bytes
        self.index = index
        self.box = box
        self._reading = reading

    def room(self) -> Iterable[memoryview]:
        spare = self._reading.spare
        self._scratch = spare.pop() if spare else memoryview(bytearray(self.size))
        return (self._scratch,)

    def arrived(self, headers: Mapping[str, str]) -> bool:
        whole = self.at_once(headers, self._scratch)
        self._reading.spare.append(self._scratch)
        return whole

    def at_once(self, headers: Mapping[str, str], body: memoryview) -> bool:
        if headers.get("content-type", "").startswith("text/html"):
            return False
        self._reading.place(self.index, self.box, body)
        return True

    def settles(self, status: int, body: bytes) -> bool:
        return says_no_data(status, body)


class _Block(BatchRequest):
    """A cut-out: received in the array itself where its rows or planes are in one piece there."""

    __slots__ = ("_cutouts", "_reading", "_scratch", "box")

    def __init__(self, reading: Reading, cutouts: Cutouts, box: Box) -> None:
        self.target = cutouts.target(box)
        self.size = reading.header.shape[0] * math.prod(box.size) * reading.header.dtype.itemsize
        self.box = box
        self._reading = reading
        self._cutouts = cutouts
        self._scratch: memoryview | None = None

    def room(self) -> Iterable[memoryview]:
        part = self._reading.part(self.box)
        if part.dtype == self._reading.header.dtype:
            if part.flags.f_contiguous:
                return (_bytes_of(part),)
            if part[..., 0].flags.f_contiguous:
                return (_bytes_of(part[..., z]) for z in range(part.shape[-1]))
        self._scratch = memoryview(bytearray(self.size))
        return (self._scratch,)

    def arrived(self, headers: Mapping[str, str]) -> bool:
        if headers.get("missing-buckets", "[]").strip() != "[]" or headers.get("content-type", "").startswith("text/"):
            self._reading.part(self.box)[...] = 0
            return False
        if self._scratch is not None:
            part = self._reading.part(self.box)
            part[...] = np.frombuffer(self._scratch, self._reading.header.dtype).reshape(part.shape, order="F")
            self._scratch = None
        return True

    def settles(self, status: int, body: bytes) -> bool:  # noqa: ARG002 (any refusal means the same)
        # busy servers and those in trouble may answer the next time
        self._cutouts.refused |= status >= _REFUSED and not issubclass(
            meaning_of(status).error, (BusyError, ServerError)
        )
        return False


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


def _in_turn(*calls: Callable[[], object]) -> Callable[[], None]:
    def work() -> None:
        for call in calls:
            call()

    return work


def _bytes_of(array: NDArray[Any]) -> memoryview:
    """Return the memory of an array in one piece, first axis fastest."""
    return array.reshape(-1, order="F").view(np.uint8).data
