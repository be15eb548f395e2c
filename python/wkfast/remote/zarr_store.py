"""A streamed mag as a read-only Zarr store. This module loads zarr; import it when an array is asked for."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from wkfast.dataset.source_store import SourceStore
from wkfast.remote.reading import CONCURRENCY

if TYPE_CHECKING:
    import numpy as np

    from wkfast.remote.source import RemoteSource


class RemoteStore(SourceStore):
    """A store whose chunks are fetched by threads of its own: they wait for a server, and many may wait at once."""

    def __init__(self, source: RemoteSource, name: str) -> None:
        super().__init__(source, source.header.shape[1:], name)
        self._arguments = (source, name)
        self._threads = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="wkfast-zarr")

    def __reduce__(self) -> tuple[type[RemoteStore], tuple[RemoteSource, str]]:
        return RemoteStore, self._arguments

    async def _content(self, key: str) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
        place = self._place(key)
        if place is None:
            return await super()._content(key)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._chunk, place)
