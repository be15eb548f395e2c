"""Many nodes by one call equal the loop that adds them one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wkfast.errors import SkeletonError
from wkfast.skeleton import Skeleton

numbers = st.integers(-5, 5)
node = st.fixed_dictionaries({
    "position": st.tuples(numbers, numbers, numbers),
    "comment": st.none() | st.text("ab", max_size=3),
    "radius": st.none() | st.floats(0, 9),
    "rotation": st.none() | st.tuples(*[st.floats(0, 9)] * 3),
    "inVp": st.none() | numbers,
    "interpolation": st.none() | st.booleans(),
    "time": st.none() | st.integers(0, 2**60),
})  # fmt: skip


def _tree():
    return Skeleton(voxel_size=(1, 1, 1), dataset_name="bulk").add_tree("t")


def _columns(nodes):
    none = {"radius": np.nan, "rotation": (np.nan,) * 3}
    columns = {name: [none[name] if n[name] is None else n[name] for n in nodes] for name in none}
    columns["rotation"] = np.reshape(columns["rotation"], (-1, 3))
    for name, filler in (("inVp", 0), ("interpolation", False), ("time", 0)):
        given = [n[name] for n in nodes]
        kind = bool if name == "interpolation" else np.int64
        columns[name] = np.ma.array([filler if v is None else v for v in given], kind, mask=[v is None for v in given])
    return columns


@settings(max_examples=80)
@given(st.lists(node, max_size=8), st.lists(node, max_size=5), st.data())
def test_added_nodes_are_those_of_a_loop(before, nodes, data):
    row = st.integers(0, max(0, len(nodes) - 1))
    edges = data.draw(st.lists(st.tuples(row, row), max_size=6)) if nodes else []
    one, many = _tree(), _tree()
    for tree in (one, many):
        for facts in before:
            tree.add_node(**facts)
    looped = [one.add_node(**facts) for facts in nodes]
    for a, b in edges:
        one.add_edge(looped[a], looped[b])
    positions = np.reshape([n["position"] for n in nodes], (-1, 3))
    ids = many.add_nodes(positions, edges=edges, comments=[n["comment"] for n in nodes], **_columns(nodes))
    assert ids.tolist() == [n.id for n in looped]
    assert one == many
    assert [n.id for n in one] == [n.id for n in many]


@settings(max_examples=60)
@given(st.lists(node, min_size=1, max_size=8), st.lists(node, min_size=8, max_size=8))
def test_a_table_that_was_changed_is_written_back(before, after):
    after = after[: len(before)]
    tree, expected = _tree(), _tree()
    for facts, new in zip(before, after, strict=True):
        tree.add_node(**facts)
        expected.add_node(**{**new, "comment": facts["comment"]})
    tree.set_nodes_table(tree.nodes_table() | {"position": [n["position"] for n in after]} | _columns(after))
    assert tree == expected
    tree.set_nodes_table(tree.nodes_table())
    assert tree == expected


def test_one_number_is_that_of_all_nodes():
    tree, expected = _tree(), _tree()
    tree.add_nodes([[0, 0, 0], [1, 1, 1]], radius=2.5, inVp=np.int32(3), time=None)
    expected.add_nodes([[0, 0, 0], [1, 1, 1]], radius=[2.5, 2.5], inVp=[3, 3])
    assert tree == expected


def test_what_does_not_fit_changes_nothing():
    tree, twin = _tree(), _tree()
    for each in (tree, twin):
        each.add_nodes([[0, 0, 0], [1, 1, 1]], radius=[1, 2])
    for wrong in (
        lambda: tree.add_nodes([[0, 0]]),
        lambda: tree.add_nodes([[0, 0, 0]], edges=[[0, 1]]),
        lambda: tree.add_nodes([[0, 0, 0]], radius=[1, 2]),
        lambda: tree.add_nodes([[0, 0, 0]], rotation=[[1, 2]]),
        lambda: tree.add_nodes([[0, 0, 0]], rotation=1),
        lambda: tree.add_nodes([[0, 0, 0]], radius="a"),
        lambda: tree.add_nodes([[0, 0, 0]], radius=10**400),
        lambda: tree.add_nodes([[0, 0, 0]], time=[10**30]),
        lambda: tree.add_nodes([[0, 0, 0]], radius=[[1], [2, 3]]),
        lambda: tree.add_nodes([[0, 0, 0]], wide=[1]),
        lambda: tree.add_nodes([[0, 0, np.nan]]),
        lambda: tree.add_nodes([[0, 0, 0]], comments=["a", "b"]),
        lambda: tree.add_nodes([[0, 0, 0]], inVp=[2**40]),
        lambda: tree.set_nodes_table({"id": [7, 8]}),
        lambda: tree.set_nodes_table({"radius": [1]}),
        lambda: tree.set_nodes_table({"position": [[1, 2, 3]], "radius": [5, 5]}),
        lambda: tree.set_nodes_table({"radius": [5, 5], "time": [1.5, 2]}),
    ):
        with pytest.raises(SkeletonError):
            wrong()
    assert tree == twin


def _plain(tree):
    rows = {n.id: i for i, n in enumerate(tree)}
    edges = sorted(tuple(sorted((rows[u.id], rows[v.id]))) for u, v in tree.edges)
    return tree.name, tree.get_node_positions().tolist(), tree.nodes_table()["radius"].tolist(), edges


def test_a_skeleton_of_arrays_is_that_of_a_loop():
    draw = np.random.default_rng(1)
    positions, owners = draw.integers(0, 99, (60, 3)), draw.integers(1, 9, 60)
    edges = [(a, b) for a, b in draw.integers(0, 60, (300, 2)).tolist() if owners[a] == owners[b]]
    sample = {"voxel_size": (1, 1, 2), "dataset_name": "d"}
    made = Skeleton.from_arrays(positions, edges, tree_ids=owners, radius=np.arange(60), **sample)
    loop = Skeleton(**sample)
    for owner in sorted(set(owners.tolist())):
        tree = loop.add_tree(f"tree_{owner}", _enforced_id=owner)
        rows = np.flatnonzero(owners == owner).tolist()
        nodes = {row: tree.add_node(positions[row], radius=float(row)) for row in rows}
        for a, b in edges:
            if a in nodes:
                tree.add_edge(nodes[a], nodes[b])
    assert [_plain(tree) for tree in made.trees] == [_plain(tree) for tree in loop.trees]
    with pytest.raises(SkeletonError, match="in the trees"):
        Skeleton.from_arrays([[0, 0, 0]] * 2, [[0, 1]], tree_ids=[1, 2], **sample)
    assert not list(Skeleton.from_arrays([], **sample).trees)
