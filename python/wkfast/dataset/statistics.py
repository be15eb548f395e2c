"""Size, extent and centre of every segment of a layer, streamed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast._lazy import lazy_import
from wkfast.dataset.additional_axes import completed
from wkfast.dataset.mag_building import location_of
from wkfast.errors import DatasetError, DatasetValueError
from wkfast.geometry import BoundingBox
from wkfast.jobs import Tally, run_jobs
from wkfast.progress import observed

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from wkfast.dataset.layer import Layer
    from wkfast.dataset.mag_view import MagView
    from wkfast.geometry import NDBoundingBox
    from wkfast.progress import Progress

    Json = dict[str, Any]
else:
    np = lazy_import("numpy")

# Edge of what is read at once where there are no files: few requests to a server, little memory.
_PIECE = 128


@dataclass(frozen=True)
class Part:
    """The voxels of a mag that count, in voxels of the mag.

    Attributes
    ----------
    extra
        First place and end along each of the additional axes.
    """

    topleft: tuple[int, int, int]
    size: tuple[int, int, int]
    extra: list[tuple[int, int]]


def segment_statistics(
    layer: Layer, mag: Any, bounding_box: NDBoundingBox | None, executor: Any, progress: Progress
) -> dict[str, NDArray[Any]]:
    """Return a row for each segment; see :meth:`Layer.segment_statistics`."""
    view = layer.get_finest_mag() if mag is None else layer.get_mag(mag)
    table = segment_table(view, bounding_box, executor, progress)
    bits, voxels, low, high, centre = table.columns()
    ids = (bits.view(np.int64) if layer.dtype.kind == "i" else bits).astype(layer.dtype)
    order = np.argsort(ids)
    ids, voxels, low, high, centre = ids[order], voxels[order], low[order], high[order], centre[order]
    step = np.array(view.mag.to_tuple(), np.int64)
    nanometers = float(np.prod(np.array(layer.dataset.voxel_size) * step))
    return {
        "id": ids,
        "voxels": voxels,
        "topleft": low.astype(np.int64) * step,
        "size": (high - low + 1).astype(np.int64) * step,
        # the middle of a coarse voxel, counted in those of mag 1
        "centroid": centre * step + (step - 1) / 2,
        "volume": voxels * nanometers,
    }


def segment_table(
    view: MagView, bounding_box: NDBoundingBox | None, executor: Any = None, progress: Progress = None
) -> _core.SegmentTable:
    """Return the statistics of a mag's segments, in its voxels.

    Raises
    ------
    DatasetValueError
        The layer holds no labels, or the box does not lie on voxels of the mag.
    """
    info = view.info
    if info.voxel_type.kind not in "iu" or info.num_channels != 1:
        raise DatasetValueError(
            f"{view} holds {info.num_channels} channel(s) of {info.voxel_type}, which are no labels: expected one of "
            "whole numbers"
        )
    part = _part(view, bounding_box)
    with observed(progress, f"counting {view.layer.name}/{view.name}") as observer:
        location = _location(view)
        if location is None:
            return _count_by_pieces(view, part)
        region = {"topleft": part.topleft, "size": part.size}
        work = StatisticsWork(json.dumps({"source": location, "region": region, "extra": part.extra}))
        if executor is None:
            return work.opened().run(progress=observer)
        try:
            job = work.opened()
            tables = run_jobs(executor, work, Tally([job.shard_bytes] * job.shard_count, observer))
        finally:
            _opened.cache_clear()
    whole = _core.SegmentTable()
    for table in tables:
        whole.merge(table)
    return whole


@dataclass(frozen=True)
class StatisticsWork:
    """A mag to be counted, as jobs get it."""

    spec: str

    def run(self, first: int, end: int, threads: int | None) -> _core.SegmentTable:
        """Count some of the files; their tables are added by who asked."""
        return self.opened().run((first, end), threads=threads)

    def opened(self) -> _core.Statistics:
        """Return the mag, open."""
        return _opened(self.spec)


@lru_cache(maxsize=1)
def _opened(spec: str) -> _core.Statistics:
    return _core.Statistics(json.loads(spec))


def _location(view: MagView) -> Json | None:
    """Return where the files of a mag lie, ``None`` where there are none."""
    try:
        return location_of(view)
    except DatasetError:
        return None


def _part(view: MagView, bounding_box: NDBoundingBox | None) -> Part:
    if bounding_box is None:
        box = view.bounding_box
    else:
        given = bounding_box
        if not hasattr(given, "axes"):
            raise DatasetValueError(f"bounding_box is {given!r}, expected a BoundingBox in voxels of mag 1")
        plain = given.axes == ("x", "y", "z") and not view._source.extra_axes
        box = given if plain else completed(given, view._frame_of_arrays)
        view._check_on_voxels(box)
    in_mag = box.in_mag(view.mag)
    x, y, z = in_mag.topleft_xyz.to_tuple()
    width, height, depth = in_mag.size_xyz.to_tuple()
    bounds = [box.get_bounds(axis) for axis in view._source.extra_axes]
    return Part((x, y, z), (width, height, depth), [(max(0, start), max(0, end)) for start, end in bounds])


def _count_by_pieces(view: MagView, part: Part) -> _core.SegmentTable:
    """Count a mag without files by reading it, piece after piece."""
    table = _core.SegmentTable()
    start, size = part.topleft, part.size
    whole = BoundingBox(start, size).intersected_with(BoundingBox((0, 0, 0), (2**40,) * 3), dont_assert=True)
    if whole.is_empty():
        return table
    for piece in whole.chunk((_PIECE,) * 3, (_PIECE,) * 3):
        (x, y, z), (width, height, depth) = piece.topleft.to_tuple(), piece.size.to_tuple()
        for extra in _places(part.extra):
            table.add(view._source.read((x, y, z), (width, height, depth), extra=extra)[0], (x, y, z))
    return table


def _places(ranges: list[tuple[int, int]]) -> Iterator[list[int]]:
    for place in np.ndindex(*(end - start for start, end in ranges)):
        yield [start + step for (start, _), step in zip(ranges, place, strict=True)]
