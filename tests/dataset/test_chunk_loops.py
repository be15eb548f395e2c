"""Functions for every chunk and slices one after the other, as scripts for the reference package use them."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import wkfast as wk
from wkfast.errors import DatasetValueError, ReadOnlyError

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (20, 30, 40)


def layer_of(tmp_path: Path, channels: int = 1, name: str = "c", data_format: str = "zarr3") -> wk.MagView:
    dataset = wk.Dataset(tmp_path / "d", voxel_size=(4, 4, 40), exist_ok=True)
    box = wk.BoundingBox((0, 0, 0), SIZE)
    layer = dataset.add_layer(
        name, "color", dtype="uint8", num_channels=channels, bounding_box=box, data_format=data_format
    )
    return layer.add_mag(1, chunk_shape=8, **({} if data_format == "zarr" else {"shard_shape": 16}))


def numbers(channels: int = 1) -> np.ndarray:
    return np.arange(channels * np.prod(SIZE)).astype("uint8").reshape(channels, *SIZE)


def add_one(chunk: tuple[wk.View, int]) -> None:
    view, _ = chunk
    view.write(view.read() + 1)


def corner(view: wk.View) -> tuple[int, ...]:
    return view.bounding_box.topleft.to_tuple()


def fail(view: wk.View) -> None:
    raise ArithmeticError(f"at {corner(view)}")


def halved(chunk: tuple[wk.View, wk.View, int]) -> None:
    source, target, _ = chunk
    target.write(source.read()[:, ::2, ::2, ::2], absolute_offset=target.bounding_box.topleft)


@pytest.fixture(params=["here", "threads", "processes"])
def executor(request: pytest.FixtureRequest) -> Any:
    if request.param == "here":
        yield None
    elif request.param == "threads":
        with ThreadPoolExecutor(2) as pool:
            yield pool
    else:
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
            yield pool


def test_a_function_changes_every_chunk(tmp_path: Path, executor: Any) -> None:
    mag = layer_of(tmp_path)
    mag.write(numbers())
    mag.for_each_chunk(add_one, executor=executor)
    assert np.array_equal(mag.read(), numbers() + 1)
    results = mag.map_chunk(corner, executor=executor)
    assert results == [view.bounding_box.topleft.to_tuple() for view in mag.chunk((16, 16, 16))]
    with pytest.raises(ArithmeticError, match="at"):
        mag.map_chunk(fail, executor=executor)


def test_chunks_come_with_their_number_and_lie_on_multiples_of_their_shape(tmp_path: Path) -> None:
    mag = layer_of(tmp_path)
    seen: list[Any] = []
    mag.for_each_chunk(lambda chunk: seen.append((chunk[1], corner(chunk[0]), chunk[0].bounding_box.size.to_tuple())))
    assert seen[:3] == [
        (0, (0, 0, 0), (16, 16, 16)), (1, (0, 0, 16), (16, 16, 16)), (2, (0, 0, 32), (16, 16, 8)),
    ]  # fmt: skip
    assert [number for number, *_ in seen] == list(range(12))
    view = mag.get_view(absolute_offset=(4, 4, 4), size=(12, 12, 12), read_only=True)
    assert view.map_chunk(corner, chunk_shape=(8, 8, 8))[:3] == [(4, 4, 4), (4, 4, 8), (4, 8, 4)]
    assert view.map_chunk(lambda part: part.read_only, chunk_shape=(8, 8, 8))[0]


def test_chunks_that_share_a_file_are_refused_where_they_are_writable(tmp_path: Path) -> None:
    mag = layer_of(tmp_path)
    for shape in ((8, 8, 8), (0, 16, 16)):
        with pytest.raises(DatasetValueError, match="whole shards"):
            mag.for_each_chunk(add_one, chunk_shape=shape)


def test_chunks_of_two_views_are_paired(tmp_path: Path, executor: Any) -> None:
    mag = layer_of(tmp_path)
    mag.write(numbers())
    coarse = mag.layer.add_mag(2, chunk_shape=8, shard_shape=16)
    mag.for_zipped_chunks(halved, coarse, executor=executor)
    assert np.array_equal(coarse.read(), numbers()[:, ::2, ::2, ::2])
    seen: list[Any] = []
    mag.for_zipped_chunks(lambda pair: seen.append((corner(pair[0]), corner(pair[1]), pair[2])), coarse)
    assert seen == [((0, 0, 0), (0, 0, 0), 0), ((0, 0, 32), (0, 0, 32), 1)]
    with pytest.raises(DatasetValueError, match="no pairs"):
        mag.for_zipped_chunks(halved, coarse, source_chunk_shape=(16, 16, 16), target_chunk_shape=(32, 32, 32))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dimension", ["x", "y", "z", 0, 1, 2])
@pytest.mark.parametrize("buffer_size", [None, 7])
def test_slices_are_those_of_the_array(
    tmp_path: Path, channels: int, dimension: str | int, buffer_size: int | None
) -> None:
    mag, data = layer_of(tmp_path, channels), numbers(channels)
    mag.write(data)
    axis = "xyz".index(dimension) if isinstance(dimension, str) else dimension
    with mag.get_buffered_slice_reader(buffer_size, dimension) as reader:
        slices = list(reader)
    assert np.array_equal(np.stack(slices, axis + 1), data)
    again = layer_of(tmp_path, channels, "again")
    with again.get_buffered_slice_writer(buffer_size, dimension, allow_unaligned=True) as writer:
        for piece in slices:
            writer.send(piece if channels > 1 else piece[0])
    assert np.array_equal(again.read(), data)


def test_slices_of_a_part_are_read_and_written(tmp_path: Path) -> None:
    mag, data = layer_of(tmp_path), numbers()
    mag.write(data)
    box = wk.BoundingBox((1, 2, 3), (4, 5, 17))
    for where in ({"absolute_bounding_box": box}, {"relative_bounding_box": box}):
        with mag.get_buffered_slice_reader(7, **where) as reader:
            assert np.array_equal(np.stack(list(reader), -1), data[:, 1:5, 2:7, 3:20])
    with mag.get_buffered_slice_writer(5, absolute_bounding_box=box, allow_unaligned=True) as writer:
        for _ in range(17):
            writer.send(np.full((4, 5), 9, "uint8"))
    expected = data.copy()
    expected[:, 1:5, 2:7, 3:20] = 9
    assert np.array_equal(mag.read(), expected)


def test_slices_of_a_coarse_mag_are_counted_in_its_voxels(tmp_path: Path) -> None:
    mag = layer_of(tmp_path).layer.add_mag(2, chunk_shape=8, shard_shape=8)
    data = numbers()[:, ::2, ::2, ::2]
    with mag.get_buffered_slice_writer() as writer:
        for z in range(data.shape[3]):
            writer.send(data[..., z])
    assert np.array_equal(mag.read(), data)
    with mag.get_buffered_slice_reader() as reader:
        assert np.array_equal(np.stack(list(reader), -1), data)


def test_slices_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    mag, piece = layer_of(tmp_path), np.zeros(SIZE[:2], "uint8")
    with pytest.raises(DatasetValueError, match="within shards"):
        mag.get_buffered_slice_writer(absolute_offset=(0, 0, 5))
    with pytest.raises(DatasetValueError, match="along"):
        mag.get_buffered_slice_reader(dimension="t")
    with pytest.raises(DatasetValueError, match="holds nothing"):
        mag.get_buffered_slice_reader(0)
    with pytest.raises(DatasetValueError, match="does not lie"), mag.get_buffered_slice_writer() as writer:  # noqa: PT012
        for _ in range(41):
            writer.send(piece)
    with pytest.raises(DatasetValueError, match="does not go on"), mag.get_buffered_slice_writer() as writer:  # noqa: PT012
        writer.send(piece)
        writer.send(piece[:5])
    with pytest.raises(ReadOnlyError):
        mag.get_view(read_only=True).get_buffered_slice_writer()


def test_slices_are_not_written_after_an_error(tmp_path: Path) -> None:
    mag = layer_of(tmp_path)
    with pytest.raises(KeyboardInterrupt), mag.get_buffered_slice_writer() as writer:  # noqa: PT012
        writer.send(np.ones(SIZE[:2], "uint8"))
        raise KeyboardInterrupt
    assert not mag.read().any()


def test_boxes_of_one_shard_are_taken_from_another_mag(tmp_path: Path) -> None:
    mag, other = layer_of(tmp_path), layer_of(tmp_path, name="other")
    other.write(numbers())
    shard = wk.BoundingBox((0, 0, 0), (16, 16, 16))
    mag.merge_chunk((other, shard, [wk.BoundingBox((0, 0, 0), (8, 8, 8)), wk.BoundingBox((8, 8, 8), (8, 8, 16))]))
    expected = np.zeros_like(numbers())
    for part in (np.s_[:, :8, :8, :8], np.s_[:, 8:16, 8:16, 8:16]):
        expected[part] = numbers()[part]
    assert np.array_equal(mag.read(), expected)
