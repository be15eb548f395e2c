"""WKW files read and written the plain way: numpy, struct and an LZ4 library, block by block.

Nothing here calls wkfast's core, so it can check what the core writes. Format: ``header.wkw`` and
``z<Z>/y<Y>/x<X>.wkw`` as described by the WKW specification of WEBKNOSSOS.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import lz4.block
import numpy as np
from numpy.typing import NDArray

Voxels: TypeAlias = NDArray[np.generic]

_VOXEL_TYPES = {
    1: "u1",
    2: "<u2",
    3: "<u4",
    4: "<u8",
    5: "<f4",
    6: "<f8",
    7: "i1",
    8: "<i2",
    9: "<i4",
    10: "<i8",
}
_RAW = 1
_LZ4_HC = 3


@dataclass(frozen=True)
class WkwHeader:
    """The 16 bytes at the start of every WKW file."""

    block_edge: int
    blocks_per_file_edge: int
    block_type: int
    dtype: np.dtype[np.generic]

    @classmethod
    def parse(cls, data: bytes) -> "WkwHeader":
        """Read a header.

        Examples
        --------
        >>> WkwHeader.parse(bytes.fromhex("574b5701250303040000000000000000")).dtype
        dtype('uint32')
        """
        magic, version, edges, block_type, voxel_type, _size = struct.unpack_from("<3sBBBBB", data)
        if magic != b"WKW" or version != 1:
            raise ValueError(f"not a WKW file: starts with {data[:4]!r}")
        return cls(1 << (edges & 15), 1 << (edges >> 4), block_type, np.dtype(_VOXEL_TYPES[voxel_type]))

    def pack(self, data_offset: int) -> bytes:
        """Return the header as bytes, for blocks that begin at `data_offset`."""
        edges = (self.block_edge.bit_length() - 1) | (self.blocks_per_file_edge.bit_length() - 1) << 4
        codes = {np.dtype(name): code for code, name in _VOXEL_TYPES.items()}
        return struct.pack(
            "<3sBBBBBQ", b"WKW", 1, edges, self.block_type, codes[self.dtype], self.dtype.itemsize, data_offset
        )

    @property
    def block_shape(self) -> tuple[int, int, int]:
        """Voxels of a block along x, y, z."""
        return (self.block_edge,) * 3


def blocks_of_file(data: bytes) -> Iterator[tuple[tuple[int, int, int], Voxels]]:
    """Yield place (x, y, z, in blocks) and voxels (x, y, z) of every block of one WKW file."""
    header = WkwHeader.parse(data)
    count = header.blocks_per_file_edge**3
    size = header.block_edge**3 * header.dtype.itemsize
    (start,) = struct.unpack_from("<Q", data, 8)
    raw = header.block_type == _RAW
    ends = [start + (i + 1) * size for i in range(count)] if raw else struct.unpack_from(f"<{count}Q", data, 16)
    for i, end in enumerate(ends):
        payload = data[start:end]
        block = payload if raw else lz4.block.decompress(payload, uncompressed_size=size)
        yield morton_place(i), np.frombuffer(block, header.dtype).reshape(header.block_shape, order="F")
        start = end


def file_of_blocks(header: WkwHeader, voxels: Voxels) -> bytes:
    """Return a compressed WKW file that holds `voxels` (x, y, z), the full extent of one file."""
    edge = header.block_edge
    payloads = []
    for i in range(header.blocks_per_file_edge**3):
        x, y, z = (place * edge for place in morton_place(i))
        block = voxels[x : x + edge, y : y + edge, z : z + edge].astype(header.dtype).tobytes(order="F")
        payloads.append(lz4.block.compress(block, mode="high_compression", store_size=False))
    data_offset = 16 + 8 * len(payloads)
    ends = data_offset + np.cumsum([len(payload) for payload in payloads], dtype="<u8")
    return header.pack(data_offset) + ends.astype("<u8").tobytes() + b"".join(payloads)


def write_mag(folder: Path, voxels: Voxels, *, block_edge: int = 32, blocks_per_file_edge: int = 4) -> None:
    """Write `voxels` (x, y, z), from the origin on, as the WKW mag `folder`."""
    header = WkwHeader(block_edge, blocks_per_file_edge, _LZ4_HC, voxels.dtype)
    folder.mkdir(parents=True)
    (folder / "header.wkw").write_bytes(header.pack(0))
    edge = block_edge * blocks_per_file_edge
    padded = np.pad(voxels, [(0, -n % edge) for n in voxels.shape])
    for x, y, z in np.ndindex(*(n // edge for n in padded.shape)):
        cube = padded[x * edge : (x + 1) * edge, y * edge : (y + 1) * edge, z * edge : (z + 1) * edge]
        if cube.any():
            file = folder / f"z{z}" / f"y{y}" / f"x{x}.wkw"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(file_of_blocks(header, cube))


def read_box(folder: Path, topleft: tuple[int, int, int], size: tuple[int, int, int]) -> Voxels:
    """Return the voxels (x, y, z) of a box of the WKW mag `folder`; what has no file is zero."""
    header = WkwHeader.parse((folder / "header.wkw").read_bytes())
    out = np.zeros(size, header.dtype)
    file_edge = header.block_edge * header.blocks_per_file_edge
    first = [start // file_edge for start in topleft]
    last = [-(-(start + n) // file_edge) for start, n in zip(topleft, size, strict=True)]
    for offset in np.ndindex(*(b - a for a, b in zip(first, last, strict=True))):
        x, y, z = (a + o for a, o in zip(first, offset, strict=True))
        file = folder / f"z{z}" / f"y{y}" / f"x{x}.wkw"
        if not file.is_file():
            continue
        for place, block in blocks_of_file(file.read_bytes()):
            origin = [n * file_edge + p * header.block_edge for n, p in zip((x, y, z), place, strict=True)]
            paste(block, origin, out, topleft)
    return out


def paste(block: Voxels, block_origin: list[int], out: Voxels, out_origin: tuple[int, int, int]) -> None:
    """Copy the part of `block` that lies in `out`; both origins in voxels of one mag."""
    into, from_ = [], []
    for start, n, base, extent in zip(block_origin, block.shape, out_origin, out.shape, strict=True):
        lo, hi = max(start, base), min(start + n, base + extent)
        if lo >= hi:
            return
        into.append(slice(lo - base, hi - base))
        from_.append(slice(lo - start, hi - start))
    out[tuple(into)] = block[tuple(from_)]


def morton_place(index: int) -> tuple[int, int, int]:
    """Return x, y, z of the block at `index` in Morton order, x in the lowest bit.

    Examples
    --------
    >>> [morton_place(i) for i in (0, 1, 2, 4, 9)]
    [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (3, 0, 0)]
    """
    place = [0, 0, 0]
    for bit in range(0, index.bit_length(), 3):
        for axis in range(3):
            place[axis] |= (index >> (bit + axis) & 1) << (bit // 3)
    return place[0], place[1], place[2]
