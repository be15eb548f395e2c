"""A merge report as a table."""

from rich.table import Table

from wkfast.annotation import MergeReport
from wkfast.cli.console import bytes_text, plain
from wkfast.dataset import MergeCounts


def report_table(report: MergeReport) -> Table:
    """Return one column per mag and one for all."""
    seconds = ", ".join(f"{phase} {value:.2f}" for phase, value in report.seconds.items())
    table = Table(
        title=plain(f"merge report: layer {report.layer_name!r} ({report.dtype})"),
        title_justify="left",
        caption=plain(" · ".join([f"seconds: {seconds}", *(f"warning: {text}" for text in report.warnings)])),
        caption_justify="left",
    )
    table.add_column("")
    for mag in report.mags:
        table.add_column(f"mag {mag}", justify="right")
    table.add_column("all", justify="right", style="bold")
    columns = [*report.mags.values(), report.total]
    for heading, name in _ROWS:
        table.add_row(heading, *(_cell(counts, name) for counts in columns))
    return table


_ROWS = (
    ("shards copied", "shards_copied"),
    ("shards rewritten", "shards_rewritten"),
    ("fallback chunks passed through", "passed"),
    ("fallback chunks transcoded", "transcoded"),
    ("annotation chunks", "from_annotation"),
    ("  of these passed through", "from_annotation_passed"),
    ("mixed chunks", "mixed"),
    ("recomputed chunks", "recomputed"),
    ("chunks left empty", "all_zero"),
    ("voxels changed", "voxels_changed"),
    ("  newly painted", "voxels_painted"),
    ("  erased", "voxels_erased"),
    ("segments gained voxels", "segments_gained"),
    ("segments lost voxels", "segments_lost"),
    ("read", "bytes_read"),
    ("written", "bytes_written"),
)


def _cell(counts: MergeCounts, name: str) -> str:
    value = getattr(counts, name)
    return bytes_text(value) if name.startswith("bytes_") else f"{value:,}"
