"""OME-Zarr images as layers and datasets: voxels where they lie, mags by their scales, sizes and units taken over."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from tests.inputs import tree_state

import wkfast as wk
from wkfast.dataset import open_layer
from wkfast.errors import DatasetError, DatasetNotFoundError, DatasetValueError, ReadOnlyError

VERSIONS = {"0.4": 2, "0.5": 3}


def axes_of(names: str, unit: str | None = "micrometer") -> list[dict[str, str]]:
    kinds = {"c": "channel", "t": "time"}
    spatial = {} if unit is None else {"unit": unit}
    return [{"name": name, "type": kinds.get(name, "space"), **(spatial if name in "xyz" else {})} for name in names]


def scale(*sizes: float) -> list[dict[str, Any]]:
    return [{"type": "scale", "scale": list(sizes)}]


def scaled(path: str, *sizes: float) -> list[dict[str, Any]]:
    return [{"path": path, "coordinateTransformations": scale(*sizes)}]


def describe(folder: Path, version: str, images: list[dict], **more: Any) -> None:
    """Write the attributes of a group, as OME-Zarr of a version has them."""
    folder.mkdir(exist_ok=True, parents=True)
    if VERSIONS.get(version) == 3:
        attributes = {"ome": {"version": version, "multiscales": images, **more}}
        (folder / "zarr.json").write_text(
            json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes})
        )
    else:
        (folder / ".zgroup").write_text('{"zarr_format": 2}')
        (folder / ".zattrs").write_text(
            json.dumps({"multiscales": [{"version": version, **i} for i in images], **more})
        )


def put(path: Path, data: NDArray, zarr_format: int, **options: Any) -> NDArray:
    chunks = tuple(1 if place < data.ndim - 3 else min(edge, 8) for place, edge in enumerate(data.shape))
    zarr.create_array(path, shape=data.shape, chunks=chunks, dtype=data.dtype, zarr_format=zarr_format, **options)[
        ...
    ] = data
    return data


def image(folder: Path, version: str = "0.4", **more: Any) -> list[NDArray]:
    """An image of three levels, z first, the second coarser along x and y only."""
    shapes = [(20, 41, 50), (20, 20, 25), (10, 10, 12)]
    sizes = [(2.0, 0.5, 0.5), (2.0, 1.025, 1.0), (4.0, 2.05, 2.083)]
    datasets = [{"path": f"s{i}", "coordinateTransformations": scale(*size)} for i, size in enumerate(sizes)]
    describe(folder, version, [{"axes": axes_of("zyx"), "datasets": datasets}], **more)
    random = np.random.default_rng(5)
    return [
        put(folder / f"s{i}", random.integers(0, 200, shape, "uint8"), VERSIONS[version])
        for i, shape in enumerate(shapes)
    ]


def assert_holds(layer: wk.Layer, levels: list[NDArray]) -> None:
    assert [str(mag) for mag in layer.mags] == ["1", "2-2-1", "4-4-2"]
    for view, data in zip(layer.mags.values(), levels, strict=True):
        read = view.read_cxyz()[0].T
        depth, height, width = data.shape
        np.testing.assert_array_equal(read[:depth, :height, :width], data)
        assert not read[depth:].any()


@pytest.mark.parametrize("version", VERSIONS)
def test_an_image_is_a_layer_of_its_mags_and_a_dataset_of_its_voxel_size(tmp_path: Path, version: str) -> None:
    levels = image(tmp_path / "cells.zarr", version)
    before = tree_state(tmp_path)
    layer = open_layer(tmp_path / "cells.zarr")
    assert_holds(layer, levels)
    assert_holds(pickle.loads(pickle.dumps(layer)), levels)
    assert layer.bounding_box == wk.BoundingBox((0, 0, 0), (50, 41, 20))
    assert layer.dataset.voxel_size_with_unit == wk.VoxelSize((0.5, 0.5, 2.0), wk.LengthUnit.MICROMETER)
    with pytest.raises(ReadOnlyError, match="OME-Zarr image"):
        layer.get_mag(1).write(np.zeros((8, 8, 8), "uint8"), absolute_offset=(0, 0, 0))
    assert tree_state(tmp_path) == before


@pytest.mark.parametrize("version", VERSIONS)
def test_a_dataset_of_an_image_has_its_labels_and_changes_neither(tmp_path: Path, version: str) -> None:
    folder = tmp_path / "cells.ome.zarr"
    levels = image(folder, version, omero={"channels": []})
    coarse = put(folder / "labels" / "nuclei" / "0", np.full((20, 20, 25), 9, "uint32"), VERSIONS[version])
    datasets = [{"path": "0", "coordinateTransformations": scale(2, 1, 1)}]
    describe(
        folder / "labels" / "nuclei", version, [{"axes": axes_of("zyx"), "datasets": datasets}], **{"image-label": {}}
    )
    describe(folder / "labels", version, [], labels=["nuclei"])
    before = tree_state(folder)
    dataset = wk.Dataset.from_ome_zarr(folder, tmp_path / "cells", name="Cells")
    again = wk.Dataset.open(tmp_path / "cells")
    assert (again.name, again.voxel_size) == ("Cells", (500, 500, 2000))
    assert {name: layer.category for name, layer in again.layers.items()} == {
        "cells": "color",
        "nuclei": "segmentation",
    }
    assert_holds(again.get_layer("cells"), levels)
    labels = again.get_segmentation_layer("nuclei").get_mag("2-2-1")
    np.testing.assert_array_equal(labels.read()[:20, :20, :25], coarse)
    assert labels.is_foreign
    with pytest.raises(DatasetError):
        labels.write(np.zeros((8, 8, 8), "uint32"), absolute_offset=(0, 0, 0))
    copy = dataset.copy_dataset(tmp_path / "copy", data_format="wkw", shard_shape=64)
    np.testing.assert_array_equal(copy.get_layer("cells").get_mag(1).read()[0], levels[0].transpose(2, 1, 0))
    again.delete_layer("nuclei")
    again.get_layer("cells").name = "renamed"
    assert tree_state(folder) == before


def test_an_image_in_the_folder_of_a_layer_is_listed_with_the_mags_of_its_scales(tmp_path: Path) -> None:
    dataset = wk.Dataset(tmp_path / "d", voxel_size=(250, 250, 1000))
    levels = image(tmp_path / "d" / "em", "0.5")
    layer = dataset.add_layer_for_existing_files("em", "color")
    assert [str(mag) for mag in layer.mags] == ["2", "4-4-2", "8-8-4"]
    np.testing.assert_array_equal(wk.Dataset.open(dataset.path).get_layer("em").get_mag(2).read_cxyz()[0].T, levels[0])
    assert layer.bounding_box == wk.BoundingBox((0, 0, 0), (100, 82, 40))
    shutil.copytree(tmp_path / "d" / "em", tmp_path / "d" / "em2")
    with pytest.raises(DatasetValueError, match="dtype is uint8, not uint16"):
        dataset.add_layer_for_existing_files("em2", "color", dtype="uint16")
    other = wk.Dataset(tmp_path / "other", voxel_size=(300, 300, 1000))
    image(tmp_path / "other" / "em")
    with pytest.raises(DatasetError, match=r"its voxels are of .*no array of it has those of"):
        other.add_layer_for_existing_files("em", "color")
    assert not other.layers


def test_a_layer_that_is_an_image_keeps_what_its_group_says_when_it_changes(tmp_path: Path) -> None:
    dataset = wk.Dataset(tmp_path / "d", voxel_size_with_unit=wk.VoxelSize((0.5, 0.5, 2), wk.LengthUnit.MICROMETER))
    image(tmp_path / "d" / "em", "0.4", omero={"channels": ["a"]})
    layer = dataset.add_layer_for_existing_files("em", "color")
    layer.delete_mag("2-2-1")
    attributes = json.loads((tmp_path / "d" / "em" / ".zattrs").read_text())
    assert attributes["omero"] == {"channels": ["a"]}
    assert [each["path"] for each in attributes["multiscales"][0]["datasets"]] == ["s0", "s2"]
    assert sorted(path.name for path in (tmp_path / "d" / "em").iterdir() if path.is_dir()) == ["s0", "s2"]


@pytest.mark.parametrize("data_format", ["zarr", "zarr3"])
def test_layers_that_were_written_here_are_found_by_the_names_of_their_mags(tmp_path: Path, data_format: str) -> None:
    dataset = wk.Dataset(tmp_path / "d", voxel_size=(4, 4, 40))
    data = np.full((64, 64, 64), 7, "uint8")
    layer = dataset.write_layer("em", "color", data, data_format=data_format)
    mags = list(layer.mags)
    layer.delete_mag(1)
    shutil.copytree(layer.path, tmp_path / "d" / "copy")
    found = dataset.add_layer_for_existing_files("copy", "color")
    assert list(found.mags) == mags[1:]
    # Read alone, the finest has mag 1 and larger voxels.
    alone = open_layer(shutil.copytree(layer.path, tmp_path / "elsewhere" / "em"))
    assert alone.dataset.voxel_size == tuple(edge * size for edge, size in zip(mags[1], (4, 4, 40), strict=True))


def test_a_layer_whose_mags_were_all_deleted_takes_files_again(tmp_path: Path) -> None:
    dataset = wk.Dataset(tmp_path / "d", voxel_size=(4, 4, 40))
    layer = dataset.write_layer("em", "color", np.full((64, 64, 64), 7, "uint8"), downsample=False)
    shutil.copytree(layer.get_mag(1).path, tmp_path / "1")
    layer.delete_mag(1)
    shutil.copytree(layer.path, tmp_path / "d" / "again")
    (tmp_path / "1").rename(tmp_path / "d" / "again" / "1")
    assert list(dataset.add_layer_for_existing_files("again", "color").mags) == [wk.Mag(1)]


def test_axes_of_time_and_channels_and_groups_without_scales(tmp_path: Path) -> None:
    shapes = [(3, 2, 8, 16, 16), (3, 2, 8, 8, 8)]
    levels = [put(tmp_path / "a" / str(i), np.random.default_rng(i).integers(0, 99, shape, "uint16"), 2)
              for i, shape in enumerate(shapes)]  # fmt: skip
    named = ["time", "channel", "z", "y", "x"]
    for axes in (None, list("tczyx"), [{"name": name} for name in named]):
        describe(
            tmp_path / "a", "0.2", [{"datasets": [{"path": "0"}, {"path": "1"}], **({"axes": axes} if axes else {})}]
        )
        layer = open_layer(tmp_path / "a")
        assert [str(mag) for mag in layer.mags] == ["1", "2-2-1"]
        box = wk.NDBoundingBox((1, 0, 0, 0, 0), (2, 2, 8, 16, 16), ("t", "c", "z", "y", "x"))
        np.testing.assert_array_equal(layer.get_mag(1).read(absolute_bounding_box=box), levels[0][1:])
        assert layer.dataset.voxel_size == (1, 1, 1)


def test_units_that_differ_are_told_in_that_of_x_and_unknown_ones_are_said(tmp_path: Path) -> None:
    put(tmp_path / "a" / "0", np.ones((8, 8, 8), "uint8"), 2)
    axes = [
        {"name": "z", "unit": "millimeter"},
        {"name": "y", "unit": "nanometer"},
        {"name": "x", "unit": "micrometer"},
    ]
    datasets = [{"path": "0", "coordinateTransformations": scale(0.5, 250, 0.25)}]
    describe(tmp_path / "a", "0.4", [{"axes": axes, "datasets": datasets, "coordinateTransformations": scale(2, 1, 1)}])
    size = open_layer(tmp_path / "a").dataset.voxel_size_with_unit
    assert size.unit is wk.LengthUnit.MICROMETER
    np.testing.assert_allclose(size.factor.to_tuple(), (0.25, 0.25, 1000))
    describe(tmp_path / "a", "0.4", [{"axes": axes_of("zyx", "pixel"), "datasets": datasets}])
    with pytest.warns(UserWarning, match="'pixel' is no unit of length"):
        assert open_layer(tmp_path / "a").dataset.unit == "nanometer"


def test_levels_that_are_no_mag_are_left_out_with_a_warning(tmp_path: Path) -> None:
    datasets = []
    for path, size in (("0", 1), ("1", 1.7), ("2", 3), ("3", 4.1)):
        put(tmp_path / "a" / path, np.ones((8, 8, 8), "uint8"), 2)
        datasets.append({"path": path, "coordinateTransformations": scale(size, size, size)})
    describe(tmp_path / "a", "0.4", [{"axes": axes_of("zyx"), "datasets": datasets}])
    with pytest.warns(UserWarning, match=r"array '[12]' is left out: \("):
        assert [str(mag) for mag in open_layer(tmp_path / "a").mags] == ["1", "4"]


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        ({"axes": axes_of("zyx"), "datasets": [{"path": "../0"}]}, "leads out of the group"),
        ({"axes": axes_of("zyx"), "datasets": [{"path": "/0"}]}, "leads out of the group"),
        ({"axes": axes_of("zyx"), "datasets": {}}, "expected a list of arrays"),
        ({"axes": axes_of("zyx"), "datasets": ["0"]}, "path None"),
        ({"axes": [3], "datasets": [{"path": "0"}]}, "expected a name each"),
        ({"axes": axes_of("zyz"), "datasets": [{"path": "0"}]}, "single letters"),
        ({"axes": axes_of("zyx"), "datasets": scaled("0", 1, 1)}, "no number for"),
        ({"axes": axes_of("zyx"), "datasets": scaled("0", 0, 1, 1)}, "not positive"),
        ({"axes": axes_of("zyx"), "datasets": scaled("gone", 1, 1, 1)}, "holds no mag"),
        ({"axes": axes_of("yx"), "datasets": [{"path": "0"}]}, "no array with the axes yx"),
    ],
)  # fmt: skip
def test_what_is_not_ome_zarr_is_said(tmp_path: Path, stated: dict, reason: str) -> None:
    put(tmp_path / "a" / "0", np.ones((8, 8, 8), "uint8"), 2)
    describe(tmp_path / "a", "0.4", [stated])
    with pytest.raises(DatasetError, match=reason):
        open_layer(tmp_path / "a")


def test_other_folders_and_files_say_what_they_are_and_what_to_do(tmp_path: Path) -> None:
    group = tmp_path / "plate.zarr"
    zarr.open_group(group, mode="w", zarr_format=2)
    with pytest.raises(DatasetNotFoundError, match=r"without an image .*nothing that wkfast knows"):
        open_layer(group)
    image(group / "B" / "03")
    put(group / "plain", np.ones((8, 8, 8), "uint8"), 2)
    zarr.open_group(group / "B", mode="a", zarr_format=2)
    with pytest.raises(DatasetNotFoundError, match="open what is in it: B, plain"):
        open_layer(group)
    with pytest.raises(
        DatasetNotFoundError, match=r"no datasource-properties\.json; open_layer opens arrays and OME-Zarr"
    ):
        wk.Dataset.open(group / "B" / "03")
    dataset = wk.Dataset(tmp_path / "d", voxel_size=(1, 1, 1))
    with pytest.raises(DatasetNotFoundError, match=r"is a dataset: Dataset\.open opens it; its layers are none"):
        open_layer(dataset.path)
    (tmp_path / "traktor.nml").write_text("x")
    with pytest.raises(DatasetNotFoundError, match=r"is a file: expected a folder, or a zip file"):
        open_layer(tmp_path / "traktor.nml")
    put(tmp_path / "five", np.ones((1, 2, 8, 8, 8), "uint8"), 2)
    with pytest.raises(DatasetError, match=r"5 axes without names, of the lengths .*by axes=, such as axes='tczyx'"):
        open_layer(tmp_path / "five")
    assert open_layer(tmp_path / "five", axes="tczyx").num_channels == 2


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("inside", ["", "cells.zarr"])
def test_images_and_arrays_in_zip_files_are_read_in_place(tmp_path: Path, version: str, inside: str) -> None:
    levels = image(tmp_path / "z" / inside, version)
    shutil.make_archive(str(tmp_path / "cells.zarr"), "zip", tmp_path / "z")
    layer = open_layer(tmp_path / "cells.zarr.zip")
    assert layer.name == "cells.zarr"
    assert_holds(layer, levels)
    assert_holds(pickle.loads(pickle.dumps(layer)), levels)
    np.testing.assert_array_equal(layer.get_mag(1).get_zarr_array()[0], levels[0].transpose(2, 1, 0))
    with pytest.raises(ReadOnlyError, match="unpack it, or copy the layer"):
        layer.get_mag(1).write(np.zeros((8, 8, 8), "uint8"), absolute_offset=(0, 0, 0))
    dataset = wk.Dataset(tmp_path / "d", voxel_size_with_unit=layer.dataset.voxel_size_with_unit)
    copy = dataset.add_layer_as_copy(layer, "copy")
    np.testing.assert_array_equal(copy.get_mag(1).read_cxyz()[0].T, levels[0])
    shutil.make_archive(str(tmp_path / "one"), "zip", tmp_path / "z" / inside / "s1")
    np.testing.assert_array_equal(open_layer(tmp_path / "one.zip", axes="zyx").get_mag(1).read(), levels[1])
    with pytest.raises(DatasetError, match="zip"):
        wk.Dataset.from_ome_zarr(tmp_path / "cells.zarr.zip", tmp_path / "e")


def test_zips_of_zarr_python_are_read_and_others_refused(tmp_path: Path) -> None:
    data = np.arange(512, dtype="uint16").reshape(8, 8, 8)
    with zarr.storage.ZipStore(tmp_path / "a.zip", mode="w") as store:
        zarr.create_array(store, shape=(8, 8, 8), chunks=(4, 4, 4), dtype="uint16")[...] = data
    np.testing.assert_array_equal(open_layer(tmp_path / "a.zip").get_mag(1).read()[0], data)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "readme").write_text("nothing")
    shutil.make_archive(str(tmp_path / "b"), "zip", tmp_path / "b")
    with pytest.raises(DatasetNotFoundError, match="holds no array in Zarr"):
        open_layer(tmp_path / "b.zip")
    (tmp_path / "c.zip").write_bytes(b"nothing")
    with pytest.raises(wk.errors.WkfastError, match="zip"):
        open_layer(tmp_path / "c.zip")
