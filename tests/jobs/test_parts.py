"""A job carries what its own tasks need, however many others there are."""

import concurrent.futures as cf
import pickle

import numpy as np
import pytest

from wkfast.dataset.box_work import Comparison, LargestLabel, is_equal
from wkfast.dataset.chunk_loops import ChunkCalls
from wkfast.dataset.upsampling import _Pieces
from wkfast.geometry import BoundingBox
from wkfast.jobs import OverItems, over_items
from wkfast.tables.sources import Source
from wkfast.tables.workers import ReadWork

MANY = 10**9


class Numbered:
    """A view whose voxels are the number of the box, and from one box on another's."""

    def __init__(self, other_from=1000):
        self._other_from = other_from

    def read(self, absolute_bounding_box):
        number = absolute_bounding_box.topleft.x
        return np.array([number + (number >= self._other_from)])

    def get_view(self, absolute_bounding_box):
        return absolute_bounding_box.topleft.x


class Kept:
    """An executor that keeps how large its jobs are."""

    # So many that every item is a job.
    _max_workers = 1000

    def __init__(self):
        self.sizes = []

    def submit(self, function, batch):
        self.sizes.append(len(pickle.dumps((function, batch))))
        done = cf.Future()
        done.set_result(None)
        return done


def boxes(count):
    return tuple(BoundingBox((number, 0, 0), (1, 1, 1)) for number in range(count))


# What is done, and with how many items.
WORKS = {
    "read": lambda count: (ReadWork(strict=False), [Source(f"{n:05}.nml", None, f"{n:05}.nml") for n in range(count)]),
    "compare": lambda count: (Comparison(Numbered(), Numbered()), boxes(count)),
    "largest": lambda count: (LargestLabel(Numbered()), boxes(count)),
    "calls": lambda count: (ChunkCalls(len, (Numbered(),)), [(box,) for box in boxes(count)]),
    "pieces": lambda count: (_Pieces(None, None, None, {}), boxes(count)),
}
NUMBERED = ("read", "calls")


@pytest.mark.parametrize("kind", WORKS)
def test_a_job_does_not_grow_with_the_number_of_all(kind):
    largest = []
    for count in (10, 1000):
        kept = Kept()
        work, items = WORKS[kind](count)
        items = list(enumerate(items)) if kind in NUMBERED else items
        list(over_items(kept, work, items, lambda count=count: [MANY] * count))
        assert len(kept.sizes) == count
        largest.append(max(kept.sizes))
    few, many = largest
    assert many < few + 100  # numbers have more digits


def test_a_part_of_a_part_does_the_same_tasks():
    compare = OverItems(Comparison(Numbered(), Numbered(17)), boxes(20))
    largest = OverItems(LargestLabel(Numbered()), boxes(20))
    calls = OverItems(ChunkCalls(tuple, (Numbered(),)), tuple(enumerate((box,) for box in boxes(20))))
    for first, end in ((12, 16), (16, 18), (17, 19)):
        for work in (compare, largest, calls):
            expected = work.run(first, end, None)
            assert work.part(10, 20).run(first, end, None) == expected
            assert work.part(10, 20).part(first, end).run(first, end, None) == expected
    assert compare.part(12, 16).run(12, 16, None)
    assert not compare.part(16, 18).run(16, 18, None)
    assert largest.part(12, 16).run(12, 16, None) == 15
    assert calls.part(12, 14).run(12, 14, None) == [(12, 12), (13, 13)]


def test_without_an_executor_items_are_done_one_by_one_as_far_as_they_are_asked_for():
    read = []

    class Noted(Numbered):
        def read(self, absolute_bounding_box):
            read.append(absolute_bounding_box.topleft.x)
            return super().read(absolute_bounding_box)

    assert not is_equal(Noted(), Numbered(2), boxes(1000), None)
    assert read == [0, 1, 2]
    told = []
    done = over_items(None, LargestLabel(Numbered()), boxes(3), lambda: [1, 2, 3], lambda *far: told.append(far))
    assert list(done) == [0, 1, 2]
    assert told == [(0, 3, 0, 6), (1, 3, 1, 6), (2, 3, 3, 6), (3, 3, 6, 6)]
