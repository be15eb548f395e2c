"""What a full disk refuses is taken back, though taking it back has to be written down on that disk."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.inputs import tree_state

import wkfast as wk
from wkfast import drafts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

VOXELS = np.random.default_rng(4).integers(1, 200, (32, 32, 32)).astype("uint32")

CALLS: dict[str, Callable[[wk.Dataset], Any]] = {
    "relabel": lambda dataset: dataset.get_segmentation_layer("labels").relabel({1: 2}, "other"),
    "write a layer": lambda dataset: dataset.write_layer("more", "segmentation", VOXELS, downsample=False),
    "add a layer": lambda dataset: dataset.add_layer("more", "segmentation"),
    "add a mag": lambda dataset: dataset.get_layer("labels").add_mag(2),
    "downsample": lambda dataset: dataset.get_layer("labels").downsample(),
    "upsample": lambda dataset: dataset.get_layer("labels").upsample(from_mag=wk.Mag(2), finest_mag=wk.Mag(1)),
    "copy a layer": lambda dataset: dataset.add_layer_as_copy(dataset.get_layer("labels"), "copied"),
}


def names(folder: Path) -> set[str]:
    """Everything below a folder, empty folders as well."""
    return {str(each.relative_to(folder)) for each in folder.rglob("*")}


class Disk:
    """A file system that takes small files, such as lists of layers, as long as fewer files than `room` are there."""

    def __init__(self, root: Path, room: int) -> None:
        self._root, self._room = root, room

    @contextmanager
    def draft(self, target: Path, within: Path | None = None) -> Iterator[Any]:
        if sum(each.is_file() for each in self._root.rglob("*")) >= self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        with drafts.exclusive_draft(target, within) as draft:
            yield draft


@pytest.fixture
def dataset(tmp_path: Path) -> wk.Dataset:
    dataset = wk.Dataset(tmp_path / "dataset", voxel_size=(4, 4, 40))
    dataset.write_layer("labels", "segmentation", VOXELS, mag=2, downsample=False)
    return dataset


@pytest.mark.parametrize("room", range(6))
@pytest.mark.parametrize("call", CALLS)
def test_what_a_full_disk_refuses_leaves_nothing(
    dataset: wk.Dataset, monkeypatch: pytest.MonkeyPatch, call: str, room: int
) -> None:
    if call == "add a mag":
        dataset.get_layer("labels").delete_mag(2)
    before, content = names(dataset.path), tree_state(dataset.path)
    disk = Disk(dataset.path, len(content) + room)
    with monkeypatch.context() as full:
        full.setattr("wkfast.dataset.properties.exclusive_draft", disk.draft)
        full.setattr("wkfast.buckets.whole_files.exclusive_draft", disk.draft)
        try:
            CALLS[call](dataset)
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - where there is room for it there is none
            assert list(dataset.layers) == list(wk.Dataset.open(dataset.path).layers) == ["labels"]
            assert (names(dataset.path), tree_state(dataset.path)) == (before, content)
    if names(dataset.path) == before:
        CALLS[call](dataset)
    assert names(dataset.path) > before
