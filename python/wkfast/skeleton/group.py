"""Groups: folders of trees and of further groups."""

from __future__ import annotations

import itertools
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Self

from wkfast import _core
from wkfast._lazy import lazy_import
from wkfast.errors import SkeletonError
from wkfast.records import kept, normalized_color
from wkfast.skeleton.arrays import integers, shaped
from wkfast.skeleton.ids import TakenIds
from wkfast.skeleton.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    from wkfast._core import Node
    from wkfast.geometry import Vec3FloatLike
    from wkfast.records import MetadataValue, Record
    from wkfast.skeleton.skeleton import Skeleton
else:
    np = lazy_import("numpy")


_NO_TREES = array("I")


class Group:
    """A folder of trees and groups, made by :meth:`add_group`; a :class:`Skeleton` is the outermost one.

    Attributes
    ----------
    name
        Shown to the user.
    is_expanded
        Whether the list of trees shows what is inside; ``None`` where the file does not say.

    Examples
    --------
    >>> from wkfast.skeleton import Skeleton
    >>> group = Skeleton(voxel_size=(1, 1, 1), dataset_name="sample").add_group("axons")
    >>> tree = group.add_tree("a1", color=(1, 0, 0))
    >>> group
    Group(_id=1, name='axons', _child_groups=<No child groups>, _child_trees=<1 child tree>)
    >>> tree.color
    (1.0, 0.0, 0.0, 1.0)
    """

    def __init__(self, name: str, skeleton: Skeleton, enforced_id: int | None = None) -> None:
        self.name = name
        self.is_expanded: bool | None = None
        self._skeleton = skeleton
        self._child_groups: list[Group] = []
        # Trees of the loaded file by their numbers, before those that were added.
        self._read_trees: array[int] = _NO_TREES
        self._child_trees: list[Tree] = []
        self._record: Record | None = None
        self._id = skeleton._ids.take(enforced_id)
        self._depth = 0

    @property
    def id(self) -> int:
        """Unique within the skeleton; 0 for the skeleton itself."""
        return self._id

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton this group is in."""
        return self._skeleton

    # -- what is inside -------------------------------------------------------------------------------------------

    @property
    def children(self) -> Iterator[Group | Tree]:
        """Groups, then trees, right below this one."""
        yield from self.groups
        yield from self.trees

    @property
    def groups(self) -> Iterator[Group]:
        """Groups right below this one."""
        return iter(tuple(self._child_groups))

    @property
    def trees(self) -> Iterator[Tree]:
        """Trees right below this one."""
        added = iter(tuple(self._child_trees))
        if not self._read_trees:
            return added
        made = self._skeleton._loaded_tree
        return itertools.chain((made(number, self) for number in self._read_trees), added)

    def flattened_trees(self) -> Iterator[Tree]:
        """Yield all trees, those of nested groups included."""
        groups = itertools.chain([self], self.flattened_groups())
        return itertools.chain.from_iterable(group.trees for group in groups)

    def flattened_groups(self) -> Iterator[Group]:
        """Yield all groups below this one."""
        # By hand, since a frame a level would be too many for groups that are nested as deep as files may have them.
        levels = [self.groups]
        while levels:
            group = next(levels[-1], None)
            if group is None:
                levels.pop()
            else:
                yield group
                levels.append(group.groups)

    def get_tree_by_id(self, tree_id: int) -> Tree:
        """Return the tree with an id; ``ValueError`` if there is none."""
        tree = self._find_tree(tree_id)
        if tree is None:
            raise SkeletonError(f"No tree with id {tree_id} was found")
        return tree

    def has_tree_id(self, tree_id: int) -> bool:
        """Return whether there is a tree with an id."""
        return self._find_tree(tree_id) is not None

    def _find_tree(self, tree_id: int) -> Tree | None:
        return next((tree for tree in self.flattened_trees() if tree.id == tree_id), None)

    def get_group_by_id(self, group_id: int) -> Group:
        """Return the group with an id; ``ValueError`` if there is none."""
        for group in self.flattened_groups():
            if group.id == group_id:
                return group
        raise SkeletonError(f"No group with id {group_id} was found")

    def get_node_by_id(self, node_id: int) -> Node:
        """Return the node with an id; ``ValueError`` if there is none."""
        node = self._find_node(node_id)
        if node is None:
            raise SkeletonError(f"No node with id {node_id} was found")
        return node

    def _find_node(self, node_id: int) -> Node | None:
        for tree in self.flattened_trees():
            row = tree._columns.row_of(node_id)
            if row is not None:
                return tree._columns.node(row)
        return None

    def get_total_node_count(self) -> int:
        """Return the number of nodes in all trees."""
        return sum(len(tree._columns) for tree in self.flattened_trees())

    def get_max_tree_id(self) -> int:
        """Return the largest tree id, 0 without trees."""
        return max((tree.id for tree in self.flattened_trees()), default=0)

    def get_max_node_id(self) -> int:
        """Return the largest node id, 0 without nodes."""
        return max((tree.get_max_node_id() for tree in self.flattened_trees()), default=0)

    # -- adding and removing --------------------------------------------------------------------------------------

    def add_group(self, name: str, _enforced_id: int | None = None) -> Group:
        """Add an empty group and return it.

        Parameters
        ----------
        name
            Shown to the user; names need not be unique.
        _enforced_id
            The id, where a file gives one; default: the next free one.

        Raises
        ------
        SkeletonError
            A ``ValueError``: nested deeper than a file may have it, 510 groups in one another.
        """
        if self._depth >= _core.GROUP_DEPTH:
            raise SkeletonError(
                f"{name!r} would be nested in {self._depth} groups; a file that is to be loaded again has at most "
                f"{_core.GROUP_DEPTH} in one another"
            )
        group = Group(name, self._skeleton, _enforced_id)
        group._depth = self._depth + 1
        self._child_groups.append(group)
        return group

    def add_tree(
        self,
        name_or_tree: str | Tree,
        color: Vec3FloatLike | tuple[float, float, float, float] | None = None,
        _enforced_id: int | None = None,
        metadata: dict[str, MetadataValue] | None = None,
        is_visible: bool = True,
    ) -> Tree:
        """Add a tree and return it.

        Parameters
        ----------
        name_or_tree
            The name of an empty tree, or a tree to copy. The copy keeps the tree's id if no tree of this skeleton has
            it, and the ids of its nodes if no node here has any of them; else they get new ones.
        color
            Red, green, blue, and alpha (default 1), each 0 to 1.
        metadata
            Free facts by key.
        is_visible
            Whether the tree is shown.
        """
        if isinstance(name_or_tree, Tree):
            tree = self._copy_of(name_or_tree, color, _enforced_id, keep_ids=True)
        else:
            tree = Tree(name_or_tree, self, normalized_color(color), _enforced_id, metadata, is_visible)
        self._adopt(tree)
        return tree

    def _copy_of(self, tree: Tree, color: Any, enforced_id: int | None, *, keep_ids: bool) -> Tree:
        taken = self._taken_ids() if keep_ids else None
        color = tree.color if color is None else normalized_color(color)
        if taken is not None and enforced_id is None and tree.id not in taken.trees:
            enforced_id = tree.id
        record = tree._record
        if record is not None and record.group_id is not None:
            # The group that the file named is one of the other skeleton's.
            record = _core.TreeRecord.from_dict({**record.to_dict(), "group_id": None})
        copy = Tree(tree.name, self, color, enforced_id, tree.metadata, tree.is_visible, record=record)
        copy.edges_are_visible, copy.tree_type = tree.edges_are_visible, tree.tree_type
        copy._columns = self._columns_of_copy(tree._columns, taken)
        if taken is not None:
            taken.trees.add(copy.id)
            taken.changes = self._skeleton._ids.changes
            self._skeleton._taken = taken
        return copy

    def _taken_ids(self) -> TakenIds:
        """Return the ids in use. They are gathered once for all copies that are added one after the other."""
        taken, changes = self._skeleton._taken, self._skeleton._ids.changes
        if taken is None or taken.changes != changes:
            taken = TakenIds({tree.id for tree in self._skeleton.flattened_trees()}, changes)
        return taken

    def _columns_of_copy(self, columns: _core.TreeColumns, taken: TakenIds | None) -> _core.TreeColumns:
        counter, ids = self._skeleton._ids, columns.ids()
        if taken is None or not self._are_free(ids, taken):
            columns = columns.renumbered(counter.take_run(len(columns)))
            ids = columns.ids()
        else:
            columns = columns.copy()
            counter.claim(columns.max_id())
        if taken is not None and taken.nodes is not None:
            taken.nodes.update(map(int, ids))
        return columns

    def _are_free(self, ids: npt.NDArray[np.int64] | list[int], taken: TakenIds) -> bool:
        """Return whether no node has any of the ids."""
        if len(ids) == 0 or min(ids) > self._skeleton._ids.last:
            return True
        if taken.nodes is None:
            trees = self._skeleton.flattened_trees()
            taken.nodes = set(itertools.chain.from_iterable(np.asarray(tree._columns.ids()).tolist() for tree in trees))
        return taken.nodes.isdisjoint(map(int, ids))

    def add_tree_from_arrays(
        self,
        name: str,
        positions: npt.ArrayLike,
        edges: npt.ArrayLike = (),
        *,
        node_ids: npt.ArrayLike | None = None,
        radius: npt.ArrayLike | None = None,
        color: Vec3FloatLike | tuple[float, float, float, float] | None = None,
    ) -> Tree:
        """Add a tree made of arrays and return it.

        Parameters
        ----------
        positions
            Shape ``(nodes, 3)``, mag-1 voxels, fractions are kept.
        edges
            Shape ``(edges, 2)``: row numbers of `positions` or, with `node_ids`, node ids.
        node_ids
            Shape ``(nodes,)``; default: new ones, in order.
        radius
            nm, shape ``(nodes,)``, NaN for none.

        Raises
        ------
        SkeletonError
            A ``ValueError``: shapes that do not fit, an id that is there twice, an edge to no node.

        Examples
        --------
        >>> from wkfast.skeleton import Skeleton
        >>> skeleton = Skeleton(voxel_size=(10, 10, 10), dataset_name="sample")
        >>> skeleton.add_tree_from_arrays("line", [[0, 0, 0], [3, 4, 0], [3, 4, 9]], [[0, 1], [1, 2]]).path_length()
        140.0
        """
        places = np.ascontiguousarray(shaped("positions", positions, (-1, 3)), np.float64)
        pairs = integers("edges", shaped("edges", edges, (-1, 2)))
        if node_ids is None:
            if len(pairs) and not 0 <= pairs.min() <= pairs.max() < len(places):
                raise SkeletonError(f"edges name rows {pairs.min()} to {pairs.max()}, positions has {len(places)}")
            first = self._skeleton._ids.take_run(len(places))
            ids, pairs = np.arange(first, first + len(places), dtype=np.int64), pairs + first
        else:
            ids = integers("node_ids", shaped("node_ids", node_ids, (len(places),)))
        radii = None if radius is None else np.ascontiguousarray(radius, np.float64)
        columns = _core.TreeColumns.from_arrays(ids, places, pairs, radii)
        self._skeleton._ids.claim(columns.max_id())
        tree = Tree(name, self, normalized_color(color), columns=columns)
        self._adopt(tree)
        return tree

    def add_skeleton(self, skeleton: Skeleton) -> None:
        """Add copies of all trees and groups of a skeleton, with ids of their own."""
        self._copy_children(skeleton)

    def _copy_children(self, source: Group) -> None:
        pending = [(self, source)]
        while pending:
            target, group = pending.pop()
            for tree in tuple(group.trees):
                target._adopt(target._copy_of(tree, None, None, keep_ids=False))
            copies = []
            for child in tuple(group.groups):
                copy = target.add_group(child.name)
                copy.is_expanded = child.is_expanded
                copies.append((copy, child))
            pending += reversed(copies)

    def remove_tree_by_id(self, tree_id: int) -> None:
        """Remove the tree with an id, from wherever it is below this group; ``ValueError`` if there is none."""
        tree = self.get_tree_by_id(tree_id)
        tree.group._drop_tree(tree)

    def _drop_tree(self, tree: Tree) -> None:
        """Take a tree that is right below this group out of it."""
        # The lists are replaced, not changed: others may be going through them.
        number, numbers, children = tree._number, self._read_trees, self._child_trees
        place = len(numbers) if number is None else bisect_left(numbers, number)
        if place < len(numbers) and numbers[place] == number and self._skeleton._made.get(number) is tree:
            self._read_trees = numbers[:place] + numbers[place + 1 :]
        else:
            place = next((at for at, child in enumerate(children) if child is tree), len(children))
            self._child_trees = children[:place] + children[place + 1 :]
        self._skeleton._tree_dropped(tree)

    # -- reading and writing --------------------------------------------------------------------------------------

    def _fill_from_records(self, records: Sequence[Record], groups: dict[int, Group]) -> None:
        """Add the groups that ``<group>`` records of the core describe, and list them by id."""
        pending = [(self, record) for record in reversed(records)]
        while pending:
            parent, record = pending.pop()
            group = parent.add_group(record["name"] or "", record["id"])
            group.is_expanded, group._record = record["is_expanded"], kept({**record, "children": []})
            groups[record["id"]] = group
            pending += [(group, child) for child in reversed(record["children"])]

    def _adopt(self, tree: Tree) -> None:
        """Put a tree that was made for this group into it."""
        self._child_trees.append(tree)
        self._skeleton._tree_added(tree)

    def _to_group_records(self) -> list[Record]:
        """Return the groups below this one as records to write."""
        records: list[Record] = []
        pending = [(self, records)]
        while pending:
            parent, children = pending.pop()
            for group in parent.groups:
                record = group._to_record()
                children.append(record)
                pending.append((group, record["children"]))
        return records

    def _to_record(self) -> Record:
        before = self._record or {"name": None, "extras": {"attributes": [], "elements": []}}
        return {
            "id": self._id,
            "name": before["name"] if self.name == (before["name"] or "") and self._record else self.name,
            "is_expanded": self.is_expanded,
            "children": [],
            "extras": before["extras"],
        }

    # -- values ---------------------------------------------------------------------------------------------------

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Group) or type(self) is not type(other):
            return NotImplemented
        return self is other or (self._facts() == other._facts() and self._same_content(other))

    def __copy__(self) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        # The skeleton lists its groups: one in another they would be too deep for pickles and copies.
        return {k: v for k, v in self.__dict__.items() if k != "_child_groups"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.setdefault("_child_groups", [])
        self.__dict__.update(state)

    def _facts(self) -> tuple[Any, ...]:
        return self._id, self.name, self.is_expanded

    def _same_content(self, other: Group) -> bool:
        """Whether there are the same trees and groups below, in whatever order."""
        pending = [(self, other)]
        while pending:
            one, two = pending.pop()
            groups = _by_id(one.groups), _by_id(two.groups)
            if [group._facts() for group in groups[0]] != [group._facts() for group in groups[1]]:
                return False
            if _by_id(one.trees) != _by_id(two.trees):
                return False
            pending += zip(*groups, strict=True)
        return True

    def __repr__(self) -> str:
        return f"Group(_id={self._id}, name={self.name!r}, {self._children_text()})"

    def _children_text(self) -> str:
        groups, trees = len(self._child_groups), len(self._read_trees) + len(self._child_trees)
        return f"_child_groups=<{_counted(groups, 'group')}>, _child_trees=<{_counted(trees, 'tree')}>"


def _by_id(children: Iterator[Any]) -> list[Any]:
    return sorted(children, key=lambda child: child.id)


def _counted(count: int, what: str) -> str:
    if count == 0:
        return f"No child {what}s"
    return f"{count} child {what}" + ("" if count == 1 else "s")
