"""``wkfast convert``: many files of skeletons as tables or in other formats."""

from pathlib import Path
from typing import Annotated

import typer

from wkfast.cli.console import errors, output, plain
from wkfast.convert import convert as convert_files
from wkfast.convert.bulk import FORMATS
from wkfast.errors import AnnotationSuffixError, GeometryError
from wkfast.tables import FileError, SkeletonTables, skeletons_to_parquet

EXIT_FAILED_FILES = 1
_EDGES = 3


def convert(
    source: Annotated[list[Path], typer.Argument(help="Files and folders: .nml, .zip, .k.zip, .swc.")],
    target: Annotated[Path, typer.Argument(help="A .parquet file, or a folder for the files of --to.")],
    *,
    to: Annotated[str | None, typer.Option(help=f"Format of the files: {', '.join(FORMATS)}.")] = None,
    file_per_tree: Annotated[bool, typer.Option(help="With --to swc: a file for each tree.")] = False,
    voxel_size: Annotated[str | None, typer.Option(help="For SWC: size of a voxel in nm, as 11.24,11.24,28.")] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of SWC files; default: as they say, else micrometer.")] = None,
    node_type: Annotated[int, typer.Option(help="Type of SWC nodes that no comment gives another.")] = 0,
    strict: Annotated[bool, typer.Option(help="For Parquet: refuse files that a server would reject.")] = False,
) -> None:
    """Convert SOURCE to TARGET: tables in Parquet (nodes in TARGET, edges, trees, comments beside it), or files.

    Files that cannot be converted are listed at the end; the others are, and the exit code is 1.
    """
    if target.suffix == ".parquet":
        counts = _Counts()
        failed = skeletons_to_parquet(source, target, strict=strict, progress=counts)
        output.print(plain(f"{counts} in {target}"), soft_wrap=True)
    elif to is None:
        raise AnnotationSuffixError(
            f"{target} is no .parquet: say with --to which files it is to hold: {', '.join(FORMATS)}"
        )
    else:
        size = None if voxel_size is None else _voxel_size(voxel_size)
        options = {"voxel_size": size, "unit": unit, "file_per_tree": file_per_tree, "node_type": node_type}
        done = convert_files(source, target, to, **options)  # type: ignore[arg-type]
        failed = done.errors
        output.print(plain(f"{len(done.written):,} files in {target}"), soft_wrap=True)
    _tell(failed)


class _Counts:
    """How much was written."""

    def __init__(self) -> None:
        self._files = self._trees = self._nodes = 0

    def __call__(self, tables: SkeletonTables) -> None:
        self._files += tables.files.rows - len(tables.errors)
        self._trees += tables.trees.rows
        self._nodes += tables.nodes.rows

    def __str__(self) -> str:
        return f"{self._nodes:,} nodes of {self._trees:,} trees of {self._files:,} files"


def _voxel_size(text: str) -> tuple[float, ...]:
    try:
        edges = tuple(float(edge) for edge in text.split(","))
    except ValueError:
        edges = ()
    if len(edges) != _EDGES:
        raise GeometryError(f"--voxel-size is three numbers in nm, as 11.24,11.24,28, not {text!r}")
    return edges


def _tell(failed: tuple[FileError, ...]) -> None:
    for failure in failed:
        errors.print(plain(f"error: {failure}"), style="red", soft_wrap=True)
    if failed:
        raise typer.Exit(EXIT_FAILED_FILES)
