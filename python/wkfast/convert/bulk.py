"""Many files from one format of skeletons to another."""

from __future__ import annotations

import errno
import itertools
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wkfast.buckets import ObjectPath, any_path
from wkfast.convert.knossos import read_knossos, write_knossos
from wkfast.convert.swc import read_swc, write_swc
from wkfast.drafts import make_folder
from wkfast.errors import AnnotationSuffixError, ObjectStoreError, SkeletonError, WkfastError
from wkfast.geometry import LengthUnit
from wkfast.skeleton.skeleton import load_document
from wkfast.tables import FileError
from wkfast.tables.sources import Source, Unusable, find

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

    from wkfast.geometry import Vec3FloatLike, VoxelSize
    from wkfast.skeleton import Skeleton, Tree
    from wkfast.tables.sources import Paths

FORMATS = ("nml", "swc", "k.zip")
_KNOSSOS = ".k.zip"
_SWC = ".swc"
_UNSAFE = re.compile(r"[^\w.+-]+")
_LONGEST_NAME = 100
# File systems count bytes, 255 at most; endings, numbers and names of drafts come behind.
_MOST_BYTES_OF_NAME = 180
# What the next file would meet as well.
_OF_THE_FOLDER = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST}
)


@dataclass(frozen=True)
class Converted:
    """What became of many files.

    Attributes
    ----------
    written
        Files that were written.
    errors
        Files that could not be read, have no form in the other format, or could not be written under their names.
    """

    written: tuple[Path | ObjectPath, ...]
    errors: tuple[FileError, ...]


def convert(
    paths: Paths,
    out_folder: str | PathLike[str] | ObjectPath,
    to: str,
    *,
    voxel_size: VoxelSize | Vec3FloatLike | None = None,
    unit: str | None = None,
    file_per_tree: bool = False,
    node_type: int = 0,
) -> Converted:
    """Write each of many skeletons in another format into a folder; what cannot be converted is told at the end.

    Parameters
    ----------
    paths
        ``.nml``, ``.zip``, ``.k.zip`` and ``.swc`` files, and folders that are searched for them; here or in buckets.
    out_folder
        Where files go, called like those they are from, here or in a bucket; it is made if there is none. What is read
        stays; other files of these names are replaced.
    to
        ``"nml"``, ``"swc"`` or ``"k.zip"``.
    voxel_size
        Size of a mag-1 voxel in nm. Needed for SWC, which knows none.
    unit
        Unit of SWC files: read, without it, as they say, else micrometre, which is also what is written.
    file_per_tree
        Write a file for each tree, with its id and name behind the name of the file.
    node_type
        Type of SWC nodes that no comment ``swc type N`` gives another.

    Raises
    ------
    AnnotationSuffixError
        `to` is none of these.
    AnnotationFileNotFoundError
        There is nothing to read in a folder.
    OSError
        Nothing can be written to the folder (any more): it is full, read-only, forbidden or a file. Files that were
        written stay. Of a bucket, an ``ObjectStoreError``: it cannot be read either, or refused two files one after the
        other; a single refusal is told in ``errors``.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> done = (folder / "a.swc").write_text("1 0 1.0 2.0 3.0 0.5 -1")
    >>> convert(folder, folder / "nml", "nml", voxel_size=(10, 10, 30)).written[0].name
    'a.nml'
    """
    if to not in FORMATS:
        raise AnnotationSuffixError(f"skeletons are written as {', '.join(FORMATS)}, not as {to!r}")
    if file_per_tree and to != "swc":
        raise AnnotationSuffixError(f"a file per tree is written as swc only, not as {to}")
    folder = any_path(out_folder, "the folder of converted files")
    if isinstance(folder, ObjectPath):
        folder.require_changes()
    sources = list(find(paths, also=frozenset({_SWC})))
    targets = _Targets(folder, to, sources)
    write = _Writer(unit or LengthUnit.MICROMETER.value, node_type, file_per_tree=file_per_tree)
    errors: list[FileError] = []
    refused_before = False
    for source in sources:
        try:
            skeleton = _load(source, voxel_size, unit)
        except (WkfastError, OSError) as error:
            errors.append(FileError(source.name, error))
            continue
        try:
            write(skeleton, _stem(source), targets)
        except (WkfastError, OSError) as error:
            refused_before = _check_goes_on(error, folder, refused_before=refused_before)
            errors.append(FileError(source.name, error))
        else:
            refused_before = False
    return Converted(tuple(targets.written), tuple(errors))


def _check_goes_on(error: Exception, folder: Path | ObjectPath, *, refused_before: bool) -> bool:
    """Return whether a bucket refused a file, after which others are worth a try; raise what they too would meet."""
    if not isinstance(error, ObjectStoreError):
        if isinstance(error, OSError) and error.errno in _OF_THE_FOLDER:
            raise error
        return False
    if refused_before:
        raise error
    if isinstance(folder, ObjectPath):
        folder.require_bucket()
    return True


def _stem(source: Source | Unusable) -> str:
    knossos = source.name.endswith(_KNOSSOS)
    return Path(source.name.removesuffix(_KNOSSOS)).name if knossos else source.annotation


def _load(source: Source | Unusable, voxel_size: VoxelSize | Vec3FloatLike | None, unit: str | None) -> Skeleton:
    if isinstance(source, Unusable):
        raise source.error
    path = str(source.path)
    if path.endswith(_SWC):
        if voxel_size is None:
            raise SkeletonError(f"{path}: SWC knows no voxels: say their size in nm (voxel_size=, --voxel-size)")
        return read_swc(source.path, voxel_size=voxel_size, unit=unit)
    if path.endswith(_KNOSSOS):
        return read_knossos(source.path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # problems of files are for `validate`
        return load_document(source.path, source.member).skeleton


class _Targets:
    """The files that are written: in one folder, none twice, and none of `sources`."""

    def __init__(self, folder: Path | ObjectPath, suffix: str, sources: Iterable[Source | Unusable]) -> None:
        self.written: list[Path | ObjectPath] = []
        self._folder = folder
        self._suffix = suffix
        self._taken = {path.name for path in map(_file_of, sources) if _is_in(path, folder)}

    def free(self, stem: str) -> Path | ObjectPath:
        """Return a file that nothing was written to, called like `stem` as far as names of files go."""
        cut = _UNSAFE.sub("_", stem)[:_LONGEST_NAME].encode()[:_MOST_BYTES_OF_NAME]
        safe = cut.decode(errors="ignore") or "_"  # without the piece of a letter
        names = itertools.chain([safe], (f"{safe}-{number}" for number in itertools.count(2)))
        name = next(name for each in names if (name := f"{each}.{self._suffix}") not in self._taken)
        self._taken.add(name)
        if not isinstance(self._folder, ObjectPath):
            make_folder(self._folder)
        return self._folder / name


def _file_of(source: Source | Unusable) -> Path | ObjectPath:
    return source.path if isinstance(source.path, ObjectPath) else Path(source.path)


def _is_in(path: Path | ObjectPath, folder: Path | ObjectPath) -> bool:
    """Return whether a file lies in a folder, by whatever names the two are known."""
    if isinstance(path, Path) and isinstance(folder, Path):
        return os.path.realpath(path.parent) == os.path.realpath(folder)
    return path.parent == folder


class _Writer:
    """How skeletons are written."""

    def __init__(self, unit: str, node_type: int, *, file_per_tree: bool) -> None:
        self._unit = unit
        self._node_type = node_type
        self._file_per_tree = file_per_tree

    def __call__(self, skeleton: Skeleton, stem: str, targets: _Targets) -> None:
        """Write a skeleton to the next free files."""
        trees = list(skeleton.flattened_trees())
        if self._file_per_tree:
            for tree in trees:
                self._write(skeleton, [tree], targets, f"{stem}_{tree.id}_{tree.name}")
        else:
            self._write(skeleton, trees, targets, stem)

    def _write(self, skeleton: Skeleton, trees: list[Tree], targets: _Targets, stem: str) -> None:
        path = targets.free(stem)
        if path.name.endswith(_KNOSSOS):
            write_knossos(skeleton, path)
        elif path.suffix == _SWC:
            write_swc(trees, path, unit=self._unit, node_type=self._node_type)
        else:
            skeleton.save(path)
        targets.written.append(path)
