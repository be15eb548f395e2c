"""The reference package reads what wkfast wrote in a bucket, and the other way round."""

import numpy as np
import pytest
from tests.buckets.conftest import SECRET
from tests.buckets.test_writing import random

import wkfast


@pytest.fixture
def there(bucket, theirs):
    """Returns a function that spells a place in the bucket as the reference package wants it."""
    upath = pytest.importorskip("upath")
    pytest.importorskip("s3fs")
    return lambda name: upath.UPath(
        f"s3://{bucket.name}/{name}", key="tester", secret=SECRET, endpoint_url=bucket.endpoint
    )


FORMATS = {"wkw": 64, "zarr": 32, "zarr3": 64}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.servers("s3s")
@pytest.mark.parametrize("data_format", FORMATS)
def test_each_reads_what_the_other_wrote(bucket, theirs, there, data_format):
    voxels = random((96, 70, 64))
    ours = wkfast.Dataset(f"s3://{bucket.name}/ours", voxel_size=(11, 11, 25), storage_options=bucket.options)
    layer = ours.add_layer("labels", "segmentation", dtype="uint32", data_format=data_format, largest_segment_id=99)
    shapes = {"chunk_shape": 32, "shard_shape": FORMATS[data_format]}
    layer.add_mag(1, **shapes).write(voxels, absolute_offset=(0, 0, 0), allow_resize=True)
    layer.downsample(coarsest_mag=wkfast.Mag(2))
    read = theirs.Dataset.open(there("ours")).get_layer("labels")
    for mag, view in layer.mags.items():
        np.testing.assert_array_equal(read.get_mag(str(mag)).read(), view.read())
    made = theirs.Dataset(there("theirs"), voxel_size=(11, 11, 25))
    other = made.add_layer(
        "labels", "segmentation", dtype="uint32", data_format=data_format, largest_segment_id=99,
        bounding_box=theirs.BoundingBox((0, 0, 0), (96, 70, 64)),
    )  # fmt: skip
    other.add_mag(1, **shapes).write(voxels, absolute_offset=(0, 0, 0), allow_unaligned=True)
    found = wkfast.Dataset.open(f"s3://{bucket.name}/theirs", storage_options=bucket.options)
    np.testing.assert_array_equal(found.get_layer("labels").get_mag(1).read()[0], voxels)
