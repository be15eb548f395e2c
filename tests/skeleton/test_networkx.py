"""A tree is taken by networkx as it is: each algorithm gives on it what it gives on a plain graph of the same edges."""

import random
import subprocess
import sys

import networkx as nx
import pytest

from wkfast.skeleton import Node, Skeleton, Tree
from wkfast.skeleton.tree import BORROWED


def _pair(seed: int, nodes: int = 24, extra: int = 6) -> tuple[Tree, nx.Graph]:
    """A tree and a plain graph of node ids, with weights, several components and a cycle or two."""
    chance = random.Random(seed)
    tree = Skeleton(voxel_size=(1, 1, 1), dataset_name="d").add_tree("t")
    plain = nx.Graph()
    made = [tree.add_node([chance.randrange(100) for _ in "xyz"]) for _ in range(nodes)]
    plain.add_nodes_from(node.id for node in made)
    for i in range(1, nodes):
        if i % 7:
            _join(tree, plain, made[i], made[chance.randrange(i)], chance)
    for _ in range(extra):
        a, b = chance.sample(made, 2)
        _join(tree, plain, a, b, chance)
    return tree, plain


def _join(tree: Tree, plain: nx.Graph, a: Node, b: Node, chance: random.Random) -> None:
    weight = chance.randrange(1, 1000)
    tree.add_edge(a, b, weight=weight)
    plain.add_edge(a.id, b.id, weight=weight)


def _ids(value: object) -> object:
    """Replace nodes by their ids, however deep."""
    if isinstance(value, Node):
        return value.id
    if isinstance(value, dict):
        return {_ids(key): _ids(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return frozenset(map(_ids, value))
    if isinstance(value, tuple | list):
        return type(value)(map(_ids, value)) if type(value) in (tuple, list) else value
    return value


def _sets(edges: object) -> set[frozenset[object]]:
    return {frozenset(_ids(edge)[:2]) for edge in edges}


def _first(graph: nx.Graph) -> object:
    return min(graph.nodes, key=lambda node: node.id if isinstance(node, Node) else node)


def _last_reached(graph: nx.Graph) -> object:
    reached = nx.node_connected_component(graph, _first(graph))
    return max(reached, key=lambda node: node.id if isinstance(node, Node) else node)


ALGORITHMS = {
    "connected_components": lambda g: {frozenset(_ids(c)) for c in nx.connected_components(g)},
    "number_connected_components": nx.number_connected_components,
    "is_connected": nx.is_connected,
    "minimum_spanning_tree": lambda g: sorted(d["weight"] for *_, d in nx.minimum_spanning_tree(g).edges(data=True)),
    "minimum_spanning_edges": lambda g: sorted(d["weight"] for *_, d in nx.minimum_spanning_edges(g, data=True)),
    "maximum_spanning_tree": lambda g: nx.maximum_spanning_tree(g).number_of_edges(),
    "shortest_path_length": lambda g: nx.shortest_path_length(g, _first(g), _last_reached(g)),
    "dijkstra_path_length": lambda g: nx.dijkstra_path_length(g, _first(g), _last_reached(g)),
    "dijkstra_path": lambda g: nx.dijkstra_path(g, _first(g), _last_reached(g)),
    "bellman_ford": lambda g: nx.single_source_bellman_ford_path_length(g, _first(g)),
    "single_source_shortest_path_length": lambda g: dict(nx.single_source_shortest_path_length(g, _first(g))),
    "all_pairs_shortest_path_length": lambda g: dict(nx.all_pairs_shortest_path_length(g)),
    "has_path": lambda g: nx.has_path(g, _first(g), _last_reached(g)),
    "degree": lambda g: dict(g.degree),
    "degree_weighted": lambda g: dict(g.degree(weight="weight")),
    "degree_of_one": lambda g: g.degree[_first(g)],
    "size": lambda g: (g.size(), g.size(weight="weight"), g.order()),
    "bfs_edges": lambda g: list(nx.bfs_edges(g, _first(g))),
    "bfs_tree": lambda g: list(nx.bfs_tree(g, _first(g)).edges),
    "dfs_preorder": lambda g: list(nx.dfs_preorder_nodes(g, _first(g))),
    "dfs_edges": lambda g: list(nx.dfs_edges(g, _first(g))),
    "dfs_tree": lambda g: sorted(map(str, _ids(list(nx.dfs_tree(g, _first(g)).edges)))),
    "descendants_at_distance": lambda g: nx.descendants_at_distance(g, _first(g), 2),
    "ego_graph": lambda g: set(nx.ego_graph(g, _first(g), radius=2).nodes),
    "cycle_basis": lambda g: len(nx.cycle_basis(g)),
    "is_tree": nx.is_tree,
    "is_forest": nx.is_forest,
    "bridges": lambda g: _sets(nx.bridges(g)),
    "articulation_points": lambda g: set(nx.articulation_points(g)),
    "core_number": nx.core_number,
    "k_core": lambda g: set(nx.k_core(g, 2).nodes),
    "degree_histogram": nx.degree_histogram,
    "density": nx.density,
    "pagerank_like": lambda g: {k: round(v, 9) for k, v in nx.degree_centrality(g).items()},
    "betweenness": lambda g: {k: round(v, 9) for k, v in nx.betweenness_centrality(g).items()},
    "closeness": lambda g: {k: round(v, 9) for k, v in nx.closeness_centrality(g).items()},
    "diameter": lambda g: nx.diameter(g.subgraph(nx.node_connected_component(g, _first(g)))),
    "eccentricity": lambda g: nx.eccentricity(g.subgraph(nx.node_connected_component(g, _first(g)))),
    "triangles": nx.triangles,
    "isolates": lambda g: set(nx.isolates(g)),
    "is_bipartite": nx.is_bipartite,
    "greedy_color": lambda g: max(nx.greedy_color(g).values()),
    "copy": lambda g: _sets(g.copy().edges),
    "subgraph": lambda g: _sets(g.subgraph(list(g.nodes)[:9]).edges),
    "edge_subgraph": lambda g: _sets(g.edge_subgraph(list(g.edges)[:5]).edges),
    "to_directed": lambda g: g.to_directed().number_of_edges(),
    "to_undirected": lambda g: _sets(g.to_undirected().edges),
    "graph_of": lambda g: _sets(nx.Graph(g).edges),
    "digraph_of": lambda g: nx.DiGraph(g).number_of_edges(),
    "line_graph": lambda g: nx.line_graph(g).number_of_nodes(),
    "complement": lambda g: nx.complement(g).number_of_edges(),
    "compose": lambda g: nx.compose(g, g).number_of_edges(),
    "disjoint_union": lambda g: nx.disjoint_union(g, g).number_of_edges(),
    "relabel": lambda g: nx.convert_node_labels_to_integers(g).number_of_edges(),
    "to_dict_of_dicts": nx.to_dict_of_dicts,
    "to_edgelist": lambda g: _sets(nx.to_edgelist(g)),
    "to_numpy_array": lambda g: nx.to_numpy_array(g, nodelist=sorted(g.nodes, key=_ids)).tolist(),
    "adjacency": lambda g: {n: set(around) for n, around in g.adjacency()},
    "edges_of_some": lambda g: _sets(g.edges(list(g.nodes)[:4])),
    "edges_data": lambda g: sorted(d for *_, d in g.edges(data="weight")),
    "nodes_minus": lambda g: set(g.nodes) - {_first(g)},
    "edge_attributes": lambda g: sorted(nx.get_edge_attributes(g, "weight").values()),
    "common_neighbors": lambda g: set(nx.common_neighbors(g, *list(g.nodes)[:2])),
    "steiner": lambda g: nx.approximation.steiner_tree(
        g.subgraph(nx.node_connected_component(g, _first(g))), [_first(g), _last_reached(g)], method="mehlhorn"
    ).size("weight"),
    "louvain": lambda g: sum(map(len, nx.community.louvain_communities(g, seed=1))),
    "is_isomorphic": lambda g: nx.is_isomorphic(g, g.copy()),
    "json": lambda g: sum(map(len, nx.adjacency_data(nx.convert_node_labels_to_integers(g))["adjacency"])),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_algorithm_gives_on_a_tree_what_it_gives_on_a_plain_graph(name, seed):
    tree, plain = _pair(seed)
    assert _ids(ALGORITHMS[name](tree)) == ALGORITHMS[name](plain)


@pytest.mark.parametrize("seed", range(10))
def test_ids_work_as_keys_in_algorithms(seed):
    tree, plain = _pair(seed)
    source, target = _first(plain), _last_reached(plain)
    assert _ids(nx.shortest_path(tree, source, target)) == nx.shortest_path(plain, source, target)
    assert nx.shortest_path_length(tree, tree.get_node_by_id(source), target) == nx.shortest_path_length(
        plain, source, target
    )
    assert _ids(nx.dijkstra_path(tree, source, target)) == nx.dijkstra_path(plain, source, target)
    assert dict(tree.degree) == dict(plain.degree)
    assert tree.degree[source] == tree.degree(source) == plain.degree(source)
    assert set(tree[source]) == set(plain[source])
    assert source in tree
    assert source in tree.nodes
    assert -1 not in tree


def test_a_tree_is_a_graph_for_whoever_asks():
    tree, _ = _pair(0)
    assert isinstance(tree, nx.Graph)
    assert isinstance(tree, Tree)
    assert type(tree) is Tree
    assert not tree.is_directed()
    assert not tree.is_multigraph()
    assert tree.graph["name"] == tree.name


def test_attributes_set_through_networkx_stay_and_reach_the_node():
    tree, _ = _pair(1)
    node = next(iter(tree))
    nx.set_node_attributes(tree, {node: "soma"}, "comment")
    nx.set_node_attributes(tree, 7, "cluster")
    assert node.comment == "soma"
    assert tree.nodes[node]["cluster"] == 7
    assert tree.nodes[node.id]["position"] == node.position
    nx.set_edge_attributes(tree, 3.5, "length")
    assert set(nx.get_edge_attributes(tree, "length").values()) == {3.5}
    u, v = next(iter(tree.edges))
    tree.edges[u, v]["length"] = 1
    assert tree[v][u]["length"] == 1
    assert tree.get_edge_data(u.id, v.id)["length"] == 1


def test_results_of_algorithms_are_graphs_of_their_own():
    tree, _ = _pair(2)
    before = tree.number_of_edges()
    copy = tree.copy()
    assert type(copy) is nx.Graph
    copy.remove_nodes_from(list(copy.nodes))
    assert tree.number_of_edges() == before
    assert type(tree.to_networkx()) is nx.Graph
    assert set(tree.to_networkx().nodes) == {node.id for node in tree}


def test_removing_what_is_not_there_raises_what_networkx_raises():
    tree, _ = _pair(3)
    with pytest.raises(nx.NetworkXError, match="not in the graph"):
        tree.remove_node(10**9)
    with pytest.raises(nx.NetworkXError, match="not in the graph"):
        tree.remove_edge(10**9, 1)
    with pytest.raises(KeyError):
        tree[10**9]
    with pytest.raises(nx.NetworkXError):
        tree.neighbors(10**9)
    with pytest.raises(AttributeError, match="no attribute"):
        _ = tree.no_such_thing


def test_a_tree_has_all_that_a_graph_has():
    public = {name for name in dir(nx.Graph) if not name.startswith("_")}
    tree = Skeleton(voxel_size=(1, 1, 1), dataset_name="d").add_tree("t")
    assert {name for name in public if not hasattr(tree, name)} == set()
    assert set(BORROWED) <= public


def _loaded(code: str) -> str:
    code = f"import sys\n{code}\nprint('networkx' in sys.modules)"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_networkx_is_loaded_when_a_graph_is_asked_for_and_not_before():
    build = (
        "from wkfast.skeleton import Skeleton\n"
        "t = Skeleton((1, 1, 1), 'd').add_tree('t')\n"
        "a, b = t.add_node((1, 2, 3)), t.add_node((4, 5, 6))\n"
        "t.add_edge(a, b); str(t); isinstance(t, str)\n"
        "list(t.edges); dict(t.degree); list(t.neighbors(a)); t.path_length()\n"
    )
    assert _loaded(build) == "False"
    assert _loaded(build + "t.subgraph([a])") == "True"
