"""Many files as one set of tables: the same rows as file by file, and no file keeps the others from being read."""

from __future__ import annotations

import concurrent.futures as cf
import multiprocessing
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tables.nmls import big, nml, rich, write

import wkfast as wk
from wkfast.errors import AnnotationFileNotFoundError, MissingExtraError, NmlError, SkeletonError
from wkfast.tables import Labels, iterate_skeletons, read_skeletons, reading

pytestmark = pytest.mark.filterwarnings("ignore:.*nml")


def one_by_one(paths):
    """The slow way: each file as a skeleton, its tables put together."""
    skeletons = [wk.Skeleton.load(path) for path in paths]
    return {
        name: [getattr(skeleton, f"{name}_table")() for skeleton in skeletons]
        for name in ("nodes", "edges", "trees", "comments", "branchpoints")
    }


def same(one, other):
    if isinstance(one, np.ma.MaskedArray) or isinstance(other, np.ma.MaskedArray):
        np.testing.assert_array_equal(np.ma.getmaskarray(one), np.ma.getmaskarray(other))
        return np.testing.assert_array_equal(np.ma.filled(one, 0), np.ma.filled(other, 0))
    return np.testing.assert_array_equal(one, other)


def check_against_single_files(tables, paths):
    for name, parts in one_by_one(paths).items():
        table = getattr(tables, name)
        for number, (path, part) in enumerate(zip(paths, parts, strict=True)):
            mine = np.asarray(table["file"]) == str(path)
            assert mine.sum() == len(next(iter(part.values()))), (name, number)
            # Skeletons have their trees group by group, tables as the file has them.
            owner = "id" if name == "trees" else "tree_id"
            order, other = (np.argsort(ids, kind="stable") for ids in (table[owner][mine], part[owner]))
            for column in part.keys() & table.keys() - {"group_id", "path_length"}:
                same(table[column][mine][order], part[column][other])


NODE = st.tuples(
    st.integers(1, 6),
    st.integers(-9, 9),
    st.sampled_from(["", ' radius="2.5"', ' time="7" inMag="1"', ' additionalCoordinate-t="4"']),
)
EDGE = st.tuples(st.integers(1, 7), st.integers(1, 7))


@settings(max_examples=40)
@given(files=st.lists(st.tuples(st.lists(NODE, max_size=6), st.lists(EDGE, max_size=5)), min_size=1, max_size=4))
def test_tables_of_many_files_hold_what_each_file_holds(files, tmp_path_factory):
    texts = [
        nml(
            "".join(f'<node id="{node}" x="{x}" y="0.5" z="-1"{more}/>' for node, x, more in nodes),
            "".join(f'<edge source="{a}" target="{b}"/>' for a, b in edges),
            '<comments><comment node="1" content="one"/></comments>',
        )
        for nodes, edges in files
    ]
    paths = write(tmp_path_factory.mktemp("many"), texts)
    check_against_single_files(read_skeletons(paths), paths)


@pytest.mark.fixtures
def test_tables_of_real_files_hold_what_each_file_holds(fixtures):
    paths = sorted([*(fixtures / "nmls").glob("*.nml"), *(fixtures / "annotations").glob("*.zip")])
    assert len(paths) >= 6
    tables = read_skeletons(paths)
    assert tables.errors == ()
    check_against_single_files(tables, paths)


def test_a_file_that_cannot_be_read_is_told_and_the_others_are_read(tmp_path):
    good, bad = write(tmp_path, [rich(), "<things><thing"])
    (tmp_path / "no.zip").write_bytes(b"PK\x03\x04 cut off")
    (tmp_path / "a.txt").write_text("text")
    tables = read_skeletons([good, bad, tmp_path / "no.zip", tmp_path / "none.nml", tmp_path / "a.txt"])
    assert [type(failure.error).__name__ for failure in tables.errors] == [
        "NmlError",
        "AnnotationZipError",
        "AnnotationFileNotFoundError",
        "AnnotationSuffixError",
    ]
    assert isinstance(tables.errors[0].error, NmlError)
    assert tables.errors[0].error.line == 1
    assert tables.nodes["id"].tolist() == [1, 2]
    assert [text is None for text in tables.files["error"]] == [True, False, False, False, False]
    assert "5 files, 4 of them not read" in repr(tables)


def test_problems_are_listed_by_file_and_strict_refuses_the_file(tmp_path):
    (path,) = write(tmp_path, [nml('<node id="1" x="1" y="2" z="3"/>', '<edge source="1" target="1"/>')])
    tables = read_skeletons(path)
    assert [problem.element for problem in tables.problems[str(path)]] == ["edge"]
    assert tables.files["problems"].tolist() == [1]
    assert "itself" in str(read_skeletons(path, strict=True).errors[0].error)


def test_folders_are_searched_and_zips_may_hold_many(tmp_path):
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep", [rich()])
    with zipfile.ZipFile(tmp_path / "project.zip", "w") as archive:
        archive.writestr("a/one.nml", rich())
        archive.writestr("two.nml", rich())
        archive.writestr("__MACOSX/._two.nml", "no")
    tables = read_skeletons(tmp_path)
    assert tables.files["annotation"].tolist() == ["f0", "one", "two"]
    assert tables.files["file"].tolist()[1] == f"{tmp_path / 'project.zip'}!a/one.nml"
    assert tables.errors == ()


def test_a_folder_without_files_is_an_error_of_its_own(tmp_path):
    with pytest.raises(AnnotationFileNotFoundError, match=r"no \.nml and no \.zip"):
        read_skeletons(tmp_path)


def test_what_a_file_says_of_itself_is_in_the_table_of_files(tmp_path):
    paths = write(tmp_path, [rich(), nml(scale='x="1" y="2" z="3" unit="micrometer"')])
    files = read_skeletons(paths).files
    assert files["voxel_size"].tolist() == [[10, 10, 30], [1000, 2000, 3000]]
    assert (files["dataset"].tolist(), files["organization"].tolist()) == (["d", "d"], ["o", "o"])


def test_trees_have_colours_groups_and_types(tmp_path):
    facts = 'id="4" groupId="3" color.r="1" color.g="0.5" color.b="0" type="AGGLOMERATE" isVisible="false"'
    groups = '<groups><group id="3" name="g"/></groups>'
    trees = read_skeletons(write(tmp_path, [nml(attributes=facts, rest=groups), nml()])).trees
    assert trees["color"].tolist()[0] == [1, 0.5, 0, 1]
    assert np.isnan(trees["color"][1]).all()
    assert trees["group_id"].tolist() == [3, None]
    assert (trees["type"].tolist(), trees["is_visible"].tolist()) == (["AGGLOMERATE", None], [False, True])
    assert np.isnan(trees["low"]).all()


def test_ids_beyond_64_bits_are_an_error_of_their_file(tmp_path):
    good, wide = write(tmp_path, [rich(), nml(f'<node id="{1 << 70}" x="1" y="2" z="3"/>')])
    tables = read_skeletons([wide, good])
    assert isinstance(tables.errors[0].error, SkeletonError)
    assert str(1 << 70) in str(tables.errors[0])
    assert tables.nodes["id"].tolist() == [1, 2]


def rows(sets, table):
    """All rows of a table of several sets, as tuples."""
    parts = [getattr(each, table) for each in sets]
    columns = [key for key in parts[0] if all(key in part for part in parts)]
    return [
        row
        for part in parts
        for row in zip(*(np.ma.filled(np.ma.asarray(part[key]), -1).tolist() for key in columns), strict=True)
    ]


@pytest.mark.parametrize("batch_bytes", [1, 4000, 1 << 20])
def test_batches_hold_the_rows_that_one_read_holds(tmp_path, monkeypatch, batch_bytes):
    monkeypatch.setattr(reading, "_BATCH_NODES", 10)
    paths = write(tmp_path, [rich(), big(4, 30), rich(), "<things>", rich()])
    whole = read_skeletons(paths)
    sets = list(iterate_skeletons(paths, batch_bytes=batch_bytes))
    for table in ("nodes", "edges", "trees", "comments", "branchpoints"):
        assert repr(rows(sets, table)) == repr(rows([whole], table)), table  # nan is what it is
    assert [str(error) for each in sets for error in each.errors] == [str(error) for error in whole.errors]
    assert sorted(name for each in sets for name in each.files["file"]) == sorted(whole.files["file"])


def test_files_of_one_name_are_told_apart_by_their_paths(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, [rich()])
    nodes = read_skeletons(tmp_path).nodes
    assert nodes["annotation"].values == ["f0"]
    assert len(nodes["file"].values) == 2
    assert nodes["file"][3].endswith("b/f0.nml")


def test_an_absent_extra_is_named():
    from wkfast._lazy import lazy_import

    with pytest.raises(MissingExtraError, match=r"no_such_package.*wkfast\[arrow\]"):
        lazy_import("no_such_package", extra="arrow").table  # noqa: B018


def test_labels_are_arrays_of_texts():
    labels = Labels.of_files(np.array([0, 2, 1], np.int32), ["x", "y", "x"])
    assert np.asarray(labels).tolist() == ["x", "x", "y"]
    with pytest.raises(ValueError, match="copy=False"):
        np.asarray(labels, copy=False)


def columns(tables):
    return {
        (name, column): getattr(tables, name)[column]
        for name in ("nodes", "edges", "trees", "comments", "branchpoints", "files")
        for column in getattr(tables, name)
    }


def check_like_here(paths, executor, **options):
    here, there = read_skeletons(paths, **options), read_skeletons(paths, executor=executor, **options)
    mine, other = columns(here), columns(there)
    assert list(mine) == list(other)
    for name, values in mine.items():
        same(np.asarray(values) if isinstance(values, Labels) else values, other[name])
        assert values.codes.dtype == other[name].codes.dtype if isinstance(values, Labels) else True
    assert [str(error) for error in here.errors] == [str(error) for error in there.errors]
    assert [type(error.error) for error in here.errors] == [type(error.error) for error in there.errors]
    assert here.problems == there.problems


def test_workers_of_others_read_what_is_read_here(tmp_path, monkeypatch):
    monkeypatch.setattr("wkfast.jobs.batches.LEAST_BYTES_PER_JOB", 1)
    with_axis = nml('<node id="1" x="1" y="2" z="3" additionalCoordinate-t="4"/>', '<edge source="1" target="1"/>')
    paths = write(tmp_path, [nml(), rich(), "<things><thing", with_axis, big(3, 5), rich()])
    (tmp_path / "no.zip").write_bytes(b"PK\x03\x04 cut off")
    with cf.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        check_like_here([*paths[:2], tmp_path / "no.zip", *paths[2:]], executor)
        check_like_here(paths, executor, strict=True)
        check_like_here(paths[:1], executor)
        check_like_here([tmp_path / "no.zip"], executor)
        monkeypatch.chdir(tmp_path)
        assert read_skeletons("f1.nml", executor=executor).files["file"].tolist() == ["f1.nml"]
