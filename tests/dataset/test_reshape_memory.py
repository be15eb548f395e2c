"""Mags are made out of mags in memory that does not grow with layer or shard."""

import numpy as np
import pytest
from tests.inputs import measured, needs_peaks

import wkfast as wk

pytestmark = [pytest.mark.slow, needs_peaks]
MB = 2**20

JOB = """
import wkfast as wk

layer = wk.Dataset.open(sys.argv[1]).get_layer("labels")
layer.get_mag(1).read(size=(32, 32, 32))
before = begin()
exec(sys.argv[2])
print(peak() - before)
"""
WORKS = {
    "downsample": "layer.downsample()",
    "compress": "layer.get_mag(1).compress()",
    "rechunk": "layer.get_mag(1).rechunk(chunk_shape=64, shard_shape=256)",
    "copy": "wk.Dataset(sys.argv[1] + '-copy', voxel_size=(1, 1, 1)).add_layer_as_copy(layer)",
}


def dataset(folder, depth, *, compress):
    """A layer of 512 × 512 × `depth` voxels in shards of 512³: 1 MB decoded for each slice."""
    made = wk.Dataset(folder, voxel_size=(1, 1, 1))
    box = wk.BoundingBox((0, 0, 0), (512, 512, depth))
    layer = made.add_layer("labels", "segmentation", dtype="uint32", data_format="zarr3", bounding_box=box)
    mag = layer.add_mag(1, shard_shape=512, compress=compress)
    slab = np.arange(512 * 512 * 32, dtype=np.uint32).reshape(512, 512, 32) // 4096
    for z in range(0, depth, 32):
        mag.write(slab + z, absolute_offset=(0, 0, z), allow_unaligned=True)
    return folder


@pytest.mark.parametrize("work", WORKS)
def test_peak_memory_is_bounded_and_flat(work, tmp_path):
    peaks = []
    for depth in (64, 320):
        path = dataset(tmp_path / str(depth), depth, compress=work != "compress")
        peaks += measured(JOB, path, WORKS[work], WKFAST_THREADS="2")
    # 320 MB decoded: whoever held a layer or a shard would show.
    assert max(peaks) < 150 * MB, peaks
    assert peaks[1] - peaks[0] < 64 * MB, peaks


MANY_CHUNKS = """
import wkfast as wk

dataset = wk.Dataset(sys.argv[1], voxel_size=(1, 1, 1))
box = wk.BoundingBox((0, 0, 0), (64, 64, 64))
layer = dataset.add_layer("labels", "segmentation", dtype="uint8", data_format="wkw", bounding_box=box)
layer.add_mag(1, chunk_shape=32, shard_shape=32).write(np.ones((64, 64, 64), np.uint8), absolute_offset=(0, 0, 0))
header = layer.path / "1" / "header.wkw"
content = bytearray(header.read_bytes())
content[4] = 128  # files of 256 x 256 x 256 blocks of one voxel
header.write_bytes(content)
layer = wk.Dataset.open(sys.argv[1]).get_layer("labels")
copy = wk.Dataset(sys.argv[1] + "-copy", voxel_size=(1, 1, 1))
before = begin()
try:
    copy.add_layer_as_copy(layer)
except wk.errors.VolumeDataError:
    print(peak() - before)
"""


def test_a_header_of_sixteen_million_chunks_takes_no_gigabytes(tmp_path):
    """What is kept of each chunk of a shard is a few numbers, whether it holds data or not."""
    (peak,) = measured("import numpy as np\n" + MANY_CHUNKS, tmp_path / "dataset", WKFAST_THREADS="2")
    assert peak < 700 * MB, peak
