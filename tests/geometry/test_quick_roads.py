"""What geometry does quickly is what it does slowly: each quick road beside an obvious one and beside the reference."""

import copy
import gc
import math
import operator
import pickle
import sys
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wkfast.errors import GeometryError
from wkfast.geometry import BoundingBox, Mag, NDBoundingBox, NormalizedBoundingBox, Vec3Float, Vec3Int, VecInt

EDGES = [0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**70]
ints = st.one_of(st.integers(-20, 20), st.integers(-(2**70), 2**70), st.sampled_from(EDGES))
triples = st.tuples(ints, ints, ints)
reals = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan]))
floats = st.tuples(reals, reals, reals)
INT_OPERATIONS = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
    "ceildiv": lambda a, b: -(-a // b),
    "pairmax": max,
    "pairmin": min,
}
FLOAT_OPERATIONS = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "truediv": operator.truediv,
    "pairmax": max,
    "pairmin": min,
}


def by_method(vector, name, other):
    return getattr(vector, name)(other) if hasattr(vector, name) else getattr(operator, name)(vector, other)


def attempt(function):
    """What a call gives, or the class of its error; NaN as text, since it is not equal to itself."""
    try:
        return [(type(value), repr(value)) for value in function()]
    except (ArithmeticError, ValueError) as error:
        return type(error)


@pytest.mark.parametrize("name", INT_OPERATIONS)
@given(triples, triples, st.sampled_from(["vector", "tuple", "list", "first", "bools", "numpy"]))
def test_integers_are_computed_as_python_does(name, a, b, form):
    spelled = {
        "vector": Vec3Int(b),
        "tuple": b,
        "list": list(b),
        "first": b[0],
        "bools": tuple(value > 0 for value in b),
        "numpy": np.array(b, dtype=object),
    }[form]
    others = {"first": (b[0],) * 3, "bools": tuple(int(value > 0) for value in b)}.get(form, b)
    expected = attempt(lambda: [INT_OPERATIONS[name](x, y) for x, y in zip(a, others, strict=True)])
    assert attempt(lambda: by_method(Vec3Int(a), name, spelled)) == expected
    four = VecInt((*a, 5), ("x", "y", "z", "t"))
    if form == "first":
        assert attempt(lambda: tuple(by_method(four, name, spelled))[:3]) == expected


@pytest.mark.parametrize("name", FLOAT_OPERATIONS)
@given(floats, floats, st.sampled_from(["vector", "tuple", "list", "first"]))
def test_floats_are_computed_as_python_does(name, a, b, form):
    spelled = {"vector": Vec3Float(b), "tuple": b, "list": list(b), "first": b[0]}[form]
    others = (b[0],) * 3 if form == "first" else b
    expected = attempt(lambda: [FLOAT_OPERATIONS[name](x, y) for x, y in zip(a, others, strict=True)])
    assert attempt(lambda: by_method(Vec3Float(a), name, spelled)) == expected


@given(triples)
def test_every_road_to_a_vector_ends_at_the_same_one(values):
    x, y, z = values
    roads = [
        Vec3Int(x, y, z),
        Vec3Int(values),
        Vec3Int(list(values)),
        Vec3Int(iter(values)),
        Vec3Int(x=x, y=y, z=z),
        Vec3Int(z, y, x, axes=("z", "y", "x")),
        Vec3Int(np.array(values, dtype=object)),
        Vec3Int(Vec3Int(values)),
        Vec3Int(VecInt(z=z, y=y, x=x)),
        VecInt(values, ("x", "y", "z")).xyz,
    ]
    for vector in roads:
        assert type(vector) is Vec3Int
        assert (vector.x, vector.y, vector.z, vector.axes) == (*values, ("x", "y", "z"))
        assert [type(value) for value in vector] == [int] * 3
        assert hash(vector) == hash(values)


@given(st.tuples(*[st.one_of(reals, st.integers(-(2**60), 2**60), st.booleans())] * 3))
def test_every_road_to_a_vector_of_floats_ends_at_the_same_one(values):
    expected = [repr(float(value)) for value in values]
    for vector in (Vec3Float(*values), Vec3Float(values), Vec3Float(list(values)), Vec3Float(iter(values))):
        assert type(vector) is Vec3Float
        assert list(map(repr, vector)) == expected
        assert list(map(repr, (vector.x, vector.y, vector.z))) == expected


@pytest.mark.parametrize("values", [(True, 2, 3), (np.int64(1), 2, 3), (1.0, 2, 3), np.array([1, 2, 3]), [1, 2, 3.0]])
def test_components_are_plain_integers(values):
    assert [type(value) for value in Vec3Int(values)] == [int] * 3
    assert [type(value) for value in Vec3Int(1, 1, 1) + values] == [int] * 3
    assert [type(value) for value in VecInt(values, axes=("a", "b", "c"))] == [int] * 3


@given(triples, ints, st.sampled_from(["x", "y", "z"]))
def test_one_component_is_replaced_as_in_a_list(values, new, axis):
    expected = list(values)
    expected["xyz".index(axis)] = new
    for vector in (Vec3Int(values), VecInt(values, ("x", "y", "z")), Position(values)):
        replaced = getattr(vector, f"with_{axis}")(new)
        assert (type(replaced), replaced.to_list()) == (type(vector), expected)
        with pytest.raises(GeometryError):
            getattr(vector, f"with_{axis}")("5")


@pytest.mark.parametrize("dtype", ["int8", "uint64", "int64", "float32", "bool"])
def test_arrays_of_any_numbers_become_integers(dtype):
    vector = Vec3Int(np.array([0, 1, 100]).astype(dtype))
    assert vector == (0, 1, 1 if dtype == "bool" else 100)
    assert [type(value) for value in vector] == [int] * 3
    with pytest.raises(GeometryError):
        Vec3Int(np.zeros((3, 2), dtype))


@pytest.mark.parametrize("axes", [("x", "y"), ("x",), ("a", "b", "c", "d"), ()])
def test_vectors_need_as_many_names_as_numbers(axes):
    for make in (lambda: VecInt((1, 2, 3), axes), lambda: VecInt((1, 2, 3), axes=axes)):
        with pytest.raises(GeometryError):
            make()


class Position(Vec3Int):
    """A class of a user's, with a constructor and an attribute."""

    def __new__(cls, *args, unit="voxel", **named):
        made = super().__new__(cls, *args, **named)
        made.unit = unit
        return made

    def norm(self):
        return math.sqrt(sum(value * value for value in self))


def test_derived_classes_keep_their_class_and_their_attributes():
    position = Position(3, 4, 0, unit="nm")
    assert (position.unit, position.norm()) == ("nm", 5.0)
    for made in (position + 1, position * (2, 2, 2), -position, position.with_x(5), position.pairmax(9)):
        assert type(made) is Position
    assert type(Position(Vec3Int(1, 2, 3))) is Position
    assert position == (3, 4, 0) == Vec3Int(position)
    assert copy.copy(position) == pickle.loads(pickle.dumps(position)) == position


def test_vectors_are_sequences_and_nothing_else():
    for vector in (Vec3Int(1, 2, 3), VecInt(t=4, x=1), Vec3Float(1, 2, 3)):
        assert isinstance(vector, Sequence)
        assert not isinstance(vector, tuple)
        assert not hasattr(vector, "__dict__")
        assert list(reversed(vector)) == list(vector)[::-1]
        assert (vector.index(1), vector.count(1)) == (list(vector).index(1), 1)
        assert 1 in vector
        assert vector[-1] == list(vector)[-1]
        assert vector[0:2] == tuple(vector)[:2]
        with pytest.raises(IndexError):
            vector[len(vector)]
        for name in ("x", "_data", "axes", "other"):
            with pytest.raises(AttributeError):
                setattr(vector, name, 5)
    match Vec3Int(1, 2, 3):
        case (x, y, z):
            assert (x, y, z) == (1, 2, 3)
        case _:
            raise AssertionError


def test_numbers_and_tuples_on_the_left_are_refused_and_arrays_decide_for_themselves():
    vector = Vec3Int(1, 2, 3)
    for other in (1, (1, 2, 3), "x"):
        with pytest.raises(TypeError):
            other + vector
    assert (np.array([1, 2, 3]) + vector).tolist() == [2, 4, 6]
    assert (np.int64(2) * vector).tolist() == [2, 4, 6]
    assert type(vector + np.array([1, 2, 3])) is Vec3Int
    assert Vec3Float(1, 2, 3) != vector
    assert VecInt((1, 2, 3), ("a", "b", "c")) == vector


def test_making_and_adding_vectors_leaves_nothing_behind():
    values, names = (1000, 2000, 3000), ("a", "b", "c")
    watched = [values, names, *values]

    def work():
        for _ in range(200):
            one, two = Vec3Int(values), VecInt(values, names)
            for vector in (one, two):
                vector + vector, vector * 2, vector == values, vector.to_list(), list(vector), vector.axes, -vector
                for wrong in ("a", (1, 2), 2.5):
                    attempt(lambda: vector + wrong)  # noqa: B023
            attempt(lambda: Vec3Int("abc"))
            attempt(lambda: two // 0)  # noqa: B023
            Position(values).norm()
        gc.collect()

    work()
    before = [sys.getrefcount(one) for one in watched]
    blocks = sys.getallocatedblocks()
    work()
    assert [sys.getrefcount(one) for one in watched] == before
    assert sys.getallocatedblocks() - blocks < 100


small = st.integers(-20, 20)
extents = st.integers(0, 12)
boxes = st.builds(BoundingBox, st.tuples(small, small, small), st.tuples(extents, extents, extents))
steps = st.tuples(*[st.integers(1, 7)] * 3)


@given(boxes, steps, st.sampled_from([None, "shape", (1, 1, 1)]))
def test_chunks_as_an_array_are_the_chunks_one_by_one(box, shape, borders):
    alignment = shape if borders == "shape" else borders
    for one in (box, box.normalize_axes(2)):
        array = one.chunks_array(shape, alignment)
        expected = [[chunk.topleft.to_list(), chunk.size.to_list()] for chunk in one.chunk(shape, alignment)]
        assert array.tolist() == expected
        assert (array.shape[1:], array.dtype) == ((2, one.ndim), np.int64)


def test_chunks_along_further_axes_as_an_array():
    box = NDBoundingBox((0, 1, 2, 3), (2, 4, 5, 6), ("t", "x", "y", "z"))
    expected = [[chunk.topleft.to_list(), chunk.size.to_list()] for chunk in box.chunk((3, 3, 3))]
    assert box.chunks_array((3, 3, 3)).tolist() == expected
    with pytest.raises(GeometryError):
        box.chunks_array((0, 3, 3))


@given(boxes, st.tuples(*[st.one_of(small, st.floats(-20, 20))] * 3))
def test_a_point_is_in_a_box_where_each_coordinate_is(box, point):
    expected = all(a <= p < b for a, p, b in zip(box.topleft, point, box.bottomright, strict=True))
    for spelled in (point, list(point), np.array(point)):
        assert box.contains(spelled) is expected


@given(boxes, boxes)
def test_boxes_without_names_for_their_axes_are_cut_as_those_with_any(a, b):
    one, two = (NDBoundingBox(box.topleft, box.size, ("p", "q", "r"), (1, 2, 3)) for box in (a, b))
    quick, slow = a.intersected_with(b, dont_assert=True), one.intersected_with(two, dont_assert=True)
    assert (quick.topleft, quick.size) == (slow.topleft, slow.size)
    quick, slow = a.extended_by(b), one.extended_by(two)
    assert (quick.topleft, quick.size) == (slow.topleft, slow.size)
    assert (a == b) == (one == two)


class Marked(BoundingBox):
    """A class of a user's, whose constructor does something."""

    __slots__ = ("mark",)

    def __init__(self, *args, **named):
        object.__setattr__(self, "mark", "made")
        super().__init__(*args, **named)


def test_boxes_of_derived_classes_are_made_by_their_constructor():
    box = Marked((0, 0, 0), (8, 8, 8), name="a")
    made = [box.offset((1, 1, 1)), box.intersected_with(box), box.with_name("a"), box.in_mag(Mag(2))]
    made += box.chunk((4, 8, 8))
    assert {(type(one), one.mark) for one in made} == {(Marked, "made")}
    assert box.with_size((1, 2, 3)).name == "a"


def _power(component):
    return component > 0 and math.log2(component) % 1 == 0


@given(st.one_of(st.integers(-4, 70), st.tuples(*[st.integers(0, 9)] * 3)))
def test_mags_are_what_powers_of_two_make(given_as):
    values = (given_as,) * 3 if isinstance(given_as, int) else given_as
    forms = [given_as, "-".join(map(str, values)), np.array(values)]
    for form in forms * 2:  # what was made once may be remembered
        if all(map(_power, values)):
            assert Mag(form).to_tuple() == values
        else:
            with pytest.raises(GeometryError):
                Mag(form)


def test_what_is_equal_to_a_remembered_mag_is_not_taken_for_it():
    assert Mag(2) == Mag("2")
    assert Mag(np.bool_(1).item()) == Mag(1)
    for wrong in (2.0, 1.0, np.float64(2)):
        with pytest.raises(GeometryError):
            Mag(wrong)


@given(*[st.tuples(*[st.sampled_from([1, 2, 4, 8])] * 3)] * 2)
def test_mags_compare_by_their_largest_component_and_are_equal_by_all(a, b):
    one, two = Mag(a), Mag(b)
    for compare in (operator.lt, operator.le, operator.gt, operator.ge):
        assert compare(one, two) == compare(one, "-".join(map(str, b))) == compare(max(a), max(b))
    assert (one == two) == (a == b)
    assert hash(one) == hash(a)


class ForeignVector:
    """A vector of another package: only what its interface says."""

    def __init__(self, values, axes=("x", "y", "z")):
        self.values, self.axes = tuple(values), axes

    def __iter__(self):
        return iter(self.values)

    def __len__(self):
        return len(self.values)

    def to_tuple(self):
        return self.values


class ForeignMag:
    """A mag of another package."""

    def __init__(self, *values):
        self.values = values

    def to_vec3_int(self):
        return ForeignVector(self.values)

    def to_layer_name(self):
        return "2"

    @property
    def max_dim(self):
        return max(self.values)


class ForeignBox:
    """A box of another package."""

    def __init__(self, box):
        self.topleft, self.size = ForeignVector(box.topleft), ForeignVector(box.size)
        self.bottomright, self.index, self.axes = ForeignVector(box.bottomright), ForeignVector(box.index), box.axes
        self.name, self.is_visible, self.color = box.name, box.is_visible, box.color
        if isinstance(box, NormalizedBoundingBox):
            self.to_wkw_dict = box.to_wkw_dict


def test_geometry_of_another_package_is_taken_for_ours():
    vector, mag = ForeignVector((1, 2, 3)), ForeignMag(2, 2, 1)
    box = BoundingBox((0, 0, 0), (8, 8, 8))
    assert Vec3Int(vector) == (1, 2, 3)
    assert Vec3Int(1, 1, 1) + vector == (2, 3, 4)
    assert Vec3Float(vector) == (1.0, 2.0, 3.0)
    assert Mag(mag) == mag == Mag("2-2-1")
    assert Mag(ForeignVector((2, 2, 1))) == Mag(mag)
    assert Mag(1) < mag
    assert box.in_mag(mag).size == (4, 4, 8)
    assert box.align_with_mag(mag, ceil=True) == box
    assert box.offset(vector).topleft == (1, 2, 3)
    assert box.contains(vector)
    for other in (BoundingBox((4, 4, 4), (8, 8, 8), name="a"), BoundingBox((4, 4, 4), (8, 8, 8)).normalize_axes(3)):
        foreign = ForeignBox(other)
        assert box.intersected_with(foreign) == box.intersected_with(other)
        assert box.extended_by(foreign) == box.extended_by(other)
        assert other.contains_bbox(foreign)
        assert other == foreign
        assert BoundingBox.from_auto(foreign) == other.denormalize()
    assert BoundingBox(vector, vector).size == (1, 2, 3)
    with pytest.raises(GeometryError, match="expected a bounding box"):
        box.intersected_with(5)


POINTS = list(product((-7, 0, 3), repeat=3))


@pytest.mark.parametrize("point", POINTS)
def test_results_are_those_of_the_reference(point):
    theirs = pytest.importorskip("webknossos")
    a, b = Vec3Int(point), theirs.Vec3Int(point)
    for name in ("add", "sub", "mul", "floordiv", "mod", "ceildiv", "pairmax", "pairmin"):
        # the reference rounds quotients of negative divisors up once too often
        for other in (3, (1, 2 if name == "ceildiv" else -2, 5), [4, 4, 4]):
            assert by_method(a, name, other).to_tuple() == by_method(b, name, other).to_tuple()
    assert repr(a) == repr(b)
    assert hash(a) == hash(b)
    assert a.prod() == b.prod()
    ours, reference = BoundingBox(point, (9, 8, 7)), theirs.BoundingBox(point, (9, 8, 7))
    assert repr(ours) == repr(reference)
    for shape in ((4, 4, 4), (9, 1, 3)):
        chunks = [repr(chunk) for chunk in ours.chunk(shape, shape)]
        assert chunks == [repr(chunk) for chunk in reference.chunk(shape, shape)]
    assert ours == reference
    assert ours.intersected_with(reference) == ours
    assert repr(ours.align_with_mag(Mag(4), ceil=True)) == repr(reference.align_with_mag(theirs.Mag(4), ceil=True))
    assert Mag(theirs.Mag("4-2-1")) == theirs.Mag("4-2-1")


# ------------------------------------------------------------------------------------------------------------- boxes

corners = st.one_of(st.tuples(*[st.integers(-9, 9)] * 3), triples)
extents = st.one_of(st.tuples(*[st.integers(-4, 9)] * 3), triples)
boxes = st.builds(BoundingBox, corners, extents, name=st.sampled_from([None, "a"]), color=st.none())


def by_numbers(topleft, size):
    """Corner, extent and opposite corner, as plain numbers."""
    low = [min(a, a + b) for a, b in zip(topleft, size, strict=True)]
    return low, [abs(b) for b in size], [a + abs(b) for a, b in zip(low, size, strict=True)]


def numbers_of(box):
    return [list(part) for part in (box.topleft, box.size, box.bottomright)]


def alike(quick, slow):
    """Two boxes that differ in nothing that can be seen, or two errors of one text."""
    if isinstance(quick, str) or isinstance(slow, str):
        return quick == slow
    seen = ("topleft", "size", "bottomright", "index", "axes", "name", "is_visible", "color")
    return type(quick) is type(slow) and all(getattr(quick, what) == getattr(slow, what) for what in seen)


def or_text(function):
    try:
        return function()
    except GeometryError as error:
        return str(error)


@given(corners, extents)
def test_a_box_is_filled_as_numbers_say(topleft, size):
    box = BoundingBox(topleft, size)
    assert numbers_of(box) == [list(part) for part in by_numbers(topleft, size)]
    assert all(type(part) is Vec3Int for part in (box.topleft, box.size, box.bottomright, box.index))
    wide = NDBoundingBox((0, *topleft), (1, *size), ("t", "x", "y", "z"))
    assert numbers_of(wide) == [[i, *part] for i, part in zip((0, 1, 1), by_numbers(topleft, size), strict=True)]
    assert alike(pickle.loads(pickle.dumps(box)), box)
    assert alike(copy.deepcopy(wide), wide)


@given(boxes, boxes, st.booleans())
def test_boxes_are_cut_and_joined_as_their_slow_twins_are(a, b, dont_assert):
    quick = or_text(lambda: a.intersected_with(b, dont_assert))
    assert alike(quick, or_text(lambda: a.cut_to(b, dont_assert)))
    assert alike(a.extended_by(b), a.joined_with(b))
    assert (a == b) == (numbers_of(a) == numbers_of(b))
    wide, other = a.normalize_axes(2), b.normalize_axes(2)
    assert alike(or_text(lambda: wide.intersected_with(other, dont_assert=True)), wide.cut_to(other, dont_assert=True))


@given(
    st.tuples(*[st.integers(-9, 9)] * 3),
    st.tuples(*[st.integers(0, 9)] * 3),
    st.tuples(*[st.integers(1, 6)] * 3),
    st.sampled_from([0, 2**62, -(2**63), 2**63, 2**70]),
    st.booleans(),
)
def test_chunks_are_those_of_the_slow_twin(corner, size, shape, far, aligned):
    box = BoundingBox(tuple(a + far for a in corner), size, color=(1.0, 0.0, 0.0, 1.0))
    borders = shape if aligned else None
    for whole, by in ((box, shape), (box.normalize_axes(3), (3, *shape))):
        start = whole._chunk_start(whole._padded(by, 1), None if borders is None else by, whole._unit())
        grid = list(product(*map(range, start, whole.bottomright, by)))
        expected = [whole._chunk_at(start._like(place), whole._padded(by, 1)) for place in grid]
        found = list(whole.chunk(by, None if borders is None else by))
        assert len(found) == len(expected)
        assert all(map(alike, found, expected))


class Named(BoundingBox):
    """A box with a constructor of its own."""

    def __init__(self, topleft, size, **look):
        super().__init__(topleft, size, **{key: look[key] for key in ("name", "color") if key in look})
        self.__dict__["made"] = True


def test_boxes_that_users_derive_are_made_by_their_constructor():
    named = Named((0, 0, 0), (8, 8, 8), name="n")
    for box in (
        named.intersected_with(BoundingBox((1, 1, 1), (99, 2, 2))),
        named.extended_by(BoundingBox((9, 9, 9), (1, 1, 1))),
        named.offset((1, 2, 3)),
        *named.chunk((5, 8, 8)),
    ):
        assert type(box) is Named
        assert box.__dict__ == {"made": True}
    assert named.offset((1, 2, 3)).name == "n"
    assert type(BoundingBox((0, 0, 0), (9, 9, 9)).intersected_with(named)) is BoundingBox


def test_a_box_that_was_not_made_says_so_and_none_can_be_changed():
    empty = BoundingBox.__new__(BoundingBox)
    for use in (lambda: empty.topleft, lambda: empty._elsewhere(Vec3Int(1, 1, 1), Vec3Int(1, 1, 1))):
        with pytest.raises(AttributeError):
            use()
    box = BoundingBox((0, 0, 0), (1, 1, 1))
    assert box._common(empty) is None
    with pytest.raises(AttributeError, match="immutable"):
        box.name = "b"
    with pytest.raises(TypeError):
        box._elsewhere((1, 1, 1), (1, 1, 1))
    with pytest.raises(TypeError):
        box._fill(Vec3Int(1, 1, 1), Vec3Int(1, 1, 1), Vec3Int(1, 2, 3))


def test_references_of_boxes_are_counted_right():
    corner, extent, look = Vec3Int(2**40, 5, 7), Vec3Int(10, 10, 10), "a name of its own"
    box = BoundingBox(corner, extent, name=look)
    box._fill(corner, extent, box.index, (look, True, None))
    other = BoundingBox((2**40 + 3, 6, 8), (99, 99, 99))
    before = [sys.getrefcount(thing) for thing in (corner, extent, look, box.index, BoundingBox)]
    for _ in range(100):
        box.intersected_with(other)
        box.extended_by(other)
        box._elsewhere(corner, extent)
        BoundingBox(corner, (-1, -2, -3), name=look)
        list(box.chunk((5, 5, 5)))
        box.intersected_with(BoundingBox((0, 0, 0), (1, 1, 1)), dont_assert=True)
        box._fill(corner, extent, box.index, (look, True, None))
    gc.collect()
    assert [sys.getrefcount(thing) for thing in (corner, extent, look, box.index, BoundingBox)] == before
