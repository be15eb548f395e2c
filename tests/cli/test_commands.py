"""What the commands print."""

import json
import subprocess
import sys

import pytest

from wkfast.demo.generate import generate


def wkfast(*arguments, cwd=None):
    done = subprocess.run(
        [sys.executable, "-m", "wkfast", *map(str, arguments)], cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    generate(folder)
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
    assert "1 trees, 3 nodes, 2 edges" in shown
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


def test_the_demo_checks_its_result_and_draws_it(tmp_path):
    shown = wkfast("demo", cwd=tmp_path)
    assert "equal" in shown
    assert "DIFFERENT" not in shown
    picture = tmp_path / "demo-output" / "merge.png"
    assert str(picture.relative_to(tmp_path)) in shown
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_batch_log_gets_no_progress_bar(folder):
    done = subprocess.run(
        [sys.executable, "-m", "wkfast", "merge-fallback", "silent", "annotation.zip", "datasets"],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""


def test_the_demo_removes_nothing_that_is_not_its_own(tmp_path):
    precious = tmp_path / "out" / "merged" / "precious.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("keep me")
    done = subprocess.run(
        [sys.executable, "-m", "wkfast", "demo", "--output", "out"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "not empty" in done.stderr
    assert precious.read_text() == "keep me"


def test_the_demo_can_be_run_twice(tmp_path):
    for _ in range(2):
        assert "equal" in wkfast("demo", cwd=tmp_path)
