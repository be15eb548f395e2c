"""What lies where a file of voxels or an attachment is expected, and is none: never left out in silence, never followed
without end."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import numpy as np
import pytest

import wkfast as wk
from wkfast.dataset.attachments import Attachment, AttachmentDataFormat
from wkfast.errors import DatasetError, VolumeDataError

FORMATS = ["wkw", "zarr3", "zarr"]


def make_fifo(place: Path, _: Path) -> None:
    os.mkfifo(place)


def make_socket(place: Path, _: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made, pytest.MonkeyPatch.context() as patch:
        patch.chdir(place.parent)  # an address is short
        made.bind(place.name)


def link_out(place: Path, shard: Path) -> None:
    place.symlink_to(shard)


def link_to_nothing(place: Path, _: Path) -> None:
    place.symlink_to("nowhere")


def link_in_a_circle(place: Path, _: Path) -> None:
    place.symlink_to(place.name)


def endless(place: Path, _: Path) -> None:
    place.symlink_to("/dev/zero")


def make_folder(place: Path, _: Path) -> None:
    place.mkdir()


def make_folder_of_something(place: Path, _: Path) -> None:
    place.mkdir()
    (place / "something").write_bytes(b"else")


def link_to_folder(place: Path, shard: Path) -> None:
    shard.with_name("folder").mkdir()
    place.symlink_to(shard.with_name("folder"))


def shards_of(layer: wk.Layer) -> list[Path]:
    metadata = {"header.wkw", "zarr.json", ".zarray"}
    return [path for path in layer.get_mag(1).path.rglob("*") if path.is_file() and path.name not in metadata]


@pytest.fixture(params=FORMATS)
def layer(request, tmp_path):
    dataset = wk.Dataset(tmp_path / "dataset", voxel_size=(1, 1, 1))
    voxels = np.ones((64, 64, 64), np.uint32)
    return dataset.write_layer("cells", "segmentation", voxels, downsample=False, data_format=request.param)


USES = {
    "read": lambda layer, _: layer.get_mag(1).read(),
    "copy_dataset": lambda layer, folder: layer.dataset.copy_dataset(folder / "copy"),
    "copy in another format": lambda layer, folder: layer.dataset.copy_dataset(
        folder / "copy", data_format="wkw" if str(layer.data_format) != "wkw" else "zarr3"
    ),
    "downsample_mag": lambda layer, _: layer.downsample_mag(1, target_mag=2),
    "segment_statistics": lambda layer, _: layer.segment_statistics(),
    "relabel": lambda layer, _: layer.relabel({1: 2}, "new"),
    "rechunk": lambda layer, _: layer.get_mag(1).rechunk(
        chunk_shape=16, shard_shape=16 if str(layer.data_format) == "zarr" else 32
    ),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    "make",
    [
        make_fifo,
        make_socket,
        link_out,
        link_to_nothing,
        link_in_a_circle,
        endless,
        make_folder,
        make_folder_of_something,
        link_to_folder,
    ],
)
def test_what_is_in_the_place_of_a_shard_is_never_left_out(layer, make, use, tmp_path):
    shard = max(shards_of(layer), key=lambda path: path.stat().st_size)
    shard.rename(tmp_path / "shard")
    make(shard, tmp_path / "shard")
    again = wk.Dataset.open(layer.dataset.path).get_layer("cells")
    where = shard.relative_to(layer.get_mag(1).path)
    with pytest.raises((VolumeDataError, DatasetError), match=re.escape(f"/1/{where}")):
        USES[use](again, tmp_path)


def test_a_linked_folder_of_chunks_is_not_left_out_of_a_copy(layer, tmp_path):
    (first,) = {path.relative_to(layer.get_mag(1).path).parts[0] for path in shards_of(layer)[:1]}
    if str(layer.data_format) == "zarr":
        first = "0"
    folder = layer.get_mag(1).path / first
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    again = wk.Dataset.open(layer.dataset.path)
    with pytest.raises(VolumeDataError, match="link"):
        again.get_layer("cells").get_mag(1).read()
    with pytest.raises(VolumeDataError, match="link to a folder"):
        again.copy_dataset(tmp_path / "copy")


# -- attachments -----------------------------------------------------------------------------------------------------


def circles(folder: Path) -> None:
    for name in ("a", "b"):
        (folder / name).symlink_to(".")


def doubling(folder: Path) -> None:
    """Thirty folders, each with two links to the one before: a thousand million ways."""
    below = folder.parent / "below"
    for number in range(30):
        above = folder.parent / f"level-{number}"
        above.mkdir()
        if below.exists():
            (above / "a").symlink_to(below)
            (above / "b").symlink_to(below)
        below = above
    (folder / "all").symlink_to(below)


def endless_file(folder: Path) -> None:
    (folder / "zero").symlink_to("/dev/zero")


def waiting(folder: Path) -> None:
    os.mkfifo(folder / "fifo")


def nothing(folder: Path) -> None:
    (folder / "gone").symlink_to("nowhere")


def itself(folder: Path) -> None:
    (folder / "dataset").symlink_to(folder.parent / "dataset")


@pytest.mark.parametrize("make", [circles, doubling, endless_file, waiting, nothing, itself])
def test_a_folder_that_would_fill_a_disk_is_not_copied(make, tmp_path):
    dataset = wk.Dataset(tmp_path / "dataset", voxel_size=(1, 1, 1))
    attachments = dataset.add_layer("cells", "segmentation", dtype="uint32").attachments
    folder = tmp_path / "mesh"
    folder.mkdir()
    (folder / "file").write_text("text")
    make(folder)
    with pytest.raises(DatasetError, match="mesh cannot be copied"):
        attachments.add_attachment_as_copy(Attachment("mesh", folder, AttachmentDataFormat.Zarr3, "meshes"))
    assert not list(attachments)
    assert not [path for path in dataset.path.rglob("*") if "mesh" in path.name and path.name != "meshes"]


def test_links_of_a_folder_that_is_copied_are_followed(tmp_path):
    dataset = wk.Dataset(tmp_path / "dataset", voxel_size=(1, 1, 1))
    attachments = dataset.add_layer("cells", "segmentation", dtype="uint32").attachments
    folder = tmp_path / "mesh"
    (tmp_path / "inner").mkdir()
    folder.mkdir()
    (tmp_path / "inner" / "file").write_text("text")
    (folder / "inner").symlink_to(tmp_path / "inner")
    (folder / "one").symlink_to(tmp_path / "inner" / "file")
    attachments.add_attachment_as_copy(Attachment("mesh", folder, AttachmentDataFormat.Zarr3, "meshes"))
    (copy,) = attachments
    assert [(Path(str(copy.path)) / name).read_text() for name in ("inner/file", "one")] == ["text", "text"]
