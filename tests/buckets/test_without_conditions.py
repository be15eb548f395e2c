"""Servers that ignore conditions on puts, or refuse such requests: one at a time, all is as elsewhere."""

import json

import pytest
from tests.buckets.test_merge_targets import at, objects
from tests.buckets.test_merging import files, painted
from tests.buckets.test_writing import KINDS, LEFT, fetched, new, random, written
from tests.buckets.test_writing import files as all_files

import wkfast
from wkfast.errors import DatasetError, ExistsError, TargetNotEmptyError, VolumeDataError

pytestmark = pytest.mark.servers("s3s-ignores", "s3s-refuses")


@pytest.mark.parametrize("kind", ["wkw", "zarr3"])
def test_layers_are_written_changed_and_copied(bucket, tmp_path, kind):
    far, near = new(bucket), wkfast.Dataset(tmp_path / "data", voxel_size=(11, 11, 25))
    for dataset in (far, near):
        layer = written(dataset, *KINDS[kind])
        layer.downsample(coarsest_mag=wkfast.Mag(2))
        dataset.add_layer_as_copy(layer, "copy")
        layer.name = "renamed"
        dataset.delete_layer("copy")
        layer.get_mag(1).rechunk(chunk_shape=16)
    found, expected = all_files(fetched(bucket, "data", tmp_path / "fetched")), all_files(near.path)
    list_of = "datasource-properties.json"
    assert {name.replace("1.v2", "1") for name in found} == set(expected)
    assert len(json.loads(found[list_of])["dataLayers"]) == len(json.loads(expected[list_of])["dataLayers"]) == 1
    for mag, view in near.get_layer("renamed").mags.items():
        assert (far.get_layer("renamed").get_mag(mag).read() == view.read()).all()
    assert not [key for key in bucket.listed("data") if key.endswith(LEFT)]


def test_merges_are_finished_where_they_were_stopped(bucket, tmp_path):
    annotation = painted(tmp_path / "near")

    def stop(done, *_):
        if done >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        annotation.plan_merge(at(bucket, "out"), tmp_path / "near").plan.run(progress=stop)
    with pytest.raises(TargetNotEmptyError, match="different merge"):
        annotation.merge_fallback_layer(at(bucket, "out"), tmp_path / "near", policy="nonzero")
    plan = annotation.plan_merge(at(bucket, "out"), tmp_path / "near").plan
    with plan.hold(), pytest.raises(TargetNotEmptyError, match="process"):
        annotation.merge_fallback_layer(at(bucket, "out"), tmp_path / "near")
    annotation.merge_fallback_layer(at(bucket, "out"), tmp_path / "near")
    annotation.merge_fallback_layer(tmp_path / "expected", tmp_path / "near")
    assert objects(bucket, "out") == files(tmp_path / "expected")


def test_what_is_there_is_not_overwritten(bucket):
    dataset = new(bucket)
    layer = written(dataset, *KINDS["zarr3"])
    before = bucket.listed()
    with pytest.raises(DatasetError, match="there is something already"):
        new(bucket)
    path = dataset.path / "note"
    version = path.write_if(b"first")
    assert (path.write_if(b"second"), path.read(9)) == (None, b"first")
    path.write(b"third")
    assert (path.write_if(b"fourth", version), path.read(9)) == (None, b"third")
    path.remove()
    with pytest.raises((ExistsError, VolumeDataError)):
        layer.add_mag(1)
    layer.get_mag(1).write(random((9, 9, 9)), absolute_offset=(3, 3, 3), allow_unaligned=True)
    assert bucket.listed() == before
