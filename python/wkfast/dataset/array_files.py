"""Arrays and groups of Zarr where they lie: in folders, or in a zip file that is read in place."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast.addresses import local_path
from wkfast.buckets import ObjectPath, stated_address
from wkfast.dataset.data_format import FACTS, DataFormat
from wkfast.dataset.links import is_file
from wkfast.dataset.metadata_files import GROUP_FILES, ZARR_FILES, read_json
from wkfast.errors import DatasetError, DatasetNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wkfast.dataset.layer_properties import Json


@dataclass(frozen=True)
class ArrayFiles:
    """A folder with an array, a group or neither.

    Attributes
    ----------
    path
        The folder, which may lie in a bucket, or the zip file.
    inside
        Where the folder is in the zip file; empty for its root.
    archive
        The zip file, open; ``None`` for a folder on disk.
    """

    path: Path | ObjectPath
    inside: str = ""
    archive: _core.Archive | None = field(default=None, compare=False, repr=False)

    @classmethod
    def in_zip(cls, path: Path) -> ArrayFiles:
        """Return the outermost array or group in a zip file.

        Raises
        ------
        VolumeDataError
            It is no zip file, or damaged.
        DatasetNotFoundError
            There is no Zarr in it.
        """
        archive = _core.Archive(path)
        names = [PurePosixPath(name) for name in _core.AnnotationZip(path).names()]
        roots = sorted((name.parent for name in names if name.name in ZARR_FILES), key=lambda parent: len(parent.parts))
        if not roots:
            raise DatasetNotFoundError(f"{path} holds no array in Zarr: none of {', '.join(ZARR_FILES)} is in it")
        inside = roots[0].as_posix()
        return cls(path, "" if inside == "." else inside, archive)

    @property
    def here(self) -> Path:
        """The folder or zip file on this machine.

        Raises
        ------
        AddressError
            It lies in a bucket or on a server.
        """
        return local_path(self.path, "an array").absolute()

    @property
    def stated(self) -> str:
        """What ``path`` of a mag is that lies elsewhere than in its dataset: an absolute path, or an address."""
        return stated_address(self.path) if isinstance(self.path, ObjectPath) else str(self.here)

    @property
    def name(self) -> str:
        """Name for a layer."""
        name = PurePosixPath(self.inside).name or self.path.name
        return name.removesuffix(".zip") if self.archive is not None else name

    def at(self, below: str) -> ArrayFiles:
        """Return a folder in this one."""
        if self.archive is None:
            return ArrayFiles(self.path / below)
        return ArrayFiles(self.path, (PurePosixPath(self.inside) / below).as_posix(), self.archive)

    def around(self) -> Iterator[tuple[ArrayFiles, str]]:
        """Yield the folders around this one, from the inside, and where it is in them."""
        if self.archive is None:
            own, below = self.path.absolute(), ""
            for inner, folder in pairwise([own, *own.parents]):
                below = f"{inner.name}/{below}".rstrip("/")
                yield ArrayFiles(folder), below
        elif self.inside:
            within = PurePosixPath(self.inside)
            for parent in within.parents:
                inside = parent.as_posix().removeprefix(".")
                yield ArrayFiles(self.path, inside, self.archive), within.relative_to(parent).as_posix()

    def read(self, name: str) -> Any | None:
        """Return the JSON of a file in it, ``None`` where there is none.

        Raises
        ------
        DatasetError
            It is no JSON.
        """
        if self.archive is None:
            return read_json(self.path / name)
        content = self.archive.read(self._key(name))
        try:
            return None if content is None else json.loads(content)
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{self}/{name}: not valid JSON: {error}") from error

    def object(self, name: str) -> Json:
        """Return the JSON object of a file in it, an empty one where there is none."""
        found = self.read(name)
        return found if isinstance(found, dict) else {}

    @property
    def data_format(self) -> DataFormat | None:
        """Format of the mag or array; ``None`` for a group, and where there is nothing."""
        found = next((each for each, facts in FACTS.items() if self._has(facts.metadata)), None)
        if found is DataFormat.Zarr3 and self.object("zarr.json").get("node_type") == "group":
            return None
        return found

    @property
    def is_group(self) -> bool:
        """Whether there are the metadata of a group."""
        return self.data_format is None and any(map(self._has, GROUP_FILES))

    @property
    def place(self) -> Json:
        """Container and prefix, for the core: see ``_core.MagLocation``."""
        if isinstance(self.path, ObjectPath):
            return {"container": self.path.container, "prefix": ""}
        if self.archive is None:
            return {"container": {"kind": "directory", "path": str(self.here)}, "prefix": ""}
        container = {"kind": "zip", "path": str(self.here), "member": None}
        return {"container": container, "prefix": self.inside}

    def _has(self, name: str) -> bool:
        if self.archive is None:
            return is_file(self.path / name)
        return self.archive.read(self._key(name)) is not None

    def _key(self, name: str) -> str:
        return f"{self.inside}/{name}" if self.inside else name

    def __str__(self) -> str:
        return f"{self.path}/{self.inside}".rstrip("/")
