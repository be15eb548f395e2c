"""Any source of voxels is a zarr.Array: zarr and dask read from it what the source reads, and cannot write."""

import sys

import dask.array
import numpy as np
import pytest
import zarr
from examples.demo.plain_wkw import write_mag

from wkfast import _core
from wkfast.dataset.source_store import SourceStore, source_array
from wkfast.errors import DatasetError

SHAPE = (100, 70, 40)


@pytest.fixture
def voxels():
    return np.random.default_rng(3).integers(0, 2**32, SHAPE, dtype=np.uint32)


@pytest.fixture
def source(voxels, tmp_path):
    write_mag(tmp_path / "1", voxels, blocks_per_file_edge=2)
    container = {"kind": "directory", "path": str(tmp_path / "1")}
    return _core.Mag.open({"mag": [1, 1, 1], "format": "wkw", "container": container, "prefix": ""})


def test_an_array_over_a_source_has_its_voxels(source, voxels):
    array = source_array(source, SHAPE, "mag 1")
    assert (array.shape, array.chunks, array.dtype) == ((1, *SHAPE), (1, 32, 32, 32), np.uint32)
    np.testing.assert_array_equal(array[0], voxels)
    np.testing.assert_array_equal(array[0, 31:65, 3:70, ::3], voxels[31:65, 3:70, ::3])


def test_dask_reads_it_from_several_threads(source, voxels):
    array = dask.array.from_zarr(source_array(source, SHAPE, "mag 1"))
    assert array.sum(dtype=np.uint64).compute(scheduler="threads") == voxels.sum(dtype=np.uint64)
    again = dask.array.from_array(source_array(source, SHAPE, "mag 1"), chunks=(1, 64, 64, 64))
    np.testing.assert_array_equal(again.compute(scheduler="threads", num_workers=4)[0], voxels)


class Numbers:
    """Voxels that know their place, big-endian, two channels; one chunk holds data."""

    data_format = "zarr3"
    channels = 2
    chunk_shape = (8, 4, 2)
    chunks_per_shard = (1, 1, 1)
    extra_axes = ()
    compressed = False

    def __init__(self, dtype):
        self.dtype = dtype

    def chunks(self):
        return np.array([[1, 0, 2], [9, 9, 9]], np.uint32)

    def read(self, topleft, size):
        axes = [np.arange(start, start + edge) for start, edge in zip(topleft, size, strict=True)]
        c, x, y, z = np.meshgrid(np.arange(self.channels), *axes, indexing="ij")
        return np.asfortranarray((c + 3 * x + 5 * y + 7 * z).astype(self.dtype))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u4", "uint64", "int16", "float32", "float64"])
def test_channels_types_and_byte_orders_are_kept(dtype):
    source = Numbers(dtype)
    array = source_array(source, (20, 9, 5), "numbers")
    expected = source.read((0, 0, 0), (20, 9, 5))
    assert array.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(array[:], expected)


def test_keys_are_those_of_chunks_with_data_within_the_extent():
    store = SourceStore(Numbers("uint8"), (20, 9, 5), "numbers")
    array = zarr.open_array(store, mode="r")
    assert array.nchunks_initialized == 1
    assert [key for key in ("c/0/1/0/2", "c/0/3/0/0", "c/1/0/0/0", "c/0/a/0/0", "c/0/0", "x") if has(store, key)] == [
        "c/0/1/0/2"
    ]
    assert sorted(listed(store, "")) == ["c", "zarr.json"]
    assert listed(store, "c/0") == ["1"]


def has(store, key):
    return zarr.core.sync.sync(store.exists(key))


def listed(store, prefix):
    async def names():
        return [name async for name in store.list_dir(prefix)]

    return zarr.core.sync.sync(names())


def test_parts_of_a_chunk_can_be_asked_for():
    from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
    from zarr.core.buffer import default_buffer_prototype

    store = SourceStore(Numbers("uint16"), (20, 9, 5), "numbers")

    def get(part=None):
        return zarr.core.sync.sync(store.get("c/0/0/0/0", default_buffer_prototype(), part)).to_bytes()

    whole = get()
    assert len(whole) == 2 * 2 * 8 * 4 * 2
    assert get(RangeByteRequest(3, 9)) == whole[3:9]
    assert get(OffsetByteRequest(5)) == whole[5:]
    assert get(SuffixByteRequest(7)) == whole[-7:]


def test_writing_is_refused_with_the_reason(source):
    array = source_array(source, SHAPE, "mag 1 of layer 'segmentation'")
    with pytest.raises(DatasetError, match="mag 1 of layer 'segmentation' is a read-only view"):
        array[0, :4] = 7
    store = SourceStore(source, SHAPE, "mag 1")
    with pytest.raises(DatasetError, match="read-only view"):
        store.with_read_only(read_only=False)
    with pytest.raises(DatasetError, match="read-only view"):
        zarr.core.sync.sync(store.delete("zarr.json"))


def test_a_damaged_chunk_is_an_error_that_names_it(source, tmp_path):
    file = next((tmp_path / "1").rglob("x0.wkw"))
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(RuntimeError, match=r"x0\.wkw"):
        source_array(source, SHAPE, "mag 1")[:]


def test_more_axes_than_an_array_has_are_refused():
    source = Numbers("uint8")
    source.extra_axes = ("t",)
    with pytest.raises(DatasetError, match="additional axes t"):
        source_array(source, (20, 9, 5), "numbers")


def test_zarr_is_loaded_when_the_first_array_is_asked_for():
    import subprocess

    code = "import sys, wkfast.dataset; sys.exit('zarr' in sys.modules or 'wkfast.dataset.source_store' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
