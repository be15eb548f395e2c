"""Folders that go away while somebody reads in them, as network mounts show it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.dataset.test_downsampling import noise, painted

from wkfast import Dataset, _core
from wkfast.dataset.folders import remove_folder
from wkfast.errors import LayerNotFoundError, MagNotFoundError, VolumeDataError

if TYPE_CHECKING:
    from pathlib import Path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_folders_name_is_free_at_once_and_its_leftovers_go_with_the_next(tmp_path: Path) -> None:
    leftover = tmp_path / ".one-0123456789abcdef.wkfast-gone"
    for folder in (leftover / "inner", tmp_path / "two", tmp_path / ".three.wkfast-part"):
        folder.mkdir(parents=True)
    (leftover / ".nfs000000000000002a").touch()
    remove_folder(tmp_path / "two")
    remove_folder(tmp_path / "two")
    assert names(tmp_path) == {".three.wkfast-part"}


def test_of_a_link_the_link_alone_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to("kept")
    remove_folder(tmp_path / "link")
    assert names(tmp_path) == {"kept"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_a_refusal_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "kept/inner").mkdir(parents=True)
    (tmp_path / "kept").chmod(0o555)
    with pytest.raises(VolumeDataError, match="inner"):
        remove_folder(tmp_path / "kept/inner")
    (tmp_path / "kept").chmod(0o755)


def test_a_mag_is_read_to_the_end_by_who_has_it_open_and_made_anew_at_once(tmp_path: Path) -> None:
    voxels = noise((1, 64, 64, 64), "uint16") + 1
    layer = painted(tmp_path / "d", voxels, (0, 0, 0))
    file = next(path for path in layer.get_mag(1).path.rglob("*") if path.is_file())
    with file.open("rb"):
        layer.delete_mag(1)
        layer.add_mag(1).write(voxels)
    np.testing.assert_array_equal(Dataset.open(tmp_path / "d").get_layer("l").get_mag(1).read(), voxels)
    # On a mount what was read is there until it is closed, and goes with the next folder that is deleted beside it.
    layer.delete_mag(1)
    assert not [name for name in names(layer.path) if name.startswith(".")]


@pytest.mark.parametrize("what", ["layer", "mag"])
def test_a_removal_that_the_file_system_refused_can_be_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    dataset = painted(tmp_path / "d", noise((1, 32, 32, 32), "uint16") + 1, (0, 0, 0)).dataset
    layer = dataset.get_layer("l")
    folder = layer.path if what == "layer" else layer.get_mag(1).path

    def remove() -> None:
        if what == "layer":
            dataset.delete_layer("l")
        else:
            layer.delete_mag(1)

    def refuse(folder: Path, _within: Path) -> None:
        raise VolumeDataError(f"{folder}: Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(_core, "remove_folder", refuse)
        with pytest.raises(VolumeDataError, match="Read-only"):
            remove()
    assert folder.exists()
    remove()
    assert not folder.exists()
    with pytest.raises((LayerNotFoundError, MagNotFoundError)):
        remove()
    with pytest.raises(LayerNotFoundError):
        dataset.delete_layer("../d")


@pytest.mark.parametrize("work", ["rechunk", "compress"])
def test_a_mag_that_is_made_anew_keeps_mode_and_group(work: str, tmp_path: Path) -> None:
    """A lab whose members share folders by their group may go on writing."""
    layer = Dataset(tmp_path / "d", voxel_size=(1, 1, 1)).add_layer("color", "color", dtype="uint8")
    mag = layer.add_mag(1, shard_shape=32, compress=False)
    mag.write(np.ones((64, 64, 64), np.uint8), absolute_offset=(0, 0, 0), allow_resize=True)
    group = os.getgroups()[-1] if os.geteuid() else 4321
    for path in [mag.path, *mag.path.rglob("*")]:
        os.chown(path, -1, group)
        path.chmod(0o2770 if path.is_dir() else 0o660)
    before = mag.path.stat().st_ino
    mag.rechunk(shard_shape=64) if work == "rechunk" else mag.compress()
    assert mag.path.stat().st_ino != before
    found = {(path.is_dir(), path.stat().st_mode & 0o7777, path.stat().st_gid) for path in mag.path.rglob("*")}
    assert found == {(True, 0o2770, group), (False, 0o660, group)}
    assert (mag.path.stat().st_mode & 0o7777, mag.path.stat().st_gid) == (0o2770, group)
    assert (layer.get_mag(1).read() == 1).all()
