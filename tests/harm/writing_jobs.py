"""Every kind of job that writes, over small data: how it begins, what it does, and what can be read before and after.

Each job can be asked for again, whatever became of it before, and then ends as if nothing had been.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from examples.demo.generate import DATASET_NAME, labels, write_annotation, write_dataset
from tests.inputs import minimal_nml, wkw_data_zip, write_zip

import wkfast as wk
from wkfast.drafts import exclusive_draft
from wkfast.errors import LayerNotFoundError, TargetNotEmptyError
from wkfast.merge.arrays import run_share
from wkfast.merge.job import MergeJob

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    State = Any

VOXELS = np.arange(64 * 64 * 32, dtype="uint32").reshape(64, 64, 32) // 5 % 1000
CHUNKS = {(0, 0, 0): np.full((32, 32, 32), 7, np.uint32), (1, 1, 0): VOXELS[:32, :32, :32].copy()}
SKELETON = '<thing id="1" name="old"><nodes><node id="1" x="1" y="2" z="3" /></nodes></thing>'


@dataclass(frozen=True)
class Job:
    """A job that writes below a folder.

    Attributes
    ----------
    prepare
        Makes what is there before.
    run
        Does the work; it may find it done, begun, or not begun.
    state
        What can be read: equal to that before, or to that after the job, at every moment.
    """

    prepare: Callable[[Path], object]
    run: Callable[[Path], object]
    state: Callable[[Path], State]


def digest(voxels: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(voxels)).hexdigest()[:16]


# -- annotations -----------------------------------------------------------------------------------------------------


def annotation(folder: Path) -> None:
    volume = '<volume id="0" name="V" location="d.zip" format="wkw" />'
    write_zip(folder / "a.zip", {"a.nml": minimal_nml(volume + SKELETON), "d.zip": wkw_data_zip(CHUNKS), "other": b"x"})


def annotation_state(folder: Path) -> State:
    loaded = wk.Annotation.load(folder / "a.zip")
    voxels = loaded.volume_layers[0].as_layer().get_mag(1).read(absolute_offset=(0, 0, 0), size=(64, 64, 32))
    trees = sorted((tree.name, len(tree)) for tree in loaded.skeleton.flattened_trees())
    return trees, digest(voxels)


def save_over(folder: Path) -> None:
    loaded = wk.Annotation.load(folder / "a.zip")
    for tree in loaded.skeleton.flattened_trees():
        tree.name = "new"
    loaded.save(folder / "a.zip")


def edit(folder: Path) -> None:
    loaded = wk.Annotation.load(folder / "a.zip")
    with loaded.volume_layers[0].edit() as layer:
        layer.get_mag(1).write(np.full((32, 32, 32), 9, "uint32"), absolute_offset=(0, 0, 0))
    loaded.save(folder / "a.zip")


# -- datasets --------------------------------------------------------------------------------------------------------


def dataset(folder: Path) -> None:
    made = wk.Dataset(folder / "dataset", voxel_size=(1, 1, 1))
    layer = made.add_layer("one", "segmentation", dtype="uint32", bounding_box=wk.BoundingBox((0, 0, 0), VOXELS.shape))
    layer.add_mag(1, chunk_shape=16, shard_shape=32, compress=False).write(VOXELS, absolute_offset=(0, 0, 0))


def opened(folder: Path, name: str = "dataset") -> wk.Dataset:
    return wk.Dataset.open(folder / name)


def dataset_state(folder: Path, name: str = "dataset") -> State:
    found = opened(folder, name)
    return {
        layer.name: (
            str(layer.bounding_box),
            getattr(layer, "largest_segment_id", None),
            {str(mag): digest(view.read()) for mag, view in layer.mags.items()},
        )
        for layer in found.layers.values()
    }


def copied_state(folder: Path) -> State:
    name = "copy"
    done = (folder / name / "datasource-properties.json").exists() and opened(folder, name).layers
    return dataset_state(folder), dataset_state(folder, name) if done else None


def compress(folder: Path) -> None:
    mag = opened(folder).get_layer("one").get_mag(1)
    if not mag.info.compression_mode:
        mag.compress()


def rechunk(folder: Path) -> None:
    opened(folder).get_layer("one").get_mag(1).rechunk(chunk_shape=32, shard_shape=64)


def downsample(folder: Path) -> None:
    layer = opened(folder).get_layer("one")
    if wk.Mag(2) not in layer.mags:
        layer.downsample_mag(1, target_mag=2, shard_shape=32)


def rename(folder: Path) -> None:
    found = opened(folder)
    if "one" in found.layers:
        found.get_layer("one").name = "other"
    else:  # so far a killed call may have come: the folder gets its name with the next change of names
        found.get_layer("other").name = "another"
        found.get_layer("another").name = "other"


def write_property(folder: Path) -> None:
    layer = opened(folder).get_segmentation_layer("one")
    layer.largest_segment_id = 12345


def write_voxels(folder: Path) -> None:
    """A whole shard: those of a mag are replaced one by one, so a job that writes several has states between."""
    opened(folder).get_layer("one").get_mag(1).write(np.ones((32, 32, 32), "uint32"), absolute_offset=(0, 0, 0))


def add_layer_as_copy(folder: Path) -> None:
    found = opened(folder)
    if "copied" not in found.layers:
        found.add_layer_as_copy(found.get_layer("one"), "copied")


def delete_layer(folder: Path) -> None:
    with suppress(LayerNotFoundError):  # deleted by a call before, but for what the disk refused
        opened(folder).delete_layer("one")


# -- both ------------------------------------------------------------------------------------------------------------


def annotation_and_dataset(folder: Path) -> None:
    annotation(folder)
    dataset(folder)


def export(folder: Path) -> None:
    target = opened(folder)
    if "exported" not in target.layers:
        wk.Annotation.load(folder / "a.zip").volume_layers[0].export_to_dataset(target, "exported")


def fallback_and_annotation(folder: Path) -> None:
    """Several files in mag 1, chunks that differ in all three mags."""
    fallback = labels((256, 128, 128), cells=20)
    painted = fallback.copy()
    painted[20:150, 40:90, 40:90] = 900
    painted[160:224, 64:128, 32:96] = 0
    write_dataset(folder / "datasets" / DATASET_NAME, fallback)
    write_annotation(folder / "annotation.zip", fallback, painted)


def merge(folder: Path) -> None:
    loaded = wk.Annotation.load(folder / "annotation.zip")
    with suppress(TargetNotEmptyError):  # it is whole, whatever the call before said; its state is looked at
        loaded.merge_fallback_layer(folder / "merged", dataset_directory=folder / "datasets")


def merge_by_tasks(folder: Path) -> None:
    """What the tasks of a job array do, one after the other, with the plan file that is there."""
    plan_file = folder / "merge.plan"
    if not plan_file.exists():
        loaded = wk.Annotation.load(folder / "annotation.zip")
        plan = loaded.plan_merge(folder / "merged", dataset_directory=folder / "datasets")
        with exclusive_draft(plan_file) as draft:
            draft.put(plan.to_bytes())
    job = MergeJob.open(plan_file)
    if job.finished() is None:
        for task in range(3):
            run_share(job, task, 3, threads=1)
        job.commit()


def merged_state(folder: Path) -> State:
    """Of the target nothing counts before its properties are there; the inputs are as they were."""
    inputs = dataset_state(folder / "datasets", DATASET_NAME)
    done = (folder / "merged/datasource-properties.json").exists()
    return inputs, dataset_state(folder, "merged") if done else None


JOBS: dict[str, Job] = {
    "save": Job(annotation, save_over, annotation_state),
    "edit": Job(annotation, edit, annotation_state),
    "export": Job(annotation_and_dataset, export, dataset_state),
    "merge": Job(fallback_and_annotation, merge, merged_state),
    "merge by tasks": Job(fallback_and_annotation, merge_by_tasks, merged_state),
    "compress": Job(dataset, compress, dataset_state),
    "rechunk": Job(dataset, rechunk, dataset_state),
    "downsample": Job(dataset, downsample, dataset_state),
    "rename": Job(dataset, rename, dataset_state),
    "write a property": Job(dataset, write_property, dataset_state),
    "write voxels": Job(dataset, write_voxels, dataset_state),
    "copy a layer": Job(dataset, add_layer_as_copy, dataset_state),
    "delete a layer": Job(dataset, delete_layer, dataset_state),
}


def read_state(job: Job, folder: Path) -> State:
    """Return the state as plain data, without warnings of what is being looked at."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return json.loads(json.dumps(job.state(folder)))


def strangers(folder: Path, before: set[str], after: set[str]) -> list[str]:
    """Return the files below a folder that are there neither before nor after a job."""
    return sorted(files(folder) - before - after)


def files(folder: Path) -> set[str]:
    """Return all files and folders below one, by their names from there."""
    return {str(file.relative_to(folder)) for file in folder.rglob("*")}
