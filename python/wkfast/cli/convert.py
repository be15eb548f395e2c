"""``wkfast convert``: many files of skeletons as tables or in other formats."""

from typing import TYPE_CHECKING, Annotated, Any

from wkfast._lazy import lazy_import
from wkfast._short import counted
from wkfast.cli.arguments import EXIT_ERROR, EXIT_PART, Argument, Exit, Option
from wkfast.cli.console import after_work, complain, tell
from wkfast.errors import AnnotationSuffixError, GeometryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wkfast import tables
    from wkfast.convert import bulk
else:
    bulk = lazy_import("wkfast.convert.bulk")
    tables = lazy_import("wkfast.tables")

_FORMATS = "nml, swc, k.zip"
_EDGES = 3


def convert(
    source: Annotated[list[str], Argument("Files and folders: .nml, .zip, .k.zip, .swc; or their addresses.")],
    target: Annotated[str, Argument("A .parquet file, or a folder for the files of --to; or its address.")],
    *,
    to: Annotated[str | None, Option(f"Format of the files: {_FORMATS}.")] = None,
    file_per_tree: Annotated[bool, Option("With --to swc: a file for each tree.")] = False,
    voxel_size: Annotated[str | None, Option("For SWC: size of a voxel in nm, as 11.24,11.24,28.")] = None,
    unit: Annotated[str | None, Option("Unit of SWC files; default: as they say, else micrometer.")] = None,
    node_type: Annotated[int, Option("Type of SWC nodes that no comment gives another.")] = 0,
    strict: Annotated[bool, Option("For Parquet: refuse files that a server would reject.")] = False,
) -> None:
    """Convert SOURCE to TARGET: tables in Parquet (nodes in TARGET, edges, trees, comments beside it), or files.

    Files that cannot be converted are listed at the end; the others are, and the exit code is 1; 2 if there are none.
    """
    if target.endswith(".parquet"):
        counts = _Counts()
        failed = tables.skeletons_to_parquet(source, target, strict=strict, progress=counts)
        written, said = counts.files, f"{counts} in {target}"
    elif to is None:
        raise AnnotationSuffixError(f"{target} is no .parquet: say with --to which files it is to hold: {_FORMATS}")
    else:
        size = None if voxel_size is None else _voxel_size(voxel_size)
        options: dict[str, Any] = {"unit": unit, "file_per_tree": file_per_tree, "node_type": node_type}
        done = bulk.convert(source, target, to, voxel_size=size, **options)
        failed = done.errors
        written, said = len(done.written), f"{counted(len(done.written), 'files')} in {target}"
    _tell(failed)
    if failed and not written:
        raise Exit(EXIT_ERROR)
    with after_work(f"{target} is written"):
        tell(said)
    if failed:
        raise Exit(EXIT_PART)


class _Counts:
    """How much was written."""

    def __init__(self) -> None:
        self.files = self._trees = self._nodes = 0

    def __call__(self, batch: "tables.SkeletonTables") -> None:
        self.files += batch.files.rows - len(batch.errors)
        self._trees += batch.trees.rows
        self._nodes += batch.nodes.rows

    def __str__(self) -> str:
        counts = {"nodes": self._nodes, "trees": self._trees, "files": self.files}
        return " of ".join(counted(count, things) for things, count in counts.items())


def _voxel_size(text: str) -> tuple[float, ...]:
    try:
        edges = tuple(float(edge) for edge in text.split(","))
    except ValueError:
        edges = ()
    if len(edges) != _EDGES:
        raise GeometryError(f"--voxel-size is three numbers in nm, as 11.24,11.24,28, not {text!r}")
    return edges


def _tell(failed: "Sequence[tables.FileError]") -> None:
    for failure in failed:
        complain(f"error: {failure}", "red")
