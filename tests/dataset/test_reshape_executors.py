"""Mags made on somebody else's workers: few jobs, opened once by each, and nothing left where one fails."""

from __future__ import annotations

import concurrent.futures as cf
from multiprocessing import get_context
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.dataset.test_downsampling import noise, painted
from tests.inputs import tree_state

from wkfast import _core
from wkfast.dataset import reshaping
from wkfast.errors import ExecutorError, VolumeDataError
from wkfast.geometry import Mag
from wkfast.jobs import batches

if TYPE_CHECKING:
    from pathlib import Path


class Counting(cf.ThreadPoolExecutor):
    """Threads that count their jobs."""

    jobs = 0

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        self.jobs += 1
        return super().submit(*args, **kwargs)


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_processes_make_the_same(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "LEAST_BYTES_PER_JOB", 1)
    voxels = noise((1, 200, 90, 70), "uint16")
    layers = [painted(tmp_path / name, voxels, (0, 0, 0)) for name in "ab"]
    with cf.ProcessPoolExecutor(2, mp_context=get_context(method)) as executor:
        for layer, one in zip(layers, (None, executor), strict=True):
            layer.downsample(coarsest_mag=Mag(4), executor=one)
            layer.get_mag(1).rechunk(chunk_shape=16, shard_shape=32, executor=one)
            layer.get_mag(2).compress(executor=one)
    assert tree_state(layers[0].path) == tree_state(layers[1].path)


def test_many_small_files_are_few_jobs_and_each_worker_opens_the_mags_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []

    def open_counted(spec: Any) -> Any:
        opened.append(spec)
        return _core.Reshape(spec)

    monkeypatch.setattr(reshaping, "_core", SimpleNamespace(Reshape=open_counted))
    voxels = noise((1, 160, 160, 96), "uint8")
    layer = painted(tmp_path / "d", voxels, (0, 0, 0), "zarr")
    with Counting(1) as executor:
        layer.get_mag(1).rechunk(chunk_shape=8, executor=executor)
        assert (executor.jobs, len(opened)) == (1, 1)
        monkeypatch.setattr(batches, "LEAST_BYTES_PER_JOB", 1)
        layer.get_mag(1).rechunk(chunk_shape=16, executor=executor)
    assert executor.jobs == 1 + batches.JOBS_PER_WORKER
    assert len(opened) == 2
    np.testing.assert_array_equal(layer.get_mag(1).read(), voxels)


def test_a_job_that_fails_leaves_the_mag_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "LEAST_BYTES_PER_JOB", 1)
    layer = painted(tmp_path / "d", noise((1, 100, 100, 64), "uint16"), (0, 0, 0))
    file = max(
        (path for path in layer.get_mag(1).path.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )
    file.write_bytes(file.read_bytes()[:-40])
    before = tree_state(layer.dataset.path)
    with (
        cf.ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor,
        pytest.raises(VolumeDataError, match=file.name),
    ):
        layer.get_mag(1).rechunk(chunk_shape=16, executor=executor)
    assert tree_state(layer.dataset.path) == before


def test_an_executor_that_takes_no_work_leaves_the_mag_as_it_was(tmp_path: Path) -> None:
    layer = painted(tmp_path / "d", noise((1, 64, 64, 64), "uint16"), (0, 0, 0))
    before = tree_state(layer.dataset.path)
    executor = cf.ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(ExecutorError, match="takes no work"):
        layer.get_mag(1).rechunk(chunk_shape=16, executor=executor)
    assert tree_state(layer.dataset.path) == before
