"""What the commands print."""

import json
import os
import pty
import subprocess
import sys

import pytest
from tests.inputs import demo_input, minimal_nml, write_zip

import wkfast as wk


def wkfast(*arguments, cwd=None):
    done = subprocess.run(
        [sys.executable, "-m", "wkfast", *map(str, arguments)], cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    demo_input(folder)
    return folder


def test_info_tells_what_is_inside(folder):
    facts = json.loads(wkfast("info", "annotation.zip", "--json", cwd=folder))
    assert facts["dataset"] == "demo_dataset"
    assert facts["voxel_size_nm"] == [11.24, 11.24, 28.0]
    assert (facts["trees"], facts["nodes"], facts["edges"]) == (1, 3, 2)
    (layer,) = facts["volume_layers"]
    assert layer["name"] == "Volume"
    assert layer["fallback_layer"] == "segmentation"
    assert [mag["mag"] for mag in layer["mags"]] == ["1", "2", "4"]
    assert all(mag["chunks"] > 0 and mag["stored_bytes"] > 0 and mag["dtype"] == "uint32" for mag in layer["mags"])


def test_info_is_a_table_for_people(folder):
    shown = wkfast("info", "annotation.zip", cwd=folder)
    assert "demo_dataset" in shown
    assert "1 tree, 3 nodes, 2 edges" in shown
    assert "volume layer 0: 'Volume'" in shown


@pytest.mark.parametrize(
    ("annotation", "layers", "nodes"),
    [("cremi_two_volumes", 2, 0), ("l4dense_wkw", 1, 3), ("l4_sample_zarr3", 1, 3)],
)
def test_info_reads_real_annotations(fixtures, annotation, layers, nodes):
    facts = json.loads(wkfast("info", fixtures / "annotations" / f"{annotation}.zip", "--json"))
    assert len(facts["volume_layers"]) == layers
    assert facts["nodes"] == nodes
    assert all(layer["mags"] for layer in facts["volume_layers"])


def test_a_batch_log_gets_no_progress_bar(folder):
    done = subprocess.run(
        [sys.executable, "-m", "wkfast", "merge-fallback", "silent", "annotation.zip", "datasets"],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""


def test_texts_of_a_file_are_shown_as_they_are(tmp_path):
    file = write_zip(tmp_path / "a.zip", {"odd [red]name[x].nml": minimal_nml(dataset="d[/x] [red]q")})
    shown = wkfast("info", file)
    assert "d[/x] [red]q" in shown
    assert "odd [red]name[x]" in shown


def test_a_log_that_knows_ascii_only_is_no_error(folder):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    command = [sys.executable, "-m", "wkfast", "info", "annotation.zip"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_version_is_told():
    assert wkfast("--version").strip() == f"wkfast {wk.__version__}"


def test_a_terminal_gets_bars_and_a_pipe_none(tmp_path):
    annotation = wk.Annotation("bars", dataset_name="d", voxel_size=(1, 1, 1))
    for count in (1, 40, 20, 10, 0, 5, 2):
        annotation.skeleton.add_tree(f"tree of {count}").add_nodes([(n, 0, 0) for n in range(count)])
    annotation.save(tmp_path / "a.zip")
    piped = wkfast("info", tmp_path / "a.zip")
    assert "█" not in piped
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "100", "TERM": "dumb", "PYTHONUTF8": "1"}
    subprocess.run(
        [sys.executable, "-m", "wkfast", "info", "a.zip"], cwd=tmp_path, env=environment, stdout=theirs, check=True
    )
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    rows = {
        int(line.split("tree of ")[1].split()[0]): line.count("█") for line in shown.splitlines() if "tree of" in line
    }
    assert rows == {40: 20, 20: 10, 10: 5, 5: 2, 2: 1}
    assert "the 5 largest of 7 trees" in piped
    assert json.loads(wkfast("info", tmp_path / "a.zip", "--json"))["largest_trees"][0]["nodes"] == 40
