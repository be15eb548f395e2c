"""Bounding boxes: cutting, aligning, and the forms other software writes them in."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wkfast.errors import GeometryError
from wkfast.geometry import BoundingBox, Mag, NDBoundingBox, NormalizedBoundingBox, Vec3Int, VecInt

BOX = BoundingBox((1, 2, 3), (10, 20, 30))
FOUR = NDBoundingBox((0, 1, 2, 3), (2, 4, 5, 6), ("t", "x", "y", "z"), (0, 1, 2, 3))

small = st.integers(-20, 20)
extents = st.integers(0, 12)
boxes = st.builds(BoundingBox, st.tuples(small, small, small), st.tuples(extents, extents, extents))


def _voxels(box: BoundingBox) -> set[tuple[int, int, int]]:
    (x, y, z), (u, v, w) = box.topleft, box.bottomright
    return {(i, j, k) for i in range(x, u) for j in range(y, v) for k in range(z, w)}


@given(boxes, boxes)
def test_the_intersection_holds_the_voxels_of_both(a: BoundingBox, b: BoundingBox) -> None:
    assert _voxels(a.intersected_with(b, dont_assert=True)) == _voxels(a) & _voxels(b)


@given(boxes, boxes)
def test_the_extension_is_the_smallest_box_around_both(a: BoundingBox, b: BoundingBox) -> None:
    points = _voxels(a) | _voxels(b)
    extended = a.extended_by(b)
    assert extended.contains_bbox(a)
    assert extended.contains_bbox(b)
    assert extended == BoundingBox.from_points(points) if points else extended.is_empty()


@given(boxes, st.tuples(*[st.integers(1, 7)] * 3), st.sampled_from([None, (1, 1, 1), "shape"]))
def test_chunks_cover_a_box_once(box: BoundingBox, shape: tuple[int, int, int], borders: object) -> None:
    chunks = list(box.chunk(shape, shape if borders == "shape" else borders))
    voxels = [voxel for chunk in chunks for voxel in _voxels(chunk)]
    assert len(voxels) == len(set(voxels)) == box.volume()
    assert set(voxels) == _voxels(box)
    if borders == "shape":
        assert all(chunk.contains_bbox(chunk) and (chunk.topleft // shape == (chunk.bottomright - 1) // shape)
                   for chunk in chunks)  # fmt: skip


@given(boxes, st.sampled_from([Mag(1), Mag(2), Mag("4-4-2"), Mag(8)]))
def test_alignment_is_inside_or_around(box: BoundingBox, mag: Mag) -> None:
    inner, outer = box.align_with_mag(mag), box.align_with_mag(mag, ceil=True)
    assert outer.contains_bbox(box)
    assert _voxels(inner) <= _voxels(box)
    assert inner.in_mag(mag).from_mag_to_mag1(mag) == inner
    assert outer.in_mag(mag).from_mag_to_mag1(mag) == outer


def test_an_unaligned_box_has_no_place_in_a_coarser_mag() -> None:
    with pytest.raises(AssertionError, match="align_with_mag"):
        BOX.in_mag(Mag(2))


@given(boxes)
def test_every_written_form_reads_back(box: BoundingBox) -> None:
    forms = (box.to_csv(), box.to_tuple6(), list(box.to_tuple6()), (box.topleft, box.size), box.to_config_dict(), box)
    assert all(BoundingBox.from_auto(form) == box for form in forms)
    assert BoundingBox.from_checkpoint_name(f"{box.to_checkpoint_name()}.txt") == box
    assert NormalizedBoundingBox.from_wkw_dict(box.normalize_axes(3).to_wkw_dict()) == box.normalize_axes(3)
    assert pickle.loads(pickle.dumps(box)) == box == copy.deepcopy(box)


@pytest.mark.parametrize("form", [5, None, (1, 2, 3), "x"])
def test_other_forms_are_refused(form: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 # int() has its own words
        BoundingBox.from_auto(form)


def test_boxes_show_themselves_as_the_reference_does() -> None:
    assert repr(BOX) == "BoundingBox(topleft=(1, 2, 3), size=(10, 20, 30))"
    assert repr(FOUR) == (
        "NDBoundingBox(topleft=(0, 1, 2, 3), size=(2, 4, 5, 6), axes={'t': 0, 'x': 1, 'y': 2, 'z': 3})"
    )


def test_a_negative_extent_is_turned_around() -> None:
    box = BoundingBox((5, -6, 7), (-4, 3, 2))
    assert box.topleft == (1, -6, 7)
    assert box.size == (4, 3, 2)


def test_the_looks_of_a_box_do_not_count_for_equality() -> None:
    dressed = BOX.with_name("soma").with_color((1, 0, 0, 1)).with_is_visible(is_visible=False)
    assert dressed == BOX
    assert hash(dressed) == hash(BOX)
    assert (dressed.name, dressed.color, dressed.is_visible) == ("soma", (1, 0, 0, 1), False)
    assert dressed.offset((1, 1, 1)).name == "soma"
    twin = pickle.loads(pickle.dumps(dressed))
    assert (twin.name, twin.color, twin.is_visible) == ("soma", (1, 0, 0, 1), False)


def test_boxes_of_other_axes_are_unequal_and_cannot_be_combined() -> None:
    assert FOUR != BOX
    with pytest.raises(ValueError, match="cannot be combined"):
        FOUR.intersected_with(BOX)


def test_boxes_are_immutable() -> None:
    with pytest.raises(AttributeError, match="with_topleft"):
        BOX.topleft = Vec3Int(0, 0, 0)


def test_channels_come_in_front_and_go_again() -> None:
    normal = BOX.normalize_axes(3)
    assert normal.axes == ("c", "x", "y", "z")
    assert normal.size == (3, 10, 20, 30)
    assert type(normal.denormalize()) is BoundingBox
    assert normal.denormalize() == BOX == normal
    assert normal.intersected_with(BOX) == normal
    assert FOUR.normalize_axes(1).denormalize() == FOUR
    with pytest.raises(GeometryError, match="channel"):
        FOUR.normalize_axes(3)


def test_axes_are_sorted_by_their_place_in_the_array() -> None:
    box = NDBoundingBox((1, 2, 3), (4, 5, 6), ("z", "y", "x"), (2, 1, 0))
    assert box.axes == ("x", "y", "z")
    assert box.topleft == VecInt(x=3, y=2, z=1)
    assert box.topleft_xyz == (3, 2, 1)


def test_further_axes_are_cut_to_single_slices() -> None:
    chunks = list(FOUR.chunk((5, 50, 50)))
    assert [chunk.size for chunk in chunks] == [(1, 4, 5, 6), (1, 4, 5, 6)]
    assert FOUR.offset((1, 2, 3)).topleft == (0, 2, 4, 6)
    assert FOUR.from_mag_to_mag1(Mag(2)).size == (2, 8, 10, 12)


def test_a_box_cuts_arrays() -> None:
    array = np.arange(20 * 40 * 60).reshape(20, 40, 60)
    assert np.array_equal(BOX.slice_array(array), array[1:11, 2:22, 3:33])
    flat = NDBoundingBox((5, 3, 1, 2), (1, 6, 4, 5), ("t", "z", "x", "y"))
    assert flat.xyz_array_to_bbox_shape(np.zeros((4, 5, 6))).shape == (1, 6, 4, 5)
    with pytest.raises(GeometryError, match="flat"):
        FOUR.to_slices_xyz()


def test_the_grid_of_chunks_starts_at_the_alignment() -> None:
    corners = list(BOX.iter_chunk_toplefts((8, 16, 16), (8, 8, 8)))
    assert corners[:4] == [(0, 0, 0), (0, 0, 16), (0, 0, 32), (0, 16, 0)]
    assert list(BOX.iter_chunk_toplefts((8, 16, 16), (8, 8, 8), BoundingBox((0, 0, 0), (5, 5, 5)))) == [(0, 0, 0)]
    with pytest.raises(GeometryError, match="multiple"):
        next(BOX.chunk((4, 8, 8), (3, 3, 3)))


def test_points_with_fractions_are_inside_up_to_the_end() -> None:
    assert BOX.contains((10.9, 21.9, 32.9))
    assert not BOX.contains(np.array([11, 22, 33]))
    with pytest.raises(GeometryError, match="3 coordinates"):
        BOX.contains((1, 2))


def test_three_numbers_are_x_y_z_whatever_the_order_of_a_box_s_axes() -> None:
    box = NDBoundingBox((0, 0, 0), (20, 42, 50), ("z", "y", "x"))
    assert box.in_mag(Mag("2-2-1")).size == (20, 21, 25)
    assert box.from_mag_to_mag1(Mag("2-2-1")).size == (20, 84, 100)
    assert box.align_with_mag(Mag("4-4-1"), ceil=True).size == (20, 44, 52)
    assert box.offset((1, 2, 3)).topleft == (3, 2, 1)
    assert box.padded_with_margins((1, 2, 3)).topleft == (-3, -2, -1)
    assert [chunk.size for chunk in box.chunk((50, 42, 10))] == [(10, 42, 50), (10, 42, 50)]
