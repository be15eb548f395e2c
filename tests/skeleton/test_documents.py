"""Files: what is saved loads equal, a failed save leaves the old file, memory is bounded by the largest tree."""

import copy
import io
import math
import os
import pickle
import re
import stat
import warnings
import zipfile

import lxml.etree
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.inputs import measured, needs_peaks

from wkfast import _core
from wkfast.errors import (
    AnnotationFileNotFoundError,
    AnnotationSuffixError,
    AnnotationZipError,
    NmlError,
    SkeletonError,
    WkfastError,
)
from wkfast.geometry import LengthUnit, VoxelSize
from wkfast.skeleton import AdditionalAxis, Skeleton, iterate_trees, load_document, save_document

# What XML can hold: control characters and lone surrogates cannot be written and are refused.
texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff") | st.sampled_from("\n\t\r\"'<&>")
)
floats = st.floats()
metadata = st.dictionaries(
    texts,
    texts
    | st.integers(-(2**127), 2**127 - 1)
    | st.floats(allow_nan=False)
    | st.booleans()
    | st.lists(texts, max_size=3),
    max_size=3,
)
colors = st.none() | st.tuples(*[st.floats(0, 1)] * 4)


@st.composite
def skeletons(draw):
    unit = draw(st.sampled_from(LengthUnit))
    size = VoxelSize(draw(st.tuples(*[st.floats(1e-3, 1e6)] * 3)), unit)
    skeleton = Skeleton(size, draw(texts), draw(st.none() | texts), draw(st.none() | texts), draw(st.none() | texts))
    groups = [skeleton]
    for _ in range(draw(st.integers(0, 4))):
        groups.append(draw(st.sampled_from(groups)).add_group(draw(texts)))
        groups[-1].is_expanded = draw(st.none() | st.booleans())
    for _ in range(draw(st.integers(0, 4))):
        tree = draw(st.sampled_from(groups)).add_tree(
            draw(texts), metadata=draw(metadata), is_visible=draw(st.booleans())
        )
        tree.color, tree.tree_type = draw(colors), draw(st.sampled_from([None, "DEFAULT", "AGGLOMERATE"]))
        tree.edges_are_visible = draw(st.none() | st.booleans())
        _fill(draw, tree)
    skeleton.additional_axes = [AdditionalAxis("t", 0, 0, 9)] if draw(st.booleans()) else []
    skeleton.active_node_id = draw(st.none() | st.integers(1, 9))
    return skeleton


def _fill(draw, tree):
    nodes = []
    for _ in range(draw(st.integers(0, 6))):
        node = tree.add_node(
            (0, 0, 0),
            comment=draw(st.none() | texts),
            radius=draw(st.none() | floats),
            rotation=draw(st.none() | st.tuples(floats, floats, floats)),
            inVp=draw(st.none() | st.integers(0, 3)),
            interpolation=draw(st.none() | st.booleans()),
            time=draw(st.none() | st.integers(0, 2**50)),
            # Beyond 64 bits, and in no other tree: a comment would go to the first.
            _enforced_id=draw(st.sampled_from([None, 2**64 + 1000 * tree.id])) if not nodes else None,
        )
        node.position_float = draw(st.tuples(*[st.floats(-1e12, 1e12)] * 3))
        axes = st.dictionaries(st.sampled_from(["t", "channel_2", *"abcdefgh"]), st.integers(-(2**63), 2**63 - 1))
        node.additional_coordinates = draw(st.just({}) | axes)
        if draw(st.booleans()):
            node.comments = draw(st.lists(texts, max_size=3))
        if draw(st.booleans()):
            node.is_branchpoint = True
            node.branchpoint_time = draw(st.none() | st.integers(0, 2**50))
        nodes.append(node)
    for _ in range(draw(st.integers(0, 6)) if nodes else 0):
        tree.add_edge(draw(st.sampled_from(nodes)), draw(st.sampled_from(nodes)))
    if len(nodes) > 3 and draw(st.booleans()):
        tree.remove_node(nodes[1])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(skeleton=skeletons(), suffix=st.sampled_from([".nml", ".zip"]))
def test_what_is_saved_loads_equal(skeleton, suffix, tmp_path):
    path = tmp_path / f"s{suffix}"
    with warnings.catch_warnings():
        # An active node that no tree has, a self-edge: a server's concern, not this test's.
        warnings.simplefilter("ignore", UserWarning)
        skeleton.save(path)
        loaded = Skeleton.load(path)
        assert loaded == skeleton
        loaded.save(tmp_path / f"again{suffix}")
        assert Skeleton.load(tmp_path / f"again{suffix}") == skeleton
    if suffix == ".nml":
        assert (tmp_path / "again.nml").read_bytes() == path.read_bytes()
        lxml.etree.parse(path)


@pytest.mark.filterwarnings("ignore:.*of the zip that the skeleton is from:UserWarning")
def test_files_of_other_writers_survive(fixtures, tmp_path):
    for path in [*sorted((fixtures / "nmls").glob("*.nml")), *sorted((fixtures / "annotations").glob("*.zip"))]:
        skeleton = Skeleton.load(path)
        skeleton.save(tmp_path / "s.nml")
        assert Skeleton.load(tmp_path / "s.nml") == skeleton


def test_a_skeleton_of_a_zip_says_that_voxels_are_left_behind(tmp_path):
    path = tmp_path / "a.zip"
    _small().save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("data_0_seg.zip", b"voxels")
    skeleton = Skeleton.load(path)
    with pytest.warns(UserWarning, match="data_0_seg.zip of the zip"):
        skeleton.save(tmp_path / "b.zip")


def test_long_lists_and_long_comments_load_again(tmp_path):
    skeleton = _small()
    tree = next(skeleton.trees)
    tree.metadata["ids"] = [str(i) for i in range(70_000)]
    tree.get_node_by_id(2).comment = "x" * (17 << 20)
    skeleton.save(tmp_path / "s.nml")
    assert Skeleton.load(tmp_path / "s.nml") == skeleton


def test_groups_nested_as_deep_as_files_may_are_saved(tmp_path):
    depth = 500
    groups = "".join(f'<group id="{i}" name="g">' for i in range(1, depth + 1)) + "</group>" * depth
    path = _written(tmp_path / "s.nml", f"<groups>{groups}</groups>")
    Skeleton.load(path).save(tmp_path / "again.nml")
    assert len(list(Skeleton.load(tmp_path / "again.nml").flattened_groups())) == depth


def test_a_copy_of_a_grouped_tree_names_no_group_of_the_other_skeleton(tmp_path):
    skeleton = Skeleton((1, 1, 1), "d")
    skeleton.add_group("g").add_tree("t", color=(1, 0, 0)).add_node((1, 2, 3))
    skeleton.save(tmp_path / "s.nml")
    other = Skeleton((1, 1, 1), "d")
    for tree in Skeleton.load(tmp_path / "s.nml").flattened_trees():
        other.add_tree(tree)
    other.save(tmp_path / "other.nml")
    assert "groupId" not in (tmp_path / "other.nml").read_text()
    assert next(Skeleton.load(tmp_path / "other.nml", strict=True).trees).name == "t"


def _small() -> Skeleton:
    skeleton = Skeleton((1, 1, 1), "d")
    tree = skeleton.add_tree("t")
    tree.add_edge(tree.add_node((1, 2, 3)), tree.add_node((4, 5, 6)))
    return skeleton


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "s.nml"
    skeleton = _small()
    skeleton.save(path)
    before = path.read_bytes()
    skeleton.get_node_by_id(2).comment = "bell \x07"
    with pytest.raises(SkeletonError, match="cannot be written"):
        skeleton.save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["s.nml"]


def test_saving_keeps_links_and_permissions_and_obeys_the_umask(tmp_path):
    path, link = tmp_path / "s.nml", tmp_path / "link.nml"
    before = os.umask(0o027)
    try:
        _small().save(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o600)
    link.symlink_to(path)
    _small().save(link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(OSError, match="missing"):
        _small().save(tmp_path / "missing" / "s.nml")


@pytest.mark.parametrize("by_link", [False, True])
def test_what_is_no_file_is_not_saved_over(tmp_path, by_link):
    path = tmp_path / "s.nml"
    odd = tmp_path / "pipe" if by_link else path
    os.mkfifo(odd)
    if by_link:
        path.symlink_to(odd)
    with pytest.raises(WkfastError, match=r"s\.nml: is no regular file"):
        _small().save(path)
    assert stat.S_ISFIFO(odd.stat().st_mode)
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted({"s.nml", odd.name})


def test_a_zip_holds_the_nml_and_its_members_as_they_were(tmp_path):
    data = os.urandom(100_000)
    source = tmp_path / "source.zip"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("data_0.zip", data)
        archive.writestr("packed", b"x" * 100_000, zipfile.ZIP_DEFLATED)
    plain = tmp_path / "plain"
    plain.write_bytes(data)
    header = _core.empty_header()
    members = {
        "data_1.zip": (str(source), "data_0.zip"),
        "packed": (str(source), "packed"),
        "from a file": (str(plain), None),
        "from bytes": b"abc",
    }
    save_document(source, header, _small(), nml_name="a.nml", members=members)
    with zipfile.ZipFile(source) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a.nml", *members]
        assert archive.read("data_1.zip") == archive.read("from a file") == data
        assert archive.getinfo("data_1.zip").compress_type == zipfile.ZIP_STORED
        assert archive.getinfo("packed").compress_type == zipfile.ZIP_DEFLATED
        assert archive.read("packed") == b"x" * 100_000
        assert archive.read("from bytes") == b"abc"
    assert load_document(source, "a.nml").skeleton == _small()
    with pytest.raises(AnnotationZipError, match=r"source\.zip"):
        save_document(source, header, _small(), nml_name="a.nml", members={"x": (str(source), "missing")})
    with pytest.raises(FileNotFoundError, match="nowhere"):
        save_document(source, header, _small(), nml_name="a.nml", members={"x": (str(tmp_path / "nowhere"), None)})


def _nml(body: str, root: str = "<parameters><experiment name='d'/><scale x='1' y='1' z='1'/></parameters>") -> bytes:
    return f"<things>{root}\n{body}</things>".encode()


FAULTY = """<thing id="1"><nodes><node id="1" x="1" y="2" z="3"/></nodes>
<edges><edge source="1" target="9"/></edges></thing>"""


def test_faults_that_loading_survives_are_listed_and_warned_about_once(tmp_path):
    path = tmp_path / "faulty.nml"
    path.write_bytes(_nml(FAULTY))
    with pytest.warns(UserWarning, match=r"faulty.nml: line 3, column \d+: <edge>") as caught:
        document = load_document(path)
    assert len(caught) == 1
    problem = document.problems[0]
    assert (problem.line, problem.element, problem.rejected_by_server) == (3, "edge", True)
    assert document.skeleton.get_total_node_count() == 1
    with pytest.raises(NmlError, match="a server would reject") as error:
        load_document(path, strict=True)
    assert error.value.line == 3


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (b"", 1, "holds no element; expected <things>"),
        (b"<things>\n<parameters/>\n<thing id='x'/></things>", 3, "thing"),
        (b"<things>\n<parameters/>\n<thing></things>", 3, "thing"),
        (b"<!DOCTYPE x [<!ENTITY e 'x'>]><things/>", 1, "document type|DOCTYPE"),
        (b"<things/>", None, "parameters"),
    ],
)
def test_what_is_no_nml_says_where_and_why(tmp_path, text, line, words):
    path = tmp_path / "bad.nml"
    path.write_bytes(text)
    with pytest.raises(NmlError, match=words) as error:
        Skeleton.load(path)
    assert isinstance(error.value, RuntimeError)
    assert str(path) in str(error.value)
    assert re.search(words, str(error.value).replace(str(path), "")), "the name of the file says nothing"
    if line is not None:
        assert error.value.line == line
    with pytest.raises(NmlError):
        list(iterate_trees(path))
    with pytest.raises(NmlError, match="from memory"):
        _core.read_nml_bytes(text, "from memory")


def test_a_path_that_is_no_annotation_says_so(tmp_path):
    with pytest.raises(AnnotationFileNotFoundError):
        Skeleton.load(tmp_path / "missing.nml")
    with pytest.raises(FileNotFoundError):
        _core.read_nml(str(tmp_path / "missing.nml"))
    with pytest.raises(AnnotationSuffixError):
        Skeleton.load(tmp_path / "x.txt")
    with pytest.raises(AnnotationSuffixError):
        _small().save(tmp_path / "x.txt")
    (tmp_path / "x.zip").write_bytes(b"no zip")
    with pytest.raises(AnnotationZipError):
        Skeleton.load(tmp_path / "x.zip")
    with pytest.raises(AnnotationZipError):
        _core.read_nml(str(tmp_path / "x.zip"), "a.nml")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.nml", _nml(""))
        archive.writestr("b.nml", _nml(""))
    with pytest.raises(AnnotationZipError, match="exactly one"):
        Skeleton.load(tmp_path / "x.zip")


def test_a_damaged_zip_is_an_error_not_a_shorter_skeleton(tmp_path):
    skeleton = Skeleton((1, 1, 1), "d")
    skeleton.add_tree_from_arrays("t", [[i * 7919 % 1000, i * 104729 % 1000, i] for i in range(20_000)])
    path = tmp_path / "s.zip"
    skeleton.save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises((NmlError, AnnotationZipError)):
        Skeleton.load(path)
    with pytest.raises((NmlError, AnnotationZipError)):
        list(iterate_trees(path))


def test_a_tree_in_a_group_that_is_not_there_keeps_its_group_id(tmp_path):
    path = tmp_path / "s.nml"
    path.write_bytes(_nml("<thing id='1' groupId='77'/>"))
    with pytest.warns(UserWarning, match="77"):
        Skeleton.load(path).save(tmp_path / "again.nml")
    assert b'groupId="77"' in (tmp_path / "again.nml").read_bytes()


def test_new_ids_are_past_all_that_were_loaded_groups_included(tmp_path):
    path = tmp_path / "s.nml"
    path.write_bytes(
        _nml(
            "<thing id='3'><nodes><node id='5' x='0' y='0' z='0'/></nodes></thing>"
            "<groups><group id='40' name='g'/></groups>"
        )
    )
    skeleton = Skeleton.load(path)
    assert skeleton.add_group("new").id == 41
    assert skeleton.get_tree_by_id(3).add_node((0, 0, 0)).id == 42


@pytest.mark.parametrize(("attributes", "visible"), [
    ("", True), ("isVisible='false'", False), ("color.r='1' color.g='1' color.b='1' color.a='0'", False),
    ("color.r='1' color.g='1' color.b='1' color.a='0' isVisible='true'", True),
])  # fmt: skip
def test_an_old_file_hides_a_tree_by_its_alpha(tmp_path, attributes, visible):
    path = tmp_path / "s.nml"
    path.write_bytes(_nml(f"<thing id='3' name='t' {attributes}/>"))
    skeleton = Skeleton.load(path)
    assert skeleton.get_tree_by_id(3).is_visible is visible
    skeleton.save(tmp_path / "again.nml")
    assert (b"isVisible" in (tmp_path / "again.nml").read_bytes()) == ("isVisible" in attributes)


def test_trees_come_one_by_one_from_files_and_zips(tmp_path):
    skeleton = _small()
    skeleton.add_tree("u").add_node((7, 8, 9))
    for path in (tmp_path / "s.nml", tmp_path / "s.zip"):
        skeleton.save(path)
        trees = list(iterate_trees(path))
        assert [(tree.name, len(tree), tree.number_of_edges()) for tree in trees] == [("t", 2, 1), ("u", 1, 0)]
        assert trees[0].path_length() == pytest.approx(math.sqrt(27))
        assert trees[0].group.dataset_name == "d"
    assert next(iter(iterate_trees(tmp_path / "s.zip"))).name == "t"


def _peak(code: str, *arguments: str) -> int:
    """Peak resident bytes of a fresh interpreter that ran the code."""
    (peak,) = measured(f"{code}\nprint(peak())", *arguments)
    return peak


@needs_peaks
@pytest.mark.slow
def test_memory_is_bounded_per_node_and_by_the_largest_tree_when_streaming(tmp_path):
    nodes, trees = 20_000, 30
    skeleton = Skeleton((1, 1, 1), "d")
    for i in range(trees):
        positions = [[j % 1000, j // 1000, i] for j in range(nodes)]
        tree = skeleton.add_tree_from_arrays(str(i), positions, [[j, j + 1] for j in range(nodes - 1)])
        for node in list(tree)[:100]:
            node.comment = "c"
    path = tmp_path / "s.zip"
    skeleton.save(path)
    base = _peak("from wkfast.skeleton import Skeleton, iterate_trees")
    loaded = _peak("from wkfast.skeleton import Skeleton\nheld = Skeleton.load(sys.argv[1])", str(path)) - base
    streamed = (
        _peak("from wkfast.skeleton import iterate_trees\nfor t in iterate_trees(sys.argv[1]): pass", str(path)) - base
    )
    assert loaded < 180 * nodes * trees
    assert streamed < 16e6


def test_a_stream_that_is_dropped_ends_quietly(tmp_path):
    path = tmp_path / "s.nml"
    _small().save(path)
    for _ in range(20):
        assert next(iterate_trees(path)).name == "t"
    stream = _core.TreeStream(str(path))
    assert len(list(stream)) == 1
    assert list(stream) == []
    assert stream.header["parameters"]["experiment"]["name"] == "d"


def test_the_header_passes_through_with_the_skeletons_facts_over_it(tmp_path):
    text = _nml(
        "",
        "<parameters><experiment name='d' wkUrl='https://w' odd='1'/><scale x='1' y='1' z='1'/>"
        "<offset x='1' y='2' z='3'/><extra a='b'/></parameters>",
    )
    document = _core.read_nml_bytes(text)
    skeleton = Skeleton._from_records(document.header, document.trees)
    assert skeleton.wk_url == "https://w"
    skeleton.description = "new"
    save_document(tmp_path / "s.nml", document.header, skeleton)
    written = lxml.etree.parse(io.BytesIO((tmp_path / "s.nml").read_bytes())).getroot()
    assert dict(written.find("parameters/experiment").attrib) == {
        "name": "d",
        "wkUrl": "https://w",
        "odd": "1",
        "description": "new",
    }
    assert written.find("parameters/extra").attrib == {"a": "b"}
    assert written.find("parameters/offset") is not None
    assert "unit" not in written.find("parameters/scale").attrib


def _written(path, things, scale="x='1' y='1' z='1'"):
    path.write_text(f"<things><parameters><experiment name='d'/><scale {scale}/></parameters>{things}</things>")
    return path


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_node_without_a_place_is_kept_and_equals_its_copy(tmp_path):
    path = _written(
        tmp_path / "s.nml",
        "<thing id='1'><nodes><node id='1' x='nan' y='0' z='inf' radius='nan'/></nodes></thing>",
    )
    with pytest.raises(NmlError, match=r"line 1.*expected a finite number"):
        load_document(path, strict=True)
    document = load_document(path)
    assert [problem.element for problem in document.problems] == ["node", "node"]
    tree = document.skeleton.get_tree_by_id(1)
    (node,) = tree.nodes
    twin = copy.deepcopy(tree)
    assert tree == twin
    assert node == next(iter(twin.nodes))
    with pytest.raises(ValueError, match="expected integers"):
        _ = node.position
    assert math.isnan(node.position_float.x)
    document.skeleton.save(path)
    assert 'x="nan" y="0.0" z="inf"' in path.read_text()
    node.radius = 1
    assert tree != twin


def test_programs_cannot_put_a_node_nowhere(tmp_path):
    skeleton = Skeleton((1, 1, 1), "d")
    tree = skeleton.add_tree("t")
    node = tree.add_node((1, 2, 3))
    nowhere = (math.nan, 0, 0)
    # A ValueError as in the reference, whose vectors are integers.
    with pytest.raises(ValueError, match=r"expected integers, got .*nan"):
        tree.add_node(nowhere)
    with pytest.raises(SkeletonError, match="expected finite numbers"):
        node.position_float = nowhere
    with pytest.raises(SkeletonError, match="expected finite numbers"):
        tree.set_node_positions([nowhere])
    with pytest.raises(SkeletonError, match="expected finite numbers"):
        skeleton.add_tree_from_arrays("u", [nowhere], [])
    assert node.position == (1, 2, 3)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_old_colour_beside_a_new_one_stays_until_the_colour_is_changed(tmp_path):
    thing = (
        "<thing id='1' color.r='1' color.g='1' color.b='1' color.a='1' colorr='0' colorg='0' colorb='0' colora='1'/>"
    )
    skeleton = Skeleton.load(_written(tmp_path / "s.nml", thing))
    tree = skeleton.get_tree_by_id(1)
    assert tree.color == (1, 1, 1, 1)
    skeleton.save(tmp_path / "t.nml")
    assert 'color.r="1.0" colora="1" colorb="0"' in (tmp_path / "t.nml").read_text()
    tree.color = (0, 1, 0, 1)
    skeleton.save(tmp_path / "t.nml")
    text = (tmp_path / "t.nml").read_text()
    assert 'color.r="0.0" id="1"' in text
    assert "colora" not in text


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_voxel_without_a_size_is_a_problem(tmp_path):
    document = load_document(_written(tmp_path / "s.nml", "", scale="x='0' y='-1' z='1'"))
    assert "0 × -1 × 1" in document.problems[0].reason


def _things(skeleton, path):
    skeleton.save(path)
    root = lxml.etree.parse(str(path)).getroot()
    return [lxml.etree.tostring(thing).strip() for thing in root.iter("thing")]


@pytest.mark.parametrize(
    ("attribute", "value", "written"),
    [
        ("name", "new", b'name="new"'),
        ("name", "", b'name=""'),
        ("color", (1.0, 0.5, 0.0, 1.0), b'color.g="0.5"'),
        ("color", None, None),
        ("is_visible", False, b'isVisible="false"'),
        ("edges_are_visible", False, b'edgesAreVisible="false"'),
        ("tree_type", "AGGLOMERATE", b'type="AGGLOMERATE"'),
        ("metadata", {"sure": True}, b'boolValue="true"'),
    ],
)
def test_a_tree_is_written_as_it_was_read_but_for_what_was_changed(tmp_path, attribute, value, written):
    thing = (
        "<thing id='{}' name='t' color.r='0.25' color.g='0.25' color.b='0.25' color.a='1.0' groupId='' odd='1'>"
        "<nodes><node id='{}' x='1' y='2' z='3' radius='1'/></nodes><edges/></thing>"
    )
    document = _core.read_nml_bytes(_nml(thing.format(1, 1) + thing.format(2, 2)))
    skeleton = Skeleton._from_records(document.header, document.trees)
    before = _things(skeleton, tmp_path / "s.nml")
    assert all(b'odd="1"' in text for text in before)
    for copied in (copy.deepcopy(skeleton), pickle.loads(pickle.dumps(skeleton))):
        assert _things(copied, tmp_path / "s.nml") == before
    changed, kept = list(skeleton.flattened_trees())
    old = getattr(changed, attribute)
    setattr(changed, attribute, value)
    after = _things(skeleton, tmp_path / "s.nml")
    assert after[1] == before[1]
    assert after[0] != before[0]
    assert b'odd="1"' in after[0]
    assert b"color" not in after[0] if written is None else written in after[0]
    assert kept.color == (0.25, 0.25, 0.25, 1.0)
    setattr(changed, attribute, old)
    assert _things(skeleton, tmp_path / "s.nml") == before


def test_records_of_trees_are_what_files_say():
    text = _nml("<thing id='3' comment='old' color.r='1' color.g='0' color.b='0' groupId='7' type='DEFAULT'/>")
    ((record, _),) = _core.read_nml_bytes(text).trees
    assert record.facts() == (3, "old", (1.0, 0.0, 0.0, 1.0), [], True, None, "DEFAULT", 7)
    assert record.group_id == 7
    assert record.to_dict()["color"] == (1.0, 0.0, 0.0, None)
    assert _core.TreeRecord.from_dict(record.to_dict()).to_dict() == record.to_dict()
    assert copy.copy(record) is copy.deepcopy(record) is record
    hidden = record.to_dict() | {"color": (1.0, 0.0, 0.0, 0.0)}
    assert _core.TreeRecord.from_dict(hidden).facts()[4] is False
    with pytest.raises(TypeError):
        _core.TreeRecord()
