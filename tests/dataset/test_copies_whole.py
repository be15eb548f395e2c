"""Copies of layers are there as a whole or not at all, and nothing of a failed one is left."""

from pathlib import Path

import numpy as np
import pytest
from tests.inputs import tree_state

import wkfast as wk
from wkfast.errors import ExistsError, WkfastError


@pytest.fixture
def source(tmp_path: Path) -> wk.Layer:
    dataset = wk.Dataset(tmp_path / "source", voxel_size=(4, 4, 40))
    data = np.random.default_rng(2).integers(0, 9, (100, 90, 80), "uint32")
    # A compressed file of WKW has all its blocks: of the default shape, gigabytes of zeros.
    shape = {"shard_shape": 128}
    layer = dataset.write_layer("labels", "segmentation", data, data_format="wkw", downsample=False, **shape)
    layer.downsample(**shape)
    assert len(layer.mags) > 1
    return layer


def damage(view: wk.MagView) -> None:
    for shard in view.path.rglob("x*.wkw"):
        shard.write_bytes(shard.read_bytes()[:-5])


@pytest.mark.parametrize("data_format", ["wkw", "zarr", "zarr3"])
def test_a_copy_is_listed_when_all_its_mags_are_there(tmp_path: Path, source: wk.Layer, data_format: str) -> None:
    target = wk.Dataset(tmp_path / "target", voxel_size=(4, 4, 40))
    seen = []

    def look(_done: int, _total: int) -> None:
        seen.append((list(wk.Dataset.open(target.path).layers), (target.path / "copy").exists()))

    copy = target.add_layer_as_copy(source, "copy", data_format=data_format, progress=look)
    assert seen
    assert set(map(repr, seen)) == {"([], False)"}
    assert isinstance(copy, wk.SegmentationLayer)
    assert copy is target.get_layer("copy")
    for dataset in (target, wk.Dataset.open(target.path)):
        found = dataset.get_segmentation_layer("copy")
        assert (found.bounding_box, list(found.mags)) == (source.bounding_box, list(source.mags))
        assert found.largest_segment_id == source.largest_segment_id
        for mag, view in source.mags.items():
            assert found.get_mag(mag).path == target.path / "copy" / mag.to_layer_name()
            np.testing.assert_array_equal(found.get_mag(mag).read(), view.read())
    assert not [path for path in target.path.rglob("*") if ".wkfast-" in path.name]


def test_a_copy_that_fails_leaves_nothing_and_can_be_made_again(tmp_path: Path, source: wk.Layer) -> None:
    target = wk.Dataset(tmp_path / "target", voxel_size=(4, 4, 40))
    before = tree_state(target.path)
    coarse = source.get_mag(list(source.mags)[-1])
    whole = {path: path.read_bytes() for path in coarse.path.rglob("*.wkw")}
    damage(coarse)
    with pytest.raises(WkfastError, match="wkw"):
        target.add_layer_as_copy(source, data_format="zarr3")
    assert tree_state(target.path) == before
    assert not target.layers
    for path, content in whole.items():
        path.write_bytes(content)
    assert list(target.add_layer_as_copy(source, data_format="zarr3").mags) == list(source.mags)


def test_a_folder_in_the_way_is_left_alone_unless_it_is_empty(tmp_path: Path, source: wk.Layer) -> None:
    target = wk.Dataset(tmp_path / "target", voxel_size=(4, 4, 40))
    (target.path / "labels").mkdir()
    (target.path / "labels" / "notes").write_text("mine")
    before = tree_state(target.path)
    with pytest.raises(ExistsError, match="in the way"):
        target.add_layer_as_copy(source)
    assert tree_state(target.path) == before
    (target.path / "labels" / "notes").unlink()
    target.add_layer_as_copy(source)
    with pytest.raises(ExistsError, match="pass exists_ok=True"):
        target.add_layer_as_copy(source)
