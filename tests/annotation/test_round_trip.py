"""What an annotation file said is there after loading and saving."""

import copy
import pickle
import time
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from tests.inputs import minimal_nml, tree_state, write_zip

import wkfast as wk
from wkfast.errors import AnnotationError

EMPTY_ZIP = b"PK\5\6" + b"\0" * 18

FULL = """<things novel="1">
  <meta name="writer" content="NmlWriter" />
  <meta name="username" content="Sample User" />
  <meta name="annotationId" content="61c20205010000cc004a6356" />
  <meta name="writer" content="twice" />
  <parameters>
    <experiment name="d" organization="o" description="" datasetId="67b7c81b0100004d00f5ab31" wkUrl="http://a" />
    <scale x="11.24" y="11.24" z="28.0" unit="nanometer" />
    <offset x="0" y="0" z="0" />
    <time ms="1640104453746" />
    <editPosition x="1.0" y="2.0" z="3.0" additionalCoordinate-t="4" />
    <editRotation xRot="0.0" yRot="1.0" zRot="2.0" />
    <zoomLevel zoom="1.5" />
    <activeNode id="7" />
    <userBoundingBox id="4" name="a" isVisible="true" color.r="1.0" color.g="0.0" color.b="0.0" color.a="1.0"
      topLeftX="1" topLeftY="2" topLeftZ="3" width="4" height="5" depth="6" />
    <userBoundingBox id="9" topLeftX="0" topLeftY="0" topLeftZ="0" width="1" height="1" depth="1" />
    <taskBoundingBox topLeftX="0" topLeftY="0" topLeftZ="0" width="9" height="9" depth="9" />
    <additionalAxes><additionalAxis name="t" index="0" start="0" end="10" /></additionalAxes>
  </parameters>
  <branchpoints /><comments /><groups />
  <volume id="3" name="seg" location="data_seg.zip" format="wkw" fallbackLayer="base" largestSegmentId="0"
    mappingName="agglomerate" mappingIsLocked="true">
    <segments>
      <segment id="5" name="cell" created="12" anchorPositionX="1" anchorPositionY="2" anchorPositionZ="3" groupId="1"
        isVisible="false" color.r="0.5" color.g="0.25" color.b="0.125" color.a="1.0">
        <metadata>
          <metadataEntry key="checked" boolValue="true" />
          <metadataEntry key="tags" stringListValue-0="a" stringListValue-1="b" />
        </metadata>
      </segment>
      <segment id="6" />
    </segments>
    <groups><group id="1" name="segment group" /></groups>
  </volume>
</things>
"""


def facts(nml: str | bytes):
    """Every element that has attributes, sorted, numbers by value: what the file says, however it is spelt."""
    root = ET.fromstring(nml)
    elements = [(path, attributes) for path, attributes in _walk(root, "") if attributes]
    return sorted((path, tuple(sorted((k, _value(v)) for k, v in attributes.items()))) for path, attributes in elements)


def _value(text):
    try:
        return repr(float(text))
    except ValueError:
        return text


def _walk(element, prefix):
    path = f"{prefix}/{element.tag}"
    yield path, element.attrib
    for child in element:
        yield from _walk(child, path)


@pytest.fixture
def full(tmp_path):
    return write_zip(tmp_path / "full.zip", {"full.nml": FULL, "data_seg.zip": EMPTY_ZIP, "notes.txt": "kept"})


def test_every_fact_survives_load_and_save(full, tmp_path):
    wk.Annotation.load(full).save(tmp_path / "again.zip")
    with zipfile.ZipFile(tmp_path / "again.zip") as archive:
        before, after = facts(FULL), facts(archive.read("full.nml"))
        assert [fact for fact in before if fact not in after] == []
        assert archive.read("data_seg.zip") == EMPTY_ZIP
        assert archive.read("notes.txt") == b"kept"


def test_facts_are_reachable(full):
    annotation = wk.Annotation.load(full)
    assert annotation.name == "full"
    assert annotation.owner_name == "Sample User"
    assert annotation.annotation_id == "61c20205010000cc004a6356"
    assert annotation.metadata == {"writer": "twice"}
    assert annotation.time == 1640104453746
    assert annotation.edit_position == (1.0, 2.0, 3.0)
    assert annotation.zoom_level == 1.5
    assert annotation.description == ""
    assert annotation.dataset_id == "67b7c81b0100004d00f5ab31"
    assert [box.name for box in annotation.user_bounding_boxes] == ["a", None]
    assert annotation.task_bounding_box.size.to_tuple() == (9, 9, 9)
    layer = annotation.get_volume_layer("seg")
    assert (layer.id, layer.fallback_layer_name, layer.mapping_name) == (3, "base", "agglomerate")
    segment = layer.segments[5]
    assert (segment.name, segment.creation_time, segment.group_id, segment.is_visible) == ("cell", 12, 1, False)
    assert segment.anchor_position == (1, 2, 3)
    assert segment.metadata == {"checked": True, "tags": ["a", "b"]}


def test_segments_that_share_an_id_are_all_kept(tmp_path):
    segments = '<segments><segment id="1" name="first" /><segment id="2" /><segment id="1" name="last" /></segments>'
    body = f'<volume id="0" name="V" location="d.zip">{segments}</volume>'
    file = write_zip(tmp_path / "a.zip", {"a.nml": minimal_nml(body), "d.zip": EMPTY_ZIP})
    annotation = wk.Annotation.load(file)
    assert annotation.get_volume_layer_segments("V")[1].name == "last"
    annotation.save(tmp_path / "again.zip")
    with zipfile.ZipFile(tmp_path / "again.zip") as archive:
        names = [s.get("name") for s in ET.fromstring(archive.read("a.nml")).iter("segment") if s.get("id") == "1"]
    assert names == ["first", "last"]


def test_edits_are_saved_and_nothing_else_changes(full, tmp_path):
    annotation = wk.Annotation.load(full)
    annotation.get_volume_layer_segments("seg")[6].name = "axon"
    annotation.user_bounding_boxes.append(wk.BoundingBox((0, 0, 0), (2, 2, 2), name="new"))
    annotation.owner_name = "Another User"
    annotation.save(tmp_path / "edited.zip")
    again = wk.Annotation.load(tmp_path / "edited.zip")
    assert again.get_volume_layer_segments()[6].name == "axon"
    assert again.owner_name == "Another User"
    with zipfile.ZipFile(tmp_path / "edited.zip") as archive:
        after = facts(archive.read("full.nml"))
    changed = [fact for fact in facts(FULL) if fact not in after]
    assert len(changed) == 2  # the owner and the segment's name
    ids = [dict(attributes)["id"] for path, attributes in after if path.endswith("userBoundingBox")]
    assert sorted(ids) == ["10.0", "4.0", "9.0"]


def test_saving_over_the_file_it_was_loaded_from(full):
    annotation = wk.Annotation.load(full)
    annotation.save(full)
    annotation.save(full)
    assert wk.Annotation.load(full).get_volume_layer("seg").data is not None


@pytest.mark.parametrize("name", ["cremi_two_volumes", "l4dense_wkw", "l4_sample_zarr3"])
def test_volume_payloads_of_real_annotations_are_copied_byte_by_byte(fixtures, tmp_path, name):
    source = fixtures / "annotations" / f"{name}.zip"
    wk.Annotation.load(source).save(tmp_path / "again.zip")
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(tmp_path / "again.zip") as after:
        assert {info.filename for info in before.infolist()} == {info.filename for info in after.infolist()}
        for member in before.infolist():
            if member.filename.endswith(".zip"):
                assert after.read(member.filename) == before.read(member.filename)
                assert after.getinfo(member.filename).compress_size == member.compress_size
            else:
                lost = [f for f in facts(before.read(member)) if f not in facts(after.read(member.filename))]
                assert lost == []


def test_volume_layers_do_not_fit_into_an_nml(full, tmp_path):
    annotation = wk.Annotation.load(full)
    before = tree_state(tmp_path)
    with pytest.raises(AssertionError, match=r"use a .zip file"):
        annotation.save(tmp_path / "a.nml")
    assert tree_state(tmp_path) == before


def test_a_failed_save_leaves_the_old_file(full, tmp_path):
    annotation = wk.Annotation.load(full)
    annotation.save(tmp_path / "old.zip")
    before = tree_state(tmp_path)
    annotation.description = "not allowed in XML: \x00"
    with pytest.raises(wk.errors.WkfastError):
        annotation.save(tmp_path / "old.zip")
    assert tree_state(tmp_path) == before


def test_a_file_that_changed_under_an_annotation_is_not_copied(full, tmp_path):
    annotation = wk.Annotation.load(full)
    write_zip(full, {"full.nml": FULL, "data_seg.zip": b"something else"})
    with pytest.raises(wk.errors.VolumeDataError, match="has changed since it was loaded"):
        annotation.save(tmp_path / "again.zip")
    assert not (tmp_path / "again.zip").exists()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('<volume id="0" name="V" />', "names no file"),
        ('<volume id="0" name="V" location="gone.zip" />', "'gone.zip' is not in"),
    ],
)
def test_a_layer_without_data_is_kept_with_a_warning(tmp_path, body, words):
    file = write_zip(tmp_path / "a.zip", {"a.nml": minimal_nml(body)})
    with pytest.warns(UserWarning, match=words):
        annotation = wk.Annotation.load(file)
    assert annotation.get_volume_layer("V").data is None


def test_two_volume_layers_with_one_id_are_refused(tmp_path):
    body = '<volume id="0" name="V" location="a" /><volume id="0" name="W" location="b" />'
    file = write_zip(tmp_path / "a.zip", {"a.nml": minimal_nml(body), "a": EMPTY_ZIP, "b": EMPTY_ZIP})
    with pytest.raises(AssertionError, match="id 0"):
        wk.Annotation.load(file)


class TestChoosingAVolumeLayer:
    @pytest.fixture
    def annotation(self):
        annotation = wk.Annotation("a", dataset_name="d", voxel_size=(1, 1, 1))
        for name in ("x", "y", "y"):
            annotation.add_volume_layer(name)
        return annotation

    def test_by_name_by_id_or_both(self, annotation):
        assert annotation.get_volume_layer("x").id == 0
        assert annotation.get_volume_layer(volume_layer_id=2).name == "y"
        assert annotation.get_volume_layer("y", 1).id == 1

    def test_several_fit(self, annotation):
        for choice in ({}, {"volume_layer_name": "y"}):
            with pytest.raises(ValueError, match=r"'y' .id 1., 'y' .id 2."):
                annotation.get_volume_layer(**choice)

    def test_none_fits(self, annotation):
        with pytest.raises(AssertionError, match=r"'x' .id 0."):
            annotation.get_volume_layer("z")
        with pytest.raises(AssertionError):
            annotation.delete_volume_layer("x", 1)

    def test_deleting_one_leaves_the_others(self, annotation):
        annotation.delete_volume_layer(volume_layer_id=1)
        assert [layer.id for layer in annotation.volume_layers] == [0, 2]
        assert annotation.add_volume_layer("new").id == 3

    def test_an_id_that_is_taken(self, annotation):
        with pytest.raises(AssertionError, match="id 2"):
            annotation.add_volume_layer("new", volume_layer_id=2)


def test_the_constructor_wants_a_skeleton_or_a_description_of_one():
    skeleton = wk.Skeleton(voxel_size=(1, 1, 1), dataset_name="d")
    assert wk.Annotation("a", skeleton=skeleton).skeleton is skeleton
    for arguments in ({}, {"dataset_name": "d"}, {"skeleton": skeleton, "dataset_name": "d", "voxel_size": (1, 1, 1)}):
        with pytest.raises(AssertionError):
            wk.Annotation("a", **arguments)


def test_old_names_still_work_and_warn():
    annotation = wk.Annotation("a", dataset_name="d", voxel_size=(1, 2, 3), owner_name="me")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        assert annotation.scale == (1.0, 2.0, 3.0)
    with pytest.warns(DeprecationWarning, match="deprecated"):
        assert annotation.username == "me"


def test_a_skeleton_names_what_an_annotation_would(tmp_path):
    skeleton = wk.Skeleton((1, 1, 1), "d")
    for fact in ({"organization_id": "o"}, {"description": "text"}):
        with pytest.raises(AnnotationError, match="not both"):
            wk.Annotation("a", skeleton=skeleton, **fact)


def test_numbers_of_numpy_and_vectors_are_saved(tmp_path):
    path = tmp_path / "a.nml"
    annotation = wk.Annotation("a", dataset_name="d", voxel_size=(1, 1, 1), edit_position=np.array([1, 2, 3]))
    for zoom in (np.float32(1.5), np.int64(2), 3):
        annotation.zoom_level = zoom
        annotation.save(path)
        assert wk.Annotation.load(path).zoom_level == zoom
    assert wk.Annotation.load(path).edit_position.x == 1.0
    annotation.zoom_level = "near"
    with pytest.raises(AnnotationError, match="zoom_level"):
        annotation.save(path)


def test_a_box_with_further_axes_is_saved_along_x_y_z(tmp_path):
    box = wk.NDBoundingBox((0, 1, 2, 3), (1, 4, 5, 6), ("t", "x", "y", "z"))
    annotation = wk.Annotation("a", dataset_name="d", voxel_size=(1, 1, 1), user_bounding_boxes=[box])
    annotation.save(tmp_path / "a.nml")
    assert wk.Annotation.load(tmp_path / "a.nml").user_bounding_boxes == [wk.BoundingBox((1, 2, 3), (4, 5, 6))]


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="counts the bytes read by what Linux tells")
def test_the_directory_of_a_zip_is_read_once(tmp_path):
    """It may be long: tens of megabytes for data zips of many chunks."""
    path = tmp_path / "annotation.zip"
    others = {f"some/folder/with/a/long/name/{number:08}.bin": b"" for number in range(20_000)}
    nml = minimal_nml('<volume id="0" location="data.zip" name="seg" />')
    write_zip(path, {"a.nml": nml.encode(), "data.zip": EMPTY_ZIP, **others})
    with zipfile.ZipFile(path) as archive:
        directory = path.stat().st_size - archive.start_dir
    before = bytes_read()
    annotation = wk.Annotation.load(path)
    read = bytes_read() - before
    assert annotation.get_volume_layer("seg").data is not None
    assert directory <= read < 1.5 * directory


def bytes_read():
    return int(Path("/proc/self/io").read_text().split()[1])


def _nested(depth):
    return "<a>" * depth + "</a>" * depth


def _nested_groups(depth):
    return "".join(f'<group id="{number}" name="g">' for number in range(1, depth + 1)) + "</group>" * depth


def _things(inside="", node=""):
    return f'<thing id="1" name="t"><nodes><node id="1" x="1" y="2" z="3">{node}</node></nodes><edges/>{inside}</thing>'


DEEP = {
    "beside the parameters": _things() + _nested(500),
    "in a tree": _things(inside=_nested(500)),
    "in a node": _things(node=_nested(500)),
    "in a group": f'{_things()}<groups><group id="1" name="g">{_nested(500)}</group></groups>',
    "in a volume": f'{_things()}<volume id="0" location="d.zip" name="v">{_nested(500)}</volume>',
    "in a segment": f'{_things()}<volume id="0" location="d.zip" name="v"><segments><segment id="1">{_nested(500)}'
    "</segment></segments></volume>",
    "groups of segments": f'{_things()}<volume id="0" location="d.zip" name="v"><groups>{_nested_groups(500)}</groups>'
    "</volume>",
}


@pytest.mark.filterwarnings("ignore:volume layer 'v' has no data")
@pytest.mark.parametrize("where", DEEP)
def test_what_nests_as_deep_as_files_may_is_pickled_copied_and_shown(tmp_path, where):
    (tmp_path / "deep.nml").write_text(minimal_nml(DEEP[where]))
    annotation = wk.Annotation.load(tmp_path / "deep.nml")
    annotation.save(tmp_path / "first.zip")
    expected = wk.Annotation.load(tmp_path / "first.zip").unknown_elements
    twins = pickle.loads(pickle.dumps(annotation)), copy.deepcopy(annotation), pickle.loads(pickle.dumps(annotation))
    for layer in twins[2].volume_layers:
        assert pickle.loads(pickle.dumps(layer.segments)) == layer.segments
    for twin in twins:
        twin.save(tmp_path / "twin.zip")
        with zipfile.ZipFile(tmp_path / "twin.zip") as one, zipfile.ZipFile(tmp_path / "first.zip") as other:
            assert one.read(one.namelist()[0]) == other.read(other.namelist()[0])
        assert len(twin.unknown_elements) == len(annotation.unknown_elements) == len(expected)
    for tree in annotation.skeleton.flattened_trees():
        assert pickle.loads(pickle.dumps(tree)) == copy.deepcopy(tree) == tree


def _seconds_to_save(folder, members):
    write_zip(
        folder / "many.zip", {f"{number}.bin": b"" for number in range(members)} | {"a.nml": minimal_nml().encode()}
    )
    annotation = wk.Annotation.load(folder / "many.zip")
    before = time.process_time()
    annotation.save(folder / "saved.zip")
    with zipfile.ZipFile(folder / "saved.zip") as saved:
        assert len(saved.namelist()) == members + 1
    return time.process_time() - before


def test_the_time_to_save_grows_as_the_number_of_other_members(tmp_path):
    few, many = (_seconds_to_save(tmp_path, members) for members in (250, 4_000))
    assert many < 64 * max(few, 0.005)


def test_of_very_many_layers_without_data_a_few_are_named(tmp_path):
    volumes = "".join(f'<volume id="{number}" name="v{number}" location="d{number}.zip"/>' for number in range(2_000))
    write_zip(tmp_path / "many.zip", {"a.nml": minimal_nml(volumes).encode()})
    with pytest.warns(UserWarning, match="no data") as caught:
        wk.Annotation.load(tmp_path / "many.zip")
    said = [str(each.message) for each in caught]
    assert [f"'v{number}' has no data" in message for number, message in enumerate(said[:5])] == [True] * 5
    assert [message.partition(": ")[2] for message in said[5:]] == ["1,995 more volume layers have no data either"]
