"""Other formats of skeletons: what comes back is what went out, in the right units; bad lines and files are named."""

from __future__ import annotations

import errno
import os
import zipfile
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wkfast.convert import convert, read_knossos, read_swc, write_knossos, write_swc
from wkfast.errors import (
    AnnotationFileNotFoundError,
    AnnotationSuffixError,
    AnnotationZipError,
    NmlError,
    SkeletonError,
    SwcError,
)
from wkfast.skeleton import Skeleton
from wkfast.skeleton.rooted import rooted

VOXEL = (11.24, 11.24, 28.0)


def skeleton_of(positions, edges, *, radius=None, comments=None, tree_name="axon"):
    skeleton = Skeleton(voxel_size=VOXEL, dataset_name="d")
    columns = {} if radius is None else {"radius": radius}
    skeleton.add_tree(tree_name).add_nodes(positions, edges=edges, comments=comments, **columns)
    return skeleton


def only_tree(skeleton):
    (tree,) = skeleton.flattened_trees()
    return tree


def geometry(tree):
    """Places, radii and edges as sets of places: independent of ids and order."""
    table = tree.nodes_table()
    places = [tuple(place) for place in np.round(table["position"], 5).tolist()]
    radii = dict(zip(places, np.round(np.nan_to_num(table["radius"], nan=-1), 5).tolist(), strict=True))
    by_id = dict(zip(table["id"].tolist(), places, strict=True))
    edges = tree.edges_table()
    return radii, {
        frozenset((by_id[a], by_id[b])) for a, b in zip(edges["source"].tolist(), edges["target"].tolist(), strict=True)
    }


@st.composite
def forests(draw):
    """Distinct places, and for each node an earlier one it hangs on, or none."""
    count = draw(st.integers(1, 12))
    places = draw(st.lists(st.tuples(*[st.integers(-(10**5), 10**5)] * 3), min_size=count, max_size=count, unique=True))
    parents = [draw(st.integers(-1, row - 1)) for row in range(count)]
    radii = draw(
        st.lists(st.just(np.nan) | st.integers(1, 10**6).map(lambda n: n / 32), min_size=count, max_size=count)
    )
    order = draw(st.permutations(range(count)))
    edges = [(order.index(row), order.index(parent)) for row, parent in enumerate(parents) if parent >= 0]
    return [places[row] for row in order], edges, [radii[row] for row in order]


@settings(max_examples=60)
@given(forest=forests(), unit=st.sampled_from(["micrometer", "nanometer", "nm"]))
def test_a_tree_comes_back_from_swc(forest, unit, tmp_path_factory):
    path = tmp_path_factory.mktemp("swc") / "axon.swc"
    places, edges, radii = forest
    before = skeleton_of(places, edges, radius=radii)
    write_swc(before, path, unit=unit)
    assert geometry(only_tree(read_swc(path, voxel_size=VOXEL))) == geometry(only_tree(before))


@settings(max_examples=60)
@given(forest=forests())
def test_parents_come_first_and_roots_are_first_nodes_of_their_parts(forest):
    places, edges, _ = forest
    tree = only_tree(skeleton_of(places, edges))
    order, parents = (part.tolist() for part in rooted(tree))
    assert sorted(order) == list(range(len(places)))
    assert all(parent < place for place, parent in enumerate(parents))
    joined = {frozenset((order[place], order[parent])) for place, parent in enumerate(parents) if parent >= 0}
    assert joined == {frozenset(edge) for edge in edges}
    roots = [order[place] for place, parent in enumerate(parents) if parent < 0]
    assert roots == sorted(roots)


def test_swc_is_in_micrometres_with_radii_and_parents(tmp_path):
    skeleton = skeleton_of([[100, 0, 1000], [200, 0, 0]], [[1, 0]], radius=[250, np.nan])
    write_swc(skeleton, tmp_path / "a.swc")
    lines = (tmp_path / "a.swc").read_text().splitlines()
    assert lines[0] == "# unit: micrometer"
    assert lines[-2:] == ["1 0 1.124 0.0 28.0 0.25 -1", "2 0 2.248 0.0 0.0 0.0 1"]


def test_types_come_back(tmp_path):
    text = "1 1 0 0 0 1 -1\n2 3 1 0 0 1 1\n3 3 2 0 0 1 2\n4 2 0 1 0 1 1\n"
    (tmp_path / "a.swc").write_text(text)
    skeleton = read_swc(tmp_path / "a.swc", voxel_size=(1, 1, 1), unit="nm")
    assert skeleton.comments_table()["content"].tolist() == ["swc type 1", "swc type 3", "swc type 2"]
    write_swc(skeleton, tmp_path / "b.swc", unit="nm")
    rows = [line.split() for line in (tmp_path / "b.swc").read_text().splitlines() if not line.startswith("#")]
    assert [row[1] for row in rows] == ["1", "3", "3", "2"]


def test_the_unit_that_a_file_names_is_taken_unless_another_is_given(tmp_path):
    (tmp_path / "a.swc").write_text("# Unit: nm\n1 0 10 0 0 5 -1\n")
    stated = only_tree(read_swc(tmp_path / "a.swc", voxel_size=(1, 1, 1)))
    given_unit = only_tree(read_swc(tmp_path / "a.swc", voxel_size=(1, 1, 1), unit="micrometer"))
    assert stated.nodes_table()["position"][0, 0] == 10
    assert given_unit.nodes_table()["position"][0, 0] == 10_000
    assert given_unit.nodes_table()["radius"][0] == 5_000


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("1 0 0 0 0 1 -1\n2 0 1 0 0", 2, "found 5 fields"),
        ("1 0 zero 0 0 1 -1", 1, "could not convert"),
        ("1 0 nan 0 0 1 -1", 1, "not finite"),
        ("# c\n1 0 0 0 0 1 7", 2, "parent 7 of node 1 is nowhere"),
        ("1 0 0 0 0 1 1", 1, "is itself"),
        ("1 0 0 0 0 1 -1\n1 0 0 0 0 1 -1", 1, "again in line 2"),
    ],
)
def test_a_bad_line_of_swc_is_named(tmp_path, text, line, reason):
    (tmp_path / "a.swc").write_text(text)
    with pytest.raises(SwcError, match=reason) as raised:
        read_swc(tmp_path / "a.swc", voxel_size=(1, 1, 1))
    assert raised.value.line == line
    assert f"a.swc: line {line}" in str(raised.value)


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "a.swc").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SwcError, match="UTF-8"):
        read_swc(tmp_path / "a.swc", voxel_size=(1, 1, 1))


def test_a_cycle_is_refused_and_the_file_left_as_it_was(tmp_path):
    (tmp_path / "a.swc").write_text("before")
    with pytest.raises(SkeletonError, match="has cycles, 1 edge"):
        write_swc(skeleton_of(np.eye(3), [[0, 1], [1, 2], [2, 0]]), tmp_path / "a.swc")
    assert (tmp_path / "a.swc").read_text() == "before"


def rich():
    skeleton = skeleton_of([[1, 2, 3], [4, 5, 6]], [[0, 1]], radius=[22.48, np.nan], tree_name='a "name" <&>')
    tree = only_tree(skeleton)
    first, second = tree
    first.comment, second.is_branchpoint = "line\nbreak & <markup>", True
    tree.color = (1, 0.5, 0, 1)
    skeleton.add_tree("without nodes")
    return skeleton


def test_a_skeleton_comes_back_from_knossos(tmp_path):
    write_knossos(rich(), tmp_path / "a.k.zip")
    back = read_knossos(tmp_path / "a.k.zip")
    assert [tree.name for tree in back.flattened_trees()] == ['a "name" <&>', "without nodes"]
    tree, other = back.flattened_trees()
    assert tree.nodes_table()["position"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert tree.nodes_table()["radius"].tolist() == pytest.approx([22.48, 1.5 * 11.24])
    assert (tree.color, other.color[0]) == ((1, 0.5, 0, 1), -1)
    first, second = tree
    assert (first.comment, second.is_branchpoint) == ("line\nbreak & <markup>", True)
    assert tuple(back.voxel_size) == VOXEL


def test_knossos_counts_voxels_from_one_and_gives_radii_in_voxels(tmp_path):
    """As KNOSSOS itself writes and reads them: integers only, names as comments."""
    write_knossos(rich(), tmp_path / "a.k.zip")
    with zipfile.ZipFile(tmp_path / "a.k.zip") as archive:
        (name,) = archive.namelist()
        root = ET.fromstring(archive.read(name))
    assert name == "annotation.xml"
    thing = root.find("thing")
    assert thing.get("comment") == 'a "name" <&>'
    node = thing.find("nodes/node")
    assert [node.get(key) for key in ("x", "y", "z", "radius")] == ["2", "3", "4", "2.0"]
    assert [int(node.get(key)) for key in ("inVp", "inMag", "time")] == [0, 1, 0]


def test_knossos_has_its_suffix_and_its_member(tmp_path):
    with pytest.raises(AnnotationSuffixError, match=r"\.k\.zip"):
        write_knossos(rich(), tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "b.k.zip", "w") as archive:
        archive.writestr("other.txt", "")
    with pytest.raises(AnnotationZipError, match="exactly one"):
        read_knossos(tmp_path / "b.k.zip")


@pytest.fixture
def folder(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    rich().save(source / "a.nml")
    write_knossos(rich(), source / "b.k.zip")
    (source / "c.swc").write_text("1 0 0.01124 0 0 1 -1\n")
    skeleton_of(np.eye(3), [[0, 1], [1, 2], [2, 0]]).save(source / "cycle.zip")
    (source / "bad.nml").write_text("<things")
    return source


def test_many_files_are_converted_and_those_that_cannot_be_are_told(folder, tmp_path):
    done = convert(folder, tmp_path / "out", "swc", voxel_size=VOXEL)
    assert [path.name for path in done.written] == ["a.swc", "b.swc", "c.swc"]
    assert [(error.file.rsplit("/")[-1], type(error.error)) for error in done.errors] == [
        ("bad.nml", NmlError),
        ("cycle.zip", SkeletonError),
    ]
    trees = [next(read_swc(path, voxel_size=VOXEL).flattened_trees()) for path in done.written[:2]]
    assert geometry(trees[0])[1] == geometry(trees[1])[1]


@pytest.mark.parametrize("to", ["nml", "k.zip"])
def test_other_formats_are_written_too(folder, tmp_path, to):
    done = convert(folder, tmp_path / "out", to, voxel_size=VOXEL)
    assert [path.name for path in done.written] == [f"a.{to}", f"b.{to}", f"c.{to}", f"cycle.{to}"]
    load = Skeleton.load if to == "nml" else read_knossos
    trees = [next(load(path).flattened_trees()) for path in done.written]
    assert trees[0].nodes_table()["position"].tolist() == trees[1].nodes_table()["position"].tolist()
    assert trees[2].nodes_table()["position"].tolist() == [[1, 0, 0]]


def test_files_that_are_not_there_and_folders_without_any_are_told(tmp_path):
    with pytest.raises(AnnotationFileNotFoundError, match=r"missing\.swc: there is no such file"):
        read_swc(tmp_path / "missing.swc", voxel_size=VOXEL)
    done = convert([tmp_path / "missing.swc", tmp_path / "missing.nml"], tmp_path / "out", "nml", voxel_size=VOXEL)
    assert [type(error.error) for error in done.errors] == [AnnotationFileNotFoundError] * 2
    with pytest.raises(AnnotationFileNotFoundError, match=r"no \.nml and no \.swc and no \.zip"):
        convert(tmp_path, tmp_path / "out", "nml")


def test_each_tree_gets_a_file_with_a_name_that_files_can_have(folder, tmp_path):
    done = convert(folder / "a.nml", tmp_path / "out", "swc", file_per_tree=True)
    assert [path.name for path in done.written] == ["a_1_a_name_.swc", "a_4_without_nodes.swc"]


def test_files_of_one_name_do_not_replace_each_other(folder, tmp_path):
    done = convert([folder / "a.nml", folder / "a.nml"], tmp_path / "out", "nml")
    assert [path.name for path in done.written] == ["a.nml", "a-2.nml"]


def test_a_folder_that_cannot_be_written_to_is_told_once_and_not_for_each_file(folder, tmp_path):
    (tmp_path / "taken").write_text("no folder")
    with pytest.raises(FileExistsError, match="taken"):
        convert(folder, tmp_path / "taken", "swc")


def test_what_is_asked_for_is_checked(folder, tmp_path):
    with pytest.raises(AnnotationSuffixError, match=r"nml, swc, k\.zip"):
        convert(folder, tmp_path, "obj")
    with pytest.raises(AnnotationSuffixError, match="file per tree"):
        convert(folder, tmp_path, "nml", file_per_tree=True)
    with pytest.raises(AnnotationFileNotFoundError, match="in the folder"):
        convert(tmp_path / "in" / "none", tmp_path, "nml") if (folder / "none").mkdir() is None else None
    (error,) = convert(folder / "c.swc", tmp_path / "out", "nml").errors
    assert "--voxel-size" in str(error)


def test_long_names_are_cut_by_bytes_between_letters(tmp_path):
    skeleton = Skeleton(voxel_size=VOXEL, dataset_name="d")
    for name in ("樹" * 120, "a" + "樹" * 120, "ü" * 120, "x" * 120):
        skeleton.add_tree(name).add_node((1, 2, 3))
    skeleton.save(tmp_path / "s.nml")
    done = convert(tmp_path / "s.nml", tmp_path / "out", "swc", file_per_tree=True)
    assert not done.errors
    stems = [path.stem.partition("_")[2].partition("_")[2] for path in done.written]
    assert stems[0] == "樹" * len(stems[0])
    assert stems[1] == "a" + "樹" * (len(stems[1]) - 1)
    assert [len(stem.encode()) > 150 for stem in stems[:2]] == [True, True]
    # Letters count as before where bytes allow it.
    assert all(len(path.stem) == len(done.written[3].stem) == 100 for path in done.written[3:])
    assert len(stems[2].encode()) > 150


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM])
def test_what_the_next_file_would_meet_as_well_ends_the_call(folder, tmp_path, monkeypatch, number):
    def fail(*_args, **_more):
        raise OSError(number, os.strerror(number), "some file")

    monkeypatch.setattr("wkfast.convert.bulk.write_swc", fail)
    with pytest.raises(OSError, match="some file"):
        convert(folder, tmp_path / "out", "swc", voxel_size=VOXEL)


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_is_a_file_ends_the_call(folder, tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises((FileExistsError, NotADirectoryError)):
        convert(folder, tmp_path / place, "swc", voxel_size=VOXEL)


def test_a_folder_that_is_a_link_to_nothing_ends_the_call_and_nothing_is_made_there(folder, tmp_path):
    (tmp_path / "link").symlink_to("gone")
    with pytest.raises(FileExistsError, match="a link to gone, which is not there"):
        convert(folder, tmp_path / "link", "swc", voxel_size=VOXEL)
    assert not (tmp_path / "gone").exists()


def test_what_is_of_one_file_holds_up_no_other(folder, tmp_path):
    (tmp_path / "out" / "a.swc").mkdir(parents=True)
    done = convert(folder, tmp_path / "out", "swc", voxel_size=VOXEL)
    assert [path.name for path in done.written] == ["b.swc", "c.swc"]
    assert [error.file.rsplit("/")[-1] for error in done.errors] == ["a.nml", "bad.nml", "cycle.zip"]
    assert isinstance(done.errors[0].error, OSError)
