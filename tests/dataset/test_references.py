"""Layers and mags that refer to those of other datasets: read like others, never written or deleted through."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from tests.inputs import tree_state

import wkfast
from wkfast.dataset.attachments import Attachment, AttachmentDataFormat
from wkfast.dataset.properties import DatasetProperties
from wkfast.errors import DatasetError, DatasetValueError, ExistsError, ReadOnlyError, VolumeDataError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")
NM = (4, 4, 40)
VOXELS = np.arange(32 * 24 * 16, dtype=np.uint16).reshape(1, 32, 24, 16)


def source(wk: Any, folder: Path, data_format: str = "zarr3") -> Any:
    dataset = wk.Dataset(folder / "source", voxel_size=NM)
    box = wk.BoundingBox((0, 0, 0), (32, 24, 16))
    layer = dataset.add_layer("raw", "segmentation", dtype="uint16", data_format=data_format, bounding_box=box)
    shapes = {"chunk_shape": 16} if data_format == "zarr" else {"chunk_shape": 16, "shard_shape": 32}
    layer.add_mag(1, **shapes).write(VOXELS, absolute_offset=(0, 0, 0))
    layer.add_mag(2, **shapes).write(np.asfortranarray(VOXELS[:, ::2, ::2, ::2]), absolute_offset=(0, 0, 0))
    layer.largest_segment_id = 7
    return layer


def target(wk: Any, folder: Path) -> Any:
    return wk.Dataset(folder / "target", voxel_size=NM)


def as_ref(dataset: Any, layer: Any) -> Any:
    return dataset.add_layer_as_ref(layer, "linked")


def as_link(dataset: Any, layer: Any) -> Any:
    return dataset.add_symlink_layer(layer, "linked")


def as_relative_link(dataset: Any, layer: Any) -> Any:
    return dataset.add_symlink_layer(layer, "linked", make_relative=True)


def mags_as_ref(dataset: Any, layer: Any) -> Any:
    linked = dataset.add_layer_like(layer, "linked")
    for mag in layer.mags.values():
        linked.add_mag_as_ref(mag)
    return linked


def mags_as_links(dataset: Any, layer: Any) -> Any:
    linked = dataset.add_layer_like(layer, "linked")
    linked.path.mkdir(exist_ok=True)  # which the reference package does not make
    for mag in layer.mags.values():
        linked.add_symlink_mag(mag)
    return linked


WAYS = [as_ref, as_link, as_relative_link, mags_as_ref, mags_as_links]
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


@ways
def test_what_is_referred_to_is_read(wk: Any, tmp_path: Path, way: Any) -> None:
    linked = way(target(wk, tmp_path), source(wk, tmp_path))
    reopened = wk.Dataset.open(tmp_path / "target").get_layer("linked")
    for layer in (linked, reopened):
        assert sorted(str(mag) for mag in layer.mags) == ["1", "2"]
        assert np.array_equal(layer.get_mag(1).read(), VOXELS)
        assert np.array_equal(layer.get_mag(2).read(), VOXELS[:, ::2, ::2, ::2])
        assert (layer.category, layer.dtype, layer.largest_segment_id) == ("segmentation", np.uint16, 7)
        assert layer.bounding_box.size_xyz.to_tuple() == (32, 24, 16)
        assert all(mag.read_only and layer.is_mag_view_foreign(mag) for mag in layer.mags.values())


@ways
def test_nothing_is_written_through_a_reference(tmp_path: Path, way: Any) -> None:
    layer = source(wkfast, tmp_path)
    mag = way(target(wkfast, tmp_path), layer).get_mag(1)
    before = tree_state(layer.dataset.path)
    for write in (
        lambda: mag.write(VOXELS + 1),
        lambda: mag.get_view(read_only=False),
        lambda: mag.compress() if not mag.info.compression_mode else mag.rechunk(chunk_shape=32),
        lambda: mag.layer.downsample_mag(wkfast.Mag(1), wkfast.Mag(2), allow_overwrite=True),
        lambda: next(iter(mag.get_views_on_disk(read_only=False))),
    ):
        with pytest.raises((ReadOnlyError, DatasetError)):
            write()
    mag.layer.bounding_box = wkfast.BoundingBox((0, 0, 0), (64, 64, 64))  # of the reference alone
    assert tree_state(layer.dataset.path) == before
    assert wkfast.Dataset.open(layer.dataset.path).get_layer("raw").bounding_box.size_xyz == (32, 24, 16)


@ways
def test_whoever_asks_for_the_mag_itself_writes_into_it(tmp_path: Path, way: Any) -> None:
    layer = source(wkfast, tmp_path)
    mag = way(target(wkfast, tmp_path), layer).get_mag(1)
    itself = mag.referenced_mag()
    assert (itself.layer.path, itself.read_only) == (layer.path, False)
    itself.write(VOXELS + 1)
    assert np.array_equal(mag.read(), VOXELS + 1)


@pytest.mark.parametrize("what", ["layer", "mag"])
@ways
def test_deleting_takes_the_reference_and_leaves_the_data(wk: Any, tmp_path: Path, way: Any, what: str) -> None:
    layer = source(wk, tmp_path)
    dataset = target(wk, tmp_path)
    linked = way(dataset, layer)
    before = tree_state(layer.dataset.path)
    if what == "layer":
        if wk is not wkfast and not linked.path.exists():
            pytest.skip("the reference package fails to delete a layer without a folder")
        dataset.delete_layer("linked")
        assert not os.path.lexists(tmp_path / "target/linked")
        assert list(wk.Dataset.open(tmp_path / "target").layers) == []
    elif wk is not wkfast and way in {as_link, as_relative_link}:
        pytest.skip("the reference package deletes the mag's files through the link")
    else:
        linked.delete_mag(1)
        assert not os.path.lexists(tmp_path / "target/linked/1") or linked.path.is_symlink()
        assert [str(mag) for mag in wk.Dataset.open(tmp_path / "target").get_layer("linked").mags] == ["2"]
    assert tree_state(layer.dataset.path) == before


@ways
def test_a_reference_can_be_called_otherwise(tmp_path: Path, way: Any) -> None:
    layer = source(wkfast, tmp_path)
    dataset = target(wkfast, tmp_path)
    before = tree_state(layer.dataset.path)
    way(dataset, layer).name = "other"
    again = wkfast.Dataset.open(dataset.path).get_layer("other")
    assert np.array_equal(again.get_mag(1).read(), VOXELS)
    dataset.delete_layer("other")
    assert tree_state(layer.dataset.path) == before


@ways
def test_wkfast_makes_what_the_other_package_reads(tmp_path: Path, way: Any) -> None:
    webknossos = pytest.importorskip("webknossos")
    way(target(wkfast, tmp_path), source(wkfast, tmp_path))
    layer = webknossos.Dataset.open(tmp_path / "target").get_layer("linked")
    assert np.array_equal(layer.get_mag(1).read(), VOXELS)
    assert layer.get_mag(1).read_only


@pytest.mark.parametrize("way", [as_relative_link], ids=["relative"])
def test_relative_links_move_along(tmp_path: Path, way: Any) -> None:
    (tmp_path / "here").mkdir()
    way(target(wkfast, tmp_path / "here"), source(wkfast, tmp_path / "here"))
    shutil.move(tmp_path / "here", tmp_path / "there")
    layer = wkfast.Dataset.open(tmp_path / "there/target").get_layer("linked")
    assert np.array_equal(layer.get_mag(1).read(), VOXELS)


@pytest.mark.parametrize("data_format", ["wkw", "zarr", "zarr3"])
def test_a_shallow_copy_refers_to_every_layer(wk: Any, tmp_path: Path, data_format: str) -> None:
    dataset = source(wk, tmp_path, data_format).dataset
    dataset.add_layer("empty", "color")
    dataset.add_layer("ignored", "color")
    dataset.default_view_configuration = wk.DatasetViewConfiguration(zoom=2.0)
    copy = dataset.shallow_copy_dataset(tmp_path / "copy", name="shallow", layers_to_ignore=["ignored"])
    assert (copy.name, sorted(copy.layers), copy.voxel_size) == ("shallow", ["empty", "raw"], dataset.voxel_size)
    assert copy.default_view_configuration.zoom == 2.0
    assert np.array_equal(copy.get_layer("raw").get_mag(1).read(), VOXELS)
    assert str(copy.get_layer("raw").data_format) == data_format
    mags = json.loads((copy.path / "datasource-properties.json").read_text())["dataLayers"][0]["mags"]
    assert [mag["path"] for mag in mags] == [str(dataset.path.resolve() / "raw" / name) for name in ("1", "2")]


@pytest.fixture
def writes(monkeypatch):
    """The layers and mags that were listed after each write of the properties of a dataset."""
    seen, update = [], DatasetProperties.update

    def noted(self: DatasetProperties, change: Any) -> None:
        update(self, change)
        seen.append({layer.name: len(layer.mags) for layer in self.layers})

    monkeypatch.setattr(DatasetProperties, "update", noted)
    return seen


def with_attachments(folder: Path) -> Any:
    layer = source(wkfast, folder)
    for name in ("one", "two"):
        mesh = layer.path / f"{name}.hdf5"
        mesh.touch()
        layer.attachments.add_attachment_as_ref(Attachment(name, mesh, AttachmentDataFormat.HDF5, "meshes"))
    return layer


def test_a_shallow_copy_is_listed_at_once_however_many_layers_there_are(tmp_path: Path, writes: list[Any]) -> None:
    """Each listing writes all that is listed."""
    dataset = with_attachments(tmp_path).dataset
    for number in range(20):
        dataset.add_layer(f"l{number}", "color")
    writes.clear()
    copy = dataset.shallow_copy_dataset(tmp_path / "copy")
    assert writes == [{"raw": 2} | {f"l{number}": 0 for number in range(20)}]
    assert [each.name for each in copy.get_segmentation_layer("raw").attachments.meshes] == ["one", "two"]
    assert all((copy.path / name).is_dir() for name in copy.layers)


@pytest.mark.parametrize("way", [as_ref, as_link])
def test_a_layer_that_is_referred_to_is_listed_with_all_that_it_has(
    tmp_path: Path, writes: list[Any], way: Any
) -> None:
    """One that is killed between has not listed half of it."""
    layer, dataset = with_attachments(tmp_path), target(wkfast, tmp_path)
    writes.clear()
    linked = way(dataset, layer)
    assert writes == [{"linked": 2}]
    assert [each.path for each in linked.attachments.meshes] == [layer.path / "one.hdf5", layer.path / "two.hdf5"]


def test_layers_that_cannot_all_be_added_are_not_added(tmp_path: Path) -> None:
    raw = source(wkfast, tmp_path)
    raw.dataset.add_layer("more", "color")
    before = tree_state(raw.dataset.path)
    entries = [{**raw._properties.json, "name": name} for name in ("new", "more")]
    with pytest.raises(ExistsError, match="has a layer 'more' already"):
        raw.dataset._add_all(entries)
    (raw.dataset.path / "taken").touch()
    entries[1]["name"] = "taken"
    with pytest.raises(ExistsError, match="in the way of a layer"):
        raw.dataset._add_all(entries)
    (raw.dataset.path / "taken").unlink()
    assert tree_state(raw.dataset.path) == before


def test_a_mag_is_referred_to_under_another_name(wk: Any, tmp_path: Path) -> None:
    layer = source(wk, tmp_path)
    linked = target(wk, tmp_path).add_layer_like(layer, "linked")
    linked.bounding_box = wk.BoundingBox((0, 0, 0), (1, 1, 1))
    mag = linked.add_mag_as_ref(layer.get_mag(1), mag=2)
    assert linked.bounding_box.size_xyz.to_tuple() == (64, 48, 32)
    assert np.array_equal(mag.read(), VOXELS)


def test_a_mag_is_referred_to_by_its_folder(wk: Any, tmp_path: Path) -> None:
    layer = source(wk, tmp_path)
    linked = target(wk, tmp_path).add_layer_like(layer, "linked")
    assert np.array_equal(linked.add_mag_as_ref(layer.path / "1").read(), VOXELS)
    assert np.array_equal(target(wk, tmp_path / "2").add_layer_as_ref(layer.path, "l").get_mag(1).read(), VOXELS)


def test_what_does_not_fit_is_refused(wk: Any, tmp_path: Path) -> None:
    layer = source(wk, tmp_path)
    dataset = target(wk, tmp_path)
    with pytest.raises(AssertionError):
        layer.dataset.add_layer_as_ref(layer, "again")
    dataset.add_layer_as_ref(layer)
    for name in (None, "raw"):
        with pytest.raises(IndexError):
            dataset.add_layer_as_ref(layer, name)
    with pytest.raises(IndexError):
        dataset.get_layer("raw").add_mag_as_ref(layer.get_mag(1))
    for more in ({"data_format": "wkw", "dtype": "uint16"}, {"dtype": "uint8"}):
        other = dataset.add_layer(f"other{len(dataset.layers)}", "segmentation", **more)
        with pytest.raises(AssertionError):
            other.add_mag_as_ref(layer.get_mag(1))
        assert len(other.mags) == 0


def test_a_mag_of_another_layer_of_the_dataset_is_only_read(wk: Any, tmp_path: Path) -> None:
    layer = source(wk, tmp_path)
    other = layer.dataset.add_layer_like(layer, "other")
    mag = other.add_mag_as_ref(layer.get_mag(1))
    assert (mag.read_only, other.is_mag_view_foreign(mag)) == (True, False)
    with pytest.raises(RuntimeError):
        mag.write(VOXELS)
    if wk is wkfast:  # the reference package deletes the other layer's files
        other.delete_mag(1)
        assert np.array_equal(layer.get_mag(1).read(), VOXELS)


def test_the_group_of_a_layer_lists_the_arrays_in_it(tmp_path: Path) -> None:
    linked = as_ref(target(wkfast, tmp_path), source(wkfast, tmp_path))
    linked.add_mag(4, chunk_shape=16, shard_shape=32)
    multiscales = json.loads((linked.path / "zarr.json").read_text())["attributes"]["ome"]["multiscales"]
    assert [each["path"] for each in multiscales[0]["datasets"]] == ["4"]


@pytest.mark.parametrize("at", ["target/linked", "target/linked/1"])
def test_links_are_made_where_nothing_is(tmp_path: Path, at: str) -> None:
    layer, dataset = source(wkfast, tmp_path), target(wkfast, tmp_path)
    add = as_link if at.endswith("linked") else mags_as_links
    (tmp_path / at).mkdir(parents=True)
    (tmp_path / at / "file").touch()
    with pytest.raises(ExistsError):
        add(dataset, layer)
    assert (tmp_path / at / "file").exists()
    assert all(not each.mags for each in wkfast.Dataset.open(dataset.path).layers.values())


def test_a_reference_to_nothing_says_so(tmp_path: Path) -> None:
    mag = as_ref(target(wkfast, tmp_path), source(wkfast, tmp_path)).get_mag(1)
    (tmp_path / "source/datasource-properties.json").unlink()
    with pytest.raises(DatasetError, match="no dataset lists"):
        mag.referenced_mag()
    shutil.rmtree(tmp_path / "source")
    with pytest.raises(VolumeDataError, match="source/raw/1"):
        mag.read()


# -- arrays -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("move", [False, True])
@pytest.mark.parametrize("version", [2, 3])
def test_an_array_becomes_a_mag(wk: Any, tmp_path: Path, version: Any, move: bool) -> None:
    names = {"dimension_names": ["c", "x", "y", "z"]} if version == 3 else {}
    array = zarr.create_array(
        tmp_path / "array", shape=VOXELS.shape, chunks=(1, 16, 16, 16), dtype="uint16", zarr_format=version, **names
    )
    array[:] = VOXELS
    more = {"dtype": "uint16", "data_format": ["zarr", "zarr3"][version - 2]}
    layer = target(wk, tmp_path).add_layer("l", "color", **more)
    if wk is not wkfast:  # the reference package fails to grow the box to an array with channels
        layer.bounding_box = wk.BoundingBox((0, 0, 0), VOXELS.shape[1:])
    mag = layer.add_mag_from_zarrarray(1, tmp_path / "array", move=move, extend_layer_bounding_box=wk is wkfast)
    assert (tmp_path / "array").exists() != move
    assert layer.bounding_box.size_xyz.to_tuple() == VOXELS.shape[1:]
    assert np.array_equal(mag.read(), VOXELS)
    assert not mag.read_only
    assert np.array_equal(wk.Dataset.open(layer.dataset.path).get_layer("l").get_mag(1).read(), VOXELS)


def test_an_array_of_three_axes_becomes_a_coarse_mag(tmp_path: Path) -> None:
    array = zarr.create_array(
        tmp_path / "target/array", shape=(16, 24, 32), chunks=(16, 16, 16), dtype="uint16",
        dimension_names=["z", "y", "x"],
    )  # fmt: skip
    array[:] = VOXELS[0].T
    layer = target(wkfast, tmp_path / "d").add_layer("l", "color", dtype="uint16")
    shutil.move(tmp_path / "target/array", layer.dataset.path / "array")
    mag = layer.add_mag_from_zarrarray(2, "array")  # type: ignore[attr-defined]
    assert layer.bounding_box.size_xyz == (64, 48, 32)
    assert np.array_equal(mag.read_cxyz(), VOXELS)


def test_what_is_no_array_of_the_layer_is_refused(wk: Any, tmp_path: Path) -> None:
    layer = target(wk, tmp_path).add_layer("l", "color", dtype="uint16")
    with pytest.raises(ValueError, match=r"(?i)array"):
        layer.add_mag_from_zarrarray(1, tmp_path)
    assert len(layer.mags) == 0


def test_an_array_of_another_kind_stays_where_it_is(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "array", shape=(1, 8, 8, 8), chunks=(1, 8, 8, 8), dtype="uint8")
    layer = target(wkfast, tmp_path).add_layer("l", "color", dtype="uint16")
    with pytest.raises(DatasetValueError, match="uint8"):
        layer.add_mag_from_zarrarray(1, tmp_path / "array", move=True)
    assert (tmp_path / "array").exists()
    assert len(layer.mags) == 0
