"""``python -m examples.demo``: the main job once, with its result shown and checked."""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from examples.demo import run as pipeline
from examples.demo.check import CheckResult
from examples.demo.generate import DemoInput
from wkfast.errors import WkfastError

EXIT_ERROR = 2


def main() -> int:
    """Merge an annotation into its fallback layer, check the result voxel by voxel, draw one slice of it."""
    asked = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 160)
    source = DemoInput(asked.annotation, asked.datasets) if asked.annotation else None
    source = source or pipeline.generated_input(asked.output / "input")
    _say(console, f"merging {source.annotation} into its fallback layer below {source.dataset_directory}")
    try:
        result = pipeline.run(source, asked.output, asked.volume_layer_name, sys.stderr.isatty())
    except WkfastError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_ERROR
    _say(console, result.report)
    console.print(_checks(result.checks))
    _say(console, f"merged dataset: {result.target}")
    _say(console, f"picture: {result.picture}")
    if not result.ok:
        print("error: the merged layer differs from the slow merge; the table says in which mag", file=sys.stderr)  # noqa: T201
        return EXIT_ERROR
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=main.__doc__)
    parser.add_argument("--annotation", type=Path, help="an annotation zip of yours; default: a generated one")
    parser.add_argument("--datasets", type=Path, help="the folder of datasets that holds its fallback")
    parser.add_argument("--volume-layer-name", help="which volume layer, if there are several")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="where the result goes")
    asked = parser.parse_args()
    if (asked.annotation is None) != (asked.datasets is None):
        parser.error("give both --annotation and --datasets, or neither")
    return asked


def _say(console: Console, text: object) -> None:
    """Print a text as it is: names from files are no markup."""
    console.print(str(text), markup=False, highlight=False, soft_wrap=True)


def _checks(checks: list[CheckResult]) -> Table:
    table = Table(title="compared with a slow independent merge (recomputed mags are not)", title_justify="left")
    for heading in ("mag", "annotation chunks", "voxels compared", "differing", "result"):
        table.add_column(heading, justify="right")
    for result in checks:
        verdict = "[green]equal[/]" if result.ok else "[red]DIFFERENT[/]"
        scope = f"{result.voxels:,}" + ("" if result.complete else " (sampled)")
        table.add_row(result.mag, f"{result.chunks:,}", scope, f"{result.differing:,}", verdict)
    return table


if __name__ == "__main__":
    sys.exit(main())
