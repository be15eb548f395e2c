"""Generated volume inputs: a fallback dataset and an annotation that touches some of its chunks."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from examples.demo import plain_wkw

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

DATASET = "bench_dataset"
LAYER = "segmentation"
_CHUNK = 32
_SLAB = 512


@dataclass(frozen=True)
class VolumeInput:
    """Where a generated input lies."""

    annotation: Path
    datasets: Path

    @property
    def fallback_mag(self) -> Path:
        """Folder of the fallback's finest mag."""
        return self.datasets / DATASET / LAYER / "1"


def volume(folder: Path, data_format: str, edge: int, touched: int, *, repeated: bool = False) -> VolumeInput:
    """Return a fallback of `edge`³ voxels uint32 with 512³ shards, and an annotation of `touched` chunks (mag 1).

    With `repeated` every shard is like the first: large layers are made in seconds.
    """
    folder = folder / f"{data_format}-{edge}{'-repeated' if repeated else ''}"
    datasets = folder / "datasets"
    period = _SLAB if repeated else edge
    if not (datasets / DATASET / "datasource-properties.json").exists():
        shutil.rmtree(datasets, ignore_errors=True)
        _write_fallback(datasets / DATASET, data_format, edge, period)
    annotation = folder / f"touched-{touched}.zip"
    if not annotation.exists():
        _write_annotation(annotation, edge, touched, period)
    return VolumeInput(annotation, datasets)


def precomputed(folder: Path, edge: int) -> Path:
    """Return the same labels as a layer of neuroglancer's, in chunks of 64³, not compressed: those are read soonest."""
    from cloudvolume import CloudVolume

    path = folder / f"precomputed-{edge}"
    if not (path / "written").exists():
        shutil.rmtree(path, ignore_errors=True)
        info = CloudVolume.create_new_info(1, "segmentation", "uint32", "raw", (11, 11, 28), (0, 0, 0), (edge,) * 3)
        layer = CloudVolume(f"file://{path}", info=info, compress=False, progress=False)
        layer.commit_info()
        for x, y, z in _shards(edge):
            layer[x : x + _SLAB, y : y + _SLAB, z : z + _SLAB] = labels((x, y, z), (_SLAB,) * 3)[..., np.newaxis]
        (path / "written").touch()
    return path


def labels(topleft: tuple[int, int, int], size: tuple[int, int, int]) -> NDArray[np.uint32]:
    """Return cells of about 40 voxels with skewed walls, uint32 (x, y, z): as compressible as a segmentation."""
    x, y, z = (np.arange(start, start + n, dtype=np.int64) for start, n in zip(topleft, size, strict=True))
    x, y, z = x[:, None, None], y[None, :, None], z[None, None, :]
    cell = ((x + y // 3) // 41) * 73_856_093 ^ ((y + z // 2) // 37) * 19_349_663 ^ ((z + x // 4) // 29) * 83_492_791
    return (cell % 1_000_003 + 1).astype(np.uint32)


def _write_fallback(folder: Path, data_format: str, edge: int, period: int) -> None:
    mag = folder / LAYER / "1"
    mag.mkdir(parents=True)
    write: Callable[[Path, int, int], None] = {"wkw": _write_wkw, "zarr3": _write_zarr3}[data_format]
    write(mag, edge, period)
    name = {"wkw": "z{2}/y{1}/x{0}.wkw", "zarr3": "c/0/{0}/{1}/{2}"}[data_format]
    for shard in np.ndindex(*([-(-edge // _SLAB)] * 3)):
        file = mag / name.format(*shard)
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(mag / name.format(*(place % (period // _SLAB) for place in shard)), file)
    mag_entry: dict[str, Any] = {
        "mag": [1, 1, 1],
        "path": f"./{LAYER}/1",
        "axisOrder": {"c": 0, "x": 1, "y": 2, "z": 3},
    }
    if data_format == "wkw":
        mag_entry["cubeLength"] = _SLAB
    layer = {
        "name": LAYER,
        "category": "segmentation",
        "boundingBox": {"topLeft": [0, 0, 0], "width": edge, "height": edge, "depth": edge},
        "dataFormat": data_format,
        "mags": [mag_entry],
        "largestSegmentId": 1_000_003,
        "numChannels": 1,
        "elementClass": "uint32",
    }
    scale = {"factor": [11.24, 11.24, 28.0], "unit": "nanometer"}
    properties = {"id": {"name": DATASET, "team": ""}, "scale": scale, "dataLayers": [layer], "version": 1}
    (folder / "datasource-properties.json").write_text(json.dumps(properties, indent=4))


def _shards(edge: int) -> list[tuple[int, int, int]]:
    return [(i[0] * _SLAB, i[1] * _SLAB, i[2] * _SLAB) for i in np.ndindex(*([-(-edge // _SLAB)] * 3))]


def _write_wkw(mag: Path, _edge: int, period: int) -> None:
    import wkw

    header = wkw.Header(np.uint32, block_len=_CHUNK, file_len=_SLAB // _CHUNK, block_type=wkw.Header.BLOCK_TYPE_LZ4HC)
    with wkw.Dataset.create(str(mag), header) as dataset:
        for shard in _shards(period):
            dataset.write(shard, np.asfortranarray(labels(shard, (_SLAB,) * 3)[np.newaxis]))


def _write_zarr3(mag: Path, edge: int, period: int) -> None:
    import tensorstore

    inner = [
        {"name": "transpose", "configuration": {"order": [3, 2, 1, 0]}},
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "zstd", "configuration": {"level": 5}},
    ]
    index = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
    sharding = {"chunk_shape": [1, _CHUNK, _CHUNK, _CHUNK], "codecs": inner, "index_codecs": index}
    metadata = {
        "shape": [1, edge, edge, edge],
        "data_type": "uint32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, _SLAB, _SLAB, _SLAB]}},
        "chunk_key_encoding": {"name": "default"},
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "fill_value": 0,
        "dimension_names": ["c", "x", "y", "z"],
    }
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(mag)}, "metadata": metadata, "create": True}
    array = tensorstore.open(spec).result()
    for x, y, z in _shards(period):
        array[0, x : x + _SLAB, y : y + _SLAB, z : z + _SLAB] = labels((x, y, z), (_SLAB,) * 3)


def _write_annotation(path: Path, edge: int, touched: int, period: int) -> None:
    @lru_cache(maxsize=(_SLAB // _CHUNK) ** 3)
    def block(corner: tuple[int, int, int]) -> bytes:
        voxels = labels(corner, (_CHUNK,) * 3).copy()
        voxels[4:20, 4:20, 4:20] = 2_000_000
        voxels[20:28, 4:28, 4:28] = 0
        return plain_wkw.file_of_blocks(header, voxels)

    header = plain_wkw.WkwHeader(_CHUNK, 1, 2, np.dtype("<u4"))
    per_edge = edge // _CHUNK
    places = np.random.default_rng(3).permutation(per_edge**3)[:touched]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for place in sorted(int(p) for p in places):
            x, y, z = place % per_edge, place // per_edge % per_edge, place // per_edge**2
            corner = (x * _CHUNK % period, y * _CHUNK % period, z * _CHUNK % period)
            archive.writestr(f"1/z{z}/y{y}/x{x}.wkw", block(corner))
        archive.writestr("1/header.wkw", header.pack(0))
    volume = f'<volume id="0" name="Volume" location="data_Volume.zip" format="wkw" fallbackLayer="{LAYER}" />'
    nml = (
        f'<things><parameters><experiment name="{DATASET}" /><scale x="11.24" y="11.24" z="28.0" /></parameters>'
        f"<branchpoints /><comments /><groups />{volume}</things>"
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotation.nml", nml)
        archive.writestr("data_Volume.zip", buffer.getvalue())
