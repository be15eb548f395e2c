"""A streamed mag as a read-only Zarr store. This module loads zarr; import it when an array is asked for."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest

from wkfast.errors import ReadOnlyError
from wkfast.remote.source import CONCURRENCY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

    from wkfast.remote.source import RemoteSource

_HEADER = ".zarray"
_REFUSAL = "streamed layers are read-only: copy the layer into a local dataset to change it"


class RemoteStore(Store):
    """The keys ``.zarray`` and ``c.x.y.z`` of one mag; a chunk that the server does not have is no key."""

    supports_writes = False
    supports_deletes = False
    supports_listing = False

    def __init__(self, source: RemoteSource) -> None:
        super().__init__(read_only=True)
        self._source = source
        # zarr asks on one thread; those that wait for the server start as they are needed
        self._threads = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="wkfast-zarr")

    def __reduce__(self) -> tuple[type[RemoteStore], tuple[RemoteSource]]:
        return RemoteStore, (self._source,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemoteStore) and other._source.url == self._source.url

    def __hash__(self) -> int:
        return hash(self._source.url)

    def __repr__(self) -> str:
        return f"RemoteStore({self._source.url!r})"

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return the value of a key, ``None`` if there is none."""
        body = await asyncio.get_running_loop().run_in_executor(self._threads, self._value, key)
        return None if body is None else prototype.buffer.from_bytes(_cut(body, byte_range))

    def _value(self, key: str) -> bytes | None:
        if key == _HEADER:
            return json.dumps(self._source.header.to_json()).encode()
        parts = key.split(".")
        if not all(part.isdigit() for part in parts):
            return None  # .zattrs, zarr.json: servers have none and are not asked
        c, x, y, z = map(int, parts)
        return self._source.streamed.chunk(self._source.layer, self._source.mag, (c, x, y, z))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return the values, or parts of them, of several keys."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Whether there is a value."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._value, key) is not None

    async def set(self, key: str, value: Buffer) -> None:  # noqa: ARG002 (zarr's signature)
        """Refuse: nothing can be written."""
        raise ReadOnlyError(f"cannot write {key} of {self._source.url}: {_REFUSAL}")

    async def delete(self, key: str) -> None:
        """Refuse: nothing can be deleted."""
        raise ReadOnlyError(f"cannot delete {key} of {self._source.url}: {_REFUSAL}")

    async def list(self) -> AsyncIterator[str]:
        """Yield the one key that is known to be there: a server does not list chunks."""
        yield _HEADER

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield the known key if it begins so."""
        if _HEADER.startswith(prefix):
            yield _HEADER

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the known key in the root."""
        if prefix in ("", "/"):
            yield _HEADER


def _cut(body: bytes, byte_range: Any) -> bytes:
    if isinstance(byte_range, RangeByteRequest):
        return body[byte_range.start : byte_range.end]
    if isinstance(byte_range, OffsetByteRequest):
        return body[byte_range.offset :]
    if isinstance(byte_range, SuffixByteRequest):
        return body[-byte_range.suffix :]
    return body
