"""A merge report as a table."""

from rich.table import Table

from wkfast._short import counted
from wkfast.cli.console import bytes_text, plain
from wkfast.merge import MagPreview, MergeCounts, MergePreview, MergeReport


def table_of(done: MergeReport | MergePreview) -> Table:
    """Return what a merge did, or would do, one column per mag."""
    return report_table(done) if isinstance(done, MergeReport) else preview_table(done)


def report_table(report: MergeReport) -> Table:
    """Return one column per mag and one for all."""
    seconds = ", ".join(f"{phase} {value:.2f}" for phase, value in report.seconds.items())
    table = Table(
        title=plain(f"merge report: layer {report.layer_name!r} ({report.dtype})"),
        title_justify="left",
        caption=plain(" · ".join([f"seconds: {seconds}", *_remarks(report)])),
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


def _remarks(report: MergeReport) -> list[str]:
    conflicts = [f"conflict: {pair.voxels:,} voxels of {pair.lower!r} and {pair.upper!r}" for pair in report.conflicts]
    verified = [] if report.verified is None else [f"verified: {counted(report.verified['shards'], 'shards')}"]
    return [*verified, *conflicts, *(f"warning: {text}" for text in report.warnings)]


def preview_table(preview: MergePreview) -> Table:
    """Return what a merge would do, one column per mag."""
    table = Table(
        title=plain(f"merge plan: layer {preview.layer_name!r} ({preview.dtype}) into {preview.target}"),
        title_justify="left",
        caption=plain(" · ".join([counted(preview.tasks, "files"), *map("warning: {}".format, preview.warnings)])),
        caption_justify="left",
    )
    table.add_column("")
    for mag in preview.mags:
        table.add_column(f"mag {mag}", justify="right")
    for heading, name in _PREVIEW_ROWS:
        table.add_row(heading, *(_cell(numbers, name) for numbers in preview.mags.values()))
    return table


_PREVIEW_ROWS = (
    ("comes from", "source"),
    ("shards taken over", "shards_untouched"),
    ("shards to write", "shards_touched"),
    ("annotation chunks", "annotation_chunks"),
    ("chunks replaced", "chunks_replaced"),
    ("chunks mixed", "chunks_mixed"),
    ("size of the fallback", "fallback_bytes"),
)

_ROWS = (
    ("shards copied", "shards_copied"),
    ("shards rewritten", "shards_rewritten"),
    ("fallback chunks passed through", "passed"),
    ("fallback chunks transcoded", "transcoded"),
    ("fallback chunks with other labels", "relabeled"),
    ("annotation chunks", "from_annotation"),
    ("  of these passed through", "from_annotation_passed"),
    ("mixed chunks", "mixed"),
    ("recomputed chunks", "recomputed"),
    ("chunks left empty", "all_zero"),
    ("voxels changed", "voxels_changed"),
    ("  newly painted", "voxels_painted"),
    ("  erased", "voxels_erased"),
    ("voxels with other labels", "voxels_relabeled"),
    ("segments gained voxels", "segments_gained"),
    ("segments lost voxels", "segments_lost"),
    ("read", "bytes_read"),
    ("written", "bytes_written"),
)


def _cell(counts: MergeCounts | MagPreview, name: str) -> str:
    value = getattr(counts, name)
    if isinstance(value, str):
        return value
    return bytes_text(value) if "bytes" in name else f"{value:,}"
