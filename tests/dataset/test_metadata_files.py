"""Metadata are read from regular files of a sane size, and from nothing else."""

import json
import os
from pathlib import Path

import pytest

from wkfast import Dataset
from wkfast.errors import DatasetError, DatasetNotFoundError, LayerNotFoundError, WkfastError

FILE = "datasource-properties.json"


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    made = Dataset(tmp_path / "dataset", voxel_size=(1, 1, 1))
    made.add_layer("color", "color", dtype="uint8", data_format="zarr3").add_mag(1)
    return made


def make_fifo(file: Path) -> None:
    os.mkfifo(file)


def make_endless(file: Path) -> None:
    file.symlink_to("/dev/zero")


def make_folder(file: Path) -> None:
    file.mkdir()


def make_large(file: Path) -> None:
    with file.open("wb") as made:
        made.truncate(65 << 20)


@pytest.mark.parametrize("make", [make_fifo, make_endless, make_folder, make_large])
@pytest.mark.parametrize("name", [FILE, "color/1/zarr.json"])
def test_what_is_no_small_file_is_refused_without_waiting(dataset: Dataset, name: str, make) -> None:
    file = dataset.path / name
    file.unlink()
    make(file)
    with pytest.raises(WkfastError):
        Dataset.open(dataset.path).get_layer("color").get_mag(1)


@pytest.mark.parametrize("make", [make_fifo, make_endless, make_large])
def test_an_error_names_the_file(dataset: Dataset, make) -> None:
    file = dataset.path / FILE
    file.unlink()
    make(file)
    with pytest.raises(DatasetError, match=FILE):
        Dataset.open(dataset.path)


def test_no_file_is_no_dataset(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in [tmp_path, tmp_path / "none", tmp_path / "file"]:
        with pytest.raises(DatasetNotFoundError):
            Dataset.open(folder)


def test_attributes_of_a_group_that_cannot_be_read_do_not_wait(dataset: Dataset) -> None:
    group = dataset.path / "color" / "zarr.json"
    assert json.loads(group.read_text())["node_type"] == "group"
    group.unlink()
    make_fifo(group)
    Dataset.open(dataset.path).get_layer("color").add_mag(2)
    assert json.loads(group.read_text())["node_type"] == "group"


def test_a_dataset_that_is_the_current_folder_has_its_name(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(dataset.path)
    here = Dataset.open(".")
    with pytest.raises(LayerNotFoundError, match=r"^\. has no layer 'x'"):
        here.get_layer("x")
    content = json.loads((dataset.path / FILE).read_text())
    del content["id"]["name"]
    (dataset.path / FILE).write_text(json.dumps(content))
    assert Dataset.open(".").name == "dataset"
