"""Layers with additional axes, read and written through boxes: beside zarr, tensorstore and the reference package."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import wkfast as wk
from wkfast.dataset import open_layer
from wkfast.errors import DatasetValueError

FORMATS = ["zarr", "zarr3"]
T_BOX = wk.NDBoundingBox((0, 2, 4, 4, 4), (1, 3, 40, 30, 20), ("c", "t", "x", "y", "z"))
ST_BOX = wk.NDBoundingBox((2, 1, 5, 6, 7), (2, 3, 20, 11, 9), ("s", "t", "x", "y", "z"))


def new_layer(folder: Path, box: wk.NDBoundingBox, data_format: str = "zarr3", **more: object) -> wk.Layer:
    dataset = wk.Dataset(folder / "dataset", voxel_size=(4, 4, 40))
    kind = {"dtype": "uint16", "data_format": data_format, "bounding_box": box, **more}
    return dataset.add_layer("layer", "color", **kind)


def small_mag(layer: wk.Layer, mag: object = 1) -> wk.MagView:
    shards = {} if layer.data_format is wk.DataFormat.Zarr else {"shard_shape": (16, 32, 8)}
    return layer.add_mag(mag, chunk_shape=(8, 8, 8), **shards)


def some(shape: tuple[int, ...], seed: int = 0, dtype: str = "uint16") -> NDArray:
    return np.random.default_rng(seed).integers(0, 250, shape).astype(dtype)


def as_others_read(mag: wk.MagView, box: wk.NDBoundingBox) -> NDArray:
    """What zarr and tensorstore, which must agree, find in a box whose axes are the array's."""
    slices = tuple(slice(*box.get_bounds(axis)) for axis in box.axes)
    driver = "zarr" if mag.info.data_format is wk.DataFormat.Zarr else "zarr3"
    store = tensorstore.open({"driver": driver, "kvstore": {"driver": "file", "path": str(mag.path)}}).result()
    found = zarr.open_array(mag.path, mode="r")[slices]
    np.testing.assert_array_equal(found, store[slices].read().result())
    return found


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("box", [T_BOX, ST_BOX], ids=["t", "st"])
@pytest.mark.parametrize("data_format", FORMATS)
def test_what_is_written_is_what_others_read(tmp_path, data_format, box, channels):
    box = box.with_bounds("c", new_size=channels) if "c" in box.axes else box
    layer = new_layer(tmp_path, box, data_format, num_channels=channels)
    further = [axis for axis in box.axes if axis not in "cxyz"]
    assert layer.bounding_box.axes == ("c", *further, "x", "y", "z")
    mag = small_mag(layer)
    data = some(tuple(layer.bounding_box.size))
    mag.write(data, absolute_bounding_box=box, allow_unaligned=True)
    np.testing.assert_array_equal(as_others_read(mag, layer.bounding_box), data)
    for found in (mag.read(), mag.read(absolute_bounding_box=box), layer.dataset.get_layer("layer").get_mag(1).read()):
        np.testing.assert_array_equal(found, data)
        assert found.flags.f_contiguous


@pytest.mark.parametrize("data_format", FORMATS)
def test_a_box_decides_the_order_of_the_axes(tmp_path, data_format):
    layer = new_layer(tmp_path, T_BOX, data_format)
    mag = small_mag(layer)
    data = some((1, 3, 40, 30, 20))
    turned = wk.NDBoundingBox((4, 4, 0, 2, 4), (20, 40, 1, 3, 30), ("z", "x", "c", "t", "y"))
    mag.write(data.transpose(4, 2, 0, 1, 3), absolute_bounding_box=turned, allow_unaligned=True)
    np.testing.assert_array_equal(mag.read(), data)
    np.testing.assert_array_equal(mag.read(absolute_bounding_box=turned), data.transpose(4, 2, 0, 1, 3))
    without_c = wk.NDBoundingBox((3, 5, 6, 7), (1, 4, 5, 6), ("t", "x", "y", "z"))
    np.testing.assert_array_equal(mag.read(absolute_bounding_box=without_c), data[:, 1:2, 1:5, 2:7, 3:9])
    only_xyz = wk.BoundingBox((5, 6, 7), (4, 5, 6))
    np.testing.assert_array_equal(mag.read(absolute_bounding_box=only_xyz), data[:, :, 1:5, 2:7, 3:9])
    np.testing.assert_array_equal(mag.read(absolute_offset=(5, 6, 7), size=(4, 5, 6)), data[:, :, 1:5, 2:7, 3:9])
    whole = {"absolute_offset": (0, 3, 5, 6, 7), "size": (1, 1, 4, 5, 6)}
    np.testing.assert_array_equal(mag.read(**whole), data[:, 1:2, 1:5, 2:7, 3:9])
    relative = wk.NDBoundingBox((0, 1, 1, 2, 3), (1, 1, 4, 5, 6), ("c", "t", "x", "y", "z"))
    np.testing.assert_array_equal(mag.read(relative_bounding_box=relative), data[:, 1:2, 1:5, 2:7, 3:9])


def test_slices_that_there_are_not_are_zeros(tmp_path):
    layer = new_layer(tmp_path, T_BOX)
    mag = small_mag(layer)
    data = some((1, 3, 40, 30, 20)) + 1
    mag.write(data, allow_unaligned=True)
    around = wk.NDBoundingBox((0, -1, 0, 0, 0), (1, 9, 50, 50, 50), ("c", "t", "x", "y", "z"))
    expected = np.zeros((1, 9, 50, 50, 50), np.uint16)
    expected[:, 3:6, 4:44, 4:34, 4:24] = data
    np.testing.assert_array_equal(mag.read(absolute_bounding_box=around), expected)


def test_a_flat_layer_takes_boxes_with_channels_and_of_another_order(tmp_path):
    layer = new_layer(tmp_path, wk.BoundingBox((0, 0, 0), (20, 11, 9)), num_channels=2)
    mag = small_mag(layer)
    box = wk.NDBoundingBox((0, 0, 0, 0), (9, 11, 20, 2), ("z", "y", "x", "c"))
    data = some((9, 11, 20, 2))
    mag.write(data, absolute_bounding_box=box)
    np.testing.assert_array_equal(mag.read(), data.transpose(3, 2, 1, 0))
    np.testing.assert_array_equal(mag.read(absolute_bounding_box=box), data)
    second = wk.NDBoundingBox((1, 2, 3, 4), (1, 5, 4, 3), ("c", "x", "y", "z"))
    np.testing.assert_array_equal(mag.read(absolute_bounding_box=second), data.transpose(3, 2, 1, 0)[1:, 2:7, 3:7, 4:7])


@settings(max_examples=25)
@given(st.data())
def test_any_writes_and_reads_equal_those_of_an_array(tmp_path_factory, data):
    layer = new_layer(tmp_path_factory.mktemp("nd"), ST_BOX, data.draw(st.sampled_from(FORMATS)))
    mag, model = small_mag(layer), np.zeros((1, 6, 6, 30, 20, 20), np.uint16)
    names = ("c", "s", "t", "x", "y", "z")
    for seed in range(data.draw(st.integers(1, 4))):
        bounds = [sorted(data.draw(st.tuples(*[st.integers(0, edge)] * 2))) for edge in model.shape[1:]]
        start, size = [0, *(low for low, _ in bounds)], [1, *(high - low + 1 for low, high in bounds)]
        size = [min(extent, edge - low) or 1 for extent, edge, low in zip(size, model.shape, start, strict=True)]
        start = [min(low, edge - 1) for low, edge in zip(start, model.shape, strict=True)]
        order = data.draw(st.permutations(range(6)))
        box = wk.NDBoundingBox([start[i] for i in order], [size[i] for i in order], [names[i] for i in order])
        voxels = some(tuple(size), seed)
        mag.write(voxels.transpose(order), absolute_bounding_box=box, allow_resize=True, allow_unaligned=True)
        model[tuple(slice(low, low + extent) for low, extent in zip(start, size, strict=True))] = voxels
        np.testing.assert_array_equal(mag.read(absolute_bounding_box=box), voxels.transpose(order))
    everything = wk.NDBoundingBox((0,) * 6, model.shape, names)
    np.testing.assert_array_equal(mag.read(absolute_bounding_box=everything), model)


def test_the_box_grows_along_additional_axes(tmp_path):
    layer = new_layer(tmp_path, T_BOX)
    mag = small_mag(layer)
    beyond = wk.NDBoundingBox((0, 7, 4, 4, 4), (1, 2, 8, 8, 8), ("c", "t", "x", "y", "z"))
    with pytest.raises(DatasetValueError, match="allow_resize"):
        mag.write(some((1, 2, 8, 8, 8)), absolute_bounding_box=beyond, allow_unaligned=True)
    mag.write(some((1, 2, 8, 8, 8)), absolute_bounding_box=beyond, allow_unaligned=True, allow_resize=True)
    assert layer.bounding_box.get_bounds("t") == (2, 9)
    assert json.loads((mag.path / "zarr.json").read_text())["shape"][1] == 9
    assert layer.dataset.get_layer("layer").bounding_box == layer.bounding_box
    layer.bounding_box = wk.BoundingBox((0, 0, 0), (64, 64, 64))
    assert (layer.bounding_box.get_bounds("t"), layer.bounding_box.get_bounds("x")) == ((2, 9), (0, 64))
    layer.bounding_box = layer.bounding_box.with_bounds("t", 0, 20)
    assert json.loads((mag.path / "zarr.json").read_text())["shape"] == [1, 20, 64, 64, 64]


@pytest.mark.parametrize("data_format", FORMATS)
def test_coarser_copied_and_rechunked_mags_have_all_slices(tmp_path, data_format):
    layer = new_layer(tmp_path, T_BOX, data_format)
    mag = small_mag(layer)
    data = some((1, 3, 40, 30, 20))
    mag.write(data, allow_unaligned=True)
    shard = None if data_format == "zarr" else (16, 32, 8)
    layer.downsample(
        coarsest_mag=wk.Mag(2), sampling_mode="isotropic", interpolation_mode="max", chunk_shape=8, shard_shape=shard
    )
    blocks = data.reshape(1, 3, 20, 2, 15, 2, 10, 2).max(axis=(3, 5, 7))
    coarse = layer.get_mag(2)
    np.testing.assert_array_equal(coarse.read(), blocks)
    in_mag = coarse.bounding_box.in_mag(wk.Mag(2))
    np.testing.assert_array_equal(as_others_read(coarse, in_mag), blocks)
    mag.rechunk(chunk_shape=16, compress=False, **({} if data_format == "zarr" else {"shard_shape": 32}))
    np.testing.assert_array_equal(as_others_read(layer.get_mag(1), layer.bounding_box), data)
    mag.compress()
    np.testing.assert_array_equal(mag.read(), data)
    other = {"data_format": "zarr3", "shard_shape": 64} if data_format == "zarr" else {"data_format": "zarr"}
    copy = layer.dataset.copy_dataset(tmp_path / "copy", **other)
    np.testing.assert_array_equal(copy.get_layer("layer").get_mag(1).read(), data)
    np.testing.assert_array_equal(copy.get_layer("layer").get_mag(2).read(), blocks)


def test_views_chunks_and_boxes_on_disk_are_slices(tmp_path):
    layer = new_layer(tmp_path, T_BOX)
    mag = small_mag(layer)
    data = some((1, 3, 40, 30, 20)) + 1
    mag.write(data, allow_unaligned=True)
    box = wk.NDBoundingBox((0, 3, 5, 6, 7), (1, 1, 4, 5, 6), ("c", "t", "x", "y", "z"))
    view = mag.get_view(absolute_bounding_box=box)
    assert view.bounding_box == box
    np.testing.assert_array_equal(view.read(), data[:, 1:2, 1:5, 2:7, 3:9])
    view.write(np.zeros((1, 1, 4, 5, 6), np.uint16), allow_unaligned=True)
    data[:, 1:2, 1:5, 2:7, 3:9] = 0
    np.testing.assert_array_equal(mag.read(), data)
    for tiles in (mag.chunk((16, 32, 8), chunk_border_alignments=(16, 32, 8)), mag.get_views_on_disk()):
        found = np.zeros_like(data)
        for tile in tiles:
            assert tile.bounding_box.get_shape("t") == 1
            relative = tile.bounding_box.offset([-start for start in layer.bounding_box.topleft])
            found[relative.to_slices()] = tile.read()
        np.testing.assert_array_equal(found, data)
    assert {tuple(box.get_bounds("t")) for box in mag.get_bounding_boxes_on_disk()} == {(2, 3), (3, 4), (4, 5)}
    assert mag.content_is_equal(layer.dataset.get_layer("layer").get_mag(1))


def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path):
    layer = new_layer(tmp_path, T_BOX.with_bounds("c", new_size=2))
    mag = small_mag(layer)
    one = T_BOX.with_bounds("c", new_size=1)
    cases = [
        ({"absolute_bounding_box": one}, (1, 3, 40, 30, 20), r"is not \(2, t, x, y, z\)"),
        ({"absolute_bounding_box": T_BOX.with_bounds("c", new_size=2)}, (2, 2, 40, 30, 20), "is not filled"),
        ({"absolute_bounding_box": T_BOX}, (3, 40, 30, 20), "does not have the axes"),
        ({"absolute_bounding_box": wk.NDBoundingBox((0,) * 4, (8,) * 4, tuple("uxyz"))}, (2, 8, 8, 8, 8), "the axes u"),
    ]
    cases += [
        ({"absolute_bounding_box": T_BOX, "absolute_offset": (4, 4, 4)}, (2, 3, 40, 30, 20), "one offset or one"),
        ({"relative_offset": (0, 0, 0), "absolute_offset": (4, 4, 4)}, (2, 3, 40, 30, 20), "one offset or one"),
    ]
    for where, shape, message in cases:
        with pytest.raises(DatasetValueError, match=message):
            mag.write(np.zeros(shape, np.uint16), allow_unaligned=True, **where)
    with pytest.raises(DatasetValueError, match="channels"):
        mag.read(absolute_bounding_box=T_BOX.with_bounds("c", new_size=3))
    assert list(mag.get_bounding_boxes_on_disk()) == []
    dataset = layer.dataset
    for box, more, message in [
        (T_BOX, {"data_format": "wkw"}, "WKW has no additional axes"),
        (T_BOX, {"num_channels": 3}, "3 channels"),
        (T_BOX.with_bounds("t", -1), {}, "negative"),
        (wk.NDBoundingBox((0, 0, 0), (1, 1, 1), ("t", "x", "y")), {}, "lacks x, y or z"),
    ]:
        with pytest.raises(DatasetValueError, match=message):
            dataset.add_layer("other", "color", bounding_box=box, **more)
    assert list(dataset.layers) == ["layer"]


def test_arrays_of_others_open_with_their_axes(tmp_path):
    array = zarr.create_array(
        tmp_path / "array", shape=(3, 20, 11, 9), chunks=(1, 8, 8, 8), dtype="uint16", dimension_names=list("tzyx")
    )
    data = some((3, 20, 11, 9))
    array[:] = data
    layer = open_layer(array)
    assert layer.bounding_box == wk.NDBoundingBox((0, 0, 0, 0), (3, 20, 11, 9), tuple("tzyx"))
    np.testing.assert_array_equal(layer.get_mag(1).read(), data)


REFERENCE = pytest.mark.skipif(
    importlib.util.find_spec("webknossos") is None, reason="the reference package is a bench extra"
)
ORDERS = [
    (("c", "t", "x", "y", "z"), (0, 2, 4, 4, 4), (2, 3, 40, 30, 20)),
    (("t", "x", "y", "z"), (2, 4, 4, 4), (3, 40, 30, 20)),
    (("t", "c", "z", "y", "x"), (2, 0, 4, 4, 4), (3, 1, 20, 30, 40)),
    (("c", "s", "t", "x", "y", "z"), (0, 2, 1, 4, 4, 4), (1, 3, 2, 40, 30, 20)),
]


@REFERENCE
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("axes", "topleft", "size"), ORDERS, ids=["".join(axes) for axes, _, _ in ORDERS])
def test_layers_of_the_reference_are_read_and_continued(tmp_path, axes, topleft, size):
    import webknossos

    box = webknossos.NDBoundingBox(topleft, size, axes, tuple(range(len(axes))))
    channels = size[axes.index("c")] if "c" in axes else 1
    theirs = webknossos.Dataset(tmp_path / "d", voxel_size=(4, 4, 40)).add_layer(
        "layer", "color", dtype="uint16", bounding_box=box, data_format="zarr3", num_channels=channels
    )
    data = some(size)
    theirs.add_mag(1, chunk_shape=(8, 8, 8), shard_shape=(16, 16, 16)).write(data, absolute_bounding_box=box)
    layer = wk.Dataset.open(tmp_path / "d").get_layer("layer")
    assert layer.bounding_box == wk.NDBoundingBox(topleft, size, axes)
    np.testing.assert_array_equal(layer.get_mag(1).read(), data)
    steps = [0 if axis == "c" else 1 for axis in axes]
    part = wk.NDBoundingBox(np.add(topleft, steps), np.subtract(size, steps), axes)
    inside = tuple(slice(step, None) for step in steps)
    np.testing.assert_array_equal(layer.get_mag(1).read(absolute_bounding_box=part), data[inside])
    layer.get_mag(1).write(data[inside] + 1, absolute_bounding_box=part, allow_unaligned=True)
    layer.downsample(coarsest_mag=wk.Mag(2), sampling_mode="isotropic", interpolation_mode="max")
    again = webknossos.Dataset.open(tmp_path / "d").get_layer("layer")
    expected = data.copy()
    expected[inside] = data[inside] + 1
    np.testing.assert_array_equal(again.get_mag(1).read(), expected)
    np.testing.assert_array_equal(again.get_mag(2).read(), layer.get_mag(2).read())
    assert again.get_mag(2).read().max() == expected.max()


@REFERENCE
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("box", [T_BOX, ST_BOX], ids=["t", "st"])
def test_the_reference_reads_new_layers(tmp_path, box):
    import webknossos

    layer = new_layer(tmp_path, box)
    mag = layer.add_mag(1, chunk_shape=8, shard_shape=16)
    data = some(tuple(layer.bounding_box.size))
    mag.write(data, absolute_bounding_box=layer.bounding_box, allow_unaligned=True)
    layer.downsample(coarsest_mag=wk.Mag(2), sampling_mode="isotropic", interpolation_mode="min")
    theirs = webknossos.Dataset.open(layer.dataset.path).get_layer("layer")
    assert tuple(theirs.bounding_box.topleft) == tuple(layer.bounding_box.topleft)
    assert theirs.bounding_box.axes == layer.bounding_box.axes
    for name in (1, 2):
        np.testing.assert_array_equal(theirs.get_mag(name).read(), layer.get_mag(name).read())
    np.testing.assert_array_equal(theirs.get_mag(1).read(), data)
