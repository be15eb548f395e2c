"""Paths at which nothing can lie, and links that lead nowhere, through every call that takes a path."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.inputs import demo_input, minimal_nml

import wkfast as wk
from wkfast.cli.merge_steps import read_plan
from wkfast.convert import read_knossos, read_swc, write_swc
from wkfast.dataset.attachments import Attachment, AttachmentDataFormat
from wkfast.dataset.opening import open_layer
from wkfast.errors import WkfastError
from wkfast.merge.job import MergeJob
from wkfast.merge.status import merge_status
from wkfast.schema import schema_problems

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATHS: dict[str, Callable[[Path], Path]] = {
    "a name that is too long": lambda folder: folder / ("n" * 300),
    "below a name that is too long": lambda folder: folder / ("n" * 300) / "a",
    "a path that is too long": lambda folder: folder / ("n/" * 2500) / "a",
    "a zero in the name": lambda folder: folder / "a\0b",
    "half a character": lambda folder: folder / "a\ud800",
    "a link in a circle": lambda folder: folder / "circle",
    "below a link in a circle": lambda folder: folder / "circle" / "a",
    "a link to nothing": lambda folder: folder / "dangling" / "a",
    "below a file": lambda folder: folder / "file" / "a",
    "below a FIFO": lambda folder: folder / "fifo" / "a",
}


def named(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def attach(dataset: wk.Dataset, path: Path) -> None:
    mesh = Attachment("mesh", path, AttachmentDataFormat.HDF5, "meshes")
    dataset.get_segmentation_layer("cells").attachments.add_attachment_as_copy(mesh)


def add_array(dataset: wk.Dataset, path: Path) -> None:
    dataset.add_layer("new", "segmentation", dtype="uint32").add_mag_from_zarrarray(1, path)


# Calls that read, or make what is not there. Saving a file raises what the system says: scripts expect that there.
CALLS: dict[str, Callable[[wk.Dataset, Path], Any]] = {
    "Annotation.load of an NML": lambda _, path: wk.Annotation.load(named(path, ".nml")),
    "Annotation.load of a zip": lambda _, path: wk.Annotation.load(named(path, ".zip")),
    "Skeleton.load": lambda _, path: wk.Skeleton.load(named(path, ".nml")),
    "read_knossos": lambda _, path: read_knossos(named(path, ".nml")),
    "read_swc": lambda _, path: read_swc(named(path, ".swc"), voxel_size=(1, 1, 1)),
    "schema_problems": lambda _, path: schema_problems(named(path, ".nml")),
    "Dataset.open": lambda _, path: wk.Dataset.open(path),
    "from_ome_zarr": lambda dataset, path: wk.Dataset.from_ome_zarr(path, named(dataset.path, "-made")),
    "open_layer": lambda _, path: open_layer(path),
    "add_layer_as_copy": lambda dataset, path: dataset.add_layer_as_copy(path, "new"),
    "add_layer_as_ref": lambda dataset, path: dataset.add_layer_as_ref(path, "new"),
    "add_mag_from_zarrarray": add_array,
    "add_attachment_as_copy": attach,
    "relabel": lambda dataset, path: dataset.get_layer("cells").relabel(path, "new"),
    "read_plan": lambda _, path: read_plan(str(path)),
    "MergeJob.open": lambda _, path: MergeJob.open(path),
}
# At some of these paths, something can be made.
MAKING: dict[str, Callable[[wk.Dataset, Path], Any]] = {
    "Dataset": lambda _, path: wk.Dataset(path, voxel_size=(1, 1, 1)),
    "Dataset that may be there": lambda _, path: wk.Dataset(path, voxel_size=(1, 1, 1), exist_ok=True),
    "copy_dataset": lambda dataset, path: dataset.copy_dataset(path),
    "merge_status": lambda _, path: merge_status(path),
}


@pytest.fixture
def dataset(tmp_path: Path) -> wk.Dataset:
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    made = wk.Dataset(tmp_path / "dataset", voxel_size=(1, 1, 1))
    made.write_layer("cells", "segmentation", np.ones((8, 8, 8), np.uint32), downsample=False)
    return made


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("call", CALLS)
def test_nothing_is_read_where_nothing_can_be(call, path, dataset, tmp_path):
    with pytest.raises(WkfastError):
        CALLS[call](dataset, PATHS[path](tmp_path))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("call", MAKING)
def test_what_cannot_be_made_is_an_error_of_ours(call, path, dataset, tmp_path):
    try:
        MAKING[call](dataset, PATHS[path](tmp_path))
    except WkfastError:
        return
    assert call == "merge_status" or path == "a link to nothing"


@pytest.mark.parametrize("path", PATHS)
def test_a_merge_below_no_folder_is_refused(path, tmp_path):
    demo_input(tmp_path)
    annotation = wk.Annotation.load(tmp_path / "annotation.zip")
    with pytest.raises(WkfastError):
        annotation.merge_fallback_layer(tmp_path / "merged", dataset_directory=PATHS[path](tmp_path))
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("name", ["a\0b", "a\ud800"])
def test_names_that_no_file_can_have_are_told_where_files_are_saved(name, tmp_path):
    annotation = wk.Annotation("a", dataset_name="d", voxel_size=(1, 1, 1))
    for save in (annotation.save, annotation.skeleton.save, lambda path: write_swc(annotation.skeleton, path)):
        with pytest.raises(WkfastError, match="no file can be called so"):
            save(tmp_path / f"{name}.nml")
    assert not list(tmp_path.iterdir())


def test_a_file_that_has_become_a_link_in_a_circle_hinders_no_other_save(tmp_path):
    (tmp_path / "a.nml").write_text(minimal_nml('<thing id="1" />'))
    annotation = wk.Annotation.load(tmp_path / "a.nml")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "a.nml").unlink()
    (tmp_path / "a.nml").symlink_to("circle")
    annotation.save(tmp_path / "b.zip")
    assert len(wk.Annotation.load(tmp_path / "b.zip").skeleton.nodes_table()["id"]) == 0
