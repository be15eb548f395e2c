"""``wkfast demo``: the main job once, with its result shown and checked."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from wkfast.cli.console import output, plain, progress_wanted
from wkfast.cli.report import report_table
from wkfast.errors import WkfastError


class DemoError(WkfastError, RuntimeError):
    """The demo cannot run here, or its check found a difference."""


def demo(
    annotation: Annotated[
        Path | None, typer.Option(help="An annotation zip of yours; default: a generated one.")
    ] = None,
    datasets: Annotated[Path | None, typer.Option(help="The folder of datasets that holds its fallback.")] = None,
    volume_layer_name: Annotated[str | None, typer.Option(help="Which volume layer, if there are several.")] = None,
    folder: Annotated[Path, typer.Option("--output", help="Where the result goes.")] = Path("demo-output"),
) -> None:
    """Merge an annotation into its fallback layer, check the result voxel by voxel, draw one slice of it."""
    try:
        from wkfast.demo import run as pipeline  # noqa: PLC0415 - its libraries are an extra
        from wkfast.demo.generate import DemoInput  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise DemoError(f"the demo needs {error.name}: pip install 'wkfast[demo]'") from error
    if (annotation is None) != (datasets is None):
        raise typer.BadParameter("give both --annotation and --datasets, or neither")
    if annotation is not None and datasets is not None:
        source = DemoInput(annotation, datasets)
    else:
        source = pipeline.generated_input(folder / "input")
    output.print(plain(f"merging {source.annotation} into its fallback layer below {source.dataset_directory}"))
    result = pipeline.run(source, folder, volume_layer_name, progress_wanted(None))
    output.print(report_table(result.report))
    output.print(_checks(result.checks))
    output.print(plain(f"merged dataset: {result.target}"), soft_wrap=True)
    output.print(plain(f"picture: {result.picture}"), soft_wrap=True)
    if not result.ok:
        raise DemoError("the merged layer differs from the slow merge; the table says in which mag")


def _checks(checks: "list[pipeline.CheckResult]") -> Table:  # type: ignore[name-defined]  # noqa: F821
    table = Table(title="compared with a slow independent merge (recomputed mags are not)", title_justify="left")
    for heading in ("mag", "annotation chunks", "voxels compared", "differing", "result"):
        table.add_column(heading, justify="right")
    for result in checks:
        verdict = "[green]equal[/]" if result.ok else "[red]DIFFERENT[/]"
        scope = f"{result.voxels:,}" + ("" if result.complete else " (sampled)")
        table.add_row(result.mag, f"{result.chunks:,}", scope, f"{result.differing:,}", verdict)
    return table
