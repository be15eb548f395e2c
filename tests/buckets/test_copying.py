"""Copies into buckets and out of them, references between datasets, and what all of that asks servers for."""

import json

import numpy as np
import pytest
from tests.buckets.test_reading import made, same
from tests.buckets.test_writing import KINDS, fetched, files, new, random, written

import wkfast
from wkfast.buckets import ObjectPath, copy_files
from wkfast.dataset.attachments import Attachment, AttachmentDataFormat
from wkfast.errors import AddressError, DatasetError, ObjectStoreError, ReadOnlyError

FORMATS = ["wkw", "zarr", "zarr3"]


def small(folder, data_format, seed=3):
    """A dataset whose shards are small, too: a file of WKW holds all of its chunks, be they zeros or not."""
    dataset = made(folder, data_format, seed)
    dataset.delete_layer("color")
    color = dataset.add_layer("color", "color", dtype="uint8", data_format=data_format)
    shapes = {"chunk_shape": 32} if data_format == "zarr" else {"chunk_shape": 32, "shard_shape": 64}
    color.add_mag(1, **shapes).write(random((40, 40, 40), dtype=np.uint8), allow_resize=True)
    labels = dataset.get_layer("labels")
    labels.delete_mag(2)
    labels.add_mag(2, **shapes).write(random((48, 48, 48)))
    return dataset


def at(bucket, name):
    return ObjectPath(f"s3://{bucket.name}/{name}", bucket.options)


def without_name(contents):
    """Files by name, without what a dataset is called in its list."""
    name = "datasource-properties.json"
    return {**contents, name: {**json.loads(contents[name]), "id": None}}


def same_objects(bucket, first, second, tmp_path):
    one, other = (files(fetched(bucket, f"{name}/", tmp_path / name)) for name in (first, second))
    assert without_name(one) == without_name(other)


def asked_for(server, method, part):
    return [path for asked, path, _ in server.asked if asked == method and part in path]


@pytest.mark.servers("s3s")
@pytest.mark.parametrize("data_format", FORMATS)
def test_copies_from_folder_to_bucket_to_bucket_to_folder_are_the_same_files(bucket, tmp_path, data_format):
    near = small(tmp_path / "near", data_format)
    far = near.copy_dataset(at(bucket, "far"))
    again = far.copy_dataset(at(bucket, "again"))
    back = again.copy_dataset(tmp_path / "back")
    same_objects(bucket, "far", "again", tmp_path / "fetched")
    assert without_name(files(tmp_path / "fetched" / "far")) == without_name(files(near.path))
    same(back, near)


def test_the_server_copies_within_a_bucket_and_no_voxel_comes_here(between):
    dataset = new(between)
    written(dataset, *KINDS["zarr3"])
    objects = [key for key in between.listed("data/labels") if "/c/" in key]
    between.asked.clear()
    dataset.copy_dataset(at(between, "copy"))
    asked = between.asked
    assert len(asked_for(between, "COPY", "/copy/labels/")) == len(objects)
    assert not asked_for(between, "GET", "/c/0/")
    assert not asked_for(between, "PUT", "/c/0/")
    assert sum(length for method, _, length in asked if method == "PUT") < 40_000
    between.asked.clear()
    dataset.get_layer("labels").name = "renamed"
    assert len(asked_for(between, "COPY", "/data/renamed/")) >= len(objects)
    assert not asked_for(between, "GET", "/c/0/")


def test_layers_are_copied_from_one_bucket_to_another(bucket, s3_server, tmp_path):
    s3_server.client.create_bucket(Bucket=f"{bucket.name}-other")
    far = small(tmp_path / "near", "zarr3").copy_dataset(at(bucket, "data"))
    copy = wkfast.Dataset(f"s3://{bucket.name}-other/data", voxel_size=(11, 11, 25), storage_options=bucket.options)
    copy.add_layer_as_copy(far.get_layer("labels"))
    copy.add_layer_as_copy(far.path / "color", "image")
    np.testing.assert_array_equal(copy.get_layer("labels").get_mag(1).read(), far.get_layer("labels").get_mag(1).read())
    np.testing.assert_array_equal(copy.get_layer("image").get_mag(1).read(), far.get_layer("color").get_mag(1).read())


def test_copies_in_another_format_are_made_on_the_way(bucket, tmp_path):
    near = small(tmp_path / "near", "wkw")
    far = near.copy_dataset(at(bucket, "data"), data_format="zarr3", chunk_shape=16, shard_shape=64)
    view = far.get_layer("labels").get_mag(1)
    assert (str(view.info.data_format), view.info.chunk_shape) == ("zarr3", (16, 16, 16))
    np.testing.assert_array_equal(view.read(), near.get_layer("labels").get_mag(1).read())
    near.get_layer("labels").get_mag(1).rechunk(chunk_shape=16, target_path=at(bucket, "target"))
    target = wkfast.Dataset.open(at(bucket, "target")).get_layer("labels").get_mag(1)
    np.testing.assert_array_equal(target.read(), view.read())


def test_a_mag_is_copied_over_one_that_is_there(bucket, tmp_path):
    near = small(tmp_path / "near", "zarr3")
    layer = near.copy_dataset(at(bucket, "data")).get_layer("labels")
    other = small(tmp_path / "other", "zarr3", seed=9).get_layer("labels")
    mag = layer.get_mag(1)
    layer.add_mag_as_copy(other.get_mag(1), exists_ok=True)
    np.testing.assert_array_equal(mag.read(), other.get_mag(1).read())
    assert mag.path.name == "1.v2"
    layer.add_mag_as_copy(near.get_layer("labels").get_mag(1), exists_ok=True)
    np.testing.assert_array_equal(mag.read(), near.get_layer("labels").get_mag(1).read())
    assert mag.path.name == "1"
    assert not bucket.listed("data/labels/1.v2/")


def test_references_lead_from_folders_and_buckets_to_buckets(bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", bucket.options["secret"])
    address = f"s3://{bucket.name}"
    raw = small(tmp_path / "near", "zarr3").copy_dataset(f"{address}/raw")
    voxels = raw.get_layer("labels").get_mag(1).read()
    for target in (tmp_path / "here", f"{address}/there"):
        view = raw.shallow_copy_dataset(target)
        layer = wkfast.Dataset.open(target).get_layer("labels")
        np.testing.assert_array_equal(layer.get_mag(1).read(), voxels)
        stated = layer._entry_of(wkfast.Mag(1))["path"]
        assert stated == f"{address.replace('s3://', 's3://' + bucket.endpoint[7:] + '/')}/raw/labels/1"
        with pytest.raises(ReadOnlyError, match="are another layer's"):
            layer.get_mag(1).write(voxels)
        with pytest.raises(DatasetError, match="wkfast does not change it"):
            layer.add_mag_as_copy(raw.get_layer("labels").get_mag(1), exists_ok=True)
        assert str(layer.get_mag(1).referenced_mag().layer.dataset.path) == str(raw.path)
        again = wkfast.Dataset(f"{target}-again", voxel_size=(11, 11, 25)).add_layer_as_ref(layer)
        np.testing.assert_array_equal(again.get_mag(1).read(), voxels)
        view.delete_layer("labels")
        layer = view.add_layer("labels", "segmentation", dtype="uint32", largest_segment_id=99)
        layer.add_mag_as_ref(raw.get_layer("labels").get_mag(1))
        layer.delete_mag(1)
    np.testing.assert_array_equal(raw.get_layer("labels").get_mag(1).read(), voxels)


def _profiled(monkeypatch, folder, title, file, variable, endpoint):
    (folder / file).write_text(f"[other]\nendpoint_url = http://other\n[{title}]\nendpoint_url = {endpoint}\n")
    monkeypatch.setenv(variable, str(folder / file))


@pytest.mark.parametrize(
    "named",
    [
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT",
        "option",
        "password",
        "config",
        "credentials",
        "profile",
    ],
)
def test_a_reference_names_the_server_however_that_was_named(bucket, tmp_path, monkeypatch, named):
    options = {"key": "tester", "secret": bucket.options["secret"], "region_name": "us-east-1"}
    if named.startswith("AWS"):
        monkeypatch.setenv(named, bucket.endpoint)
    elif named == "option":
        options["endpoint_url"] = bucket.endpoint
    elif named == "password":
        options["endpoint_url"] = bucket.endpoint.replace("//", "//me:hush@")
    elif named == "credentials":
        _profiled(monkeypatch, tmp_path, "default", named, "AWS_SHARED_CREDENTIALS_FILE", bucket.endpoint)
    elif named == "config":
        _profiled(monkeypatch, tmp_path, "default", named, "AWS_CONFIG_FILE", bucket.endpoint)
    else:
        _profiled(monkeypatch, tmp_path, "profile lab", named, "AWS_CONFIG_FILE", bucket.endpoint)
        options["profile"] = "lab"
    address = bucket.put(small(tmp_path / "near", "zarr3").path, "raw")
    raw = wkfast.Dataset.open(address, storage_options=options)
    raw.shallow_copy_dataset(tmp_path / "here")
    stated = json.loads((tmp_path / "here" / "datasource-properties.json").read_text())["dataLayers"][0]["mags"]
    assert [mag["path"].split("/")[2] for mag in stated] == [bucket.endpoint.removeprefix("http://")] * len(stated)


def test_a_dataset_in_a_bucket_does_not_refer_to_a_folder_of_this_machine(bucket, tmp_path):
    near, far = small(tmp_path / "near", "zarr3"), new(bucket)
    before = bucket.listed()
    with pytest.raises(DatasetError, match="a folder of this machine, to which a dataset in a bucket"):
        far.add_layer_as_ref(near.get_layer("labels"))
    assert (bucket.listed(), list(far.layers)) == (before, [])


def test_attachments_are_copied_with_their_layers(bucket, tmp_path):
    near = small(tmp_path / "near", "zarr3")
    (tmp_path / "sizes.json").write_text("{}")
    (tmp_path / "mesh" / "deep").mkdir(parents=True)
    (tmp_path / "mesh" / "deep" / "a").write_bytes(b"abc")
    attachments = near.get_segmentation_layer("labels").attachments
    attachments.add_attachment_as_copy(
        Attachment("sizes", tmp_path / "sizes.json", AttachmentDataFormat.JSON, "cumsum")
    )
    attachments.add_attachment_as_copy(Attachment("mesh", tmp_path / "mesh", AttachmentDataFormat.Zarr3, "meshes"))
    far = near.copy_dataset(at(bucket, "data"))
    back = far.copy_dataset(tmp_path / "back")
    assert far.get_segmentation_layer("labels").attachments.meshes[0].path == at(bucket, "data/labels/meshes/mesh")
    assert {"data/labels/cumsum/sizes.json", "data/labels/meshes/mesh/deep/a"} <= set(bucket.listed())
    for name in ("cumsum/sizes.json", "meshes/mesh/deep/a"):
        assert (back.path / "labels" / name).read_bytes() == (near.path / "labels" / name).read_bytes()
    with pytest.raises(DatasetError, match="nothing at"):
        far.get_segmentation_layer("labels").attachments.add_attachment_as_copy(
            Attachment("none", at(bucket, "none"), AttachmentDataFormat.HDF5, "agglomerates")
        )


def test_requests_of_common_calls_are_few(between):
    dataset = new(between)
    asked = between.asked

    def count(call):
        asked.clear()
        result = call()
        return len(asked), result

    added, layer = count(lambda: dataset.add_layer("labels", "segmentation", dtype="uint32", largest_segment_id=9))
    made_mag, mag = count(lambda: layer.add_mag(1, chunk_shape=32, shard_shape=256))
    layer.bounding_box = wkfast.BoundingBox((0, 0, 0), (256, 256, 64))
    whole, _ = count(lambda: mag.write(random((256, 256, 64)), absolute_offset=(0, 0, 0)))
    one = {"absolute_offset": (32, 32, 32), "allow_unaligned": True}
    chunk, _ = count(lambda: mag.write(random((32, 32, 32)), **one))
    few, _ = count(lambda: mag.write(random((9, 9, 9)), **one))
    told = {"add_layer": added, "add_mag": made_mag, "shard": whole, "chunk of a shard": chunk, "part of a chunk": few}
    most = {"add_layer": 14, "add_mag": 26, "shard": 7, "chunk of a shard": 7, "part of a chunk": 7}
    assert all(told[name] <= most[name] for name in most), told


def test_files_that_vanish_or_lie_elsewhere_are_told(bucket, tmp_path):
    folder = at(bucket, "folder")
    with pytest.raises(ObjectStoreError, match="is gone, though it was listed"):
        copy_files(folder, tmp_path, [("none", 3)])
    with pytest.raises(AddressError, match="does not lie in"):
        folder.relative_to(at(bucket, "other"))
    (folder / "a").write(b"a")
    (folder / "b/c").write(b"bc")
    assert sorted(folder.files()) == [("a", 1), ("b/c", 2)]
    version = (folder / "a").read_version(9)[1]
    assert (folder / "a").write_if(b"x", version) is not None
    assert (folder / "a").write_if(b"y", version) is None
    assert (folder / "a").write_if(b"y") is None
    assert (folder / "a").read(9) == b"x"
    told = []
    copy_files(folder, tmp_path / "here", sorted(folder.files()), lambda *numbers: told.append(numbers))
    assert sorted(told[-1]) == sorted((2, 2, 3, 3))
    folder.remove_folder()
    assert folder.files() == []
