"""Wrong input that was met once, by name."""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile

import numpy as np
import pytest
from tests.inputs import demo_input, minimal_nml, volume_annotation, wkw_data_zip, write_zip, zarr3_data_zip, zipped

import wkfast as wk
from wkfast.errors import (
    AnnotationFileNotFoundError,
    DatasetError,
    MergeError,
    NmlError,
    SkeletonError,
    VolumeDataError,
    WkfastError,
)
from wkfast.merge.job import MergeJob
from wkfast.merge.options import MergeOptions

NML = minimal_nml('<thing id="1" name="a" />')
DECLARED = '<?xml version="1.0" encoding="UTF-8"?>'


@pytest.mark.parametrize(
    "content",
    [
        NML.replace('"a"', '"\ud800"').encode("utf-8", "surrogatepass"),
        NML.replace('"a"', '"&#xD800;"').encode(),
        (DECLARED + NML.replace('"a"', '"é"')).encode("latin-1"),
        NML.encode() + b"text",
        NML.encode() + b"<a/>",
        NML.encode() + b"\0\0",
        NML.encode() + DECLARED.encode(),
        (DECLARED + DECLARED + NML).encode(),
        (" " + DECLARED + NML).encode(),
        NML.replace("<parameters>", DECLARED + "<parameters>").encode(),
        ('<?xml version="1.0" encoding="UTF-7"?>' + NML).encode(),
    ],
)
def test_text_that_is_not_what_it_says_is_refused(content, tmp_path):
    (tmp_path / "a.nml").write_bytes(content)
    with pytest.raises(NmlError, match="line 1"):
        wk.Annotation.load(tmp_path / "a.nml")


@pytest.mark.parametrize("make", [wkw_data_zip, zarr3_data_zip])
def test_two_folders_of_one_mag_are_refused_by_name(make, tmp_path):
    one = np.ones((32, 32, 32), np.uint32)
    members = {}
    for mag in ("1", "1-1-1"):
        with zipfile.ZipFile(io.BytesIO(make({(0, 0, 0): one}))) as archive:
            for name in archive.namelist():
                members[name.replace("1/", f"{mag}/", 1)] = archive.read(name)
    path = volume_annotation(tmp_path / "a.zip", zipped(members), data_format="wkw", fallback=None)
    volume = wk.Annotation.load(path).volume_layers[0]
    for use in (volume.as_layer, lambda: volume.edit().__enter__(), volume.check):
        with pytest.raises(VolumeDataError, match=r"two folders of mag 1.*1-1-1"):
            use()


@pytest.mark.parametrize("name", ["n" * 300, "n/" * 3000 + "n", "a\0b"])
def test_no_file_has_a_name_that_no_file_can_have(name, tmp_path):
    with pytest.raises(AnnotationFileNotFoundError, match="cannot load"):
        wk.Annotation.load(tmp_path / f"{name}.nml")
    with pytest.raises(DatasetError):
        wk.Dataset.open(tmp_path / name)


def half_a_character(annotation):
    annotation.skeleton.add_tree("\ud800")


def wrong_name(annotation):
    annotation.name = "x\ud800"


def wrong_metadata(annotation):
    annotation.metadata["\ud800"] = "x"


def wrong_time(annotation):
    annotation.time = 2**70


def no_time(annotation):
    annotation.time = float("inf")


def wrong_zoom(annotation):
    annotation.zoom_level = 10**400


def no_description(annotation):
    annotation.skeleton.description = 5


@pytest.mark.parametrize(
    "change",
    [half_a_character, wrong_name, wrong_metadata, wrong_time, no_time, wrong_zoom, no_description],
)
def test_what_no_nml_can_say_is_refused_and_nothing_is_written(change, tmp_path):
    (tmp_path / "a.nml").write_text(NML)
    annotation = wk.Annotation.load(tmp_path / "a.nml")
    change(annotation)
    with pytest.raises(SkeletonError, match=r"saved\.zip"):
        annotation.save(tmp_path / "saved.zip")
    assert [file.name for file in tmp_path.iterdir()] == ["a.nml"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("layer", 5), ("layer", {}), ("layer", {"name": "../x"}), ("warnings", [5]), ("warnings", 0.5), ("groups", None)],
)
def test_a_plan_file_that_describes_no_dataset_is_refused(name, value, tmp_path):
    demo_input(tmp_path)
    annotation = wk.Annotation.load(tmp_path / "annotation.zip")
    facts = json.loads(annotation.plan_merge(tmp_path / "merged", tmp_path / "datasets").to_json())
    facts["description"][name] = value
    with pytest.raises(MergeError, match="not a merge plan"):
        MergeJob.from_json(json.dumps(facts))


def test_names_of_members_may_be_anything(tmp_path):
    names = ["a/", "n" * 300, "\N{RIGHT-TO-LEFT OVERRIDE}", "a\\b"]
    path = write_zip(tmp_path / "a.zip", {"a.nml": NML, **dict.fromkeys(names, b"x")})
    annotation = wk.Annotation.load(path)
    annotation.save(tmp_path / "again.zip")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.zip", "again.zip"]


@pytest.mark.parametrize("name", ["a.nml", "a.zip"])
def test_an_annotation_that_is_no_regular_file_is_refused_without_waiting(name, tmp_path):
    os.mkfifo(tmp_path / name)
    with pytest.raises(AnnotationFileNotFoundError, match="no regular file"):
        wk.Annotation.load(tmp_path / name)


@pytest.mark.parametrize("name", ["plan.json", "datasource-properties.json"])
def test_files_of_a_merge_that_are_no_regular_files_are_refused_without_waiting(name, tmp_path):
    demo_input(tmp_path)
    annotation = wk.Annotation.load(tmp_path / "annotation.zip")
    annotation.plan_merge(tmp_path / "merged", tmp_path / "datasets").run(MergeOptions())
    file = tmp_path / "merged" / (f".wkfast-merge/{name}" if name == "plan.json" else name)
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    with pytest.raises(WkfastError, match=name):
        annotation.merge_fallback_layer(tmp_path / "merged", dataset_directory=tmp_path / "datasets")


def test_nodes_along_very_many_axes_are_saved_but_make_no_table(tmp_path):
    nodes = "".join(f'<node id="{at}" x="1" y="2" z="3" additionalCoordinate-t{at}="1" />' for at in range(1, 66))
    (tmp_path / "a.nml").write_text(minimal_nml(f'<thing id="1"><nodes>{nodes}</nodes></thing>'))
    annotation = wk.Annotation.load(tmp_path / "a.nml")
    with pytest.raises(SkeletonError, match="65 additional axes"):
        annotation.skeleton.nodes_table()
    annotation.save(tmp_path / "b.nml")
    assert (tmp_path / "b.nml").read_text().count("additionalCoordinate-") == 65


def steps(call):
    """How many functions of Python a call enters: a measure of time that no other process changes."""
    count = [0]

    def enters(_frame, event, _argument):
        count[0] += event in ("call", "c_call")

    sys.setprofile(enters)
    try:
        call()
    finally:
        sys.setprofile(None)
    return count[0]


def many_axes(count):
    axes = "".join(f'<additionalAxis name="t{at}" index="{at}" start="0" end="5" />' for at in range(count))
    return minimal_nml('<thing id="1" />').replace(
        "</parameters>", f"<additionalAxes>{axes}</additionalAxes></parameters>"
    )


def many_volumes(count):
    return minimal_nml("".join(f'<volume id="{at}" name="v{at}" location="{at}.zip" />' for at in range(count)))


@pytest.mark.parametrize("make", [many_axes, many_volumes])
@pytest.mark.filterwarnings("ignore:volume layer", "ignore:.*more volume layers have no data")
def test_loading_and_saving_take_time_in_proportion_to_the_elements(make, tmp_path):
    def load_and_save(count):
        write_zip(tmp_path / "a.zip", {"a.nml": make(count)})
        return steps(lambda: wk.Annotation.load(tmp_path / "a.zip").save(tmp_path / "b.zip"))

    load_and_save(1)  # what is imported when it is needed is there from now on
    assert load_and_save(800) < 6 * load_and_save(200)


HALF = "half of a character: \ud800"
VALUES = {
    "a comment": lambda _, node: setattr(node, "comment", HALF),
    "comments": lambda _, node: setattr(node, "comments", ["one", HALF]),
    "a new node's comment": lambda tree, _: tree.add_node((1, 2, 3), comment=HALF),
    "new nodes' comments": lambda tree, _: tree.add_nodes([(1, 2, 3)] * 2, comments=["one", HALF]),
    "new nodes' numbers for comments": lambda tree, _: tree.add_nodes([(1, 2, 3)], comments=[5]),
    "a time": lambda _, node: setattr(node, "time", 2**63),
    "a new node's time": lambda tree, _: tree.add_node((1, 2, 3), time=2**63),
    "a branchpoint's time": lambda _, node: setattr(node, "branchpoint_time", 2**63),
    "a new branchpoint's time": lambda tree, _: tree.add_node((1, 2, 3), is_branchpoint=True, branchpoint_time=2**63),
}


@pytest.mark.parametrize("change", VALUES.values(), ids=VALUES.keys())
def test_values_that_no_node_can_have_are_refused_where_they_are_given(change):
    tree = wk.Annotation("a", dataset_name="d", voxel_size=(1, 1, 1)).skeleton.add_tree("t")
    node = tree.add_node((1, 2, 3), comment="kept", is_branchpoint=True)
    with pytest.raises(SkeletonError):
        change(tree, node)
    assert [(each.id, each.comment, each.time) for each in tree.nodes] == [(node.id, "kept", None)]


@pytest.mark.parametrize("metadata", [{"k": 2**2000}, {"k": object()}, 5, ["k"], None])
def test_metadata_that_no_file_can_hold_are_refused_and_nothing_is_written(metadata, tmp_path):
    for number in range(2):
        annotation = wk.Annotation("a", dataset_name="d", voxel_size=(1, 1, 1))
        tree = annotation.skeleton.add_tree("t")
        segment = wk.SegmentInformation("s", None, None, metadata)
        volume = annotation.add_volume_layer("v", dtype="uint32")
        if number:
            volume.segments[5] = segment
        else:
            tree.metadata = metadata
        with pytest.raises(wk.errors.WkfastError):
            annotation.save(tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("separator", [None, {}, {"separator": -1}])
def test_an_array_that_zarr_does_not_open_is_an_error_of_ours(separator, tmp_path):
    layer = wk.Dataset(tmp_path / "d", voxel_size=(1, 1, 1)).write_layer(
        "color", "color", np.ones((8, 8, 8), np.uint8), downsample=False
    )
    file = layer.path / "1" / "zarr.json"
    metadata = json.loads(file.read_text())
    metadata["chunk_key_encoding"] = {"name": "default", "configuration": separator}
    metadata["storage_transformers"] = 5
    file.write_text(json.dumps(metadata))
    with pytest.raises(wk.errors.WkfastError):
        wk.Dataset.open(tmp_path / "d").get_layer("color").get_mag(1).get_zarr_array()


def test_edits_that_cannot_be_are_refused_by_errors_of_ours():
    annotation = wk.Annotation("a", dataset_name="d", voxel_size=(1, 1, 1))
    volume = annotation.add_volume_layer("v", dtype="uint32", fallback_layer="cells")
    for wrong in ({"redownsample": True}, {"redownsample": True, "edit_mode": "memory"}):
        with pytest.raises(wk.errors.DatasetValueError), volume.edit(**wrong):
            pass
