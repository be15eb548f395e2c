"""Datasets that are made and changed in buckets: what lies there is what a folder would hold."""

import json
import subprocess
import sys
import textwrap
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context

import numpy as np
import pytest
from tests.buckets.conftest import SECRET
from tests.buckets.test_reading import made

import wkfast
from wkfast.buckets import ObjectPath
from wkfast.dataset import open_layer
from wkfast.dataset.object_place import ObjectPlace
from wkfast.errors import (
    BeingMadeError,
    DatasetError,
    DatasetNotFoundError,
    DatasetValueError,
    ExistsError,
    MagNotFoundError,
    ObjectStoreError,
    ReadOnlyError,
    VolumeDataError,
)

KINDS = {
    "wkw": ("wkw", {"chunk_shape": 32, "shard_shape": 64}),
    "zarr": ("zarr", {"chunk_shape": 32}),
    "zarr3": ("zarr3", {"chunk_shape": 32, "shard_shape": 64}),
    "zarr3 unsharded": ("zarr3", {"chunk_shape": 32, "shard_shape": 32}),
}
LEFT = ".wkfast-left"


def fetched(bucket, prefix, folder):
    """Fetch all objects below a prefix into a folder."""
    for key in bucket.listed(prefix):
        target = folder / key.removeprefix(prefix).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(bucket.client.get_object(Bucket=bucket.name, Key=key)["Body"].read())
    return folder


def new(bucket, name="data"):
    return wkfast.Dataset(f"s3://{bucket.name}/{name}", voxel_size=(11, 11, 25), storage_options=bucket.options)


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def random(shape, seed=0, dtype=np.uint32):
    return np.random.default_rng(seed).integers(0, 99, shape, dtype)


def written(dataset, data_format, shapes):
    """A layer that is written whole, in part, across shards, and over what is there."""
    layer = dataset.add_layer("labels", "segmentation", dtype="uint32", data_format=data_format, largest_segment_id=99)
    mag = layer.add_mag(1, **shapes)
    mag.write(random((96, 70, 64)), absolute_offset=(0, 0, 0), allow_resize=True)
    for number, (corner, size) in enumerate(
        [((5, 6, 7), (9, 9, 9)), ((60, 30, 31), (20, 3, 40)), ((0, 0, 0), (64,) * 3)]
    ):
        mag.write(random(size, number), absolute_offset=corner, allow_resize=True, allow_unaligned=True)
    mag.write(np.zeros((32, 32, 32), np.uint32), absolute_offset=(64, 0, 0), allow_unaligned=True)
    return layer


@pytest.mark.servers("s3s")
@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_in_a_bucket_is_byte_for_byte_that_in_a_folder(bucket, tmp_path, kind):
    far, near = new(bucket), wkfast.Dataset(tmp_path / "data", voxel_size=(11, 11, 25))
    for dataset in (far, near):
        layer = written(dataset, *KINDS[kind])
        layer.downsample(coarsest_mag=wkfast.Mag(4))
    there = fetched(bucket, "data", tmp_path / "fetched")
    assert files(there) == files(near.path)
    again = wkfast.Dataset.open(far.path).get_layer("labels")
    for mag, view in near.get_layer("labels").mags.items():
        np.testing.assert_array_equal(again.get_mag(mag).read(), view.read())
    assert again.get_mag(1).info.bounding_box == near.get_layer("labels").get_mag(1).info.bounding_box
    if KINDS[kind][0] != "wkw":
        zarr = pytest.importorskip("zarr")
        array = zarr.open_array(there / "labels" / "1", mode="r")
        box = layer.bounding_box
        np.testing.assert_array_equal(array[0, : box.size.x, : box.size.y, : box.size.z], layer.get_mag(1).read()[0])


def test_other_readers_find_the_layer_in_the_bucket(bucket, monkeypatch):
    tensorstore = pytest.importorskip("tensorstore")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    layer = written(new(bucket), *KINDS["zarr3"])
    store = {
        "driver": "s3", "bucket": bucket.name, "path": "data/labels/1/", "endpoint": bucket.endpoint,
        "aws_region": "us-east-1", "aws_credentials": {"type": "environment"},
    }  # fmt: skip
    array = tensorstore.open({"driver": "zarr3", "kvstore": store}, read=True, open=True).result()
    voxels = layer.get_mag(1).read()
    size = layer.bounding_box.size
    np.testing.assert_array_equal(array[:, : size.x, : size.y, : size.z].read().result(), voxels)


def add_layers(address, options, first):
    dataset = wkfast.Dataset.open(address, storage_options=options)
    for number in range(first, first + 4):
        dataset.write_layer(f"layer{number}", "color", np.full((4, 4, 4), number, np.uint8), downsample=False)


def fill_shard(address, options, first):
    mag = wkfast.Dataset.open(address, storage_options=options).get_layer("labels").get_mag(1)
    for z in range(first, 64, 16):
        box = {"absolute_offset": (0, 0, z), "allow_unaligned": True}
        mag.write(np.full((64, 64, 8), z + 1, np.uint32), **box)


def at_once(function, *cases):
    with ProcessPoolExecutor(len(cases), mp_context=get_context("spawn")) as pool:
        for done in [pool.submit(function, *case) for case in cases]:
            done.result()


@pytest.mark.servers("s3s")
def test_processes_that_add_layers_at_once_undo_nothing_of_each_other(bucket):
    dataset = new(bucket)
    at_once(add_layers, (str(dataset.path), bucket.options, 0), (str(dataset.path), bucket.options, 4))
    again = wkfast.Dataset.open(dataset.path)
    assert sorted(again.layers) == [f"layer{number}" for number in range(8)]
    assert [int(again.get_layer(f"layer{number}").get_mag(1).read().max()) for number in range(8)] == list(range(8))
    assert not [key for key in bucket.listed("data") if key.endswith(LEFT)]


def paint(address, options, place):
    """What each task of an array does: make what is not there yet, and write its own part."""
    dataset = wkfast.Dataset(address, voxel_size=(11, 11, 25), exist_ok=True, storage_options=options)
    mag = dataset.get_or_add_layer("cells", "segmentation", dtype="uint32").get_or_add_mag(1, chunk_shape=32)
    corner, part = (32 * place, 0, 0), np.full((32, 32, 32), place + 1, np.uint32)
    mag.write(part, absolute_offset=corner, allow_resize=True, allow_unaligned=True)


@pytest.mark.servers("s3s")
def test_tasks_that_begin_at_once_share_what_one_of_them_makes(bucket):
    address = f"s3://{bucket.name}/painted"
    at_once(paint, *((address, bucket.options, place) for place in range(4)))
    dataset = wkfast.Dataset.open(address, storage_options=bucket.options)
    voxels = dataset.get_layer("cells").get_mag(1).read(absolute_offset=(0, 0, 0), size=(128, 32, 32))[0]
    np.testing.assert_array_equal(voxels[:, 0, 0], np.repeat(np.arange(4) + 1, 32))
    assert not [key for key in bucket.listed("painted") if key.endswith(LEFT)]


def test_a_mag_that_is_made_and_not_listed_yet_is_its_makers(bucket, monkeypatch):
    ours = new(bucket).add_layer("l", "color", dtype="uint8")
    theirs = wkfast.Dataset.open(ours.dataset.path).get_layer("l")
    list_mag, seen = type(ours)._list_mag, []

    def meanwhile(layer, *given):
        if layer is ours:
            for call in (theirs.add_mag, theirs.delete_mag):
                with pytest.raises(BeingMadeError) as caught:
                    call(1)
                seen.append(caught)
        return list_mag(layer, *given)

    monkeypatch.setattr(type(ours), "_list_mag", meanwhile)
    ours.add_mag(1).write(np.ones((8, 8, 8), np.uint8), allow_resize=True)
    assert len(seen) == 2
    assert wkfast.Dataset.open(ours.dataset.path).get_layer("l").get_mag(1).read().all()


@pytest.mark.servers("s3s")
@pytest.mark.parametrize("kind", ["wkw", "zarr3"])
def test_processes_that_share_a_shard_lose_nothing(bucket, kind):
    dataset = new(bucket)
    layer = dataset.add_layer(
        "labels", "segmentation", dtype="uint32", data_format=KINDS[kind][0], largest_segment_id=99,
        bounding_box=wkfast.BoundingBox((0, 0, 0), (64, 64, 64)),
    )  # fmt: skip
    layer.add_mag(1, **KINDS[kind][1])
    at_once(fill_shard, (str(dataset.path), bucket.options, 0), (str(dataset.path), bucket.options, 8))
    expected = np.repeat(np.arange(0, 64, 8) + 1, 8)
    found = wkfast.Dataset.open(dataset.path).get_layer("labels").get_mag(1).read()[0]
    np.testing.assert_array_equal(found, np.broadcast_to(expected, (64, 64, 64)))


@pytest.mark.servers("s3s")
def test_layers_and_mags_are_changed_renamed_and_deleted(bucket):
    dataset = new(bucket)
    layer = written(dataset, *KINDS["zarr3"])
    voxels = layer.get_mag(1).read()
    layer.downsample(coarsest_mag=wkfast.Mag(2))
    color = dataset.write_layer("color", "color", random((20, 20, 20), dtype=np.uint8), downsample=False)
    layer.name = "renamed"
    dataset.name = "other"
    layer.largest_segment_id = 77
    again = wkfast.Dataset.open(dataset.path)
    assert (again.name, again.get_segmentation_layer("renamed").largest_segment_id) == ("other", 77)
    np.testing.assert_array_equal(again.get_layer("renamed").get_mag(1).read(), voxels)
    assert not bucket.listed("data/labels")
    layer.delete_mag("2-2-1")
    assert not bucket.listed("data/renamed/2-2-1")
    dataset.delete_layer("renamed")
    assert not bucket.listed("data/renamed")
    assert list(wkfast.Dataset.open(dataset.path).layers) == ["color"]
    np.testing.assert_array_equal(
        color.get_mag(1).read(), wkfast.Dataset.open(dataset.path).get_layer("color").get_mag(1).read()
    )


@pytest.mark.servers("s3s")
def test_mags_that_are_stored_anew_are_read_where_they_are_now(bucket):
    dataset = new(bucket)
    layer = written(dataset, "zarr3", {"chunk_shape": 32, "shard_shape": 64, "compress": False})
    mag = layer.get_mag(1)
    part, voxels = mag.get_view(absolute_offset=(0, 0, 0), size=(64, 64, 64)), mag.read()
    mag.compress()
    assert mag.info.compression_mode
    np.testing.assert_array_equal(mag.read(), voxels)
    np.testing.assert_array_equal(part.read(), voxels[:, :64, :64, :64])
    first = set(bucket.listed("data/labels/"))
    mag.rechunk(chunk_shape=16, shard_shape=128)
    np.testing.assert_array_equal(wkfast.Dataset.open(dataset.path).get_layer("labels").get_mag(1).read(), voxels)
    assert not {key for key in bucket.listed("data/labels/") if key in first and "/1" in key}
    part.write(voxels[:, :64, :64, :64], allow_unaligned=True)
    layer.downsample(coarsest_mag=wkfast.Mag(2))
    coarse = layer.get_mag("2-2-1").read()
    layer.redownsample()
    np.testing.assert_array_equal(layer.get_mag("2-2-1").read(), coarse)


def doubled(voxels):
    with suppress(ValueError):  # which numba does not compile: that would take most of the test
        return voxels * np.uint32(2)


def test_what_makes_layers_out_of_others_makes_them_in_a_bucket(bucket):
    dataset = new(bucket)
    layer = written(dataset, *KINDS["zarr3"])
    voxels = layer.get_mag(1).read()
    relabelled = layer.relabel({5: 6, 7: 0}, "relabelled")
    expected = voxels.copy()
    expected[voxels == 5], expected[voxels == 7] = 6, 0
    np.testing.assert_array_equal(relabelled.get_mag(1).read(), expected)
    target = dataset.add_layer_like(layer, "doubled").add_mag(1)
    with pytest.warns(UserWarning, match="doubled"):
        layer.get_mag(1).map_chunks(doubled, target)
    np.testing.assert_array_equal(target.read(), voxels * 2)
    coarse = dataset.add_layer_like(layer, "coarse")
    coarse.add_mag_as_copy(layer.get_mag(1), mag=2, extend_layer_bounding_box=False)
    coarse.upsample(wkfast.Mag(2), shard_shape=64)
    np.testing.assert_array_equal(coarse.get_mag(1).read()[:, ::2, ::2, ::2], coarse.get_mag(2).read())


def test_workers_write_into_a_bucket(bucket):
    dataset = new(bucket)
    layer = written(dataset, *KINDS["zarr3"])
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        layer.downsample_mag(wkfast.Mag(1), wkfast.Mag(2), executor=pool)
        layer.relabel({5: 6}, "relabelled", executor=pool)
    written(new(bucket, "plain"), *KINDS["zarr3"]).downsample_mag(wkfast.Mag(1), wkfast.Mag(2))
    plain = wkfast.Dataset.open(f"s3://{bucket.name}/plain", storage_options=bucket.options)
    np.testing.assert_array_equal(layer.get_mag(2).read(), plain.get_layer("labels").get_mag(2).read())
    assert dataset.get_layer("relabelled").get_mag(1).read().shape == layer.get_mag(1).read().shape
    assert not [key for key in bucket.listed("data") if key.endswith(".wkfast-ticket")]


def test_layers_whose_objects_are_there_are_listed(bucket, tmp_path):
    near = made(tmp_path / "near", "zarr3")
    dataset = wkfast.Dataset(f"s3://{bucket.name}/other", voxel_size=(11, 11, 25), storage_options=bucket.options)
    bucket.put(near.path / "labels", "other/labels")
    layer = dataset.add_layer_for_existing_files("labels", "segmentation")
    assert sorted(layer.mags) == sorted(near.get_layer("labels").mags)
    layer.bounding_box = near.get_layer("labels").bounding_box
    np.testing.assert_array_equal(layer.get_mag(1).read(), near.get_layer("labels").get_mag(1).read())
    with pytest.raises(ExistsError, match="has the mag 1 already"):
        layer.add_mag_for_existing_files(1)
    with pytest.raises(MagNotFoundError):
        layer.add_mag_for_existing_files(16)
    with pytest.raises(MagNotFoundError, match="no mag in s3://"):
        dataset.add_layer_for_existing_files("none", "color")


def test_a_dataset_in_memory_lasts_as_long_as_the_process():
    layer = written(wkfast.Dataset("memory://test-writing/data", voxel_size=(1, 1, 1)), *KINDS["wkw"])
    again = wkfast.Dataset.open("memory://test-writing/data").get_layer("labels")
    np.testing.assert_array_equal(again.get_mag(1).read(), layer.get_mag(1).read())


# -- refusals ---------------------------------------------------------------------------------------------------------


def test_a_dataset_is_made_where_there_is_nothing_and_opened_where_it_is(bucket, tmp_path):
    dataset = new(bucket)
    with pytest.raises(DatasetError, match="there is something already"):
        new(bucket)
    assert wkfast.Dataset(dataset.path, voxel_size=(11, 11, 25), exist_ok=True).path == dataset.path
    with pytest.raises(DatasetError, match="has the voxel size"):
        wkfast.Dataset(dataset.path, voxel_size=(1, 1, 1), exist_ok=True)
    made(tmp_path / "near", "zarr3")
    bucket.put(tmp_path / "near" / "labels", "files")
    before = bucket.listed()
    for exist_ok in (False, True):
        with pytest.raises(DatasetError, match="there is something already"):
            wkfast.Dataset(
                f"s3://{bucket.name}/files", voxel_size=(1, 1, 1), exist_ok=exist_ok, storage_options=bucket.options
            )
    with pytest.raises(DatasetValueError, match="without a voxel size"):
        wkfast.Dataset(f"s3://{bucket.name}/none", storage_options=bucket.options)
    with pytest.raises(DatasetError, match="that is read-only"):
        wkfast.Dataset(f"s3://{bucket.name}/none", (1, 1, 1), read_only=True, storage_options=bucket.options)
    assert bucket.listed() == before


def test_a_bucket_is_never_made_and_servers_of_files_are_not_written_to(bucket, serve, tmp_path):
    with pytest.raises(ObjectStoreError, match="no such bucket"):
        wkfast.Dataset("s3://there-is-none/data", voxel_size=(1, 1, 1), storage_options=bucket.options)
    assert "there-is-none" not in [each["Name"] for each in bucket.client.list_buckets()["Buckets"]]
    near, (address, _) = made(tmp_path / "near", "zarr3"), serve(tmp_path)
    for refused in (
        lambda: wkfast.Dataset(f"{address}/new", voxel_size=(1, 1, 1)),
        lambda: near.copy_dataset(f"{address}/new"),
        lambda: near.shallow_copy_dataset(f"{address}/new"),
        lambda: near.get_layer("labels").get_mag(1).rechunk(target_path=f"{address}/new"),
    ):
        with pytest.raises(ReadOnlyError, match="which can only be read; copy it to a folder or a bucket"):
            refused()
    assert not (tmp_path / "new").exists()


def test_who_may_not_write_is_told_so_and_nothing_is_half_done(between):
    dataset = new(between)
    layer = written(dataset, *KINDS["zarr3"])
    before = between.listed()
    between.refuses = lambda method, _: method in {"PUT", "POST", "DELETE"}
    read_only = wkfast.Dataset.open(dataset.path)
    np.testing.assert_array_equal(read_only.get_layer("labels").get_mag(1).read(), layer.get_mag(1).read())
    for refused in (
        lambda: new(between, "other"),
        lambda: dataset.add_layer("color", "color"),
        layer.downsample,
        lambda: layer.get_mag(1).write(random((64, 64, 64)), absolute_offset=(0, 0, 0)),
        lambda: layer.get_mag(1).rechunk(chunk_shape=16),
        lambda: dataset.delete_layer("labels"),
        lambda: setattr(layer, "name", "renamed"),
    ):
        with pytest.raises((ObjectStoreError, VolumeDataError), match="does not allow it: AccessDenied") as caught:
            refused()
        assert SECRET not in str(caught.value)
    assert between.listed() == before
    assert list(dataset.layers) == ["labels"]


def test_what_fails_half_way_is_not_listed_and_leaves_nothing(between):
    dataset = new(between)
    layer = written(dataset, *KINDS["zarr3"])
    layer.add_mag(4)
    before, entry = between.listed(), json.dumps(dataset._properties.json)
    # The voxels of what is made are refused; all else is allowed.
    between.refuses = lambda method, path: method == "PUT" and "/c/0/0/" in path
    for fails in (
        lambda: layer.downsample_mag(wkfast.Mag(1), wkfast.Mag(2)),
        lambda: layer.get_mag(1).rechunk(chunk_shape=16),
        lambda: layer.relabel({1: 2}, "relabelled"),
        lambda: dataset.write_layer("color", "color", random((8, 8, 8), dtype=np.uint8)),
        lambda: dataset.add_layer_as_copy(layer, "copy"),
        lambda: setattr(layer, "name", "renamed"),
    ):
        with pytest.raises((ObjectStoreError, VolumeDataError)):
            fails()
        assert json.dumps(wkfast.Dataset.open(dataset.path)._properties.json) == entry
        assert between.listed() == before


def test_what_a_killed_call_left_is_taken_away_by_the_next(bucket):
    dataset = new(bucket)
    layer = written(dataset, *KINDS["zarr3"])
    script = f"""
    import os, numpy as np, wkfast
    from wkfast.dataset.object_place import ObjectPlace
    dataset = wkfast.Dataset.open({str(dataset.path)!r}, storage_options={bucket.options!r})
    layer = dataset.get_layer("labels")
    update = ObjectPlace.update
    ObjectPlace.update = lambda *_: os._exit(9)  # when it would be listed
    WHAT
    """
    for what, left in (
        ("layer.downsample_mag(wkfast.Mag(1), wkfast.Mag(2))", "data/labels/2/"),
        ('dataset.add_layer_as_copy(layer, "copy")', "data/copy/"),
        ("layer.rechunk if False else layer.get_mag(1).rechunk(chunk_shape=16)", "data/labels/1.v2/"),
    ):
        code = textwrap.dedent(script).replace("WHAT", what)
        killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert killed.returncode == 9, killed.stderr
        assert f"{left}{LEFT}" in bucket.listed()
    layer.downsample_mag(wkfast.Mag(1), wkfast.Mag(2))
    dataset.add_layer_as_copy(layer, "copy")
    layer.get_mag(1).rechunk(chunk_shape=16)
    again = wkfast.Dataset.open(dataset.path)
    assert sorted(again.layers) == ["copy", "labels"]
    np.testing.assert_array_equal(
        again.get_layer("copy").get_mag(1).read(), again.get_layer("labels").get_mag(1).read()
    )
    assert not [key for key in bucket.listed("data") if key.endswith(LEFT)]


def test_what_is_in_the_way_is_never_removed(bucket, tmp_path):
    dataset = new(bucket)
    layer = written(dataset, *KINDS["zarr3"])
    near = made(tmp_path / "near", "zarr3")
    bucket.put(near.path / "labels" / "2", "data/labels/2-2-1")
    bucket.put(near.path / "color", "data/color")
    before = bucket.listed()
    for refused in (
        lambda: layer.add_mag("2-2-1"),
        layer.downsample,
        lambda: dataset.add_layer_as_copy(near.get_layer("color")),
        lambda: setattr(layer, "name", "color"),
    ):
        with pytest.raises((ExistsError, DatasetValueError), match=r"in the way|there is 'color' already"):
            refused()
    assert bucket.listed() == before


def test_links_and_merges_in_place_need_a_folder(bucket, tmp_path):
    dataset, near = new(bucket), made(tmp_path / "near", "zarr3")
    layer = written(dataset, "zarr3", {"chunk_shape": 32, "shard_shape": 32})
    before = bucket.listed()
    with (
        pytest.raises(DatasetError, match="no links; use add_layer_as_ref"),
        pytest.warns(DeprecationWarning, match="deprecated"),
    ):
        dataset.add_symlink_layer(near.get_layer("color"))
    with pytest.raises(DatasetError, match="which merge_with_view needs"):
        layer.get_mag(1).merge_with_view(layer.get_mag(1))
    with pytest.raises(DatasetError, match="which add_mag_from_zarrarray needs"):
        layer.add_mag_from_zarrarray(2, near.path / "labels" / "2")
    assert bucket.listed() == before


def test_a_dataset_that_has_gone_is_told(bucket):
    dataset = new(bucket)
    ObjectPath(str(dataset.path / "datasource-properties.json"), bucket.options).remove()
    with pytest.raises(DatasetNotFoundError, match="any more"):
        dataset.add_layer("color", "color")


def test_an_array_that_is_opened_alone_is_read_only(bucket, tmp_path):
    near = made(tmp_path / "near", "zarr3")
    address = bucket.put(near.path / "labels" / "1", "array")
    layer = open_layer(address, storage_options=bucket.options)
    with pytest.raises(ReadOnlyError, match="it is opened as a single mag"):
        layer.get_mag(1).write(np.ones((4, 4, 4), np.uint32))


@pytest.mark.parametrize("data_format", ["wkw", "zarr3"])
def test_a_shard_that_became_smaller_is_read_by_who_knew_the_larger_one(bucket, data_format):
    dataset = wkfast.Dataset(f"s3://{bucket.name}/shrinking", voxel_size=(1, 1, 1), storage_options=bucket.options)
    layer = dataset.add_layer(
        "labels", "segmentation", dtype="uint32", data_format=data_format,
        bounding_box=wkfast.BoundingBox((0, 0, 0), (64, 64, 64)),
    )  # fmt: skip
    mag = layer.add_mag(1, shard_shape=64)
    voxels = np.random.default_rng(1).integers(0, 1 << 30, (64, 64, 64)).astype(np.uint32)
    mag.write(voxels)
    np.testing.assert_array_equal(mag.read()[0], voxels)
    other = wkfast.Dataset.open(dataset.path).get_layer("labels").get_mag(1)
    np.testing.assert_array_equal(other.read()[0], voxels)
    voxels[:32, :32, :32] = 1
    mag.write(voxels[:32, :32, :32], absolute_offset=(0, 0, 0), allow_unaligned=True)
    np.testing.assert_array_equal(mag.read()[0], voxels)
    np.testing.assert_array_equal(other.read()[0], voxels)
    assert other.values_at(np.argwhere(np.ones((64, 64, 2), bool))).tolist() == voxels[:, :, :2].reshape(-1).tolist()


@pytest.mark.parametrize("mag", [1, None])
def test_a_deletion_takes_nothing_that_somebody_has_made_since_in_the_same_place(mag, bucket, monkeypatch):
    ours = new(bucket)
    ours.add_layer("l", "color", dtype="uint8", data_format="zarr3").add_mag(1)
    remove_marked = ObjectPlace.remove_marked

    def later(place, folder, mark):
        monkeypatch.setattr(ObjectPlace, "remove_marked", remove_marked)
        theirs = wkfast.Dataset.open(ours.path, storage_options=bucket.options)
        layer = theirs.get_or_add_layer("l", "color", dtype="uint8", data_format="zarr3")
        layer.add_mag(1).write(np.ones((8, 8, 8), np.uint8), allow_resize=True)
        place.remove_marked(folder, mark)

    monkeypatch.setattr(ObjectPlace, "remove_marked", later)
    if mag is None:
        ours.delete_layer("l")
    else:
        ours.get_layer("l").delete_mag(mag)
    kept = wkfast.Dataset.open(ours.path, storage_options=bucket.options)
    assert kept.get_layer("l").get_mag(1).read().all()
