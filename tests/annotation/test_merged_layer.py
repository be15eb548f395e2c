"""A merged view reads what a merge would write, and writes nothing."""

import dask.array
import numpy as np
import pytest
from tests.inputs import demo_input, tree_state

import wkfast as wk
from wkfast.dataset.internals import locations_of
from wkfast.errors import AnnotationError, DatasetError


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return demo_input(tmp_path_factory.mktemp("view"))


@pytest.fixture(scope="module")
def annotation(source):
    return wk.Annotation.load(source.annotation)


@pytest.fixture(params=["chunk", "nonzero"])
def pair(request, source, annotation, tmp_path):
    """The view and what a merge with the same policy writes."""
    annotation.merge_fallback_layer(tmp_path / "merged", source.dataset_directory, policy=request.param)
    view = annotation.merged_layer(source.dataset_directory, policy=request.param)
    return view, wk.Dataset.open(tmp_path / "merged").get_segmentation_layer("segmentation")


def test_a_view_reads_what_a_merge_writes(pair):
    view, merged = pair
    assert isinstance(view, wk.SegmentationLayer)
    assert (view.name, view.dtype, view.bounding_box) == (merged.name, merged.dtype, merged.bounding_box)
    assert list(view.mags) == list(merged.mags)
    for mag in merged.mags:
        np.testing.assert_array_equal(view.get_mag(mag).read(), merged.get_mag(mag).read())
    odd = {"absolute_offset": (24, 40, 8), "size": (60, 52, 44)}
    np.testing.assert_array_equal(view.get_mag(4).read(**odd), merged.get_mag(4).read(**odd))


def test_its_zarr_array_is_read_by_dask(pair):
    view, merged = pair
    array = view.get_mag(1).get_zarr_array()
    expected = merged.get_mag(1).read()
    lazy = dask.array.from_zarr(array)
    assert lazy.shape == expected.shape
    assert np.array_equal(lazy.compute(scheduler="threads", num_workers=4), expected)
    blocks = dask.array.from_array(array, chunks=(1, 64, 64, 64))
    assert int((blocks == 901).sum().compute(scheduler="threads")) == np.count_nonzero(expected == 901)


def test_a_view_writes_nothing_and_cannot_be_written(source, annotation):
    before = tree_state(source.dataset_directory)
    view = annotation.merged_layer(source.dataset_directory)
    mag = view.get_finest_mag()
    mag.read()
    with pytest.raises(DatasetError, match="merged while it is read and cannot be written; merge_fallback_layer"):
        mag.write(np.zeros((1, 32, 32, 32), np.uint32), absolute_offset=(0, 0, 0))
    with pytest.raises(DatasetError, match="read-only view"):
        mag.get_zarr_array()[0, 0, 0, 0] = 1
    for ask in (lambda: view.path, lambda: locations_of(view), lambda: mag.path):
        with pytest.raises(DatasetError):
            ask()
    assert tree_state(source.dataset_directory) == before


def test_no_change_of_a_view_reaches_the_fallback_layer(source, annotation):
    """Renaming a view renamed the layer below it."""
    before = tree_state(source.dataset_directory)
    view = annotation.merged_layer(source.dataset_directory)
    assert view.read_only
    assert not view.dataset.read_only
    for change in (
        lambda: setattr(view, "name", "renamed"),
        lambda: setattr(view, "largest_segment_id", 1),
        lambda: setattr(view, "bounding_box", wk.BoundingBox((0, 0, 0), (1, 1, 1))),
        lambda: view.add_mag(64),
        lambda: view.delete_mag(1),
        lambda: view.downsample_mag(wk.Mag(1), wk.Mag(64)),
        lambda: view.get_finest_mag().rechunk(chunk_shape=16),
    ):
        with pytest.raises(wk.errors.ReadOnlyError, match="merged while it is read"):
            change()
    with pytest.raises(DatasetError, match="merged while it is read"):
        _ = view.get_finest_mag().path
    assert tree_state(source.dataset_directory) == before


def test_a_mag_the_view_lacks_is_named(source, annotation):
    view = annotation.merged_layer(source.dataset_directory, mags="finest")
    assert [str(mag) for mag in view.mags] == ["1"]
    with pytest.raises(IndexError, match="no mag 2; its mags: 1"):
        view.get_mag(2)


def test_a_view_needs_a_fallback(source):
    annotation = wk.Annotation("a", dataset_name="demo_dataset", voxel_size=(4, 4, 4))
    annotation.add_volume_layer("Volume")
    with pytest.raises(AnnotationError, match="names no fallback layer"):
        annotation.merged_layer(source.dataset_directory)


def test_without_paint_a_view_is_the_fallback(source):
    annotation = wk.Annotation("a", dataset_name="demo_dataset", voxel_size=(4, 4, 4))
    annotation.add_volume_layer("Volume", fallback_layer="segmentation")
    fallback = wk.Dataset.open(source.dataset_directory / "demo_dataset").get_layer("segmentation")
    view = annotation.merged_layer(source.dataset_directory)
    np.testing.assert_array_equal(view.get_mag(2).read(), fallback.get_mag(2).read())
