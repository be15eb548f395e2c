"""The annotation zip: which member is the NML, which hold voxels, and what else is in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast.buckets import ObjectPath, any_path, core_file, read_whole
from wkfast.errors import (
    AnnotationFileNotFoundError,
    AnnotationSuffixError,
    AnnotationZipError,
    FileNameError,
    VolumeDataError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from wkfast.records import Record


# KNOSSOS packs its NML into a .k.zip under this name.
_KNOSSOS = "annotation.xml"


@dataclass(frozen=True)
class AnnotationFile:
    """A file that holds an annotation.

    Attributes
    ----------
    path
        The ``.nml`` or ``.zip``.
    nml_member
        Name of the NML in the zip, ``None`` for an ``.nml``.
    other_members
        The zip's other files.
    """

    path: Path | ObjectPath
    nml_member: str | None
    other_members: tuple[str, ...]
    # Keeps the zip open while it is loaded: its directory is read once.
    _zip: _core.AnnotationZip | None = field(default=None, repr=False, compare=False)

    @classmethod
    def open(
        cls, annotation_path: str | PathLike[str] | ObjectPath, storage_options: Mapping[str, Any] | None = None
    ) -> AnnotationFile:
        """Look at the file without reading it.

        Raises
        ------
        AnnotationFileNotFoundError
            There is none.
        AnnotationSuffixError
            It is neither ``.nml`` nor ``.zip``.
        AnnotationZipError
            It is no zip, or does not hold exactly one NML.
        """
        try:
            path = any_path(annotation_path, "an annotation", storage_options)
        except FileNameError as error:
            raise AnnotationFileNotFoundError(f"cannot load the annotation {error}") from None
        require_suffix(path)
        if path.suffix == ".nml":
            require_file(path)
            return cls(path, None, ())
        archive = _opened(path)
        names = archive.names()
        nmls = nml_members(names)
        if len(nmls) != 1:
            found = ", ".join(sorted(nmls)) or "none"
            raise AnnotationZipError(f"{path} must hold exactly one .nml, found {len(nmls)}: {found}")
        return cls(path, nmls[0], tuple(name for name in names if name != nmls[0]), archive)

    @property
    def state(self) -> str | None:
        """What tells the zip from others of its name, if it lies in a bucket or on a server of files."""
        return None if self._zip is None else self._zip.state()

    @property
    def source(self) -> str | _core.ObjectFile:
        """The file for the core: the one that was looked at."""
        return core_file(self.path, self.state)

    def text(self) -> bytes:
        """Return the whole text of the NML."""
        if self._zip is not None and self.nml_member is not None:
            return self._zip.read(self.nml_member)
        return read_whole(self.path)

    def beginning(self) -> Record:
        """Return what the NML says before its first tree; no more of it is read.

        Raises
        ------
        NmlError
            It is none.
        """
        stream = _core.TreeStream(self.source, self.nml_member)
        next(stream, None)
        return stream.header

    @property
    def annotation_name(self) -> str:
        """Name of the annotation: stem of the NML."""
        return PurePosixPath(self.nml_member).stem if self.nml_member is not None else self.path.stem


def _opened(path: Path | ObjectPath) -> _core.AnnotationZip:
    try:
        return _core.AnnotationZip(core_file(path))
    except (OSError, VolumeDataError, AnnotationZipError):
        require_file(path)
        raise


def require_file(path: Path | ObjectPath) -> None:
    """Make sure that there is a file at `path`.

    Raises
    ------
    AnnotationFileNotFoundError
        There is none.
    """
    reason = _why_no_file(path)
    if reason:
        raise AnnotationFileNotFoundError(f"cannot load the annotation {path}: {reason}")


def _why_no_file(path: Path | ObjectPath) -> str | None:
    if isinstance(path, ObjectPath):
        # Asked for its size, a server does not say that even the bucket is missing; asked for the object, it does.
        return None if path.is_file() or path.read(0) is not None else "there is no such object"
    try:
        if path.is_file():
            return None
        found = "it is no regular file" if path.exists() else "there is no such file"
        return "it is a folder" if path.is_dir() else found
    except OSError as error:  # a name that no file can have, a folder that may not be looked into
        return error.strerror


def require_suffix(path: Path | ObjectPath) -> None:
    """Make sure that `path` ends in ``.nml`` or ``.zip``.

    Raises
    ------
    AnnotationSuffixError
        It does not.
    """
    if path.suffix not in {".nml", ".zip"}:
        raise AnnotationSuffixError(f"{path}: an annotation file ends in .nml or .zip, not in {path.suffix!r}")


def nml_members(names: Sequence[str]) -> list[str]:
    """Return those members of a zip that are NMLs: one in an annotation, many in what a project is downloaded as."""
    own = [name for name in names if not _is_of_macos(name)]
    nmls = [name for name in own if name.endswith(".nml")]
    return nmls or [name for name in own if PurePosixPath(name).name == _KNOSSOS]


def _is_of_macos(name: str) -> bool:
    """Return whether a member is what macOS packs beside a file: it is called like it, and holds something else."""
    parts = name.replace("\\", "/").split("/")
    return "__MACOSX" in parts or parts[-1].startswith("._")
