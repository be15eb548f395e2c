"""Which dataset an annotation is over, told by the file that anybody may download."""

import pytest
from tests.inputs import minimal_nml, write_zip

from wkfast.remote.location import _dataset_id

ID = "67b7c81b0100004d00f5ab31"
NAMED = minimal_nml().replace("<experiment ", f'<experiment datasetId="{ID}" ')


def test_the_id_is_found_in_an_nml_and_in_that_of_a_zip(tmp_path):
    (tmp_path / "a.nml").write_text(NAMED)
    write_zip(tmp_path / "a.zip", {"data.zip": b"PK", "a.nml": NAMED.encode()})
    assert _dataset_id(tmp_path / "a.nml") == _dataset_id(tmp_path / "a.zip") == ID


def test_what_stands_before_the_first_tree_is_enough(tmp_path):
    tree = '<thing id="1" name="t"><nodes><node id="1" x="1" y="2" z="3" /></nodes><edges /></thing>'
    (tmp_path / "a.nml").write_text(NAMED.replace("</parameters>", f"</parameters>{tree}") + "<broken")
    assert _dataset_id(tmp_path / "a.nml") == ID


@pytest.mark.parametrize("named", ["", "../../api/user", "67b7c81b"])
def test_what_is_no_id_names_no_dataset(tmp_path, named):
    (tmp_path / "a.nml").write_text(NAMED.replace(ID, named))
    assert _dataset_id(tmp_path / "a.nml") is None


@pytest.mark.parametrize("content", [b"", b"PK\3\4 damaged", b"<html>sorry</html>"])
@pytest.mark.parametrize("name", ["a.nml", "a.zip"])
def test_files_that_are_no_annotations_name_no_dataset(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert _dataset_id(tmp_path / name) is None


def test_a_zip_without_nml_names_no_dataset(tmp_path):
    write_zip(tmp_path / "a.zip", {"data.zip": b"PK"})
    assert _dataset_id(tmp_path / "a.zip") is None
