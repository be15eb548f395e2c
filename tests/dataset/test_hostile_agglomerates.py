"""Agglomerate files that are anybody's: refused before anything is waited for or filled."""

from __future__ import annotations

import json
import os
import random
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

import wkfast as wk
from wkfast.dataset import agglomerates
from wkfast.dataset.hdf5_table import Hdf5Table
from wkfast.errors import DatasetError, VolumeDataError, WkfastError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

h5py = pytest.importorskip("h5py", reason="agglomerates in HDF5 need h5py")

TABLE = agglomerates.TABLE


def refused(path: Path, match: str) -> None:
    with pytest.raises(DatasetError, match=match), agglomerates.opened(path) as (_, pieces):
        list(pieces)


HDF5: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "gaps": ("cannot hold", lambda file: file.create_dataset(TABLE, (10**12,), "u8", chunks=(1 << 20,))),
    "packed gaps": ("cannot hold", lambda file: file.create_dataset(TABLE, (10**9,), "u8", compression="gzip")),
    "a large chunk": (
        "chunks of",
        lambda file: file.create_dataset(TABLE, (5,), "u8", chunks=(1 << 28,), maxshape=(None,)),
    ),
    "a group": ("expected one axis", lambda file: file.create_group(TABLE)),
    "a type": ("expected one axis", lambda file: file.__setitem__(TABLE, np.dtype("u8"))),
    "nothing": ("expected one axis", lambda file: file.create_dataset(TABLE, data=h5py.Empty("u8"))),
    "lists": ("expected one axis", lambda file: file.create_dataset(TABLE, (5,), h5py.vlen_dtype("u8"))),
    "a link in a circle": ("no complete", lambda file: file.__setitem__(TABLE, h5py.SoftLink(f"/{TABLE}"))),
    "another file": ("another file", lambda file: file.__setitem__(TABLE, h5py.ExternalLink("/dev/zero", "/a"))),
    "entries of others": (
        "other files",
        lambda file: file.create_dataset(TABLE, (5,), "u8", external=[("/etc/passwd", 0, 40)]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", HDF5)
def test_tables_of_hdf5_that_are_none_are_refused(kind, tmp_path):
    reason, make = HDF5[kind]
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        make(file)
    refused(tmp_path / "a.hdf5", reason)


ARRAY: dict[str, Any] = {
    "shape": [2**60], "data_type": "r8", "codecs": None, "fill_value": "NaN", "chunk_grid": [], "node_type": "group",
    "zarr_format": 9, "chunk_key_encoding": 5,
}  # fmt: skip


def folder(path: Path) -> Path:
    zarr.open_group(path, mode="w").create_array(TABLE, data=np.arange(50, dtype=np.uint64))
    return path / TABLE


@pytest.mark.parametrize("key", [*ARRAY, "no shape"])
def test_tables_of_zarr_that_are_none_are_refused(key, tmp_path):
    file = folder(tmp_path / "a") / "zarr.json"
    name, value = (key, ARRAY[key]) if key in ARRAY else ("shape", "x")
    file.write_text(json.dumps({**json.loads(file.read_text()), name: value}))
    refused(tmp_path / "a", "agglomerate file|cannot hold|expected one axis")


@pytest.mark.parametrize("name", ["zarr.json", "c/0"])
@pytest.mark.parametrize("target", ["fifo", "/dev/zero", "nowhere"])
def test_files_that_are_none_are_neither_waited_for_nor_read(name, target, tmp_path):
    file = folder(tmp_path / "a") / name
    file.unlink()
    if target == "fifo":
        os.mkfifo(file)
    else:
        file.symlink_to(target)
    refused(tmp_path / "a", name)


def test_a_fifo_is_no_agglomerate_file_and_nobody_waits_for_it(tmp_path):
    os.mkfifo(tmp_path / "a.hdf5")
    refused(tmp_path / "a.hdf5", "no regular file")


def test_a_file_that_ends_the_process_which_reads_it_is_refused(tmp_path):
    """libhdf5 2.0 reads a checksum in front of a chunk that is shorter than one."""
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        table = file.create_dataset(TABLE, (500,), "u4", chunks=(50,), fletcher32=True)
        table.id.write_direct_chunk((0,), b"x")
    refused(path, "segments 0 to 499 cannot be read")


def test_what_is_read_by_another_process_is_what_the_file_has(tmp_path):
    path, entries = tmp_path / "a b\udcff.hdf5", np.arange(3_000_000, dtype=">u4")
    with h5py.File(path, "w") as file:
        file.create_dataset(TABLE, data=entries, chunks=(70_000,), compression="gzip", compression_opts=1)
    with agglomerates.opened(path) as (count, pieces):
        read = list(pieces)
    assert (count, len(read)) == (3_000_000, 3)
    np.testing.assert_array_equal(np.concatenate(read), entries)


def test_the_process_that_reads_goes_with_the_block(tmp_path):
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.create_dataset(TABLE, data=np.arange(5))
    with Hdf5Table(tmp_path / "a.hdf5", TABLE) as table:
        assert table[1:9].tolist() == [1, 2, 3, 4]
        os.kill(table._process.pid, signal.SIGKILL)
        with pytest.raises(ValueError, match="SIGKILL"):
            table[0:5]
    with Hdf5Table(tmp_path / "a.hdf5", TABLE) as table:
        assert table._process.poll() is None
    assert table._process.returncode == -signal.SIGKILL
    with pytest.raises(ValueError, match="closed file"):
        table[0:5]


def test_damaged_bytes_raise_errors_of_wkfast_alone(tmp_path):
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file.create_dataset(TABLE, data=np.arange(50, dtype=np.uint64))
    whole, chance = path.read_bytes(), random.Random(5)

    def damaged() -> bytes:
        content = bytearray(whole[: chance.choice([len(whole), chance.randrange(len(whole))])])
        for _ in range(chance.randint(1, 6)):
            content[chance.randrange(len(content))] = chance.choice([0, 255, chance.randrange(256)])
        return bytes(content)

    def read(number: int, content: bytes) -> None:
        file = tmp_path / f"{number}.hdf5"
        file.write_bytes(content)
        with suppress(WkfastError), agglomerates.opened(file) as (_, pieces):
            list(pieces)

    with ThreadPoolExecutor() as pool:  # each is read by a process of its own
        list(pool.map(read, range(300), [damaged() for _ in range(300)]))


def test_chunks_larger_than_a_piece_are_read_once(tmp_path, monkeypatch):
    monkeypatch.setattr(agglomerates, "_PIECE", 4)
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file.create_dataset(TABLE, data=np.arange(50, dtype=np.uint64), chunks=(16,), compression="gzip")
    with agglomerates.opened(path) as (entries, pieces):
        assert (entries, [len(piece) for piece in pieces]) == (50, [16, 16, 16, 2])


def test_a_table_for_which_there_is_no_room_is_told_by_its_folder(tmp_path, monkeypatch):
    layer = wk.Dataset(tmp_path / "dataset", voxel_size=(1, 1, 1)).write_layer(
        "cells", "segmentation", np.ones((8, 8, 8), np.uint32), downsample=False
    )
    folder(tmp_path / "a")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wkfast.dataset.mapping._write_dense", full)
    with pytest.raises(VolumeDataError, match=r"dataset.*No space left on device"):
        layer.relabel(tmp_path / "a", "new")
    assert not [file.name for file in (tmp_path / "dataset").rglob("*") if "mapping" in file.name]
