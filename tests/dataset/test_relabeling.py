"""Layers with other labels: what numpy's lookup makes of them, whatever the mapping is given as."""

from __future__ import annotations

import concurrent.futures as cf
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from tests.inputs import tree_state

import wkfast as wk
from wkfast.dataset.mapping import pairs_of
from wkfast.errors import DatasetError, DatasetValueError, ExistsError, VolumeDataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


def voxels_of(dtype: str) -> NDArray:
    low = -3 if dtype.startswith("int") else 0
    blocks = np.random.default_rng(8).integers(low, 9, (10, 10, 10))
    return blocks.repeat(4, 0).repeat(4, 1).repeat(4, 2).astype(dtype)


def some_layer(folder: Path, dtype: str = "uint32", data_format: str = "zarr3") -> wk.Layer:
    layer = wk.Dataset(folder, voxel_size=(4, 4, 40)).add_layer(
        "labels", "segmentation", dtype=dtype, data_format=data_format
    )
    shards = {} if data_format == "zarr" else {"shard_shape": 32}
    for mag in (1, 2):
        step = wk.Mag(mag).to_vec3_int()
        view = layer.add_mag(mag, chunk_shape=16, **shards)
        view.write(
            voxels_of(dtype), absolute_offset=wk.Vec3Int(5, 17, 33) * step, allow_resize=True, allow_unaligned=True
        )
    return layer


def slowly(voxels: NDArray, mapping: dict[int, int], missing: str) -> NDArray:
    """Voxel by voxel."""
    flat = [mapping.get(v, v if missing == "keep" else 0) for v in voxels.ravel().tolist()]
    return np.array(flat, voxels.dtype).reshape(voxels.shape)


@pytest.mark.parametrize("missing", ["keep", "zero"])
@pytest.mark.parametrize(
    ("dtype", "data_format"), [("uint8", "wkw"), ("uint32", "zarr"), ("uint64", "zarr3"), ("int16", "zarr3")]
)
def test_every_voxel_gets_the_label_that_the_mapping_says(tmp_path, dtype, data_format, missing):
    layer = some_layer(tmp_path / "d", dtype, data_format)
    mapping = {1: 2, 2: 1, 5: 0, 7: np.iinfo(dtype).max, 100: 3}
    if dtype.startswith("int"):
        mapping |= {-2: 4, 4: -1}
    new = layer.relabel(mapping, "other", missing=missing)
    assert (new.dtype, list(new.mags), new.bounding_box) == (layer.dtype, list(layer.mags), layer.bounding_box)
    for mag in layer.mags:
        assert np.array_equal(new.get_mag(mag).read(), slowly(layer.get_mag(mag).read(), mapping, missing))
        assert new.get_mag(mag).info == layer.get_mag(mag).info
    assert new.largest_segment_id is None or new.largest_segment_id >= new.get_mag(1).read().max()


def forms() -> dict[str, Any]:
    old, new = np.array([7, 1, 3], np.int64), np.array([70, 10, 1], np.uint8)
    return {
        "dict": {7: 70, 1: 10, 3: 1},
        "dict of numpy's numbers": {np.uint64(7): np.int8(70), 1: np.uint32(10), 3: 1},
        "arrays": (old, new),
        "lists": ([7, 1, 3], [70, 10, 1]),
        "function": lambda label: {7: 70, 1: 10, 3: 1}.get(label, label),
    }


@pytest.mark.parametrize("form", forms())
def test_a_mapping_may_be_given_in_several_ways(tmp_path, form):
    layer = some_layer(tmp_path / "d")
    new = layer.relabel(forms()[form], "other")
    assert np.array_equal(new.get_mag(1).read(), slowly(layer.get_mag(1).read(), forms()["dict"], "keep"))


def test_chunks_that_stay_the_same_keep_their_bytes_and_erased_ones_stay(tmp_path):
    layer = wk.Dataset(tmp_path / "d", voxel_size=(1, 1, 1)).add_layer(
        "labels", "segmentation", dtype="uint32", data_format="zarr"
    )
    mag = layer.add_mag(1, chunk_shape=16)
    mag.write(np.full((32, 16, 16), 4, np.uint32), absolute_offset=(0, 0, 0), allow_resize=True)
    mag.write(np.full((16, 16, 16), 5, np.uint32), absolute_offset=(32, 0, 0), allow_resize=True)
    new = layer.relabel({5: 6}, "other")
    before, after = tree_state(mag.path), tree_state(new.get_mag(1).path)
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == ["0/2/0/0"]
    emptied = layer.relabel({4: 0}, "emptied")
    assert len(emptied.get_mag(1)._source.chunks()) == 3


def test_jobs_of_an_executor_make_the_same_layer(tmp_path):
    layer = some_layer(tmp_path / "d")
    with cf.ProcessPoolExecutor(2) as executor:
        spread = layer.relabel({1: 2, 3: 9}, "spread", executor=executor)
    whole = layer.relabel({1: 2, 3: 9}, "whole")
    assert tree_state(spread.path) == tree_state(whole.path)
    assert not list((tmp_path / "d").glob(".*mapping"))


def zarr_agglomerate(path: Path, table: NDArray) -> Path:
    group = zarr.open_group(path, mode="w")
    group.create_array("segment_to_agglomerate", data=table, chunks=(2,))
    return path


def hdf5_agglomerate(path: Path, table: NDArray) -> Path:
    h5py = pytest.importorskip("h5py", reason="agglomerates in HDF5 need h5py")
    with h5py.File(path, "w") as file:
        file.create_dataset("segment_to_agglomerate", data=table, chunks=(2,))
    return path


@pytest.mark.parametrize("written", [zarr_agglomerate, hdf5_agglomerate])
def test_agglomerate_files_are_mappings(tmp_path, written: Callable[[Path, NDArray], Path], monkeypatch):
    monkeypatch.setattr("wkfast.dataset.agglomerates._PIECE", 3)
    layer = some_layer(tmp_path / "d")
    table = np.array([0, 1, 1, 1, 4, 4, 4, 9], np.uint64)
    path = written(tmp_path / "agglomerate.hdf5", table)
    new = layer.relabel(path, "other")
    assert np.array_equal(
        new.get_mag(1).read(), slowly(layer.get_mag(1).read(), dict(enumerate(table.tolist())), "keep")
    )
    with pytest.raises(VolumeDataError, match=r"chunk \(\d+, \d+, \d+\): label 8 is not in the mapping"):
        layer.relabel(path, "error", missing="error")
    assert "error" not in layer.dataset.layers
    small = some_layer(tmp_path / "small", "uint8")
    with pytest.raises(DatasetError, match="segment 2 belongs to agglomerate 300"):
        small.relabel(written(tmp_path / "large.hdf5", np.array([0, 1, 300], np.uint64)), "other")
    assert list(small.dataset.layers) == ["labels"]


def test_a_mapping_is_applied_once_so_that_labels_may_change_places(tmp_path):
    layer = some_layer(tmp_path / "d")
    before = layer.get_mag(1).read()
    swapped = layer.relabel({1: 2, 2: 1}, "swapped").get_mag(1).read()
    assert np.array_equal(swapped, np.where(before == 1, 2, np.where(before == 2, 1, before)))
    assert {1, 2} <= set(before.ravel().tolist())


def test_what_is_no_agglomerate_file_is_an_error(tmp_path):
    layer = some_layer(tmp_path / "d")
    group = zarr.open_group(tmp_path / "none", mode="w")
    group.create_array("other", data=np.zeros(3))
    floats = zarr_agglomerate(tmp_path / "floats", np.zeros(3))
    for path, message in (
        ("missing", "not there"),
        ("none", "no agglomerate file"),
        (floats.name, "expected one axis"),
    ):
        with pytest.raises(DatasetError, match=message):
            layer.relabel(tmp_path / path, "other")
    cut = zarr_agglomerate(tmp_path / "cut", np.arange(1, 9, dtype=np.uint64))
    for file in (cut / "segment_to_agglomerate" / "c").iterdir():
        file.write_bytes(file.read_bytes()[:5])
    with pytest.raises(DatasetError, match="no complete agglomerate file: segments 0 to 7 cannot be read"):
        layer.relabel(cut, "other")
    pytest.importorskip("h5py", reason="agglomerates in HDF5 need h5py")
    whole = hdf5_agglomerate(tmp_path / "whole.hdf5", np.arange(10, dtype=np.uint64)).read_bytes()
    (tmp_path / "cut.hdf5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match="no complete agglomerate file"):
        layer.relabel(tmp_path / "cut.hdf5", "other")
    assert list(layer.dataset.layers) == ["labels"]


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({1: 300}, "makes labels 300, which is no label of the layer's type uint8"),
        ({-1: 3}, "names -1"),
        ({1: -3}, "makes labels -3"),
        ({1: 2.5}, "makes labels 2.5"),
        ({"a": 1}, "names 'a'"),
        ({True: 1}, "names True"),
        (([1, 2], [3]), "has 2 labels, but 1"),
        (([1, 1], [3, 4]), "names label 1 twice"),
        (([[1], [2]], [3, 4]), r"shape \(2, 1\)"),
        ([1, 2, 3], "list is no mapping"),
        (7, "int is no mapping"),
        (lambda _: 2**64, "makes labels 18446744073709551616"),
        (lambda _: None, "makes labels None"),
        ({0: 9}, "makes 0 9: 0 is what no voxel was given"),
    ],
)
def test_what_is_no_mapping_is_refused_before_anything_is_written(tmp_path, mapping, message):
    layer = some_layer(tmp_path / "d", "uint8")
    before = tree_state(tmp_path)
    with pytest.raises(DatasetValueError, match=message):
        layer.relabel(mapping, "other")
    assert tree_state(tmp_path) == before


def test_a_label_that_is_missing_leaves_no_layer_behind(tmp_path):
    layer = some_layer(tmp_path / "d")
    before = tree_state(tmp_path)
    with pytest.raises(VolumeDataError, match=r"chunk .* is not in the mapping; pass missing"):
        layer.relabel({1: 2}, "other", missing="error")
    with pytest.raises(DatasetValueError, match="missing is 'drop'"):
        layer.relabel({1: 2}, "other", missing="drop")
    with pytest.raises(ExistsError, match="a layer 'labels' already"):
        layer.relabel({1: 2}, "labels")
    assert tree_state(tmp_path) == before


def test_an_error_of_a_function_names_label_and_line(tmp_path):
    layer = some_layer(tmp_path / "d", "uint8")
    before = tree_state(tmp_path)
    with pytest.raises(DatasetError, match=r"failed for \d+ in line \d+ of .*test_relabeling.py: ZeroDivisionError"):
        layer.relabel(lambda label: label // 0, "other")
    assert tree_state(tmp_path) == before


def test_labels_beyond_what_floats_tell_apart_stay_apart():
    old, new = pairs_of({2**63 + 1: 2**64 - 1, 5: 2**53 + 1}, np.dtype("uint64"), list)
    assert (old.tolist(), new.tolist()) == ([5, 2**63 + 1], [2**53 + 1, 2**64 - 1])


def test_merger_mode_makes_the_segments_of_a_tree_one(tmp_path):
    labels = np.arange(12, dtype="uint32").reshape(12, 1, 1)
    dataset = wk.Dataset(tmp_path / "d", voxel_size=(4, 4, 40))
    layer = dataset.write_layer("labels", "segmentation", labels, downsample=False)
    annotation = wk.Annotation("a", dataset_name="d", voxel_size=(4, 4, 40))
    for nodes in ([5, 3, 0, 5], [7, 9], [9, 3], [11], [0], [50]):
        annotation.skeleton.add_tree("t").add_nodes(np.array([(x, 0, 0) for x in nodes], float))
    mapping = annotation.merger_mode_mapping(layer)
    assert mapping == {3: 3, 5: 3, 7: 3, 9: 3, 11: 11}
    assert layer.relabel(mapping, "merged").get_mag(1).read().ravel().tolist() == [0, 1, 2, 3, 4, 3, 6, 3, 8, 3, 10, 11]
    with pytest.raises(DatasetValueError, match="holds no labels"):
        annotation.merger_mode_mapping(dataset.add_layer("c", "color", dtype="float32"))
    with pytest.raises(DatasetValueError, match="is no layer"):
        annotation.merger_mode_mapping("labels")
