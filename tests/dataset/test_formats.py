"""Arrays that independent libraries wrote, read by the core: format by type by layout by codec, at any alignment."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import wkw
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wkfast import _core
from wkfast.errors import MagNotFoundError, VolumeDataError

DTYPES = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64"]
BOXES = [((0, 0, 0), (32, 24, 20)), ((3, 5, 7), (11, 13, 9)), ((-4, 20, 15), (50, 9, 9)), ((31, 23, 19), (1, 1, 1))]


def labels(dtype: str, channels: int = 1, shape: tuple[int, int, int] = (32, 24, 20)) -> NDArray:
    """Blobs with holes of zeros, and the type's extremes."""
    values = np.arange(channels * np.prod(shape), dtype=np.int64).reshape((channels, *shape))
    data = np.where(values // 97 % 3 == 0, 0, values // 5).astype(dtype)
    kind = np.iinfo(dtype) if np.issubdtype(np.dtype(dtype), np.integer) else np.finfo(dtype)
    data[0, 0, 0, 0], data[-1, -1, -1, -1] = kind.max, kind.min
    return data


def opened(path: Path, data_format: str, **more: object) -> _core.Mag:
    container = {"kind": "directory", "path": str(path)}
    return _core.Mag.open({"mag": [1, 1, 1], "format": data_format, "container": container, "prefix": "", **more})


def box_of(data: NDArray, topleft: tuple[int, int, int], size: tuple[int, int, int]) -> NDArray:
    """What a read must give: the data where there are any, else zero."""
    out = np.zeros((data.shape[0], *size), data.dtype)
    first = [max(0, t) for t in topleft]
    last = [min(n, t + s) for n, t, s in zip(data.shape[1:], topleft, size, strict=True)]
    if all(a < b for a, b in zip(first, last, strict=True)):
        source = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
        target = tuple(slice(a - t, b - t) for a, b, t in zip(first, last, topleft, strict=True))
        out[(slice(None), *target)] = data[(slice(None), *source)]
    return out


def assert_reads(mag: _core.Mag, data: NDArray) -> None:
    assert (mag.dtype, mag.channels) == (data.dtype.name, data.shape[0])
    for topleft, size in BOXES:
        found = mag.read(topleft, size)
        assert found.dtype == data.dtype
        assert found.flags.f_contiguous
        np.testing.assert_array_equal(found, box_of(data, topleft, size))


@pytest.mark.parametrize("block_type", ["RAW", "LZ4", "LZ4HC"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_wkw_writes_is_read(tmp_path: Path, dtype: str, channels: int, block_type: str) -> None:
    data = labels(dtype, channels)
    padded = np.zeros((channels, 32, 32, 32), dtype, order="F")
    padded[:, :, :24, :20] = data
    kind = getattr(wkw.Header, f"BLOCK_TYPE_{block_type}")
    header = wkw.Header(np.dtype(dtype), num_channels=channels, block_len=8, file_len=4, block_type=kind)
    with wkw.Dataset.create(str(tmp_path / "1"), header) as dataset:
        dataset.write((0, 0, 0), padded)
    mag = opened(tmp_path / "1", "wkw")
    assert_reads(mag, data)
    assert (mag.chunk_shape, mag.chunks_per_shard, mag.compressed) == ((8, 8, 8), (4, 4, 4), block_type != "RAW")


@pytest.mark.parametrize("compressor", [None, "zstd", "gzip", "blosc"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["uint8", "<u4", ">u4", "<u8", "float64"])
def test_what_zarr_writes_as_version_2_is_read(tmp_path: Path, dtype: str, order: str, compressor: str | None) -> None:
    data = labels(np.dtype(dtype).name, 2)
    codecs = {"zstd": {"id": "zstd", "level": 5}, "gzip": {"id": "gzip", "level": 3}, "blosc": {"id": "blosc"}}
    array = zarr.create_array(
        tmp_path / "1", shape=data.shape, chunks=(2, 8, 7, 6), dtype=dtype, order=order, zarr_format=2, fill_value=0,
        compressors=None if compressor is None else zarr.registry.get_numcodec(codecs[compressor]),
        chunk_key_encoding={"name": "v2", "separator": "/" if order == "F" else "."},
    )  # fmt: skip
    array[:] = data.astype(dtype)
    assert_reads(opened(tmp_path / "1", "zarr"), data)


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("codec", [None, "zstd", "gzip", "blosc", "blosc bitshuffle"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", "int64", "float32"])
def test_what_zarr_writes_as_version_3_is_read(tmp_path: Path, dtype: str, codec: str | None, *, sharded: bool) -> None:
    data = labels(dtype)
    codecs = {
        "zstd": zarr.codecs.ZstdCodec(level=3, checksum=True),
        "gzip": zarr.codecs.GzipCodec(level=3),
        "blosc": zarr.codecs.BloscCodec(cname="lz4", shuffle="shuffle"),
        "blosc bitshuffle": zarr.codecs.BloscCodec(cname="zlib", shuffle="bitshuffle"),
    }
    array = zarr.create_array(
        tmp_path / "1", shape=data.shape, chunks=(1, 8, 8, 4), shards=(1, 16, 16, 8) if sharded else None, dtype=dtype,
        fill_value=0, compressors=None if codec is None else [codecs[codec]], dimension_names=["c", "x", "y", "z"],
        filters=[zarr.codecs.TransposeCodec(order=(3, 2, 1, 0))],
    )  # fmt: skip
    array[:] = data
    mag = opened(tmp_path / "1", "zarr3")
    assert_reads(mag, data)
    assert mag.chunks_per_shard == ((2, 2, 2) if sharded else (1, 1, 1))


def tensorstore_spec(path: Path, data: NDArray, order: list[int], location: str, separator: str) -> dict:
    inner = [
        {"name": "transpose", "configuration": {"order": order}},
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "zstd", "configuration": {"level": 1}},
        {"name": "crc32c"},
    ]
    sharding = {
        "chunk_shape": [data.shape[0], 4, 8, 5],
        "codecs": inner,
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "index_location": location,
    }
    return {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": str(path)},
        "metadata": {
            "shape": list(data.shape),
            "data_type": data.dtype.name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [data.shape[0], 16, 8, 10]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": separator}},
            "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
            "dimension_names": ["c", "x", "y", "z"],
        },
    }


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("separator", ["/", "."])
@pytest.mark.parametrize("order", [[3, 2, 1, 0], [0, 1, 2, 3], [2, 0, 3, 1]])
@pytest.mark.parametrize("dtype", ["uint8", "uint32", "uint64"])
def test_what_tensorstore_writes_in_shards_is_read(
    tmp_path: Path, dtype: str, order: list[int], separator: str, location: str
) -> None:
    data = labels(dtype, 2)
    spec = tensorstore_spec(tmp_path / "1", data, order, location, separator)
    tensorstore.open(spec, create=True).result().write(data).result()
    assert_reads(opened(tmp_path / "1", "zarr3"), data)


def test_axis_order_overrides_the_array_s_own_names(tmp_path: Path) -> None:
    data = labels("uint16")
    array = zarr.create_array(tmp_path / "1", shape=(20, 1, 24, 32), chunks=(5, 1, 8, 8), dtype="uint16", fill_value=0)
    array[:] = data.transpose(3, 0, 2, 1)
    assert_reads(opened(tmp_path / "1", "zarr3", axis_order={"z": 0, "c": 1, "y": 2, "x": 3}), data)


def test_additional_axes_are_read_slice_by_slice(tmp_path: Path) -> None:
    data = np.stack([labels("uint32"), labels("uint32") + 1], axis=1)
    array = zarr.create_array(
        tmp_path / "1", shape=data.shape, chunks=(1, 1, 8, 8, 8), dtype="uint32", fill_value=0,
        dimension_names=["c", "t", "x", "y", "z"],
    )  # fmt: skip
    array[:] = data
    mag = opened(tmp_path / "1", "zarr3")
    assert mag.extra_axes == ["t"]
    np.testing.assert_array_equal(mag.read((3, 4, 5), (9, 9, 9), extra=[1]), data[:, 1, 3:12, 4:13, 5:14])
    assert {tuple(row) for row in mag.chunks()} >= {(0, 0, 0, 0), (1, 3, 2, 2)}
    with pytest.raises(ValueError, match="additional axes"):
        mag.read((0, 0, 0), (1, 1, 1))


@settings(max_examples=60)
@given(st.data())
def test_any_box_of_a_sparse_array_is_read_as_numpy_slices_it(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("sparse") / "1"
    whole = np.zeros((1, 32, 24, 20), "uint32")
    for corner in data.draw(
        st.lists(st.tuples(st.integers(0, 31), st.integers(0, 23), st.integers(0, 19)), max_size=4)
    ):
        x, y, z = corner
        whole[:, x : x + 5, y : y + 5, z : z + 5] += 1 + x
    array = zarr.create_array(
        path, shape=whole.shape, chunks=(1, 4, 8, 5), shards=(1, 16, 8, 10), dtype="uint32", fill_value=0
    )
    array[:] = whole
    topleft = data.draw(st.tuples(*[st.integers(-5, 35)] * 3))
    size = data.draw(st.tuples(*[st.integers(0, 20)] * 3))
    np.testing.assert_array_equal(opened(path, "zarr3").read(topleft, size), box_of(whole, topleft, size))


def test_a_chunk_that_is_damaged_is_named(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "1", shape=(1, 8, 8, 8), chunks=(1, 4, 4, 4), dtype="uint8", fill_value=0)
    array[:] = 7
    chunk = tmp_path / "1" / "c" / "0" / "1" / "0" / "1"
    chunk.write_bytes(chunk.read_bytes()[:-3])
    with pytest.raises(VolumeDataError, match=r"c/0/1/0/1, chunk \(1, 0, 1\)"):
        opened(tmp_path / "1", "zarr3").read((0, 0, 0), (8, 8, 8))


def test_what_is_not_there_or_not_sane_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(MagNotFoundError, match=r"zarr\.json"):
        opened(tmp_path, "zarr3")
    with pytest.raises(VolumeDataError, match="nowhere"):
        opened(tmp_path / "nowhere", "wkw")
    (tmp_path / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group"}))
    with pytest.raises(VolumeDataError, match=r"zarr\.json"):
        opened(tmp_path, "zarr3")
    zarr.create_array(tmp_path / "1", shape=(1, 8, 8, 8), chunks=(1, 4, 4, 4), dtype="uint8", fill_value=0)
    mag = opened(tmp_path / "1", "zarr3")
    for topleft, size in [((0, 0, 0), (-1, 1, 1)), ((2**60, 0, 0), (1, 1, 1))]:
        with pytest.raises(ValueError, match=r"negative|beyond"):
            mag.read(topleft, size)
    with pytest.raises((MemoryError, ValueError)):
        mag.read((0, 0, 0), (2**20, 2**20, 2**20))


def test_the_mags_of_a_real_annotation_are_found_and_read(fixtures: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mags = _core.discover_mags(
            fixtures / "annotations" / "l4_sample_zarr3.zip", "data_Volume.zip", declared="zarr3"
        )
    assert [found["location"]["mag"] for found in mags][:2] == [(1, 1, 1), (2, 2, 1)]
    mag = _core.Mag.open(mags[0]["location"])
    assert (mag.chunk_count, mag.stored_bytes, mag.encoding) == (mags[0]["chunks"], mags[0]["stored_bytes"], "blosc")
    x, y, z = (int(n) * 32 for n in mag.chunks()[0])
    assert mag.read((x, y, z), (32, 32, 32)).shape == (1, 32, 32, 32)
    with pytest.warns(UserWarning, match="said to be wkw but holds zarr3"):
        _core.discover_mags(fixtures / "annotations" / "l4_sample_zarr3.zip", "data_Volume.zip", declared="wkw")
