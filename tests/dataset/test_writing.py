"""Datasets made, written and changed by wkfast; what other libraries make of them."""

import concurrent.futures as cf
import json
import multiprocessing
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import wkw
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.dataset.writers import add_layers, write_column
from tests.inputs import tree_state

import wkfast as wk
from wkfast import _core
from wkfast.errors import (
    DatasetError,
    DatasetValueError,
    ExistsError,
    LayerNotFoundError,
    MagNotFoundError,
    VolumeDataError,
)

FORMATS = ["wkw", "zarr", "zarr3"]


def new_dataset(folder: Path) -> wk.Dataset:
    return wk.Dataset(folder / "dataset", voxel_size=(4, 4, 40))


def new_layer(folder: Path, data_format: str = "zarr3", dtype: str = "uint32", channels: int = 1) -> wk.Layer:
    kind = "color" if dtype.startswith("float") else "segmentation"
    made = "float32" if dtype == "float64" else dtype
    layer = new_dataset(folder).add_layer("layer", kind, dtype=made, num_channels=channels, data_format=data_format)
    if dtype == "float64":  # not made anew, since WEBKNOSSOS shows none, but there in datasets of others
        layer._change(lambda entry: entry.json.update(elementClass="double"))
    return layer


def small_mag(layer: wk.Layer, **more: object) -> wk.MagView:
    shards = {} if layer.data_format is wk.DataFormat.Zarr else {"shard_shape": 32}
    return layer.add_mag(1, chunk_shape=8, **{**shards, **more})


def blobs(dtype: str, shape: tuple[int, ...], seed: int = 0) -> NDArray:
    """Runs of values, runs of zeros, and the type's extremes."""
    values = np.arange(np.prod(shape), dtype=np.int64).reshape(shape) + seed
    data = np.where(values // 97 % 3 == 0, 0, values // 5 % 120).astype(dtype)
    kind = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else np.finfo(dtype)
    data.flat[0], data.flat[-1] = kind.max, kind.min
    return data


def as_others_read(mag: wk.MagView, shape: tuple[int, int, int]) -> NDArray:
    """What the formats' own libraries find from the origin on: wkw, or zarr and tensorstore, which must agree."""
    if mag.info.data_format is wk.DataFormat.WKW:
        with wkw.Dataset.open(str(mag.path)) as dataset:
            return dataset.read((0, 0, 0), shape)
    array = zarr.open_array(mag.path, mode="r")
    driver = "zarr" if mag.info.data_format is wk.DataFormat.Zarr else "zarr3"
    store = tensorstore.open({"driver": driver, "kvstore": {"driver": "file", "path": str(mag.path)}}).result()
    box = (slice(None), *(slice(0, edge) for edge in shape))
    np.testing.assert_array_equal(array[box], store[box].read().result())
    return array[box]


DTYPES = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64"]
LAYOUTS = [
    ("wkw", {"chunk_shape": 8, "shard_shape": 32}),
    ("wkw", {"chunk_shape": 16, "shard_shape": 16}),
    ("zarr", {"chunk_shape": (8, 16, 4)}),
    ("zarr3", {"chunk_shape": (8, 16, 4), "shard_shape": (16, 32, 8)}),
    ("zarr3", {"chunk_shape": 16, "shard_shape": 16}),
]


@pytest.mark.parametrize("offset", [(0, 0, 0), (5, 9, 13), (32, 0, 31)])
@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout[0]}-{layout[1]['chunk_shape']}")
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_written_is_what_others_read(
    tmp_path: Path, dtype: str, layout: tuple, channels: int, compress: bool, offset: tuple[int, int, int]
) -> None:
    data_format, shapes = layout
    layer = new_layer(tmp_path, data_format, dtype, channels)
    mag = layer.add_mag(1, compress=compress, **shapes)
    data = blobs(dtype, (channels, 21, 33, 10))
    mag.write(data, absolute_offset=offset, allow_resize=True)
    x, y, z = (start + edge for start, edge in zip(offset, data.shape[1:], strict=True))
    whole = np.zeros((channels, x, y, z), dtype)
    whole[:, offset[0] :, offset[1] :, offset[2] :] = data
    np.testing.assert_array_equal(as_others_read(mag, (x, y, z)), whole)
    np.testing.assert_array_equal(mag.read(absolute_offset=(0, 0, 0), size=(x, y, z)), whole)
    assert (mag.info.compression_mode, layer.bounding_box.size) == (compress, wk.Vec3Int(data.shape[1:]))


@pytest.mark.parametrize("data_format", FORMATS)
def test_a_new_layer_has_the_defaults_of_the_reference(tmp_path: Path, data_format: str) -> None:
    layer = new_layer(tmp_path, data_format)
    info = layer.add_mag("2-2-1").info
    shard = 32 if data_format == "zarr" else 1024
    assert (info.chunk_shape, info.shard_shape) == (wk.Vec3Int.full(32), wk.Vec3Int.full(shard))
    assert info.compression_mode
    entry = json.loads((layer.dataset.path / "datasource-properties.json").read_text())["dataLayers"][0]
    cube = {"cubeLength": 1024} if data_format == "wkw" else {}
    axes = {"c": 0, "x": 1, "y": 2, "z": 3}
    assert entry == {
        "name": "layer", "category": "segmentation", "dataFormat": data_format, "numChannels": 1,
        "boundingBox": {"topLeft": [0, 0, 0], "width": 0, "height": 0, "depth": 0}, "elementClass": "uint32",
        "mags": [{"mag": [2, 2, 1], "path": "./layer/2-2-1", **cube, "axisOrder": axes}],
    }  # fmt: skip


def test_a_zarr_layer_is_a_multiscale_group_to_zarr(tmp_path: Path) -> None:
    layer = new_layer(tmp_path)
    for mag in (1, "2-2-1"):
        layer.add_mag(mag)
    group = zarr.open_group(layer.dataset.path, mode="r")
    assert sorted(group["layer"].keys()) == ["1", "2-2-1"]
    datasets = group["layer"].attrs["ome"]["multiscales"][0]["datasets"]
    assert [each["path"] for each in datasets] == ["1", "2-2-1"]
    assert datasets[1]["coordinateTransformations"][0]["scale"] == [1.0, 8.0, 8.0, 40.0]
    layer.delete_mag(1)
    assert sorted(zarr.open_group(layer.path, mode="r").keys()) == ["2-2-1"]


@settings(max_examples=25)
@given(st.data())
def test_any_sequence_of_writes_resizes_and_reads_equals_an_array(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    data_format, dtype = data.draw(st.sampled_from(FORMATS)), data.draw(st.sampled_from(["uint8", "uint64"]))
    layer = new_layer(tmp_path_factory.mktemp("model"), data_format, dtype, 2)
    mag = small_mag(layer, compress=data.draw(st.booleans()))
    model = np.zeros((2, 64, 64, 64), dtype)
    box = None
    for step in range(data.draw(st.integers(1, 6))):
        corner = data.draw(st.tuples(*[st.integers(0, 40)] * 3))
        size = data.draw(st.tuples(*[st.integers(1, 20)] * 3))
        values = blobs(dtype, (2, *size), step) if data.draw(st.booleans()) else np.zeros((2, *size), dtype)
        values = np.asarray(values, order=data.draw(st.sampled_from("CF")))
        mag.write(values, absolute_offset=corner, allow_resize=True, allow_unaligned=True)
        model[(slice(None), *(slice(c, c + s) for c, s in zip(corner, size, strict=True)))] = values
        written = wk.BoundingBox(corner, size)
        box = written if box is None else box.extended_by(written)
        assert layer.bounding_box == box
        at = data.draw(st.tuples(*[st.integers(0, 40)] * 3))
        found = mag.read(absolute_offset=at, size=(20, 21, 22))
        np.testing.assert_array_equal(found, model[:, at[0] : at[0] + 20, at[1] : at[1] + 21, at[2] : at[2] + 22])
    again = wk.Dataset.open(layer.dataset.path).get_layer("layer").get_mag(1)
    np.testing.assert_array_equal(again.read(absolute_offset=(0, 0, 0), size=(64, 64, 64)), model)


# numcodecs is built without snappy; the Rust tests take it through encoder and decoder.
COMPRESSORS = [
    *((zarr.codecs.BloscCodec(cname=name, shuffle=shuffle),)
      for name in ("lz4", "lz4hc", "blosclz", "zlib", "zstd")
      for shuffle in ("noshuffle", "shuffle", "bitshuffle")),
    (zarr.codecs.GzipCodec(level=1),),
    (zarr.codecs.ZstdCodec(level=1), zarr.codecs.Crc32cCodec()),
    (zarr.codecs.Crc32cCodec(),),
    (),
]  # fmt: skip


@pytest.mark.parametrize("separator", [".", "/"])
@pytest.mark.parametrize("encoding", ["default", "v2"])
@pytest.mark.parametrize("shards", [None, (1, 16, 8, 12)])
@pytest.mark.parametrize("compressors", COMPRESSORS, ids=range(len(COMPRESSORS)))
def test_arrays_that_others_made_are_changed_in_their_own_codecs(
    tmp_path: Path, compressors: tuple, shards: tuple | None, encoding: str, separator: str
) -> None:
    array = zarr.create_array(
        tmp_path / "1", shape=(1, 20, 20, 20), chunks=(1, 8, 8, 4), shards=shards, dtype="uint16", fill_value=3,
        compressors=compressors or None, dimension_names=["c", "x", "y", "z"],
        chunk_key_encoding={"name": encoding, "separator": separator},
    )  # fmt: skip
    expected = np.full((1, 20, 20, 20), 3, "uint16")
    array[:, :11, :9] = expected[:, :11, :9] = blobs("uint16", (1, 11, 9, 20))
    container = {"kind": "directory", "path": str(tmp_path / "1")}
    mag = _core.Mag.open({"mag": [1, 1, 1], "format": "zarr3", "container": container, "prefix": ""})
    np.testing.assert_array_equal(mag.read((0, 0, 0), (20, 20, 20)), expected)
    expected[:, 5:17, 3:18, 2:19] = blobs("uint16", (1, 12, 15, 17), 5)
    mag.write((5, 3, 2), expected[:, 5:17, 3:18, 2:19])
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "1", mode="r")[:], expected)


def test_the_largest_label_survives(tmp_path: Path) -> None:
    layer = new_layer(tmp_path, dtype="uint64")
    mag = small_mag(layer)
    mag.write(np.full((3, 3, 3), 2**64 - 1, np.uint64), allow_resize=True)
    layer.refresh_largest_segment_id()
    assert layer.largest_segment_id == 2**64 - 1
    layer.largest_segment_id = 1
    with cf.ProcessPoolExecutor(1) as executor:
        layer.refresh_largest_segment_id(executor=executor)
    again = wk.Dataset.open(layer.dataset.path).get_segmentation_layer("layer")
    assert (again.largest_segment_id, int(again.get_mag(1).read().max())) == (2**64 - 1, 2**64 - 1)
    entry = again._properties.json["largestSegmentId"]
    assert entry == {"customJsonEncoding": "bigint", "value": str(2**64 - 1)}


def test_places_and_shapes_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    layer = new_layer(tmp_path)
    layer.bounding_box = wk.BoundingBox((0, 0, 0), (64, 64, 64))
    mag = small_mag(layer)
    before = tree_state(layer.path)
    ones = np.ones((4, 4, 4), np.uint32)
    for data, where, reason in [
        (ones, {"absolute_offset": (70, 0, 0)}, "allow_resize"),
        (ones, {"absolute_offset": (2, 0, 0)}, "not aligned with shards"),
        (ones, {"absolute_offset": (-2, 0, 0), "allow_resize": True}, "negative"),
        (ones, {"absolute_offset": (0, 0, 0), "relative_offset": (0, 0, 0)}, "one offset"),
        (ones, {"absolute_bounding_box": wk.BoundingBox((0, 0, 0), (4, 4, 5))}, "not filled"),
        (np.ones((2, 4, 4, 4), np.uint32), {}, r"not \(1, x, y, z\)"),
        (np.full((4, 4, 4), -1), {}, "do not fit into uint32"),
        (np.full((4, 4, 4), 1.5), {}, "do not fit into uint32"),
    ]:
        with pytest.raises(DatasetValueError, match=reason):
            mag.write(data, **where)
    assert tree_state(layer.path) == before
    mag.write(np.full((4, 4, 4), 7, np.int64), allow_unaligned=True)
    assert int(mag.read().sum()) == 7 * 64


def test_anisotropic_mags_are_written_in_their_voxels(tmp_path: Path) -> None:
    layer = new_layer(tmp_path)
    mag = layer.add_mag("2-2-1", chunk_shape=8, shard_shape=16)
    mag.write(blobs("uint32", (5, 6, 7)), absolute_offset=(4, 8, 3), allow_resize=True)
    assert layer.bounding_box == wk.BoundingBox((4, 8, 3), (10, 12, 7))
    np.testing.assert_array_equal(mag.read()[0], blobs("uint32", (5, 6, 7)))
    with pytest.raises(DatasetValueError, match="voxels of mag 2-2-1"):
        mag.write(blobs("uint32", (5, 6, 7)), absolute_offset=(5, 8, 3), allow_resize=True)


def test_views_tile_and_write_their_part(tmp_path: Path) -> None:
    layer = new_layer(tmp_path)
    layer.bounding_box = wk.BoundingBox((0, 0, 0), (64, 40, 64))
    mag = small_mag(layer)
    for number, view in enumerate(mag.chunk((32, 32, 32)), 1):
        size = view.bounding_box.size.to_tuple()
        view.write(np.full(size, number, np.uint32))
    assert sorted(np.unique(mag.read())) == list(range(1, 9))
    inner = mag.get_view(absolute_offset=(30, 30, 30), size=(4, 4, 4))
    np.testing.assert_array_equal(inner.read(), mag.read(absolute_offset=(30, 30, 30), size=(4, 4, 4)))
    inner.write(np.zeros((4, 4, 4), np.uint32), allow_unaligned=True)
    assert not mag.read(absolute_offset=(30, 30, 30), size=(4, 4, 4)).any()
    with pytest.raises(DatasetValueError, match="does not lie in"):
        inner.write(np.zeros((4, 4, 4), np.uint32), relative_offset=(1, 0, 0), allow_unaligned=True)
    with pytest.raises(DatasetValueError, match="read-only views"):
        mag.get_view(absolute_offset=(60, 0, 0), size=(8, 8, 8))
    outside = mag.get_view(absolute_offset=(60, 0, 0), size=(8, 8, 8), read_only=True)
    assert outside.read().shape == (1, 8, 8, 8)
    with pytest.raises(DatasetError, match="read-only"):
        outside.write(np.zeros((8, 8, 8), np.uint32))


@pytest.mark.parametrize("data_format", FORMATS)
def test_files_with_voxels_are_listed_as_boxes(tmp_path: Path, data_format: str) -> None:
    layer = new_layer(tmp_path, data_format)
    mag = small_mag(layer)
    for corner in [(0, 0, 0), (40, 0, 70)]:
        mag.write(np.ones((2, 2, 2), np.uint32), absolute_offset=corner, allow_resize=True, allow_unaligned=True)
    boxes = sorted(mag.get_bounding_boxes_on_disk(), key=lambda box: box.topleft.to_tuple())
    edge = 8 if data_format == "zarr" else 32
    assert [box.topleft.to_tuple() for box in boxes] == [(0, 0, 0), (40 // edge * edge, 0, 70 // edge * edge)]
    assert {box.size.to_tuple() for box in boxes} == {(edge, edge, edge)}
    assert sum(int(view.read().sum()) for view in mag.get_views_on_disk()) == 16


def test_contents_are_compared_by_voxels(tmp_path: Path) -> None:
    dataset = new_dataset(tmp_path)
    data = blobs("uint16", (20, 30, 40))
    views = []
    for name in FORMATS:
        layer = dataset.add_layer(name, "segmentation", dtype="uint16", data_format=name)
        views.append(small_mag(layer))
        views[-1].write(data, absolute_offset=(1, 2, 3), allow_resize=True)
    assert all(view.content_is_equal(views[0]) for view in views)
    views[1].write(data[:1, :1, :1] + np.uint16(1), allow_unaligned=True)
    assert not views[1].content_is_equal(views[0], chunk_shape=(8, 8, 8))
    with cf.ProcessPoolExecutor(2) as executor:
        equal = [view.content_is_equal(views[0], chunk_shape=(8, 8, 8), executor=executor) for view in views]
    assert equal == [number != 1 for number in range(len(views))]


def test_a_zarr_array_writes_where_the_dataset_may_be_written(tmp_path: Path) -> None:
    layer = new_layer(tmp_path)
    layer.bounding_box = wk.BoundingBox((0, 0, 0), (40, 40, 40))
    mag = small_mag(layer)
    mag.get_zarr_array()[0, 3, 4, 5] = 9
    assert int(mag.read(absolute_offset=(3, 4, 5), size=(1, 1, 1))[0, 0, 0, 0]) == 9
    closed = wk.Dataset.open(layer.dataset.path, read_only=True).get_layer("layer").get_mag(1)
    with pytest.raises(ValueError, match="read-only"):
        closed.get_zarr_array()[0, 3, 4, 5] = 1


# -- layers and their description -------------------------------------------------------------------------------------


def test_a_read_only_dataset_refuses_every_change(tmp_path: Path) -> None:
    layer = new_layer(tmp_path)
    small_mag(layer).write(np.ones((4, 4, 4), np.uint32), allow_resize=True)
    before = tree_state(tmp_path)
    dataset = wk.Dataset.open(layer.dataset.path, read_only=True)
    layer = dataset.get_segmentation_layer("layer")
    changes = [
        lambda: dataset.add_layer("other", "color"),
        lambda: dataset.delete_layer("layer"),
        lambda: setattr(dataset, "name", "x"),
        lambda: layer.add_mag(2),
        lambda: layer.delete_mag(1),
        lambda: setattr(layer, "name", "x"),
        lambda: setattr(layer, "bounding_box", wk.BoundingBox((0, 0, 0), (1, 1, 1))),
        lambda: setattr(layer, "largest_segment_id", 1),
        lambda: layer.get_mag(1).write(np.ones((4, 4, 4), np.uint32)),
    ]
    for change in changes:
        with pytest.raises(RuntimeError, match="read-only"):
            change()
    assert tree_state(tmp_path) == before


def test_what_wkfast_does_not_know_survives_every_change(tmp_path: Path) -> None:
    layer = new_layer(tmp_path)
    file = layer.dataset.path / "datasource-properties.json"
    content = json.loads(file.read_text())
    content["future"] = {"a": [1, 2.5, None]}
    content["dataLayers"][0]["future"] = "kept"
    file.write_text(json.dumps(content))
    layer.add_mag(1)
    layer.dataset.add_layer("other", "color")
    layer.name = "renamed"
    layer.largest_segment_id = 5
    content = json.loads(file.read_text())
    assert (content["future"], content["dataLayers"][0]["future"]) == ({"a": [1, 2.5, None]}, "kept")
    assert [entry["name"] for entry in content["dataLayers"]] == ["renamed", "other"]


def test_a_renamed_layer_keeps_its_voxels_and_its_objects(tmp_path: Path) -> None:
    layer = new_layer(tmp_path)
    small_mag(layer).write(np.ones((4, 4, 4), np.uint32), allow_resize=True)
    layer.name = "other"
    assert (layer.name, layer.path.name, int(layer.get_mag(1).read().sum())) == ("other", "other", 64)
    assert list(wk.Dataset.open(layer.dataset.path).layers) == ["other"]
    assert not (layer.dataset.path / "layer").exists()
    layer.dataset.add_layer("third", "color")
    for name in ("third", "a/b", "..", "a b", ".hidden", ""):
        with pytest.raises(ValueError, match="cannot"):
            layer.name = name
    assert layer.name == "other"


def test_a_deleted_layer_leaves_what_is_not_its_own(tmp_path: Path) -> None:
    layer = new_layer(tmp_path)
    small_mag(layer).write(np.ones((4, 4, 4), np.uint32), allow_resize=True)
    outside = tmp_path / "outside"
    shutil.copytree(layer.path, outside)
    before = tree_state(outside)
    (layer.dataset.path / "linked").symlink_to(outside)
    with pytest.raises(DatasetError, match="leads out of the dataset"):
        layer.dataset.add_layer_for_existing_files("linked", "segmentation")
    foreign = layer.dataset.add_layer("foreign", "segmentation", dtype="uint32")
    entry = {"mag": [1, 1, 1], "path": str(outside / "1")}
    foreign._change(lambda properties: properties.set_mags([entry]))
    assert foreign.get_mag(1).read(size=(4, 4, 4)).all()
    with pytest.raises(DatasetError, match="read-only"):
        foreign.get_mag(1).write(np.ones((4, 4, 4), np.uint32), allow_resize=True)
    foreign.delete_mag(1)
    layer.dataset.delete_layer("foreign")
    layer.dataset.delete_layer("layer")
    assert tree_state(outside) == before
    assert (list(layer.dataset.layers), (layer.dataset.path / "layer").exists()) == ([], False)
    with pytest.raises(LayerNotFoundError):
        layer.dataset.delete_layer("layer")


@pytest.mark.parametrize("data_format", FORMATS)
def test_files_that_are_there_become_a_layer(tmp_path: Path, data_format: str) -> None:
    layer = new_layer(tmp_path, data_format, "uint16", 3)
    data = blobs("uint16", (3, 20, 20, 20))
    small_mag(layer).write(data, allow_resize=True)
    layer.add_mag(2, chunk_shape=8, **({} if data_format == "zarr" else {"shard_shape": 16}))
    shutil.copytree(layer.path, layer.dataset.path / "copy")
    copy = layer.dataset.add_layer_for_existing_files("copy", "color")
    assert (copy.dtype, copy.num_channels, copy.data_format.value, list(copy.mags)) == (
        np.dtype("uint16"), 3, data_format, [wk.Mag(1), wk.Mag(2)],
    )  # fmt: skip
    assert copy.bounding_box.contains_bbox(wk.BoundingBox((0, 0, 0), (20, 20, 20)))
    np.testing.assert_array_equal(copy.get_mag(1).read(absolute_offset=(0, 0, 0), size=(20, 20, 20)), data)
    with pytest.raises(MagNotFoundError):
        layer.dataset.add_layer_for_existing_files("nothing", "color")


def test_what_exists_or_cannot_be_is_refused(tmp_path: Path) -> None:
    layer = new_layer(tmp_path)
    dataset = layer.dataset
    layer.add_mag(1)
    for call in [lambda: dataset.add_layer("layer", "color"), lambda: layer.add_mag(1)]:
        with pytest.raises(ExistsError):
            call()
    for call in [
        lambda: dataset.add_layer("x", "mesh"),
        lambda: dataset.add_layer("x", "segmentation", dtype="float32"),
        lambda: dataset.add_layer("x", "color", dtype="complex64"),
        lambda: dataset.add_layer("x", "color", num_channels=-1),
        lambda: dataset.add_layer("../x", "color"),
        lambda: dataset.get_or_add_layer("layer", "color"),
        lambda: dataset.get_or_add_layer("layer", "segmentation", dtype="uint8"),
        lambda: layer.add_mag(2, chunk_shape=10, shard_shape=32),
        lambda: layer.add_mag(2, chunk_shape=0),
        lambda: layer.add_mag(2, chunk_shape=8, shard_shape=24),
        lambda: layer.add_mag(2, chunk_shape=(8, 8, 12), shard_shape=24),
        lambda: layer.add_mag(2, chunk_shape=8, chunks_per_shard=3),
        lambda: layer.add_mag(2, chunk_shape=8, shard_shape=4),
        lambda: layer.get_or_add_mag(1, chunk_shape=16),
        lambda: setattr(layer, "bounding_box", wk.BoundingBox((-1, 0, 0), (1, 1, 1))),
        lambda: setattr(layer, "largest_segment_id", 2**64),
        lambda: wk.Dataset(tmp_path / "new"),
    ]:
        with pytest.raises(DatasetValueError):
            call()
    assert list(wk.Dataset.open(dataset.path).layers) == ["layer"]
    assert dataset.get_or_add_layer("layer", "segmentation", dtype="uint32").name == "layer"
    assert layer.get_or_add_mag(1).mag == wk.Mag(1)


def test_a_layer_like_another_has_its_description_and_no_mags(tmp_path: Path) -> None:
    layer = new_layer(tmp_path, "wkw", "uint16", 2)
    layer.add_mag(1)
    layer.bounding_box = wk.BoundingBox((1, 2, 3), (4, 5, 6))
    like = layer.dataset.add_layer_like(layer, "like")
    assert (like.dtype, like.num_channels, like.bounding_box, like.mags) == (layer.dtype, 2, layer.bounding_box, {})
    assert layer.dataset.calculate_bounding_box() == layer.bounding_box


def test_an_array_becomes_a_layer_in_one_call(tmp_path: Path) -> None:
    dataset = new_dataset(tmp_path)
    data = blobs("uint16", (10, 20, 30))
    layer = dataset.write_layer("layer", "segmentation", data, downsample=False, absolute_offset=(2, 3, 4), axes="zyx")
    assert layer.bounding_box == wk.BoundingBox((2, 3, 4), (30, 20, 10))
    np.testing.assert_array_equal(layer.get_mag(1).read()[0], data.transpose(2, 1, 0))
    assert layer.largest_segment_id == 65535


def test_units_other_than_nanometres(tmp_path: Path) -> None:
    size = wk.VoxelSize((0.5, 0.5, 2), "micrometer")
    dataset = wk.Dataset(tmp_path / "dataset", voxel_size_with_unit=size)
    assert wk.Dataset.open(dataset.path).voxel_size_with_unit == size
    assert wk.Dataset(dataset.path, voxel_size_with_unit=size, exist_ok=True).unit == "micrometer"
    with pytest.raises(DatasetError):
        wk.Dataset(dataset.path, voxel_size=(0.5, 0.5, 2), exist_ok=True)


def test_processes_that_change_one_dataset_lose_nothing(tmp_path: Path) -> None:
    dataset = new_dataset(tmp_path)
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.map(add_layers, [(str(dataset.path), number) for number in range(3)])
    layers = wk.Dataset.open(dataset.path).layers
    assert len(layers) == 15
    assert all(list(layer.mags) == [wk.Mag(1)] for layer in layers.values())


@pytest.mark.parametrize("data_format", FORMATS)
def test_processes_that_write_one_shard_lose_nothing(tmp_path: Path, data_format: str) -> None:
    layer = new_layer(tmp_path, data_format)
    small_mag(layer)
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.map(write_column, [(str(layer.dataset.path), x) for x in range(8)])
    found = wk.Dataset.open(layer.dataset.path).get_layer("layer")
    assert found.bounding_box == wk.BoundingBox((0, 0, 0), (8, 8, 9))
    expected = np.broadcast_to(10 * np.arange(8)[:, None, None] + np.arange(8)[None, :, None] + 1, (8, 8, 9))
    np.testing.assert_array_equal(found.get_mag(1).read()[0], expected)
    assert not list(layer.dataset.path.rglob("*wkfast-part*"))


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    layer = new_layer(tmp_path)
    mag = small_mag(layer, compress=False)
    mag.write(np.ones((32, 32, 32), np.uint32), allow_resize=True)
    before = tree_state(layer.dataset.path)
    pid = os.fork()
    if pid == 0:
        import resource
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            mag.write(np.full((32, 32, 32), 3, np.uint32))
        except VolumeDataError as error:
            os._exit(0 if "c/0/0/0/0: File too large" in str(error) else 2)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    assert tree_state(layer.dataset.path) == before


@pytest.mark.parametrize(
    ("data", "dtype", "expected"),
    [
        (np.full((1, 1, 1), np.nan), "float32", np.float32(np.nan)),
        (np.full((1, 1, 1), -np.inf), "float32", np.float32(-np.inf)),
        (np.full((1, 1, 1), 0.1), "float32", np.float32(0.1)),
        ([[[7]]], "uint8", 7),
        (np.full((1, 1, 1), 2**53), "float64", 2.0**53),
        (np.full((1, 1, 1), 1e300), "float32", None),
        (np.full((1, 1, 1), np.nan), "int32", None),
        (np.full((1, 1, 1), 2**53 + 1), "float64", None),
        (np.full((1, 1, 1), 2**53 + 1), "float32", None),
        (np.full((1, 1, 1), 2.0**64), "uint64", None),
        (np.full((1, 1, 1), 2.0**63), "int64", None),
        (np.full((1, 1, 1), 2**70), "uint64", None),
        (np.full((1, 1, 1), 1j), "float64", None),
        (np.full((1, 1, 1), "7"), "uint8", None),
        ([[1, 2], [3]], "uint8", None),
        ([[[[7]]], [[[7]]]], "uint8", None),
    ],
)
def test_values_are_written_as_they_are_or_refused(tmp_path: Path, data: object, dtype: str, expected: object) -> None:
    """NaN was refused, numbers beyond 2⁵³ were rounded, and others ended in errors of numpy's."""
    layer = new_layer(tmp_path, dtype=dtype)
    mag = layer.add_mag(np.int64(1), chunk_shape=np.int64(8), shard_shape=np.uint8(16))
    if expected is None:
        with pytest.raises(DatasetValueError):
            mag.write(data, absolute_offset=(0, 0, 0), allow_resize=True)
        assert layer.bounding_box.is_empty()
        return
    mag.write(data, absolute_offset=(0, 0, 0), allow_resize=True)
    np.testing.assert_array_equal(mag.read().ravel(), [expected])


@pytest.mark.parametrize("there", [False, True])
def test_a_layer_that_cannot_be_written_is_not_added(tmp_path: Path, there: bool) -> None:
    """An empty layer stayed behind; files that lay in its folder before are kept."""
    dataset = new_dataset(tmp_path)
    if there:
        (dataset.path / "layer/1").mkdir(parents=True)
        (dataset.path / "layer/1/notes").write_text("mine")
    before = tree_state(dataset.path)
    for more in ({"chunk_shape": 33}, {"mag": 2, "absolute_offset": (1, 1, 1)}):
        with pytest.raises((DatasetValueError, ExistsError)):
            dataset.write_layer("layer", "color", np.ones((8, 8, 8), "uint8"), **more)
        assert dataset.layers == wk.Dataset.open(dataset.path).layers == {}
    found = {name: content for name, content in tree_state(dataset.path).items() if "notes" in name}
    assert found == {name: content for name, content in before.items() if "notes" in name}


def test_properties_keep_their_permissions(tmp_path: Path) -> None:
    """A user with a strict umask took a shared dataset from all others by changing it."""
    dataset = new_dataset(tmp_path)
    file = dataset.path / "datasource-properties.json"
    file.chmod(0o664)
    before = os.umask(0o077)
    try:
        dataset.name = "renamed"
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o664
