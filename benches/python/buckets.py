"""Rows on buckets: what is read and merged over a connection with 20 ms, with requests and the CPU of the server."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from benches.python import bucket_server, volumes
from benches.python.bucket_jobs import CHECKED, READS
from benches.python.measure import Measurement, run_job
from benches.python.volume_jobs import dataset

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benches.python.bucket_server import Served

JOBS = "benches.python.bucket_jobs"
LATENCY = 20
_SHARD = 512
SHARDS = (_SHARD, 64)
WORKS = ("read", "small", "merge")
BARS = {"copied": "copies by the server", "passed": "objects fetched and put again"}
_RIVALS = ("tensorstore", "zarr", "reference")

Row = "Callable[[str, Measurement, Measurement, str], list[str]]"


def rows(folder: Path, edge: int, touched: int, runs: int, works: list[str], row: Row) -> Iterator[list[str]]:
    """Yield a row for each piece of work and each other that does it."""
    if not bucket_server.compiled():
        raise SystemExit("the servers are not compiled: make test-servers does so")
    inputs = {"zarr3": dataset(folder, "zarr3", edge), "zarr2": dataset(folder, "zarr", edge)}
    with bucket_server.bucket(folder / "objects", LATENCY) as (served, near):
        for name, path in inputs.items():
            bucket_server.upload(path, near, name)
        yield from reading_rows("s3", served, [*inputs], edge, runs, works, row)
        if "merge" in works:
            yield from merge_rows(folder, served, near, touched, runs, row)
    with linked(folder / "files", inputs) as root, bucket_server.files(root, LATENCY) as served:
        yield from reading_rows("http", served, [*inputs], edge, runs, works, row)


@contextmanager
def linked(root: Path, inputs: dict[str, Path]) -> Iterator[Path]:
    """A folder in which datasets are called so."""
    root.mkdir(parents=True, exist_ok=True)
    for name, path in inputs.items():
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to(path.resolve())
    yield root


def reading_rows(
    kind: str, served: Served, names: list[str], edge: int, runs: int, works: list[str], row: Row
) -> Iterator[list[str]]:
    """All that is read of one server."""
    for name in names if "read" in works else []:
        yield from read_rows(kind, served, name, edge, runs, row)
    if "small" in works:
        yield from small_rows(kind, served, edge, row)


def read_rows(kind: str, served: Served, name: str, edge: int, runs: int, row: Row) -> Iterator[list[str]]:
    """Everything at once."""
    arguments = (kind, served.url, name, str(edge))
    ours, share = counted(served, runs, "wkfast_read", *arguments)
    for rival in _RIVALS:
        theirs, their_share = counted(served, runs if rival == "tensorstore" else 1, f"{rival}_read", *arguments)
        equal(ours, theirs)
        yield row(f"read {edge}³ uint32 {name} by {kind}, against {rival}", ours, theirs, f"{share}; {their_share}")


def small_rows(kind: str, served: Served, edge: int, row: Row) -> Iterator[list[str]]:
    """Many small boxes, one after the other."""
    arguments = (kind, served.url, "zarr3", str(edge))
    ours, share = counted(served, 1, "wkfast_small_reads", *arguments)
    for rival in ("tensorstore", "tensorstore_cached"):
        theirs, their_share = counted(served, 1, f"{rival}_small_reads", *arguments)
        equal(ours, theirs)
        what = f"{READS:,} random 32³ reads from a shard by {kind}, against {rival}"
        yield row(what, ours, theirs, f"{share}; {their_share}")


def merge_rows(folder: Path, served: Served, near: str, touched: int, runs: int, row: Row) -> Iterator[list[str]]:
    """Merges within a bucket, beside copies of all of its objects: few large ones, all touched, and many small ones."""
    source = volumes.volume(folder, "zarr3", 1024, touched)
    for shard in SHARDS:
        bucket_server.upload(resharded(source.datasets, shard), near, f"datasets-{shard}")
        arguments = (str(source.annotation), served.url, f"datasets-{shard}")
        ours, share = counted(served, runs, "wkfast_merge", *arguments)
        what = f"merge {touched} chunks into 1024³ zarr3 in shards of {shard}³ within a bucket"
        for job, bar in BARS.items():
            limit, bars_share = counted(served, runs, job, *arguments)
            yield row(f"{what}, against {bar}", ours, limit, f"{share}; {bars_share}")
        theirs, their_share = counted(served, 1, "reference_merge", *arguments)
        equal(ours, theirs)
        yield row(f"{what}, against the reference into a folder", ours, theirs, their_share)


def resharded(datasets: Path, shard: int) -> Path:
    """Return the folder of the dataset, or of one whose shards have that edge."""
    target = datasets.with_name(f"datasets-{shard}")
    if shard != _SHARD and not target.exists():
        import wkfast as wk

        dataset_there = wk.Dataset.open(datasets / volumes.DATASET)
        dataset_there.copy_dataset(target / volumes.DATASET, chunk_shape=32, shard_shape=shard)
    return datasets if shard == _SHARD else target


def counted(served: Served, runs: int, job: str, *arguments: str, jobs: str = JOBS) -> tuple[Measurement, str]:
    """Return the best run of a job, and what it asked of the server: requests of a run, and share of a core."""
    best, note = None, ""
    for _ in range(runs):
        requests, busy = len(served.requests()), served.cpu_seconds()
        measured = run_job(jobs, job, *arguments)
        asked, busy = served.requests()[requests:], served.cpu_seconds() - busy
        checked = [number for number, line in enumerate(asked) if f"/{CHECKED} " in line]
        asked = asked[: checked[0]] if checked else asked
        if best is None or measured.seconds < best.seconds:
            best = measured
            note = f"{len(asked):,} requests, server {busy:.2f} s of CPU"
    if best is None:
        raise ValueError("no runs")
    return best, note


def equal(ours: Measurement, theirs: Measurement) -> None:
    """Raise where results differ."""
    if ours.result != theirs.result:
        raise RuntimeError(f"results differ: {ours.result!r} and {theirs.result!r}")
