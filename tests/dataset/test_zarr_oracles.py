"""Any Zarr v3 array: what zarr-python writes the core reads, what the core writes zarr-python and tensorstore read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from wkfast import _core

DTYPES = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64"]
BLOSC = st.fixed_dictionaries(
    {
        "cname": st.sampled_from(["blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd"]),
        "clevel": st.integers(0, 9),
        "shuffle": st.sampled_from(["noshuffle", "shuffle", "bitshuffle"]),
        "typesize": st.sampled_from([1, 2, 4, 8]),
        "blocksize": st.sampled_from([0, 4096]),
    }
)
COMPRESSORS = st.one_of(
    st.just([]),
    st.fixed_dictionaries({"level": st.integers(1, 9), "checksum": st.booleans()}).map(lambda c: [codec("zstd", **c)]),
    st.integers(0, 9).map(lambda level: [codec("gzip", level=level)]),
    BLOSC.map(lambda c: [codec("blosc", **c)]),
)


def codec(name: str, **configuration: Any) -> dict[str, Any]:
    return {"name": name, "configuration": configuration} if configuration else {"name": name}


@st.composite
def arrays(draw: st.DrawFn) -> dict[str, Any]:
    """Metadata of an array: type, lengths of chunks and shards, order of axes and bytes, codecs, names of chunks."""
    chunk = [draw(st.integers(1, most)) for most in (2, 4, 4, 4)]
    codecs = [
        codec("transpose", order=draw(st.permutations(range(4)))),
        codec("bytes", endian=draw(st.sampled_from(["little", "big"]))),
        *draw(COMPRESSORS),
        *draw(st.sampled_from([[], [codec("crc32c")]])),
    ]
    shard = chunk
    if draw(st.booleans()):
        shard = [chunk[0], *(edge * draw(st.integers(1, 3)) for edge in chunk[1:])]
        index = [codec("bytes", endian="little"), *draw(st.sampled_from([[], [codec("crc32c")]]))]
        location = draw(st.sampled_from(["start", "end"]))
        codecs = [codec("sharding_indexed", chunk_shape=chunk, codecs=codecs, index_codecs=index,
                        index_location=location)]  # fmt: skip
    dtype = draw(st.sampled_from(DTYPES))
    return {
        "zarr_format": 3, "node_type": "array", "shape": [shard[0], *(3 * edge for edge in shard[1:])],
        "data_type": dtype, "fill_value": 0.0 if dtype.startswith("float") else 0, "attributes": {},
        "chunk_grid": codec("regular", chunk_shape=shard), "codecs": codecs,
        "chunk_key_encoding": codec("default", separator=draw(st.sampled_from(["/", "."]))),
        "dimension_names": ["c", "x", "y", "z"],
    }  # fmt: skip


def made(folder: Path, metadata: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "zarr.json").write_text(json.dumps(metadata))
    return folder


def opened(path: Path) -> _core.Mag:
    container = {"kind": "directory", "path": str(path)}
    return _core.Mag.open({"mag": [1, 1, 1], "format": "zarr3", "container": container, "prefix": ""})


def by_zarr_python(path: Path) -> Any:
    return zarr.open_array(path, mode="r+")


def by_tensorstore(path: Path) -> Any:
    return tensorstore.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}).result()


def libraries(metadata: dict[str, Any]) -> list[Callable[[Path], Any]]:
    """Those that know the array's codecs: numcodecs builds blosc without snappy."""
    return [by_tensorstore] if "snappy" in json.dumps(metadata) else [by_zarr_python, by_tensorstore]


@settings(max_examples=60)
@given(metadata=arrays(), seed=st.integers(0, 2**32 - 1))
def test_any_array_goes_from_library_to_library(
    tmp_path_factory: pytest.TempPathFactory, metadata: dict[str, Any], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    random = np.random.default_rng(seed)
    # Smooth enough to be compressed, and now and then zeros.
    data = (random.integers(0, 5, metadata["shape"]) * random.integers(0, 25)).astype(metadata["data_type"])
    ours = made(folder / "ours", metadata)
    opened(ours).write((0, 0, 0), np.asfortranarray(data))
    for number, library in enumerate(libraries(metadata)):
        theirs = made(folder / str(number), metadata)
        library(theirs)[...] = data
        np.testing.assert_array_equal(opened(theirs).read((0, 0, 0), data.shape[1:]), data)
        np.testing.assert_array_equal(library(ours)[...], data)
