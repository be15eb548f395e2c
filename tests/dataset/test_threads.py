"""Threads share a dataset object while others of them change it."""

import fcntl
import os
import sys
import threading
from contextlib import contextmanager

import numpy as np
import pytest

from wkfast import Dataset
from wkfast.dataset.properties import DatasetProperties
from wkfast.errors import ExistsError, WkfastError


@pytest.fixture
def dataset(tmp_path):
    made = Dataset(tmp_path / "dataset", voxel_size=(1, 1, 1))
    made.write_layer("cells", "segmentation", np.ones((8, 8, 8), np.uint32), downsample=False)
    return made


def test_what_others_have_written_is_taken_over_without_a_moment_of_nothing(dataset):
    ours, theirs = (DatasetProperties.read(dataset.path) for _ in range(2))
    theirs.json["folderId"] = "new"
    ours.json["gone"] = ours.layer("cells").json["gone"] = 1
    entry, seen = ours.layer("cells").json, []

    def at_every_line(frame, event, _):
        if event == "line":
            layer = ours.layer("cells")
            seen.append((layer.name, layer.category, len(layer.json["mags"]), ours.voxel_size))
        return at_every_line

    before = sys.gettrace()
    sys.settrace(at_every_line)
    try:
        ours.adopt(theirs)
    finally:
        sys.settrace(before)
    assert len(seen) > 5
    assert len(set(seen)) == 1
    assert ours.json == theirs.json
    assert ours.layer("cells").json is entry


@pytest.mark.filterwarnings("ignore:add_symlink_layer is deprecated")
def test_threads_add_rename_and_remove_layers_of_one_dataset(dataset, tmp_path):
    """Those that want the same name are told so; in the end, object and file say the same."""
    foreign = Dataset(tmp_path / "foreign", voxel_size=(1, 1, 1)).write_layer(
        "foreign", "color", np.ones((8, 8, 8), np.uint8), downsample=False
    )
    wrong = []

    def work(number):
        own, common = f"own-{number}", "common"
        for _ in range(5):
            for change in (
                lambda: dataset.add_layer(own, "color", dtype="uint8").add_mag(1),
                lambda: dataset.get_layer(common).add_mag(2),
                lambda: setattr(dataset.get_layer(own), "name", common),
                lambda: [(layer.name, layer.bounding_box, list(layer.mags)) for layer in dataset.layers.values()],
                lambda: dataset.delete_layer(own),
                lambda: dataset.get_layer(common).delete_mag(2),
                lambda: dataset.add_layer_as_copy(foreign, common, exists_ok=True),
                lambda: dataset.delete_layer(common),
                lambda: dataset.add_symlink_layer(foreign, common),
                lambda: dataset.delete_layer(common),
            ):
                try:
                    change()
                except WkfastError:
                    pass
                except BaseException as error:  # noqa: BLE001 - panics are among what must not come
                    wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong
    reopened = Dataset.open(dataset.path)
    assert list(dataset.layers) == list(reopened.layers)
    assert (reopened.get_layer("cells").get_mag(1).read() == 1).all()


def test_a_mag_that_two_make_at_once_is_all_of_one(tmp_path):
    """Whoever comes second is told so, and neither writes into what the other makes nor removes it."""
    views = []
    for label in (1, 2):
        made = Dataset(tmp_path / f"of-{label}", voxel_size=(1, 1, 1))
        voxels = np.full((64, 64, 64), label, np.uint8)
        layer = made.write_layer("cells", "color", voxels, downsample=False, chunk_shape=16 * label, shard_shape=32)
        views.append(layer.get_mag(1))
    for turn in range(8):
        target = Dataset(tmp_path / f"target-{turn}", voxel_size=(1, 1, 1))
        target.add_layer("cells", "color", dtype="uint8")
        outcomes, start = [], threading.Barrier(4)

        def work(view, path=target.path, outcomes=outcomes, start=start):
            layer = Dataset.open(path).get_layer("cells")
            start.wait()
            try:
                layer.add_mag_as_copy(view, exists_ok=True)
                outcomes.append(None)
            except Exception as raised:  # noqa: BLE001 - whatever else comes is what is looked for
                outcomes.append(raised)

        threads = [threading.Thread(target=work, args=(views[number % 2],)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert None in outcomes
        assert all(isinstance(error, ExistsError) for error in outcomes if error is not None), outcomes
        voxels = Dataset.open(target.path).get_layer("cells").get_mag(1).read()
        assert (voxels == voxels.flat[0]).all()
        assert voxels.flat[0] in {1, 2}
        assert [path.name for path in (target.path / "cells").iterdir() if path.name.startswith(".")] == []


def test_what_a_killed_process_was_making_is_made_anew(dataset):
    """Its folder is not locked any more; that of a process at work is, and stays."""
    layer = dataset.get_layer("cells")
    draft = layer.path / ".2.wkfast-part"
    draft.mkdir()
    (draft / "left").write_text("by who was killed")
    layer.downsample_mag(1, target_mag=2)
    assert not draft.exists()
    draft.mkdir()
    (draft / "live").write_text("of who is at work")
    with _locked(draft):
        with pytest.raises(ExistsError, match="being made by somebody else"):
            layer.get_mag(2).rechunk(chunk_shape=16, shard_shape=16)
        assert (draft / "live").exists()
    layer.get_mag(2).rechunk(chunk_shape=16, shard_shape=16)
    assert not draft.exists()


@contextmanager
def _locked(folder):
    held = os.open(folder, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(held)
