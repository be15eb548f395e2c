"""The documented face of annotations: parameters, defaults, enums, errors, and a script that only changes its import.

The table holds what the public reference page of ``webknossos.annotation.annotation`` states. wkfast may add parameters
that are given by keyword, nothing else.
"""

import inspect
from pathlib import Path

import numpy as np
import pytest
from tests.inputs import demo_input, minimal_nml, write_zip

import wkfast as wk

REQUIRED = inspect.Parameter.empty
LAYER_CHOICE = {"volume_layer_name": None, "volume_layer_id": None}
# member: (parameters in order with their defaults, those given by keyword alone)
METHODS = {
    "add_volume_layer": ({"name": REQUIRED, "fallback_layer": None, "volume_layer_id": None}, {}),
    "delete_volume_layer": (LAYER_CHOICE, {}),
    "download": (
        {"annotation_id_or_url": REQUIRED, "annotation_type": None, "webknossos_url": None},
        {"skip_volume_data": False, "_return_context": False},
    ),
    "export_volume_layer_to_dataset": ({"dataset": REQUIRED, "layer_name": "volume_layer", **LAYER_CHOICE}, {}),
    "get_remote_annotation_dataset": ({}, {}),
    "get_remote_base_dataset": ({"sharing_token": None, "webknossos_url": None}, {}),
    "get_volume_layer_names": ({}, {}),
    "get_volume_layer_segments": (LAYER_CHOICE, {}),
    "load": ({"annotation_path": REQUIRED}, {}),
    "merge_fallback_layer": (
        {"target": REQUIRED, "dataset_directory": REQUIRED, "volume_layer_name": None, "executor": None},
        {},
    ),
    "open_as_remote_dataset": (
        {"annotation_id_or_url": REQUIRED, "annotation_type": None, "webknossos_url": None},
        {},
    ),
    "save": ({"path": REQUIRED}, {}),
    "temporary_volume_layer_copy": ({**LAYER_CHOICE, "read_only": True}, {}),
    "upload": ({}, {}),
}
CONSTRUCTOR = [
    "name", "skeleton", "dataset_name", "voxel_size", "organization_id", "description", "owner_name", "annotation_id",
    "time", "edit_position", "edit_rotation", "zoom_level", "metadata", "task_bounding_box", "user_bounding_boxes",
]  # fmt: skip


def parameters(function):
    """Parameters by position and by keyword, with their defaults."""
    found = inspect.signature(function).parameters.values()
    by_keyword = {p.name: p.default for p in found if p.kind is p.KEYWORD_ONLY}
    by_position = {p.name: p.default for p in found if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"}
    return by_position, by_keyword


# What another parameter says as well, so that it may be left out: `fallback` names a dataset without a folder of them.
SAID_OTHERWISE = {"merge_fallback_layer": {"dataset_directory": None}}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_takes_the_documented_parameters(name):
    by_position, by_keyword = METHODS[name]
    by_position = {**by_position, **SAID_OTHERWISE.get(name, {})}
    found_by_position, found_by_keyword = parameters(getattr(wk.Annotation, name))
    assert list(found_by_position.items()) == list(by_position.items())
    assert by_keyword.items() <= found_by_keyword.items()
    assert REQUIRED not in found_by_keyword.values()


def test_the_constructor_takes_the_documented_parameters():
    by_position, _ = parameters(wk.Annotation)
    assert list(by_position) == CONSTRUCTOR
    assert [name for name, default in by_position.items() if default is REQUIRED] == ["name"]


def test_enums_have_the_documented_values():
    states = {"ACTIVE": "Active", "CANCELLED": "Cancelled", "FINISHED": "Finished", "INITIALIZING": "Initializing"}
    assert {state.name: state.value for state in wk.AnnotationState} == states
    assert wk.AnnotationType.EXPLORATIONAL.value == "Explorational"
    assert wk.AnnotationType.TASK.value == "Task"


@pytest.fixture
def annotation():
    return wk.Annotation(name="my_annotation", dataset_name="sample_dataset", voxel_size=(11.2, 11.2, 25.0))


def test_a_new_annotation_has_the_documented_attributes(annotation):
    assert annotation.name == "my_annotation"
    assert annotation.dataset_name == "sample_dataset"
    assert annotation.voxel_size == (11.2, 11.2, 25.0)
    absent = ("annotation_id", "description", "edit_position", "edit_rotation", "organization_id", "owner_name",
              "task_bounding_box", "zoom_level")  # fmt: skip
    assert [getattr(annotation, name) for name in absent] == [None] * len(absent)
    assert annotation.metadata == {}
    assert annotation.user_bounding_boxes == []
    assert isinstance(annotation.time, int)
    assert isinstance(annotation.skeleton, wk.Skeleton)


def test_the_deprecated_names_work_and_warn(annotation):
    with pytest.warns(DeprecationWarning, match="voxel_size"):
        assert annotation.scale == annotation.voxel_size
    with pytest.warns(DeprecationWarning, match="owner_name"):
        annotation.username = "somebody"
    assert annotation.owner_name == "somebody"


def test_proxies_reach_the_skeleton(annotation):
    annotation.dataset_name, annotation.description, annotation.organization_id = "other", "text", "lab"
    skeleton = annotation.skeleton
    assert (skeleton.dataset_name, skeleton.description, skeleton.organization_id) == ("other", "text", "lab")


def test_the_voxel_size_is_known_with_its_unit(annotation):
    annotation.voxel_size_with_unit = wk.VoxelSize((0.5, 0.5, 2.0), wk.LengthUnit.MICROMETER)
    assert annotation.voxel_size == (500, 500, 2000)
    assert annotation.skeleton.voxel_size_with_unit.unit is wk.LengthUnit.MICROMETER


def test_an_id_is_found_in_a_url_without_a_server():
    identity = "570ba0092a7c0e980056fe9b"
    for text in (identity, f"https://localhost:9000/annotations/Task/{identity}?token=x#1,2,3"):
        assert wk.Annotation.id_from_url(text) == identity
    with pytest.raises(ValueError, match="links"):
        wk.Annotation.id_from_url("https://webknossos.org/links/abcdefgh")


def test_layers_are_added_chosen_and_deleted(annotation, tmp_path):
    annotation.add_volume_layer("segmentation")
    annotation.add_volume_layer(name="corrected", fallback_layer="base_segmentation", volume_layer_id=7)
    assert list(annotation.get_volume_layer_names()) == ["segmentation", "corrected"]
    with pytest.raises(ValueError, match="segmentation"):
        annotation.get_volume_layer_segments()
    with pytest.raises(ValueError, match="corrected"):
        annotation.delete_volume_layer()
    with pytest.raises(AssertionError, match="segmentation"):
        annotation.get_volume_layer_segments("unknown")
    with pytest.raises(AssertionError, match="7"):
        annotation.add_volume_layer("again", volume_layer_id=7)
    with pytest.raises(AssertionError, match=r"\.zip"):
        annotation.save(tmp_path / "volumes.nml")
    assert list(tmp_path.iterdir()) == []
    annotation.delete_volume_layer(volume_layer_id=7)
    annotation.delete_volume_layer("segmentation")
    assert list(annotation.get_volume_layer_names()) == []
    with pytest.raises(AssertionError):
        annotation.merge_fallback_layer(tmp_path / "merged", tmp_path)


def test_a_fallback_that_is_no_segmentation_is_refused(annotation, tmp_path):
    dataset = wk.Dataset(tmp_path / "images", voxel_size=(4, 4, 40))
    box = wk.BoundingBox((0, 0, 0), (32, 32, 32))
    grey = dataset.add_layer("grey", "color", dtype="uint8", data_format="wkw", bounding_box=box)
    with pytest.raises(AssertionError, match="grey"):
        annotation.add_volume_layer("segmentation", fallback_layer=grey)


@pytest.mark.parametrize("dtype", [np.uint16, np.dtype(np.uint16), "uint16"])
def test_a_type_of_voxels_is_not_taken_for_the_name_of_a_layer(annotation, dtype):
    with pytest.raises(AssertionError, match="dtype="):
        annotation.add_volume_layer("segmentation", dtype)
    assert list(annotation.get_volume_layer_names()) == []
    assert annotation.add_volume_layer("segmentation", dtype=dtype).dtype == np.uint16


def test_a_layer_whose_data_are_not_in_the_file_is_not_exported(tmp_path):
    volume = '<volume id="0" name="cells" location="cells.zip" format="zarr3" />'
    path = write_zip(tmp_path / "without_volume_data.zip", {"a.nml": minimal_nml(volume)})
    with pytest.warns(UserWarning, match="cells"):
        annotation = wk.Annotation.load(path)
    with pytest.raises(AssertionError, match="cells"):
        annotation.export_volume_layer_to_dataset(wk.Dataset(tmp_path / "exported", voxel_size=(4, 4, 40)))
    with pytest.raises(AssertionError, match="cells"), annotation.temporary_volume_layer_copy():
        pass


def test_an_annotation_that_no_server_knows_has_no_remote_dataset(annotation):
    with pytest.raises(ValueError, match="annotation_id"):
        annotation.get_remote_annotation_dataset()


@pytest.mark.parametrize("suffix", ["txt", "nml.gz"])
def test_other_suffixes_are_refused(annotation, tmp_path, suffix):
    path = tmp_path / f"annotation.{suffix}"
    path.write_bytes(b"1")
    with pytest.raises(AssertionError, match="annotation"):
        wk.Annotation.load(path)
    with pytest.raises(AssertionError, match="annotation"):
        annotation.save(path)
    assert path.read_bytes() == b"1"


def test_files_that_are_not_there_or_no_annotation_are_refused(tmp_path):
    with pytest.raises(AssertionError, match="missing"):
        wk.Annotation.load(tmp_path / "missing.nml")
    (tmp_path / "text.nml").write_text("not an annotation")
    with pytest.raises(RuntimeError, match=r"text\.nml"):
        wk.Annotation.load(tmp_path / "text.nml")


def test_a_script_runs_from_loading_to_merging(tmp_path):
    source = demo_input(tmp_path)
    annotation = wk.Annotation.load(source.annotation)
    (name,) = annotation.get_volume_layer_names()
    segments = annotation.get_volume_layer_segments(name)
    segments[1] = wk.SegmentInformation(name="Cell A", anchor_position=None, color=None, metadata={})
    with annotation.temporary_volume_layer_copy(name) as layer:
        painted = layer.get_mag(1).read()
    dataset = wk.Dataset(tmp_path / "exported", voxel_size=annotation.voxel_size)
    exported = annotation.export_volume_layer_to_dataset(dataset, layer_name="exported_segmentation")
    assert np.array_equal(exported.get_mag(1).read(), painted)
    annotation.save(str(tmp_path / "full_annotation.zip"))
    again = wk.Annotation.load(tmp_path / "full_annotation.zip")
    assert again.get_volume_layer_segments()[1].name == "Cell A"
    again.merge_fallback_layer(Path(tmp_path / "merged_dataset"), Path(source.dataset_directory))
    assert wk.Dataset.open(tmp_path / "merged_dataset").get_segmentation_layers()
