"""Voxels of any source as a Zarr v3 array: a store whose chunks are read when they are asked for, and never kept."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, NoReturn

import zarr
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest

from wkfast._lazy import lazy_import
from wkfast.errors import DatasetError, ReadOnlyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    import numpy as np
    from zarr.core.buffer import Buffer, BufferPrototype

    from wkfast.dataset.voxel_source import VoxelSource
else:
    np = lazy_import("numpy")

_METADATA = "zarr.json"
_AXES = ("c", "x", "y", "z")
_CHUNK_PREFIX = "c"


def source_array(source: VoxelSource, extent: Sequence[int], name: str) -> zarr.Array[Any]:
    """Return `source` as a read-only ``zarr.Array`` (c, x, y, z) in chunks of the source.

    Parameters
    ----------
    extent
        x, y, z in voxels of the mag, from voxel 0 on.
    name
        What errors call it.

    Raises
    ------
    DatasetError
        The source has more axes than c, x, y, z; later, on an attempt to write.

    Examples
    --------
    >>> array = source_array(source, (64, 64, 64), "mag 1")  # doctest: +SKIP
    >>> array[0, :32, :32, :32].shape  # doctest: +SKIP
    (32, 32, 32)
    """
    if source.extra_axes:
        raise DatasetError(
            f"{name} has the additional axes {', '.join(source.extra_axes)} and no Zarr array; use read()"
        )
    return zarr.open_array(SourceStore(source, extent, name), mode="r")


class SourceStore(Store):
    """A store of one array. Its chunks are what the source reads, uncompressed, so nothing is encoded for nobody."""

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, source: VoxelSource, extent: Sequence[int], name: str) -> None:
        super().__init__(read_only=True)
        self._source = source
        self._extent = tuple(int(edge) for edge in extent)
        self._name = name
        self._metadata = json.dumps(_metadata(source, self._extent)).encode()

    def with_read_only(self, read_only: bool = False) -> SourceStore:
        """Return this store; it cannot become writable."""
        if not read_only:
            self._refuse()
        return self

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return the metadata or a chunk, whole or in part; ``None`` for keys that this array does not have."""
        content = await self._content(key)
        if content is None:
            return None
        return prototype.buffer.from_array_like(content[_slice(byte_range, len(content))])

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return several values at once."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Return whether the array has a value of that key; every chunk within it counts."""
        return key == _METADATA or self._place(key) is not None

    async def list(self) -> AsyncIterator[str]:
        """Yield the keys of the metadata and of the chunks that hold data."""
        yield _METADATA
        for x, y, z in (await asyncio.to_thread(self._source.chunks))[:, -3:]:
            key = f"{_CHUNK_PREFIX}/0/{x}/{y}/{z}"
            if self._place(key) is not None:
                yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys that begin with `prefix`."""
        async for key in self.list():
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names right below `prefix`."""
        folder = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        told = set()
        async for key in self.list_prefix(folder):
            name = key.removeprefix(folder).split("/")[0]
            if name not in told:
                told.add(name)
                yield name

    async def set(self, key: str, value: Buffer) -> None:  # noqa: ARG002 - the signature is zarr's
        """Refuse.

        Raises
        ------
        ReadOnlyError
            Always.
        """
        self._refuse()

    async def delete(self, key: str) -> None:  # noqa: ARG002 - the signature is zarr's
        """Refuse.

        Raises
        ------
        ReadOnlyError
            Always.
        """
        self._refuse()

    def _check_writable(self) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ReadOnlyError(f"{self._name} is a read-only view: its voxels are computed or fetched while they are read")

    async def _content(self, key: str) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
        if key == _METADATA:
            return np.frombuffer(self._metadata, np.uint8)
        place = self._place(key)
        return None if place is None else await asyncio.to_thread(self._chunk, place)

    def _place(self, key: str) -> tuple[int, int, int] | None:
        """Return the chunk that a key names, if it lies within the array."""
        prefix, *numbers = key.split("/")
        if prefix != _CHUNK_PREFIX or len(numbers) != len(_AXES) or not all(number.isdecimal() for number in numbers):
            return None
        channel, x, y, z = map(int, numbers)
        inside = all(
            n * edge < end for n, edge, end in zip((x, y, z), self._source.chunk_shape, self._extent, strict=True)
        )
        return (x, y, z) if inside and channel == 0 else None

    def _chunk(self, place: tuple[int, int, int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Return the bytes of a chunk, c fastest, then x: the order in which sources hand them out."""
        (x, y, z), (width, height, depth) = place, self._source.chunk_shape
        voxels = self._source.read((x * width, y * height, z * depth), (width, height, depth))
        little = voxels.astype(voxels.dtype.newbyteorder("<"), order="F", copy=False)
        return little.reshape(-1, order="F").view(np.uint8)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SourceStore) and (self._source, self._extent) == (other._source, other._extent)

    def __hash__(self) -> int:
        return id(self._source)

    def __repr__(self) -> str:
        return f"SourceStore({self._name})"


def _metadata(source: VoxelSource, extent: tuple[int, ...]) -> dict[str, Any]:
    dtype = np.dtype(source.dtype)
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [source.channels, *extent],
        "data_type": dtype.name,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": [source.channels, *source.chunk_shape]},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [
            {"name": "transpose", "configuration": {"order": [3, 2, 1, 0]}},
            {"name": "bytes", **({"configuration": {"endian": "little"}} if dtype.itemsize > 1 else {})},
        ],
        "dimension_names": list(_AXES),
        "attributes": {},
    }


def _slice(part: ByteRequest | None, length: int) -> slice:
    match part:
        case RangeByteRequest(start=start, end=end):
            return slice(start, end)
        case OffsetByteRequest(offset=offset):
            return slice(offset, None)
        case SuffixByteRequest(suffix=suffix):
            return slice(max(0, length - suffix), None)
        case _:
            return slice(None)
