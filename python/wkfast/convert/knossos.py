"""KNOSSOS's ``.k.zip``: NML of an older dialect in a member ``annotation.xml``.

KNOSSOS adds 1 to positions when it writes a file and takes 1 off when it reads one, gives radii in voxels along x and
calls a tree's name its comment. Here that becomes what NML means. What reads NML (:meth:`Annotation.load`,
:meth:`Skeleton.load`, :func:`read_skeletons`) takes the numbers of such a file as they stand: so does WEBKNOSSOS, and
saving has to write them again.
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

import numpy as np

from wkfast.buckets import ObjectPath, any_path, replace_whole
from wkfast.errors import AnnotationSuffixError
from wkfast.skeleton import Skeleton, document_of
from wkfast.skeleton.annotation_file import AnnotationFile
from wkfast.skeleton.tables import branchpoints_table, comments_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

    from wkfast.skeleton import Tree

_MEMBER = "annotation.xml"
_SUFFIX = ".k.zip"
_NO_COLOR = (-1.0, -1.0, -1.0, 1.0)
# What KNOSSOS has, by its name; without a value it needs its own defaults.
_COLUMNS = {"inVp": 0, "inMag": 1, "time": 0}
_DEFAULT_RADIUS = 1.5


def read_knossos(path: str | PathLike[str] | ObjectPath) -> Skeleton:
    """Return the skeleton in a ``.k.zip`` of KNOSSOS: positions counted from 0, radii in nm.

    Parameters
    ----------
    path
        The ``.k.zip``.

    Raises
    ------
    AnnotationFileNotFoundError
        There is no such file.
    AnnotationZipError
        It is no zip, or holds no ``annotation.xml``.
    NmlError
        What it holds cannot be read; line and column are named.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> skeleton = Skeleton(voxel_size=(10, 10, 30), dataset_name="sample")
    >>> node = skeleton.add_tree("axon").add_node((4, 5, 6), radius=20)
    >>> path = Path(tempfile.mkdtemp()) / "a.k.zip"
    >>> write_knossos(skeleton, path)
    >>> node = next(read_knossos(path).flattened_trees()).get_node_by_id(2)
    >>> tuple(node.position), node.radius
    ((4, 5, 6), 20.0)
    """
    file = AnnotationFile.open(path)
    skeleton = document_of(file).skeleton
    voxel = skeleton.voxel_size.x
    for tree in skeleton.flattened_trees():
        table = tree.nodes_table()
        tree.set_nodes_table({"position": table["position"] - 1, "radius": table["radius"] * voxel})
    return skeleton


def write_knossos(skeleton: Skeleton, path: str | PathLike[str] | ObjectPath) -> None:
    """Write a skeleton as KNOSSOS's ``.k.zip``, as a whole or not at all.

    Positions are rounded to voxels and counted from 1, radii are in voxels along x, 1.5 where a node has none. Groups,
    metadata and rotations are left out: KNOSSOS has none.

    Parameters
    ----------
    skeleton
        What to write.
    path
        The file, ending in ``.k.zip``.

    Raises
    ------
    AnnotationSuffixError
        `path` does not end in ``.k.zip``.
    """
    file = any_path(path, "a KNOSSOS file")
    if not file.name.endswith(_SUFFIX):
        raise AnnotationSuffixError(f"{file}: a file of KNOSSOS ends in {_SUFFIX}")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_MEMBER, "\n".join(_document(skeleton)) + "\n")
    replace_whole(file, packed.getvalue())


def _document(skeleton: Skeleton) -> Iterator[str]:
    trees = list(skeleton.flattened_trees())
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield "<things>"
    yield "  <parameters>"
    yield "    " + _tag("experiment", {"name": skeleton.dataset_name})
    yield "    " + _tag("scale", dict(zip("xyz", skeleton.voxel_size, strict=True)))
    yield "    " + _tag("offset", dict.fromkeys("xyz", 0))
    if skeleton.active_node_id is not None:
        yield "    " + _tag("activeNode", {"id": skeleton.active_node_id})
    yield "  </parameters>"
    for tree in trees:
        yield from _thing(tree, skeleton.voxel_size.x)
    comments, branchpoints = comments_table(trees), branchpoints_table(trees)
    yield "  <comments>"
    yield from (
        "    " + _tag("comment", {"node": node, "content": text})
        for node, text in zip(comments["node_id"], comments["content"], strict=True)
    )
    yield "  </comments>"
    yield "  <branchpoints>"
    yield from ("    " + _tag("branchpoint", {"id": node}) for node in branchpoints["node_id"])
    yield "  </branchpoints>"
    yield "</things>"


def _thing(tree: Tree, voxel: float) -> Iterator[str]:
    color = dict(zip("rgba", tree.color or _NO_COLOR, strict=True))
    facts = {"id": tree.id} | {f"color.{channel}": value for channel, value in color.items()}
    yield "  " + _tag("thing", facts | {"comment": tree.name}, end=">")
    yield "    <nodes>"
    table = tree.nodes_table()
    places = np.floor(table["position"] + 0.5).astype(np.int64) + 1
    radii = np.where(np.isnan(table["radius"]), _DEFAULT_RADIUS, table["radius"] / voxel)
    columns = {name: np.ma.filled(table[name], default) for name, default in _COLUMNS.items()}
    for row, (node, (x, y, z)) in enumerate(zip(table["id"].tolist(), places.tolist(), strict=True)):
        rest = {name: int(values[row]) for name, values in columns.items()}
        yield "      " + _tag("node", {"id": node, "radius": float(radii[row]), "x": x, "y": y, "z": z} | rest)
    yield "    </nodes>"
    yield "    <edges>"
    edges = tree.edges_table()
    for source, target in zip(edges["source"].tolist(), edges["target"].tolist(), strict=True):
        yield "      " + _tag("edge", {"source": source, "target": target})
    yield "    </edges>"
    yield "  </thing>"


def _tag(element: str, attributes: dict[str, Any], end: str = "/>") -> str:
    quoted = " ".join(f"{key}={quoteattr(str(value), _ESCAPED)}" for key, value in attributes.items())
    return f"<{element} {quoted}{end}"


# Attributes keep line ends and tabs as references only.
_ESCAPED = {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
