"""A function of the user's for every chunk of a view: here, or on an executor's workers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from wkfast.errors import DatasetValueError
from wkfast.geometry import Vec3Int
from wkfast.jobs import over_items
from wkfast.progress import observed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wkfast.dataset.view import View
    from wkfast.geometry import NDBoundingBox, Vec3IntLike


# Number of a call, and its boxes in mag-1 voxels, one of each view.
_Call = tuple[int, tuple["NDBoundingBox", ...]]


@dataclass(frozen=True)
class ChunkCalls:
    """Calls of a function, one for each box, as jobs get them.

    Attributes
    ----------
    views
        One or two; the function gets the part of each that its box cuts out, and the number of the call.
    """

    function: Callable[[Any], Any]
    views: tuple[View, ...]

    def run(self, items: Sequence[_Call], threads: int | None) -> list[Any]:  # noqa: ARG002 - they are the function's own
        """Make some of the calls and return their results."""
        return [self.function((*self._parts(boxes), number)) for number, boxes in items]

    def _parts(self, boxes: tuple[NDBoundingBox, ...]) -> list[View]:
        return [view.get_view(absolute_bounding_box=box) for view, box in zip(self.views, boxes, strict=True)]

    def costs(self, calls: Sequence[_Call]) -> list[int]:
        """Return the bytes of voxels of each call."""
        by_view = zip(*(boxes for _, boxes in calls), strict=True)
        costs = (voxel_bytes(view, boxes) for view, boxes in zip(self.views, by_view, strict=False))
        return [sum(call) for call in zip(*costs, strict=True)]


@dataclass(frozen=True)
class _WithoutNumber:
    """A function that gets the view alone."""

    function: Callable[[View], Any]

    def __call__(self, arguments: tuple[View, int]) -> Any:
        return self.function(arguments[0])


def for_each_chunk(
    view: View,
    function: Callable[[tuple[View, int]], Any],
    chunk_shape: Vec3IntLike | None,
    executor: Any,
    title: str | None,
) -> list[Any]:
    """Call a function for each chunk and return the results, in order; see :meth:`View.for_each_chunk`."""
    shape = _checked(view, chunk_shape)
    boxes = [(box,) for box in view.bounding_box.chunk(shape, shape)]
    return _call_all(ChunkCalls(function, (view,)), boxes, executor, title)


def map_chunk(
    view: View,
    function: Callable[[View], Any],
    chunk_shape: Vec3IntLike | None,
    executor: Any,
    title: str | None,
) -> list[Any]:
    """Call a function for each chunk and return the results, in order; see :meth:`View.map_chunk`."""
    return for_each_chunk(view, _WithoutNumber(function), chunk_shape, executor, title)


def for_zipped_chunks(
    source: View,
    function: Callable[[tuple[View, View, int]], Any],
    target: View,
    source_shape: Vec3IntLike | None,
    target_shape: Vec3IntLike | None,
    executor: Any,
    title: str | None,
) -> None:
    """Call a function for pairs of chunks; see :meth:`View.for_zipped_chunks`."""
    shapes = _zipped_shapes(source, target, source_shape, target_shape)
    lists = [list(view.bounding_box.chunk(shape)) for view, shape in zip((source, target), shapes, strict=True)]
    if len(lists[0]) != len(lists[1]):
        raise DatasetValueError(
            f"{source} has {len(lists[0])} chunks of {shapes[0]}, {target} {len(lists[1])} of {shapes[1]}: they are "
            "no pairs; give shapes in the ratio of the two boxes"
        )
    _call_all(ChunkCalls(function, (source, target)), list(zip(*lists, strict=True)), executor, title)


def _call_all(
    calls: ChunkCalls, boxes: Sequence[tuple[NDBoundingBox, ...]], executor: Any, title: str | None
) -> list[Any]:
    """Make all calls, under a bar if it has a title, and return their results."""
    items = list(enumerate(boxes))
    with observed(title is not None, title or "", "chunks") as observer:
        done = over_items(executor, calls, items, lambda: calls.costs(items), observer)
        return list(chain.from_iterable(done))


def _zipped_shapes(
    source: View, target: View, source_shape: Vec3IntLike | None, target_shape: Vec3IntLike | None
) -> tuple[Vec3Int, Vec3Int]:
    """Return the shapes of both sides, in mag-1 voxels; what is not given follows from the ratio of the boxes."""
    ours, theirs = source.bounding_box.size_xyz, target.bounding_box.size_xyz
    if source_shape is None and target_shape is None:
        target_shape = _shard(target) if ours != theirs else _shard(target).pairmax(_shard(source))
    if source_shape is None:
        goal = Vec3Int(target_shape or ours)
        return _in_ratio(goal, theirs, ours), goal
    start = Vec3Int(source_shape)
    return start, _in_ratio(start, ours, theirs) if target_shape is None else Vec3Int(target_shape)


def _in_ratio(shape: Vec3Int, its_box: Vec3Int, other_box: Vec3Int) -> Vec3Int:
    if (shape * other_box) % its_box != Vec3Int.zeros():
        raise DatasetValueError(f"chunks of {shape} in {its_box} have none that match in {other_box}: give both shapes")
    return shape * other_box // its_box


def _checked(view: View, chunk_shape: Vec3IntLike | None) -> Vec3Int:
    """Return the shape of chunks in mag-1 voxels; writable ones are whole shards, which no two calls then share."""
    shard = _shard(view)
    shape = shard if chunk_shape is None else Vec3Int(chunk_shape)
    if min(shape.to_tuple()) < 1 or (not view.read_only and shape % shard != Vec3Int.zeros()):
        raise DatasetValueError(
            f"chunks of {shape} are not whole shards of {shard} (in mag-1 voxels): two calls would write one "
            "file. Give a multiple, or take a view with read_only=True"
        )
    return shape


def _shard(view: View) -> Vec3Int:
    return view.info.shard_shape * view.mag.to_vec3_int()


def voxel_bytes(view: View, boxes: Sequence[NDBoundingBox]) -> list[int]:
    """Return the bytes that a view has of voxels in each box, in mag-1 voxels."""
    per_voxel = view.get_dtype().itemsize * view.num_channels / float(view.mag.to_vec3_int().prod())
    return [int(box.volume() * per_voxel) for box in boxes]


def merge_chunk(target: View, other: View, shard: NDBoundingBox, boxes: Sequence[NDBoundingBox]) -> None:
    """Write what another view has in some boxes of one shard; see :meth:`MagView.merge_chunk`."""
    for box in boxes:
        part = box.intersected_with(shard, dont_assert=True)
        if not part.is_empty():
            voxels = other.read(absolute_bounding_box=part)
            target.write(voxels, absolute_bounding_box=part, allow_unaligned=True)
