"""Datasets on a server by the names that scripts call: of the class ``Dataset``, in lists, and who asks for them."""

import subprocess
import sys

import numpy as np
import pytest

import wkfast as wk
from wkfast.client import errors
from wkfast.errors import DatasetValueError


def test_a_dataset_is_opened_by_the_older_name(logged_in, dataset_id, fallback):
    with pytest.warns(DeprecationWarning, match="RemoteDataset.open"):
        dataset = wk.Dataset.open_remote("cells", webknossos_url=logged_in.url)
    assert isinstance(dataset, wk.RemoteDataset)
    assert dataset.dataset_id == dataset_id
    assert np.array_equal(dataset.get_layer("segmentation").get_mag(1).read()[0], fallback[32:, :, 64:])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_annotation_is_opened_by_the_older_name(logged_in, annotation_id):
    dataset = wk.Dataset.open_remote(annotation_id=annotation_id, read_only=True, use_zarr_streaming=True)
    assert dataset.annotation_id == annotation_id
    with pytest.raises(DatasetValueError, match="streaming alone"):
        wk.Dataset.open_remote("cells", use_zarr_streaming=False)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_not_there_is_a_value_error(logged_in):
    with pytest.raises(ValueError, match="answered 404"):
        wk.RemoteDataset.open("cell bodies")
    with pytest.raises(RuntimeError, match="answered 404"):
        wk.Dataset.open_remote("cell bodies")


def test_a_part_is_fetched_by_the_older_name(logged_in, fallback, tmp_path):
    box = wk.BoundingBox((32, 0, 64), (32, 32, 32))
    with pytest.warns(DeprecationWarning, match="RemoteDataset.download"):
        copy = wk.Dataset.download("cells", bbox=box, layers="segmentation", mags=[wk.Mag(1)], path=tmp_path / "d")
    assert isinstance(copy, wk.Dataset)
    assert not isinstance(copy, wk.RemoteDataset)
    assert list(copy.layers) == ["segmentation"]
    assert list(copy.get_layer("segmentation").mags) == [wk.Mag(1)]
    assert np.array_equal(copy.get_layer("segmentation").get_mag(1).read()[0], fallback[32:64, :32, 64:96])


@pytest.fixture
def three(server):
    """Two more datasets, one with tags; ids by name."""
    template = next(iter(server.state.datasets.values()))
    for name, tags in (("axons", ["mouse", "old"]), ("axons 2", ["old"])):
        server.state.add_dataset(name, template.layers)
        next(it for it in server.state.datasets.values() if it.name == name).tags.extend(tags)
    return {it.name: it.id for it in server.state.datasets.values()}


def test_datasets_are_listed_and_opened_when_they_are_looked_up(logged_in, three):
    logged_in.log.clear()
    listed = wk.RemoteDataset.list()
    assert set(listed) == set(three.values())
    assert len(listed) == 3
    asked = len(logged_in.log)
    dataset = listed[three["axons"]]
    assert (dataset.name, dataset.dataset_id) == ("axons", three["axons"])
    assert listed[three["axons"]] is dataset
    assert len(logged_in.log) > asked
    with pytest.raises(KeyError):
        listed["0" * 24]
    assert three["cells"] in repr(listed)


@pytest.mark.parametrize(
    ("which", "names"),
    [
        ({"name": "axons"}, ["axons"]),
        ({"name": "axon"}, []),
        ({"tags": "mouse"}, ["axons"]),
        ({"tags": ["mouse", "old"]}, ["axons", "axons 2"]),
        ({"tags": []}, []),
        ({"organization_id": "elsewhere"}, []),
        ({"folder": "0" * 24}, ["axons", "axons 2", "cells"]),
        ({"folder_id": "1" * 24}, []),
    ],
)
def test_lists_can_be_narrowed(logged_in, three, which, names):
    assert sorted(wk.RemoteDataset.list(**which)) == sorted(three[name] for name in names)


def test_datasets_are_listed_by_the_older_name(logged_in, three):
    with pytest.warns(DeprecationWarning, match="RemoteDataset.list"):
        assert set(wk.Dataset.get_remote_datasets(name="cells")) == {three["cells"]}


def test_the_tokens_owner_is_known(logged_in):
    user = wk.User.get_current_user()
    stored = next(iter(logged_in.state.users.values()))
    assert (user.user_id, user.organization_id) == (stored.id, stored.organization)
    assert (user.first_name, user.last_name, user.is_active, user.is_admin) == (
        stored.first_name, stored.last_name, True, False,
    )  # fmt: skip


def test_nobody_is_known_without_a_token(server):
    with wk.webknossos_context(server.url), pytest.raises(errors.AuthenticationError, match="WK_TOKEN"):
        wk.User.get_current_user()


def test_datasets_in_folders_do_not_load_those_on_servers():
    code = "import sys; from wkfast import Dataset; Dataset.open_remote; print('wkfast.remote' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_layer_on_a_server_is_the_fallback_of_a_new_annotation(logged_in, dataset_id, tmp_path):
    layer = wk.RemoteDataset.open(dataset_id=dataset_id).get_segmentation_layer("segmentation")
    annotation = wk.Annotation("a", dataset_name="cells", voxel_size=(1, 1, 1))
    volume = annotation.add_volume_layer("v", fallback_layer=layer)
    assert (volume.fallback_layer_name, volume.dtype) == ("segmentation", np.uint32)
    annotation.save(tmp_path / "a.zip")
    with pytest.warns(UserWarning, match="no data"):
        loaded = wk.Annotation.load(tmp_path / "a.zip")
    assert loaded.get_volume_layer("v").fallback_layer_name == "segmentation"
