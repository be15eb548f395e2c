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
# container@account.dfs.core.windows.net
_AZURE = re.compile(r"([^@/]+)@([^./]+)\.[^/]+")


def object_path(path: object, storage_options: Mapping[str, Any] | None = None) -> ObjectPath | None:
    """Return what an address names; ``None`` for a path of this machine.

    Parameters
    ----------
    path
        Text such as ``s3://bucket/folder``, a ``UPath``, whose own options count where none are given, or an
        :class:`ObjectPath`.
    storage_options
        See :class:`ObjectPath`, also for what is raised.

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

    __slots__ = ("__dict__", "_options", "storage_options", "url")

    def __init__(self, url: str, storage_options: Mapping[str, Any] | None = None) -> None:
        scheme, _, rest = url.partition("://")
        known = _SCHEMES.get(scheme.lower())
        if known is None:
            raise AddressError(f"{shown(url)}: wkfast knows s3://, gs://, az:// and https://, not {scheme}://")
        given = dict(storage_options or {})
        account = _AZURE.match(rest) if known == "az" else None
        if account:
            rest = account[1] + rest[account.end() :]
            given.setdefault("account_name", account[2])
        url = f"{known}://{rest.rstrip('/')}"
        self._set(url, given, core_options(_kind_of(url), given))

    def _set(self, url: str, storage_options: dict[str, Any], options: dict[str, str]) -> None:
        self.url = url
        self.storage_options = storage_options
        # As the core takes them.
        self._options = options

    @classmethod
    def of_container(cls, container: Mapping[str, Any]) -> ObjectPath:
        """Return the folder that plain data for the core mean: see :attr:`container`."""
        return cls(container["url"], container["options"])

    def _at(self, url: str) -> ObjectPath:
        """Return another file or folder that is reached in the same way."""
        other = ObjectPath.__new__(ObjectPath)
        other._set(url, self.storage_options, self._options)
        return other

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
        return self._at(f"{scheme}://{above or rest}")

    @property
    def parents(self) -> Iterator[ObjectPath]:
        """The folders around it, from the inside, up to the bucket.

        Examples
        --------
        >>> [str(folder) for folder in ObjectPath("s3://bucket/a/b").parents]
        ['s3://bucket/a', 's3://bucket']
        """
        folder = self
        while (above := folder.parent).url != folder.url:
            folder = above
            yield folder

    def absolute(self) -> ObjectPath:
        """Return itself: an address does not depend on where one is."""
        return self

    @property
    def _parts(self) -> PurePosixPath:
        rest = self.url.partition("://")[2]
        return PurePosixPath(unquote(rest) if _kind_of(self.url) == "http" else rest)

    def __truediv__(self, below: str) -> ObjectPath:
        parts = [part for part in below.split("/") if part not in {"", "."}]
        if ".." in parts:
            raise AddressError(f"{self}: {below!r} leads out of it")
        joined = "/".join(quote(part) if _kind_of(self.url) == "http" else part for part in parts)
        return self._at(f"{self.url}/{joined}") if joined else self

    @property
    def container(self) -> _core.Container:
        """The folder, for the core: see ``_core.MagLocation``."""
        return {"kind": "objects", "url": self.url, "options": self._options}

    @cached_property
    def _objects(self) -> _core.Objects:
        return _core.Objects(self.url, self._options)

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

    def __reduce__(self) -> tuple[type[ObjectPath], tuple[str, dict[str, Any]]]:
        return ObjectPath, (self.url, self.storage_options)

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


def _kind_of(url: str) -> str:
    """Return what options of an address are called after."""
    scheme = url.partition("://")[0]
    return "http" if scheme == "https" else scheme
