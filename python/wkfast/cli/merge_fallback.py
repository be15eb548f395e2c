"""``wkfast merge-fallback``: an annotation over its fallback layer, as a new dataset."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wkfast.annotation import Annotation
from wkfast.cli.console import output
from wkfast.cli.progress import merge_progress
from wkfast.cli.report import report_table


class Policy(StrEnum):
    """Which voxels win."""

    CHUNK = "chunk"
    NONZERO = "nonzero"


class Mags(StrEnum):
    """Which mags the result has."""

    ALL = "all"
    FINEST = "finest"


def merge_fallback(
    target: Annotated[Path, typer.Argument(help="Dataset to create.")],
    source_annotation: Annotated[Path, typer.Argument(help="The annotation zip.")],
    dataset_directory: Annotated[Path, typer.Argument(help="Folder that holds the annotation's dataset.")],
    *,
    volume_layer_name: Annotated[str | None, typer.Option(help="Which volume layer, if there are several.")] = None,
    policy: Annotated[
        Policy, typer.Option(help="chunk: painted chunks replace the fallback's, zeros included; nonzero: labels only.")
    ] = Policy.CHUNK,
    mags: Annotated[Mags, typer.Option(help="all mags that both have, or the finest alone.")] = Mags.ALL,
    jobs: Annotated[int | None, typer.Option(min=1, help="Threads; default: one per core.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    progress: Annotated[bool | None, typer.Option(help="Default: shown in a terminal.")] = None,
) -> None:
    """Merge the volume layer of SOURCE_ANNOTATION with its fallback layer and write the result to TARGET."""
    annotation = Annotation.load(source_annotation)
    with merge_progress(shown=progress) as callback:
        report = annotation.merge_fallback_layer(
            target,
            dataset_directory,
            volume_layer_name,
            policy=policy.value,
            mags=mags.value,
            threads=jobs,
            progress=callback,
        )
    if as_json:
        output.print_json(json.dumps(report.to_json()))
    else:
        output.print(report_table(report))
