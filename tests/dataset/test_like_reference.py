"""What datasets do where a script cannot tell that the result is another: the same as in the reference package.

Every test runs on both packages, so that it says what is so in both; on wkfast alone where the reference is missing.
"""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

import wkfast

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

NM = (4, 4, 40)


pytestmark = pytest.mark.filterwarnings("ignore")


def image(wk: ModuleType, folder: Path, box: tuple[Any, Any] = ((0, 0, 0), (32, 32, 32)), **more: Any) -> Any:
    dataset = wk.Dataset(folder, voxel_size=NM)
    return dataset.add_layer("c", "color", dtype="uint8", bounding_box=wk.BoundingBox(*box), **more)


# -- sizes of voxels, names of formats ----------------------------------------------------------------------------


def test_voxel_sizes_are_vectors_in_nanometres(wk: Any, tmp_path: Path) -> None:
    size = wk.VoxelSize((0.5, 0.5, 2), wk.LengthUnit.MICROMETER)
    dataset = wk.Dataset(tmp_path / "um", voxel_size_with_unit=size)
    assert dataset.voxel_size == wk.Vec3Float(500, 500, 2000)
    assert dataset.voxel_size * 2 == wk.Vec3Float(1000, 1000, 4000)
    assert dataset.voxel_size_with_unit == size


@pytest.mark.parametrize(("name", "text"), [("WKW", "wkw"), ("Zarr", "zarr"), ("Zarr3", "zarr3"), ("N5", "n5")])
def test_formats_are_spelt_as_in_paths(wk: Any, name: str, text: str) -> None:
    member = getattr(wk.DataFormat, name)
    assert (str(member), f"{member}", member.value) == (text, text, text)


@pytest.mark.parametrize("name", ["SamplingModes", "LengthUnit", "AnnotationState", "AnnotationType"])
def test_other_enums_are_spelt_by_class_and_name(wk: Any, name: str) -> None:
    enum = getattr(wk, name, None) or getattr(wk.annotation, name)
    assert all(str(member) == f"{name}.{member.name}" for member in enum)


# -- sequences of mags --------------------------------------------------------------------------------------------


def empty(wk: Any, folder: Path, mags: dict[str, list[str]], size: Any = (4, 4, 4)) -> Any:
    dataset = wk.Dataset(folder, voxel_size=size)
    for name, each in mags.items():
        box = wk.BoundingBox((0, 0, 0), (512, 512, 512))
        layer = dataset.add_layer(name, "color", dtype="uint8", bounding_box=box)
        for mag in each:
            layer.add_mag(mag)
    return dataset


def mags_after(wk: Any, dataset: Any, mode: str, coarsest: int = 8, **more: Any) -> list[str]:
    layer = dataset.get_layer("c")
    layer.downsample(coarsest_mag=wk.Mag(coarsest), sampling_mode=mode, only_setup_mags=True, **more)
    return [mag.to_layer_name() for mag in layer.mags]


SIBLING = ["1", "2-2-1", "4-4-1", "8-8-2"]


@pytest.mark.parametrize("mode", ["anisotropic", "isotropic", "constant_z"])
@pytest.mark.parametrize("more", [{}, {"force_sampling_scheme": True}])
def test_mags_follow_the_sibling_layers(wk: Any, tmp_path: Path, mode: str, more: dict[str, Any]) -> None:
    dataset = empty(wk, tmp_path / "d", {"c": ["1"], "sibling": SIBLING})
    assert mags_after(wk, dataset, mode, **more) == SIBLING


@pytest.mark.parametrize("mode", ["anisotropic", "isotropic", "constant_z"])
def test_mags_follow_a_layer_of_the_same_name_in_another_dataset(wk: Any, tmp_path: Path, mode: str) -> None:
    other = empty(wk, tmp_path / "other", {"c": ["1", "2-2-1", "4-4-2", "8-8-4"], "d": ["1"]})
    dataset = empty(wk, tmp_path / "d", {"c": ["1"]})
    found = mags_after(wk, dataset, mode, align_with_other_layers=other)
    assert found == ["1", "2-2-1", "4-4-2", "8-8-4"]


def test_mags_follow_nobody_where_that_is_said(wk: Any, tmp_path: Path) -> None:
    dataset = empty(wk, tmp_path / "d", {"c": ["1"], "sibling": SIBLING})
    assert mags_after(wk, dataset, "isotropic", align_with_other_layers=False) == ["1", "2", "4", "8"]


def test_siblings_that_differ_are_not_followed(wk: Any, tmp_path: Path) -> None:
    dataset = empty(wk, tmp_path / "d", {"c": ["1"], "one": SIBLING, "other": ["1", "2"]})
    with pytest.raises(AssertionError):
        mags_after(wk, dataset, "anisotropic")


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("anisotropic", ["1", "2-2-1", "4-4-1", "8-8-2", "16-16-2"]),
        ("isotropic", ["1", "2-2-1", "4-4-2", "8-8-2", "16-16-4"]),
    ],
)  # fmt: skip
def test_gaps_in_what_is_followed_are_filled(wk: Any, tmp_path: Path, mode: str, expected: list[str]) -> None:
    dataset = empty(wk, tmp_path / "d", {"c": ["1"], "sibling": ["1", "2-2-1", "8-8-2"]}, (4, 4, 40))
    assert mags_after(wk, dataset, mode, 16) == expected


# -- boxes that are read ------------------------------------------------------------------------------------------


def coarse(wk: Any, folder: Path, box: tuple[Any, Any] = ((0, 0, 0), (32, 32, 32))) -> Any:
    mag = image(wk, folder, box).add_mag(2)
    size = mag.bounding_box.in_mag(mag.mag).size.to_tuple()
    mag.write(np.arange(np.prod(size)).astype("uint8").reshape(size), absolute_offset=mag.bounding_box.topleft)
    return mag


def test_a_size_alone_counts_voxels_of_the_mag(wk: Any, tmp_path: Path) -> None:
    mag = coarse(wk, tmp_path / "d")
    with pytest.warns(DeprecationWarning, match="size"):
        assert mag.read(size=(16, 16, 16)).shape == (1, 16, 16, 16)
    with pytest.warns(DeprecationWarning, match="size"):
        assert mag.get_view(size=(16, 16, 16)).bounding_box == wk.BoundingBox((0, 0, 0), (32, 32, 32))
    assert mag.read(size=(16, 16, 16), relative_offset=(0, 0, 0)).shape == (1, 8, 8, 8)


@pytest.mark.parametrize("corner", [(1, 1, 1), (2, 2, 2)])
def test_boxes_off_the_grid_of_a_mag_are_refused(wk: Any, tmp_path: Path, corner: Any) -> None:
    mag = coarse(wk, tmp_path / "d")
    size = (15, 15, 15)
    for name in ("read", "get_view", "read_cxyz"):
        for where in (
            {"absolute_offset": corner, "size": size},
            {"relative_offset": corner, "size": size},
            {"absolute_bounding_box": wk.BoundingBox(corner, size)},
        ):
            with pytest.raises(AssertionError):
                getattr(mag, name)(**where)


def test_relative_positions_count_from_whole_voxels(wk: Any, tmp_path: Path) -> None:
    mag = coarse(wk, tmp_path / "d", ((1, 1, 1), (15, 15, 15)))
    whole = mag.read()
    assert mag.bounding_box == wk.BoundingBox((0, 0, 0), (16, 16, 16))
    assert np.array_equal(mag.read(relative_offset=(2, 2, 2), size=(4, 4, 4)), whole[:, 1:3, 1:3, 1:3])
    assert mag.get_view(relative_offset=(2, 2, 2), size=(4, 4, 4)).bounding_box.topleft.to_tuple() == (2, 2, 2)
    mag.write(whole[0], relative_offset=(0, 0, 0))
    mag.write(whole[0])
    assert np.array_equal(mag.read(), whole)


@pytest.mark.parametrize("size", [(0, 0, 0), (0, 8, 8)])
def test_nothing_is_not_read(wk: Any, tmp_path: Path, size: Any) -> None:
    mag = image(wk, tmp_path / "d").add_mag(1)
    for name in ("read", "get_view"):
        for where in (
            {"absolute_offset": (0, 0, 0), "size": size},
            {"absolute_bounding_box": wk.BoundingBox((0, 0, 0), size)},
        ):
            with pytest.raises(AssertionError):
                getattr(mag, name)(**where)


# -- the same thing twice -----------------------------------------------------------------------------------------


def test_layers_and_mags_are_themselves_and_datasets_equal_those_of_their_folder(wk: Any, tmp_path: Path) -> None:
    layer = image(wk, tmp_path / "d")
    layer.add_mag(1)
    layer.add_mag(2)
    dataset = layer.dataset
    assert layer.get_mag(1) == layer.get_mag("1")
    assert layer.get_mag(1) != layer.get_mag(2)
    assert dataset.get_layer("c") == layer
    assert wk.Dataset.open(tmp_path / "d") == dataset
    assert wk.Dataset(tmp_path / "other", voxel_size=NM) != dataset
    assert len({layer, dataset.get_layer("c")}) == 1
    assert {layer.get_mag(1): 1, layer.get_mag("1"): 2} == {layer.get_mag(1): 2}


# -- what is refused ----------------------------------------------------------------------------------------------


def test_an_existing_dataset_of_another_name_or_voxel_size_is_not_opened(wk: Any, tmp_path: Path) -> None:
    wk.Dataset(tmp_path / "d", voxel_size=NM)
    for more in ({"voxel_size": NM, "name": "other"}, {"voxel_size": (1, 1, 1)}):
        with pytest.raises(RuntimeError):
            wk.Dataset(tmp_path / "d", exist_ok=True, **more)
    assert wk.Dataset(tmp_path / "d", voxel_size=NM, name="d", exist_ok=True).name == "d"


IMAGES = {"uint8", "uint16", "uint32", "int8", "int16", "int32", "float32"}
SEGMENTS = {"uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"}


@pytest.mark.parametrize("dtype", sorted(IMAGES | SEGMENTS | {"float64", "bool", "float16", "complex64"}))
def test_layers_have_types_that_are_shown(wk: Any, tmp_path: Path, dtype: str) -> None:
    dataset = wk.Dataset(tmp_path / "d", voxel_size=NM)
    for category, shown in (("color", IMAGES), ("segmentation", SEGMENTS)):
        if dtype in shown:
            layer = dataset.add_layer(category, category, dtype=dtype)
            assert layer.dtype == layer.dtype_per_channel == np.dtype(dtype)
        else:
            with pytest.raises(ValueError, match=r"dtype|voxels"):
                dataset.add_layer(category, category, dtype=dtype)


@pytest.mark.parametrize(("dtype", "channels", "warned"), [("uint8", 3, 0), ("uint8", 2, 1), ("uint16", 3, 1)])
def test_channels_that_are_not_shown_are_warned_about(
    wk: Any, tmp_path: Path, dtype: str, channels: int, warned: int
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        wk.Dataset(tmp_path / "d", voxel_size=NM).add_layer("c", "color", dtype=dtype, num_channels=channels)
    assert len([each for each in caught if each.category is UserWarning]) == warned


def test_keywords_that_nobody_knows_are_refused(tmp_path: Path) -> None:
    layer = image(wkfast, tmp_path / "d")
    for call in (layer.dataset.get_or_add_layer, layer.dataset.add_layer):
        with pytest.raises(TypeError, match="colour"):
            call("c", "color", dtype="uint8", colour=3)


def test_attributes_that_nobody_knows_are_refused(tmp_path: Path) -> None:
    layer = image(wkfast, tmp_path / "d")
    mag = layer.add_mag(1)
    for thing in (layer.dataset, layer, mag, mag.get_view()):
        with pytest.raises(AttributeError, match="default_view"):
            thing.default_view = 3


# -- the axes of arrays -------------------------------------------------------------------------------------------

ARRAYS = [("xyz", 1), ("zyx", 1), ("xyzc", 3), ("xyzc", 1), ("cxyz", 3), ("cxyz", 1), ("zyxc", 2), ("tcxyz", 3)]
ARRAYS += [("txyz", 1)]


def stored(folder: Path, axes: str, channels: int, zarr_format: int) -> Any:
    """A dataset as others write it, whose array has these axes."""
    lengths = {"c": channels, "x": 10, "y": 11, "z": 12, "t": 1}
    shape = tuple(lengths[axis] for axis in axes)
    (folder / "l").mkdir(parents=True)
    chunks = tuple(lengths[axis] if axis == "c" else min(4, lengths[axis]) for axis in axes)
    store = str(folder / "l" / "1")
    array = zarr.create_array(store=store, shape=shape, chunks=chunks, dtype="uint8", zarr_format=zarr_format)
    array[...] = np.arange(np.prod(shape)).astype("uint8").reshape(shape)
    order = {axis: place for place, axis in enumerate(axes) if axis != "t"}
    layer = {
        "name": "l",
        "category": "color",
        "boundingBox": {"topLeft": [0, 0, 0], "width": 10, "height": 11, "depth": 12},
        "dataFormat": {2: "zarr", 3: "zarr3"}[zarr_format],
        "numChannels": channels,
        "elementClass": {1: "uint8", 2: "uint16", 3: "uint24"}[channels],
        "mags": [{"mag": [1, 1, 1], "path": "./l/1", "axisOrder": order}],
    }
    if "t" in axes:
        layer["additionalAxes"] = [{"name": "t", "bounds": [0, 1], "index": axes.index("t")}]
    scale = {"factor": [1, 1, 1], "unit": "nanometer"}
    properties = {"id": {"name": "a", "team": ""}, "scale": scale, "version": 1, "dataLayers": [layer]}
    (folder / "datasource-properties.json").write_text(json.dumps(properties))
    return array[...]


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(("axes", "channels"), ARRAYS)
def test_arrays_have_the_axes_that_the_layer_states(
    wk: Any, tmp_path: Path, axes: str, channels: int, zarr_format: int
) -> None:
    expected = stored(tmp_path / "d", axes, channels, zarr_format)
    layer = wk.Dataset.open(tmp_path / "d").get_layer("l")
    mag = layer.get_mag(1)
    assert np.array_equal(mag.read(), expected)
    assert mag.get_zarr_array().shape == expected.shape
    assert tuple(layer.normalized_bounding_box.axes) == tuple(axes)
    assert layer.normalized_bounding_box.size.to_tuple() == expected.shape
    assert tuple(mag.normalized_bounding_box.axes) == tuple(axes)
    bounds = {"x": slice(1, 4), "y": slice(1, 5), "z": slice(1, 6)}
    part = expected[tuple(bounds.get(axis, slice(None)) for axis in axes)]
    assert np.array_equal(mag.read(absolute_offset=(1, 1, 1), size=(3, 4, 5)), part)
    names = [axis for axis in "tcxyz" if axis in axes]
    cxyz = expected.transpose([axes.index(axis) for axis in names]).reshape(channels, 10, 11, 12)
    assert np.array_equal(mag.read_cxyz(), cxyz)
    assert np.array_equal(mag.read_cxyz(absolute_offset=(1, 1, 1), size=(3, 4, 5)), cxyz[:, 1:4, 1:5, 1:6])


@pytest.mark.parametrize(("axes", "channels"), ARRAYS)
def test_arrays_are_written_with_the_axes_that_the_layer_states(tmp_path: Path, axes: str, channels: int) -> None:
    # not compared: the reference's own writing fails where it reads, as soon as the axes are not c, x, y, z
    expected = stored(tmp_path / "d", axes, channels, 3)
    mag = wkfast.Dataset.open(tmp_path / "d").get_layer("l").get_mag(1)
    mag.write(expected // 2, allow_unaligned=True)
    assert np.array_equal(mag.read(), expected // 2)
    cxyz = mag.read_cxyz()
    mag.write_cxyz(cxyz // 2, allow_unaligned=True)
    assert np.array_equal(mag.read(), expected // 2 // 2)
    mag.write_cxyz(cxyz[:, 1:4, 1:4, 1:4], absolute_offset=(1, 1, 1), allow_unaligned=True)
    assert np.array_equal(mag.read_cxyz()[:, 1:4, 1:4, 1:4], cxyz[:, 1:4, 1:4, 1:4])


# -- groups -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data_format", ["zarr", "zarr3"])
def test_layers_are_members_of_the_group_that_a_dataset_is(tmp_path: Path, data_format: str) -> None:
    image(wkfast, tmp_path / "d", data_format=data_format).add_mag(1)
    group = zarr.open_group(str(tmp_path / "d"), mode="r")
    assert sorted(group.keys()) == ["c"]
    assert sorted(group["c"].keys()) == ["1"]


# -- views of layers and datasets ---------------------------------------------------------------------------------


def test_how_layers_and_datasets_are_shown_is_kept_in_copies(wk: Any, tmp_path: Path) -> None:
    layer = image(wk, tmp_path / "d")
    layer.add_mag(1).write(np.ones((32, 32, 32), "uint8"))
    dataset = layer.dataset
    assert (dataset.default_view_configuration, layer.default_view_configuration) == (None, None)
    layer.default_view_configuration = wk.LayerViewConfiguration(color=(17, 18, 19), intensity_range=(0, 16), alpha=50)
    dataset.default_view_configuration = wk.DatasetViewConfiguration(zoom=2.5, position=(1, 2, 3), four_bit=True)
    opened = wk.Dataset.open(tmp_path / "d")
    assert opened.default_view_configuration == dataset.default_view_configuration
    shown = opened.get_layer("c").default_view_configuration
    assert (shown.color, shown.intensity_range, shown.alpha, shown.min) == ((17, 18, 19), (0.0, 16.0), 50, None)
    copy = dataset.copy_dataset(tmp_path / "copy")
    assert copy.default_view_configuration == dataset.default_view_configuration
    assert copy.get_layer("c").default_view_configuration == layer.default_view_configuration
    other = wk.Dataset(tmp_path / "other", voxel_size=NM).add_layer_as_copy(layer, "again")
    assert other.default_view_configuration == layer.default_view_configuration
    for path in (tmp_path / "d", tmp_path / "copy"):
        written = json.loads((path / "datasource-properties.json").read_text())
        assert written["defaultViewConfiguration"] == {"zoom": 2.5, "position": [1, 2, 3], "fourBit": True}
        assert written["dataLayers"][0]["defaultViewConfiguration"] == {
            "color": [17, 18, 19], "intensityRange": [0.0, 16.0], "alpha": 50,
        }  # fmt: skip
