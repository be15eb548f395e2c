"""What users say of how a bucket is reached, in the words of fsspec, and what the core takes for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wkfast.errors import AddressError

# Words of s3fs, gcsfs and adlfs, beside the core's own, which are those of the crate object_store.
_NAMES: dict[str, dict[str, str]] = {
    "s3": {
        "key": "aws_access_key_id",
        "secret": "aws_secret_access_key",
        "token": "aws_session_token",
        "endpoint_url": "aws_endpoint_url",
        "region_name": "aws_region",
        "anon": "aws_skip_signature",
        "profile": "aws_profile",
    },
    "gs": {
        "token": "google_service_account",
        "endpoint_url": "google_base_url",
        "anon": "google_skip_signature",
    },
    "az": {
        "account_name": "azure_storage_account_name",
        "account_key": "azure_storage_account_key",
        "sas_token": "azure_storage_sas_key",
        "tenant_id": "azure_storage_tenant_id",
        "client_id": "azure_storage_client_id",
        "client_secret": "azure_storage_client_secret",
        "endpoint_url": "azure_storage_endpoint",
        "anon": "azure_skip_signature",
    },
    "http": {},
    "memory": {},
}
_PREFIXES = {"s3": "aws_", "gs": "google_", "az": "azure_"}
# Of all servers: whether what a folder holds is listed.
_OF_ALL = {"list": "wkfast_list"}
# Options that name a server.
_SERVERS = frozenset(
    {"aws_endpoint", "aws_endpoint_url", "aws_endpoint_url_s3", "google_base_url", "azure_storage_endpoint"}
)
_SERVER = re.compile(r"https?://[^\s/]+\S*", re.IGNORECASE)
# What says something of a library, and nothing of a bucket.
_IGNORED = frozenset({"asynchronous", "skip_instance_cache", "use_listings_cache", "default_block_size", "project"})


def core_options(scheme: str, given: Mapping[str, Any]) -> dict[str, str]:
    """Return storage options as the core takes them.

    Parameters
    ----------
    scheme
        Of the address: ``s3``, ``gs``, ``az``, ``http`` (``https`` too) or ``memory``.
    given
        As fsspec and ``UPath`` spell them (``key``, ``secret``, ``endpoint_url``, ``anon``, ``client_kwargs``, …), or
        as ``object_store`` does (``aws_region``, …). Of all servers ``list``: with ``False`` nothing is listed, and all
        that the shape of a Zarr array has room for is taken for there until it is read.

    Raises
    ------
    AddressError
        An option that nobody knows, one whose value is no text, number or truth value, or a server that is named
        without ``http://`` or ``https://``. No value is told.

    Examples
    --------
    >>> core_options("s3", {"anon": True, "client_kwargs": {"region_name": "eu-west-1"}})
    {'aws_skip_signature': 'true', 'aws_region': 'eu-west-1'}
    """
    names = {**_NAMES[scheme], **_OF_ALL}
    options: dict[str, str] = {}
    for name, value in _flat(given):
        if name in _IGNORED or value is None or (name == "anon" and value is False):
            continue
        known = names.get(name, name if name.startswith((_PREFIXES.get(scheme, "\0"), "wkfast_")) else None)
        if known is None and scheme != "http":
            raise AddressError(f"unknown storage option {name!r} for {scheme}://; known: {', '.join(sorted(names))}")
        options[known or name] = _text(name, value)
        if known in _SERVERS and not _SERVER.fullmatch(options[known]):
            raise AddressError(
                f"the storage option {name!r} has to begin with http:// or https://, and to name a server"
            )
    if options.get("google_service_account") == "anon":
        del options["google_service_account"]
        options["google_skip_signature"] = "true"
    return options


def _flat(given: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return all options; what fsspec hands on to a client is one of them."""
    inner = given.get("client_kwargs") or {}
    if not isinstance(inner, Mapping):
        raise AddressError("the storage option 'client_kwargs' is no mapping")
    return [*((name, value) for name, value in given.items() if name != "client_kwargs"), *inner.items()]


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise AddressError(f"the storage option {name!r} is no text, number or truth value but a {type(value).__name__}")
