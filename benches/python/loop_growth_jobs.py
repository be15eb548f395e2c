"""Loops over so many nodes, trees or chunks, for `benches.python.loop_growth`."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

from wkfast import BoundingBox, Skeleton

if TYPE_CHECKING:
    from collections.abc import Callable

    from wkfast.skeleton import Node, Tree

CHUNK = 16
#: Elements of loops that would take all memory by ten million: a tree that a script holds takes a kilobyte.
MOST_TREES = 1_000_000


def _path(count: int) -> Tree:
    """Return a tree of so many nodes in a row."""
    skeleton = Skeleton(voxel_size=(1, 1, 1), dataset_name="growth")
    rows = np.arange(count)
    tree = skeleton.add_tree("path")
    tree.add_nodes(np.stack([rows % 1000, rows // 1000 % 1000, rows // 1_000_000], axis=1), edges=_steps(rows))
    return tree


def _steps(rows: np.ndarray) -> np.ndarray:
    return np.stack([rows[:-1], rows[1:]], axis=1)


def _made(trees: int) -> Skeleton:
    skeleton = Skeleton(voxel_size=(1, 1, 1), dataset_name="growth")
    for number in range(trees):
        skeleton.add_tree(f"t{number}").add_node((number, 0, 0))
    return skeleton


def _held(tree: Tree) -> list[Node]:
    return list(tree.nodes)


def nodes(count: str) -> Callable[[], int]:
    """``for node in tree.nodes``, none of them kept."""
    tree = _path(int(count))
    return lambda: sum(1 for _ in tree.nodes)


def ids(count: str) -> Callable[[], int]:
    """``node.id`` of each."""
    tree = _path(int(count))
    return lambda: sum(node.id for node in tree.nodes)


def positions(count: str) -> Callable[[], int]:
    """``node.position`` of each, the first time."""
    tree = _path(int(count))
    return lambda: sum(node.position[0] for node in tree.nodes)


def by_id(count: str) -> Callable[[], int]:
    """``skeleton.get_node_by_id`` of each."""
    tree = _path(int(count))
    first = next(iter(tree.nodes)).id
    find = tree.group.skeleton.get_node_by_id
    return lambda: sum(find(number) is not None for number in range(first, first + int(count)))


def neighbours(count: str) -> Callable[[], int]:
    """``tree.neighbors`` of each, none of them kept."""
    tree = _path(int(count))
    tree.degree(next(iter(tree.nodes)))
    return lambda: sum(1 for node in tree.nodes for _ in tree.neighbors(node))


def components(count: str) -> Callable[[], int]:
    """``networkx.connected_components``."""
    tree = _path(int(count))
    return lambda: sum(len(found) for found in nx.connected_components(tree))


def added(count: str) -> Callable[[], int]:
    """``tree.add_node`` and ``tree.add_edge`` to the one before."""
    tree = Skeleton(voxel_size=(1, 1, 1), dataset_name="growth").add_tree("grown")

    def work() -> int:
        before = tree.add_node((0, 0, 0))
        for number in range(1, int(count)):
            node = tree.add_node((number, 0, 0))
            tree.add_edge(before, node)
            before = node
        return len(tree)

    return work


def radii(count: str) -> Callable[[], int]:
    """``node.radius = 2`` of each."""
    tree = _path(int(count))

    def work() -> int:
        for node in tree.nodes:
            node.radius = 2.0
        return len(tree)

    return work


def comments(count: str) -> Callable[[], int]:
    """``node.comment = text`` of each."""
    tree = _path(int(count))

    def work() -> int:
        for node in tree.nodes:
            node.comment = "seen"
        return len(tree)

    return work


def chunks(count: str) -> Callable[[], int]:
    """``box.chunk`` into so many."""
    box = BoundingBox((0, 0, 0), (CHUNK * int(count), CHUNK, CHUNK))
    return lambda: sum(1 for _ in box.chunk((CHUNK,) * 3))


def trees(count: str) -> Callable[[], int]:
    """``skeleton.add_tree`` with a node each."""
    return lambda: sum(1 for _ in _made(int(count)).flattened_trees())


def trees_by_id(count: str) -> Callable[[], int]:
    """``skeleton.get_tree_by_id`` of each."""
    skeleton = _made(int(count))
    ids = [tree.id for tree in skeleton.flattened_trees()]
    return lambda: sum(len(skeleton.get_tree_by_id(number)) for number in ids)


def copies(count: str) -> Callable[[], int]:
    """``copy.deepcopy`` of a skeleton of so many trees."""
    skeleton = _made(int(count))
    return lambda: copy.deepcopy(skeleton).get_total_node_count()


def pickles(count: str) -> Callable[[], int]:
    """``pickle.dumps`` and ``loads`` of it."""
    skeleton = _made(int(count))
    return lambda: pickle.loads(pickle.dumps(skeleton)).get_total_node_count()


#: In the order of the table; loops over trees last.
OF_NODES = ("nodes", "ids", "positions", "by_id", "neighbours", "components", "added", "radii", "comments", "chunks")
OF_TREES = ("trees", "trees_by_id", "copies", "pickles")
