"""``wkfast statistics``: size, extent and centre of every segment."""

import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import wkfast as wk
from wkfast._lazy import lazy_import
from wkfast._short import counted
from wkfast.cli.arguments import Argument, Option
from wkfast.cli.console import after_work, progress_wanted, tell
from wkfast.cli.executors import Strategy, executor_for, parse_job_resources
from wkfast.errors import DatasetNotFoundError, DatasetValueError

if TYPE_CHECKING:
    from wkfast import drafts
else:
    drafts = lazy_import("wkfast.drafts")

np: Any = lazy_import("numpy")

_XYZ = "xyz"


def statistics(
    dataset: Annotated[str, Argument("Folder of the dataset, or its address: s3://…, https://…")],
    layer: Annotated[str, Argument("Its layer of labels.")],
    *,
    mag: Annotated[str | None, Option("Which mag to count; default: the finest.")] = None,
    out: Annotated[Path | None, Option("File to write: .npz or .csv. Default: CSV to the terminal.")] = None,
    distribution_strategy: Annotated[Strategy, Option("Who does the work.")] = Strategy.THREADS,
    jobs: Annotated[int | None, Option("Workers; default: one per core.", least=1)] = None,
    job_resources: Annotated[str | None, Option("What a job gets, as JSON.")] = None,
    progress: Annotated[bool | None, Option("Default: shown in a terminal.")] = None,
) -> None:
    """Count every segment of LAYER in DATASET: voxels, box and centroid in mag-1 voxels, volume in nm³."""
    if out is not None and out.suffix not in {".npz", ".csv"}:
        raise DatasetValueError(f"{out} ends in {out.suffix or 'nothing'}, expected .npz or .csv")
    if out is not None and not out.parent.is_dir():
        raise DatasetNotFoundError(f"{out}: there is no folder {out.parent}")
    labels = wk.Dataset.open(dataset, read_only=True).get_layer(layer)
    with executor_for(distribution_strategy, jobs, parse_job_resources(job_resources)) as executor:
        table = labels.segment_statistics(mag, executor=executor, progress=progress_wanted(progress))
    if out is None:
        _write_csv(table, sys.stdout)
        return
    with drafts.whole_file(out) as file:
        if out.suffix == ".npz":
            np.savez_compressed(file, **table)
        else:
            text = io.TextIOWrapper(file, encoding="utf-8", newline="")
            _write_csv(table, text)
            text.detach()
    with after_work(f"{out} is written"):
        tell(f"{counted(len(table['id']), 'segments')} of {layer!r} in {out}")


def _write_csv(table: dict[str, Any], file: Any) -> None:
    names = [[name] if column.ndim == 1 else [f"{name}_{axis}" for axis in _XYZ] for name, column in table.items()]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([name for group in names for name in group])
    columns = [column for group in table.values() for column in np.atleast_2d(group.T)]
    writer.writerows(zip(*(column.tolist() for column in columns), strict=True))
