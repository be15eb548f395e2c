"""Trees and nodes: any sequence of edits equals a plain model, and nodes are views that the tree and files see."""

import copy
import gc
import itertools
import math
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import networkx as nx
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from wkfast._core import NodeIterator
from wkfast.errors import SkeletonError
from wkfast.geometry import Vec3Float, Vec3Int
from wkfast.skeleton import Node, Skeleton, Tree

coordinates = st.integers(-(2**40), 2**40)
facts = st.fixed_dictionaries(
    {},
    optional={
        "comment": st.none() | st.text(),
        # The plain model holds floats, and a NaN is unequal to itself.
        "radius": st.none() | st.floats(allow_nan=False),
        "rotation": st.none() | st.tuples(*[st.floats(allow_nan=False)] * 3),
        "inVp": st.none() | st.integers(-5, 5),
        "inMag": st.none() | st.integers(0, 9),
        "bitDepth": st.none() | st.integers(0, 64),
        "interpolation": st.none() | st.booleans(),
        "time": st.none() | st.integers(-(2**62), 2**62),
        "is_branchpoint": st.booleans(),
    },
)
DEFAULTS = {
    "comment": None, "radius": None, "rotation": None, "inVp": None, "inMag": None, "bitDepth": None,
    "interpolation": None, "time": None, "is_branchpoint": False, "branchpoint_time": None,
}  # fmt: skip


class Edits(RuleBasedStateMachine):
    """Edits of a tree beside the same edits of a networkx graph of ids."""

    nodes = Bundle("nodes")

    def __init__(self) -> None:
        super().__init__()
        self.tree = Skeleton(voxel_size=(1, 2, 3), dataset_name="d").add_tree("t")
        self.model = nx.Graph()

    @rule(target=nodes, position=st.tuples(coordinates, coordinates, coordinates), given_facts=facts)
    def add_node(self, position, given_facts):
        node = self.tree.add_node(position, **given_facts)
        self.model.add_node(node.id, position=position, **(DEFAULTS | given_facts))
        return node

    @rule(a=nodes, b=nodes)
    def add_edge(self, a, b):
        self.tree.add_edge(a, b.id)
        self.model.add_edge(a.id, b.id)

    @rule(a=nodes, b=nodes)
    def remove_edge(self, a, b):
        if self.model.has_edge(a.id, b.id):
            self.tree.remove_edge(a.id, b)
            self.model.remove_edge(a.id, b.id)
        else:
            with pytest.raises(nx.NetworkXError):
                self.tree.remove_edge(a, b)

    @rule(node=consumes(nodes))
    def remove_node(self, node):
        self.tree.remove_node(node)
        self.model.remove_node(node.id)
        assert node not in self.tree
        with pytest.raises(SkeletonError):
            self.tree.add_edge(node, node)

    @rule(node=nodes, changes=facts, position=st.tuples(coordinates, coordinates, coordinates))
    def change(self, node, changes, position):
        for name, value in (changes | {"position": position}).items():
            setattr(node, name, value)
            self.model.nodes[node.id][name] = value

    @rule()
    def copy_and_look(self):
        assert copy.deepcopy(self.tree) == self.tree
        assert pickle.loads(pickle.dumps(self.tree)) == self.tree

    @invariant()
    def same_graph(self):
        tree, model = self.tree, self.model
        assert [node.id for node in tree.nodes] == list(model.nodes)
        assert len(tree) == tree.number_of_nodes() == len(model)
        assert tree.number_of_edges() == model.number_of_edges()
        assert {frozenset((u.id, v.id)) for u, v in tree.edges} == set(map(frozenset, model.edges))
        assert {frozenset(edge) for edge in tree._columns.edges().tolist()} == set(map(frozenset, model.edges))
        assert {node.id: degree for node, degree in tree.degree} == dict(model.degree)
        for node in tree:
            assert [n.id for n in tree.neighbors(node)] == list(model.neighbors(node.id))

    @invariant()
    def same_facts(self):
        for node in self.tree:
            for name, value in self.model.nodes[node.id].items():
                read = getattr(node, name)
                assert read == value or (isinstance(value, float) and math.isnan(value) and math.isnan(read)), name


TestEdits = Edits.TestCase
TestEdits.settings = settings(max_examples=60, stateful_step_count=30)


@pytest.fixture
def tree() -> Tree:
    return Skeleton(voxel_size=(1, 1, 1), dataset_name="d").add_tree("my_tree", color=(1, 0, 0))


def test_a_node_shows_itself_as_in_the_reference(tree):
    node = tree.add_node((1, 2, 3), comment="c", rotation=(1, 2, 3), is_branchpoint=True, branchpoint_time=5, time=7)
    assert (
        repr(node)
        == str(node)
        == (
            "Node(position=Vec3Int(1,2,3), _id=2, comment='c', radius=None, rotation=Vec3Float(1.0,2.0,3.0), "
            "inVp=None, inMag=None, bitDepth=None, interpolation=None, time=7, is_branchpoint=True, branchpoint_time=5)"
        )
    )
    assert str(tree) == "Tree named 'my_tree' with 1 nodes and 0 edges"
    assert list(node.get_dict()) == ["position", *DEFAULTS]


def test_nodes_are_ordered_by_position_then_id_and_hash_like_their_id(tree):
    a, b, c = (tree.add_node(p) for p in ((1, 2, 3), (1, 2, 3), (0, 9, 9)))
    assert sorted([b, a, c]) == [c, a, b]
    assert (a < b, a <= b, a > b) == (True, True, False)
    assert a != b
    assert hash(a) == hash(a.id)
    assert a == a.id
    assert {a: "found"}[a.id] == "found"
    with pytest.raises(TypeError):
        _ = a < 5


@pytest.mark.parametrize("node_id", [-1, -2, 0, 2**31, 2**61 - 1, 2**61, 2**63, 2**70, -(2**70)])
def test_ids_of_any_size_hash_and_compare_like_ints(tree, node_id):
    node = tree.add_node((0, 0, 0), _enforced_id=node_id)
    assert node.id == node_id
    assert hash(node) == hash(node_id)
    assert tree.get_node_by_id(node_id) == node
    assert tree._columns.ids() == [node_id] if abs(node_id) >= 2**63 else [node_id]


def test_equal_nodes_have_equal_facts(tree):
    other = copy.deepcopy(tree)
    a, b = tree.add_node((1, 2, 3), _enforced_id=50), other.add_node((1, 2, 3), _enforced_id=50)
    assert a == b
    b.comment = "x"
    assert a != b
    assert pickle.loads(pickle.dumps(a)) == a
    assert copy.deepcopy(a) == a


def test_positions_are_cut_off_for_users_and_exact_in_the_columns(tree):
    node = tree.add_node((1.9, -1.9, 0))
    assert node.position == Vec3Int(1, -1, 0)
    node.position_float = (1.9, -1.9, 0.5)
    assert node.position == Vec3Int(1, -1, 0)
    assert node.position_float == Vec3Float(1.9, -1.9, 0.5)
    assert tree.get_node_positions().tolist() == [[1, -1, 0]]
    assert tree.get_node_positions_float().tolist() == [[1.9, -1.9, 0.5]]
    node.position_float = (2.0**70, 0, 0)
    assert node.position.x == 2**70


@pytest.mark.parametrize("bad", [(1, 2), 5, None, "1,2,3", (1, 2, "a")])
def test_a_position_is_three_numbers(tree, bad):
    with pytest.raises((ValueError, TypeError)):
        tree.add_node(bad)
    assert len(tree) == 0


def test_a_node_keeps_all_comments_and_shows_the_last(tree):
    node = tree.add_node((1, 2, 3), comment="first")
    node.comments = ["first", "second"]
    assert node.comment == "second"
    node.comment = "third"
    assert node.comments == ["first", "third"]
    node.comment = None
    assert node.comments == []


def test_a_branchpoint_has_its_own_time(tree):
    node = tree.add_node((1, 2, 3), time=5)
    with pytest.raises(SkeletonError, match="no branchpoint"):
        node.branchpoint_time = 7
    node.is_branchpoint = True
    assert node.branchpoint_time is None
    node.branchpoint_time = 7
    assert (node.time, node.branchpoint_time, node.branchpoint_times) == (5, 7, [7])
    node.is_branchpoint = False
    assert (node.is_branchpoint, node.branchpoint_time) == (False, None)


def test_rarer_facts_can_be_set(tree):
    node = tree.add_node((1, 2, 3))
    node.additional_coordinates = {"t": 4}
    assert node.additional_coordinates == {"t": 4}
    other = tree.add_node((0, 0, 0))
    assert other.additional_coordinates == {}
    table = tree.nodes_table()["additionalCoordinate-t"]
    assert table[0] == 4
    assert table.mask.tolist() == [False] * (len(table) - 1) + [True]
    with pytest.raises(AttributeError):
        node.id = 5
    with pytest.raises(AttributeError):
        tree.id = 5


def test_ids_that_are_taken_are_refused(tree):
    tree.add_node((1, 2, 3), _enforced_id=9)
    with pytest.raises(SkeletonError, match="already has a node with the id 9"):
        tree.add_node((1, 2, 3), _enforced_id=9)
    assert tree.add_node((1, 2, 3)).id > 9


def test_a_node_of_another_tree_is_refused(tree):
    other = tree.group.add_tree("other")
    a, b = tree.add_node((1, 2, 3)), other.add_node((1, 2, 3))
    with pytest.raises(SkeletonError, match="not a node of 'my_tree'"):
        tree.add_edge(a, b)
    with pytest.raises(SkeletonError, match="not a node of 'my_tree'"):
        tree.add_edge(a, 10**6)
    assert b not in tree


def test_trees_compare_by_content(tree):
    a, b = tree.add_node((1, 2, 3)), tree.add_node((4, 5, 6))
    tree.add_edge(a, b)
    for change in (
        lambda t: setattr(t, "name", "x"),
        lambda t: setattr(t, "color", None),
        lambda t: t.metadata.update(a=1),
        lambda t: setattr(next(iter(t)), "comment", "x"),
        lambda t: t.clear_edges(),
        lambda t: t.add_node((1, 1, 1)),
    ):
        other = copy.deepcopy(tree)
        assert other == tree
        assert hash(other) == hash(tree)
        change(other)
        assert other != tree
    turned = copy.deepcopy(tree)
    turned.clear_edges()
    turned.add_edge(b.id, a.id)
    assert turned == tree


def test_metadata_are_each_trees_own(tree):
    shared = {"a": 1}
    one, two = tree.group.add_tree("one", metadata=shared), tree.group.add_tree("two", metadata=shared)
    one.metadata["b"] = 2
    assert two.metadata == shared == {"a": 1}
    assert tree.group.add_tree("three").metadata == {}


def test_path_length_box_and_degrees_need_no_loop():
    skeleton = Skeleton(voxel_size=(10, 10, 30), dataset_name="d")
    tree = skeleton.add_tree_from_arrays("line", [[0, 0, 0], [3, 4, 0], [3, 4, 2]], [[0, 1], [1, 2]])
    assert tree.path_length() == 50 + 60
    assert tree.bounding_box().size == (4, 5, 3)
    assert tree.degrees().tolist() == [1, 2, 1]
    indptr, indices = tree.adjacency_arrays()
    assert (indptr.tolist(), indices.tolist()) == ([0, 1, 3, 4], [1, 0, 2, 1])
    assert skeleton.add_tree("empty").bounding_box() is None
    tree.set_node_positions(tree.get_node_positions_float() * 2)
    assert tree.path_length() == 220
    with pytest.raises(ValueError, match="shape"):
        tree.set_node_positions(np.zeros((2, 3)))


def test_a_tree_of_arrays_equals_one_made_node_by_node(tree):
    chance = np.random.default_rng(7)
    positions, edges = chance.integers(0, 99, (50, 3)), [[i, int(chance.integers(i))] for i in range(1, 50)]
    fast = tree.group.add_tree_from_arrays("fast", positions, edges, radius=np.arange(50.0))
    slow = tree.group.add_tree("fast", _enforced_id=fast.id)
    nodes = [slow.add_node(p, radius=i, _enforced_id=fast_node.id)
             for i, (p, fast_node) in enumerate(zip(positions, fast, strict=True))]  # fmt: skip
    for a, b in edges:
        slow.add_edge(nodes[a], nodes[b])
    assert fast == slow
    assert tree.group.add_tree("next").add_node((0, 0, 0)).id > max(node.id for node in nodes)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"positions": [[0, 0, 0]], "edges": [[0, 1]]}, "rows 0 to 1"),
        ({"positions": [[0, 0, 0]], "edges": [[-1, 0]]}, "rows -1 to 0"),
        ({"positions": [[0, 0, 0]] * 2, "node_ids": [7, 7]}, "7 is there twice"),
        ({"positions": [[0, 0, 0]], "node_ids": [7], "edges": [[7, 8]]}, "names node 8"),
        ({"positions": [[0, 0, 0]], "node_ids": [7, 8]}, "shape"),
        ({"positions": [[0, 0, 0]], "radius": [1, 2]}, "shape"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tree, arrays, message):
    with pytest.raises(SkeletonError, match=message):
        tree.group.add_tree_from_arrays("bad", **arrays)


def test_nodes_are_made_by_trees_only():
    with pytest.raises(TypeError):
        Node()


@pytest.fixture
def hundred():
    return Skeleton((1, 1, 1), "d").add_tree_from_arrays("t", [[i, 0, 0] for i in range(100)], [])


def test_nodes_that_are_kept_stay_what_they_are(hundred):
    rows = list(range(100))
    assert [node.position.x for node in list(hundred.nodes)] == rows
    assert len({id(node) for node in list(hundred.nodes)}) == 100
    assert sorted(node.position.x for node in set(hundred.nodes) | set(hundred)) == rows
    for keep in range(1, 7):
        kept = [node for i, node in enumerate(hundred.nodes) if i % keep == 0]
        assert [node.position.x for node in kept] == rows[::keep]
    a, b = itertools.tee(hundred.nodes)
    assert [node.position.x for node in a] == [node.position.x for node in b] == rows
    pairs = list(zip(hundred.nodes, itertools.islice(hundred.nodes, 1, None), strict=False))
    assert [(u.position.x, v.position.x) for u, v in pairs] == list(itertools.pairwise(rows))
    assert min(hundred.nodes, key=lambda node: -node.position.x).position.x == 99


def test_a_loop_sees_each_node_while_it_holds_the_one_before(hundred):
    before = None
    for i, node in enumerate(hundred.nodes):
        assert node.position.x == i
        assert before is None or before.position.x == i - 1
        assert node is not before
        before = node
    assert before.position.x == 99


def test_nodes_may_be_removed_and_added_within_a_loop(hundred):
    seen = []
    for node in hundred.nodes:
        seen.append(node.position.x)
        if node.position.x == 3:
            hundred.remove_nodes_from([n for n in list(hundred.nodes) if n.position.x in {2, 4, 5, 99}])
        if node.position.x == 98:
            hundred.add_node((1000, 0, 0))
    assert seen == [0, 1, 2, 3, *range(6, 99)]
    iterator = iter(hundred.nodes)
    assert sum(1 for _ in iterator) == len(hundred)
    assert next(iterator, None) is None


def test_a_loop_that_adds_a_node_per_step_ends(hundred):
    for node in itertools.islice(hundred.nodes, 1000):
        hundred.add_edge(node, hundred.add_node(node.position.with_y(1)))
    assert len(hundred) == 200


def test_a_loop_may_remove_most_nodes_of_a_large_tree():
    tree = Skeleton((1, 1, 1), "d").add_tree_from_arrays("t", np.zeros((200_000, 3)))
    for i, node in enumerate(tree.nodes):
        if i % 2:
            tree.remove_node(node)
    assert len(tree) == 100_000


def test_nodes_need_a_position_and_are_not_made_by_networkx(hundred):
    first = next(iter(hundred.nodes))
    hundred.add_nodes_from([first, first.id])
    with pytest.raises(SkeletonError, match="add_node"):
        hundred.add_nodes_from([(1, 2, 3)])
    assert hundred.node_dict_factory is dict
    assert len(hundred) == 100


def test_an_iterator_leaves_nothing_behind(hundred):
    columns = hundred._columns
    kind = type(iter(hundred.nodes))
    kept = list(hundred.nodes)
    held = sys.getrefcount(columns), sys.getrefcount(kind), [sys.getrefcount(node) for node in kept]
    for steps in (0, 1, 2, 3, 50, 99, 100, 101):
        for _ in range(20):
            iterator = iter(hundred.nodes)
            last = [node for node, _ in zip(iterator, range(steps), strict=False)][-1:]
            assert [node.position.x for node in last] == [min(steps, 100) - 1] * bool(steps)
            del iterator, last
    assert held == (sys.getrefcount(columns), sys.getrefcount(kind), [sys.getrefcount(node) for node in kept])


def test_an_iterator_keeps_the_nodes_of_its_tree():
    iterator = iter(Skeleton((1, 1, 1), "d").add_tree_from_arrays("t", [[i, 0, 0] for i in range(9)], []).nodes)
    gc.collect()
    assert [node.position.x for node in iterator] == list(range(9))
    assert list(iterator) == []


def test_iterators_are_made_by_trees_only(hundred):
    iterator = iter(hundred.nodes)
    assert iter(iterator) is iterator
    assert type(iterator) is NodeIterator
    with pytest.raises(TypeError, match="cannot create"):
        NodeIterator()
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(iterator)
    with pytest.raises(TypeError, match="requires a"):
        NodeIterator.__next__(hundred)


def test_threads_may_share_an_iterator(hundred):
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            iterator = iter(hundred.nodes)

            def drain(shared=iterator):
                return [node.position.x for node in shared]

            taken = [future.result() for future in [pool.submit(drain) for _ in range(4)]]
            assert sorted(itertools.chain.from_iterable(taken)) == list(range(100))


@pytest.mark.parametrize(
    ("positions", "facts"),
    [
        (np.zeros((3, 6)), {}),
        ([1, 2, 3], {}),
        ([[1, 2]], {}),
        (np.zeros((4, 3)), {"edges": [[0, 1, 2], [1, 2, 3]]}),
        (np.zeros((4, 3)), {"edges": [[0.5, 1.0]]}),
        (np.zeros((2, 3)), {"node_ids": [[5, 6]]}),
        (np.zeros((2, 3)), {"node_ids": np.array([2**63 + 1, 5], np.uint64)}),
        (np.zeros((2, 3)), {"node_ids": [5]}),
    ],
)
def test_arrays_of_another_shape_are_refused_not_reshaped(positions, facts):
    skeleton = Skeleton((1, 1, 1), "d")
    with pytest.raises(SkeletonError, match="must"):
        skeleton.add_tree_from_arrays("t", positions, **facts)
    assert list(skeleton.trees) == []
    assert str(skeleton.add_tree_from_arrays("empty", [], []).path_length()) == "0.0"


@pytest.mark.parametrize("is_read", [False, True])
def test_a_tree_that_gets_another_group_moves_there(tmp_path, is_read):
    skeleton = Skeleton(voxel_size=(1, 1, 1), dataset_name="d")
    outer = skeleton.add_group("outer")
    inner = outer.add_group("inner")
    for name in ("one", "two", "three"):
        outer.add_tree(name).add_nodes([[1, 2, 3], [4, 5, 6]], edges=[[0, 1]])
    inner.add_tree("own")
    if is_read:
        skeleton.save(tmp_path / "a.nml")
        skeleton = Skeleton.load(tmp_path / "a.nml")
        (outer,) = skeleton.groups
        (inner,) = outer.groups
    two = next(tree for tree in outer.trees if tree.name == "two")
    nodes = two.nodes_table()["id"].tolist()
    two.group = inner
    assert two.group is inner
    assert [tree.name for tree in outer.trees] == ["one", "three"]
    assert [tree.name for tree in inner.trees] == ["own", "two"]
    next(iter(outer.trees)).group = skeleton
    skeleton.save(tmp_path / "b.nml")
    again = Skeleton.load(tmp_path / "b.nml")
    assert again == skeleton
    assert [tree.name for tree in again.trees] == ["one"]
    assert {tree.name for tree in again.get_group_by_id(inner.id).trees} == {"own", "two"}
    assert again.get_tree_by_id(two.id).nodes_table()["id"].tolist() == nodes
    two.group = inner
    assert [tree.name for tree in inner.trees] == ["own", "two"]


@pytest.mark.parametrize(
    "again", [lambda loaded: loaded, copy.deepcopy, lambda loaded: pickle.loads(pickle.dumps(loaded))]
)
def test_removing_trees_that_have_moved_takes_away_no_other(tmp_path, again):
    """Every tree of a loaded file is moved to every group and removed: a twin of plain lists says what is left."""
    skeleton = Skeleton(voxel_size=(1, 1, 1), dataset_name="d")
    for group in "abc":
        below = skeleton.add_group(group)
        for number in range(3):
            below.add_tree(f"{group}{number}")
    skeleton.save(tmp_path / "a.nml")
    for moved, target, removed in itertools.product((f"{g}{n}" for g in "abc" for n in range(3)), "abc", "abc"):
        loaded = again(Skeleton.load(tmp_path / "a.nml"))
        groups = {group.name: group for group in loaded.groups}
        twin = {name: [tree.name for tree in group.trees] for name, group in groups.items()}
        trees = {tree.name: tree for tree in loaded.flattened_trees()}
        trees[moved].group = groups[target]
        if moved not in twin[target]:
            next(names for names in twin.values() if moved in names).remove(moved)
            twin[target].append(moved)
        for gone in (moved, f"{removed}1"):
            if any(gone in names for names in twin.values()):
                loaded.remove_tree_by_id(trees[gone].id)
                next(names for names in twin.values() if gone in names).remove(gone)
        assert {name: [tree.name for tree in group.trees] for name, group in groups.items()} == twin


@pytest.mark.parametrize("other", [None, "outer", Skeleton(voxel_size=(1, 1, 1), dataset_name="d").add_group("g")])
def test_a_tree_moves_to_no_group_of_another_skeleton(other):
    skeleton = Skeleton(voxel_size=(1, 1, 1), dataset_name="d")
    tree = skeleton.add_tree("t")
    with pytest.raises(SkeletonError, match="add_tree copies"):
        tree.group = other
    assert tree.group is skeleton
    assert list(skeleton.trees) == [tree]
