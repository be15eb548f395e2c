"""A mistake on the command line: one clear line, exit code 2, and the disk as it was."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from examples.demo import plain_wkw
from tests.inputs import demo_input, minimal_nml, tree_state, write_zip


def wkfast(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "wkfast", *map(str, arguments)], cwd=cwd, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    demo_input(folder)
    return folder


@pytest.fixture
def folder(prepared, tmp_path):
    return shutil.copytree(prepared, tmp_path / "work")


def edit_properties(folder, change):
    file = folder / "datasets" / "demo_dataset" / "datasource-properties.json"
    properties = json.loads(file.read_text())
    change(properties)
    file.write_text(json.dumps(properties))


def rename_layer(properties):
    properties["dataLayers"][0]["name"] = "other"


def drop_finest_mag(properties):
    del properties["dataLayers"][0]["mags"][0]


def missing_file(folder):
    (folder / "annotation.zip").unlink()


def wrong_suffix(folder):
    (folder / "annotation.zip").rename(folder / "annotation.tar")


def no_zip(folder):
    (folder / "annotation.zip").write_bytes(b"this is no zip file")


def no_nml(folder):
    write_zip(folder / "annotation.zip", {"readme.txt": "nothing"})


def two_nmls(folder):
    write_zip(folder / "annotation.zip", {"a.nml": minimal_nml(), "b.nml": minimal_nml()})


def malformed_nml(folder):
    write_zip(folder / "annotation.zip", {"a.nml": "<things>\n  <parameters>\n  </oops>\n</things>"})


def no_volume_layers(folder):
    write_zip(folder / "annotation.zip", {"a.nml": minimal_nml(dataset="demo_dataset")})


def missing_dataset(folder):
    shutil.rmtree(folder / "datasets" / "demo_dataset")


def missing_layer(folder):
    edit_properties(folder, rename_layer)


def missing_mag(folder):
    edit_properties(folder, drop_finest_mag)


def malformed_properties(folder):
    (folder / "datasets" / "demo_dataset" / "datasource-properties.json").write_text('{"dataLayers": [')


BOX = {"topLeft": [0, 0, 0], "width": 1, "height": 1, "depth": 1}


def float_fallback(folder):
    """Voxels that are no segment ids: no type holds both sides."""
    layer = folder / "datasets" / "demo_dataset" / "segmentation"
    shutil.rmtree(layer)
    for mag in (1, 2, 4):
        plain_wkw.write_mag(layer / str(mag), np.ones((64, 64, 64), np.float32), blocks_per_file_edge=4 // mag)


def change_layer(key, value):
    def spoil(folder):
        edit_properties(folder, lambda properties: properties["dataLayers"][0].update({key: value}))

    spoil.__name__ = f"bad_{key}"
    return spoil


def no_scale(folder):
    edit_properties(folder, lambda properties: properties.pop("scale"))


def malformed_group_metadata(folder):
    (folder / "datasets" / "demo_dataset" / "zarr.json").write_text("{bad")


def data_zip_missing(folder):
    volume = '<volume id="0" name="V" location="d.zip" fallbackLayer="segmentation" />'
    write_zip(folder / "annotation.zip", {"a.nml": minimal_nml(volume, dataset="demo_dataset")})


def full_target(folder):
    (folder / "target").mkdir()
    (folder / "target" / "precious.txt").write_text("keep me")


def escaping_dataset_name(folder):
    volume = '<volume id="0" name="V" location="d.zip" fallbackLayer="segmentation" />'
    write_zip(
        folder / "annotation.zip", {"a.nml": minimal_nml(volume, dataset="../secret"), "d.zip": b"PK\5\6" + b"\0" * 18}
    )


def dangling_target(folder):
    (folder / "target").symlink_to("elsewhere")


def no_datasets(folder):
    shutil.rmtree(folder / "datasets")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (dangling_target, ["target is a link to elsewhere, which is not there"]),
        (no_datasets, ["no datasets in ", "datasets: there is no such folder"]),
        (missing_file, ["annotation.zip", "there is no such file"]),
        (wrong_suffix, ["annotation.tar", ".nml or .zip"]),
        (no_zip, ["annotation.zip", "no zip file"]),
        (no_nml, ["annotation.zip", "exactly one .nml", "found 0"]),
        (two_nmls, ["exactly one .nml", "found 2", "a.nml", "b.nml"]),
        (malformed_nml, ["annotation.zip", "line 3", "column", "oops"]),
        (no_volume_layers, ["no volume layers"]),
        (missing_dataset, ["no dataset at", "demo_dataset: there is no such folder", "datasets: none"]),
        (missing_layer, ["no layer 'segmentation'", "'other'"]),
        (missing_mag, ["mag", "1", "2", "4"]),
        (malformed_properties, ["datasource-properties.json", "JSON"]),
        (no_scale, ["scale"]),
        (change_layer("elementClass", "foo"), ["elementClass", "foo"]),
        (float_fallback, ["float32", "uint32"]),
        (change_layer("largestSegmentId", "abc"), ["largestSegmentId", "abc"]),
        (change_layer("boundingBox", {**BOX, "width": -5}), ["boundingBox", "-5"]),
        (change_layer("boundingBox", {**BOX, "width": 2**70}), ["boundingBox"]),
        (change_layer("dataFormat", "n5"), ["n5", "wkw"]),
        (malformed_group_metadata, ["zarr.json", "JSON"]),
        (data_zip_missing, ["d.zip"]),
        (full_target, ["target", "not empty"]),
        (escaping_dataset_name, ["../secret", "no folder name"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_mistake_is_one_clear_line_and_leaves_the_disk_as_it_was(folder, spoil, words):
    spoil(folder)
    before = tree_state(folder)
    annotation = "annotation.tar" if (folder / "annotation.tar").exists() else "annotation.zip"
    done = wkfast("merge-fallback", "target", annotation, "datasets", cwd=folder)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert len([line for line in done.stderr.strip().splitlines() if not line.startswith("warning: ")]) == 1
    for word in words:
        assert word in done.stderr
    assert tree_state(folder) == before
    assert (folder / "target").exists() == (spoil is full_target)


def test_an_unknown_volume_layer_lists_those_there_are(folder):
    done = wkfast("merge-fallback", "t", "annotation.zip", "datasets", "--volume-layer-name", "nope", cwd=folder)
    assert done.returncode == 2
    assert "'nope'" in done.stderr
    assert "'Volume'" in done.stderr
    assert not (folder / "t").exists()


def test_debug_shows_the_traceback(folder):
    missing_file(folder)
    done = wkfast("merge-fallback", "target", "annotation.zip", "datasets", "--debug", cwd=folder)
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "AnnotationFileNotFoundError" in done.stderr


def test_wrong_usage_exits_with_2(folder):
    assert wkfast("merge-fallback", cwd=folder).returncode == 2
    assert wkfast("no-such-command", cwd=folder).returncode == 2
