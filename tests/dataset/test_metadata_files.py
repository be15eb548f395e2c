"""Metadata are read from regular files of a sane size, and from nothing else."""

import copy
import json
import os
import pickle
import shutil
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wkfast import Dataset, _core
from wkfast.dataset.present_files import lengths_of_array
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


def make_socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made, pytest.MonkeyPatch.context() as patch:
        patch.chdir(file.parent)  # an address is short
        made.bind(file.name)


def make_circle(file: Path) -> None:
    file.symlink_to(file.name)


def make_long_link(file: Path) -> None:
    file.symlink_to("n" * 300)


@pytest.mark.parametrize("make", [make_fifo, make_endless, make_folder, make_large, make_socket, make_circle])
@pytest.mark.parametrize("name", [FILE, "color/1/zarr.json"])
def test_what_is_no_small_file_is_refused_without_waiting(dataset: Dataset, name: str, make) -> None:
    file = dataset.path / name
    file.unlink()
    make(file)
    with pytest.raises(WkfastError):
        Dataset.open(dataset.path).get_layer("color").get_mag(1)


@pytest.mark.parametrize("make", [make_fifo, make_endless, make_large, make_socket, make_circle])
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


def delete_layer(dataset: Dataset) -> None:
    dataset.delete_layer("color")


def rename(dataset: Dataset) -> None:
    dataset.get_layer("color").name = "new"


def delete_mag(dataset: Dataset) -> None:
    dataset.get_layer("color").delete_mag(1)


def add_mag(dataset: Dataset) -> None:
    dataset.get_layer("color").add_mag(2)


def copy_layer(dataset: Dataset) -> None:
    dataset.add_layer_as_copy(dataset.get_layer("color"), "copied")


def shallow_copy(dataset: Dataset) -> None:
    dataset.shallow_copy_dataset(dataset.path.parent / "shallow")


CHANGES = [delete_layer, rename, delete_mag, add_mag, copy_layer, shallow_copy]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("make", [make_fifo, make_socket, make_circle, make_long_link])
@pytest.mark.parametrize("name", ["color", "color/1"])
def test_a_change_over_what_is_no_folder_ends_and_says_so_in_our_words(
    dataset: Dataset, name: str, make, change
) -> None:
    shutil.rmtree(dataset.path / name)
    make(dataset.path / name)
    with suppress(WkfastError):
        change(Dataset.open(dataset.path))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("key", ["name", "path"])
@pytest.mark.parametrize("long", ["n" * 256, "é" * 128, "n/" * 3000 + "n"])
def test_a_change_of_a_layer_with_a_name_that_no_file_can_have_ends_and_says_so_in_our_words(
    dataset: Dataset, key: str, long: str, change
) -> None:
    properties = json.loads((dataset.path / FILE).read_text())
    (layer,) = properties["dataLayers"]
    (layer if key == "name" else layer["mags"][0])[key] = long
    (dataset.path / FILE).write_text(json.dumps(properties))
    with suppress(WkfastError):  # what cannot be read may still be deleted or get another name
        change(Dataset.open(dataset.path))


@pytest.mark.parametrize("copy", ["copy_dataset", "shallow_copy_dataset"])
def test_a_layer_whose_folder_would_be_a_file_of_the_dataset_is_not_copied(dataset: Dataset, copy: str) -> None:
    properties = json.loads((dataset.path / FILE).read_text())
    (layer,) = properties["dataLayers"]
    layer["mags"][0]["path"] = "./color/1"
    layer["name"] = FILE
    (dataset.path / FILE).write_text(json.dumps(properties))
    with pytest.raises(WkfastError, match=FILE):
        getattr(Dataset.open(dataset.path), copy)(dataset.path.parent / "copy")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("make", [make_fifo, make_socket, make_circle, make_long_link, make_folder])
@pytest.mark.parametrize("name", ["color/zarr.json", "zarr.json"])
def test_a_group_that_is_no_regular_file_is_replaced_or_told_of_in_our_words(
    dataset: Dataset, name: str, make, change
) -> None:
    (dataset.path / name).unlink()
    make(dataset.path / name)
    with suppress(WkfastError):
        change(Dataset.open(dataset.path))


@pytest.mark.parametrize("shape", [None, [], [1, 2, 3, 4, 5], ["1", "2", "3", "4"]])
def test_an_array_that_has_become_another_meanwhile_is_told(tmp_path, shape):
    """As when somebody puts another folder in its place between two looks."""
    layer = Dataset(tmp_path / "d", voxel_size=(1, 1, 1)).add_layer("l", "color", dtype="uint8", data_format="zarr3")
    file = layer.add_mag(1).path / "zarr.json"
    if shape is None:
        file.unlink()
    else:
        file.write_text(json.dumps({**json.loads(file.read_text()), "shape": shape, "dimension_names": None}))
    with pytest.raises(DatasetError, match="expected a length for each of the axes"):
        lengths_of_array(layer, file.parent)


LONG = ["x" * 20_000, "é/" * 9000, ["y" * 20_000], list(range(9000)), {"k" * 9000: 1}, 10**4000]


def places(value: object, at: tuple = ()) -> list[tuple]:
    """Every place in JSON, by the keys that lead there."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [at, *(each for key in keys for each in places(value[key], (*at, key)))]


def looked_at(folder: Path) -> None:
    """Ask for whatever a dataset's file says."""
    dataset = Dataset.open(folder)
    for look in ("voxel_size", "voxel_size_with_unit", "default_view_configuration", "name"):
        getattr(dataset, look)
    for layer in dataset.layers.values():
        looks = ("category", "dtype", "num_channels", "bounding_box", "data_format", "mags", "attachments")
        more = ("largest_segment_id", "default_view_configuration", "coordinate_transformations", "additional_axes")
        for look in (*looks, *more):
            getattr(layer, look, None)
        list(layer.attachments.meshes)
        for mag in layer.mags.values():
            mag.read()


@pytest.mark.parametrize("number", range(len(LONG)))
def test_what_is_said_of_long_values_is_short_and_begins_with_the_file(tmp_path: Path, number: int) -> None:
    dataset = Dataset(tmp_path / "dataset", voxel_size=(1, 1, 1))
    dataset.add_layer("labels", "segmentation", dtype="uint8").add_mag(1)
    file = dataset.path / FILE
    stated = json.loads(file.read_text())
    stated["dataLayers"][0] |= {
        "additionalAxes": [{"name": "t", "bounds": [0, 3], "index": 1}],
        "coordinateTransformations": [{"type": "affine", "matrix": [[1, 0, 0, 0]] * 4}],
        "defaultViewConfiguration": {"color": [1, 2, 3]},
        "attachments": {"meshes": [{"name": "m", "path": "./labels/m", "dataFormat": "hdf5"}]},
    }
    refused = []
    for place in places(stated)[1:]:
        changed = json.loads(json.dumps(stated))
        *way, last = place
        inner = changed
        for key in way:
            inner = inner[key]
        inner[last] = LONG[number]
        file.write_text(json.dumps(changed))
        try:
            looked_at(dataset.path)
        except WkfastError as error:
            refused.append(str(error).replace(str(file), "FILE"))
    assert len(refused) > 5
    assert max(map(len, refused)) <= 2000
    assert max(len(each) for each in refused if each.startswith("FILE")) < 900


@pytest.mark.parametrize(
    ("change", "bound"),
    [
        ({"mags": [{"mag": [1, 1, 1], "path": "n" * 6000}]}, "4,096 bytes at most, 255 between two slashes"),
        ({"name": "n" * 300}, "4,096 bytes at most, 255 between two slashes"),
        ({"mags": [{"mag": [1, 1, 1], "axisOrder": {"x": 64}}]}, "of 64 axes at most"),
        ({"additionalAxes": [{"name": "t", "bounds": [0, 3], "index": 64}]}, "an index below 64"),
    ],
)
def test_what_is_beyond_a_bound_is_told_it(dataset: Dataset, change: dict, bound: str) -> None:
    file = dataset.path / FILE
    stated = json.loads(file.read_text())
    stated["dataLayers"][0] |= change
    file.write_text(json.dumps(stated))
    with pytest.raises(DatasetError, match=bound) as refused:
        looked_at(dataset.path)
    assert str(refused.value).startswith(str(file))


def test_no_dataset_is_made_behind_a_link_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(DatasetError, match="link is a link to elsewhere, which is not there"):
        Dataset(tmp_path / "link", voxel_size=(1, 1, 1))
    with pytest.raises(DatasetNotFoundError, match="none: there is no such folder"):
        Dataset.open(tmp_path / "none")


def _nested(depth: int) -> list:
    nested: list = []
    for _ in range(depth):
        nested = [nested]
    return nested


def test_properties_nest_as_deep_as_can_be_copied_and_no_deeper(dataset: Dataset) -> None:
    file = dataset.path / "datasource-properties.json"
    stated = json.loads(file.read_text())
    file.write_text(json.dumps({**stated, "further": _nested(120)}))
    opened = Dataset.open(dataset.path)
    assert pickle.loads(pickle.dumps(opened)) == copy.deepcopy(opened) == opened
    opened.add_layer("more", "color")
    assert json.loads(file.read_text())["further"] == _nested(120)
    for depth in (128, 900):
        file.write_text(json.dumps({**stated, "further": _nested(depth)}))
        with pytest.raises(DatasetError, match=r"datasource-properties\.json: lists and objects nest deeper than 128"):
            Dataset.open(dataset.path)


@given(
    st.recursive(
        st.text() | st.none() | st.integers(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_how_deep_a_text_nests_is_how_deep_what_is_read_of_it_does(value: object) -> None:
    def depth(part: object) -> int:
        if not isinstance(part, (dict, list)):
            return 0
        return 1 + max(map(depth, part.values() if isinstance(part, dict) else part), default=0)

    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=4)):
        stored, nests = text.encode("utf-8", "surrogatepass"), depth(value)
        assert not _core.json_nests_deeper(stored, nests)
        assert nests == 0 or _core.json_nests_deeper(stored, nests - 1)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-be"])
def test_how_deep_properties_nest_is_seen_in_every_encoding(dataset: Dataset, encoding: str) -> None:
    file = dataset.path / "datasource-properties.json"
    deep: object = []
    for _ in range(200):
        deep = ["\u225b\u5b22]", deep]
    file.write_bytes(json.dumps({**json.loads(file.read_text()), "further": deep}, ensure_ascii=False).encode(encoding))
    with pytest.raises(DatasetError, match="nest deeper than 128"):
        Dataset.open(dataset.path)


def _seconds_to_add(folder: Path, layers: int) -> float:
    dataset = Dataset(folder, voxel_size=(1, 1, 1))
    dataset.add_layer("first", "color")
    file = folder / "datasource-properties.json"
    stated = json.loads(file.read_text())
    (first,) = stated["dataLayers"]
    stated["dataLayers"] += [{**first, "name": f"layer {number}"} for number in range(layers)]
    file.write_text(json.dumps(stated))
    before = time.process_time()
    Dataset.open(folder).add_layer("last", "color")
    return time.process_time() - before


def test_the_time_to_add_a_layer_grows_as_the_number_of_layers(tmp_path: Path) -> None:
    few, many = (_seconds_to_add(tmp_path / str(layers), layers) for layers in (1_000, 16_000))
    assert many < 36 * max(few, 0.01)
