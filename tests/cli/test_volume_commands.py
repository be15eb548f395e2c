"""``wkfast export`` and ``wkfast validate``."""

import json
import subprocess
import sys

import numpy as np
import pytest
from tests.inputs import minimal_nml, tree_state, volume_annotation, write_zip, zarr3_data_zip

import wkfast as wk

CHUNKS = {(1, 0, 0): np.full((32, 32, 32), 9, np.uint16)}


def run(*arguments):
    command = [sys.executable, "-m", "wkfast", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def file(tmp_path):
    return volume_annotation(tmp_path / "a.zip", zarr3_data_zip(CHUNKS))


def test_export_creates_a_dataset_and_adds_to_it(file, tmp_path):
    target = tmp_path / "exported"
    done = run("export", target, file, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["layer"], facts["mags"], facts["largest_segment_id"]) == ("volume_layer", ["1"], 9)
    done = run("export", target, file, "--layer-name", "second", "--volume-layer-name", "V", "--progress")
    assert done.returncode == 0, done.stderr
    assert "exported 'second' (uint16, zarr3)" in done.stdout
    dataset = wk.Dataset.open(target)
    assert list(dataset.layers) == ["volume_layer", "second"]
    assert dataset.get_layer("second").get_mag(1).read(absolute_offset=(32, 0, 0), size=(1, 1, 1)) == 9


def test_export_says_what_is_wrong_and_leaves_everything_as_it_was(file, tmp_path):
    run("export", tmp_path / "exported", file)
    before = tree_state(tmp_path)
    for arguments, words in ((["--volume-layer-name", "W"], "'V' (id 0)"), ([], "has a layer 'volume_layer' already")):
        done = run("export", tmp_path / "exported", file, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
    assert tree_state(tmp_path) == before


def test_a_valid_file_is_said_to_be(file):
    for options in ([], ["--chunks"]):
        done = run("validate", file, *options)
        assert (done.returncode, done.stderr) == (0, "")
        assert "is valid" in done.stdout


def test_all_problems_are_listed_with_line_and_column(tmp_path):
    nml = minimal_nml(
        '\n<thing id="1"><nodes><node id="1" x="0" y="0" z="0" /></nodes><edges>\n'
        '<edge source="1" target="7" /></edges></thing>\n<volume id="0" name="V" location="gone.zip" />'
    )
    file = write_zip(tmp_path / "a.zip", {"a.nml": nml})
    done = run("validate", file, "--json")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert found["valid"] is False
    assert any(problem["line"] == 3 and "edge" in problem["message"] for problem in found["problems"])
    assert any("gone.zip" in problem["message"] for problem in found["problems"])
    assert "gone.zip" in run("validate", file).stdout


def test_what_is_no_xml_is_a_problem_at_a_place(tmp_path):
    file = tmp_path / "a.nml"
    file.write_text("<things>\n<parameters></things>")
    done = run("validate", file, "--json")
    assert done.returncode == 1
    (problem,) = json.loads(done.stdout)["problems"]
    assert problem["line"] == 2


def test_broken_data_are_a_problem_and_damaged_chunks_if_asked_for(tmp_path):
    broken = volume_annotation(tmp_path / "broken.zip", b"no zip")
    done = run("validate", broken)
    assert done.returncode == 1
    assert "no zip file" in done.stdout.replace("\n", "")
    data = zarr3_data_zip(CHUNKS)
    damaged = volume_annotation(tmp_path / "damaged.zip", _with_damaged_chunk(data))
    assert run("validate", damaged).returncode == 0
    done = run("validate", damaged, "--chunks", "--json")
    assert done.returncode == 1
    assert "c.0.1.0.0" in json.loads(done.stdout)["problems"][0]["message"]


def _with_damaged_chunk(data):
    import io
    import zipfile

    from tests.inputs import zipped

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["volumeAnnotationData/1/c.0.1.0.0"] = members["volumeAnnotationData/1/c.0.1.0.0"][:-9]
    return zipped(members)


def test_trees_of_several_parts_are_noted(tmp_path):
    nodes = "".join(f'<node id="{i}" x="{i}" y="0" z="0" />' for i in range(1, 6))
    edges = '<edge source="1" target="2" /><edge source="4" target="3" />'
    one = '<thing id="2" name="whole"><nodes><node id="9" x="0" y="0" z="0" /></nodes><edges /></thing>'
    tree = f'<thing id="1" name="three"><nodes>{nodes}</nodes><edges>{edges}</edges></thing>{one}'
    file = tmp_path / "a.nml"
    file.write_text(minimal_nml(tree))
    done = run("validate", file, "--json")
    (problem,) = json.loads(done.stdout)["problems"]
    assert done.returncode == 0
    assert not problem["rejected"]
    assert "tree 1 'three' has 3 parts" in problem["message"]
