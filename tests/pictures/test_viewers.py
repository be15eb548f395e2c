"""What other viewers are handed holds the voxels and nodes that are there, where they are."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr

from wkfast import BoundingBox, Dataset, Skeleton
from wkfast.dataset.view_configuration import LayerViewConfiguration
from wkfast.errors import DatasetError, MagNotFoundError


@pytest.fixture
def dataset(tmp_path):
    return Dataset(tmp_path / "d", voxel_size=(10, 20, 40))


@pytest.mark.parametrize("data_format", ["zarr", "zarr3"])
def test_neuroglancer_finds_all_mags_below_the_url(dataset, tmp_path, data_format):
    voxels = np.ones((64, 64, 8), np.uint16)
    layer = dataset.write_layer("s", "segmentation", voxels, data_format=data_format, absolute_offset=(10, 20, 30))
    state = json.loads(json.dumps(layer.to_neuroglancer("https://example.org/d/")))
    assert state["layers"] == [{"type": "segmentation", "name": "s", "source": "zarr://https://example.org/d/s"}]
    assert state["dimensions"] == {"x": [1e-8, "m"], "y": [2e-8, "m"], "z": [4e-8, "m"]}
    assert state["position"] == [42, 52, 34]
    attributes = dict(zarr.open_group(tmp_path / "d" / "s", mode="r").attrs)
    (found,) = attributes.get("ome", attributes)["multiscales"]
    assert len(found["datasets"]) == len(layer.mags) > 1


def test_neuroglancer_reads_no_wkw(dataset):
    layer = dataset.add_layer("w", "color", dtype="uint8", data_format="wkw")
    with pytest.raises(DatasetError, match="data_format='zarr3'"):
        layer.to_neuroglancer("https://example.org/d")
    image = dataset.add_layer("i", "color", dtype="uint8")
    assert image.to_neuroglancer("http://localhost")["layers"][0]["type"] == "image"


@pytest.mark.parametrize("data_format", ["wkw", "zarr", "zarr3"])
def test_napari_gets_each_mag_as_it_is_read(dataset, data_format):
    pytest.importorskip("dask")
    voxels = np.random.default_rng(3).integers(0, 99, (64, 37, 9)).astype(np.uint32)
    layer = dataset.write_layer("s", "segmentation", voxels, data_format=data_format, absolute_offset=(8, 4, 2))
    ((levels, keywords, kind),) = layer.to_napari()
    assert kind == "labels"
    assert keywords == {
        "name": "s", "scale": (40.0, 20.0, 10.0), "translate": keywords["translate"], "multiscale": True
    }  # fmt: skip
    box = layer.bounding_box.align_with_mag(list(layer.mags)[-1], ceil=True)
    assert keywords["translate"] == tuple(
        float(start * size) for start, size in zip(box.topleft[::-1], (40, 20, 10), strict=True)
    )
    for level, view in zip(levels, layer.mags.values(), strict=True):
        expected = view.read(absolute_bounding_box=box)[0]
        assert np.array_equal(level.compute(), expected.transpose())
        assert [a * b for a, b in zip(level.shape, view.mag.to_tuple()[::-1], strict=True)] == box.size.to_list()[::-1]


def test_napari_gets_channels_as_images_and_three_bytes_as_colours(dataset):
    pytest.importorskip("dask")
    two = np.arange(2 * 4 * 5 * 3, dtype=np.uint16).reshape(2, 4, 5, 3)
    layer = dataset.write_layer("two", "color", two, downsample=False)
    layer = dataset.get_layer("two")
    layer.default_view_configuration = LayerViewConfiguration(intensity_range=(3, 9))
    found = layer.to_napari()
    assert [keywords["name"] for _, keywords, _ in found] == ["two 0", "two 1"]
    assert all(kind == "image" and keywords["contrast_limits"] == (3, 9) for _, keywords, kind in found)
    for channel, (data, keywords, _) in enumerate(found):
        assert np.array_equal(data.compute(), two[channel].transpose())
        assert not keywords["multiscale"]
    colours = np.arange(3 * 4 * 5 * 3, dtype=np.uint8).reshape(3, 4, 5, 3)
    ((data, keywords, _),) = dataset.write_layer("rgb", "color", colours, downsample=False).to_napari()
    assert keywords["rgb"]
    assert np.array_equal(data.compute(), colours.transpose(3, 2, 1, 0))


def test_napari_counts_from_the_middle_of_the_finest_voxel(dataset):
    pytest.importorskip("dask")
    layer = dataset.add_layer("c", "color", dtype="uint8", bounding_box=BoundingBox((4, 4, 4), (8, 8, 8)))
    with pytest.raises(MagNotFoundError):
        layer.to_napari()
    layer.add_mag("4-4-1")
    ((data, keywords, _),) = layer.to_napari()
    assert data.shape == (8, 2, 2)
    assert keywords["scale"] == (40, 80, 40)
    assert keywords["translate"] == (4 * 40, 5.5 * 20, 5.5 * 10)
    assert keywords["contrast_limits"] == (0, 255)


def test_napari_gets_nodes_and_edges_in_the_colours_of_their_trees():
    skeleton = Skeleton(voxel_size=(10, 20, 40), dataset_name="d")
    red = skeleton.add_tree("a", color=(1, 0, 0, 1))
    ids = red.add_nodes([[1, 2, 3], [4, 5, 6], [7, 8, 9]], edges=[[0, 1], [2, 1]], radius=[5, np.nan, 7])
    other = skeleton.add_group("g").add_tree("b").add_nodes([[0, 0, 1]])
    hidden = skeleton.add_tree("hidden")
    hidden.add_node((9, 9, 9))
    hidden.is_visible = False
    skeleton.add_tree("empty")
    (points, nodes, kind), (vectors, lines, other_kind) = skeleton.to_napari()
    assert (kind, other_kind) == ("points", "vectors")
    assert points.tolist() == [[120, 40, 10], [240, 100, 40], [360, 160, 70], [40, 0, 0]]
    ends = {frozenset([tuple(start), tuple(start + way)]) for start, way in vectors}
    assert ends == {frozenset([(120, 40, 10), (240, 100, 40)]), frozenset([(360, 160, 70), (240, 100, 40)])}
    assert nodes["face_color"].tolist() == [[1, 0, 0, 1]] * 3 + [[0.5, 0.5, 0.5, 1]]
    assert lines["edge_color"].tolist() == [[1, 0, 0, 1]] * 2
    assert nodes["features"]["node"].tolist() == [*ids.tolist(), *other.tolist()]
    assert nodes["features"]["radius"].tolist()[::2] == [5, 7]
    (points, _, _), (vectors, _, _) = Skeleton(voxel_size=(1, 1, 1), dataset_name="d").to_napari()
    assert (points.shape, vectors.shape) == ((0, 3), (0, 2, 3))
