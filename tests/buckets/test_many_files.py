"""Many files of skeletons in buckets: read as tables and converted."""

import concurrent.futures as cf
import itertools
import threading
import zipfile

import numpy as np
import pytest
from tests.tables.nmls import big, nml, write

from wkfast.buckets import ObjectPath
from wkfast.convert import convert, read_knossos, read_swc, write_knossos, write_swc
from wkfast.errors import AddressError, AnnotationFileNotFoundError, ObjectStoreError, SwcError, VolumeDataError
from wkfast.skeleton import Skeleton
from wkfast.tables import iterate_skeletons, read_skeletons, skeletons_to_parquet, sources


@pytest.fixture
def folder(tmp_path):
    """Files of all kinds, one of them broken."""
    folder = tmp_path / "near"
    (folder / "b ü").mkdir(parents=True)
    write(folder, [nml(), nml(), "<things"])
    write(folder / "b ü", [big(2, 50)])
    with zipfile.ZipFile(folder / "project.zip", "w") as archive:
        for name in ("one", "two"):
            archive.writestr(f"{name}.nml", nml())
    (folder / "notes.txt").write_text("no skeleton")
    return folder


@pytest.fixture
def far(bucket, folder):
    """The same in a bucket."""
    far = ObjectPath(f"s3://{bucket.name}/far", bucket.options)
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            (far / str(file.relative_to(folder))).write(file.read_bytes())
    return far


def names(tables, folder):
    return [str(name).removeprefix(f"{folder}/") for name in np.asarray(tables.files["file"])]


def same_rows(one, other):
    for table in ("nodes", "edges", "trees", "comments", "branchpoints"):
        one_table, other_table = getattr(one, table), getattr(other, table)
        assert list(one_table) == list(other_table)
        for column in one_table:
            if column != "file":
                np.testing.assert_array_equal(np.asarray(one_table[column]), np.asarray(other_table[column]))


def test_tables_are_those_of_the_same_folder_here(folder, far):
    here, there = read_skeletons(folder), read_skeletons(far)
    same_rows(here, there)
    assert names(there, far) == names(here, folder)
    assert here.nodes.rows >= 100
    assert [str(each).replace(f"{far}/", "") for each in there.errors] == [
        str(each).replace(f"{folder}/", "") for each in here.errors
    ]


def test_files_are_named_one_by_one_and_what_is_missing_is_told(far):
    tables = read_skeletons([far / "f0.nml", far / "none.nml", far / "project.zip", far / "none.zip"])
    assert names(tables, far) == ["f0.nml", "none.nml", "project.zip!one.nml", "project.zip!two.nml", "none.zip"]
    assert [str(each.error).split(":")[-1] for each in tables.errors] == [" there is no such object"] * 2


def test_zips_are_looked_into_together_and_come_in_order(monkeypatch):
    begun, are_many = itertools.count(1), threading.Event()

    def looked_into(path, also):
        if next(begun) >= 8:
            are_many.set()
        assert are_many.wait(20), "the first waits until others are under way as well"
        yield sources.Source(path, "a.nml", str(path))

    monkeypatch.setattr(sources, "_looked_into", looked_into)
    zips = [ObjectPath(f"memory://many-zips/{number}.zip") for number in range(80)]
    texts = [ObjectPath(f"memory://many-zips/{number}.nml") for number in range(80)]
    mixed = [one for pair in zip(zips, texts, strict=True) for one in pair]
    assert [source.path for source in sources.find(mixed)] == mixed


def test_what_ends_the_search_is_told_after_what_was_found_before(monkeypatch):
    monkeypatch.setattr(sources, "_looked_into", lambda path, _also: [sources.Source(path, "a.nml", str(path))])
    zips = [ObjectPath(f"memory://in-turn/{number}.zip") for number in range(3)]
    search, found = sources.find([*zips, ObjectPath("memory://no-such-folder")]), []
    with pytest.raises(AnnotationFileNotFoundError, match="no-such-folder"):
        found.extend(source.path for source in search)
    assert found == zips


def test_a_search_that_is_left_waits_for_no_request(monkeypatch):
    answered, begun = threading.Event(), []

    def looked_into(path, _also):
        begun.append(path)
        if path.name != "0.zip":
            assert answered.wait(60)
        yield sources.Source(path, "a.nml", str(path))

    monkeypatch.setattr(sources, "_looked_into", looked_into)
    zips = [ObjectPath(f"memory://left/{number}.zip") for number in range(200)]
    found = sources.find(zips)
    assert next(found).path == zips[0]
    closing = threading.Thread(target=found.close, daemon=True)
    closing.start()
    closing.join(20)
    left_waiting = closing.is_alive()
    threads = [one for one in threading.enumerate() if one.name.startswith("wkfast-requests")]
    answered.set()
    for one in [closing, *threads]:
        one.join(20)
    assert not left_waiting
    assert len(begun) <= sources.AT_ONCE + 1  # none was begun after that
    assert threads
    assert all(one.daemon and not one.is_alive() for one in threads)


def test_workers_read_objects_without_a_look_at_each_before(monkeypatch):
    files = [ObjectPath(f"memory://for-workers/{number}.nml") for number in range(20)]
    for file in files[:-1]:
        file.write(nml().encode())

    def refused(_):
        raise ObjectStoreError("one refusal")

    monkeypatch.setattr(ObjectPath, "size", refused)
    with cf.ThreadPoolExecutor(4) as executor:
        tables = read_skeletons(files, executor=executor)
    assert tables.files.rows == 20
    assert [each.file for each in tables.errors] == [str(files[-1])]


def test_a_large_object_comes_in_batches(far):
    batches = list(iterate_skeletons(far / "b ü", batch_bytes=1000))
    assert sum(batch.nodes.rows for batch in batches) == 100
    assert sum(batch.files.rows for batch in batches) == 1


def test_a_folder_without_files_and_a_server_that_cannot_list_are_errors(far, serve, folder):
    with pytest.raises(AnnotationFileNotFoundError, match=r"there is no \.nml and no \.zip in the folder s3://"):
        read_skeletons(far / "nothing")
    url, _ = serve(folder)
    with pytest.raises(VolumeDataError, match="cannot be listed"):
        read_skeletons(url)
    assert read_skeletons([f"{url}/f0.nml", f"{url}/project.zip"]).files.rows == 3


def test_what_is_converted_from_and_to_buckets_is_what_folders_get(folder, far, tmp_path):
    here = convert(folder, tmp_path / "out", "swc", unit="nm")
    there = convert(far, far.parent / "out", "swc", unit="nm")
    assert [path.name for path in there.written] == [path.name for path in here.written]
    assert [path.read(1 << 20) for path in there.written] == [path.read_bytes() for path in here.written]
    assert len(there.errors) == len(here.errors) == 1
    nmls = convert(far.parent / "out", far.parent / "nmls", "nml", voxel_size=(10, 10, 30))
    assert not nmls.errors
    assert read_skeletons(far.parent / "nmls").nodes.rows == read_skeletons(folder).nodes.rows


def test_a_bucket_that_is_not_there_is_told_once_and_not_for_each_file(far):
    missing = ObjectPath("s3://no-such-bucket-at-all/out", far.storage_options)
    with pytest.raises(ObjectStoreError, match="no-such-bucket-at-all"):
        convert(far, missing, "swc")


@pytest.mark.parametrize("is_only_one", [False, True])
def test_a_bucket_that_may_not_be_read_either_ends_a_conversion(folder, between, is_only_one):
    between.refuses = lambda _method, _path: True
    out = ObjectPath(f"s3://{between.name}/out", between.options)
    with pytest.raises(ObjectStoreError, match="AccessDenied"):
        convert(folder / "f0.nml" if is_only_one else folder, out, "swc")
    assert sum(method == "PUT" for method, _, _ in between.asked) == 1


def test_a_bucket_that_takes_nothing_ends_a_conversion_at_the_second_file(folder, between):
    between.refuses = lambda method, _path: method == "PUT"
    with pytest.raises(ObjectStoreError, match="AccessDenied"):
        convert(folder, ObjectPath(f"s3://{between.name}/out", between.options), "swc")
    assert sum(method == "PUT" for method, _, _ in between.asked) == 2


def test_a_file_that_a_bucket_refuses_holds_up_no_other(folder, between):
    between.refuses = lambda method, path: method == "PUT" and path.endswith(("f0.swc", "one.swc"))
    done = convert(folder, ObjectPath(f"s3://{between.name}/out", between.options), "swc")
    assert len(done.written) == 3
    assert [each.file.rsplit("/")[-1] for each in done.errors] == ["f0.nml", "f2.nml", "project.zip!one.nml"]


def test_swc_and_knossos_of_a_bucket(bucket, tmp_path):
    skeleton = Skeleton(voxel_size=(10, 10, 30), dataset_name="d")
    skeleton.add_tree("t").add_nodes([[1, 2, 3], [4, 5, 6]], edges=[[0, 1]], radius=20)
    at = ObjectPath(f"s3://{bucket.name}/a", bucket.options)
    write_swc(skeleton, tmp_path / "t.swc")
    write_swc(skeleton, at / "t.swc")
    assert (at / "t.swc").read(1000) == (tmp_path / "t.swc").read_bytes()
    read = read_swc(at / "t.swc", voxel_size=(10, 10, 30))
    assert [tree.name for tree in read.flattened_trees()] == ["t"]
    write_knossos(skeleton, at / "t.k.zip")
    assert next(read_knossos(at / "t.k.zip").flattened_trees()).nodes_table()["position"].tolist() == [
        [1, 2, 3],
        [4, 5, 6],
    ]
    (at / "bad.swc").write(b"1 0 x\n")
    with pytest.raises(SwcError, match=r"s3://.*/a/bad\.swc"):
        read_swc(at / "bad.swc", voxel_size=(1, 1, 1))
    with pytest.raises(AnnotationFileNotFoundError, match="there is no such object"):
        read_swc(at / "none.swc", voxel_size=(1, 1, 1))


def test_parquet_in_a_bucket_is_that_of_a_folder(folder, far, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    skeletons_to_parquet(folder, tmp_path / "t.parquet")
    skeletons_to_parquet(far, far.parent / "t.parquet")
    listed = [name for name, _ in far.parent.files() if name.endswith(".parquet")]
    assert sorted(listed) == sorted(path.name for path in tmp_path.glob("*.parquet"))
    for name in listed:
        (far.parent / name).fetch(tmp_path / "fetched.parquet")
        fetched, expected = parquet.read_table(tmp_path / "fetched.parquet"), parquet.read_table(tmp_path / name)
        told = [column for column in ("file", "error") if column in fetched.column_names]
        assert str(fetched.drop_columns(told).to_pylist()) == str(expected.drop_columns(told).to_pylist())


def test_nothing_is_put_where_parquet_fails(far):
    pytest.importorskip("pyarrow")

    def stop(_):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        skeletons_to_parquet(far, far.parent / "t.parquet", progress=stop)
    assert not [name for name, _ in far.parent.files() if name.endswith(".parquet")]


def test_whole_files_go_both_ways_in_parts(bucket, tmp_path):
    content = np.random.default_rng(0).bytes((9 << 20) + 5)
    (tmp_path / "large").write_bytes(content)
    at = ObjectPath(f"s3://{bucket.name}/large", bucket.options)
    assert at.put_file(tmp_path / "large") == len(content)
    assert at.read(1 << 30) == content
    assert at.fetch(tmp_path / "back") == len(content)
    assert (tmp_path / "back").read_bytes() == content
    assert (at.parent / "none").fetch(tmp_path / "none") is None
    assert not (tmp_path / "none").exists()
    with pytest.raises(OSError, match="absent"):
        at.put_file(tmp_path / "absent")
    assert at.read(1 << 30) == content


def test_a_command_converts_in_a_bucket(bucket, far, command):
    done = command("convert", f"s3://{bucket.name}/far", f"s3://{bucket.name}/out", "--to", "swc", code=1)
    assert "5 files in" in done.stdout
    assert "f2.nml" in done.stderr
    assert len((far.parent / "out").files()) == 5


@pytest.mark.parametrize("is_far", [False, True])
def test_what_is_read_is_not_written_over(bucket, tmp_path, is_far):
    place = ObjectPath(f"s3://{bucket.name}/mixed", bucket.options) if is_far else tmp_path / "mixed"
    if not is_far:
        (place / "sub").mkdir(parents=True)
    for name, nodes in (("a.nml", 5), ("sub/a.nml", 3)):
        skeleton = Skeleton((1, 1, 1), "d")
        skeleton.add_tree("t").add_nodes(np.zeros((nodes, 3)))
        skeleton.save(place / name)
    skeleton = Skeleton((1, 1, 1), "d")
    skeleton.add_tree("t").add_nodes(np.zeros((2, 3)))
    write_knossos(skeleton, place / "a.k.zip")
    before = read_skeletons(place).nodes.rows
    done = convert(place, place, "nml")
    assert not done.errors
    assert sorted(path.name for path in done.written) == ["a-2.nml", "a-3.nml", "a-4.nml"]
    assert read_skeletons([place / "a.nml", place / "sub/a.nml"]).nodes.rows == 8
    assert read_skeletons(place).nodes.rows == 2 * before == 20


def test_a_server_of_files_and_what_is_no_path_are_refused_at_once(serve, folder):
    url, asked = serve(folder)
    with pytest.raises(AddressError, match="takes none"):
        convert(folder, f"{url}/out", "swc")
    assert not asked
    with pytest.raises(AddressError, match="5 is no path"):
        read_skeletons(5)
