"""Datasets in buckets and on servers of files: what is read there is what lies in the folder that was put there."""

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from tests.buckets.conftest import SECRET

import wkfast
from wkfast.buckets import ObjectPath
from wkfast.dataset import open_layer
from wkfast.errors import (
    AddressError,
    DatasetNotFoundError,
    ObjectStoreError,
    ReadOnlyError,
    VolumeDataError,
)

FORMATS = ["wkw", "zarr", "zarr3"]
BOX = {"absolute_offset": (10, 0, 33), "size": (70, 64, 40)}


def made(folder, data_format, seed=3, name="labels"):
    """A dataset of a segmentation in two mags, half of whose chunks are there, and a colour layer."""
    random = np.random.default_rng(seed)
    dataset = wkfast.Dataset(folder, voxel_size=(11, 11, 25))
    layer = dataset.add_layer(name, "segmentation", dtype="uint32", data_format=data_format, largest_segment_id=99)
    voxels = random.integers(0, 99, (96, 96, 96), np.uint32)
    voxels[:, 32:64] = 0
    layer.add_mag(1, chunk_shape=32, shard_shape=32 if data_format == "zarr" else 64).write(voxels, allow_resize=True)
    layer.downsample_mag(wkfast.Mag(1), target_mag=wkfast.Mag(2))
    color = dataset.add_layer("color", "color", dtype="uint8", data_format=data_format)
    color.add_mag(1).write(random.integers(0, 255, (40, 40, 40), np.uint8), allow_resize=True)
    return dataset


def one_shard(folder, shape):
    """Make a dataset of labels in chunks of 32³ in one shard, and return them."""
    dataset = wkfast.Dataset(folder, voxel_size=(1, 1, 1))
    layer = dataset.add_layer("labels", "segmentation", dtype="uint32", data_format="zarr3", largest_segment_id=9)
    voxels = np.random.default_rng(0).integers(0, 9, shape, np.uint32)
    layer.add_mag(1, chunk_shape=32, shard_shape=256).write(voxels, allow_resize=True)
    return voxels


def same(far, near):
    for name, layer in near.layers.items():
        found = far.get_layer(name)
        assert found.bounding_box == layer.bounding_box
        assert list(found.mags) == list(layer.mags)
        for mag in layer.mags:
            np.testing.assert_array_equal(found.get_mag(mag).read(), layer.get_mag(mag).read())
    np.testing.assert_array_equal(
        far.get_layer("labels").get_mag(1).read(**BOX), near.get_layer("labels").get_mag(1).read(**BOX)
    )


@pytest.mark.servers("s3s")
@pytest.mark.parametrize("data_format", FORMATS)
def test_a_dataset_in_a_bucket_reads_as_in_its_folder(bucket, tmp_path, data_format):
    near = made(tmp_path / "near", data_format)
    far = wkfast.Dataset.open(bucket.put(near.path, "some/ü x+y%20#?"), storage_options=bucket.options)
    same(far, near)
    points = np.random.default_rng(4).integers(-5, 110, (500, 3))
    labels, expected = far.get_layer("labels"), near.get_layer("labels")
    np.testing.assert_array_equal(labels.values_at(points), expected.values_at(points))
    counted, there = labels.segment_statistics(), expected.segment_statistics()
    for column in there:
        np.testing.assert_array_equal(counted[column], there[column])
    np.testing.assert_array_equal(
        labels.get_mag(1).get_zarr_array()[0, 5:40, 3:7, 90], expected.get_mag(1).read()[0, 5:40, 3:7, 90]
    )
    copy = wkfast.Dataset(tmp_path / "copy", voxel_size=(11, 11, 25)).add_layer_as_copy(labels)
    np.testing.assert_array_equal(copy.get_mag(1).read(), expected.get_mag(1).read())
    assert SECRET not in repr(far) + str(far.path) + repr(labels) + repr(far.path)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("ranges", [True, False])
def test_a_dataset_on_a_server_of_files_reads_as_in_its_folder(serve, tmp_path, data_format, ranges):
    near = made(tmp_path / "a b" / "near", data_format)
    address, _ = serve(tmp_path, ranges=ranges)
    far = wkfast.Dataset.open(f"{address}/a%20b/near/")
    if ranges or data_format == "zarr":
        same(far, near)
    else:
        with pytest.raises(VolumeDataError, match="no ranges of bytes"):
            far.get_layer("labels").get_mag(1).read(**BOX)


def test_upaths_and_the_environment_say_how_a_bucket_is_reached(bucket, tmp_path, monkeypatch):
    near = made(tmp_path / "near", "zarr3")
    address = bucket.put(near.path, "data")

    class UPath:
        def __init__(self):
            inner = {"endpoint_url": bucket.endpoint}
            self.storage_options = {"client_kwargs": inner, "key": "tester", "secret": SECRET}

        def __str__(self):
            return address

    same(wkfast.Dataset.open(UPath()), near)
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    same(wkfast.Dataset.open(address), near)


def _sum(view):
    return int(view.read().sum())


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_layers_travel_to_other_processes(bucket, tmp_path, monkeypatch, start):
    near = made(tmp_path / "near", "zarr3")
    far = wkfast.Dataset.open(bucket.put(near.path, "data"), storage_options=bucket.options)
    view = far.get_layer("labels").get_mag(1)
    expected = _sum(near.get_layer("labels").get_mag(1))
    assert _sum(view) == expected  # the runtime is there before the fork
    with ProcessPoolExecutor(1, mp_context=get_context(start)) as pool:
        assert pool.submit(_sum, view).result(60) == expected
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    of_environment = wkfast.Dataset.open(far.path.url)
    assert _sum(of_environment.get_layer("labels").get_mag(1)) == expected
    assert SECRET.encode() not in pickle.dumps(of_environment)


def test_what_is_opened_read_only_or_on_a_server_of_files_is_not_changed(bucket, serve, tmp_path):
    near = made(tmp_path / "near", "zarr3")
    address = bucket.put(near.path, "data")
    far = wkfast.Dataset.open(address, read_only=True, storage_options=bucket.options)
    served = wkfast.Dataset.open(f"{serve(tmp_path)[0]}/near")
    before = bucket.listed()
    for dataset, reason in ((far, "opened with read_only=True"), (served, "a server of files")):
        for change in (
            lambda: dataset.add_layer("new", "color"),  # noqa: B023 - called at once
            lambda: dataset.delete_layer("color"),  # noqa: B023
            lambda: dataset.get_layer("labels").get_mag(1).write(np.ones((4, 4, 4), np.uint32)),  # noqa: B023
            lambda: dataset.get_layer("labels").downsample(),  # noqa: B023
            lambda: setattr(dataset, "name", "other"),  # noqa: B023
        ):
            with pytest.raises(ReadOnlyError, match=reason):
                change()
    assert bucket.listed() == before
    assert far.get_layer("labels").path == ObjectPath(f"{address}/labels", bucket.options)
    assert far.get_layer("labels").get_mag(1).path == ObjectPath(f"{address}/labels/1", bucket.options)
    assert far.path == ObjectPath(address, bucket.options)


def test_arrays_and_images_are_opened_where_they_lie(bucket, tmp_path):
    zarr = pytest.importorskip("zarr")
    voxels = np.random.default_rng(1).integers(0, 9, (20, 30, 40), np.uint16)
    group = zarr.open_group(tmp_path / "cells.zarr", mode="w", zarr_format=3)
    group.create_array("0", data=voxels, chunks=(10, 10, 10))
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
    scale = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [2.0, 0.5, 0.5]}]}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": scale}]}
    address = bucket.put(tmp_path / "cells.zarr", "cells.zarr")
    image = open_layer(address, storage_options=bucket.options)
    np.testing.assert_array_equal(image.get_mag(1).read(), voxels)
    assert image.dataset.voxel_size == (500, 500, 2000)
    array = open_layer(f"{address}/0", axes="zyx", storage_options=bucket.options)
    np.testing.assert_array_equal(array.get_mag(1).read(), voxels)
    with pytest.raises(DatasetNotFoundError, match="open_layer opens"):
        wkfast.Dataset.open(address, storage_options=bucket.options)


def test_mags_of_a_local_dataset_may_lie_in_a_bucket(bucket, serve, tmp_path, monkeypatch):
    near = made(tmp_path / "near", "zarr3")
    bucket.put(near.path, "data")
    server, _ = serve(tmp_path)
    host = bucket.endpoint.removeprefix("http://")
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    suffix = f"{host}__{bucket.name}".replace(".", "_").replace(":", "_").replace("-", "_").upper()
    monkeypatch.setenv(f"AWS_ACCESS_KEY_ID__{suffix}", "tester")
    monkeypatch.setenv(f"AWS_SECRET_ACCESS_KEY__{suffix}", SECRET)
    linked = made(tmp_path / "linked", "zarr3", seed=5)
    properties = linked.path / "datasource-properties.json"
    text = properties.read_text()
    text = text.replace('"./labels/1"', f'"s3://{host}/{bucket.name}/data/labels/1"')
    text = text.replace('"./labels/2"', f'"{server}/near/labels/2"')
    properties.write_text(text)
    linked = wkfast.Dataset.open(linked.path)
    for mag in (1, 2):
        view = linked.get_layer("labels").get_mag(mag)
        np.testing.assert_array_equal(view.read(), near.get_layer("labels").get_mag(mag).read())
        with pytest.raises(ReadOnlyError):
            view.write(np.ones((1, 4, 4, 4), np.uint32))
    linked.delete_layer("labels")
    assert "data/labels/1/zarr.json" in bucket.listed()


def test_what_cannot_be_read_is_one_clear_error(bucket, serve, tmp_path):
    options = bucket.options
    with pytest.raises(DatasetNotFoundError, match=f"no dataset at s3://{bucket.name}/none"):
        wkfast.Dataset.open(f"s3://{bucket.name}/none", storage_options=options)
    with pytest.raises(ObjectStoreError, match="no such bucket") as caught:
        wkfast.Dataset.open("s3://there-is-none/data", storage_options=options)
    assert "the storage options" in str(caught.value)
    assert SECRET not in str(caught.value)
    address, _ = serve(tmp_path)
    with pytest.raises(DatasetNotFoundError, match="no dataset at http://127"):
        wkfast.Dataset.open(f"{address}/none")
    for url, given, said in (
        ("ftp://host/data", None, "wkfast knows s3://"),
        ("s3://bucket/data", {"secrte": SECRET}, "unknown storage option 'secrte'"),
        ("s3://bucket/data", {"key": object()}, "'key' is no text"),
        ("s3:///data", None, "names no bucket"),
        ("https://host/data?token=hush", None, "has a query"),
    ):
        with pytest.raises((AddressError, VolumeDataError), match=said) as caught:
            wkfast.Dataset.open(url, storage_options=given)
        assert "hush" not in str(caught.value)


def test_chunks_that_come_with_one_request_are_told_apart(serve, tmp_path):
    voxels = one_shard(tmp_path / "data", (160, 160, 160))
    address, asked = serve(tmp_path)
    view = wkfast.Dataset.open(f"{address}/data").get_layer("labels").get_mag(1)
    asked.clear()
    np.testing.assert_array_equal(view.read()[0], voxels)
    assert len(asked) < 10, asked  # for 125 chunks
