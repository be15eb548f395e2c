"""The examples of computing find what was hidden in their input, each within a page, and draw it."""

from pathlib import Path

import numpy as np
import pytest
from examples.computing import merger_mode, neurites, run_length, segment_sizes, synapse_candidates

PAGE = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    neurites.made_in(folder)
    return folder


def is_picture(file: Path) -> bool:
    return file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("example", [merger_mode, run_length, segment_sizes, synapse_candidates])
def test_an_example_is_a_page(example):
    assert len(Path(example.__file__).read_text().splitlines()) <= PAGE


def test_segment_sizes_are_those_of_numpy(folder):
    volumes = segment_sizes.main(folder)
    ids, voxels = np.unique(neurites.labels(), return_counts=True)
    voxel = 10 * 10 * 20 / 1e9
    assert volumes == pytest.approx({i: n * voxel for i, n in zip(ids.tolist(), voxels.tolist(), strict=True) if i})
    assert is_picture(folder / "segment-sizes.png")


def test_merger_mode_heals_the_splits(folder):
    changed, left = merger_mode.main(folder)
    assert changed == {101 + number: 1 + number for number in neurites.SPLITS}
    ids = {1 + (neurites.MERGED[0] if n in neurites.MERGED else n) for n in range(len(neurites.NEURITES))}
    assert set(left.tolist()) == ids
    assert is_picture(folder / "merger-mode.png")
    assert merger_mode.main(folder)[0] == changed


def test_splits_and_mergers_are_counted_and_shorten_runs(folder):
    found = run_length.main(folder)
    assert (found["splits"], found["mergers"], found["omitted"]) == (len(neurites.SPLITS), 1, 0)
    lengths = [tree.path_length() / 1000 for tree in neurites.made_in(folder)[1].skeleton.flattened_trees()]
    assert found["best"] == pytest.approx(np.square(lengths).sum() / np.sum(lengths))
    right = np.square(lengths[6:]).sum()
    # two halves of split neurites, without the edge in between; nothing of merged ones
    halves = sum(2 * (length / 2) ** 2 for length in lengths[:4])
    assert found["expected_run_length"] == pytest.approx((right + halves) / np.sum(lengths), rel=0.01)
    assert is_picture(folder / "run-length.png")


def test_candidates_are_the_pairs_of_trees_that_come_close(folder):
    touching = synapse_candidates.main(folder)
    trees = list(neurites.made_in(folder)[1].skeleton.flattened_trees())
    places = [tree.get_node_positions() * (10, 10, 20) for tree in trees]
    slow = [
        sorted((one.id, other.id))
        for number, (one, at) in enumerate(zip(trees, places, strict=True))
        for other, there in zip(trees[:number], places[:number], strict=True)
        if np.linalg.norm(at[:, None] - there[None], axis=2).min() <= synapse_candidates.DISTANCE
    ]
    assert touching.tolist() == sorted(slow)
    assert 0 < len(slow) < len(trees) * (len(trees) - 1) // 2
    assert is_picture(folder / "synapse-candidates.png")
