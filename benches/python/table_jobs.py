"""Many files of skeletons at once, by wkfast and by a loop with the reference. Each returns its work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def wkfast_read(source: str) -> Callable[[], Any]:
    """``wkfast.read_skeletons`` of a folder or a file."""
    import wkfast

    wkfast.read_skeletons  # noqa: B018 - loads what is loaded on first use
    return lambda: wkfast.read_skeletons(source)


def reference_read(folder: str) -> Callable[[], Any]:
    """A loop that loads each file and keeps its skeleton; making tables of them would come on top."""
    import webknossos

    return lambda: [webknossos.Skeleton.load(path) for path in sorted(Path(folder).iterdir())]


def wkfast_parquet(folder: str, out: str) -> Callable[[], Any]:
    """``skeletons_to_parquet``: what ``wkfast convert FOLDER out.parquet`` does."""
    from wkfast.tables import skeletons_to_parquet

    return lambda: skeletons_to_parquet(folder, out) or out


def check_wkfast_read(tables: Any) -> str:
    """Count what was read."""
    return f"{tables.trees.rows} trees, {tables.nodes.rows} nodes, {tables.edges.rows} edges"


def check_reference_read(skeletons: Any) -> str:
    """Count what was read."""
    trees = [tree for skeleton in skeletons for tree in skeleton.flattened_trees()]
    nodes, edges = (sum(getattr(tree, f"number_of_{what}")() for tree in trees) for what in ("nodes", "edges"))
    return f"{len(trees)} trees, {nodes} nodes, {edges} edges"


def check_wkfast_parquet(out: str) -> str:
    """Count the rows that pyarrow finds."""
    from pyarrow.parquet import read_metadata

    return f"{read_metadata(out).num_rows} nodes"
