"""Wrong input that was met once, by name."""

from __future__ import annotations

import io
import json
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
)
from wkfast.merge.job import MergeJob

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
