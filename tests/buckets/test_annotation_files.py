"""Annotation files in buckets and on servers of files: what a folder holds, read by ranges."""

import json
import pickle
import subprocess
import sys
import zipfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from tests.buckets.conftest import SECRET
from tests.buckets.test_merging import files, painted

import wkfast
from wkfast.buckets import ObjectPath
from wkfast.errors import (
    AddressError,
    AnnotationFileNotFoundError,
    AnnotationZipError,
    NmlError,
    ObjectStoreError,
    VolumeDataError,
    WkfastError,
)
from wkfast.merge.arrays import run_share


def with_skeleton(annotation, nodes=2000):
    tree = annotation.skeleton.add_tree("axon")
    positions = np.random.default_rng(1).integers(0, 4000, (nodes, 3))
    tree.add_nodes(positions, edges=np.column_stack([np.arange(nodes - 1), np.arange(1, nodes)]))
    return annotation


@pytest.fixture
def annotation(tmp_path):
    """One with a skeleton and a painted layer over a dataset in ``near``, saved as ``a.zip``."""
    made = with_skeleton(painted(tmp_path / "near"))
    made.save(tmp_path / "a.zip")
    return made


def nodes(skeleton):
    return sum(len(tree) for tree in skeleton.flattened_trees())


def at(bucket, key):
    return ObjectPath(f"s3://{bucket.name}/{key}", bucket.options)


def put(bucket, file, key):
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=file.read_bytes())
    return at(bucket, key)


def voxels(annotation, name="paint"):
    layer = annotation.get_volume_layer(name).as_layer()
    return {str(mag): layer.get_mag(mag).read() for mag in layer.mags}


def same_voxels(one, other):
    one, other = voxels(one), voxels(other)
    assert one.keys() == other.keys()
    for mag in one:
        np.testing.assert_array_equal(one[mag], other[mag])


@pytest.mark.parametrize("suffix", ["nml", "zip"])
def test_what_is_saved_to_a_bucket_is_what_a_folder_gets(bucket, annotation, tmp_path, suffix):
    if suffix == "nml":
        annotation = with_skeleton(wkfast.Annotation("a", skeleton=wkfast.Skeleton((11, 11, 25), "data")))
    annotation.save(tmp_path / f"b.{suffix}")
    annotation.save(at(bucket, f"some folder/ü/b.{suffix}"))
    annotation.save(f"s3://{bucket.name}/c.{suffix}", storage_options=bucket.options)
    expected = (tmp_path / f"b.{suffix}").read_bytes()
    assert at(bucket, f"some folder/ü/b.{suffix}").read(1 << 30) == expected
    assert at(bucket, f"c.{suffix}").read(1 << 30) == expected
    assert bucket.listed() == sorted([f"some folder/ü/b.{suffix}", f"c.{suffix}"])


@pytest.mark.parametrize("server", ["bucket", "files"])
def test_what_is_loaded_is_what_a_folder_holds(bucket, serve, annotation, tmp_path, server):
    near = wkfast.Annotation.load(tmp_path / "a.zip")
    far_path = put(bucket, tmp_path / "a.zip", "x/a.zip") if server == "bucket" else f"{serve(tmp_path)[0]}/a.zip"
    far = wkfast.Annotation.load(far_path)
    assert far.name == near.name
    np.testing.assert_array_equal(far.skeleton.nodes_table()["position"], near.skeleton.nodes_table()["position"])
    same_voxels(far, near)
    far.save(tmp_path / "again.zip")
    near.save(tmp_path / "expected.zip")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "expected.zip").read_bytes()


def test_a_bare_nml_and_trees_one_by_one(bucket, serve, annotation, tmp_path):
    annotation.skeleton.save(tmp_path / "b.nml")
    address, _ = serve(tmp_path)
    for path in (put(bucket, tmp_path / "b.nml", "b.nml"), f"{address}/b.nml", f"{address}/a.zip"):
        trees = list(wkfast.iterate_trees(path))
        assert [len(tree) for tree in trees] == [2000]
        assert nodes(wkfast.Skeleton.load(path)) == 2000
    annotation.skeleton.save(at(bucket, "c.nml"))
    assert at(bucket, "c.nml").read(1 << 30) == (tmp_path / "b.nml").read_bytes()
    assert nodes(wkfast.Skeleton.load(at(bucket, "c.nml"))) == 2000


def test_every_fixture_is_loaded_and_saved_as_from_a_folder(bucket, fixtures, tmp_path):
    names = sorted(path for path in fixtures.rglob("*") if path.suffix in {".nml", ".zip"} and path.is_file())
    tried = 0
    for number, file in enumerate(names):
        try:
            near = wkfast.Annotation.load(file)
        except WkfastError:
            continue
        tried += 1
        far = wkfast.Annotation.load(put(bucket, file, f"{number}/{file.name}"))
        assert repr(far.problems) == repr(near.problems)
        near.save(tmp_path / f"near{file.suffix}")
        far.save(at(bucket, f"saved{file.suffix}"))
        assert at(bucket, f"saved{file.suffix}").read(1 << 30) == (tmp_path / f"near{file.suffix}").read_bytes(), file
    assert tried > 3


def noisy_zip(file, tmp_path):
    """An annotation with a layer of many chunks of noise, 8 MB and more in all."""
    annotation = with_skeleton(wkfast.Annotation("a", skeleton=wkfast.Skeleton((11, 11, 25), "data")))
    layer = annotation.add_volume_layer("paint", volume_layer_id=0)
    noise = np.random.default_rng(0).integers(0, 1 << 32, (1, 128, 128, 160), np.uint32)
    with layer.edit() as edited:
        edited.add_mag(1).write(noise, allow_resize=True)
    annotation.save(file)
    return noise


def test_of_a_zip_only_what_is_touched_is_fetched(serve, tmp_path):
    noise = noisy_zip(tmp_path / "a.zip", tmp_path)
    size = (tmp_path / "a.zip").stat().st_size
    assert size > 8 << 20
    address, asked = serve(tmp_path)
    annotation = wkfast.Annotation.load(f"{address}/a.zip")
    assert _fetched(asked, size) < size / 10
    asked.clear()
    layer = annotation.get_volume_layer("paint").as_layer()
    np.testing.assert_array_equal(
        layer.get_mag(1).read(absolute_offset=(32, 32, 32), size=(32, 32, 32)), noise[:, 32:64, 32:64, 32:64]
    )
    assert _fetched(asked, size) < 500_000
    asked.clear()
    layer.get_mag(1).read(absolute_offset=(64, 32, 32), size=(32, 32, 32))
    assert len(asked) <= 2, asked
    asked.clear()
    np.testing.assert_array_equal(layer.get_mag(1).read(), noise)
    # neighbours in the file come together, up to eight mebibytes of them
    assert len(asked) < 10, asked


def _fetched(asked, size):
    """Bytes of all ranges that a server was asked for."""
    total = 0
    for _, wanted in asked:
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        total += int(last) if first == "" else (int(last) if last else size - 1) - int(first) + 1
    return total


def test_edits_are_saved_over_the_object_they_come_from(bucket, annotation, tmp_path):
    path = put(bucket, tmp_path / "a.zip", "a.zip")
    far = wkfast.Annotation.load(path)
    other = wkfast.Annotation.load(path)
    with far.get_volume_layer("paint").edit() as edited:
        edited.get_mag(1).write(np.full((1, 8, 8, 8), 9, np.uint32), absolute_offset=(32, 16, 56), allow_unaligned=True)
    far.save(path)
    assert (voxels(far)["1"] == 9).sum() == 512
    assert (voxels(wkfast.Annotation.load(path))["1"] == 9).sum() == 512
    far.save(path)  # and once more, from what was just saved
    assert (voxels(far)["1"] == 9).sum() == 512
    with pytest.raises(VolumeDataError, match="was replaced"):
        voxels(other)
    last = wkfast.Annotation.load(path)
    path.remove()
    with pytest.raises(VolumeDataError, match=r"a\.zip: was replaced"):
        voxels(last)


def test_an_annotation_in_a_bucket_is_merged_as_one_in_a_folder(bucket, annotation, tmp_path, monkeypatch):
    far = wkfast.Annotation.load(put(bucket, tmp_path / "a.zip", "a.zip"))
    datasets = ObjectPath(bucket.put(tmp_path / "near", "datasets"), bucket.options)
    annotation.merge_fallback_layer(tmp_path / "expected", tmp_path / "near")
    far.merge_fallback_layer(tmp_path / "found", tmp_path / "near")
    far.merge_fallback_layer(at(bucket, "merged"), datasets)
    assert files(tmp_path / "found") == files(tmp_path / "expected")
    merged = wkfast.Dataset.open(at(bucket, "merged")).get_layer("labels").get_mag(1).read()
    expected = wkfast.Dataset.open(tmp_path / "expected").get_layer("labels").get_mag(1).read()
    np.testing.assert_array_equal(merged, expected)
    np.testing.assert_array_equal(far.merged_layer(datasets).get_mag(1).read(), expected)
    job = far.plan_merge(tmp_path / "planned", datasets)
    assert SECRET not in job.to_json()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        far.merge_fallback_layer(tmp_path / "by processes", datasets, executor=pool)
    assert files(tmp_path / "by processes") == files(tmp_path / "expected")


def test_a_plan_is_not_run_over_another_annotation(bucket, annotation, tmp_path):
    path = put(bucket, tmp_path / "a.zip", "a.zip")
    job = wkfast.Annotation.load(path).plan_merge(tmp_path / "planned", tmp_path / "near")
    with annotation.get_volume_layer("paint").edit() as edited:
        edited.get_mag(1).write(np.full((1, 8, 8, 8), 9, np.uint32), absolute_offset=(32, 16, 56), allow_unaligned=True)
    annotation.save(path)
    with pytest.raises(WkfastError, match="was replaced"):
        run_share(job)
    assert not (tmp_path / "planned" / "datasource-properties.json").exists()


def test_layers_of_it_travel_to_other_processes(bucket, annotation, tmp_path):
    far = wkfast.Annotation.load(put(bucket, tmp_path / "a.zip", "a.zip"))
    view = far.get_volume_layer("paint").as_layer().get_mag(1)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        np.testing.assert_array_equal(pool.submit(view.read).result(), view.read())
    assert SECRET not in repr(view) + repr(far) + repr(far.get_volume_layer("paint").data)
    again = pickle.loads(pickle.dumps(view))
    np.testing.assert_array_equal(again.read(), view.read())


def test_what_is_not_there_or_no_annotation_is_told_of(bucket, serve, tmp_path):
    for name in ("a.zip", "a.nml"):
        with pytest.raises(AnnotationFileNotFoundError, match=r"s3://.*/a\.(zip|nml): there is no such object"):
            wkfast.Annotation.load(at(bucket, name))
        with pytest.raises(ObjectStoreError, match="there is no such bucket"):
            wkfast.Annotation.load(ObjectPath(f"s3://{bucket.name}-none/{name}", bucket.options))
    bucket.client.put_object(Bucket=bucket.name, Key="text.zip", Body=b"no zip file" * 100)
    with pytest.raises(AnnotationZipError, match=r"s3://.*/text\.zip: is no zip file"):
        wkfast.Annotation.load(at(bucket, "text.zip"))
    bucket.client.put_object(Bucket=bucket.name, Key="text.nml", Body=b"<things><thing>")
    with pytest.raises(NmlError, match=r"s3://.*/text\.nml: line 1"):
        wkfast.Annotation.load(at(bucket, "text.nml"))
    with pytest.raises(WkfastError, match="ends in"):
        wkfast.Annotation.load(at(bucket, "a.txt"))
    address, _ = serve(tmp_path)
    with pytest.raises(WkfastError, match="server of files"):
        wkfast.Annotation("a", skeleton=wkfast.Skeleton((1, 1, 1), "d")).save(f"{address}/a.nml")
    with pytest.raises(AddressError):
        wkfast.Annotation.load("ftp://host/a.nml")


def test_a_server_without_ranges_hands_out_texts_and_no_zips(serve, annotation, tmp_path):
    noisy_zip(tmp_path / "large.zip", tmp_path)
    annotation.skeleton.save(tmp_path / "b.nml")
    address, _ = serve(tmp_path, ranges=False)
    with pytest.raises(WkfastError, match="whole files only"):
        wkfast.Annotation.load(f"{address}/large.zip")
    assert nodes(wkfast.Skeleton.load(f"{address}/b.nml")) == 2000


def test_many_mebibytes_go_in_parts_and_appear_whole(between, tmp_path):
    noisy_zip(tmp_path / "a.zip", tmp_path)
    annotation = wkfast.Annotation.load(tmp_path / "a.zip")
    seen = []
    annotation.save(at(between, "a.zip"), progress=lambda done, _: seen.append(done))
    assert at(between, "a.zip").read(1 << 30) == (tmp_path / "a.zip").read_bytes()
    posts = [path for method, path, _ in between.asked if method == "POST"]
    assert len(posts) == 2, "one begins, one completes"
    assert seen == sorted(seen)
    assert seen[-1] == (tmp_path / "a.zip").stat().st_size


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_save_that_fails_leaves_what_was_there(between, s3_server, tmp_path, method):
    noisy_zip(tmp_path / "a.zip", tmp_path)
    between.client.put_object(Bucket=between.name, Key="a.zip", Body=b"before")
    between.refuses = lambda asked, _: asked == method
    with pytest.raises(ObjectStoreError, match=r"a\.zip.*does not allow it"):
        wkfast.Annotation.load(tmp_path / "a.zip").save(at(between, "a.zip"))
    assert at(between, "a.zip").read(100) == b"before"
    if s3_server.kind == "moto":  # the other one does not tell of parts
        assert not between.client.list_multipart_uploads(Bucket=between.name).get("Uploads")


def test_a_progress_function_that_raises_ends_it(bucket, tmp_path):
    noisy_zip(tmp_path / "a.zip", tmp_path)

    def enough(done, _):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        wkfast.Annotation.load(tmp_path / "a.zip").save(at(bucket, "a.zip"), progress=enough)
    assert bucket.listed() == []


def test_the_command_line_takes_addresses_of_annotations(bucket, annotation, tmp_path, monkeypatch):
    put(bucket, tmp_path / "a.zip", "a.zip")
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    address = f"s3://{bucket.name}/a.zip"

    def run(*arguments):
        command = [sys.executable, "-m", "wkfast", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    facts = json.loads(run("info", address, "--json"))
    assert (facts["file"], facts["bytes"]) == (address, (tmp_path / "a.zip").stat().st_size)
    assert facts["nodes"] == 2000
    run("validate", address, "--chunks")
    run("export", f"s3://{bucket.name}/exported", address)
    found = wkfast.Dataset.open(f"s3://{bucket.name}/exported").get_layer("volume_layer").get_mag(1).read()
    np.testing.assert_array_equal(found, voxels(annotation)["1"])
    run("merge-fallback", tmp_path / "out", address, tmp_path / "near")
    annotation.merge_fallback_layer(tmp_path / "expected", tmp_path / "near")
    assert files(tmp_path / "out") == files(tmp_path / "expected")
    run("merge-fallback", tmp_path / "mapped", address, tmp_path / "near", "--mapping", address)
    annotation.merge_fallback_layer(tmp_path / "as_mapped", tmp_path / "near", mapping=annotation)
    assert files(tmp_path / "mapped") == files(tmp_path / "as_mapped")
    plan = f"s3://{bucket.name}/plans/plan.json.gz"
    run("merge", "plan", plan, tmp_path / "planned", address, tmp_path / "near")
    run("merge", "run", plan)
    run("merge", "commit", plan)
    assert files(tmp_path / "planned") == files(tmp_path / "expected")


def test_a_zip_of_another_program_is_read(bucket, annotation, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip") as archive, zipfile.ZipFile(tmp_path / "b.zip", "w") as other:
        for name in archive.namelist():
            other.writestr(name, archive.read(name), compress_type=zipfile.ZIP_DEFLATED)
    near = wkfast.Annotation.load(tmp_path / "b.zip")
    same_voxels(wkfast.Annotation.load(put(bucket, tmp_path / "b.zip", "b.zip")), near)


def test_layers_are_exported_into_a_dataset_in_a_bucket(bucket, annotation, tmp_path):
    layer = annotation.get_volume_layer("paint")
    near = wkfast.Dataset(tmp_path / "exported", voxel_size=(11, 11, 25))
    far = wkfast.Dataset(at(bucket, "exported"), voxel_size=(11, 11, 25))
    expected = layer.export_to_dataset(near, "paint")
    found = layer.export_to_dataset(far, "paint")
    assert found.largest_segment_id == expected.largest_segment_id
    assert found.bounding_box == expected.bounding_box
    # A copy of a layer gets a group of Zarr around its mags.
    names = {name.removeprefix("exported/") for name in bucket.listed("exported/paint")} - {"paint/zarr.json"}
    local = (path for path in (tmp_path / "exported/paint").rglob("*") if path.is_file())
    assert names == {path.relative_to(tmp_path / "exported").as_posix() for path in local}
    for name in names:
        assert at(bucket, f"exported/{name}").read(1 << 30) == (tmp_path / "exported" / name).read_bytes()
    np.testing.assert_array_equal(found.get_mag(1).read(), expected.get_mag(1).read())
    with pytest.raises(WkfastError, match="paint"):
        layer.export_to_dataset(far, "paint")
