"""Volume layers of many chunks are listed, exported and edited in memory that does not grow with them."""

import io
import zipfile

import numpy as np
import pytest
from numcodecs import Blosc
from tests.inputs import measured, minimal_nml, needs_peaks, write_many_members, zarr3_data_zip

pytestmark = [pytest.mark.slow, needs_peaks]
MANY = 100_000
MB = 2**20
# The C library gives large pieces back when they are freed. By itself it keeps some of them, by the threads that had
# them, and a peak was 55 to 67 MB for the same work.
GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": "131072"}

START = """
import tempfile
from pathlib import Path
import numpy as np
import wkfast as wk

before = begin()
annotation = wk.Annotation.load(sys.argv[1])
volume = annotation.get_volume_layer()
"""
LIST = """
count = sum(box.size == (32, 32, 32) for box in volume.as_layer().get_finest_mag().get_bounding_boxes_on_disk())
"""
EXPORT = """
with tempfile.TemporaryDirectory() as folder:
    volume.export_to_dataset(wk.Dataset(Path(folder) / "d", voxel_size=(1, 1, 1)))
count = 1
"""
EDIT = """
with volume.edit(edit_mode=wk.VolumeLayerEditMode(sys.argv[2])) as layer:
    mag = layer.get_finest_mag()
    mag.write(np.ones((64, 64, 64), np.uint32), absolute_offset=(0, 0, 0), allow_resize=True, allow_unaligned=True)
count = 1
"""
END = """
print(count, peak() - before)
"""


def annotation_of(path, count, *, noise):
    """An annotation whose layer has `count` chunks; of noise, so that they weigh, or of one label each."""
    inner = path.with_suffix(".inner")
    write_many_members(inner, members_of(count, noise=noise))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.nml", minimal_nml('<volume id="0" name="V" location="d.zip" format="zarr3" />'))
        archive.write(inner, "d.zip")
    inner.unlink()
    return path


def members_of(count, *, noise):
    """Yield names and contents of a data zip."""
    with zipfile.ZipFile(io.BytesIO(zarr3_data_zip({(0, 0, 0): np.zeros((32, 32, 32), np.uint32)}))) as plain:
        for name in ("datasource-properties.json", "volumeAnnotationData/1/zarr.json"):
            yield name, plain.read(name)
    encoder = Blosc("lz4", 1, Blosc.NOSHUFFLE)
    generator = np.random.default_rng(1)
    edge = round(count ** (1 / 3)) + 1
    content = bytes(encoder.encode(np.full(32**3, 7, np.uint32)))
    for number in range(count):
        if noise:
            content = bytes(encoder.encode(generator.integers(0, 2**32, 32**3, np.uint32)))
        x, y, z = number % edge, number // edge % edge, number // edge**2
        yield f"volumeAnnotationData/1/c.0.{x}.{y}.{z}", content


def run(job, *arguments, **environment):
    """Return what a job counted, and by how much memory grew at most."""
    return measured(START + job + END, *arguments, WKFAST_THREADS="2", **environment)


def test_listing_a_hundred_thousand_chunks_stays_below_the_bound(tmp_path):
    file = annotation_of(tmp_path / "a.zip", MANY, noise=False)
    count, grown = run(LIST, file, **GIVES_BACK)
    assert count == MANY
    assert grown < 52 * MB


@pytest.fixture(scope="module")
def annotations(tmp_path_factory):
    """Files of annotations by the number of their chunks, which no job changes: 65 MB and 520 MB."""
    folder = tmp_path_factory.mktemp("noise")
    files = {count: annotation_of(folder / f"{count}.zip", count, noise=True) for count in (500, 4000)}
    yield files
    for file in files.values():
        file.unlink()


@pytest.mark.parametrize(
    ("job", "arguments"),
    [(EXPORT, ()), (EDIT, ("temporary_directory",)), (EDIT, ("memory",))],
    ids=["export", "folder", "memory"],
)
def test_memory_does_not_grow_with_the_layer(annotations, job, arguments):
    grown = {count: run(job, file, *arguments)[1] for count, file in annotations.items()}
    assert grown[4000] < 200 * MB
    assert grown[4000] < grown[500] + 32 * MB
