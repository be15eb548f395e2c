"""Vectors: what scripts for the reference API rely on, and where wkfast is stricter."""

import copy
import pickle
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wkfast.errors import GeometryError
from wkfast.geometry import Mag, Vec3Float, Vec3Int, VecInt

ints = st.integers(-(2**70), 2**70)
triples = st.tuples(ints, ints, ints)


@pytest.mark.parametrize(
    ("vector", "text"),
    [
        (Vec3Int(1, -2, 3), "Vec3Int(1,-2,3)"),
        (VecInt(t=7, x=1), "VecInt(7,1, axes=('t', 'x'))"),
        (Vec3Float(1, 2.5, -0.0), "Vec3Float(1.0,2.5,-0.0)"),
        (Mag(2), "Mag(2)"),
        (Mag("4-4-1"), "Mag(4-4-1)"),
    ],
)
def test_values_show_themselves_as_the_reference_does(vector: object, text: str) -> None:
    assert repr(vector) == text


@pytest.mark.parametrize(
    "made",
    [
        Vec3Int(1, 2, 3),
        Vec3Int((1, 2, 3)),
        Vec3Int([1, 2, 3]),
        Vec3Int(np.array([1, 2, 3])),
        Vec3Int(np.array([1.9, 2.9, 3.9])),
        Vec3Int(x=1, y=2, z=3),
        Vec3Int(z=3, y=2, x=1),
        Vec3Int(3, 2, 1, axes=("z", "y", "x")),
        Vec3Int(VecInt(z=3, y=2, x=1)),
        Vec3Int(iter((1, 2, 3))),
        Vec3Int.from_str("1,2,3"),
        Vec3Int.from_str("(1, 2, 3)"),
        Vec3Int.from_str(repr(Vec3Int(1, 2, 3))),
        Vec3Int.from_xyz(1, 2, 3),
        Vec3Int.from_vec3_float((1.5, 2.5, 3.5)),
        Vec3Float(1.5, 2.5, 3.5).to_vec3_int(),
    ],
)
def test_a_vector_is_made_of_anything_that_holds_three_numbers(made: Vec3Int) -> None:
    assert type(made) is Vec3Int
    assert made == (1, 2, 3)
    assert all(type(component) is int for component in made)


@pytest.mark.parametrize("bad", [(), (1,), (1, 2), (1, 2, 3, 4), (None,), ("1,2,3",), ("1", "2", "3"), ((1, 2),)])
def test_anything_else_is_refused_as_value_and_as_assertion_error(bad: tuple[object, ...]) -> None:
    with pytest.raises(GeometryError) as caught:
        Vec3Int(*bad)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, AssertionError)


@pytest.mark.parametrize("bad", [(1,), (1, 2), ("a", "b", "c"), ((1, 2, 3, 4),), (None,)])
def test_three_floats_need_three_numbers(bad: tuple[object, ...]) -> None:
    with pytest.raises(GeometryError, match="three floats"):
        Vec3Float(*bad)


def test_fractions_are_cut_off_toward_zero() -> None:
    assert Vec3Int(1.9, -1.9, 0.5) == (1, -1, 0)


@given(triples, triples)
def test_arithmetic_is_that_of_the_components(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    left, right = Vec3Int(a), Vec3Int(b)
    assert left + right == tuple(x + y for x, y in zip(a, b, strict=True))
    assert left - b == tuple(x - y for x, y in zip(a, b, strict=True))
    assert left * 2 == tuple(x * 2 for x in a)
    assert -left == tuple(-x for x in a)
    assert left.pairmax(right) == tuple(map(max, a, b))
    assert left.pairmin(b) == tuple(map(min, a, b))
    assert left.prod() == a[0] * a[1] * a[2]


@given(triples, st.integers(1, 2**40))
def test_division_rounds_down_and_ceildiv_up(a: tuple[int, ...], divisor: int) -> None:
    vector = Vec3Int(a)
    assert (vector // divisor) * divisor + vector % divisor == vector
    assert vector.ceildiv(divisor) == -(-vector // divisor)


@given(triples, triples)
def test_vectors_compare_and_hash_like_tuples(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    assert (Vec3Int(a) < Vec3Int(b)) == (a < b)
    assert (Vec3Int(a) >= b) == (a >= b)
    assert (Vec3Int(a) == b) == (a == b)
    assert hash(Vec3Int(a)) == hash(a)
    assert {a: "found"}[Vec3Int(a)] == "found"


def test_vectors_are_immutable_sequences_that_pickle_and_copy() -> None:
    for vector in (Vec3Int(1, 2, 3), VecInt(t=4, x=1), Vec3Float(1, 2, 3)):
        assert isinstance(vector, Sequence)
        assert not isinstance(vector, tuple)
        for twin in (pickle.loads(pickle.dumps(vector)), copy.copy(vector), copy.deepcopy(vector)):
            assert twin == vector
            assert type(twin) is type(vector)
            assert repr(twin) == repr(vector)
        with pytest.raises(AttributeError):
            vector.x = 5


def test_axes_are_kept_and_must_match() -> None:
    vector = VecInt(c=3, x=1, y=2, z=4)
    assert (vector + 1).axes == ("c", "x", "y", "z")
    assert vector.xyz == (1, 2, 4)
    assert vector.c == 3
    assert vector.with_c(5).with_xyz((7, 8, 9)) == (5, 7, 8, 9)
    assert vector.get("t", 11) == 11
    with pytest.raises(KeyError, match="no t component"):
        vector.get("t")
    with pytest.raises(GeometryError, match="differ"):
        vector + VecInt(t=3, x=1, y=2, z=4)
    with pytest.raises(GeometryError, match="axes"):
        VecInt(1, 2, 3)


def test_axes_move_as_in_numpy() -> None:
    vector = VecInt(c=3, x=1, y=2, z=4)
    moved = vector.moveaxis(0, -1)
    assert moved == (1, 2, 4, 3)
    assert moved.axes == ("x", "y", "z", "c")
    assert np.moveaxis(np.empty(vector), 0, -1).shape == moved


def test_arrays_compare_element_wise_and_accept_vectors() -> None:
    assert (Vec3Int(1, 2, 3) == np.array([1, 5, 3])).tolist() == [True, False, True]
    assert np.array(Vec3Int(1, 2, 3)).dtype == np.int64
    assert np.zeros(Vec3Int(1, 2, 3)).shape == (1, 2, 3)
    assert Vec3Float(1, 2, 3).to_np().dtype == np.float64


@pytest.mark.parametrize("mag", [2, "2", "2-2-2", [2, 2, 2], (2, 2, 2), np.array([2, 2, 2]), Mag(2), Vec3Int(2, 2, 2)])
def test_a_mag_equals_everything_that_makes_it(mag: object) -> None:
    assert Mag(mag) == mag if not isinstance(mag, np.ndarray) else Mag(mag) == Mag(2)
    assert Mag(mag).to_layer_name() == "2"
    assert Mag(mag).to_long_layer_name() == "2-2-2"
    assert hash(Mag(mag)) == hash(Mag(2))


@pytest.mark.parametrize("mag", [0, -1, 3, "3", "1-1", "", "a", (1, 2), (1, 3, 1), 1.0, None, "2_2_1"])
def test_a_mag_is_made_of_powers_of_two(mag: object) -> None:
    with pytest.raises(GeometryError):
        Mag(mag)
    assert Mag(1) != mag


def test_mags_are_ordered_by_their_largest_component() -> None:
    assert sorted([Mag(4), Mag(1), Mag("2-2-1")]) == [Mag(1), Mag("2-2-1"), Mag(4)]
    assert Mag("1-2-4") <= Mag("4-2-1") <= Mag("1-2-4")
    assert Mag(4) > 2
    assert Mag(8).max_dim_log2 == 3
    assert pickle.loads(pickle.dumps(Mag("4-2-1"))) == Mag("4-2-1")


def test_a_vector_of_another_length_is_called_what_it_is():
    for wrong in ([1, 2], (1, 2, 3, 4)):
        with pytest.raises(GeometryError, match="expected three integers"):
            Vec3Int(wrong)
    assert Mag(8) // 2 == Mag(4)


class _Theirs(Sequence):
    """A vector of another package: numbers along named axes."""

    axes = ("x", "y", "z")

    def __init__(self, *numbers):
        self.numbers = numbers

    def __getitem__(self, place):
        return self.numbers[place]

    def __len__(self):
        return len(self.numbers)


def test_vectors_of_other_packages_are_equal_where_their_numbers_are():
    assert Vec3Int(1, 2, 3) == _Theirs(1, 2, 3)
    assert _Theirs(1, 2, 3) == Vec3Int(1, 2, 3)
    assert Vec3Int(1, 2, 3) != _Theirs(1, 2, 4)
    assert Vec3Int(1, 2, 3) < _Theirs(1, 2, 4)
    # without axes it is no vector, as before
    assert Vec3Int(1, 2, 3) != [1, 2, 3]
