"""Layers and mags that are links: what they lead to is read, and is neither changed nor deleted through them."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.inputs import tree_state

import wkfast as wk
from wkfast.errors import ExistsError, WkfastError

PATHS = {"none": None, "relative": "./seg/1", "bare": "seg/1"}


def victim(folder: Path, data_format: str) -> wk.Layer:
    dataset = wk.Dataset(folder / "victim", voxel_size=(4, 4, 40))
    data = np.random.default_rng(1).integers(0, 9, (64, 64, 64), "uint32")
    return dataset.write_layer("seg", "segmentation", data, data_format=data_format)


def linked(folder: Path, layer: wk.Layer, what: str, path: str | None) -> Path:
    """A dataset with a link in the place of the layer, or of its mag 1."""
    (folder / "d").mkdir()
    described = json.loads((layer.dataset.path / "datasource-properties.json").read_text())
    mag = {key: value for key, value in described["dataLayers"][0]["mags"][0].items() if key != "path"}
    described["dataLayers"][0]["mags"] = [mag if path is None else {**mag, "path": path}]
    (folder / "d" / "datasource-properties.json").write_text(json.dumps(described))
    if what == "layer":
        (folder / "d" / "seg").symlink_to(Path("..", "victim", "seg"))
    else:
        (folder / "d" / "seg").mkdir()
        (folder / "d" / "seg" / "1").symlink_to(layer.path / "1")
    return folder / "d"


@pytest.mark.parametrize("data_format", ["wkw", "zarr3"])
@pytest.mark.parametrize("what", ["layer", "mag"])
@pytest.mark.parametrize("path", PATHS)
def test_what_links_lead_to_is_read_and_stays_what_it_was(
    tmp_path: Path, what: str, path: str, data_format: str
) -> None:
    layer = victim(tmp_path, data_format)
    folder = linked(tmp_path, layer, what, PATHS[path])
    before = tree_state(layer.dataset.path)
    dataset = wk.Dataset.open(folder)
    found = dataset.get_segmentation_layer("seg")
    np.testing.assert_array_equal(found.get_mag(1).read(), layer.get_mag(1).read())
    for change in (
        lambda: found.get_mag(1).write(np.ones((64, 64, 64), "uint32"), absolute_offset=(0, 0, 0)),
        lambda: found.get_mag(1).compress(),
        lambda: found.get_mag(1).rechunk(chunk_shape=32),
    ):
        with pytest.raises(WkfastError):
            change()
    found.largest_segment_id = 77
    assert tree_state(layer.dataset.path) == before
    copy = wk.Dataset(tmp_path / "copy", voxel_size=(4, 4, 40)).add_layer_as_copy(found)
    np.testing.assert_array_equal(copy.get_mag(1).read(), layer.get_mag(1).read())
    dataset.delete_layer("seg")
    assert tree_state(layer.dataset.path) == before
    assert not (folder / "seg").is_symlink()


@pytest.mark.parametrize("what", ["layer", "mag"])
def test_linked_layers_are_read_as_the_reference_reads_them(tmp_path: Path, what: str) -> None:
    reference = pytest.importorskip("webknossos")
    layer = victim(tmp_path, "wkw")
    folder = linked(tmp_path, layer, what, "./seg/1")
    theirs = reference.Dataset.open(folder).get_layer("seg").get_mag(1).read()
    np.testing.assert_array_equal(wk.Dataset.open(folder).get_layer("seg").get_mag(1).read(), theirs)


def test_who_lists_a_linked_folder_is_told_what_lists_it(tmp_path):
    other = wk.Dataset(tmp_path / "other", voxel_size=(4, 4, 40))
    other.write_layer("labels", "segmentation", np.ones((32, 32, 32), "uint8"), downsample=False)
    dataset = wk.Dataset(tmp_path / "dataset", voxel_size=(4, 4, 40))
    (dataset.path / "labels").symlink_to(other.path / "labels")
    with pytest.raises(ExistsError, match="no layer is made behind it; add_symlink_layer"):
        dataset.add_layer_for_existing_files("labels", "segmentation")
