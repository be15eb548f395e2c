"""Addresses as ``datasource-properties.json`` states them.

WEBKNOSSOS spells an object of any server that speaks S3 as ``s3://HOST/BUCKET/KEY`` there, where tools of the command
line write ``s3://BUCKET/KEY``.
"""

from __future__ import annotations

import os
import re

from wkfast.buckets.object_path import ObjectPath
from wkfast.errors import AddressError

# The host of a bucket that is AWS's own: the endpoint follows from its region.
_AWS = re.compile(r"s3([.-][a-z0-9-]+)?\.amazonaws\.com")


def stated_path(address: str, near: ObjectPath | None = None) -> ObjectPath:
    """Return what an address of ``datasource-properties.json`` names.

    Parameters
    ----------
    address
        ``s3://HOST/BUCKET/KEY``, or an address of another scheme. A host without a dot or port is a bucket.
    near
        Where the dataset lies: its options reach what lies on the same server.

    Examples
    --------
    >>> path = stated_path("s3://store.example.org:9000/bucket/layer/1")
    >>> str(path), path.storage_options["endpoint_url"]
    ('s3://bucket/layer/1', 'https://store.example.org:9000')
    """
    scheme, _, rest = address.partition("://")
    if scheme.lower() not in {"s3", "s3a"}:
        return ObjectPath(address, _shared(near, address))
    host, _, inside = rest.partition("/")
    if not ("." in host or ":" in host):
        return ObjectPath(address, _shared(near, address))
    own = near.storage_options if near is not None and _host_of(near) == host else {}
    known = ObjectPath("s3://any", own).endpoint()
    endpoint = {} if _AWS.fullmatch(host) else {"endpoint_url": f"https://{host}"}
    if known is not None and _host(known) == host:
        endpoint = {} if own else {"endpoint_url": known}
    return ObjectPath(f"s3://{inside}", {**own, **endpoint, **_credentials(host, inside)})


def stated_address(path: ObjectPath) -> str:
    """Return how ``datasource-properties.json`` states a path: the reverse of :func:`stated_path`.

    Examples
    --------
    >>> stated_address(ObjectPath("s3://bucket/layer/1", {"endpoint_url": "https://store.example.org:9000"}))
    's3://store.example.org:9000/bucket/layer/1'
    """
    if not path.url.startswith("s3://"):
        return path.url
    return f"s3://{_host_of(path)}/{path.url.removeprefix('s3://')}"


def written_address(path: ObjectPath) -> str:
    """Return what :func:`stated_address` does, to be written into a file.

    Raises
    ------
    AddressError
        It would tell a password.

    Examples
    --------
    >>> written_address(ObjectPath("https://me:hush@host/1"))
    Traceback (most recent call last):
    ...
    wkfast.errors.AddressError: https://host/1: its name and password would be written down; refer to it without them
    """
    if "@" in path.url.split("/")[2]:
        raise AddressError(f"{path}: its name and password would be written down; refer to it without them")
    return stated_address(path)


def _host_of(path: ObjectPath) -> str:
    return _host(path.endpoint() or "https://s3.amazonaws.com")


def _host(endpoint: str) -> str:
    """Return the server that an endpoint names, without a name and password before it."""
    return endpoint.partition("://")[2].partition("/")[0].rpartition("@")[2]


def _shared(near: ObjectPath | None, address: str) -> dict[str, object]:
    """Return the options of `near` where the address is of the same bucket or server."""
    if near is None:
        return {}
    return dict(near.storage_options) if near.url.split("/")[:3] == address.split("/")[:3] else {}


def _credentials(host: str, inside: str) -> dict[str, str]:
    """Return the credentials that the environment has for a path, as the reference package names them.

    ``AWS_ACCESS_KEY_ID__HOST__BUCKET`` and further parts of the key, what is longest first; what is no letter of a name
    becomes ``_``.
    """
    parts = [host, *(part for part in inside.split("/") if part)]
    while parts:
        suffix = re.sub(r"[.:-]", "_", "__".join(parts)).upper()
        key = os.environ.get(f"AWS_ACCESS_KEY_ID__{suffix}")
        secret = os.environ.get(f"AWS_SECRET_ACCESS_KEY__{suffix}")
        if key and secret:
            return {"key": key, "secret": secret}
        parts.pop()
    return {}
