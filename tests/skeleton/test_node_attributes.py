"""What a node keeps of its row is right after every change, whoever makes it."""

import pickle
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wkfast as wk
from wkfast import _core
from wkfast.skeleton import Skeleton

COLUMNS = [name for name, _ in _core.NODE_COLUMNS]


@pytest.fixture
def tree():
    return Skeleton(voxel_size=(1, 1, 1), dataset_name="nodes").add_tree("t")


def test_a_position_that_was_read_is_the_same_object_until_it_changes(tree):
    node = tree.add_node((1, 2, 3))
    first = node.position
    assert node.position is first
    node.position = (4, 5, 6)
    assert node.position == wk.Vec3Int(4, 5, 6)
    assert first == wk.Vec3Int(1, 2, 3)


def test_a_change_through_one_object_is_seen_through_another_of_the_same_node(tree):
    node = tree.add_node((1, 2, 3), comment="a")
    other = tree.get_node_by_id(node.id)
    assert (node.position, node.comment) == (other.position, other.comment)
    other.position_float = (7.5, 8, 9)
    other.comment = "b"
    assert (node.position, node.comment) == (wk.Vec3Int(7, 8, 9), "b")
    other.comments = ["b", "c"]
    assert node.comment == "c"
    tree.set_node_positions([[0, 0, 1]])
    assert node.position == wk.Vec3Int(0, 0, 1)


def test_the_node_of_a_loop_shows_the_row_of_its_step(tree):
    for i in range(100):
        tree.add_node((i, 0, 0), comment=str(i))
    for _ in range(2):
        assert [(node.position.x, node.comment) for node in tree.nodes] == [(i, str(i)) for i in range(100)]


def test_what_a_node_kept_goes_with_it(tree):
    node = tree.add_node((10**6, 2, 3))
    position = node.position
    before = sys.getrefcount(position)
    del node
    assert sys.getrefcount(position) == before - 1


@given(
    st.lists(
        st.tuples(st.sampled_from(["position", "comment", "radius", "time", "inMag"]), st.integers(-99, 99)),
        max_size=30,
    )
)
def test_attributes_are_those_of_a_plain_record_under_any_changes(changes):
    tree = Skeleton(voxel_size=(1, 1, 1), dataset_name="nodes").add_tree("t")
    node = tree.add_node((0, 0, 0))
    twin = tree.get_node_by_id(node.id)
    plain = {"position": (0, 0, 0), "comment": None, "radius": None, "time": None, "inMag": None}
    for name, number in changes:
        plain[name] = {"position": (number, 0, 1), "comment": str(number), "radius": number / 2}.get(name, number)
        setattr(node, name, plain[name])
        for shown in (node, twin):
            assert {key: tuple(v) if key == "position" else v for key, v in
                    ((key, getattr(shown, key)) for key in plain)} == plain  # fmt: skip


@pytest.mark.parametrize("name", ["id", "position", "comment", *COLUMNS])
def test_every_road_to_an_attribute_gives_the_same(tree, name):
    facts = {
        "radius": 2.5,
        "rotation": (1, 2, 3),
        "inVp": 1,
        "inMag": 2,
        "bitDepth": 8,
        "interpolation": True,
        "time": 5,
    }
    node = tree.add_node((1, 2, 3), comment="c", **facts)
    made_up = "".join(list(name))  # a text that the interpreter does not share
    assert getattr(node, name) == getattr(node, made_up) == object.__getattribute__(node, made_up)
    assert name in dir(node)
    assert name == "id" or node.get_dict()[name] == getattr(node, name)


def test_an_attribute_that_there_is_none_of_raises(tree):
    node = tree.add_node((1, 2, 3))
    for name in ("nothing", "Position"):
        with pytest.raises(AttributeError, match=name):
            getattr(node, name)
    for name in COLUMNS:
        with pytest.raises(AttributeError):
            delattr(node, name)
        assert getattr(type(node), name).__name__ == name


def test_columns_refuse_values_of_another_type(tree):
    node = tree.add_node((1, 2, 3))
    for name, value in (("inVp", "x"), ("radius", "wide"), ("rotation", (1, 2)), ("interpolation", 3), ("time", 2**70)):
        with pytest.raises((TypeError, ValueError, OverflowError)):
            setattr(node, name, value)
        assert getattr(node, name) is None


def test_threads_share_a_tree_that_others_change_measure_and_save(tmp_path):
    skeleton = Skeleton(voxel_size=(1, 1, 1), dataset_name="threads")
    tree = skeleton.add_tree("t")
    last = tree.add_node((0, 0, 0))
    for i in range(5000):
        node = tree.add_node((i, 1, 2))
        tree.add_edge(last, node)
        last = node
    faults, stop = [], threading.Event()

    def repeat(work):
        try:
            while not stop.is_set():
                work()
        except BaseException as error:  # noqa: BLE001 # a panic is no Exception
            faults.append(error)

    def grow():
        node = tree.add_node((1, 1, 1), comment="new")
        tree.add_edge(node, last)
        node.position = (2, 2, 2)

    def measure():
        table = tree.nodes_table()
        assert len({len(column) for column in table.values()}) <= 2
        tree.path_length(), tree.edges_table(), tree.degrees(), pickle.dumps(tree._columns)

    works = [grow, grow, measure, lambda: skeleton.save(tmp_path / "saved.nml")]
    threads = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    threading.Event().wait(0.7)
    stop.set()
    for thread in threads:
        thread.join()
    assert not faults
    assert Skeleton.load(tmp_path / "saved.nml", strict=True).get_total_node_count() > 5000
