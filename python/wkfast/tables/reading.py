"""Tables of many files, read at once or batch by batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast.errors import WkfastError
from wkfast.skeleton.reading import LoadProblem
from wkfast.tables.columns import files_table, row_tables
from wkfast.tables.sources import Source, Unusable, find
from wkfast.tables.workers import read_on_workers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wkfast.tables.columns import FileFacts
    from wkfast.tables.sources import Paths
    from wkfast.tables.table import Table

# Text that is read as a batch. Reading takes about five times that, and an export half as much again.
_BATCH_BYTES = 8 << 20
# Nodes of a batch of a file that is larger than that.
_BATCH_NODES = 1 << 16


@dataclass(frozen=True)
class FileError:
    """A file that could not be read.

    Attributes
    ----------
    file
        Its path, with ``!member`` for one of several in a zip.
    error
        What was raised: a :class:`~wkfast.errors.WkfastError` or an ``OSError``.
    """

    file: str
    error: Exception

    def __str__(self) -> str:
        said = str(self.error)
        return said if said.startswith(f"{self.file}:") else f"{self.file}: {said}"


@dataclass(frozen=True)
class SkeletonTables:
    """The skeletons of many files. Ids are those of the files: a node is known by its file and its id.

    All tables have the columns ``file`` and ``annotation`` (:class:`Labels`: path, and stem of the NML).

    Attributes
    ----------
    nodes
        ``tree_id``, ``id`` (int64), ``position`` (float64, ``(nodes, 3)``, mag-1 voxels), ``radius`` (nm) and
        ``rotation`` with NaN where a node has none, masked ``inVp``, ``inMag``, ``bitDepth``, ``interpolation``,
        ``time`` (ms since epoch), and ``additionalCoordinate-<axis>`` where a node has one. Columns that no file has
        are read-only.
    edges
        ``tree_id``, ``source``, ``target`` (node ids); repeated edges once.
    trees
        ``id``, ``name``, ``group_id`` (masked), ``color`` (``(trees, 4)``, 0 to 1, NaN for none), ``type``,
        ``is_visible``, ``nodes`` and ``edges`` (counts), ``low`` and ``high`` (``(trees, 3)``, mag-1 voxels, NaN
        without nodes).
    comments
        ``tree_id``, ``node_id``, ``content``.
    branchpoints
        ``tree_id``, ``node_id``, ``time`` (masked, ms since epoch).
    files
        One row per file, those that could not be read as well: ``dataset``, ``organization``, ``voxel_size``
        (``(files, 3)``, nm), ``problems`` (count), ``error`` (text or None).
    errors
        Files that could not be read.
    problems
        Faults that reading survived, by file.
    """

    nodes: Table
    edges: Table
    trees: Table
    comments: Table
    branchpoints: Table
    files: Table
    errors: tuple[FileError, ...] = ()
    problems: dict[str, tuple[LoadProblem, ...]] = field(default_factory=dict)

    def __repr__(self) -> str:
        failed = f", {len(self.errors):,} of them not read" if self.errors else ""
        return (
            f"SkeletonTables({self.files.rows:,} files{failed}: {self.trees.rows:,} trees, {self.nodes.rows:,} nodes, "
            f"{self.edges.rows:,} edges, {self.comments.rows:,} comments)"
        )


def read_skeletons(paths: Paths, *, strict: bool = False, executor: Any = None) -> SkeletonTables:
    """Return the skeletons of many files as one set of tables, read on all cores, or by the jobs of an executor.

    A file that cannot be read is told in ``errors`` and leaves no rows; the others are read.

    Parameters
    ----------
    paths
        An ``.nml``, a ``.zip`` with one or several NMLs, a folder that is searched for both, or many of these, on this
        machine or in buckets (addresses, ``UPath`` or ``ObjectPath``). Of a ``.k.zip`` of KNOSSOS all numbers are taken
        as written, see :func:`wkfast.convert.read_knossos`.
    strict
        A file that a server would reject is an error.
    executor
        Whose workers read, in batches of files; they need to see the same paths. Default: threads of this process.

    Raises
    ------
    AnnotationFileNotFoundError
        There is nothing to read in a folder.
    ExecutorError
        A worker died, or the executor takes no work.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from wkfast.skeleton import Skeleton
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("a", "b"):
    ...     skeleton = Skeleton(voxel_size=(4, 4, 40), dataset_name="sample")
    ...     node = skeleton.add_tree("axon").add_node((1, 2, 3), comment="soma")
    ...     skeleton.save(folder / f"{name}.nml")
    >>> tables = read_skeletons(folder)
    >>> tables
    SkeletonTables(2 files: 2 trees, 2 nodes, 0 edges, 2 comments)
    >>> np.asarray(tables.comments["annotation"]).tolist(), tables.comments["content"].tolist()
    (['a', 'b'], ['soma', 'soma'])
    """
    return _read(list(find(paths)), strict=strict, executor=executor)


def iterate_skeletons(
    paths: Paths, *, strict: bool = False, batch_bytes: int = _BATCH_BYTES
) -> Iterator[SkeletonTables]:
    """Yield the skeletons of many files as sets of tables, with memory bounded by a batch.

    Parameters
    ----------
    paths, strict
        As for :func:`read_skeletons`.
    batch_bytes
        Bytes of text that are read at once. A larger file comes in several sets, its comments and branchpoints in the
        last of them; what only the whole of it shows (a node id in two trees) is not looked for, unless `strict`, which
        takes it whole.

    Examples
    --------
    >>> sum(tables.nodes.rows for tables in iterate_skeletons("folder"))  # doctest: +SKIP
    20000000
    """
    batch: list[Source | Unusable] = []
    size = 0
    for source in find(paths):
        more = source.size if isinstance(source, Source) else 0
        if batch and size + more > batch_bytes:
            yield _read(batch, strict=strict)
            batch, size = [], 0
        if isinstance(source, Source) and more > batch_bytes and not strict:
            yield from _stream(source)
        else:
            batch.append(source)
            size += more
    if batch:
        yield _read(batch, strict=strict)


def _read(found: Sequence[Source | Unusable], *, strict: bool, executor: Any = None) -> SkeletonTables:
    sources = [source for source in found if isinstance(source, Source)]
    if executor is None:
        record, outcomes = _core.read_tables([(source.file, source.member) for source in sources], strict=strict)
    else:
        record, outcomes = read_on_workers(sources, executor, strict=strict)
    unusable = [each for each in found if isinstance(each, Unusable)]
    return _tables(record, [*sources, *unusable], [*outcomes, *(each.error for each in unusable)])


def _stream(source: Source) -> Iterator[SkeletonTables]:
    try:
        for record, facts in _core.TableStream(source.file, source.member, 0, _BATCH_NODES):
            # The file is listed once, with the last of its rows.
            yield _tables(record, [source], [] if facts is None else [facts])
    except (WkfastError, OSError) as error:
        yield _tables(_core.read_tables([])[0], [source], [error])


def _tables(
    record: dict[str, dict[str, Any]], files: Sequence[Source | Unusable], outcomes: Sequence[FileFacts | Exception]
) -> SkeletonTables:
    names = [file.name for file in files]
    facts = [(name, outcome) for name, outcome in zip(names, outcomes, strict=False) if isinstance(outcome, tuple)]
    errors = [(name, outcome) for name, outcome in zip(names, outcomes, strict=False) if isinstance(outcome, Exception)]
    return SkeletonTables(
        **row_tables(record, names, [file.annotation for file in files]),
        files=files_table(files[: len(outcomes)], outcomes),
        errors=tuple(FileError(name, error) for name, error in errors),
        problems={
            name: tuple(LoadProblem(*each) for each in problems) for name, (_, _, problems, _) in facts if problems
        },
    )
