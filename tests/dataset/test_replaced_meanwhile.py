"""What others replace while it is read was there before and is there afterwards: nobody reads zeros, or no dataset.

On a FUSE mount (`bindfs`), where `open` of a name that is being renamed over finds nothing for some milliseconds.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from wkfast import Dataset

SHAPE = (128, 128, 128)
READS = 60


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    below, mounted = tmp_path / "below", tmp_path / "mounted"
    below.mkdir()
    mounted.mkdir()
    if shutil.which("bindfs") is None or subprocess.run(["bindfs", below, mounted], check=False).returncode:
        pytest.skip("no FUSE mounts here")
    yield mounted
    unmount = ["fusermount3", "-u", "-z"] if shutil.which("fusermount3") else ["umount", "-l"]
    subprocess.run([*unmount, mounted], check=False)


REPLACE = """
import sys
import numpy as np
from wkfast import Dataset

dataset = Dataset.open(sys.argv[1])
mag = dataset.get_layer("color").get_mag(1)
while True:
    mag.write(np.full((128, 128, 128), 7, np.uint8), absolute_offset=(0, 0, 0))
    dataset.name = "the same"
    print(flush=True)
"""


@pytest.mark.parametrize("data_format", ["wkw", "zarr3"])
def test_what_is_replaced_is_never_absent(mount: Path, data_format: str) -> None:
    dataset = Dataset(mount / "dataset", voxel_size=(1, 1, 1))
    layer = dataset.add_layer("color", "color", dtype="uint8", data_format=data_format)
    mag = layer.add_mag(1, chunk_shape=(32, 32, 32), chunks_per_shard=(2, 2, 2))
    mag.write(np.full(SHAPE, 7, np.uint8), absolute_offset=(0, 0, 0), allow_resize=True)
    jobs = [subprocess.Popen([sys.executable, "-c", REPLACE, dataset.path], stdout=subprocess.PIPE) for _ in range(2)]
    try:
        assert all(job.stdout is not None and job.stdout.readline() for job in jobs)  # all are at it
        for _ in range(READS):
            mag = Dataset.open(dataset.path).get_layer("color").get_mag(1)
            assert (mag.read(absolute_offset=(0, 0, 0), size=SHAPE) == 7).all()
        assert all(job.poll() is None for job in jobs)
    finally:
        for job in jobs:
            job.kill()
            job.communicate()
