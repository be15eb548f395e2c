"""SWC: a line per node with id, type, x, y, z, radius and parent.

The format has no unit; files here say theirs in a comment, ``# unit: micrometer``, which reading looks for. Types stay
with the nodes as comments, ``swc type 3``, on each node whose type is not its parent's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from wkfast.buckets import ObjectPath, any_path, read_whole, replace_whole
from wkfast.errors import SwcError
from wkfast.geometry import LengthUnit, Vec3Float, VoxelSize
from wkfast.skeleton import Skeleton, Tree
from wkfast.skeleton.annotation_file import require_file
from wkfast.skeleton.rooted import rooted
from wkfast.skeleton.tables import comments_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from os import PathLike
    from pathlib import Path

    import numpy.typing as npt

    from wkfast.geometry import Vec3FloatLike

_UNIT = re.compile(r"#\s*unit:\s*(\S+)", re.IGNORECASE)
_TYPE = re.compile(r"swc type (\d+)")
_FIELDS = 7
# Digits behind the point: far below a voxel, and few enough that 0.1 stays 0.1.
_DIGITS = 9
_VOXEL_DIGITS = 6


def write_swc(
    trees: Skeleton | Tree | Iterable[Tree],
    path: str | PathLike[str] | ObjectPath,
    *,
    unit: LengthUnit | str = LengthUnit.MICROMETER,
    node_type: int = 0,
) -> None:
    r"""Write trees to one SWC file, as a whole or not at all: positions and radii in `unit`.

    Nodes are numbered from 1, parents first, in each part of a tree from its first node on. A node without a radius
    has 0.

    Parameters
    ----------
    trees
        A skeleton, a tree or several.
    path
        The file.
    unit
        ``"micrometer"``, as most files have it, ``"nanometer"`` or another.
    node_type
        Type of the nodes that no comment ``swc type N`` gives another.

    Raises
    ------
    SkeletonError
        A tree has a cycle, which SWC cannot hold.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> skeleton = Skeleton(voxel_size=(10, 10, 30), dataset_name="sample")
    >>> tree = skeleton.add_tree("axon")
    >>> tree.add_edge(tree.add_node((100, 0, 0), radius=250), tree.add_node((100, 0, 10)))
    >>> path = Path(tempfile.mkdtemp()) / "axon.swc"
    >>> write_swc(tree, path)
    >>> print(*path.read_text().splitlines()[-2:], sep="\n")
    1 0 1.0 0.0 0.0 0.25 -1
    2 0 1.0 0.0 0.3 0.0 1
    """
    wanted = _as_unit(unit)
    chosen = _trees(trees)
    lines = [f"# unit: {wanted.value}", "# id type x y z radius parent"]
    first = 1
    for tree in chosen:
        name = " ".join(tree.name.split())
        lines.append(f"# tree {tree.id}: {name}")
        lines += _lines(tree, wanted, first, node_type)
        first += len(tree)
    replace_whole(any_path(path, "an SWC file"), ("\n".join(lines) + "\n").encode())


def _trees(trees: Skeleton | Tree | Iterable[Tree]) -> list[Tree]:
    if isinstance(trees, Skeleton):
        return list(trees.flattened_trees())
    return [trees] if isinstance(trees, Tree) else list(trees)


def _lines(tree: Tree, unit: LengthUnit, first: int, node_type: int) -> Iterator[str]:
    order, parents = rooted(tree)
    table = tree.nodes_table()
    places = table["position"][order] * np.asarray(tree.group.skeleton.voxel_size) / unit.nanometers
    radii = np.nan_to_num(table["radius"][order]) / unit.nanometers
    rows = np.round(np.column_stack([places, radii]), _DIGITS).tolist()
    types = _types(tree, order, parents.tolist(), node_type)
    for number, ((x, y, z, radius), parent, kind) in enumerate(zip(rows, parents.tolist(), types, strict=True), first):
        yield f"{number} {kind} {x!r} {y!r} {z!r} {radius!r} {-1 if parent < 0 else first + parent}"


def _types(tree: Tree, order: npt.NDArray[np.int64], parents: list[int], node_type: int) -> list[int]:
    """Return the type of each node: its own comment's, else its parent's."""
    comments = comments_table([tree])
    pairs = zip(comments["node_id"].tolist(), comments["content"], strict=True)
    given = {node: int(match[1]) for node, text in pairs if (match := _TYPE.match(text))}
    if not given:
        return [node_type] * len(order)
    types: list[int] = []
    for node, parent in zip(tree.nodes_table()["id"][order].tolist(), parents, strict=True):
        types.append(given.get(node, node_type if parent < 0 else types[parent]))
    return types


def read_swc(
    path: str | PathLike[str] | ObjectPath,
    *,
    voxel_size: VoxelSize | Vec3FloatLike,
    unit: LengthUnit | str | None = None,
    dataset_name: str = "",
) -> Skeleton:
    """Return an SWC file as a skeleton with one tree, called like the file.

    Parameters
    ----------
    path
        The file.
    voxel_size
        Size of a mag-1 voxel of the dataset that the tree lies in, in nm.
    unit
        Unit of the file; without it what the file says in a comment ``# unit: ...``, else micrometre.
    dataset_name
        Name of the dataset.

    Returns
    -------
    Skeleton
        Positions in mag-1 voxels, rounded to a millionth; radii in nm, none where the file has 0 or less. Types are
        comments ``swc type N`` where they are not the parent's or 0.

    Raises
    ------
    AnnotationFileNotFoundError
        There is no such file.
    SwcError
        A line is none of SWC; the message names it.
    """
    file = any_path(path, "an SWC file")
    lines = _text(file).splitlines()
    rows = _Rows.of(file, lines)
    scale = (_unit_in(lines) if unit is None else _as_unit(unit)).nanometers
    skeleton = Skeleton(voxel_size, dataset_name)
    size = np.asarray(Vec3Float(skeleton.voxel_size))
    places = np.round(rows.numbers[:, :3] * scale / size, _VOXEL_DIGITS)
    radii = np.where(rows.numbers[:, 3] > 0, rows.numbers[:, 3] * scale, np.nan)
    comments = [None if kind is None else f"swc type {kind}" for kind in rows.new_types()]
    skeleton.add_tree(file.stem).add_nodes(places, edges=rows.edges(), radius=radii, comments=comments)
    return skeleton


def _as_unit(unit: LengthUnit | str) -> LengthUnit:
    return unit if isinstance(unit, LengthUnit) else LengthUnit.from_text(unit)


def _unit_in(lines: Sequence[str]) -> LengthUnit:
    found = next((match for match in map(_UNIT.match, lines) if match), None)
    return LengthUnit.MICROMETER if found is None else LengthUnit.from_text(found[1])


def _text(file: Path | ObjectPath) -> str:
    require_file(file)
    try:
        return read_whole(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SwcError(f"{file}: is no text in UTF-8: {error.reason} at byte {error.start}") from error


class _Rows:
    """The lines of an SWC file as columns."""

    def __init__(self, ids: list[int], types: list[int], numbers: list[list[float]], parents: list[int]) -> None:
        self.types = types
        self.numbers = np.array(numbers, np.float64).reshape(-1, 4)
        places = {node: row for row, node in enumerate(ids)}
        self.parents = [places.get(parent, -1) for parent in parents]

    @classmethod
    def of(cls, file: Path | ObjectPath, lines: Sequence[str]) -> _Rows:
        """Return the rows, checked."""
        split = [(number, line.partition("#")[0].split()) for number, line in enumerate(lines, 1)]
        rows = [(number, *_row(file, number, fields)) for number, fields in split if fields]
        _check_ids(file, [(number, node, parent) for number, node, _, _, parent in rows])
        return cls(
            [node for _, node, _, _, _ in rows],
            [kind for _, _, kind, _, _ in rows],
            [numbers for _, _, _, numbers, _ in rows],
            [parent for _, _, _, _, parent in rows],
        )

    def edges(self) -> list[tuple[int, int]]:
        """Return parent and child of each edge as row numbers."""
        return [(parent, row) for row, parent in enumerate(self.parents) if parent >= 0]

    def new_types(self) -> list[int | None]:
        """Return the type of each row, None where it is the parent's, or 0 for a root."""
        before = [self.types[parent] if parent >= 0 else 0 for parent in self.parents]
        return [None if kind == known else kind for kind, known in zip(self.types, before, strict=True)]


def _row(file: Path | ObjectPath, number: int, fields: Sequence[str]) -> tuple[int, int, list[float], int]:
    expected = f"{file}: line {number}: expected id, type, x, y, z, radius, parent"
    if len(fields) < _FIELDS:
        raise SwcError(f"{expected}, found {len(fields)} fields", line=number)
    node, kind, *numbers, parent = fields[:_FIELDS]
    try:
        values = [float(text) for text in numbers]
        whole = int(float(node)), int(float(kind)), values, int(float(parent))
    except (ValueError, OverflowError) as error:
        raise SwcError(f"{expected}: {error}", line=number) from error
    if not np.isfinite(values).all():
        raise SwcError(f"{expected}: a number is not finite", line=number)
    return whole


def _check_ids(file: Path | ObjectPath, rows: Sequence[tuple[int, int, int]]) -> None:
    places = {node: number for number, node, _ in rows}
    for number, node, parent in rows:
        if places[node] != number:
            raise SwcError(f"{file}: line {number}: the id {node} is there again in line {places[node]}", line=number)
        if parent == node or (parent >= 0 and parent not in places):
            reason = "is itself" if parent == node else "is nowhere in the file"
            raise SwcError(f"{file}: line {number}: the parent {parent} of node {node} {reason}", line=number)
