"""Skeletons as layer data of napari."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import
from wkfast.skeleton.rooted import edge_rows

if TYPE_CHECKING:
    import numpy as np

    from wkfast.skeleton.skeleton import Skeleton
    from wkfast.skeleton.tree import Tree
else:
    np = lazy_import("numpy")

_GRAY = (0.5, 0.5, 0.5, 1.0)


def to_napari(skeleton: Skeleton) -> list[tuple[Any, dict[str, Any], str]]:
    """Return nodes as points and edges as vectors; see :meth:`Skeleton.to_napari`."""
    size = np.asarray(skeleton.voxel_size)
    trees = [tree for tree in skeleton.flattened_trees() if tree.is_visible and len(tree)]
    tables = [tree.nodes_table() for tree in trees]
    # z, y, x, as napari has them
    places = [(table["position"] * size)[:, ::-1] for table in tables]
    edges = [_vectors(tree, place) for tree, place in zip(trees, places, strict=True)]
    features = {
        "tree": _joined([np.full(len(tree), tree.id) for tree in trees], np.empty(0, np.int64)),
        "node": _joined([table["id"] for table in tables], np.empty(0, np.int64)),
        "radius": _joined([table["radius"] for table in tables], np.empty(0)),
    }
    name, thick = skeleton.dataset_name, float(size.min())
    nodes = {"name": f"{name} nodes", "face_color": _colors(trees, places), "size": 4 * thick, "features": features}
    lines = {
        "name": f"{name} edges", "edge_color": _colors(trees, edges), "edge_width": thick, "vector_style": "line"
    }  # fmt: skip
    return [
        (_joined(places, np.empty((0, 3))), nodes, "points"),
        (_joined(edges, np.empty((0, 2, 3))), lines, "vectors"),
    ]


def _vectors(tree: Tree, places: Any) -> Any:
    """Return where edges start and how far they go: ``(edges, 2, 3)``."""
    rows = edge_rows(tree)
    starts = places[rows[:, 0]]
    return np.stack([starts, places[rows[:, 1]] - starts], axis=1)


def _colors(trees: list[Tree], parts: list[Any]) -> Any:
    counts = [len(part) for part in parts]
    return np.repeat(np.array([tree.color or _GRAY for tree in trees], float).reshape(-1, 4), counts, axis=0)


def _joined(parts: list[Any], empty: Any) -> Any:
    return np.concatenate(parts) if parts else empty
