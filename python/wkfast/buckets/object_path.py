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
    from collections.abc import Iterator, Mapping, Sequence

_SCHEMES = {
    "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az", "abfss": "az", "adl": "az",
    "http": "http", "https": "https", "memory": "memory",
}  # fmt: skip
Version = tuple[str | None, str | None]
"""Tag and number of an object, as far as its server has them."""
# No object is called so. Asked for its state alone, servers say the same of no object and of no bucket.
_NOBODY = ".wkfast-is-there-a-bucket"
_MOST_BYTES_OF_NOBODY = 1 << 20
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
        ``list=False``: nothing is listed, see the page on buckets.

    Attributes
    ----------
    url
        The address, with one spelling for each kind of server and no ``/`` at its end.
    storage_options
        What was given.

    Raises
    ------
    AddressError
        Its scheme is none that wkfast knows, an option is unknown, it comes with a query, holds credentials or a server
        where a bucket's name belongs, or leads out of a folder by ``..``.

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
        _check(url, _kind_of(f"{known}://"), rest)
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

    def resolve(self) -> ObjectPath:
        """Return itself: there are no links in a bucket."""
        return self

    def is_relative_to(self, other: object) -> bool:
        """Return whether it lies in a folder, or is that folder, and both are reached in the same way.

        Examples
        --------
        >>> ObjectPath("s3://bucket/a/b").is_relative_to(ObjectPath("s3://bucket/a"))
        True
        """
        if not isinstance(other, ObjectPath) or other.storage_options != self.storage_options:
            return False
        return f"{self.url}/".startswith(f"{other.url}/")

    def relative_to(self, other: ObjectPath) -> PurePosixPath:
        """Return where it lies in a folder, see :meth:`is_relative_to`.

        Raises
        ------
        AddressError
            It does not lie there.
        """
        if not self.is_relative_to(other):
            raise AddressError(f"{self} does not lie in {other}")
        return PurePosixPath(self.url.removeprefix(other.url).lstrip("/"))

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

    def zip_container(self, member: str | None = None, state: str | None = None) -> _core.Container:
        """Return the zip file that it is, for the core.

        Parameters
        ----------
        member
            The zip file inside it that is meant instead.
        state
            What :meth:`state` told: in another state it is not read. ``None``: in any.
        """
        file = self.object_file(state)
        return {"kind": "objectzip", "folder": file["folder"], "name": self.name, "member": member, "state": state}

    def object_file(self, state: str | None = None) -> _core.ObjectFile:
        """Return the file for the core, which reads it in the state that is known, if one is, and in no other."""
        return {"folder": {"url": self.parent.url, "options": self._options}, "name": self.name, "state": state}

    @cached_property
    def _objects(self) -> _core.Objects:
        return _core.Objects(self.url, self._options)

    def endpoint(self) -> str | None:
        """Return the server of S3 that is named for it: by an option, the environment or a profile of AWS's tools."""
        return self._objects.endpoint()

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

    def read_files(self, names: Sequence[str], limit: int) -> list[bytes | None]:
        """Return what files of the folder hold, all asked for at once; ``None`` where there is none.

        Parameters
        ----------
        names
            Where they lie in the folder.
        limit
            Bytes that each may have.

        Examples
        --------
        >>> folder = ObjectPath("memory://bucket/some")
        >>> (folder / "a").write(b"text")
        >>> folder.read_files(["a", "b"], 1000)
        [b'text', None]
        """
        return self._objects.read_all(list(names), limit)

    def size(self) -> int | None:
        """Return the bytes of the file, ``None`` where there is none."""
        return self.parent._objects.size(self.name)

    def is_file(self) -> bool:
        """Return whether there is an object of this name."""
        return self.size() is not None

    def exists(self) -> bool:
        """Return the same: folders are in the names of objects alone."""
        return self.is_file()

    def state(self) -> str:
        """Return what tells the file from another one of its name.

        Raises
        ------
        FileNotFoundError
            There is none.
        """
        state = self.parent._objects.state(self.name)
        if state is None:
            raise FileNotFoundError(f"{self} is not there")
        return state

    @property
    def takes_changes(self) -> bool:
        """Whether it lies in a bucket, where objects are put, and not on a server of files."""
        return _kind_of(self.url) != "http"

    def require_changes(self) -> None:
        """Make sure that objects can be put there.

        Raises
        ------
        AddressError
            It is on a server of files.
        """
        if not self.takes_changes:
            raise AddressError(f"{self}: a server of files takes none; choose a bucket or a folder")

    def read_version(self, limit: int) -> tuple[bytes, Version] | None:
        """Return what the file holds and what tells it from the one that takes its place, ``None`` where there is none.

        Raises
        ------
        VolumeDataError, ObjectStoreError
            As of :meth:`read`.
        """
        return self.parent._objects.read_version(self.name, limit)

    def write(self, content: bytes) -> None:
        """Make `content` what the file holds, whatever it held.

        Raises
        ------
        ObjectStoreError
            The server refuses, as one of files does, or does not answer.

        Examples
        --------
        >>> path = ObjectPath("memory://bucket/folder/a.txt")
        >>> path.write(b"text")
        >>> path.read(100), path.parent.files()
        (b'text', [('a.txt', 4)])
        """
        self.parent._objects.put(self.name, content)

    def put_file(self, file: Path) -> int:
        """Make what a file of this machine holds what this one holds, sent in parts, and return its bytes.

        Raises
        ------
        ObjectStoreError
            As of :meth:`write`; what was there stays.
        """
        return self.parent._objects.put_file(self.name, file)

    def fetch(self, file: Path) -> int | None:
        """Write what the file holds into one of this machine and return its bytes; ``None`` where there is none."""
        return self.parent._objects.fetch(self.name, file)

    def write_if(self, content: bytes, version: Version | None = None) -> Version | None:
        """Make `content` what the file holds if it is still of a version, or if there is still none.

        Parameters
        ----------
        content
            All bytes of the file.
        version
            What :meth:`read_version` or this told; ``None``: there is to be none.

        Returns
        -------
        tuple or None
            The new version; ``None``, and nothing is done, where somebody else came first.

        Examples
        --------
        >>> path = ObjectPath("memory://bucket/other/b.txt")
        >>> version = path.write_if(b"first")
        >>> path.write_if(b"second") is None, path.write_if(b"second", version) is None
        (True, False)
        """
        return self.parent._objects.put_if(self.name, content, version)

    def remove(self) -> None:
        """Remove the file; nothing happens where there is none."""
        self.parent.remove_files([self.name])

    def remove_files(self, names: Sequence[str]) -> None:
        """Remove files of the folder, hundreds with each request; those that are not there are passed over."""
        self._objects.remove(list(names))

    def require_bucket(self) -> None:
        """Make sure, by one request, that the bucket is there and may be read.

        Raises
        ------
        ObjectStoreError
            It is not, or the server refuses or does not answer. Where listing is forbidden, servers refuse to tell that
            an object is not there.

        Examples
        --------
        >>> ObjectPath("memory://bucket/folder").require_bucket()
        """
        self._objects.read(_NOBODY, _MOST_BYTES_OF_NOBODY)

    def files(self) -> list[tuple[str, int]]:
        """Return all files in the folder and those below: where each lies in it, and its bytes.

        Raises
        ------
        ObjectStoreError
            There is no such bucket, the server does not allow it, or is one of files, which cannot be listed.
        """
        return self._objects.list("")

    def remove_folder(self, last: str = "") -> None:
        """Remove all files in the folder and those below.

        Parameters
        ----------
        last
            A file that goes when all others are gone, so that it tells of what a killed call has left.
        """
        names = [name for name, _ in self.files()]
        self.remove_files([name for name in names if name != last])
        if last in names:
            self.remove_files([last])

    def take_lease(self, name: str, renewal: float, silence: float) -> tuple[_core.ObjectLease, bool] | None:
        """Return a file of the folder that says that this process is at work, and whether one that is over was there.

        Parameters
        ----------
        name
            Of the file.
        renewal
            Seconds after which it is put anew, again and again.
        silence
            Seconds after which one of others that nobody puts anew is over.

        Returns
        -------
        tuple or None
            ``None`` where another process is at work.
        """
        return self._objects.take_lease(name, renewal, silence)

    def is_lease_over(self, name: str, silence: float) -> bool | None:
        """Return whether there is such a file that is over; ``None`` if there is none.

        Parameters
        ----------
        name, silence
            See :meth:`take_lease`.
        """
        return self._objects.is_lease_over(name, silence)

    def copied_from(self, source: ObjectPath, size: int) -> bool:
        """Let the server make the file a copy of another one of `size` bytes; no byte comes here.

        Parameters
        ----------
        source
            The other file.
        size
            Its bytes, see :meth:`files`: large ones are copied in parts.

        Returns
        -------
        bool
            Whether it did; it does within a bucket.
        """
        return self.parent._objects.copy_from(source.parent._objects, source.name, size, self.name)

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


def core_file(path: Path | ObjectPath, state: object = None) -> str | _core.ObjectFile:
    """Return a file as the core takes it; of one in a bucket the state that it has to be in, if that is known.

    Examples
    --------
    >>> from pathlib import Path
    >>> core_file(Path("a.nml")), core_file(ObjectPath("memory://bucket/a.nml"))["name"]
    ('a.nml', 'a.nml')
    """
    if isinstance(path, ObjectPath):
        return path.object_file(state if isinstance(state, str) else None)
    return str(path)


def core_folder(folder: Path | ObjectPath) -> str | dict[str, Any]:
    """Return a folder as the core takes it, which goes into JSON.

    Examples
    --------
    >>> from pathlib import Path
    >>> core_folder(Path("merged")), core_folder(ObjectPath("s3://bucket/merged"))
    ('merged', {'url': 's3://bucket/merged', 'options': {}})
    """
    if isinstance(folder, ObjectPath):
        return {name: folder.container[name] for name in ("url", "options")}
    return str(folder)


def _check(url: str, kind: str, rest: str) -> None:
    """Refuse what no request could be made of, before one is."""
    if kind == "http" and ("?" in rest or "#" in rest):
        raise AddressError(f"{shown(url)}: has a query or fragment, which wkfast does not send")
    host, *keys = rest.strip("/").split("/")
    if kind in {"s3", "gs"} and ":" in host and "@" in rest:
        raise AddressError(f"{shown(url)}: holds credentials, which messages would show; give them as storage_options=")
    if kind == "s3" and ":" in host:
        raise AddressError(
            f"{url}: {host!r} is no bucket; write s3://BUCKET/FOLDER, and name the server as the option endpoint_url"
        )
    if "." in keys or ".." in keys:
        raise AddressError(f"{shown(url)}: has . or .. in it, which servers take for names; write where it leads")


def _kind_of(url: str) -> str:
    """Return what options of an address are called after."""
    scheme = url.partition("://")[0]
    return "http" if scheme == "https" else scheme
