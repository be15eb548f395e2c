"""A mag whose voxels a data store streams: the ``VoxelSource`` of remote layers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from wkfast.client.errors import ClientError, NotFoundError, UnexpectedAnswerError
from wkfast.dataset.points import values_by_chunk
from wkfast.errors import DatasetError
from wkfast.remote.box import Box
from wkfast.remote.header import ArrayHeader
from wkfast.remote.reading import CONCURRENCY, Reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wkfast.client.stores import StreamedLayers
    from wkfast.remote.header import Int3
    from wkfast.remote.reading import Cutouts


class RemoteSource:
    """Voxels of one mag, fetched when read.

    Parameters
    ----------
    streamed, layer, mag
        Where the chunks are, and the names of layer and mag there.
    expected
        What the array header will say. The first read asks for voxels on this assumption and for the header beside
        them; should the header say something else, what came is dropped and asked for again.
    cutouts
        A quicker way to large boxes, if there is one.
    """

    data_format: Literal["zarr"] = "zarr"
    chunks_per_shard: Int3 = (1, 1, 1)
    compressed = False

    def __init__(
        self, streamed: StreamedLayers, layer: str, mag: str, expected: ArrayHeader, cutouts: Cutouts | None = None
    ) -> None:
        self.streamed = streamed
        self.layer = layer
        self.mag = mag
        self._expected = expected
        self._cutouts = cutouts
        self._header: ArrayHeader | None = None

    @property
    def url(self) -> str:
        """Where the chunks are."""
        return f"{self.streamed.url}/{self.layer}/{self.mag}"

    @property
    def header(self) -> ArrayHeader:
        """The array header, asked for once."""
        if self._header is None:
            self._header = ArrayHeader.of(
                self.streamed.array_header(self.layer, self.mag), f"{self.url}/.zarray", self._expected
            )
        return self._header

    @property
    def dtype(self) -> str:
        """Type of one channel."""
        return self.header.dtype.newbyteorder("=").name

    @property
    def channels(self) -> int:
        """Values per voxel."""
        return self.header.shape[0]

    @property
    def chunk_shape(self) -> Int3:
        """Shape of what is fetched at once."""
        return self.header.chunk_shape[1:]

    @property
    def extra_axes(self) -> list[str]:
        """Streamed layers have none."""
        return []

    def chunks(self) -> NDArray[np.uint32]:
        """Return the chunks that may hold data: a server does not tell which do."""
        box = Box((0, 0, 0), self.header.shape[1:])
        cells = [cell for cell, _ in box.cells(self.chunk_shape)]
        return np.array(cells, np.uint32).reshape(-1, 3)

    def read(self, topleft: Int3, size: Int3, *, extra: list[int] | None = None) -> NDArray[Any]:
        """Return a box (c, x, y, z) in Fortran order; what the server does not have, or lies outside, is zero.

        Raises
        ------
        DatasetError
            A position along other axes is asked for.
        ClientError
            A ``RuntimeError``: a chunk did not come; nothing is returned in part.
        """
        if extra:
            raise DatasetError(f"{self.url}: streamed layers have no axes beyond c, x, y, z")
        box = Box.at(topleft, size)
        if self._header is None:
            voxels = self._read_expecting(box)
            if voxels is not None:
                return voxels
        reading = self._reading(box, self.header)
        reading.fetch()
        return reading.voxels

    def values_at(self, points: NDArray[np.int64]) -> NDArray[Any]:
        """Return voxels at rows of x, y, z: ``(points, channels)``; many chunks are under way at once.

        Raises
        ------
        ClientError
            A chunk did not come.
        """
        _ = self.header
        with ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="wkfast-points") as threads:
            return values_by_chunk(self, points, threads.map)

    def _read_expecting(self, box: Box) -> NDArray[Any] | None:
        """Return the box read by the expected header, ``None`` if the true one, asked for meanwhile, is another."""
        reading = self._reading(box, self._expected)
        with ThreadPoolExecutor(1, thread_name_prefix="wkfast-header") as beside:
            try:
                # behind the first requests, so that nothing waits for it
                reading.fetch(partial(beside.submit, self._ask_for_header))
            except (NotFoundError, UnexpectedAnswerError):
                if self.header == self._expected:
                    raise
        return reading.voxels if self.header == self._expected else None

    def _ask_for_header(self) -> None:
        # where it fails, it is asked for again where the failure can be told
        with suppress(ClientError):
            _ = self.header

    def _reading(self, box: Box, header: ArrayHeader) -> Reading:
        return Reading(self.streamed, self.layer, self.mag, header, box, self._cutouts)
