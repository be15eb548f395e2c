"""Scripts that move over piece by piece pass values of the ``webknossos`` package about: they are taken for ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import wkfast as wk
from wkfast.dataset.foreign import own_layer, own_mag
from wkfast.errors import DatasetValueError

if TYPE_CHECKING:
    from pathlib import Path

BOX = ((0, 0, 0), (64, 64, 64))


def filled(package: Any, folder: Path, name: str = "x") -> Any:
    dataset = package.Dataset(folder, voxel_size=(4, 4, 40))
    layer = dataset.add_layer(name, "segmentation", dtype="uint8", bounding_box=package.BoundingBox(*BOX))
    layer.add_mag(1).write(np.full((1, 64, 64, 64), 3, np.uint8), absolute_offset=(0, 0, 0))
    return layer


@pytest.fixture
def layer(tmp_path: Path) -> wk.Layer:
    return filled(wk, tmp_path / "ours")


def test_vectors_are_the_same_in_sets(theirs: Any) -> None:
    assert wk.Vec3Int(1, 2, 3) == theirs.Vec3Int(1, 2, 3)
    assert theirs.Vec3Int(1, 2, 3) == wk.Vec3Int(1, 2, 3)
    assert len({wk.Vec3Int(1, 2, 3), theirs.Vec3Int(1, 2, 3)}) == 1


def test_boxes_mags_and_formats_make_a_layer(theirs: Any, tmp_path: Path) -> None:
    dataset = wk.Dataset(tmp_path / "d", voxel_size=theirs.Vec3Float(4, 4, 40))
    layer = dataset.add_layer(
        "c", theirs.COLOR_CATEGORY, data_format=theirs.DataFormat.Zarr3, bounding_box=theirs.BoundingBox(*BOX)
    )
    mag = layer.add_mag(theirs.Mag(2), chunk_shape=theirs.Vec3Int(32, 32, 32), shard_shape=theirs.Vec3Int(32, 32, 32))
    mag.write(np.ones((1, 32, 32, 32), np.uint8), absolute_offset=theirs.Vec3Int(0, 0, 0))
    box = theirs.BoundingBox((2, 2, 2), (4, 4, 4))
    assert mag.read(absolute_bounding_box=box).shape == (1, 2, 2, 2)
    assert mag.get_view(absolute_bounding_box=box).bounding_box == wk.BoundingBox((2, 2, 2), (4, 4, 4))
    assert layer.bounding_box == wk.BoundingBox(*BOX)


@pytest.mark.parametrize("kind", ["BoundingBox", "NDBoundingBox", "NormalizedBoundingBox"])
def test_a_layer_gets_any_box(theirs: Any, layer: wk.Layer, kind: str) -> None:
    extent = {"BoundingBox": (), "NDBoundingBox": (("x", "y", "z"), (1, 2, 3))}.get(kind)
    if extent is None:
        box = theirs.NormalizedBoundingBox((0, 0, 0, 0), (1, 32, 64, 64), ("c", "x", "y", "z"), (0, 1, 2, 3))
    else:
        box = getattr(theirs, kind)((0, 0, 0), (32, 64, 64), *extent)
    layer.bounding_box = box
    assert layer.bounding_box.size_xyz == (32, 64, 64)
    layer.get_mag(1).read()


def test_units_and_voxel_sizes_keep_their_meaning(theirs: Any, tmp_path: Path) -> None:
    size = theirs.VoxelSize((0.5, 0.5, 2), theirs.LengthUnit.MICROMETER)
    assert wk.Dataset(tmp_path / "d", voxel_size_with_unit=size).voxel_size == wk.Vec3Float(500, 500, 2000)
    annotation = wk.Annotation("a", dataset_name="d", voxel_size=size)
    assert annotation.voxel_size == wk.Vec3Float(500, 500, 2000)


def test_mags_are_made_as_their_enums_say(theirs: Any, layer: wk.Layer) -> None:
    layer.downsample(coarsest_mag=theirs.Mag(4), sampling_mode=theirs.SamplingModes.ISOTROPIC)
    assert list(layer.mags) == [wk.Mag(1), wk.Mag(2), wk.Mag(4)]
    assert theirs.Mag(2) in layer.mags


def test_mags_follow_the_layers_of_a_dataset(theirs: Any, tmp_path: Path, layer: wk.Layer) -> None:
    other = filled(theirs, tmp_path / "theirs", "other")
    other.add_mag("2-2-2")
    layer.downsample(coarsest_mag=wk.Mag(2), align_with_other_layers=other.dataset)
    assert [str(mag) for mag in layer.mags] == ["1", "2"]
    assert all(isinstance(mag, wk.Mag) for mag in layer.mags)


def test_layers_and_mags_are_copied(theirs: Any, tmp_path: Path, layer: wk.Layer) -> None:
    foreign = filled(theirs, tmp_path / "theirs")
    dataset = layer.dataset
    assert (dataset.add_layer_as_copy(foreign, "copy").get_mag(1).read() == 3).all()
    like = dataset.add_layer_like(foreign, "like")
    assert (like.add_mag_as_copy(foreign.get_mag(1)).read() == 3).all()


def test_layers_are_fallbacks(theirs: Any, tmp_path: Path) -> None:
    foreign = filled(theirs, tmp_path / "theirs")
    volume = wk.Annotation("a", dataset_name="d", voxel_size=(4, 4, 40)).add_volume_layer("v", fallback_layer=foreign)
    assert (volume.fallback_layer_name, volume.dtype) == ("x", np.uint8)


def test_views_are_configured(theirs: Any, layer: wk.Layer) -> None:
    layer.default_view_configuration = theirs.LayerViewConfiguration(color=(1, 2, 3), is_disabled=True)
    assert layer.default_view_configuration == wk.LayerViewConfiguration(color=(1, 2, 3), is_disabled=True)
    inner = {"x": theirs.LayerViewConfiguration(alpha=20.0)}
    layer.dataset.default_view_configuration = theirs.DatasetViewConfiguration(zoom=2.0, layers=inner)
    expected = wk.DatasetViewConfiguration(zoom=2.0, layers={"x": wk.LayerViewConfiguration(alpha=20.0)})
    assert wk.Dataset.open(layer.dataset.path).default_view_configuration == expected


@pytest.mark.parametrize(("find", "what"), [(own_layer, "layer"), (own_mag, "mag")])
def test_what_is_neither_is_refused(find: Any, what: str) -> None:
    with pytest.raises(DatasetValueError, match=f"3 is no {what}, nor the folder of one"):
        find(3, wk.Dataset.open)
