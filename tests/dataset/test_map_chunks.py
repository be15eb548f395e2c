"""Functions of chunks, compiled or not, make what numpy makes of the whole."""

from __future__ import annotations

import concurrent.futures as cf
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.inputs import tree_state

import wkfast as wk
from wkfast.dataset.compiled import ChunkFunction
from wkfast.errors import DatasetValueError, ReadOnlyError, VolumeDataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

numba = pytest.importorskip("numba", reason="functions are compiled by numba")


def doubled(voxels):
    return (voxels * np.uint16(2)).astype(np.uint32)


@numba.njit
def above(voxels):
    out = np.zeros(voxels.shape, np.uint32)
    for place in np.ndindex(voxels.shape):
        if voxels[place] > 40:
            out[place] = voxels[place] - 40
    return out


def flipped_twice(voxels):
    return voxels[:, ::-1].astype(np.uint32)[:, ::-1]


def failing(voxels):
    if voxels.max() > 7:
        raise ValueError("too bright")
    return voxels.astype(np.uint32)


def in_python_alone(voxels):
    return np.array(str(voxels.tolist()) and voxels, np.uint32, order="F")


def pair(folder: Path, source: str, target: str, channels: int = 1) -> tuple[wk.MagView, wk.MagView]:
    dataset = wk.Dataset(folder, voxel_size=(4, 4, 40))
    here = dataset.add_layer("here", "color", dtype="uint16", data_format=source, num_channels=channels)
    shards = {} if source == "zarr" else {"shard_shape": 32}
    view = here.add_mag(1, chunk_shape=16, **shards)
    voxels = np.random.default_rng(3).integers(1, 100, (channels, 40, 30, 20)).astype("uint16")
    view.write(voxels, absolute_offset=(5, 17, 33), allow_resize=True)
    there = dataset.add_layer(
        "there", "segmentation" if channels == 1 else "color", dtype="uint32", data_format=target,
        num_channels=channels, bounding_box=here.bounding_box,
    )  # fmt: skip
    return view, there.add_mag(1)


@pytest.mark.parametrize("function", [doubled, numba.njit(doubled), above, flipped_twice])
@pytest.mark.parametrize(("source", "target"), [("wkw", "zarr3"), ("zarr3", "zarr"), ("zarr3", "wkw")])
def test_every_chunk_becomes_what_the_function_makes_of_it(tmp_path, source, target, function):
    view, there = pair(tmp_path / "d", source, target)
    view.map_chunks(function, there)
    plain = getattr(function, "py_func", function)
    again = wk.Dataset.open(tmp_path / "d").get_layer("there").get_mag(1)
    assert np.array_equal(again.read(), plain(view.read()))
    assert str(again.info.data_format) == target


def test_a_function_is_compiled_once_until_what_it_refers_to_changes():
    kinds = np.dtype("uint16"), np.dtype("uint32")
    factor = np.uint32(3)

    def scaled(voxels):
        return (voxels * factor).astype(np.uint32)

    first = ChunkFunction.of(scaled, *kinds)
    assert ChunkFunction.of(scaled, *kinds).address == first.address
    factor = np.uint32(5)
    other = ChunkFunction.of(scaled, *kinds)
    assert other.address != first.address


def test_what_numba_fails_at_in_any_way_is_called_as_it_is(tmp_path):
    view, target = pair(tmp_path / "d", "zarr3", "zarr3")

    def without_bright(voxels):
        kept = voxels.astype(np.uint32)
        kept[kept > 40] = 0
        return kept

    with pytest.warns(UserWarning, match="is called as it is"):
        view.map_chunks(without_bright, target)
    expected = view.read().astype(np.uint32)
    expected[expected > 40] = 0
    np.testing.assert_array_equal(target.read(absolute_bounding_box=view.bounding_box), expected)
    with pytest.raises(DatasetValueError, match="is no function of the voxels"):
        view.map_chunks(lambda voxels, more: voxels + more, target)


def test_several_channels_come_together(tmp_path):
    view, there = pair(tmp_path / "d", "zarr3", "zarr3", channels=2)

    def swapped(voxels: NDArray) -> Any:
        return voxels[::-1].astype(np.uint32)

    view.map_chunks(swapped, there)
    assert np.array_equal(there.layer.get_mag(1).read(), view.read()[::-1])


def test_what_numba_cannot_compile_is_called_as_it_is_and_says_so(tmp_path):
    view, there = pair(tmp_path / "d", "zarr3", "zarr3")
    with pytest.warns(UserWarning, match=r"in_python_alone\(\) is called as it is, .* numba cannot compile it"):
        view.map_chunks(in_python_alone, there)
    assert np.array_equal(there.layer.get_mag(1).read(), view.read())


@pytest.mark.parametrize("function", [doubled, above, in_python_alone])
def test_jobs_of_an_executor_make_the_same(tmp_path, function):
    view, there = pair(tmp_path / "d", "zarr3", "zarr3")
    with warnings.catch_warnings(), cf.ProcessPoolExecutor(1) as executor:
        warnings.simplefilter("ignore")
        view.map_chunks(function, there, executor=executor)
    plain = getattr(function, "py_func", function)
    assert np.array_equal(there.layer.get_mag(1).read(), plain(view.read()))


@pytest.mark.parametrize("compiled", [True, False])
def test_an_error_names_chunk_and_line_and_changes_nothing(tmp_path, compiled, monkeypatch):
    view, there = pair(tmp_path / "d", "zarr3", "zarr3")
    there.write(np.full((8, 8, 8), 3, np.uint32), absolute_offset=(5, 17, 33), allow_unaligned=True)
    before = tree_state(tmp_path)
    if not compiled:
        monkeypatch.setattr("wkfast.dataset.compiled._compiled", lambda *_: (None, "of this test"))
    line = failing.__code__.co_firstlineno + 2
    place = r"chunk \(\d+, \d+, \d+\)"
    refused = rf"{place}: failing\(\) failed in line {line} of .*ValueError: too bright"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with pytest.raises(VolumeDataError, match=refused):
            view.map_chunks(failing, there)
    assert tree_state(tmp_path) == before


def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path):
    view, there = pair(tmp_path / "d", "zarr3", "zarr3")
    before = tree_state(tmp_path)
    for function, message in (
        (lambda voxels: voxels * 1.5, "expected an array of uint32"),
        (lambda voxels: voxels.max(), "expected an array of uint32"),
        (lambda voxels: voxels[0].astype(np.uint32), "with four axes"),
        (7, "is no function"),
    ):
        with pytest.raises(DatasetValueError, match=message):
            view.map_chunks(function, there)
    with pytest.raises(VolumeDataError, match=r"returned uint32 of the shape \(1, 15, 16, 16\)"):
        view.map_chunks(lambda voxels: voxels[:, 1:].astype(np.uint32), there)
    with pytest.raises(DatasetValueError, match="is no mag"):
        view.map_chunks(doubled, there.layer)
    with pytest.raises(DatasetValueError, match="cannot be mapped onto itself"):
        view.map_chunks(doubled, view)
    only_read = wk.Dataset.open(tmp_path / "d", read_only=True).get_layer("there").get_mag(1)
    with pytest.raises(ReadOnlyError):
        view.map_chunks(doubled, only_read)
    assert tree_state(tmp_path) == before
