"""What users hand over as a path: a path of this machine, or the address of something in a bucket or on a server."""

from __future__ import annotations

import os
import re
from os import PathLike, fspath
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from wkfast.errors import AddressError, FileNameError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
# What pathlib makes of an address, which is no folder that anybody means.
_FLATTENED = re.compile(r"(s3a?|gs|gcs|az|adl|abfss?|https?|memory|ftp|sftp|hdfs|file):(/|$)")


def address_of(path: object) -> str | None:
    """Return the address that a path is, as text; ``None`` for a path of this machine.

    Text is an address if it begins with ``scheme://``, and so is a path object like ``UPath`` whose text does.

    Examples
    --------
    >>> address_of("s3://bucket/key"), address_of("data/layer"), address_of("file:///data")
    ('s3://bucket/key', None, None)
    """
    text = str(path) if isinstance(path, str) or hasattr(path, "storage_options") else ""
    found = _SCHEME.match(text)
    return text if found and found[1].lower() != "file" else None


def is_path(value: object) -> bool:
    """Return whether a value is a path or an address, and not the thing itself.

    Examples
    --------
    >>> is_path("s3://bucket/key"), is_path(3)
    (True, False)
    """
    return isinstance(value, str | PathLike) or address_of(value) is not None


def local_path(path: Any, what: str = "this") -> Path:
    """Return a path of this machine.

    Parameters
    ----------
    path
        Text, a path object, or text that begins with ``file://``.
    what
        What the path is for, as the subject of an error.

    Raises
    ------
    AddressError
        A ``ValueError`` and ``TypeError``: it lies in a bucket or on a server, is no path at all, or one that no file
        can have. No folder is made that is called like its scheme.

    Examples
    --------
    >>> local_path("file:///data/a%20b"), local_path("data")
    (PosixPath('/data/a b'), PosixPath('data'))
    """
    address = address_of(path)
    if address is not None:
        raise AddressError(f"{shown(address)}: {what} has to lie in a folder of this machine; copy it there first")
    text = path if isinstance(path, str) else fspath(path) if isinstance(path, PathLike) else None
    if not isinstance(text, str):
        raise AddressError(f"{path!r} is no path: give text or a path object")
    if text.lower().startswith("file://"):
        parts = urlsplit(text)
        if parts.netloc not in {"", "localhost"}:
            raise AddressError(f"{text}: names the machine {parts.netloc!r}; for a file of this one write file:///…")
        return _path(unquote(parts.path))
    if _FLATTENED.match(text):
        raise AddressError(
            f"{text}: was an address before it became a pathlib.Path, which drops one of its slashes; {what} "
            "has to lie in a folder of this machine"
        )
    return _path(text)


def _path(text: str) -> Path:
    try:
        name = os.fsencode(text)
    except UnicodeEncodeError as error:
        raise FileNameError(f"{text!r}: no file can be called so: {error.reason}") from None
    if b"\0" in name:
        raise FileNameError(f"{text!r}: no file can be called so: no name holds a zero character")
    return Path(text)


def shown(address: str) -> str:
    """Return an address for messages.

    That of a file on a server comes without what follows ``?``, which may be a token; and none comes with a password,
    nor with the two halves of a key that some tools take there.

    Examples
    --------
    >>> shown("https://me:hush@host/file.nml?token=hush"), shown("s3://bucket/a?b"), shown("s3://key:hush@bucket/a")
    ('https://host/file.nml', 's3://bucket/a?b', 's3://bucket/a')
    """
    scheme, _, rest = address.partition("://")
    if scheme.lower() not in {"http", "https"}:
        # Secrets of S3 may have a slash in them; names of buckets have no colon.
        has_password = ":" in rest.partition("/")[0] and "@" in rest
        return f"{scheme}://{rest.partition('@')[2]}" if has_password else address
    host, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
