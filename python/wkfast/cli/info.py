"""``wkfast info``: what is inside an annotation file."""

from heapq import nlargest
from typing import TYPE_CHECKING, Annotated, Any

import wkfast as wk
from wkfast._lazy import lazy_import
from wkfast._short import counted
from wkfast.buckets import any_path, size_of
from wkfast.cli.arguments import Argument, Option
from wkfast.cli.console import bars, bytes_text, plain, show, tell_json
from wkfast.errors import VolumeDataError

if TYPE_CHECKING:
    from os import PathLike

    from rich import table as tables
    from rich.table import Table
else:
    tables = lazy_import("rich.table")

_TREES_SHOWN = 5


def info(
    file: Annotated[str, Argument("An annotation: .nml or .zip; or its address.")],
    as_json: Annotated[bool, Option("Print JSON for scripts.", spelling="--json")] = False,
) -> None:
    """Show what is inside FILE: dataset, voxel size, trees, nodes, volume layers, chunks per mag, sizes."""
    facts = describe(file)
    if as_json:
        tell_json(facts)
        return
    show(_summary(facts))
    if facts["trees"] > 1:
        show(_trees(facts))
    for layer in facts["volume_layers"]:
        show(_layer(layer))


def describe(file: "str | PathLike[str]") -> dict[str, Any]:
    """Return what is inside an annotation file as plain data, sizes in bytes."""
    annotation = wk.Annotation.load(file)
    trees = list(annotation.skeleton.flattened_trees())
    return {
        "file": str(file),
        "bytes": _size(file),
        "name": annotation.name,
        "dataset": annotation.dataset_name,
        "organization": annotation.organization_id,
        "owner": annotation.owner_name,
        "voxel_size_nm": list(annotation.voxel_size),
        "groups": len(list(annotation.skeleton.flattened_groups())),
        "trees": len(trees),
        "nodes": sum(tree.number_of_nodes() for tree in trees),
        "largest_trees": [
            {"id": tree.id, "name": tree.name, "nodes": tree.number_of_nodes()}
            for tree in nlargest(_TREES_SHOWN, trees, key=lambda tree: tree.number_of_nodes())
        ],
        "edges": sum(tree.number_of_edges() for tree in trees),
        "problems": len(annotation.problems),
        "volume_layers": [_describe_layer(layer) for layer in annotation.volume_layers],
    }


def _size(file: "str | PathLike[str]") -> int:
    return size_of(any_path(file, "an annotation"))


def _describe_layer(layer: "wk.VolumeLayer") -> dict[str, Any]:
    facts: dict[str, Any] = {
        "id": layer.id,
        "name": layer.name,
        "fallback_layer": layer.fallback_layer_name,
        "segments": len(layer.segments),
        "largest_segment_id": layer.largest_segment_id,
        "mags": [],
    }
    if layer.data is not None:
        try:
            facts["mags"] = layer.data.summaries()
        except VolumeDataError as error:
            facts["error"] = str(error)
    return facts


def _summary(facts: dict[str, Any]) -> "Table":
    table = tables.Table(title=plain(facts["name"]), show_header=False, title_justify="left", title_style="bold")
    voxel = " × ".join(f"{edge:g}" for edge in facts["voxel_size_nm"])
    owner = f" of {facts['organization']}" if facts["organization"] else ""
    table.add_row("file", plain(f"{facts['file']} ({bytes_text(facts['bytes'])})"))
    table.add_row("dataset", plain(f"{facts['dataset']}{owner}"))
    table.add_row("voxel size", f"{voxel} nm")
    table.add_row("skeleton", ", ".join(counted(facts[things], things) for things in ("trees", "nodes", "edges")))
    table.add_row("groups", f"{facts['groups']:,}")
    table.add_row("volume layers", str(len(facts["volume_layers"])))
    if facts["problems"]:
        table.add_row("problems", f"[yellow]{facts['problems']:,}[/], see Annotation.problems")
    return table


def _trees(facts: dict[str, Any]) -> "Table":
    largest = facts["largest_trees"]
    shown = f"the {len(largest)} largest of {facts['trees']:,} trees" if facts["trees"] > len(largest) else "trees"
    table = tables.Table(title=shown, title_justify="left")
    for heading, justify in (("id", "right"), ("name", "left"), ("nodes", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for tree, bar in zip(largest, bars([tree["nodes"] for tree in largest]), strict=True):
        table.add_row(str(tree["id"]), plain(tree["name"]), f"{tree['nodes']:,}", *bar)
    return table


def _layer(layer: dict[str, Any]) -> "Table":
    fallback = f"over fallback layer {layer['fallback_layer']!r}" if layer["fallback_layer"] else "without fallback"
    title = f"volume layer {layer['id']}: {layer['name']!r} {fallback}, {counted(layer['segments'], 'segments')}"
    error = plain(f"unreadable: {layer['error']}") if "error" in layer else None
    table = tables.Table(title=plain(title), title_justify="left", caption=error, caption_style="red")
    for heading, justify in (("mag", "left"), ("type", "left"), ("chunks", "right"), ("stored", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for mag, bar in zip(layer["mags"], bars([mag["stored_bytes"] for mag in layer["mags"]]), strict=True):
        table.add_row(mag["mag"], mag["dtype"], f"{mag['chunks']:,}", bytes_text(mag["stored_bytes"]), *bar)
    return table
