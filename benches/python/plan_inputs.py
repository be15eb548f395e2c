"""Layers of a million tiny files, to see what plans of merges cost: files are the point, voxels are not."""

from __future__ import annotations

import json
import random
import shutil
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

# Voxels along an edge of a chunk, and chunks along one of a shard: a file with its index fits into a page.
CHUNK, CHUNKS = 2, 4
# Of the fallback's files so many have an annotation's over them, with so many of 64 chunks in each.
TOUCHED_ONE_IN, TOUCHED_CHUNKS = 4, 40
_CHUNK_BYTES = CHUNK**3 * 4
_ABSENT = 2**64 - 1
# Files differ in size, as compressed ones do.
_KINDS = 64


def make(folder: Path, files: int) -> dict[str, Any]:
    """Return what a merge of so many files, of ten touched chunks each, is told; its layers are made unless there."""
    edge = round(files ** (1 / 3)) + 1
    for name, one_in, chunks in (("fallback", 1, 8), ("annotation", TOUCHED_ONE_IN, TOUCHED_CHUNKS)):
        if not (folder / name / "done").exists():
            shutil.rmtree(folder / name, ignore_errors=True)
            _make_mag(folder / name, range(0, files, one_in), edge, chunks)
    # so that untouched files take no time that is the file system's
    return told(folder, [edge * CHUNK * CHUNKS] * 3, {"link": "hard"})


def told(folder: Path, size: list[int], options: dict[str, str], target: str = "target") -> dict[str, Any]:
    """Return what a merge is told of the layers ``annotation`` and ``fallback`` in a folder, of so many voxels."""
    return {
        "annotations": [[_location(folder / "annotation")]],
        "fallback": [_location(folder / "fallback")],
        "fallback_bounding_box": {"topleft": [0] * 3, "size": size},
        "target": str(folder / target),
        "target_mags": [{"mag": [1, 1, 1], "folder": "segmentation/1"}],
        "options": options,
    }


def _location(path: Path) -> dict[str, Any]:
    container = {"kind": "directory", "path": str(path)}
    return {"mag": [1, 1, 1], "format": "zarr3", "container": container, "prefix": ""}


def _make_mag(folder: Path, numbers: range, edge: int, chunks: int) -> None:
    folder.mkdir(parents=True)
    (folder / "zarr.json").write_text(
        json.dumps(metadata([edge * CHUNK * CHUNKS] * 3, CHUNK * CHUNKS, CHUNK, checksum=True))
    )
    contents = [_shard(chunks, kind) for kind in range(_KINDS)]
    made: set[Path] = set()
    for number in numbers:
        x, y, z = number // (edge * edge), number // edge % edge, number % edge
        parent = folder / f"c/0/{x}/{y}"
        if parent not in made:
            parent.mkdir(parents=True)
            made.add(parent)
        (parent / str(z)).write_bytes(contents[hash((x, y, z)) % _KINDS])
    (folder / "done").touch()


def _shard(chunks: int, kind: int) -> bytes:
    """Return a shard with so many chunks at places drawn by `kind`; the index lies behind them."""
    draw = random.Random(kind)
    index = [(_ABSENT, _ABSENT)] * CHUNKS**3
    bodies = b""
    for place in sorted(draw.sample(range(CHUNKS**3), chunks)):
        bodies += bytes(draw.randrange(50))  # what a writer left behind
        index[place] = (len(bodies), _CHUNK_BYTES)
        bodies += struct.pack("<8I", *(draw.randrange(1, 1000) for _ in range(CHUNK**3)))
    packed = b"".join(struct.pack("<QQ", *span) for span in index)
    return bodies + packed + struct.pack("<I", _crc32c(packed))


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def metadata(size: list[int], shard: int, chunk: int, *, checksum: bool) -> dict[str, Any]:
    """Return the ``zarr.json`` of so many voxels of uint32 in shards and raw chunks of such edges."""
    plain = {"name": "bytes", "configuration": {"endian": "little"}}
    sharding = {
        "chunk_shape": [1] + [chunk] * 3,
        "codecs": [plain],
        "index_codecs": [plain, {"name": "crc32c"}] if checksum else [plain],
        "index_location": "end",
    }
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [1, *size],
        "data_type": "uint32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1] + [shard] * 3}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "dimension_names": ["c", "x", "y", "z"],
        "attributes": {},
    }
