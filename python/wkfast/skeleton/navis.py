"""Trees as neurons of navis, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import
from wkfast.errors import SkeletonError
from wkfast.skeleton.rooted import rooted

if TYPE_CHECKING:
    import navis
    import numpy as np
    import pandas as pd

    from wkfast.skeleton.skeleton import Skeleton
    from wkfast.skeleton.tree import Tree
else:
    np = lazy_import("numpy")
    navis = lazy_import("navis", extra="navis")
    pd = lazy_import("pandas", extra="navis")


def to_navis(tree: Tree) -> Any:
    """Return a tree as a ``navis.TreeNeuron``; see :meth:`Tree.to_navis`."""
    order, parents = rooted(tree)
    table = tree.nodes_table()
    ids = table["id"][order]
    places = table["position"][order] * np.asarray(tree.group.skeleton.voxel_size)
    columns = {
        "node_id": ids,
        "parent_id": np.where(parents < 0, -1, ids[parents]),
        **dict(zip("xyz", places.T, strict=True)),
        "radius": np.nan_to_num(table["radius"][order]),
    }
    return navis.TreeNeuron(pd.DataFrame(columns), units="1 nanometer", name=tree.name, id=tree.id)


def add_navis(skeleton: Skeleton, neuron: Any) -> Tree:
    """Add a ``navis.TreeNeuron`` as a tree; see :meth:`Skeleton.add_navis`."""
    nodes = neuron.nodes
    if neuron.units.dimensionless:
        raise SkeletonError(f"the neuron {neuron.name!r} has no unit: set neuron.units, for example to '1 nanometer'")
    scale = np.broadcast_to(neuron.units.to("nanometer").magnitude, 3)
    places = nodes[["x", "y", "z"]].to_numpy(np.float64) * scale / np.asarray(skeleton.voxel_size)
    rows = {node: row for row, node in enumerate(nodes["node_id"].tolist())}
    parents = [rows.get(parent, -1) for parent in nodes["parent_id"].tolist()]
    edges = [(parent, row) for row, parent in enumerate(parents) if parent >= 0]
    radii = nodes["radius"].to_numpy(np.float64)
    tree = skeleton.add_tree(str(neuron.name or ""))
    tree.add_nodes(np.round(places, 6), edges=edges, radius=np.where(radii > 0, radii * scale[0], np.nan))
    return tree
