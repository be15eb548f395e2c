"""A file or folder in a bucket or on a server of files, with what scripts ask of a path."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from wkfast import _core
from wkfast.addresses import address_of, local_path, shown
from wkfast.buckets.storage_options import core_options
from wkfast.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SCHEMES = {
    "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az", "abfss": "az", "adl": "az",
    "http": "http", "https": "https", "memory": "memory",
}  # fmt: skip


def object_path(path: object, storage_options: Mapping[str, Any] | None = None) -> ObjectPath | None:
    """Return what an address names; ``None`` for a path of this machine.

    Parameters
    ----------
    path
        Text such as ``s3://bucket/folder``, a ``UPath``, whose own options count where none are given, or an
        :class:`ObjectPath`.
    storage_options
        See :class:`ObjectPath`.

    Raises
    ------
    AddressError
        Its scheme is none that wkfast knows, or an option is unknown.

    Examples
    --------
    >>> object_path("s3://bucket/folder/"), object_path("folder")
    (ObjectPath('s3://bucket/folder'), None)
    """
    if isinstance(path, ObjectPath):
        return path if storage_options is None else ObjectPath(path.url, storage_options)
    address = address_of(path)
    if address is None:
        return None
    own = getattr(path, "storage_options", None)
    return ObjectPath(address, storage_options if storage_options is not None else own)


def any_path(path: Any, what: str, storage_options: Mapping[str, Any] | None = None) -> Path | ObjectPath:
    """Return a path of this machine, or what an address names.

    Parameters
    ----------
    path, storage_options
        See :func:`object_path`.
    what
        What the path is for, as the subject of an error.

    Raises
    ------
    AddressError
        It is no path, or an address that wkfast does not know.

    Examples
    --------
    >>> any_path("folder", "a dataset"), any_path("gs://bucket/folder", "a dataset")
    (PosixPath('folder'), ObjectPath('gs://bucket/folder'))
    """
    return object_path(path, storage_options) or local_path(path, what)


class ObjectPath:
    """A file or folder in a bucket (``s3://``, ``gs://``, ``az://``) or on a server of files (``https://``).

    Parameters
    ----------
    url
        Its address. Keys of buckets are written as they are, addresses on servers percent-encoded. ``abfs://`` names an
        account as ``container@account.dfs.core.windows.net``.
    storage_options
        How it is reached, as fsspec spells it: ``key``, ``secret``, ``endpoint_url``, ``anon``, … Default: the
        environment (``AWS_*``, ``GOOGLE_*``, ``AZURE_*``), then AWS's profile, then no credentials. What is given here
        travels in pickles, so that workers can read; what the environment holds does not. Neither is ever shown.

    Raises
    ------
    AddressError
        Its scheme is none that wkfast knows, or an option is unknown.

    Examples
    --------
    >>> path = ObjectPath("s3://bucket/folder") / "data.nml"
    >>> str(path), path.name, path.parent.name, path.suffix
    ('s3://bucket/folder/data.nml', 'data.nml', 'folder', '.nml')
    """

    __slots__ = ("__dict__", "storage_options", "url")

    def __init__(self, url: str, storage_options: Mapping[str, Any] | None = None) -> None:
        scheme, _, rest = url.partition("://")
        known = _SCHEMES.get(scheme.lower())
        if known is None:
            raise AddressError(f"{shown(url)}: wkfast knows s3://, gs://, az:// and https://, not {scheme}://")
        self.storage_options = dict(storage_options or {})
        account = re.match(r"([^@/]+)@([^./]+)\.[^/]+", rest) if known == "az" else None
        if account:
            rest = account[1] + rest[account.end() :]
            self.storage_options.setdefault("account_name", account[2])
        self.url = f"{known}://{rest.rstrip('/')}"
        core_options(self._kind, self.storage_options)

    @property
    def _kind(self) -> str:
        scheme = self.url.partition("://")[0]
        return "http" if scheme == "https" else scheme

    @property
    def name(self) -> str:
        """Last part of the address."""
        return self._parts.name

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return self._parts.stem

    @property
    def suffix(self) -> str:
        """Ending of the name, with its dot."""
        return self._parts.suffix

    @property
    def parent(self) -> ObjectPath:
        """The folder that it lies in; of a bucket, itself."""
        scheme, _, rest = self.url.partition("://")
        above = rest.rpartition("/")[0]
        return ObjectPath(f"{scheme}://{above or rest}", self.storage_options)

    def around(self) -> Iterator[tuple[ObjectPath, str]]:
        """Yield the folders around this one, from the inside, and where it is in them.

        Examples
        --------
        >>> [(str(folder), below) for folder, below in ObjectPath("s3://bucket/a/b").around()]
        [('s3://bucket/a', 'b'), ('s3://bucket', 'a/b')]
        """
        folder, below = self, ""
        while folder.parent != folder:
            below = f"{folder.name}/{below}" if below else folder.name
            folder = folder.parent
            yield folder, below

    @property
    def _parts(self) -> PurePosixPath:
        rest = self.url.partition("://")[2]
        return PurePosixPath(unquote(rest) if self._kind == "http" else rest)

    def __truediv__(self, below: str) -> ObjectPath:
        parts = [part for part in below.split("/") if part not in {"", "."}]
        if ".." in parts:
            raise AddressError(f"{self}: {below!r} leads out of it")
        joined = "/".join(quote(part) if self._kind == "http" else part for part in parts)
        return ObjectPath(f"{self.url}/{joined}", self.storage_options) if joined else self

    @property
    def container(self) -> _core.Container:
        """The folder, for the core: see ``_core.MagLocation``."""
        return {"kind": "objects", "url": self.url, "options": core_options(self._kind, self.storage_options)}

    @cached_property
    def _objects(self) -> _core.Objects:
        return _core.Objects(self.url, core_options(self._kind, self.storage_options))

    def read(self, limit: int) -> bytes | None:
        """Return what the file holds, ``None`` where there is none.

        Raises
        ------
        VolumeDataError
            It holds more than `limit` bytes.
        ObjectStoreError
            An ``OSError``: the server refuses, or does not answer.
        """
        return self.parent._objects.read(self.name, limit)

    def size(self) -> int | None:
        """Return the bytes of the file, ``None`` where there is none."""
        return self.parent._objects.size(self.name)

    def is_file(self) -> bool:
        """Return whether there is an object of this name."""
        return self.size() is not None

    def list(self, prefix: str = "") -> list[tuple[str, int]]:
        """Return the names below this folder that begin with `prefix`, and their bytes."""
        return self._objects.list(prefix)

    def __getstate__(self) -> tuple[str, dict[str, Any]]:
        return self.url, self.storage_options

    def __setstate__(self, state: tuple[str, dict[str, Any]]) -> None:
        self.url, self.storage_options = state

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ObjectPath):
            return NotImplemented
        return (self.url, self.storage_options) == (other.url, other.storage_options)

    def __hash__(self) -> int:
        return hash(self.url)

    def __str__(self) -> str:
        return shown(self.url)

    def __repr__(self) -> str:
        return f"ObjectPath({str(self)!r})"
