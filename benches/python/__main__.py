"""Compare whole jobs with the reference package and with physical limits, and print the ratios.

Usage: ``python -m benches.python [GROUP ...] [--runs R] ...``; groups are nml, files, merge, volumes, reshape, compute,
remote, buckets, loops. Inputs are generated once below the folder. Every job runs in a process of its own; results are
checked to be equal.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from benches.python import bucket_files, buckets, inputs, loops, remote_jobs, volume_jobs, volumes
from benches.python.compute_jobs import FAR_ONE_BY_ONE, ONE_BY_ONE
from benches.python.measure import Measurement, best_of, in_turn
from benches.python.remote_server import EDGE, VOLUME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NML = "benches.python.nml_jobs"
TABLES = "benches.python.table_jobs"
MERGE = "benches.python.merge_jobs"
GROUPS = ("nml", "files", "merge", "volumes", "reshape", "compute", "remote", "buckets", "loops")
VOLUMES = "benches.python.volume_jobs"
RESHAPE = "benches.python.reshape_jobs"
REMOTE = "benches.python.remote_jobs"
COMPUTE = "benches.python.compute_jobs"
# Who else reads and writes a format. The wkw library takes whole files only, so it is not asked to write.
RIVALS = {
    "wkw": (["wkw", "reference"], ["reference"]),
    "zarr": (["tensorstore", "zarr", "reference"], ["tensorstore", "zarr", "reference"]),
    "zarr3": (["tensorstore", "zarr", "reference"], ["tensorstore", "zarr", "reference"]),
}
WORKS = {"wkw": ("downsample", "compress"), "zarr3": ("downsample", "compress", "rechunk")}
_MB = 1e6
_TRANSFER = 128 << 20
_LATENCY = 0.02
_NODES_OF_A_FILE = 200
# Up to here the reference runs as often as patience allows; beyond, once.
_FEW_NODES = 100_000
_LOOPS = (("iterate", "plain loop over nodes"), ("use", "loop that reads id and position"))


def main() -> None:
    """Run the benches named on the command line, all by default; a row is printed as soon as it is measured."""
    options = _options()
    lines = []
    for line in _lines(_rows(options)):
        sys.stdout.write(line)
        sys.stdout.flush()
        lines.append(line)
    if options.markdown:
        Path(options.markdown).write_text("".join(lines), encoding="utf-8")


def _rows(options: argparse.Namespace) -> Iterator[list[str]]:
    folder, runs = Path(options.folder), options.runs
    groups = {
        "nml": lambda: all_nml_rows(folder, options.nodes, runs),
        "files": lambda: file_rows(folder, options.files, runs),
        "merge": lambda: all_merge_rows(folder, options.edge, options.touched, runs),
        "volumes": lambda: volume_rows(folder, options),
        "reshape": lambda: reshape_rows(folder, options.reshape_edge, options.formats, options.works, runs),
        "compute": lambda: compute_rows(folder, options.edge, options.touched, runs),
        "remote": lambda: remote_rows(folder, runs),
        "buckets": lambda: bucket_rows(folder, options),
        "loops": lambda: loops.rows(folder, runs, options.loops),
    }
    for group in GROUPS:
        if group in options.what:
            yield from groups[group]()


def all_merge_rows(folder: Path, edge: int, touched: int, runs: int) -> Iterator[list[str]]:
    """Merges in both formats."""
    for data_format in ("wkw", "zarr3"):
        yield from merge_rows(folder, data_format, edge, touched, runs)


def bucket_rows(folder: Path, options: argparse.Namespace) -> Iterator[list[str]]:
    """Datasets and annotation files in buckets."""
    yield from buckets.rows(folder, options.volume_edge, options.touched, options.runs, options.bucket_works, _row)
    yield from bucket_files.rows(folder, options.runs, _row)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches.python", description=__doc__)
    parser.add_argument("what", nargs="*", default=[*GROUPS], choices=GROUPS)
    parser.add_argument("--nodes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--files", type=int, default=10_000, help="files of 200 nodes that are read at once")
    parser.add_argument("--edge", type=int, default=1024, help="voxels along each axis of the fallback")
    parser.add_argument("--volume-edge", type=int, default=512, help="voxels along each axis read and written")
    parser.add_argument(
        "--formats", nargs="+", default=[*RIVALS], choices=[*RIVALS], help="formats read, written and reshaped"
    )
    parser.add_argument(
        "--small-reads-edge", type=int, default=1024, help="voxels along each axis small boxes are from"
    )
    works = WORKS["zarr3"]
    parser.add_argument("--works", nargs="+", default=[*works], choices=works, help="how mags are made into others")
    known = buckets.WORKS
    parser.add_argument("--bucket-works", nargs="+", default=[*known], choices=known, help="what is done in buckets")
    parser.add_argument("--reshape-edge", type=int, default=512, help="voxels along each axis made into other mags")
    parser.add_argument("--touched", type=int, default=300, help="chunks of the annotation")
    parser.add_argument(
        "--loops", nargs="+", default=[], metavar="WORD", help="only loops with such a word in their name"
    )
    parser.add_argument("--runs", type=int, default=3, help="runs of each quick job, the best counts")
    parser.add_argument("--folder", default=str(Path(tempfile.gettempdir()) / "wkfast-bench"))
    parser.add_argument("--markdown", help="also write the table to this file")
    return parser.parse_args()


def all_nml_rows(folder: Path, sizes: list[int], runs: int) -> Iterator[list[str]]:
    """Files of several sizes; of the smaller ones also as many small trees."""
    for nodes in sizes:
        yield from nml_rows(folder, nodes, runs)
        if nodes <= _FEW_NODES:
            yield from small_tree_rows(folder, nodes, runs)


def nml_rows(folder: Path, nodes: int, runs: int) -> list[list[str]]:
    """Loading and saving `nodes` nodes."""
    path = inputs.nml(folder, nodes)
    archive = inputs.zipped(path)
    saved = str(folder / "saved.nml")
    what = f"{nodes:,} nodes"
    limit = best_of(runs, NML, "read_bytes", str(path))
    tokens = best_of(runs, NML, "expat_tokenise", str(path))
    loaded = best_of(runs, NML, "wkfast_load", str(path))
    zipped = best_of(runs, NML, "wkfast_load", str(archive))
    stored = best_of(runs, NML, "wkfast_save", str(path), saved)
    slow = min(runs, 3) if nodes <= _FEW_NODES else 1
    theirs = best_of(slow, NML, "reference_load", str(path))
    theirs_saved = best_of(slow, NML, "reference_save", str(path), saved)
    _require_equal(loaded, theirs)
    loops = [_loop_row(path, nodes, runs, *loop) for loop in _LOOPS]
    memory = f"{(loaded.rss_after - loaded.baseline_rss) / nodes:.0f} B/node kept"
    return [
        _row(f"load {what}", loaded, theirs, f"{memory}, file read alone {limit.seconds:.3f} s"),
        _row(f"load {what} from a deflated zip", zipped, theirs, ""),
        _row(f"load {what}, against expat tokenising", loaded, tokens, ""),
        _row(f"save {what}", stored, theirs_saved, ""),
        *loops,
    ]


def small_tree_rows(folder: Path, nodes: int, runs: int) -> Iterator[list[str]]:
    """Loading and saving trees of two nodes each."""
    path, saved = str(inputs.nml(folder, nodes, trees=nodes // 2)), str(folder / "saved.nml")
    for work, arguments in (("load", [path]), ("save", [path, saved])):
        ours = best_of(runs, NML, f"wkfast_{work}", *arguments)
        theirs = best_of(1, NML, f"reference_{work}", *arguments)
        _require_equal(ours, theirs)
        yield _row(f"{work} {nodes:,} nodes in {nodes // 2:,} trees", ours, theirs, "")


def _loop_row(path: Path, nodes: int, runs: int, job: str, what: str) -> list[str]:
    """A loop over the objects of a loaded skeleton."""
    ours = best_of(runs, NML, f"wkfast_{job}", str(path))
    theirs = best_of(1, NML, f"reference_{job}", str(path))
    _require_equal(ours, theirs)
    return _row(f"{what} of {nodes:,}", ours, theirs, f"{ours.seconds / nodes * 1e9:.0f} ns a node")


def file_rows(folder: Path, files: int, runs: int) -> Iterator[list[str]]:
    """Reading many small files at once, beside one large file with as many nodes; and all of it as Parquet."""
    nodes = files * _NODES_OF_A_FILE
    many, one = str(inputs.many(folder, files, _NODES_OF_A_FILE)), str(inputs.nml(folder, nodes, trees=files))
    jobs = [(TABLES, "wkfast_read", many), (TABLES, "wkfast_read", one), (NML, "wkfast_load", one)]
    ours, tables_of_one, loaded = in_turn(runs, *jobs)
    _require_equal(ours, tables_of_one)
    _require_equal(ours, loaded)
    what = f"read_skeletons of {files:,} files of {_NODES_OF_A_FILE} nodes"
    theirs = best_of(1, TABLES, "reference_read", many)
    _require_equal(ours, theirs)
    yield _row(what, ours, theirs, f"{nodes / ours.seconds / 1e6:.1f} million nodes a second")
    yield _row("the same, against read_skeletons of one file of as many", ours, tables_of_one, "")
    yield _row("the same, against Annotation.load of one file of as many", ours, loaded, "")
    out = str(folder / "tables.parquet")
    exported = best_of(runs, TABLES, "wkfast_parquet", many, out)
    yield _row("the same to Parquet, against reading it alone", exported, ours, exported.result)


def merge_rows(folder: Path, data_format: str, edge: int, touched: int, runs: int) -> list[list[str]]:
    """Merging `touched` chunks into a fallback of `edge`³ voxels."""
    source = volumes.volume(folder, data_format, edge, touched)
    target, copy = str(folder / "merged"), str(folder / "copied")
    arguments = (str(source.annotation), str(source.datasets), target)
    ours, copied = in_turn(runs, (MERGE, "wkfast_merge", *arguments), (MERGE, "copy", str(source.fallback_mag), copy))
    theirs = best_of(1, MERGE, "reference_merge", *arguments)
    theirs_on_two = best_of(1, MERGE, "reference_merge_on_two", *arguments)
    _require_equal(ours, theirs)
    _require_equal(ours, theirs_on_two)
    what = f"merge {touched} chunks into {edge}³ {data_format}"
    return [
        _row(what, ours, theirs, ""),
        _row(f"{what}, against the reference on 2 processes", ours, theirs_on_two, "memory of its workers not counted"),
        _row(f"{what}, against cp -r", ours, copied, ""),
    ]


def volume_rows(folder: Path, options: argparse.Namespace) -> Iterator[list[str]]:
    """Reading and writing everything at once, and reading many small boxes."""
    for data_format in options.formats:
        yield from whole_rows(folder, data_format, options.volume_edge, options.runs)
    if "zarr3" in options.formats:
        yield small_read_row(folder, options.small_reads_edge, options.runs)


def whole_rows(folder: Path, data_format: str, edge: int, runs: int) -> Iterator[list[str]]:
    """Reading and writing `edge`³ voxels at once."""
    path = str(volume_jobs.dataset(folder, data_format, edge))
    for work, rivals in zip(("read", "write"), RIVALS[data_format], strict=True):
        ours = best_of(runs, VOLUMES, f"wkfast_{work}", path, str(edge))
        for rival in rivals:
            theirs = best_of(1 if rival == "reference" else runs, VOLUMES, f"{rival}_{work}", path, str(edge))
            _require_equal(ours, theirs)
            yield _row(f"{work} {edge}³ uint32 {data_format}, against {rival}", ours, theirs, "")


def small_read_row(folder: Path, edge: int, runs: int) -> list[str]:
    """Reading many small boxes out of a shard of 1024³ voxels, of which `edge`³ are there."""
    path = str(volume_jobs.dataset(folder, "zarr3", edge))
    ours = best_of(runs, VOLUMES, "wkfast_small_reads", path, str(edge))
    theirs = best_of(1, VOLUMES, "tensorstore_small_reads", path, str(edge))
    _require_equal(ours, theirs)
    rate = f"{volume_jobs.SMALL_READS / ours.seconds:,.0f} reads a second"
    return _row(f"random 32³ reads from {edge}³ in a shard, against tensorstore", ours, theirs, rate)


def reshape_rows(folder: Path, edge: int, formats: list[str], works: list[str], runs: int) -> Iterator[list[str]]:
    """Making mags of `edge`³ voxels out of another."""
    for data_format, known in ((name, WORKS[name]) for name in formats if name in WORKS):
        path = str(volume_jobs.dataset(folder, data_format, edge))
        for work in (work for work in works if work in known):
            ours = best_of(runs, RESHAPE, f"wkfast_{work}", path)
            theirs = best_of(1, RESHAPE, f"reference_{work}", path)
            _require_equal(ours, theirs)
            yield _row(f"{work} {edge}³ uint32 {data_format}", ours, theirs, "")


def compute_rows(folder: Path, edge: int, touched: int, runs: int) -> Iterator[list[str]]:
    """What is computed on `edge`³ voxels, and a merge of `touched` chunks by a rule."""
    source = volumes.volume(folder, "zarr3", edge, touched)
    datasets, voxels = str(source.datasets), f"{edge}³ uint32"
    for kind, count in (("random", 1_000_000), ("paths", 10_000)):
        yield from point_rows(datasets, edge, kind, count, runs)
        if find_spec("cloudvolume") is not None:
            yield from scattered_rows(folder, datasets, edge, kind, count, runs)
    yield from streamed_rows(folder, runs)
    yield from served_rows(source.datasets, edge, runs)
    ours, limit = in_turn(runs, (COMPUTE, "wkfast_statistics", datasets), (COMPUTE, "decoded", datasets))
    yield _row(f"statistics of {voxels}, against decoding alone", ours, limit, "")
    if find_spec("fastremap") is not None:
        theirs = best_of(1, COMPUTE, "fastremap_statistics", datasets)
        _require_equal(ours, theirs)
        yield _row("the same, against fastremap.unique over read()", ours, theirs, "")
        ours, theirs = in_turn(1, (COMPUTE, "wkfast_relabel", datasets), (COMPUTE, "fastremap_relabel", datasets))
        _require_equal(ours, theirs)
        yield _row(f"relabel {voxels} by 1,000,000 entries, against fastremap and tensorstore", ours, theirs, "")
    if find_spec("numba") is not None:
        by_rule = [(COMPUTE, f"merge_by_{how}", datasets, str(source.annotation)) for how in ("rule", "nonzero")]
        ours, core = in_turn(runs, *by_rule)
        _require_equal(ours, core)
        first, other = (best_of(1, COMPUTE, f"{what}_compiled", datasets) for what in ("rule", "function"))
        note = f"compiled before, in {first.seconds:.1f} s"
        yield _row(f"merge {touched} chunks by a rule, against policy='nonzero'", ours, core, note)
        ours, limit = in_turn(1, (COMPUTE, "wkfast_map_chunks", datasets), (COMPUTE, "transcoded", datasets))
        yield _row(
            f"map_chunks over {voxels}, against numcodecs' zstd alone",
            ours,
            limit,
            f"{ours.result}; compiled before, in {other.seconds:.1f} s",
        )


def point_rows(datasets: str, edge: int, kind: str, count: int, runs: int) -> Iterator[list[str]]:
    """Labels at points, beside a loop over the first thousand and beside decoding their chunks."""
    arguments = (datasets, str(edge), str(count), kind)
    ours, limit = in_turn(runs, (COMPUTE, "wkfast_points", *arguments), (COMPUTE, "decoded_points", *arguments))
    theirs = best_of(1, COMPUTE, "reference_points", *arguments)
    _require_equal(ours, theirs)
    where = "anywhere" if kind == "random" else "along paths"
    scaled = replace(theirs, seconds=theirs.seconds * count / ONE_BY_ONE)
    yield _row(f"labels at {count:,} points {where}", ours, scaled, f"{ONE_BY_ONE} reads took {theirs.seconds:.2f} s")
    yield _row("the same, against decoding their chunks alone", ours, limit, "")


def scattered_rows(folder: Path, datasets: str, edge: int, kind: str, count: int, runs: int) -> Iterator[list[str]]:
    """Labels at points, beside those of the first thousand by cloud-volume."""
    layer, where = str(volumes.precomputed(folder, edge)), (str(edge), str(count), kind)
    ours = best_of(runs, COMPUTE, "wkfast_points", datasets, *where)
    theirs = best_of(1, COMPUTE, "cloudvolume_points", layer, *where)
    _require_equal(ours, theirs)
    scaled = replace(theirs, seconds=theirs.seconds * count / ONE_BY_ONE)
    yield _row(
        "the same, against cloud-volume's scattered_points", ours, scaled, f"{ONE_BY_ONE} took {theirs.seconds:.2f} s"
    )


def streamed_rows(folder: Path, runs: int) -> Iterator[list[str]]:
    """Labels at points of a layer on a server of WEBKNOSSOS that takes its time."""
    with remote_jobs.serving(remote_jobs.annotation(folder, _TRANSFER), _LATENCY) as url:
        yield from far_point_rows("streamed", url, EDGE, runs)


def served_rows(datasets: Path, edge: int, runs: int) -> Iterator[list[str]]:
    """Labels at points of a sharded layer on a server of files that takes its time."""
    with remote_jobs.serving(datasets, _LATENCY, "file_server") as url:
        yield from far_point_rows("served", url, edge, runs)


def far_point_rows(how: str, url: str, edge: int, runs: int) -> Iterator[list[str]]:
    """Labels at points along paths, beside a loop over the first hundred."""
    for count in (10_000, 1_000_000):
        arguments = (url, str(edge), str(count))
        ours = best_of(runs, COMPUTE, f"wkfast_{how}", *arguments)
        theirs = best_of(1, COMPUTE, f"reference_{how}", *arguments)
        _require_equal(ours, theirs)
        scaled = replace(theirs, seconds=theirs.seconds * count / FAR_ONE_BY_ONE)
        what = f"labels at {count:,} points along paths in {edge}³ uint32, {how}, {_LATENCY * 1e3:.0f} ms latency"
        yield _row(what, ours, scaled, f"{FAR_ONE_BY_ONE} reads took {theirs.seconds:.2f} s")


def remote_rows(folder: Path, runs: int) -> list[list[str]]:
    """Transfers over loopback, and a streamed read from a server that takes its time."""
    path = remote_jobs.annotation(folder, _TRANSFER)
    what = f"an annotation of {_TRANSFER >> 20} MiB"
    with remote_jobs.serving(path, 0) as url:
        received, limit = in_turn(runs, (REMOTE, "wkfast_receive", url), (REMOTE, "httpx_receive", url))
        _require_equal(received, limit)
        rows = [_row(f"download {what} to a file, against httpx.stream", received, limit, "")]
        for job, arguments in (("download", [url]), ("upload", [url, str(path)])):
            ours = best_of(runs, REMOTE, f"wkfast_{job}", *arguments)
            theirs = best_of(1, REMOTE, f"reference_{job}", *arguments)
            _require_equal(ours, theirs)
            rows.append(_row(f"{job} {what}", ours, theirs, ""))
    with remote_jobs.serving(path, _LATENCY) as url:
        late = f"{_LATENCY * 1e3:.0f} ms latency"
        ours, theirs = in_turn(runs, (REMOTE, "wkfast_open", url), (REMOTE, "reference_open", url))
        _require_equal(ours, theirs)
        rows.append(_row(f"open a dataset and read the first voxel, {late}", ours, theirs, ""))
        for layer, kind in (("segmentation", "dataset"), (VOLUME, "volume")):
            jobs = [(REMOTE, f"{who}_stream", url, layer) for who in ("wkfast", "reference", "sockets")]
            ours, theirs, limit = in_turn(runs, *jobs)
            _require_equal(ours, theirs)
            _require_equal(ours, limit)
            what = f"stream 256³ uint32 of a {kind} layer, {late}"
            rows.append(_row(what, ours, theirs, f"bare sockets {limit.seconds:.3f} s"))
    return rows


def _require_equal(ours: Measurement, theirs: Measurement) -> None:
    if ours.result != theirs.result:
        raise RuntimeError(f"results differ: {ours.result!r} and {theirs.result!r}")


def _row(what: str, ours: Measurement, other: Measurement, note: str) -> list[str]:
    ratio = other.seconds / ours.seconds
    return [
        what,
        f"{ours.seconds:.3f} s",
        f"{other.seconds:.3f} s",
        f"{ratio:.1f}×" if ratio >= 1 else f"1/{1 / ratio:.1f}",
        f"{ours.peak_over_baseline / _MB:.0f} MB",
        f"{other.peak_over_baseline / _MB:.0f} MB",
        note,
    ]


def _lines(rows: Iterable[list[str]]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    heading = ["work", "wkfast", "other", "faster", "peak over baseline", "other's", "note"]
    yield f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}\n\n"
    for line in chain([heading, ["---"] * len(heading)], rows):
        yield f"| {' | '.join(line)} |\n"


if __name__ == "__main__":
    main()
