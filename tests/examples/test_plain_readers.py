"""The demo's plain readers agree with the libraries of others: they are the judges of everything else."""

import numpy as np
import pytest
import wkw
from examples.demo import plain_wkw
from examples.demo.generate import draw, labels
from examples.demo.plain_layers import PlainLayer


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", "float32", "int16"])
@pytest.mark.parametrize("blocks_per_file_edge", [1, 2, 4])
def test_plain_wkw_is_read_by_the_wkw_library(tmp_path, dtype, blocks_per_file_edge):
    voxels = np.random.default_rng(1).integers(0, 200, (70, 40, 33)).astype(dtype)
    plain_wkw.write_mag(tmp_path / "1", voxels, block_edge=16, blocks_per_file_edge=blocks_per_file_edge)
    with wkw.Dataset.open(str(tmp_path / "1")) as dataset:
        assert np.array_equal(dataset.read((0, 0, 0), voxels.shape)[0], voxels)


@pytest.mark.parametrize("block_type", [wkw.Header.BLOCK_TYPE_RAW, wkw.Header.BLOCK_TYPE_LZ4HC])
def test_files_of_the_wkw_library_are_read_by_the_plain_reader(tmp_path, block_type):
    voxels = np.random.default_rng(2).integers(0, 9, (64, 64, 64)).astype("uint16")
    header = wkw.Header(np.uint16, block_len=16, file_len=4, block_type=block_type)
    with wkw.Dataset.create(str(tmp_path / "1"), header) as dataset:
        dataset.write((0, 0, 0), voxels[np.newaxis])
    assert np.array_equal(plain_wkw.read_box(tmp_path / "1", (5, 6, 7), (50, 51, 52)), voxels[5:55, 6:57, 7:59])


def test_what_has_no_file_is_zero(tmp_path):
    plain_wkw.write_mag(tmp_path / "1", np.zeros((32, 32, 32), "uint8"), blocks_per_file_edge=1)
    assert not plain_wkw.read_box(tmp_path / "1", (0, 0, 0), (40, 40, 40)).any()


def test_a_header_survives_packing():
    header = plain_wkw.WkwHeader(32, 8, 3, np.dtype("uint64"))
    assert plain_wkw.WkwHeader.parse(header.pack(0)) == header


def test_fixture_datasets_hold_what_their_expected_results_build_on(fixtures):
    layer = PlainLayer.open(fixtures / "datasets" / "dsA+", "segmentation")
    assert layer.mags == ["1", "2", "4"]
    fine, coarse = layer.read("1", (0, 0, 0), (64, 64, 64)), layer.read("2", (0, 0, 0), (32, 32, 32))
    assert fine.any()
    assert np.array_equal(fine[::2, ::2, ::2], coarse)


def test_the_demo_paints_overpaints_and_erases():
    fallback = labels((256, 256, 96))
    drawn = draw(fallback)
    assert ((fallback == 0) & (drawn != 0)).any()
    assert ((fallback != 0) & (drawn != 0) & (fallback != drawn)).any()
    assert ((fallback != 0) & (drawn == 0)).any()
    assert (fallback == drawn).mean() > 0.8
