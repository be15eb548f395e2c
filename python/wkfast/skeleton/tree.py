"""A tree: columns of nodes and edges that pass for a ``networkx.Graph``."""

from __future__ import annotations

import copy
import sys
import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from wkfast import _core
from wkfast._lazy import lazy_import
from wkfast.errors import SkeletonError
from wkfast.geometry import BoundingBox
from wkfast.pictures import html
from wkfast.records import color_record, metadata_from_entries, metadata_to_entries
from wkfast.skeleton import tables
from wkfast.skeleton.arrays import integers, shaped
from wkfast.skeleton.graph_views import AdjacencyMap, EdgeData, EdgesView, NodesView
from wkfast.skeleton.labels import labels_of
from wkfast.skeleton.navis import to_navis

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import networkx as nx
    import numpy as np
    import numpy.typing as npt

    from wkfast._core import Node
    from wkfast.geometry import Vec3FloatLike, Vec3IntLike
    from wkfast.records import Color, MetadataValue, Record
    from wkfast.skeleton.graph_views import NodeAttributes, NodeMap
    from wkfast.skeleton.group import Group
    from wkfast.skeleton.labels import LabelledLayer

    NodeLike: TypeAlias = Node | int
else:
    nx = lazy_import("networkx")
    np = lazy_import("numpy")


_NOTHING: Any = MappingProxyType({})
_MAKING = threading.Lock()


class Tree:
    """A tree of a skeleton: nodes in space, joined by edges.

    Made by :meth:`Group.add_tree`. Wherever networkx wants a ``Graph``, it takes a tree: its nodes are :class:`Node`
    objects, and a node's id works as a key too. networkx is imported when first needed.

    Attributes
    ----------
    name
        Shown to the user.
    color
        Red, green, blue, alpha, each 0 to 1; ``None`` lets WEBKNOSSOS choose.
    metadata
        Free facts by key: texts, numbers, booleans, lists of texts.
    is_visible, edges_are_visible
        Whether the tree, and its edges, are shown; ``None`` where the file does not say.
    tree_type
        ``"DEFAULT"`` or ``"AGGLOMERATE"``, ``None`` where the file does not say.

    Examples
    --------
    >>> import networkx as nx
    >>> from wkfast.skeleton import Skeleton
    >>> tree = Skeleton(voxel_size=(10, 10, 30), dataset_name="sample").add_tree("axon")
    >>> a, b = tree.add_node((0, 0, 0)), tree.add_node((30, 40, 0), comment="bouton")
    >>> tree.add_edge(a, b)
    >>> nx.shortest_path_length(tree, a, b.id)
    1
    >>> print(tree)
    Tree named 'axon' with 2 nodes and 1 edges
    >>> tree.path_length()
    500.0
    """

    # Made when they are first asked for, since files hold many trees; the view is not copied along.
    _nodes: NodesView | None = None
    _graph_attributes: Mapping[str, Any] = _NOTHING
    _node_attributes: NodeAttributes = _NOTHING
    _edge_attributes: Mapping[tuple[int, int], dict[str, Any]] = _NOTHING
    # Of a tree of a loaded file: which one.
    _number: int | None = None

    def __init__(
        self,
        name: str,
        group: Group,
        color: Color | None = None,
        enforced_id: int | None = None,
        metadata: dict[str, MetadataValue] | None = None,
        is_visible: bool = True,
        *,
        columns: _core.TreeColumns | None = None,
        record: _core.TreeRecord | None = None,
    ) -> None:
        self.name = name
        self.color = color
        self.metadata = {} if metadata is None else dict(metadata)
        self.is_visible = is_visible
        self.edges_are_visible: bool | None = None
        self.tree_type: str | None = None
        self._group = group
        self._record = record
        self._columns = _core.TreeColumns() if columns is None else columns
        self._id = self._counter.take(enforced_id)

    @classmethod
    def _from_record(cls, record: _core.TreeRecord, columns: _core.TreeColumns, group: Group) -> Tree:
        """Return the tree that a ``<thing>`` record of the core and its columns describe."""
        tree_id, name, color, entries, is_visible, edges_are_visible, tree_type, _ = record.facts()
        metadata = metadata_from_entries(entries) if entries else None
        tree = cls(name, group, color, tree_id, metadata, is_visible, columns=columns, record=record)
        tree.edges_are_visible = edges_are_visible
        tree.tree_type = tree_type
        return tree

    def _to_record(self, group_id: int | None) -> _core.TreeRecord | Record:
        """Return the record to write: the one that was read, or today's facts over it where they differ."""
        record = self._record
        if record is None:
            return self._new_record(_EMPTY_RECORD, None, None, group_id)
        tree_id, name, color, entries, is_visible, edges_are_visible, tree_type, read_group_id = record.facts()
        read = tree_id, name, color, is_visible, edges_are_visible, tree_type, read_group_id
        own_color = _plain(self.color)
        now = self._id, self.name, own_color, self.is_visible, self.edges_are_visible, self.tree_type, group_id
        if read == now and not entries and not self.metadata:
            return record
        return self._new_record(record.to_dict(), color, is_visible, group_id)

    def _new_record(self, before: Record, color: Color | None, is_visible: bool | None, group_id: int | None) -> Record:
        """Return today's facts over those of a record, which meant this colour and visibility."""
        recolored = _plain(self.color) != color
        return {
            "id": self._id,
            "name": before["name"] if self.name == (before["name"] or "") else self.name,
            "color": color_record(self.color, None) if recolored else before["color"],
            "group_id": group_id,
            "tree_type": self.tree_type,
            "is_visible": before["is_visible"] if self.is_visible == is_visible else self.is_visible,
            "edges_are_visible": self.edges_are_visible,
            "metadata": metadata_to_entries(self.metadata, before["metadata"]),
            "extras": _without_old_color(before["extras"]) if recolored else before["extras"],
        }

    # -- the tree itself ------------------------------------------------------------------------------------------

    @property
    def id(self) -> int:
        """Unique within the skeleton."""
        return self._id

    @property
    def group(self) -> Group:
        """The group or skeleton that holds the tree. Another one of the skeleton takes the tree over, behind its own.

        Raises
        ------
        SkeletonError
            A ``ValueError``: it is none, or one of another skeleton, to which ``add_tree`` copies trees.

        Examples
        --------
        >>> from wkfast.skeleton import Skeleton
        >>> skeleton = Skeleton(voxel_size=(10, 10, 10), dataset_name="sample")
        >>> tree, group = skeleton.add_tree("axon"), skeleton.add_group("axons")
        >>> tree.group = group
        >>> list(skeleton.trees), [each.name for each in group.trees]
        ([], ['axon'])
        """
        return self._group

    @group.setter
    def group(self, group: Group) -> None:
        before = self._group
        if group is before:
            return
        if getattr(group, "_skeleton", None) is not before._skeleton:
            raise SkeletonError(
                f"{group!r} is no group of the skeleton that tree {self.id} {self.name!r} is in; add_tree copies a "
                "tree to another skeleton"
            )
        before._drop_tree(self)
        self._group = group
        group._adopt(self)

    @property
    def _counter(self) -> _core.IdCounter:
        return self._group._skeleton._ids

    def __hash__(self) -> int:
        return hash(self._id)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tree):
            return NotImplemented
        return self is other or (self._facts() == other._facts() and self._columns.same_content(other._columns))

    def _facts(self) -> tuple[Any, ...]:
        color = _plain(self.color)
        visible = self.is_visible, self.edges_are_visible
        return self._id, self.name, color, visible, self.tree_type, self._group.id, self.metadata

    def __str__(self) -> str:
        return f"Tree named {self.name!r} with {len(self)} nodes and {self.number_of_edges()} edges"

    def __reduce__(self) -> tuple[Any, ...]:
        return object.__new__, (Tree,), {name: value for name, value in self.__dict__.items() if name != "_nodes"}

    def __deepcopy__(self, memo: dict[int, Any]) -> Tree:
        # As copies of any object are made, but for what cannot change: most of what a tree has.
        twin = object.__new__(Tree)
        memo[id(self)] = twin
        for name, value in self.__dict__.items():
            if type(value) in _UNCHANGING:
                setattr(twin, name, value)
            elif name != "_nodes":
                setattr(twin, name, {} if type(value) is dict and not value else copy.deepcopy(value, memo))
        return twin

    # -- nodes ----------------------------------------------------------------------------------------------------

    def add_node(
        self,
        position: Vec3IntLike,
        comment: str | None = None,
        radius: float | None = None,
        rotation: Vec3FloatLike | None = None,
        inVp: int | None = None,  # noqa: N803 # as NML calls it
        inMag: int | None = None,  # noqa: N803
        bitDepth: int | None = None,  # noqa: N803
        interpolation: bool | None = None,
        time: int | None = None,
        is_branchpoint: bool = False,
        branchpoint_time: int | None = None,
        _enforced_id: int | None = None,
    ) -> Node:
        """Add a node and return it.

        Parameters
        ----------
        position
            Mag-1 voxels; fractions are cut off.
        radius
            nm.
        rotation, inVp, inMag, bitDepth, interpolation, time, comment, is_branchpoint, branchpoint_time
            See :class:`Node`.

        Raises
        ------
        SkeletonError
            A ``ValueError``: the enforced id is taken, or no NML can hold a value.
        """
        values = rotation, inVp, inMag, bitDepth, interpolation, time
        try:
            return self._columns.append(
                self._group._skeleton._ids,
                position,
                comment,
                is_branchpoint,
                branchpoint_time,
                None if radius is None and values == _NO_VALUES else (radius, *values),
                _enforced_id,
            )
        except (UnicodeEncodeError, OverflowError) as error:  # half of a character, a time beyond 64 bits
            raise SkeletonError(f"a node cannot have this value: {error}") from error

    def add_nodes(
        self,
        positions: npt.ArrayLike,
        *,
        edges: npt.ArrayLike = (),
        comments: Sequence[str | None] | None = None,
        **columns: npt.ArrayLike,
    ) -> npt.NDArray[np.int64]:
        """Add many nodes at once and return their ids: all of them are added or, with an error, none.

        Parameters
        ----------
        positions
            Shape ``(nodes, 3)``, mag-1 voxels, fractions are kept.
        edges
            Shape ``(edges, 2)``: row numbers of `positions`.
        comments
            A text or ``None`` for each node.
        columns
            By name as in :meth:`nodes_table`, one value a node, or one number for all: ``radius``, ``rotation``,
            ``inVp``, ``inMag``, ``bitDepth``, ``interpolation``, ``time``. NaN and masked values stand for none.

        Raises
        ------
        SkeletonError
            A ``ValueError``: shapes that do not fit, an edge to no row, a column that there is none of.

        Examples
        --------
        >>> from wkfast.skeleton import Skeleton
        >>> tree = Skeleton(voxel_size=(1, 1, 1), dataset_name="sample").add_tree("t")
        >>> tree.add_nodes([[0, 0, 0], [3, 4, 0]], edges=[[0, 1]], radius=[5, 6], comments=[None, "end"]).tolist()
        [2, 3]
        >>> tree.get_node_by_id(3).comment, tree.path_length()
        ('end', 5.0)
        """
        places = np.ascontiguousarray(shaped("positions", positions, (-1, 3)), np.float64)
        pairs = integers("edges", shaped("edges", edges, (-1, 2)))
        texts = tables.given_comments(comments, len(places))
        ids = self._columns.extend(self._counter, places, tables.given_columns(columns, len(places)), pairs)
        first = len(self._columns) - len(places)
        if texts:
            self._columns.set_comments([(first + i, text) for i, text in texts])
        return ids

    def set_nodes_table(self, table: Mapping[str, npt.ArrayLike]) -> None:
        """Write a table back: columns of :meth:`nodes_table`, all or some, for all nodes in its order.

        Raises
        ------
        SkeletonError
            A ``ValueError``: a length that does not fit, an ``id`` or ``tree_id`` that is another, an unknown column.

        Examples
        --------
        >>> from wkfast.skeleton import Skeleton
        >>> tree = Skeleton(voxel_size=(1, 1, 1), dataset_name="sample").add_tree("t")
        >>> node = tree.add_node((1, 2, 3), radius=4)
        >>> table = tree.nodes_table()
        >>> tree.set_nodes_table({"position": table["position"] * 2, "radius": table["radius"] + 1})
        >>> node.position, node.radius
        (Vec3Int(2,4,6), 5.0)
        """
        columns = dict(table)
        fixed = {"id": self._columns.ids(), "tree_id": [self._id] * len(self)}
        for name, values in fixed.items():
            if not np.array_equal(np.asarray(columns.pop(name, values)), np.asarray(values)):
                raise SkeletonError(
                    f"the column {name!r} of {self.name!r} cannot be changed; are the nodes in their order?"
                )
        positions = columns.pop("position", None)
        places = None
        if positions is not None:
            places = np.ascontiguousarray(shaped("position", positions, (len(self), 3)), np.float64)
        self._columns.replace(places, tables.given_columns(columns, len(self)))

    def get_node_by_id(self, node_id: int) -> Node:
        """Return the node with an id; ``KeyError`` if there is none."""
        return self._columns.node_by_id(node_id)

    def remove_node(self, n: NodeLike) -> None:
        """Remove a node and its edges; ``networkx.NetworkXError`` if it is not in the tree."""
        row = self._columns.find(n)
        if row is None:
            raise nx.NetworkXError(f"The node {n} is not in the graph.")
        self._columns.remove_node(row)
        self._counter.give_back()

    def remove_nodes_from(self, nodes: Iterable[NodeLike]) -> None:
        """Remove nodes; those that are not in the tree are passed over."""
        for node in list(nodes):
            if node in self:
                self.remove_node(node)

    def get_max_node_id(self) -> int:
        """Return the largest node id, 0 for a tree without nodes."""
        largest = self._columns.max_id()
        return 0 if largest is None else largest

    def _row(self, n: object) -> int:
        row = self._columns.find(n)
        if row is None:
            raise SkeletonError(f"{n!r} is not a node of {self.name!r}; add_node() makes one")
        return row

    # -- edges ----------------------------------------------------------------------------------------------------

    def add_edge(self, u_of_edge: NodeLike, v_of_edge: NodeLike, **attr: Any) -> None:
        """Join two nodes, given as nodes or ids. Attributes live as long as the tree; NML has no place for them.

        Parameters
        ----------
        u_of_edge, v_of_edge
            The nodes, or their ids.
        **attr
            Attributes of the edge.

        Raises
        ------
        SkeletonError
            A ``ValueError``: one of them is not in the tree.
        """
        rows = self._columns.join(u_of_edge, v_of_edge)
        if rows is None:
            rows = self._row(u_of_edge), self._row(v_of_edge)  # one of them raises
        if attr:
            self._own("_edge_attributes").setdefault((min(rows), max(rows)), {}).update(attr)

    def add_edges_from(self, ebunch_to_add: Iterable[tuple[Any, ...]], **attr: Any) -> None:
        """Join pairs of nodes; a third item of a pair holds attributes.

        Parameters
        ----------
        ebunch_to_add
            Pairs of nodes or ids, each with or without a dictionary of attributes.
        **attr
            Attributes of all these edges.
        """
        for source, target, *facts in ebunch_to_add:
            self.add_edge(source, target, **attr, **(facts[0] if facts else {}))

    def remove_edge(self, u: NodeLike, v: NodeLike) -> None:
        """Remove the edge between two nodes; ``networkx.NetworkXError`` if there is none.

        Parameters
        ----------
        u, v
            Nodes, or their ids.
        """
        a, b = self._columns.find(u), self._columns.find(v)
        if a is None or b is None or not self._columns.remove_edge(a, b):
            raise nx.NetworkXError(f"The edge {u}-{v} is not in the graph")
        if self._edge_attributes:
            self._own("_edge_attributes").pop((min(a, b), max(a, b)), None)

    def remove_edges_from(self, ebunch: Iterable[tuple[Any, ...]]) -> None:
        """Remove edges; those that are not in the tree are passed over."""
        for u, v, *_ in list(ebunch):
            if self.has_edge(u, v):
                self.remove_edge(u, v)

    def clear_edges(self) -> None:
        """Remove all edges."""
        self.remove_edges_from(list(self.edges))

    def clear(self) -> None:
        """Remove all nodes and edges."""
        self.remove_nodes_from(list(self.nodes))

    # -- as a graph -----------------------------------------------------------------------------------------------

    @property  # type: ignore[misc] # read-only, and rightly so
    def __class__(self) -> type:
        """``networkx.Graph`` once networkx is loaded: algorithms ask for it, and make their results of it."""
        networkx = sys.modules.get("networkx")
        return getattr(networkx, "Graph", Tree)

    @property
    def graph(self) -> dict[str, Any]:
        """Attributes of the graph; ``name`` is the tree's."""
        attributes = self._own("_graph_attributes")
        attributes["name"] = self.name
        return attributes

    @property
    def nodes(self) -> NodesView:
        """The nodes: iterable, indexable by node or id, callable with ``data=`` as in networkx."""
        nodes = self._nodes
        if nodes is None:
            nodes = self._nodes = NodesView(self._columns, self._own("_node_attributes"))
        return nodes

    @property
    def edges(self) -> EdgesView:
        """The edges as pairs of nodes, callable with ``data=`` as in networkx."""
        return EdgesView(self)

    @property
    def adj(self) -> AdjacencyMap:
        """Neighbours by node, edge attributes by neighbour."""
        return AdjacencyMap(self, self._columns)

    _adj = adj

    @property
    def _node(self) -> NodeMap:
        return self.nodes

    @property
    def degree(self) -> _core.DegreeView:
        """Number of edges by node."""
        return _core.DegreeView(self, self._columns)

    def __iter__(self) -> Iterator[Node]:
        return self._columns.nodes()

    def __len__(self) -> int:
        return len(self._columns)

    def __contains__(self, n: object) -> bool:
        return self._columns.has(n)

    def __getitem__(self, n: NodeLike) -> Any:
        return self._columns.neighbor_map(self, n)

    def _own(self, name: str) -> dict[Any, Any]:
        """Return attributes of a kind to be set: a dict that is made for the first of them."""
        with _MAKING:
            attributes: dict[Any, Any] = getattr(self, name)
            if attributes is _NOTHING:
                # Not by way of `__dict__`: a tree that was asked for it reads its attributes in twice the time.
                attributes = {}
                setattr(self, name, attributes)
        return attributes

    def _edge_data(self, a: int, b: int) -> EdgeData:
        return EdgeData(self, a, b)

    def has_node(self, n: object) -> bool:
        """Return whether a node, or one with that id, is in the tree."""
        return self._columns.has(n)

    def has_edge(self, u: object, v: object) -> bool:
        """Return whether two nodes are joined.

        Parameters
        ----------
        u, v
            Nodes, or their ids.
        """
        return self._columns.are_joined(u, v)

    def neighbors(self, n: NodeLike) -> Iterator[Node]:
        """Yield the nodes joined to a node."""
        neighbors = self._columns.neighbors(n)
        if neighbors is None:
            raise nx.NetworkXError(f"The node {n} is not in the graph.")
        return neighbors

    def number_of_nodes(self) -> int:
        """Return the number of nodes."""
        return len(self)

    def number_of_edges(self, u: NodeLike | None = None, v: NodeLike | None = None) -> int:
        """Return the number of edges, or of those between two nodes.

        Parameters
        ----------
        u, v
            Nodes or ids, both or neither.
        """
        if u is not None and v is not None:
            return int(self.has_edge(u, v))
        return self._columns.edge_count()

    def number_of_components(self) -> int:
        """Return the number of parts that no edge joins; a server makes a tree of each.

        Examples
        --------
        >>> from wkfast import Skeleton
        >>> tree = Skeleton(dataset_name="l4", voxel_size=(11, 11, 25)).add_tree("two parts")
        >>> first, second, third = (tree.add_node(position=(x, 0, 0)) for x in range(3))
        >>> tree.add_edge(first, second)
        >>> tree.number_of_components()
        2
        """
        return self._columns.component_count()

    def is_directed(self) -> bool:
        """Return False."""
        return False

    def is_multigraph(self) -> bool:
        """Return False."""
        return False

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def add_nodes_from(self, nodes_for_adding: Iterable[Any], **_attr: Any) -> None:
        """Do nothing for nodes that are in the tree; others need a position: ``SkeletonError``, a ``ValueError``.

        Parameters
        ----------
        nodes_for_adding
            Nodes of this tree, or their ids.
        **_attr
            For scripts of networkx; nothing is done with them.
        """
        for node in nodes_for_adding:
            self._row(node)

    def to_networkx(self) -> nx.Graph:
        """Return a plain ``networkx.Graph``, a copy: node ids as keys, the attributes of :class:`Node` as data."""
        graph = nx.Graph(name=self.name)
        graph.add_nodes_from((node.id, node.get_dict()) for node in self)
        graph.add_edges_from((u.id, v.id, dict(self.edges[u, v])) for u, v in self.edges)
        return graph

    def to_navis(self) -> Any:
        """Return the tree as a ``navis.TreeNeuron`` in nm; ids of nodes stay. A node without radius has 0.

        Raises
        ------
        SkeletonError
            The tree has a cycle, which a neuron of navis cannot have.
        MissingExtraError
            navis is not installed.
        """
        return to_navis(self)

    def _repr_html_(self) -> str:
        box = self.bounding_box()
        facts = {
            "nodes": f"{len(self):,}",
            "edges": f"{self.number_of_edges():,}",
            "length": f"{self.path_length() / 1000:,.3f} µm",
            "bounding box": None if box is None else f"{tuple(box.topleft)} + {tuple(box.size)} mag-1 voxels",
            "group": self.group.name,
        }
        metadata = html.rows("Metadata", ("key", "value"), list(self.metadata.items()))
        return html.card(f"Tree {self.id}: {self.name}", facts, [metadata])

    # -- whole columns --------------------------------------------------------------------------------------------

    def get_node_positions(self) -> npt.NDArray[np.int64]:
        """Return the positions as integers, shape ``(nodes, 3)``, mag-1 voxels, fractions cut off."""
        return self._columns.positions().astype(np.int64)

    def get_node_positions_float(self) -> npt.NDArray[np.float64]:
        """Return the positions with their fractions, shape ``(nodes, 3)``, mag-1 voxels."""
        return self._columns.positions()

    def set_node_positions(self, positions: npt.ArrayLike) -> None:
        """Move all nodes: shape ``(nodes, 3)`` in the order of :meth:`get_node_positions`."""
        self._columns.set_positions(np.ascontiguousarray(positions, dtype=np.float64))

    def nodes_table(self) -> dict[str, npt.NDArray[Any]]:
        """Return the nodes as columns; see :meth:`Skeleton.nodes_table`."""
        return tables.nodes_table([self])

    def labels_at(self, layer: LabelledLayer, mag: Any = None) -> npt.NDArray[Any]:
        """Return the voxel of a layer under every node: one for each row of :meth:`nodes_table`.

        Parameters
        ----------
        layer, mag
            As for :meth:`Skeleton.labels_at`, which says what is raised, too.
        """
        return labels_of(self.nodes_table(), layer, mag)

    def edges_table(self) -> dict[str, npt.NDArray[Any]]:
        """Return the edges as columns; see :meth:`Skeleton.edges_table`."""
        return tables.edges_table([self])

    def adjacency_arrays(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """Return ``(indptr, indices)``: the neighbours of each node in the order of the tables, as in scipy's CSR."""
        return self._columns.adjacency()

    def degrees(self) -> npt.NDArray[np.uint32]:
        """Return the number of edges of each node, in the order of the tables."""
        return self._columns.degrees()

    def path_length(self) -> float:
        """Return the length of all edges together, in nm."""
        return self._columns.path_length(tuple(self._group.skeleton.voxel_size)) + 0.0  # not -0.0

    def bounding_box(self) -> BoundingBox | None:
        """Return the smallest box of mag-1 voxels that holds all nodes; None without nodes."""
        bounds = self._columns.bounds()
        return None if bounds is None else BoundingBox.from_points(np.array(bounds))


class _Borrowed:
    """What networkx defines in terms of the above. Taken when it is asked for, since networkx is not loaded before.

    With a `__getattr__` for it, which would be shorter, the interpreter would find every attribute the slow way.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, tree: Tree | None, owner: type) -> Any:
        borrowed = getattr(nx.Graph, self._name)
        return borrowed.__get__(tree, owner) if hasattr(borrowed, "__get__") else borrowed


BORROWED = (
    "add_weighted_edges_from", "adjacency", "adjlist_inner_dict_factory", "adjlist_outer_dict_factory", "copy",
    "edge_attr_dict_factory", "edge_subgraph", "get_edge_data", "graph_attr_dict_factory", "nbunch_iter",
    "node_attr_dict_factory", "node_dict_factory", "order", "size", "subgraph", "to_directed", "to_directed_class",
    "to_undirected", "to_undirected_class", "update",
)  # fmt: skip
for _name in BORROWED:
    setattr(Tree, _name, _Borrowed(_name))


_NO_VALUES = (None,) * 6
_UNCHANGING = frozenset({type(None), bool, int, float, str, _core.TreeRecord})

_EMPTY_RECORD: dict[str, Any] = {
    "name": None,
    "color": None,
    "is_visible": None,
    "metadata": [],
    "extras": {"attributes": [], "elements": []},
}


def _plain(color: Color | None) -> Color | None:
    return None if color is None else tuple(color)


def _without_old_color(extras: Record) -> Record:
    """Drop the old names of a colour, which other readers prefer to the new ones."""
    old = {"colorr", "colorg", "colorb", "colora"}
    return {**extras, "attributes": [(name, value) for name, value in extras["attributes"] if name not in old]}
