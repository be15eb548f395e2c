"""Threads share a dataset object while others of them change it."""

import sys
import threading

import numpy as np
import pytest

from wkfast import Dataset
from wkfast.dataset.properties import DatasetProperties
from wkfast.errors import WkfastError


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


def test_threads_add_rename_and_remove_layers_of_one_dataset(dataset):
    """Those that want the same name are told so; in the end, object and file say the same."""
    wrong = []

    def work(number):
        own, common = f"own-{number}", "common"
        for _ in range(5):
            for change in (
                lambda: dataset.add_layer(own, "color", dtype="uint8").add_mag(1),
                lambda: setattr(dataset.get_layer(own), "name", common),
                lambda: [(layer.name, layer.bounding_box, list(layer.mags)) for layer in dataset.layers.values()],
                lambda: dataset.delete_layer(own),
                lambda: dataset.delete_layer(common),
            ):
                try:
                    change()
                except (WkfastError, OSError):  # the system's words are for what another thread has just removed
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
    assert list(dataset.layers) == list(Dataset.open(dataset.path).layers)
