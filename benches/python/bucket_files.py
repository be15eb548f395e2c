"""Rows on annotation files in a bucket: loading them beside fetching the objects alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benches.python import bucket_server, inputs
from benches.python.buckets import LATENCY, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benches.python.bucket_server import Served
    from benches.python.measure import Measurement

JOBS = "benches.python.bucket_file_jobs"
_NODES = 1_000_000
# Chunks along each axis: 103,823 in all.
_CHUNKS = 47


def rows(
    folder: Path, runs: int, row: Callable[[str, Measurement, Measurement, str], list[str]]
) -> Iterator[list[str]]:
    """Yield a row for a large NML and for a zip of very many chunks."""
    files = {"large.nml": inputs.nml(folder, _NODES), "many.zip": many_chunks(folder)}
    place = folder / "annotations"
    place.mkdir(parents=True, exist_ok=True)
    for name, path in files.items():
        (place / name).unlink(missing_ok=True)
        (place / name).symlink_to(path.resolve())
    with bucket_server.bucket(folder / "objects", LATENCY) as (served, near):
        bucket_server.upload(place, near, "annotations")
        for name, path in files.items():
            yield from file_rows(served, f"annotations/{name}", path.stat().st_size, runs, row)


def file_rows(
    served: Served,
    name: str,
    size: int,
    runs: int,
    row: Callable[[str, Measurement, Measurement, str], list[str]],
) -> Iterator[list[str]]:
    """Loading a file, beside what fetches all of it."""
    ours, asked = counted(served, runs, "wkfast_load", served.url, name, jobs=JOBS)
    for rival in ("wkfast_fetch", "obstore_fetch"):
        theirs, theirs_asked = counted(served, runs, rival, served.url, name, jobs=JOBS)
        if int(theirs.result) != size:
            raise RuntimeError(f"{rival} got {theirs.result} of {size} bytes")
        what = f"load {name} of {size / 1e6:.0f} MB from a bucket, against {rival} of all of it"
        yield row(what, ours, theirs, f"{asked}; {theirs_asked}")


def many_chunks(folder: Path) -> Path:
    """Return an annotation zip with a painted layer of so many chunks, a sixteenth of each noise."""
    path = folder / "many-chunks.zip"
    if not path.exists():
        import wkfast as wk

        annotation = wk.Annotation("many", skeleton=wk.Skeleton((11, 11, 25), "bench"))
        layer = annotation.add_volume_layer("painted", volume_layer_id=0)
        random, edge = np.random.default_rng(0), _CHUNKS * 32
        with layer.edit() as edited:
            mag = edited.add_mag(1)
            for z in range(_CHUNKS):
                voxels = np.zeros((1, edge, edge, 32), np.uint32)
                voxels[..., :2] = random.integers(1, 1 << 12, (1, edge, edge, 2))
                mag.write(voxels, absolute_offset=(0, 0, z * 32), allow_resize=True)
        annotation.save(path)
    return path
