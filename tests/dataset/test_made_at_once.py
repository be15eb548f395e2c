"""Several threads and processes make the same dataset, layer and mag at the same time."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

import wkfast as wk
from wkfast.dataset import layer as layer_module
from wkfast.dataset.folder_place import FolderPlace
from wkfast.dataset.folders import LEFT
from wkfast.errors import BeingMadeError, DatasetError, DatasetValueError, ExistsError

SPAWN = multiprocessing.get_context("spawn")
MANY, EDGE = 6, 32
NM = (4, 4, 4)


def paint(folder: Path, place: int) -> None:
    """What each task of an array does: make what is not there yet, and write its own part."""
    dataset = wk.Dataset(folder, voxel_size=NM, exist_ok=True)
    layer = dataset.get_or_add_layer("cells", "segmentation", dtype="uint32")
    mag = layer.get_or_add_mag(1, chunk_shape=EDGE, shard_shape=EDGE)
    corner, part = (place * EDGE, 0, 0), np.full((EDGE, EDGE, EDGE), place + 1, np.uint32)
    mag.write(part, absolute_offset=corner, allow_resize=True)


def check_painted(folder: Path) -> None:
    dataset = wk.Dataset.open(folder)
    voxels = dataset.get_layer("cells").get_mag(1).read(absolute_offset=(0, 0, 0), size=(MANY * EDGE, EDGE, EDGE))[0]
    np.testing.assert_array_equal(voxels[:, 0, 0], np.repeat(np.arange(MANY) + 1, EDGE))
    assert (voxels == voxels[:, :1, :1]).all()
    assert [path.name for path in folder.rglob("*") if "wkfast" in path.name] == []


def test_tasks_that_begin_at_once_share_what_one_of_them_makes(tmp_path: Path) -> None:
    together = SPAWN.Barrier(MANY)
    with ProcessPoolExecutor(MANY, mp_context=SPAWN, initializer=together.wait) as pool:
        for number in range(20):
            list(pool.map(paint, [tmp_path / f"d{number}"] * MANY, range(MANY)))
            check_painted(tmp_path / f"d{number}")


def test_threads_that_begin_at_once_share_what_one_of_them_makes(tmp_path: Path) -> None:
    for number in range(20):
        together, folder = Barrier(MANY), tmp_path / f"d{number}"

        def begin(place: int, together: Barrier = together, folder: Path = folder) -> None:
            together.wait()
            paint(folder, place)

        with ThreadPoolExecutor(MANY) as pool:
            list(pool.map(begin, range(MANY)))
        check_painted(folder)


def test_threads_share_one_object_and_what_one_of_them_makes(tmp_path: Path) -> None:
    dataset = wk.Dataset(tmp_path / "d", voxel_size=NM)
    for number in range(20):
        together, name = Barrier(MANY), f"l{number}"

        def begin(_place: int, together: Barrier = together, name: str = name) -> wk.MagView:
            together.wait()
            return dataset.get_or_add_layer(name, "color", dtype="uint8").get_or_add_mag(1)

        with ThreadPoolExecutor(MANY) as pool:
            assert len({view.path for view in pool.map(begin, range(MANY))}) == 1


def test_of_those_that_make_the_same_at_once_one_does(tmp_path: Path) -> None:
    """It is never mistaken for something that a killed call has left."""

    def made(call, errors) -> bool:
        together.wait()
        try:
            call()
        except errors:
            return False
        return True

    for number in range(20):
        together, folder = Barrier(MANY), tmp_path / f"d{number}"
        with ThreadPoolExecutor(MANY) as pool:
            making = partial(wk.Dataset, folder, NM)
            datasets = list(pool.map(lambda _, making=making: made(making, DatasetError), range(MANY)))
            wk.Dataset.open(folder).add_layer("l", "color", dtype="uint8")
            layers = [wk.Dataset.open(folder).get_layer("l") for _ in range(MANY)]
            mags = list(pool.map(lambda layer: made(lambda: layer.add_mag(1), (ExistsError, DatasetError)), layers))
        assert datasets.count(True) == 1
        assert mags.count(True) == 1
        assert list(wk.Dataset.open(folder).get_layer("l").mags) == [wk.Mag(1)]
        assert not (folder / "l" / "1" / LEFT).exists()


def test_a_mag_that_is_in_its_place_and_not_listed_yet_is_its_makers(tmp_path: Path, monkeypatch) -> None:
    ours = wk.Dataset(tmp_path / "d", voxel_size=NM).add_layer("l", "color", dtype="uint8")
    theirs = wk.Dataset.open(tmp_path / "d").get_layer("l")
    list_mag, seen = layer_module.Layer._list_mag, []

    def meanwhile(layer, *given):
        if layer is ours:
            assert (tmp_path / "d" / "l" / "1" / LEFT).exists()
            for call in (theirs.add_mag, theirs.delete_mag):
                with pytest.raises(DatasetError) as caught:
                    call(1)
                seen.append(type(caught.value))
        return list_mag(layer, *given)

    monkeypatch.setattr(layer_module.Layer, "_list_mag", meanwhile)
    ours.add_mag(1).write(np.ones((8, 8, 8), np.uint8), allow_resize=True)
    assert seen == [BeingMadeError, BeingMadeError]
    assert wk.Dataset.open(tmp_path / "d").get_layer("l").get_mag(1).read().all()


def test_a_layer_that_is_in_its_place_and_not_listed_yet_is_its_makers(tmp_path: Path, monkeypatch) -> None:
    source = wk.Dataset(tmp_path / "source", voxel_size=NM).write_layer(
        "l", "color", np.ones((8, 8, 8), np.uint8), downsample=False
    )
    ours, theirs = wk.Dataset(tmp_path / "d", voxel_size=NM), wk.Dataset.open(tmp_path / "d")
    place, seen = type(ours._place), []
    update = place.update

    def meanwhile(self, properties, change):
        if properties is ours._properties and not seen:
            for call in (lambda: theirs.add_layer("l", "color"), lambda: theirs.delete_layer("l")):
                with pytest.raises(DatasetError) as caught:
                    call()
                seen.append(type(caught.value))
        return update(self, properties, change)

    monkeypatch.setattr(place, "update", meanwhile)
    ours.add_layer_as_copy(source)
    assert seen == [BeingMadeError, BeingMadeError]
    assert wk.Dataset.open(tmp_path / "d").get_layer("l").get_mag(1).read().all()


def test_of_copies_and_layers_of_one_name_that_are_made_at_once_one_is_there_and_whole(tmp_path: Path) -> None:
    ones = np.ones((8, 8, 8), np.uint8)
    source = wk.Dataset(tmp_path / "source", voxel_size=NM).write_layer("l", "color", ones, downsample=False)

    def add(number: int, folder: Path, together: Barrier) -> bool:
        dataset = wk.Dataset.open(folder)
        together.wait()
        try:
            if number % 2:
                dataset.add_layer("l", "color", dtype="uint8").add_mag(1).write(ones, allow_resize=True)
            else:
                dataset.add_layer_as_copy(source)
        except DatasetError:
            return False
        return True

    for number in range(20):
        wk.Dataset(tmp_path / f"d{number}", voxel_size=NM)
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(partial(add, folder=tmp_path / f"d{number}", together=Barrier(4)), range(4)))
        assert done.count(True) == 1
        assert wk.Dataset.open(tmp_path / f"d{number}").get_layer("l").get_mag(1).read().all()
        assert not list((tmp_path / f"d{number}").rglob("*wkfast*"))


def test_a_folder_that_is_listed_is_not_taken_for_left_by_whoever_has_not_seen_it(tmp_path: Path) -> None:
    """As where a call was killed after listing a mag, before it took the mark away."""
    ours = wk.Dataset(tmp_path / "d", voxel_size=NM).add_layer("l", "color", dtype="uint8")
    theirs = wk.Dataset.open(tmp_path / "d").get_layer("l")
    mag = ours.add_mag(1)
    mag.write(np.ones((8, 8, 8), np.uint8), allow_resize=True)
    (mag.path / LEFT).touch()
    with pytest.raises(ExistsError, match="there is one already"):
        theirs.add_mag(1)
    assert theirs.get_or_add_mag(1).read().all()


def test_what_is_there_must_be_as_it_is_asked_for_also_where_somebody_else_was_quicker(tmp_path: Path) -> None:
    ours = wk.Dataset(tmp_path / "d", voxel_size=NM)
    theirs = wk.Dataset.open(tmp_path / "d")
    layer = ours.add_layer("l", "color", dtype="uint8")
    with pytest.raises(DatasetValueError, match="its dtype is uint8, not uint16"):
        theirs.get_or_add_layer("l", "color", dtype="uint16")
    other = theirs.get_or_add_layer("l", "color", dtype="uint8")
    layer.add_mag(1, chunk_shape=16)
    with pytest.raises(DatasetValueError, match="not as asked for"):
        other.get_or_add_mag(1, chunk_shape=32)
    with pytest.raises(DatasetError, match="voxel size"):
        wk.Dataset(tmp_path / "d", voxel_size=(1, 1, 1), exist_ok=True)


def test_what_is_in_the_way_is_told_at_once(tmp_path: Path) -> None:
    dataset = wk.Dataset(tmp_path / "d", voxel_size=NM)
    (tmp_path / "d" / "l").touch()
    with pytest.raises(ExistsError, match="in the way"):
        dataset.get_or_add_layer("l", "color")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(DatasetError, match="something already"):
        wk.Dataset(tmp_path / "other", voxel_size=NM, exist_ok=True)


@pytest.mark.parametrize("mag", [1, None])
def test_a_deletion_takes_nothing_that_somebody_has_made_since_in_the_same_place(
    mag, tmp_path: Path, monkeypatch
) -> None:
    """Also where the new folder has the number of the old one, as file systems give them."""
    ours = wk.Dataset(tmp_path / "d", voxel_size=NM)
    ours.add_layer("l", "color", dtype="uint8").add_mag(1)
    remove_marked = FolderPlace.remove_marked

    def later(place: FolderPlace, folder: Path, mark: object) -> None:
        monkeypatch.setattr(FolderPlace, "remove_marked", remove_marked)
        monkeypatch.setattr("os.path.samestat", lambda _one, _other: True)
        layer = wk.Dataset.open(tmp_path / "d").get_or_add_layer("l", "color", dtype="uint8")
        layer.add_mag(1).write(np.ones((8, 8, 8), np.uint8), allow_resize=True)
        place.remove_marked(folder, mark)

    monkeypatch.setattr(FolderPlace, "remove_marked", later)
    if mag is None:
        ours.delete_layer("l")
    else:
        ours.get_layer("l").delete_mag(mag)
    assert wk.Dataset.open(tmp_path / "d").get_layer("l").get_mag(1).read().all()
