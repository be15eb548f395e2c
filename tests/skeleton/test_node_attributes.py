"""What a node keeps of its row is right after every change, whoever makes it."""

import copy
import gc
import pickle
import sys
import threading
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wkfast as wk
from wkfast import _core
from wkfast.skeleton import Skeleton
from wkfast.skeleton.tree import Tree

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


def test_a_row_has_one_object_as_long_as_somebody_holds_it(tree):
    made = [tree.add_node((i, 0, 0)) for i in range(600)]
    assert all(one is other for one, other in zip(tree.nodes, made, strict=True))
    assert tree.get_node_by_id(made[300].id) is made[300]
    tree.add_edge(made[0], made[599])
    assert next(tree.neighbors(made[0])) is made[599]
    assert next(iter(tree.edges)) == (made[0], made[599])
    kept = made[5]
    del made
    assert [node is kept for node in tree.nodes].count(True) == 1
    assert sum(1 for node in list(tree.nodes) if node is kept) == 1


def test_nodes_that_nobody_holds_hold_nothing(tree):
    tree.add_nodes([[i, 1, 2] for i in range(1000)])
    columns, view = tree._columns, tree.nodes  # which the tree keeps
    counts = [sys.getrefcount(columns)]
    nodes = list(view)
    counts.append(sys.getrefcount(columns))
    assert [node.position.x for node in nodes] == list(range(1000))
    del nodes
    counts.append(sys.getrefcount(columns))
    for node in tree.nodes:
        assert tree.get_node_by_id(node.id) is node
    del node
    counts.append(sys.getrefcount(columns))
    assert [count - counts[0] for count in counts] == [0, 1000, 0, 0]


def test_a_node_that_a_loop_left_is_not_the_one_of_another_row(tree):
    tree.add_nodes([[i, 1, 2] for i in range(100)])
    seen = {}
    for node in tree.nodes:
        if node.row % 7 == 0:
            seen[node.row] = node
        held = tree.get_node_by_id(tree._columns.node(node.row // 2).id)
        assert held.position.x == held.row == node.row // 2
    assert {row: node.position.x for row, node in seen.items()} == {row: row for row in range(0, 100, 7)}


def test_the_view_of_nodes_is_made_once_and_holds_no_tree(tree):
    alone = Tree("alone", tree.group)
    nodes, freed = alone.nodes, weakref.ref(alone)
    assert alone.nodes is nodes
    nodes[alone.add_node((1, 2, 3)).id]["cluster"] = 7
    twins = copy.deepcopy(alone), pickle.loads(pickle.dumps(alone))
    for twin in twins:
        twin.add_node((4, 5, 6))
        assert [facts["cluster"] for _, facts in twin.nodes(data=True) if "cluster" in facts] == [7]
        assert (len(twin.nodes), len(nodes)) == (2, 1)
    gc.disable()
    try:
        del alone
        assert freed() is None  # at once, not by the collector
    finally:
        gc.enable()
    assert [node.position.x for node in nodes] == [1]


def facts_of(nodes):
    return [(node.id, node.get_dict(), node.comments, node.is_branchpoint) for node in nodes]


def set_columns(node, which, number):
    node.radius, node.inMag, node.interpolation = number / 4, number, None if which % 2 else True


def set_notes(node, which, number):
    node.comment, node.is_branchpoint = (str(number), True) if which % 2 else (None, False)


def move(node, which, number):
    node.position_float = (number / 3, which, 7)


def put_tables(tree, which, number):
    tree.set_nodes_table({"radius": [number + i for i in range(len(tree))], "time": [which] * len(tree)})
    tree.set_node_positions([[number, i, which] for i in range(len(tree))])


def add(tree, _which, number):
    tree.add_nodes([[number, 1, 1]], comments=[str(number)], rotation=[[1, 2, number]])


CHANGES_OF_NODES, CHANGES_OF_TREES = [set_columns, set_notes, move], [put_tables, add]
changes = st.sampled_from([*CHANGES_OF_NODES, *CHANGES_OF_TREES, "hold", "loop", "drop", "remove"])


def run(change, tree, held, which, number):
    """Make a change of a tree, or of what a script holds of it."""
    id_ = [node.id for node in tree.nodes][which % len(tree)]
    if change in CHANGES_OF_NODES:
        change(tree.get_node_by_id(id_), which, number)
    elif change in CHANGES_OF_TREES:
        change(tree, which, number)
    elif change == "hold":
        held[id_] = tree.get_node_by_id(id_)
    elif change == "loop":
        held |= {node.id: node for node in tree.nodes if node.id % 3 == 0 and node.position.x >= number}
    else:
        held.pop(id_, None)
        if change == "remove" and len(tree) > 1:
            tree.remove_node(id_)


@given(st.lists(st.tuples(changes, st.integers(0, 20), st.integers(-5, 300)), max_size=25))
def test_held_nodes_show_what_nodes_made_anew_of_a_copy_show(made):
    tree = Skeleton(voxel_size=(1, 1, 1), dataset_name="nodes").add_tree("t")
    tree.add_nodes([[i, 0, 0] for i in range(5)], radius=[1, 2, 3, 4, 5])
    held = {}
    for change, which, number in made:
        run(change, tree, held, which, number)
        twin = pickle.loads(pickle.dumps(tree._columns))
        assert facts_of(held.values()) == facts_of(twin.node_by_id(id_) for id_ in held)
    assert facts_of(tree.nodes) == facts_of(pickle.loads(pickle.dumps(tree._columns)).nodes())


def test_nodes_cannot_be_made_or_derived():
    with pytest.raises(TypeError):
        _core.Node()
    with pytest.raises(TypeError):
        object.__new__(_core.Node)
    with pytest.raises(TypeError):
        type("Derived", (_core.Node,), {})


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


def test_a_loop_that_looks_at_some_nodes_only_shows_nothing_of_those_before():
    tree = wk.Skeleton(voxel_size=(1, 1, 1), dataset_name="d").add_tree("t")
    ids = [tree.add_node(position=(row, 0, 0), radius=float(row)).id for row in range(100)]
    for row, node in enumerate(tree.nodes):
        assert tree.get_node_by_id(ids[row]) is node
        if row % 3 == 0:
            assert (hash(node), node.radius) == (hash(ids[row]), row)
        elif row % 3 == 1:
            assert node.position == (row, 0, 0)
        elif row % 7 == 0:
            assert (hash(node), node.id) == (hash(ids[row]), ids[row])
    assert [node.radius for node in tree.nodes] == list(range(100))
