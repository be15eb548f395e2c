"""The skeleton: all trees and groups of an annotation, and the dataset they lie in."""

from __future__ import annotations

import copy
import itertools
from array import array
from dataclasses import dataclass
from os import fspath
from typing import TYPE_CHECKING, Any, TypeAlias

from wkfast import _core
from wkfast._lazy import lazy_import
from wkfast._warnings import warn
from wkfast.buckets import ObjectPath, any_path, core_file
from wkfast.errors import GeometryError, SkeletonError
from wkfast.geometry import LengthUnit, Vec3Float, VoxelSize
from wkfast.pictures import html
from wkfast.pictures.skeletons import three_projections
from wkfast.records import kept
from wkfast.skeleton import tables
from wkfast.skeleton.annotation_file import AnnotationFile, require_suffix
from wkfast.skeleton.arrays import integers, shaped, split_by_tree
from wkfast.skeleton.collector import CollectorPause, collector_paused
from wkfast.skeleton.graph_views import NODE_FIELDS
from wkfast.skeleton.group import Group
from wkfast.skeleton.labels import labels_of
from wkfast.skeleton.napari import to_napari
from wkfast.skeleton.navis import add_navis
from wkfast.skeleton.reading import LoadProblem, load_problems, warn_about
from wkfast.skeleton.rooted import edge_rows
from wkfast.skeleton.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from os import PathLike
    from pathlib import Path

    import networkx as nx
    import numpy as np
    import numpy.typing as npt
    from matplotlib.figure import Figure

    from wkfast._core import Node
    from wkfast.geometry import Vec3FloatLike
    from wkfast.records import Record
    from wkfast.skeleton.ids import TakenIds
    from wkfast.skeleton.labels import LabelledLayer
    from wkfast.skeleton.reading import MemberSource
else:
    np = lazy_import("numpy")

if TYPE_CHECKING:
    ReadTrees: TypeAlias = tuple[_core.LoadedTrees, array[int]]
    TreeItem: TypeAlias = tuple[_core.TreeRecord | Record, _core.TreeColumns] | ReadTrees

UNNAMED_DATASET = "Unnamed Experiment"
_NO_EXTRAS: dict[str, Any] = {"attributes": [], "elements": []}


@dataclass(frozen=True)
class AdditionalAxis:
    """An axis of the dataset beyond x, y, z; ``end`` is exclusive."""

    name: str
    index: int
    start: int
    end: int


class Skeleton(Group):
    """All trees and groups of an annotation.

    Parameters
    ----------
    voxel_size
        Size of a mag-1 voxel: nanometres, or a :class:`VoxelSize` with its unit.
    dataset_name, dataset_id, organization_id
        The dataset the trees lie in.
    description
        Free text.

    Attributes
    ----------
    active_node_id
        Id of the node that was active, ``None`` if there was none.
    additional_axes
        Axes of the dataset beyond x, y, z.
    wk_url
        The server the annotation comes from.

    Examples
    --------
    >>> skeleton = Skeleton(voxel_size=(11.24, 11.24, 28), dataset_name="sample_dataset")
    >>> tree = skeleton.add_tree("dendrite")
    >>> node = tree.add_node(position=(10, 20, 30), comment="soma")
    >>> skeleton.get_node_by_id(node.id).comment
    'soma'
    """

    def __init__(
        self,
        voxel_size: VoxelSize | Vec3FloatLike,
        dataset_name: str,
        dataset_id: str | None = None,
        organization_id: str | None = None,
        description: str | None = None,
        enforced_id: int | None = None,
    ) -> None:
        self._ids = _core.IdCounter()
        self._taken: TakenIds | None = None
        self._trees_by_id: dict[int, Tree | tuple[int, Group]] | None = None
        self._loaded: _core.LoadedTrees | None = None
        self._made: dict[int, Tree] = {}
        super().__init__("Root", self, 0 if enforced_id is None else enforced_id)
        self._voxel_size = VoxelSize.from_any(voxel_size)
        self.dataset_name = dataset_name
        self.dataset_id = dataset_id
        self.organization_id = organization_id
        self.description = description
        self.active_node_id: int | None = None
        self.additional_axes: list[AdditionalAxis] = []
        self.wk_url: str | None = None
        self._header: Record | None = None
        self._left_behind: tuple[str, ...] = ()

    @property
    def voxel_size(self) -> Vec3Float:
        """Size of a mag-1 voxel in nm. Setting it keeps the unit that files are written in."""
        return self._voxel_size.to_nanometer()

    @voxel_size.setter
    def voxel_size(self, voxel_size: Vec3FloatLike) -> None:
        unit = self._voxel_size.unit
        self._voxel_size = VoxelSize(Vec3Float(voxel_size) / unit.nanometers, unit)

    @property
    def voxel_size_with_unit(self) -> VoxelSize:
        """Size of a mag-1 voxel with the unit it was given in."""
        return self._voxel_size

    @voxel_size_with_unit.setter
    def voxel_size_with_unit(self, voxel_size: VoxelSize) -> None:
        self._voxel_size = VoxelSize.from_any(voxel_size)

    @classmethod
    def from_arrays(
        cls,
        positions: npt.ArrayLike,
        edges: npt.ArrayLike = (),
        *,
        voxel_size: VoxelSize | Vec3FloatLike,
        dataset_name: str,
        tree_ids: npt.ArrayLike | None = None,
        tree_names: Mapping[int, str] | None = None,
        **columns: npt.ArrayLike,
    ) -> Skeleton:
        """Return a skeleton of arrays.

        Parameters
        ----------
        positions
            Shape ``(nodes, 3)``, mag-1 voxels, fractions are kept.
        edges
            Shape ``(edges, 2)``: row numbers of `positions`.
        tree_ids
            Id of each node's tree; without it all are in one tree.
        tree_names
            Names by tree id; others are called ``tree_<id>``.
        columns
            As in :meth:`Tree.add_nodes`.

        Raises
        ------
        SkeletonError
            A ``ValueError``: shapes that do not fit, an edge to no row or between two trees.

        Examples
        --------
        >>> places, edges = [[0, 0, 0], [3, 4, 0], [9, 9, 9]], [[0, 1]]
        >>> made = {"voxel_size": (1, 1, 1), "dataset_name": "sample", "radius": [1, 2, 3]}
        >>> skeleton = Skeleton.from_arrays(places, edges, tree_ids=[7, 7, 8], tree_names={7: "axon"}, **made)
        >>> [(tree.id, tree.name, len(tree), tree.path_length()) for tree in skeleton.trees]
        [(7, 'axon', 2, 5.0), (8, 'tree_8', 1, 0.0)]
        """
        skeleton = cls(voxel_size, dataset_name)
        places = shaped("positions", positions, (-1, 3))
        pairs = integers("edges", shaped("edges", edges, (-1, 2)))
        ids = [1] * len(places) if tree_ids is None else tree_ids
        owners = integers("tree_ids", shaped("tree_ids", ids, (len(places),)))
        for part in split_by_tree(owners, pairs):
            name = (tree_names or {}).get(part.tree_id, f"tree_{part.tree_id}")
            tree = skeleton.add_tree(name, _enforced_id=part.tree_id)
            picked: dict[str, Any] = {key: np.ma.asarray(values)[part.rows] for key, values in columns.items()}
            tree.add_nodes(places[part.rows], edges=part.edges, **picked)
        return skeleton

    # -- files ----------------------------------------------------------------------------------------------------

    @classmethod
    def load(cls, file_path: str | PathLike[str], *, strict: bool = False) -> Skeleton:
        """Return the skeleton in an ``.nml`` file, or in the NML of an annotation ``.zip``.

        Parameters
        ----------
        file_path
            The file, or its address: what reaches it comes with a ``UPath`` or a :class:`wkfast.buckets.ObjectPath`, or
            from the environment. Of a ``.k.zip`` of KNOSSOS all numbers are taken as written, see
            :func:`wkfast.convert.read_knossos`.
        strict
            Refuse what a server would refuse, instead of warning.

        Raises
        ------
        NmlError
            A ``RuntimeError``: no NML, or with ``strict`` one that a server would reject. Line and column are named.
        """
        file = AnnotationFile.open(file_path)
        skeleton = document_of(file, strict=strict).skeleton
        skeleton._left_behind = file.other_members
        return skeleton

    def save(self, out_path: str | PathLike[str] | ObjectPath) -> None:
        """Write the skeleton to an ``.nml`` or ``.zip`` file, as a whole or not at all.

        Other members of the zip it was loaded from, such as voxels, are not written, which a warning says.

        Parameters
        ----------
        out_path
            The file, or its address in a bucket.
        """
        path = any_path(out_path, "a saved skeleton")
        require_suffix(path)
        if self._left_behind:
            names = ", ".join(self._left_behind)
            reason = (
                f"{path} will not hold {names} of the zip that the skeleton is from; Annotation.load and save keep them"
            )
            warn(reason)
        nml_name = f"{path.stem}.nml" if path.suffix == ".zip" else None
        save_document(path, empty_header() if self._header is None else self._header, self, nml_name=nml_name)

    @classmethod
    def _from_records(cls, header: Record, trees: _core.LoadedTrees | None = None) -> Skeleton:
        """Return the skeleton of a file's header and of its trees, as the core reads them."""
        parameters = header["parameters"]
        experiment = parameters["experiment"]
        skeleton = cls(voxel_size_of(parameters["scale"]), _dataset_name(experiment))
        skeleton.dataset_id, skeleton.organization_id = experiment["dataset_id"], experiment["organization"]
        skeleton.description, skeleton.wk_url = experiment["description"], experiment["wk_url"]
        skeleton.active_node_id = parameters["active_node"]
        skeleton.additional_axes = [_axis(record) for record in parameters["additional_axes"]]
        # Groups are written as they then are; the records would only be kept in vain, and be too deep for copies.
        skeleton._header = kept({**header, "groups": []})
        skeleton._fill(header["groups"], trees)
        return skeleton

    def _fill(self, group_records: list[Record], trees: _core.LoadedTrees | None) -> None:
        groups: dict[int, Group] = {}
        self._fill_from_records(group_records, groups)
        if trees is not None:
            self._loaded = trees
            self._ids.claim(trees.max_id())
            by_group, strays = trees.by_group(list(groups))
            for group_id, numbers in by_group:
                (self if group_id is None else groups[group_id])._read_trees = array("I", numbers)
            # They name a group that there is none of, which may change: they cannot go from file to file.
            for number in strays:
                self._loaded_tree(number, self)

    def _loaded_tree(self, number: int, group: Group) -> Tree:
        """Return the tree of the loaded file with a number, made when it is first asked for."""
        tree = self._made.get(number)
        if tree is None and self._loaded is not None:
            # Of two threads that ask at once, both get the first one's.
            made = Tree._from_record(*self._loaded[number], group)
            made._number = number
            tree = self._made.setdefault(number, made)
        if tree is None:
            raise SkeletonError(f"there is no tree with the number {number} in the loaded file")
        return tree

    def _to_header(self, header: Record) -> Record:
        """Return a header with this skeleton's facts over those that were read."""
        parameters = header["parameters"]
        experiment = parameters["experiment"]
        name = experiment["name"] if self.dataset_name == _dataset_name(experiment) else self.dataset_name
        return {
            **header,
            "groups": self._to_group_records(),
            "parameters": {
                **parameters,
                "experiment": {
                    **experiment,
                    "name": name,
                    "organization": self.organization_id,
                    "dataset_id": self.dataset_id,
                    "description": self.description,
                    "wk_url": self.wk_url,
                },
                "scale": _scale_record(self._voxel_size, parameters["scale"]),
                "active_node": self.active_node_id,
                "additional_axes": _axis_records(self.additional_axes, parameters["additional_axes"]),
            },
        }

    def _to_tree_records(self) -> list[TreeItem]:
        """Return the records and columns of all trees; those that nobody asked for go from file to file."""
        known = {group.id for group in self.flattened_groups()}
        items: list[TreeItem] = []
        for group in (self, *self.flattened_groups()):
            for trees in self._runs(group):
                if isinstance(trees, list):
                    items += [(tree._to_record(_group_id(tree, self, known)), tree._columns) for tree in trees]
                else:
                    items.append(trees)
        return items

    def _runs(self, group: Group) -> Iterator[list[Tree] | ReadTrees]:
        """Yield the trees of a group in order: numbers of those that nobody asked for, and lists of the others."""
        if self._loaded is not None and not self._made and len(group._read_trees):
            yield self._loaded, group._read_trees
        elif self._loaded is not None:
            for is_made, numbers in itertools.groupby(group._read_trees, self._made.__contains__):
                if is_made:
                    yield [self._made[number] for number in numbers]
                else:
                    yield self._loaded, array("I", numbers)
        yield group._child_trees

    # -- finding by id --------------------------------------------------------------------------------------------

    def _find_tree(self, tree_id: int) -> Tree | None:
        trees = self._trees_by_id
        if trees is None:
            pairs = list(self._trees_and_ids())
            # Of several trees with one id the first is found.
            trees = dict(reversed(pairs))
            if len(trees) == len(pairs):
                self._trees_by_id = trees
        found = trees.get(tree_id)
        if isinstance(found, tuple):
            found = trees[tree_id] = self._loaded_tree(*found)
        return found

    def _trees_and_ids(self) -> Iterator[tuple[int, Tree | tuple[int, Group]]]:
        ids = [] if self._loaded is None else self._loaded.ids()
        for group in (self, *self.flattened_groups()):
            for number in group._read_trees:
                tree = self._made.get(number)
                yield (ids[number], (number, group)) if tree is None else (tree.id, tree)
            yield from ((tree.id, tree) for tree in group._child_trees)

    def _find_node(self, node_id: int) -> Node | None:
        if not self._ids.is_indexed:
            self._ids.index([tree._columns for tree in self.flattened_trees()])
        node = self._ids.find_node(node_id)
        return super()._find_node(node_id) if node is False else node

    def _tree_added(self, tree: Tree) -> None:
        """Keep what is known of ids right."""
        self._ids.add_tree(tree._columns)
        if self._trees_by_id is not None and self._trees_by_id.setdefault(tree.id, tree) is not tree:
            self._trees_by_id = None  # which comes first depends on where they are

    def _tree_dropped(self, tree: Tree) -> None:
        self._ids.give_back()
        self._ids.drop_tree(tree._columns)
        if self._trees_by_id is not None and self._trees_by_id.pop(tree.id, None) is not tree:
            self._trees_by_id = None

    # -- graphs and tables ----------------------------------------------------------------------------------------

    def add_nx_graphs(self, tree_dict: list[nx.Graph] | dict[str, list[nx.Graph]]) -> None:
        """Add a tree for each networkx graph.

        Node attributes are those of :meth:`Tree.add_node`; ``position`` is needed, a missing ``radius`` is 1 nm. A
        graph's ``name`` and ``color`` become the tree's.

        Parameters
        ----------
        tree_dict
            Graphs by the name of the group they go to; those of a list go to ``"main_group"``.
        """
        by_group = tree_dict if isinstance(tree_dict, dict) else {"main_group": tree_dict}
        for group_name, graphs in by_group.items():
            group = self.add_group(group_name)
            for number, graph in enumerate(graphs):
                _add_graph(group, graph, f"tree_{number}")

    def nodes_table(self) -> dict[str, npt.NDArray[Any]]:
        """Return all nodes as columns, trees in the order of :meth:`flattened_trees`.

        Returns
        -------
        dict
            ``id``, ``tree_id`` (int64), ``position`` (float64, ``(nodes, 3)``, mag-1 voxels), ``radius`` (nm) and
            ``rotation`` with NaN where a node has none, and masked arrays ``inVp``, ``inMag``, ``bitDepth``,
            ``interpolation``, ``time`` (ms since epoch), and ``additionalCoordinate-<axis>`` for each axis beyond
            x, y, z along which a node has a place. Ids beyond int64 make their column one of Python ints.

        Raises
        ------
        SkeletonError
            Nodes have places along more than 64 axes: columns would be out of all proportion to them.

        Examples
        --------
        >>> skeleton = Skeleton(voxel_size=(1, 1, 1), dataset_name="sample")
        >>> node = skeleton.add_tree("t").add_node((1, 2, 3), time=17)
        >>> table = skeleton.nodes_table()
        >>> table["position"].tolist(), table["time"].tolist(), table["inVp"].tolist()
        ([[1.0, 2.0, 3.0]], [17], [None])
        """
        return tables.nodes_table(list(self.flattened_trees()))

    def labels_at(self, layer: LabelledLayer, mag: Any = None) -> npt.NDArray[Any]:
        """Return the voxel of a layer under every node: one for each row of :meth:`nodes_table`.

        A position with fractions lies in the voxel that it is cut down to. Where the layer has axes beyond x, y, z, the
        places of nodes along them count.

        Parameters
        ----------
        layer
            A layer of any dataset, annotation or server; see :meth:`Layer.values_at`.
        mag
            Which mag to look in; default: the finest.

        Raises
        ------
        SkeletonError
            A node has no place along one of the layer's axes.
        VolumeDataError
            A chunk of the layer is damaged.

        Examples
        --------
        >>> import numpy as np
        >>> from wkfast import Dataset, Skeleton
        >>> dataset = Dataset(tmp_path / "new", voxel_size=(4, 4, 40))
        >>> layer = dataset.write_layer("labels", "segmentation", np.full((8, 8, 8), 5, np.uint32))
        >>> skeleton = Skeleton(voxel_size=(4, 4, 40), dataset_name="new")
        >>> node = skeleton.add_tree("t").add_node((1, 2, 3))
        >>> skeleton.labels_at(layer)
        array([5], dtype=uint32)
        """
        return labels_of(self.nodes_table(), layer, mag)

    def edges_table(self) -> dict[str, npt.NDArray[Any]]:
        """Return all edges as columns ``source``, ``target`` (node ids), ``tree_id``; repeated edges once."""
        return tables.edges_table(list(self.flattened_trees()))

    def trees_table(self) -> dict[str, npt.NDArray[Any]]:
        """Return one row per tree.

        ``id``, ``name``, ``group_id`` (0 is the skeleton), ``nodes`` and ``edges`` (counts), ``path_length`` (nm), and
        ``low`` and ``high``, the smallest and largest coordinates in mag-1 voxels, NaN without nodes.
        """
        return tables.trees_table(list(self.flattened_trees()))

    def comments_table(self) -> dict[str, npt.NDArray[Any]]:
        """Return one row per comment: ``node_id``, ``tree_id``, ``content``."""
        return tables.comments_table(list(self.flattened_trees()))

    def branchpoints_table(self) -> dict[str, npt.NDArray[Any]]:
        """Return one row per branchpoint: ``node_id``, ``tree_id``, ``time`` (ms since epoch, masked where missing)."""
        return tables.branchpoints_table(list(self.flattened_trees()))

    # -- values ---------------------------------------------------------------------------------------------------

    __hash__ = Group.__hash__

    def __getstate__(self) -> dict[str, Any]:
        # What pickles visit first and last.
        pause = CollectorPause()
        return {"_pause": pause, **self._state(), "_paused": pause.end()}

    def _state(self) -> dict[str, Any]:
        # Trees of the file that nobody asked for stay what they are. Another thread may ask for one at this moment: so
        # the objects are listed after the others.
        loaded = None if self._loaded is None else self._loaded.copy()
        # Tables of what is where are made anew; groups are listed by the one they are in.
        made = {"_loaded": loaded, "_made": dict(self._made), "_trees_by_id": None, "_taken": None}
        nested = [(group, group._child_groups) for group in (self, *self.flattened_groups())]
        pairs = [(parent, child) for parent, children in nested for child in children]
        return {**super().__getstate__(), **made, "_nested": pairs}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for pause in ("_pause", "_paused"):
            state.pop(pause, None)
        nested = state.pop("_nested")
        super().__setstate__(state)
        for parent, child in nested:
            parent.__dict__.setdefault("_child_groups", []).append(child)

    def __deepcopy__(self, memo: dict[int, Any]) -> Skeleton:
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        with collector_paused():
            twin.__setstate__(copy.deepcopy(self._state(), memo))
        return twin

    def __eq__(self, other: object) -> bool:
        return Group.__eq__(self, other)

    def _facts(self) -> tuple[Any, ...]:
        dataset = self.dataset_name, self.dataset_id, self.organization_id
        view = self.active_node_id, tuple(self.additional_axes), self.wk_url
        return self._voxel_size, dataset, self.description, view

    def _repr_html_(self) -> str:
        trees = list(itertools.islice(self.flattened_trees(), html.MOST_ROWS))
        lines = [(tree.id, tree.name, f"{len(tree):,}", f"{tree.number_of_edges():,}") for tree in trees]
        counts = {"groups": f"{sum(1 for _ in self.flattened_groups()):,}", "nodes": f"{self.get_total_node_count():,}"}
        count = sum(1 for _ in self.flattened_trees()) if len(trees) == html.MOST_ROWS else len(trees)
        return html.card("Skeleton", counts, [html.rows("Trees", ("id", "name", "nodes", "edges"), lines, count)])

    def plot(self) -> Figure:
        """Return a figure of all trees seen along each axis, in their colours, with a scale bar in µm.

        A tree without a colour is gray. Notebooks show the figure; ``figure.savefig("trees.png")`` writes it.

        Raises
        ------
        MissingExtraError
            matplotlib is not installed.

        Examples
        --------
        >>> skeleton = Skeleton(voxel_size=(11, 11, 25), dataset_name="sample")
        >>> ids = skeleton.add_tree("axon", color=(1, 0, 0, 1)).add_nodes([[0, 0, 0], [900, 300, 90]], edges=[[0, 1]])
        >>> [axes.get_title() for axes in skeleton.plot().axes]
        ['xy', 'zy', 'xz']
        """
        size = np.asarray(self.voxel_size)
        parts = (
            (tree.get_node_positions_float() * size, edge_rows(tree), tree.color or (0.5, 0.5, 0.5, 1.0))
            for tree in self.flattened_trees()
            if tree.is_visible and len(tree)
        )
        return three_projections(parts, self.dataset_name)

    def to_napari(self) -> list[tuple[Any, dict[str, Any], str]]:
        """Return nodes and edges as napari takes them: tuples of data, keywords, and ``"points"`` or ``"vectors"``.

        Positions are z, y, x in nm, as those of ``Layer.to_napari``; trees have their colours, gray without one, and
        points their tree, node and radius as features. ``napari.layers.Layer.create(*each)`` makes a layer of each.

        Examples
        --------
        >>> skeleton = Skeleton(voxel_size=(11, 11, 25), dataset_name="sample")
        >>> ids = skeleton.add_tree("axon").add_nodes([[0, 0, 0], [10, 0, 1]], edges=[[0, 1]])
        >>> (points, _, _), (vectors, _, _) = skeleton.to_napari()
        >>> points.tolist(), vectors.tolist()
        ([[0.0, 0.0, 0.0], [25.0, 0.0, 110.0]], [[[0.0, 0.0, 0.0], [25.0, 0.0, 110.0]]])
        """
        return to_napari(self)

    def add_navis(self, neuron: Any) -> Tree:
        """Add a ``navis.TreeNeuron`` as a tree: its units become voxels, radii nm.

        Parameters
        ----------
        neuron
            The neuron; it must have units.

        Raises
        ------
        SkeletonError
            It has none.
        """
        return add_navis(self, neuron)

    def __repr__(self) -> str:
        return (
            f"Skeleton({self._children_text()}, _voxel_size={self._voxel_size!r}, dataset_name={self.dataset_name!r}, "
            f"dataset_id={self.dataset_id!r}, organization_id={self.organization_id!r}, "
            f"description={self.description!r})"
        )


# -- documents ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Document:
    """An NML file as read.

    Attributes
    ----------
    header
        Everything but trees, as nested dicts: see ``wkfast._core.Header``.
    skeleton
        Trees and groups.
    problems
        Faults that loading survived.
    """

    header: Record
    skeleton: Skeleton
    problems: tuple[LoadProblem, ...]


def load_document(
    path: str | PathLike[str] | ObjectPath, member: str | None = None, *, strict: bool = False
) -> Document:
    """Return an NML file, or one that is a member of a zip file. Problems are warned about once.

    Raises
    ------
    NmlError
        A ``RuntimeError``: malformed XML or NML, or with ``strict`` whatever a server would reject.
    """
    return _document(path, path.object_file() if isinstance(path, ObjectPath) else fspath(path), member, strict=strict)


def document_of(file: AnnotationFile, *, strict: bool = False) -> Document:
    """Return the NML of a file that was looked at, wherever it lies; see :func:`load_document`."""
    return _document(file.path, file.source, file.nml_member, strict=strict)


def _document(name: object, source: str | _core.ObjectFile, member: str | None, *, strict: bool) -> Document:
    loaded = _core.read_nml(source, member, strict)
    problems = load_problems(loaded)
    warn_about(problems, loaded.problems_omitted, name)
    skeleton = Skeleton._from_records(loaded.header, loaded.trees)
    return Document({**loaded.header, "groups": []}, skeleton, problems)


def save_document(
    path: Path | ObjectPath,
    header: Record,
    skeleton: Skeleton,
    *,
    nml_name: str | None = None,
    members: dict[str, MemberSource] | None = None,
    observer: Callable[[int, None], object] | None = None,
) -> None:
    """Write an NML file or, with a name for the NML, an annotation zip, as a whole or not at all.

    Parameters
    ----------
    path
        The file to write; what is there stays until the new file is complete.
    header
        What :func:`load_document` gave or :func:`empty_header` gives. The skeleton's own facts replace those in it.
    nml_name
        Name of the NML inside a zip file; None writes a bare NML.
    members
        Further files of the zip by name: bytes, or a path with ``None`` for a file or with the member's name for one
        in another zip, which is copied without being inflated. The target itself may be among them.
    observer
        Called with the bytes written so far, and ``None``, since nobody knows how many there will be. What it raises
        ends the writing.
    """
    records = skeleton._to_header(header), skeleton._to_tree_records()
    try:
        if nml_name is None:
            _core.write_nml(core_file(path), *records, observer)
        else:
            _core.write_annotation_zip(core_file(path), nml_name, *records, list((members or {}).items()), observer)
    except (UnicodeEncodeError, OverflowError, TypeError) as error:
        # A name with half a character, a time beyond 64 bits, a number where a text is expected.
        raise SkeletonError(
            f"cannot save {path}: a value in it is none that NML has: {error}; nothing was written"
        ) from error


def empty_header() -> Record:
    """Return the header of a file that says nothing."""
    return _core.empty_header()


def iterate_trees(path: str | PathLike[str]) -> Iterator[Tree]:
    """Yield the trees of an ``.nml``, or of the NML in an annotation ``.zip``, one by one.

    Memory is bounded by the largest tree, so files larger than memory can be read. Comments, branchpoints and groups
    stand after the trees in a file and are therefore missing; the group of every tree is a skeleton without trees.

    Examples
    --------
    >>> sum(len(tree) for tree in iterate_trees("large.nml"))  # doctest: +SKIP
    5000000
    """
    file = AnnotationFile.open(path)
    stream = _core.TreeStream(file.source, file.nml_member)
    skeleton = None
    for record, columns in stream:
        if skeleton is None:
            skeleton = Skeleton._from_records(stream.header)
        # The skeleton must not hold the tree: a cycle would live on until the next collection.
        yield Tree._from_record(record, columns, skeleton)


def _group_id(tree: Tree, skeleton: Skeleton, known: set[int]) -> int | None:
    if tree.group is not skeleton:
        return tree.group.id
    # A file may name a group that it does not have: a problem, but kept.
    read = tree._record.group_id if tree._record else None
    return None if read in known else read


def _add_graph(group: Group, graph: nx.Graph, default_name: str) -> None:
    tree = group.add_tree(graph.name or default_name, color=graph.graph.get("color"))
    nodes = {}
    for key, facts in graph.nodes(data=True):
        if "position" not in facts:
            raise SkeletonError(f"node {key!r} of graph {tree.name!r} has no position")
        known = {name: facts[name] for name in NODE_FIELDS & facts.keys()}
        nodes[key] = tree.add_node(**({"radius": 1.0} | known))
    for source, target in graph.edges():
        tree.add_edge(nodes[source], nodes[target])


def _dataset_name(experiment: Record) -> str:
    name: str | None = experiment["name"]
    return UNNAMED_DATASET if name is None else name


def voxel_size_of(scale: Record) -> VoxelSize:
    """Read a ``<scale>``; one that names no known unit is in nanometres."""
    factor = Vec3Float(scale["x"] or 0.0, scale["y"] or 0.0, scale["z"] or 0.0)
    try:
        unit = LengthUnit.NANOMETER if scale["unit"] is None else LengthUnit.from_text(scale["unit"])
    except GeometryError:
        unit = LengthUnit.NANOMETER
    return VoxelSize(factor, unit)


def _scale_record(size: VoxelSize, before: Record) -> Record:
    if any(before[axis] is not None for axis in "xyz") and size == voxel_size_of(before):
        return before
    return {**before, **dict(zip("xyz", size.factor, strict=True)), "unit": size.unit.value}


def _axis(record: Record) -> AdditionalAxis:
    return AdditionalAxis(record["name"], record["index"], record["start"], record["end"])


def _axis_records(axes: Iterable[AdditionalAxis], before: list[Record]) -> list[Record]:
    """Return the records to write; those that say the same as before stay, with what else the file said of them."""
    known = {_axis(record): record for record in reversed(before)}
    return [known.get(axis) or _axis_record(axis) for axis in axes]


def _axis_record(axis: AdditionalAxis) -> Record:
    return {"name": axis.name, "index": axis.index, "start": axis.start, "end": axis.end, "extras": _NO_EXTRAS}
