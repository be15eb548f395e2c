"""Reading from buckets and servers of files, and merging within a bucket, by wkfast, the reference and others."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from benches.python.bucket_server import BUCKET, KEY, REGION, SECRET, options
from benches.python.volume_jobs import LAYER
from benches.python.volumes import DATASET

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

READS, SMALL = 1000, 32
CHECKED = "checked"
#: What the bar of a merge copies at once.
AT_ONCE = 64


def wkfast_read(kind: str, url: str, name: str, _edge: str) -> Callable[[], NDArray[Any]]:
    """``MagView.read`` of everything."""
    return _wkfast(kind, url, name).read


def reference_read(kind: str, url: str, name: str, _edge: str) -> Callable[[], NDArray[Any]]:
    """The same in the reference package."""
    import webknossos as wk
    from upath import UPath

    if kind == "s3":
        path = UPath(f"s3://{BUCKET}/{name}", key=KEY, secret=SECRET, endpoint_url=url)
    else:
        path = UPath(f"{url}/{name}")
    return wk.Dataset.open(path).get_layer(LAYER).get_mag(1).read


def tensorstore_read(kind: str, url: str, name: str, edge: str) -> Callable[[], NDArray[Any]]:
    """The same by tensorstore, in the order in which the reference wants it."""
    array = _tensorstore(kind, url, name, int(edge))
    return lambda: array.read(order="F").result()


def zarr_read(kind: str, url: str, name: str, edge: str) -> Callable[[], NDArray[Any]]:
    """The same by zarr-python over obstore."""
    import zarr
    from obstore.store import HTTPStore, S3Store
    from zarr.storage import ObjectStore

    plain = {"allow_http": True}
    if kind == "s3":
        keys = {"access_key_id": KEY, "secret_access_key": SECRET, "endpoint": url, "region": REGION}
        store: Any = S3Store(BUCKET, prefix=f"{name}/{LAYER}/1", client_options=plain, **keys)
    else:
        store = HTTPStore(f"{url}/{name}/{LAYER}/1", client_options=plain)
    array, n = zarr.open_array(ObjectStore(store, read_only=True), mode="r"), int(edge)
    return lambda: array[:, :n, :n, :n]


def wkfast_small_reads(kind: str, url: str, name: str, edge: str) -> Callable[[], int]:
    """Random 32³ boxes on the grid of chunks, one after the other; indexes of shards are known."""
    mag = _wkfast(kind, url, name)
    return _small_reads(lambda at: mag.read(absolute_offset=at, size=(SMALL,) * 3), int(edge))


def tensorstore_small_reads(kind: str, url: str, name: str, edge: str) -> Callable[[], int]:
    """The same by tensorstore as its defaults are: its cache, which would hold indexes, is of no bytes."""
    return _tensorstore_small(_tensorstore(kind, url, name, int(edge)), int(edge))


def tensorstore_cached_small_reads(kind: str, url: str, name: str, edge: str) -> Callable[[], int]:
    """The same with a cache of 100 MB, in which it keeps indexes."""
    return _tensorstore_small(_tensorstore(kind, url, name, int(edge), cache=100_000_000), int(edge))


def wkfast_merge(annotation: str, url: str, datasets: str) -> Callable[[], Any]:
    """``merge_fallback_layer`` from bucket to bucket."""
    import wkfast as wk
    from wkfast.buckets import ObjectPath

    loaded, target = wk.Annotation.load(annotation), f"merged-{os.getpid()}"
    there = ObjectPath(f"s3://{BUCKET}", options(url))
    return lambda: loaded.merge_fallback_layer(there / target, there / datasets) and (url, target)


def copied(_annotation: str, url: str, datasets: str) -> Callable[[], Any]:
    """Copies of the fallback's objects by the server, so many at once: the bar where nothing is touched."""
    from obstore import copy

    return _each_object(url, datasets, copy)


def passed(_annotation: str, url: str, datasets: str) -> Callable[[], Any]:
    """The fallback's objects fetched and put again, so many at once: the bar where all are touched."""
    from obstore import get, put

    return _each_object(url, datasets, lambda store, name, new: put(store, new, get(store, name).bytes()))


def _each_object(url: str, datasets: str, work: Callable[[Any, str, str], object]) -> Callable[[], Any]:
    from obstore import list  # noqa: A004 - obstore's name
    from obstore.store import S3Store

    keys = {"access_key_id": KEY, "secret_access_key": SECRET, "endpoint": url, "region": REGION}
    store = S3Store(BUCKET, client_options={"allow_http": True}, **keys)
    target = f"copied-{os.getpid()}"
    source = f"{datasets}/{DATASET}"

    def all_of_them() -> tuple[str, str]:
        names = [entry["path"] for page in list(store, prefix=source) for entry in page]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(lambda name: work(store, name, name.replace(source, target, 1)), names):
                pass
        return url, target

    return all_of_them


def reference_merge(annotation: str, url: str, datasets: str) -> Callable[[], Any]:
    """The reference's merge, whose target must be a folder."""
    import tempfile
    from pathlib import Path

    import webknossos as wk
    from upath import UPath

    loaded, target = wk.Annotation.load(annotation), Path(tempfile.mkdtemp()) / "merged"
    there = UPath(f"s3://{BUCKET}/{datasets}", key=KEY, secret=SECRET, endpoint_url=url)
    return lambda: loaded.merge_fallback_layer(target, there) or target


def check_wkfast_merge(made: tuple[str, str]) -> str:
    """Digest of the voxels."""
    from wkfast.buckets import ObjectPath

    url, target = made
    ObjectPath(f"s3://{BUCKET}/{CHECKED}", options(url)).exists()  # from here on the log is of the check
    return _digest(_wkfast("s3", url, target).read())


def check_copied(_made: tuple[str, str]) -> str:
    """Return nothing: copies are what the fallback is."""
    return ""


check_passed = check_copied


def check_reference_merge(target: Any) -> str:
    """Digest of the voxels."""
    import wkfast as wk

    return _digest(wk.Dataset.open(target).get_layer(LAYER).get_mag(1).read())


def _digest(voxels: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(voxels.T).data).hexdigest()[:16]


check_wkfast_read = check_reference_read = check_tensorstore_read = check_zarr_read = _digest


def _wkfast(kind: str, url: str, name: str) -> Any:
    import wkfast as wk

    if kind == "s3":
        dataset = wk.Dataset.open(f"s3://{BUCKET}/{name}", storage_options=options(url))
    else:
        dataset = wk.Dataset.open(f"{url}/{name}")
    return dataset.get_layer(LAYER).get_mag(1)


def _tensorstore(kind: str, url: str, name: str, edge: int, cache: int = 0) -> Any:
    import tensorstore

    os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = KEY, SECRET
    path = f"{name}/{LAYER}/1/"
    where: dict[str, Any] = {"driver": "http", "base_url": url, "path": f"/{path}"}
    if kind == "s3":
        credentials = {"type": "environment"}
        where = {"driver": "s3", "bucket": BUCKET, "path": path, "endpoint": url, "aws_region": REGION}
        where["aws_credentials"] = credentials
    spec: dict[str, Any] = {"driver": "zarr" if name.startswith("zarr2") else "zarr3", "kvstore": where}
    spec |= {"context": {"cache_pool": {"total_bytes_limit": cache}}, "recheck_cached_data": "open"}
    return tensorstore.open(spec, read=True, open=True).result()[:, :edge, :edge, :edge]


def _tensorstore_small(array: Any, edge: int) -> Callable[[], int]:
    def read(at: tuple[int, int, int]) -> NDArray[Any]:
        x, y, z = at
        return array[:, x : x + SMALL, y : y + SMALL, z : z + SMALL].read(order="F").result()

    return _small_reads(read, edge)


def _small_reads(read: Callable[[tuple[int, int, int]], NDArray[Any]], edge: int) -> Callable[[], int]:
    corners = np.random.default_rng(5).integers(0, edge // SMALL, (READS, 3)) * SMALL
    places = [(int(x), int(y), int(z)) for x, y, z in corners]
    read(places[0])
    return lambda: sum(int(read(place)[0, 0, 0, 0]) for place in places)
