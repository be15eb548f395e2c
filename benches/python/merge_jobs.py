"""Merging an annotation into its fallback layer, by wkfast, by the reference, and what copying the layer costs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def wkfast_merge(annotation: str, datasets: str, target: str) -> Callable[[], Any]:
    """``wkfast.Annotation.merge_fallback_layer``, loading included."""
    import wkfast

    shutil.rmtree(target, ignore_errors=True)
    return lambda: wkfast.Annotation.load(annotation).merge_fallback_layer(target, datasets, mags="finest") and target


def unchecked_merge(annotation: str, datasets: str, target: str) -> Callable[[], Any]:
    """Merge as `wkfast_merge` does, without reading the result back."""
    return wkfast_merge(annotation, datasets, target)


def transcode_alone(annotation: str, level: str) -> Callable[[], Any]:
    """Decode every chunk of a WKW annotation and encode it as zstd: the codecs on all cores, in and out of memory."""
    import io
    import os
    import zipfile
    from concurrent.futures import ThreadPoolExecutor

    from numcodecs.lz4 import LZ4
    from numcodecs.zstd import Zstd

    with zipfile.ZipFile(annotation) as outer, zipfile.ZipFile(io.BytesIO(outer.read("data_Volume.zip"))) as inner:
        files = [inner.read(name) for name in inner.namelist() if not name.endswith("header.wkw")]
    lz4, zstd, data_offset, chunk_bytes = LZ4(), Zstd(level=int(level)), 24, 32**3 * 4
    cores = os.cpu_count() or 1
    # numcodecs' LZ4 begins with the size.
    blocks = [chunk_bytes.to_bytes(4, "little") + file[data_offset:] for file in files]

    def transcode(share: list[bytes]) -> int:
        voxels = bytearray(chunk_bytes)  # one for all: memory that was never touched costs more than LZ4
        return sum(len(zstd.encode(lz4.decode(block, voxels))) for block in share)

    def work() -> int:
        with ThreadPoolExecutor(cores) as pool:
            return sum(pool.map(transcode, [blocks[start::cores] for start in range(cores)]))

    return work


def reference_merge(annotation: str, datasets: str, target: str) -> Callable[[], Any]:
    """``webknossos`` without worker processes."""
    return _reference_merge(annotation, datasets, target, "sequential")


def reference_merge_on_two(annotation: str, datasets: str, target: str) -> Callable[[], Any]:
    """``webknossos`` on two processes."""
    return _reference_merge(annotation, datasets, target, "multiprocessing", max_workers=2)


def _reference_merge(annotation: str, datasets: str, target: str, strategy: str, **resources: int) -> Callable[[], Any]:
    from cluster_tools import get_executor
    from webknossos import Annotation

    shutil.rmtree(target, ignore_errors=True)

    def work() -> str:
        with get_executor(strategy, **resources) as executor:
            Annotation.load(annotation).merge_fallback_layer(Path(target), Path(datasets), executor=executor)
        return target

    return work


def copy(source: str, target: str) -> Callable[[], Any]:
    """``cp -r`` of the fallback's finest mag: the physical limit."""
    shutil.rmtree(target, ignore_errors=True)
    return lambda: subprocess.run(["cp", "-r", source, target], check=True) and target


def check_wkfast_merge(target: str) -> str:
    """Digest of the merged voxels, read by the same independent reader for both packages."""
    return _digest(Path(target))


check_reference_merge = check_reference_merge_on_two = check_wkfast_merge


def check_copy(_target: str) -> str:
    """A copy has nothing to check."""
    return "copied"


def _digest(dataset: Path) -> str:
    import hashlib
    import json

    import numpy as np

    (layer,) = json.loads((dataset / "datasource-properties.json").read_text())["dataLayers"]
    mag = dataset / layer["name"] / "1"
    digest = hashlib.sha256()
    for z in range(0, layer["boundingBox"]["depth"], 128):
        digest.update(np.ascontiguousarray(_read(mag, layer, z)).data)
    return digest.hexdigest()[:16]


def _read(mag: Path, layer: dict[str, Any], z: int) -> Any:
    box = layer["boundingBox"]
    if layer["dataFormat"] == "wkw":
        import wkw

        with wkw.Dataset.open(str(mag)) as dataset:
            return dataset.read((0, 0, z), (box["width"], box["height"], 128))[0]
    import tensorstore

    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(mag)}}
    array = tensorstore.open(spec, read=True).result()
    return array[0, : box["width"], : box["height"], z : z + 128].read().result()
