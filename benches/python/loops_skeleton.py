"""Loops over nodes, trees, groups and graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benches.python import inputs
from benches.python.loops import Loop

if TYPE_CHECKING:
    from pathlib import Path

    from benches.python.loops import World

_NODES = 2000
_TREES = 1000
_TINY = 50_000


def _tree(wk: Any, _folder: Path) -> World:
    """A tree of some thousand nodes in one branched walk, each fifth with a comment."""
    skeleton = wk.Skeleton(voxel_size=(11.24, 11.24, 28), dataset_name="loops")
    tree = skeleton.add_tree("axon")
    nodes = []
    for i in range(_NODES):
        comment = f"comment {i}" if i % 5 == 0 else None
        node = tree.add_node(position=(i, 2 * i, i % 100), radius=float(i % 50), comment=comment)
        if nodes:
            tree.add_edge(nodes[-1 if i % 10 else i // 2], node)
        nodes.append(node)
    ids = [node.id for node in nodes]
    middle = nodes[_NODES // 2]
    return {"wk": wk, "skeleton": skeleton, "tree": tree, "nodes": nodes, "ids": ids, "node": middle, "id_": middle.id}


def _graph(wk: Any, folder: Path) -> World:
    import networkx as nx

    return _tree(wk, folder) | {"nx": nx}


def _trees(wk: Any, _folder: Path) -> World:
    """A thousand trees of two nodes in a hundred groups."""
    skeleton = wk.Skeleton(voxel_size=(11.24, 11.24, 28), dataset_name="loops")
    groups = [skeleton.add_group(f"group {i}") for i in range(_TREES // 10)]
    trees = []
    for i in range(_TREES):
        tree = groups[i % len(groups)].add_tree(f"tree {i}", color=(1, 0, 0, 1))
        a, b = tree.add_node(position=(i, 0, 0)), tree.add_node(position=(i, 1, 0))
        tree.add_edge(a, b)
        trees.append(tree)
    node_ids = [node.id for tree in trees for node in tree.nodes]
    names = {"trees": trees, "groups": groups, "tree_ids": [tree.id for tree in trees], "node_ids": node_ids}
    return names | {"wk": wk, "skeleton": skeleton, "group": groups[0], "tree": trees[_TREES // 2]}


def _empty(wk: Any, _folder: Path) -> World:
    skeleton = wk.Skeleton(voxel_size=(11.24, 11.24, 28), dataset_name="loops")
    return {"wk": wk, "skeleton": skeleton, "tree": skeleton.add_tree("t"), "nodes": [], "n": range(_NODES)}


def _unjoined(wk: Any, folder: Path) -> World:
    world = _empty(wk, folder)
    world["nodes"] = [world["tree"].add_node(position=(i, 0, 0)) for i in range(_NODES)]
    world["pairs"] = list(zip(world["nodes"], world["nodes"][1:], strict=False))
    return world


def _arrays(wk: Any, folder: Path) -> World:
    import numpy as np

    positions = np.arange(3 * _NODES).reshape(-1, 3)
    edges = np.stack([np.arange(_NODES - 1), np.arange(1, _NODES)], axis=1)
    radius = np.linspace(1, 9, _NODES)
    return _empty(wk, folder) | {"positions": positions, "edges": edges, "radius": radius, "np": np}


def _tiny(wk: Any, folder: Path) -> World:
    path = inputs.nml(folder, 2 * _TINY, trees=_TINY)
    return {"wk": wk, "path": str(path), "target": str(folder / f"saved-by-{wk.__name__}.nml")}


def _tiny_loaded(wk: Any, folder: Path) -> World:
    world = _tiny(wk, folder)
    return world | {"annotation": wk.Annotation.load(world["path"])}


def _loaded(wk: Any, folder: Path) -> World:
    """The nodes of a file that was just loaded: nobody has looked at them."""
    annotation = wk.Annotation.load(inputs.nml(folder, _NODES))
    return {"nodes": [node for tree in annotation.skeleton.flattened_trees() for node in tree.nodes]}


_FACTS = "for n in nodes: n.id, n.position, n.radius, n.comment"
_BY_CALLS = """\
for i in n:
    tree = skeleton.add_tree('t')
    a = tree.add_node(position=(i, 0, 0))
    b = tree.add_node(position=(i, 1, 0))
    tree.add_edge(a, b)"""
_ADD_ARRAYS = """\
for place, r in zip(positions.tolist(), radius.tolist()):
    nodes.append(tree.add_node(position=place, radius=r))
for a, b in edges.tolist():
    tree.add_edge(nodes[a], nodes[b])"""
_IN_ARRAYS = "skeleton.add_tree_from_arrays('t', positions, edges, radius=radius)"

LOOPS = (
    # Nodes.
    Loop("node.id", "node.id", _tree),
    Loop("node.position", "node.position", _tree),
    Loop(
        "node.position, first time",
        "for n in nodes: n.position",
        _loaded,
        _NODES,
        fresh=True,
        check="nodes[5].position",
    ),
    Loop("node.position[0]", "node.position[0]", _tree),
    Loop("node.position.x", "node.position.x", _tree),
    Loop("node.radius", "node.radius", _tree),
    Loop("node.comment", "node.comment", _tree),
    Loop("node.time", "node.time", _tree),
    Loop("node.inMag", "node.inMag", _tree),
    Loop("node.rotation", "node.rotation", _tree),
    Loop("node.is_branchpoint", "node.is_branchpoint", _tree),
    Loop("node.position = …", "node.position = (1, 2, 3)", _tree, check="node.position"),
    Loop("node.comment = …", "node.comment = 'soma'", _tree, check="node.comment"),
    Loop("node.radius = …", "node.radius = 2.5", _tree, check="node.radius"),
    Loop("hash(node)", "hash(node)", _tree, check="0"),
    Loop("node == node", "node == nodes[7]", _tree),
    Loop("node < node", "nodes[3] < nodes[7]", _tree),
    Loop("node in a set", "node in known", lambda wk, f: (w := _tree(wk, f)) | {"known": set(w["nodes"])}),
    Loop("id, position, radius, comment of each node", _FACTS, _tree, _NODES, check="nodes[5].position"),
    Loop("the same, first time", _FACTS, _loaded, _NODES, fresh=True, check="nodes[5].position"),
    Loop("for node in tree.nodes", "for n in tree.nodes: pass", _tree, _NODES, check="n"),
    Loop("list(tree.nodes)", "list(tree.nodes)", _tree, _NODES),
    Loop("sorted(tree.nodes)", "sorted(tree.nodes)", _tree, _NODES),
    # Trees.
    Loop("tree.get_node_by_id", "tree.get_node_by_id(id_)", _tree),
    Loop("node in tree", "node in tree", _tree),
    Loop("len(tree.nodes)", "len(tree.nodes)", _tree),
    Loop("tree.number_of_nodes()", "tree.number_of_nodes()", _tree),
    Loop("tree.number_of_edges()", "tree.number_of_edges()", _tree),
    Loop("tree.get_node_positions()", "tree.get_node_positions()", _tree, _NODES),
    Loop("tree.get_max_node_id()", "tree.get_max_node_id()", _tree),
    Loop(
        "tree.add_node",
        "for i in n: tree.add_node(position=(i, 1, 2))",
        _empty,
        _NODES,
        fresh=True,
        check="len(tree.nodes)",
    ),
    Loop(
        "tree.add_node with comment and radius",
        "for i in n: tree.add_node(position=(i, 1, 2), comment='a', radius=1.5)",
        _empty,
        _NODES,
        fresh=True,
        check="len(tree.nodes)",
    ),
    Loop(
        "tree.add_edge",
        "for a, b in pairs: tree.add_edge(a, b)",
        _unjoined,
        _NODES - 1,
        fresh=True,
        check="len(tree.edges)",
    ),
    Loop("add_tree, two add_node, add_edge", _BY_CALLS, _empty, _NODES, fresh=True, check="len(list(skeleton.trees))"),
    Loop(
        "a tree of arrays",
        _ADD_ARRAYS,
        _arrays,
        _NODES,
        fresh=True,
        check="sum(len(t.nodes) + len(t.edges) for t in skeleton.trees)",
        ours=_IN_ARRAYS,
    ),
    # Graphs.
    Loop("tree[node]", "tree[node]", _tree, check="len(tree[node])"),
    Loop("list(tree.neighbors(node))", "list(tree.neighbors(node))", _tree, check="sorted(n.id for n in tree[node])"),
    Loop("list(tree.adj[node])", "list(tree.adj[node])", _tree, check="sorted(n.id for n in tree[node])"),
    Loop("for neighbour in tree[node]", "for n in tree[node]: pass", _tree, check="sorted(n.id for n in tree[node])"),
    Loop("tree.degree(node)", "tree.degree(node)", _tree),
    Loop("tree.degree[node]", "tree.degree[node]", _tree),
    Loop("tree.has_edge(a, b)", "tree.has_edge(nodes[5], nodes[6])", _tree),
    Loop("dict(tree.degree)", "dict(tree.degree)", _tree, _NODES, check="sorted(d for n, d in tree.degree)"),
    Loop("list(tree.edges)", "list(tree.edges)", _tree, _NODES, check="len(tree.edges)"),
    Loop("tree.nodes[node]['position']", "tree.nodes[node]['position']", _tree),
    Loop(
        "nx.connected_components",
        "list(nx.connected_components(tree))",
        _graph,
        _NODES,
        check="nx.number_connected_components(tree)",
    ),
    Loop(
        "nx.shortest_path, all from one",
        "nx.single_source_shortest_path(tree, node)",
        _graph,
        _NODES,
        check="sum(map(len, nx.single_source_shortest_path(tree, node).values()))",
    ),
    Loop(
        "nx.shortest_path_length, all from one",
        "nx.single_source_shortest_path_length(tree, node)",
        _graph,
        _NODES,
        check="sum(dict(nx.single_source_shortest_path_length(tree, node)).values())",
    ),
    Loop(
        "nx.shortest_path of two",
        "nx.shortest_path(tree, nodes[0], nodes[-1])",
        _graph,
        check="[n.id for n in nx.shortest_path(tree, nodes[0], nodes[-1])]",
    ),
    Loop(
        "nx.dfs_edges",
        "list(nx.dfs_edges(tree, nodes[0]))",
        _graph,
        _NODES,
        check="len(list(nx.dfs_edges(tree, nodes[0])))",
    ),
    Loop(
        "nx.bfs_edges",
        "list(nx.bfs_edges(tree, nodes[0]))",
        _graph,
        _NODES,
        check="len(list(nx.bfs_edges(tree, nodes[0])))",
    ),
    Loop("nx.is_tree", "nx.is_tree(tree)", _graph, _NODES),
    Loop(
        "nx.minimum_spanning_edges",
        "list(nx.minimum_spanning_edges(tree, data=False))",
        _graph,
        _NODES,
        check="len(list(nx.minimum_spanning_edges(tree, data=False)))",
    ),
    # Skeletons and groups.
    Loop("skeleton.get_node_by_id", "skeleton.get_node_by_id(id_)", _tree),
    Loop(
        "skeleton.get_node_by_id of 1,000 trees",
        "for i in node_ids: skeleton.get_node_by_id(i)",
        _trees,
        2 * _TREES,
        check="i",
    ),
    Loop(
        "skeleton.get_tree_by_id of 1,000 trees",
        "for i in tree_ids: skeleton.get_tree_by_id(i)",
        _trees,
        _TREES,
        check="i",
    ),
    Loop("skeleton.get_total_node_count of 1,000 trees", "skeleton.get_total_node_count()", _trees, _TREES),
    Loop("skeleton.get_max_node_id of 1,000 trees", "skeleton.get_max_node_id()", _trees, _TREES),
    Loop(
        "for tree in skeleton.flattened_trees()",
        "for t in skeleton.flattened_trees(): pass",
        _trees,
        _TREES,
        check="type(t).__name__",
    ),
    Loop("tree.name", "tree.name", _trees),
    Loop("tree.id", "tree.id", _trees, check="0"),
    Loop("tree.color", "tree.color", _trees, check="list(tree.color)"),
    Loop("tree.color = …", "tree.color = (1.0, 0.0, 0.0, 1.0)", _trees, check="list(tree.color)"),
    Loop("tree.group.name", "tree.group.name", _trees),
    Loop("tree.metadata", "tree.metadata", _trees, check="len(tree.metadata)"),
    Loop("group.name", "group.name", _trees),
    Loop("list(group.trees)", "list(group.trees)", _trees, check="len(list(group.trees))"),
    Loop(
        "skeleton.add_tree",
        "for i in n: skeleton.add_tree('t')",
        _empty,
        _NODES,
        fresh=True,
        check="len(list(skeleton.trees))",
    ),
    Loop(
        "skeleton.add_group",
        "for i in n: skeleton.add_group('g')",
        _empty,
        _NODES,
        fresh=True,
        check="len(list(skeleton.groups))",
    ),
    # Files of tiny trees.
    Loop("load 50,000 trees of two nodes", "wk.Annotation.load(path)", _tiny, fresh=True, check="0"),
    Loop("save 50,000 trees of two nodes", "annotation.save(target)", _tiny_loaded, fresh=True, check="0"),
)
