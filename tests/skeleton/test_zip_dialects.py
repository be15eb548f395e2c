"""Zips that were packed by hand, on a Mac or by KNOSSOS hold one annotation all the same."""

import zipfile

import pytest
from tests.inputs import minimal_nml

import wkfast as wk

NML = minimal_nml('<thing id="1" name="axon"><nodes/><edges/></thing>')
BESIDE = b"\0\5\26\7\0\2\0\0Mac OS X"


@pytest.mark.parametrize("suffix", [".zip", ".k.zip"])
@pytest.mark.parametrize(
    "members",
    [
        {"trace.nml": NML, "__MACOSX/._trace.nml": BESIDE},
        {"traces/trace.nml": NML, "traces/._trace.nml": BESIDE, "traces/.DS_Store": BESIDE},
        {"__MACOSX/traces/._trace.nml": BESIDE, "traces/trace.nml": NML},
        {"traces\\trace.nml": NML, "__MACOSX\\._trace.nml": BESIDE},
        {"annotation.xml": NML},
        {"annotation.xml": NML, "mergelist.txt": b"", "__MACOSX/._annotation.xml": BESIDE},
    ],
)
def test_a_zip_holds_one_annotation_beside_what_its_packer_adds(tmp_path, members, suffix):
    path = tmp_path / f"packed{suffix}"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert [tree.name for tree in wk.Annotation.load(path).skeleton.flattened_trees()] == ["axon"]


@pytest.mark.parametrize("members", [{"a.nml": NML, "b.nml": NML}, {"__MACOSX/._trace.nml": BESIDE}, {"a.xml": NML}])
def test_several_annotations_or_none_are_refused(tmp_path, members):
    path = tmp_path / "packed.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(AssertionError, match="exactly one"):
        wk.Annotation.load(path)
