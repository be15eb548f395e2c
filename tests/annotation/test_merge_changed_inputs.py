"""What becomes of a merge whose inputs are changed between its plan and its end: never a mixture of two states."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.inputs import demo_input

import wkfast as wk
from wkfast import _core
from wkfast.errors import MergeError
from wkfast.merge.job import MergeJob
from wkfast.merge.options import MergeOptions

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def source(tmp_path):
    return demo_input(tmp_path)


def planned(source, tmp_path: Path) -> Path:
    """A plan file, as other processes are given it."""
    job = wk.Annotation.load(source.annotation).plan_merge(tmp_path / "target", source.dataset_directory)
    file = tmp_path / "merge.plan"
    file.write_bytes(job.to_bytes())
    return file


def opened(file: Path) -> MergeJob:
    job = MergeJob.open(file)
    assert job is not None
    return job


def save_again(annotation: Path) -> None:
    """Another zip under the same name, with a chunk of its own."""
    loaded = wk.Annotation.load(annotation)
    with loaded.get_volume_layer().edit() as edited:
        mag = edited.get_finest_mag()
        mag.write(np.full((32, 32, 32), 79, mag.get_dtype()), absolute_offset=(0, 0, 0), allow_resize=True)
    loaded.save(annotation)


def test_an_annotation_that_is_saved_again_after_the_plan_is_not_merged(source, tmp_path):
    file = planned(source, tmp_path)
    save_again(source.annotation)
    with pytest.raises(MergeError, match=rf"{source.annotation.name} was changed after .* plan again"):
        opened(file).run(MergeOptions())
    assert not (tmp_path / "target" / "datasource-properties.json").exists()
    again = wk.Annotation.load(source.annotation).merge_fallback_layer(tmp_path / "other", source.dataset_directory)
    assert again.total.from_annotation > 0


def test_an_annotation_that_is_saved_again_after_the_run_is_not_verified(source, tmp_path):
    file = planned(source, tmp_path)
    opened(file).run(MergeOptions())
    save_again(source.annotation)
    with pytest.raises(MergeError, match="was changed after"):
        opened(file).verify(MergeOptions())


def test_a_merge_that_was_begun_with_another_annotation_says_so(source, tmp_path):
    save_again(source.annotation)
    job = opened(planned(source, tmp_path))
    job.plan.run((0, 1))
    save_again(source.annotation)
    with pytest.raises(MergeError, match=rf"{source.annotation.name}.* was changed meanwhile"):
        planned(source, tmp_path)


def test_a_copy_of_the_same_annotation_is_merged_on(source, tmp_path):
    file = planned(source, tmp_path)
    state = source.annotation.stat()
    shutil.copy2(source.annotation, tmp_path / "copy.zip")
    (tmp_path / "copy.zip").replace(source.annotation)
    os.utime(source.annotation, ns=(state.st_atime_ns, state.st_mtime_ns))
    opened(file).run(MergeOptions())
    assert opened(file).verify(MergeOptions())["shards"] > 0
    assert opened(file).commit().total.from_annotation > 0


def dataset(folder: Path, value: int) -> wk.Layer:
    made = wk.Dataset(folder, voxel_size=(1, 1, 1))
    voxels = np.full((64, 64, 64), value, np.uint32)
    return made.write_layer("cells", "segmentation", voxels, downsample=False, data_format="zarr3")


def test_a_folder_that_is_painted_on_after_the_plan_is_not_verified(tmp_path):
    under, over = dataset(tmp_path / "under", 1), dataset(tmp_path / "over", 2)

    def location(layer: wk.Layer) -> dict:
        container = {"kind": "directory", "path": str(layer.get_mag(1).path)}
        return {"mag": [1, 1, 1], "format": "zarr3", "container": container, "prefix": ""}

    plan = _core.MergePlan(
        {
            "annotations": [[location(over)]],
            "fallback": [location(under)],
            "fallback_bounding_box": {"topleft": [0, 0, 0], "size": [64, 64, 64]},
            "target": str(tmp_path / "target"),
            "target_mags": [{"mag": [1, 1, 1], "folder": "cells/1"}],
        }
    )
    plan.run()
    over.get_mag(1).write(
        np.full((64, 64, 64), 3, np.uint32), absolute_offset=(64, 0, 0), allow_unaligned=True, allow_resize=True
    )
    with pytest.raises(MergeError, match=r"over/cells/1 was changed after"):
        plan.verify()
