"""Annotation files in a bucket: loaded by wkfast, and fetched whole by obstore, which is the bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benches.python.bucket_server import BUCKET, KEY, REGION, SECRET, options

if TYPE_CHECKING:
    from collections.abc import Callable


def wkfast_load(url: str, name: str) -> Callable[[], Any]:
    """``Annotation.load`` of an object."""
    import wkfast as wk
    from wkfast.buckets import ObjectPath

    path = ObjectPath(f"s3://{BUCKET}/{name}", options(url))
    path.size()  # connects, as the other has
    return lambda: wk.Annotation.load(path)


def wkfast_fetch(url: str, name: str) -> Callable[[], int]:
    """The object as bytes, by one request of wkfast's."""
    from wkfast.buckets import ObjectPath

    path = ObjectPath(f"s3://{BUCKET}/{name}", options(url))
    path.size()
    return lambda: len(path.read(1 << 40) or b"")


def obstore_fetch(url: str, name: str) -> Callable[[], int]:
    """The same by obstore."""
    from obstore import get, head
    from obstore.store import S3Store

    keys = {"access_key_id": KEY, "secret_access_key": SECRET, "endpoint": url, "region": REGION}
    store = S3Store(BUCKET, client_options={"allow_http": True}, **keys)
    head(store, name)
    return lambda: len(get(store, name).bytes())


def check_wkfast_load(annotation: Any) -> str:
    """Nodes and volume layers."""
    return f"{annotation.skeleton.get_total_node_count()} {len(annotation.volume_layers)}"


def check_wkfast_fetch(length: int) -> int:
    """Bytes that came."""
    return length


check_obstore_fetch = check_wkfast_fetch
