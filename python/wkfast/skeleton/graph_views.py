"""The mappings of a tree that networkx reads: nodes, neighbours, edges, degrees. They hold nothing themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, TypeAlias

from wkfast import _core
from wkfast._lazy import lazy_import

if TYPE_CHECKING:
    from networkx.classes import reportviews

    from wkfast._core import Node
    from wkfast.skeleton.tree import Tree
else:
    reportviews = lazy_import("networkx.classes.reportviews")

# What scripts set on nodes that files have no place for, by row.
NodeAttributes: TypeAlias = dict[int, dict[str, Any]]

NODE_FIELDS = frozenset({
    "position", "comment", "is_branchpoint", "branchpoint_time", *(name for name, _ in _core.NODE_COLUMNS),
})  # fmt: skip


class _Data(dict[str, Any]):
    """Attributes that are written through as they are set; a copy of them is a plain dict."""

    __slots__ = ()

    def update(self, *args: Any, **named: Any) -> None:
        """Set several attributes."""
        for name, value in dict(*args, **named).items():
            self[name] = value

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


class NodeData(_Data):
    """The attributes of a node as networkx shows them. Setting one changes the node, or is kept with the tree."""

    __slots__ = ("_attributes", "_node")

    def __init__(self, attributes: NodeAttributes, node: Node) -> None:
        node.fill(self)
        if attributes:
            dict.update(self, attributes.get(node.row, {}))
        self._attributes, self._node = attributes, node

    def __setitem__(self, name: str, value: Any) -> None:
        if name in NODE_FIELDS:
            setattr(self._node, name, value)
        else:
            self._attributes.setdefault(self._node.row, {})[name] = value
        super().__setitem__(name, value)


class EdgeData(_Data):
    """The attributes of an edge. NML has no place for them: they live as long as the tree."""

    __slots__ = ("_key", "_tree")

    def __init__(self, tree: Tree, a: int, b: int) -> None:
        self._tree, self._key = tree, (min(a, b), max(a, b))
        super().__init__(tree._edge_attributes.get(self._key, {}))

    def __setitem__(self, name: str, value: Any) -> None:
        self._tree._own("_edge_attributes").setdefault(self._key, {})[name] = value
        super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        del self._tree._edge_attributes[self._key][name]


class NodeMap(Mapping[Any, NodeData]):
    """Attributes by node, for all nodes of a tree; a node's id works as a key.

    It holds columns and attributes rather than the tree, which keeps it: a circle would be freed by the collector only.
    """

    __slots__ = ("_attributes", "_columns")

    def __init__(self, columns: _core.TreeColumns, attributes: NodeAttributes) -> None:
        self._columns, self._attributes = columns, attributes

    def __getitem__(self, n: Any) -> NodeData:
        node = self._columns.node_of(n)
        if node is None:
            raise KeyError(n)
        return NodeData(self._attributes, node)

    def __iter__(self) -> Iterator[Node]:
        return self._columns.nodes()

    def __len__(self) -> int:
        return len(self._columns)

    def __contains__(self, n: object) -> bool:
        return self._columns.has(n)


class NodesView(NodeMap, AbstractSet[Any]):
    """The nodes of a tree."""

    __slots__ = ()

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> set[Any]:
        return set(it)

    def __call__(self, data: bool | str = False, default: Any = None) -> NodesView | list[tuple[Node, Any]]:
        """Return the nodes, or pairs of nodes and their data or one attribute."""
        return self if data is False else self.data(data, default)

    def data(self, data: bool | str = True, default: Any = None) -> Any:
        """Return pairs of nodes and their data or one attribute."""
        if data is False:
            return self
        pairs = ((node, NodeData(self._attributes, node)) for node in self)
        return [(node, facts if data is True else facts.get(data, default)) for node, facts in pairs]

    def __repr__(self) -> str:
        return f"NodeView({tuple(self)})"


Mapping.register(_core.NeighborMap)


class AdjacencyMap(_core.Adjacency, Mapping[Any, Any]):
    """Neighbours by node."""

    __slots__ = ()

    def copy(self) -> dict[Node, dict[Node, dict[str, Any]]]:
        """Return plain dicts."""
        return {node: neighbors.copy() for node, neighbors in self.items()}

    def __repr__(self) -> str:
        return repr(self.copy())


class EdgesView(AbstractSet[Any]):
    """The edges of a tree as pairs of nodes, each once."""

    __slots__ = ("_tree",)

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> set[Any]:
        return set(it)

    def __iter__(self) -> Iterator[tuple[Node, Node]]:
        return iter(self._tree._columns.edge_nodes())

    def __len__(self) -> int:
        return self._tree._columns.edge_count()

    def __contains__(self, edge: object) -> bool:
        if not isinstance(edge, tuple) or len(edge) < 2:  # noqa: PLR2004 # an edge has two ends
            return False
        return self._tree.has_edge(edge[0], edge[1])

    def __getitem__(self, edge: tuple[Any, Any]) -> EdgeData:
        u, v = edge
        data: EdgeData = self._tree.adj[u][v]
        return data

    def __call__(self, nbunch: Any = None, data: bool | str = False, *, default: Any = None) -> Any:
        """Return the edges, of some nodes only or with data."""
        if nbunch is None and data is False:
            return self
        return reportviews.EdgeView(self._tree)(nbunch=nbunch, data=data, default=default)

    def data(self, data: bool | str = True, default: Any = None, nbunch: Any = None) -> Any:
        """Return the edges with their data or one attribute."""
        return self(nbunch=nbunch, data=data, default=default)

    def keys(self) -> EdgesView:
        """Return the edges."""
        return self

    def values(self) -> list[EdgeData]:
        """Return the data of each edge."""
        return [self[edge] for edge in self]

    def items(self) -> list[tuple[tuple[Node, Node], EdgeData]]:
        """Return pairs of an edge and its data."""
        return [(edge, self[edge]) for edge in self]

    def get(self, edge: Any, default: Any = None) -> Any:
        """Return the data of an edge, `default` if there is none."""
        return self[edge] if edge in self else default  # noqa: SIM401 - this is it

    def __repr__(self) -> str:
        return f"EdgeView({list(self)})"
