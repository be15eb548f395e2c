"""Pictures of layers show the voxels that are there, where they are."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from tests.inputs import demo_input

from wkfast import Annotation, BoundingBox, Dataset, NDBoundingBox
from wkfast.dataset.view_configuration import LayerViewConfiguration
from wkfast.errors import DatasetValueError, MagNotFoundError
from wkfast.pictures import pixels

AXES = {"xy": (0, 1, 2), "zy": (2, 1, 0), "xz": (0, 2, 1)}


@pytest.fixture
def dataset(tmp_path):
    return Dataset(tmp_path / "d", voxel_size=(10, 20, 40))


@pytest.fixture
def labels():
    return np.random.default_rng(5).integers(0, 9, (12, 8, 6)).astype(np.uint16)


@pytest.mark.parametrize("plane", AXES)
@pytest.mark.parametrize("position", [None, 4, 9])
def test_a_slice_shows_each_voxel_at_its_place(dataset, labels, plane, position):
    pytest.importorskip("matplotlib")
    layer = dataset.write_layer("s", "segmentation", labels, absolute_offset=(2, 4, 4), downsample=False)
    right, down, axis = AXES[plane]
    start = (2, 4, 4)
    at = start[axis] + labels.shape[axis] // 2 if position is None else position
    figure = layer.plot_slice(plane, position)
    (image,) = figure.axes[0].images
    expected = [
        [
            labels[tuple(column if a == right else row if a == down else at - start[axis] for a in range(3))]
            for column in range(labels.shape[right])
        ]
        for row in range(labels.shape[down])
    ]
    assert np.array_equal(image.get_array(), pixels.of_labels(np.array(expected)))
    size = (0.01, 0.02, 0.04)
    ends = [start[a] * size[a] for a in (right, down)], [(start[a] + labels.shape[a]) * size[a] for a in (right, down)]
    assert image.get_extent() == pytest.approx([ends[0][0], ends[1][0], ends[1][1], ends[0][1]])
    figure.canvas.draw()


def test_views_parts_and_mags_are_shown(dataset):
    pytest.importorskip("matplotlib")
    layer = dataset.write_layer("i", "color", np.arange(64 * 64 * 4, dtype=np.uint8).reshape(64, 64, 4))
    coarse = layer.get_mag("2-1-1")
    (image,) = coarse.plot_slice(position=1).axes[0].images
    assert np.array_equal(image.get_array()[..., 0], coarse.read()[0, :, :, 1].T)
    part = layer.get_mag(1).get_view(absolute_offset=(8, 0, 0), size=(8, 16, 4))
    assert part.plot_slice().axes[0].images[0].get_array().shape == (16, 8, 3)
    shown = layer.plot_slice(bounding_box=BoundingBox((1, 0, 0), (3, 8, 4)), mag="2-1-1").axes[0].images[0]
    assert shown.get_array().shape == (8, 2, 3)


def test_a_large_plane_is_shown_in_a_coarser_mag_and_refused_where_there_is_none(dataset):
    pytest.importorskip("matplotlib")
    layer = dataset.add_layer("l", "color", dtype="uint8", bounding_box=BoundingBox((0, 0, 0), (20_000, 1500, 1)))
    layer.add_mag(1)
    with pytest.raises(DatasetValueError, match=r"20,000 × 1,500 pixels.*bounding_box"):
        layer.plot_slice()
    layer.add_mag("32-32-1")
    assert layer.plot_slice().axes[0].images[0].get_array().shape == (47, 625, 3)
    with pytest.raises(DatasetValueError, match="no plane: choose 'xy'"):
        layer.plot_slice("yx")
    with pytest.raises(DatasetValueError, match="no xy plane at z = 1"):
        layer.plot_slice("xy", 1)
    with pytest.raises(MagNotFoundError):
        layer.plot_slice(mag=4)


def test_grey_values_are_those_of_the_configuration(dataset):
    layer = dataset.write_layer("i", "color", np.array([0, 100, 200, 4000], np.uint16).reshape(4, 1, 1))
    layer = dataset.get_layer("i")
    voxels = layer.get_finest_mag().read()[..., 0]
    assert pixels.of_values(voxels)[:, 0, 0].tolist() == [0, 6, 12, 255]
    layer.default_view_configuration = LayerViewConfiguration(intensity_range=(100, 200))
    from_png = np.asarray(Image.open(io.BytesIO(layer.thumbnail())))
    assert from_png.shape == (96, 192, 3)
    assert from_png[0, [0, 60, 100, 191], 0].tolist() == [0, 0, 255, 255]
    colours = np.arange(24, dtype=np.uint8).reshape(3, 2, 4)
    assert np.array_equal(pixels.of_values(colours), colours.transpose(1, 2, 0))
    assert pixels.of_values(np.full((1, 2, 2), np.nan)).max() == 0
    assert pixels.of_values(np.array([[-np.inf, np.inf, 1.0, 3.0]]))[:, 0].tolist() == [0, 255, 0, 255]


def test_labels_keep_their_colours_and_zero_is_black():
    ids = np.array([0, 1, 2, 2**64 - 1], np.uint64)
    colours = pixels.of_labels(ids)
    assert colours[0].tolist() == [0, 0, 0]
    assert len({tuple(each) for each in colours.tolist()}) == 4
    assert np.array_equal(pixels.of_labels(ids.astype(np.int64)[:3]), colours[:3])


def test_png_files_hold_the_pixels():
    picture = np.random.default_rng(1).integers(0, 256, (7, 5, 3)).astype(np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(pixels.png(picture)))), picture)


def test_a_thumbnail_reads_the_middle_of_a_mag_that_is_too_large(dataset):
    layer = dataset.add_layer("l", "color", dtype="uint8", bounding_box=BoundingBox((0, 0, 0), (4096, 2048, 2)))
    mag = layer.add_mag(1, chunk_shape=(32, 32, 32), shard_shape=(1024, 1024, 32))
    mag.write(np.full((4096, 512, 2), 255, np.uint8), absolute_offset=(0, 768, 0), allow_unaligned=True)
    picture = np.asarray(Image.open(io.BytesIO(layer.thumbnail())))
    assert picture.shape == (192, 96, 3)
    assert picture.min() == 255
    assert "<img" in layer._repr_html_()


def test_a_thumbnail_in_a_notebook_is_left_out_where_it_would_read_much_or_cannot_be_read(dataset, tmp_path):
    much = dataset.add_layer("much", "color", dtype="uint8", bounding_box=BoundingBox((0, 0, 0), (512, 512, 512)))
    much.add_mag(1, chunk_shape=(512, 512, 512), shard_shape=(512, 512, 512))
    assert "<img" not in much._repr_html_()
    assert "<img" not in dataset.add_layer("no_mags", "color")._repr_html_()
    broken = dataset.write_layer("broken", "color", np.ones((32, 32, 32), np.uint8), downsample=False)
    for file in (tmp_path / "d" / "broken" / "1").rglob("*"):
        if file.is_file() and file.name != "zarr.json":
            file.write_bytes(b"no shard")
    assert "<img" not in Dataset.open(tmp_path / "d").get_layer("broken")._repr_html_()
    assert broken.name in broken._repr_html_()


def test_slices_along_additional_axes_show_the_first_place(tmp_path):
    pytest.importorskip("matplotlib")
    dataset = Dataset(tmp_path / "d", voxel_size=(1, 1, 1))
    box = NDBoundingBox((0, 3, 0, 0, 0), (1, 2, 4, 4, 4), ("c", "t", "x", "y", "z"))
    layer = dataset.add_layer("t", "color", dtype="uint8", bounding_box=box)
    voxels = np.arange(128, dtype=np.uint8).reshape(1, 2, 4, 4, 4)
    layer.add_mag(1).write(voxels, absolute_bounding_box=box)
    image = layer.plot_slice(position=1).axes[0].images[0]
    assert np.array_equal(image.get_array()[..., 0], voxels[0, 0, :, :, 1].T)


def test_what_a_merge_changed_is_shown_where_it_changed_most(tmp_path):
    pytest.importorskip("matplotlib")
    made = demo_input(tmp_path)
    annotation = Annotation.load(made.annotation)
    fallback = Dataset.open(made.dataset_directory / annotation.dataset_name).get_layer("segmentation")
    merged = annotation.merged_layer(made.dataset_directory)
    annotation.merge_fallback_layer(tmp_path / "merged", made.dataset_directory)
    written = Dataset.open(tmp_path / "merged").get_layer("segmentation")
    whole = {"absolute_bounding_box": written.bounding_box}
    differs = (written.get_mag(1).read(**whole) != fallback.get_mag(1).read(**whole))[0]
    for after in (merged, written):
        figure = after.plot_changes(fallback, mag=1)
        at = int(figure.get_suptitle().rpartition("= ")[2])
        counts = differs.sum(axis=(0, 1))
        assert counts[at] >= 0.9 * counts.max() > 0
        assert figure.axes[2].get_title() == f"{counts[at]:,} changed"
        before, after_pixels, changed = (axes.images[0].get_array() for axes in figure.axes)
        plane = differs[:, :, at].T
        assert ((before != after_pixels).any(axis=-1) <= plane).all()
        erased = plane & (after_pixels == 0).all(axis=-1)
        assert np.array_equal(changed[plane & ~erased], after_pixels[plane & ~erased])
        assert erased.any()
        assert (changed[erased] == 255).all()
    same = fallback.plot_changes(fallback)
    assert same.axes[2].get_title() == "0 changed"
