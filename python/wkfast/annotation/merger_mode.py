"""Merger mode: nodes of one tree say that the segments under them are one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wkfast.errors import DatasetValueError

if TYPE_CHECKING:
    from wkfast.dataset import Layer
    from wkfast.skeleton import Skeleton


def merger_mode_mapping(skeleton: Skeleton, layer: Layer, mag: Any) -> dict[int, int]:
    """Return which segment each under a node becomes; see ``Annotation.merger_mode_mapping``."""
    if not hasattr(layer, "num_channels"):
        raise DatasetValueError(f"{layer!r} is no layer: expected one of a dataset, such as dataset.get_layer(...)")
    if layer.dtype.kind not in "iu" or layer.num_channels != 1:
        raise DatasetValueError(f"{layer} holds no labels: expected one channel of whole numbers")
    labels = skeleton.labels_at(layer, mag)
    trees = skeleton.nodes_table()["tree_id"]
    inside = labels != 0
    first_of_tree: dict[int, int] = {}
    parents: dict[int, int] = {}
    pairs = zip(trees[inside].tolist(), labels[inside].tolist(), strict=True)
    for tree, label in dict.fromkeys(pairs):
        parents.setdefault(label, label)
        one, other = _root(parents, label), _root(parents, first_of_tree.setdefault(tree, label))
        parents[max(one, other)] = min(one, other)
    return {label: _root(parents, label) for label in sorted(parents)}


def _root(parents: dict[int, int], label: int) -> int:
    """Return the smallest segment that one belongs together with, and shorten the way to it."""
    root = label
    while parents[root] != root:
        root = parents[root]
    while parents[label] != root:
        parents[label], label = root, parents[label]
    return root
