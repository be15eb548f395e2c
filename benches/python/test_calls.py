"""Single calls that scripts make in loops, timed by pytest-benchmark: ``pytest benches/python/test_calls.py``.

Whole jobs, and comparisons with others, are in ``python -m benches.python``; here a call takes micro- or
milliseconds. ``WKFAST_BENCH_NODES`` sets the size of the skeleton.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import wkfast as wk
from benches.python import inputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

NODES = int(os.environ.get("WKFAST_BENCH_NODES", "1_000_000"))
Arguments = tuple[tuple[wk.Skeleton], dict[str, Any]]
FOLDER = Path(tempfile.gettempdir()) / "wkfast-bench"
SMALL = 32


@pytest.fixture(scope="module")
def path() -> Path:
    return inputs.nml(FOLDER, NODES)


@pytest.fixture(scope="module")
def skeleton(path: Path) -> wk.Skeleton:
    return wk.Skeleton.load(path)


@pytest.fixture
def tree(skeleton: wk.Skeleton) -> wk.Tree:
    return next(iter(skeleton.flattened_trees()))


@pytest.fixture(scope="module")
def mag(tmp_path_factory: pytest.TempPathFactory) -> wk.MagView:
    """A mag of 256³ random labels, uint32, in one Zarr v3 shard."""
    dataset = wk.Dataset(tmp_path_factory.mktemp("calls") / "dataset", voxel_size=(4, 4, 40))
    box = wk.BoundingBox((0, 0, 0), (256, 256, 256))
    layer = dataset.add_layer("cells", "segmentation", dtype="uint32", data_format="zarr3", bounding_box=box)
    mag = layer.add_mag(1)
    mag.write(np.random.default_rng(1).integers(1, 9, (256, 256, 256), dtype=np.uint32))
    return mag


@pytest.fixture
def loaded(path: Path) -> Callable[[], Arguments]:
    """Makes a skeleton that nobody has looked at, before each round."""
    return lambda: ((wk.Skeleton.load(path),), {})


def test_first_touch_of_one_node(benchmark: BenchmarkFixture, loaded: Callable[[], Arguments]) -> None:
    """The first node of a skeleton that was just loaded: nothing may be made for the others."""

    def touch(skeleton: wk.Skeleton) -> wk.Node:
        return next(iter(next(skeleton.flattened_trees()).nodes))

    assert benchmark.pedantic(touch, setup=loaded, rounds=5).id == 1


def test_first_search_for_an_id(benchmark: BenchmarkFixture, loaded: Callable[[], Arguments]) -> None:
    """A node found by its id after loading: the ids of the trees before it are looked through once."""
    node = benchmark.pedantic(lambda skeleton: skeleton.get_node_by_id(NODES // 2), setup=loaded, rounds=5)
    assert node.id == NODES // 2


def test_one_node_by_id(benchmark: BenchmarkFixture, skeleton: wk.Skeleton) -> None:
    """The same node again and again."""
    assert benchmark(skeleton.get_node_by_id, NODES // 2).id == NODES // 2


def test_positions_of_a_tree(benchmark: BenchmarkFixture, tree: wk.Tree) -> None:
    """Positions of a tenth of all nodes as an array."""
    assert benchmark(tree.get_node_positions).shape == (tree.number_of_nodes(), 3)


def test_positions_of_all_nodes(benchmark: BenchmarkFixture, skeleton: wk.Skeleton) -> None:
    """Positions of every node as an array."""
    positions = benchmark(lambda: np.concatenate([tree.get_node_positions() for tree in skeleton.flattened_trees()]))
    assert positions.shape == (NODES, 3)


def test_nodes_table(benchmark: BenchmarkFixture, skeleton: wk.Skeleton) -> None:
    """Every column of every node."""
    assert len(benchmark(skeleton.nodes_table)["id"]) == NODES


def test_path_length(benchmark: BenchmarkFixture, tree: wk.Tree) -> None:
    """Cable length of a tree, in nm."""
    assert benchmark(tree.path_length) > 0


def test_reading_a_small_box(benchmark: BenchmarkFixture, mag: wk.MagView) -> None:
    """32³ voxels off the grid of chunks."""
    assert benchmark(lambda: mag.read(absolute_offset=(40, 41, 42), size=(SMALL,) * 3)).shape == (1, *(SMALL,) * 3)


def test_writing_a_chunk(benchmark: BenchmarkFixture, mag: wk.MagView) -> None:
    """One chunk of a shard, which is written anew as a whole."""
    voxels = np.full((SMALL,) * 3, 5, np.uint32)
    benchmark(lambda: mag.write(voxels, absolute_offset=(64, 64, 64), allow_unaligned=True))
    assert (mag.read(absolute_offset=(64, 64, 64), size=(SMALL,) * 3) == 5).all()
