"""What is computed on voxels: labels at points, sizes of segments, other labels, functions of chunks, rules of merges.

All read the fallback of `volumes.volume`, in Zarr v3, and check their results against each other's.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benches.python.remote_jobs import remote_layer
from benches.python.volumes import DATASET, LAYER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

CHUNK, SHARD, LEVEL = 32, 512, 5
# How many points are looked up one by one, and compared.
ONE_BY_ONE = 1000
FAR_ONE_BY_ONE = 100
ENTRIES = 1_000_000
# Larger labels than this are kept by the function of chunks.
_LIMIT = 500_000


def points(edge: int, count: int, kind: str) -> NDArray[np.int64]:
    """Return positions, shape (count, 3): anywhere, or on ten random walks."""
    draw = np.random.default_rng(3)
    if kind == "random":
        return draw.integers(0, edge, (count, 3))
    starts = draw.integers(edge // 4, 3 * edge // 4, (10, 1, 3))
    steps = draw.integers(-4, 5, (10, count // 10, 3)).cumsum(axis=1)
    return (starts + steps).reshape(-1, 3) % edge


def wkfast_points(datasets: str, edge: str, count: str, kind: str) -> Callable[[], Any]:
    """``Layer.values_at``."""
    import wkfast as wk

    layer, places = wk.Dataset.open(Path(datasets) / DATASET).get_layer(LAYER), points(int(edge), int(count), kind)
    return lambda: layer.values_at(places)


def reference_points(datasets: str, edge: str, count: str, kind: str) -> Callable[[], Any]:
    """``read(size=(1, 1, 1))`` at the first of the same points."""
    import webknossos as wk

    mag = wk.Dataset.open(Path(datasets) / DATASET).get_layer(LAYER).get_mag(1)
    places = points(int(edge), int(count), kind)[:ONE_BY_ONE].tolist()
    return lambda: [mag.read(absolute_offset=place, size=(1, 1, 1)).item() for place in places]


def cloudvolume_points(layer: str, edge: str, count: str, kind: str) -> Callable[[], Any]:
    """cloud-volume's ``scattered_points`` at the first of the same points, in its own format, chunks kept."""
    from cloudvolume import CloudVolume

    volume = CloudVolume(f"file://{layer}", progress=False, lru_bytes=1 << 30)
    places = [tuple(place) for place in points(int(edge), int(count), kind)[:ONE_BY_ONE].tolist()]

    def work() -> list[int]:
        found = volume.scattered_points(places)
        return [found[place].item() for place in places]

    return work


def check_wkfast_points(values: Any) -> str:
    """Digest of the first values."""
    return hashlib.sha256(np.asarray(values[:ONE_BY_ONE], "<u4").tobytes()).hexdigest()[:16]


check_reference_points = check_cloudvolume_points = check_wkfast_points


def decoded_points(datasets: str, edge: str, count: str, kind: str) -> Callable[[], Any]:
    """The chunks that hold the points, decoded by numcodecs on all cores and thrown away."""
    touched = np.unique(points(int(edge), int(count), kind) // CHUNK, axis=0)
    shards: dict[tuple[int, ...], list[list[int]]] = {}
    for chunk in touched.tolist():
        shards.setdefault(tuple(at // (SHARD // CHUNK) for at in chunk), []).append(chunk)
    mag = Path(datasets) / DATASET / LAYER / "1"
    work = [(mag / f"c/0/{x}/{y}/{z}", chunks) for (x, y, z), chunks in shards.items()]
    return lambda: _on_all_cores(_decode, _shared(work))


def wkfast_statistics(datasets: str) -> Callable[[], Any]:
    """``Layer.segment_statistics``."""
    import wkfast as wk

    layer = wk.Dataset.open(Path(datasets) / DATASET).get_layer(LAYER)
    return lambda: (table := layer.segment_statistics()) and (table["id"], table["voxels"])


def fastremap_statistics(datasets: str) -> Callable[[], Any]:
    """``fastremap.unique`` of everything, read by wkfast: ids and counts, no boxes, no centroids."""
    import fastremap

    import wkfast as wk

    mag = wk.Dataset.open(Path(datasets) / DATASET).get_layer(LAYER).get_mag(1)
    return lambda: fastremap.unique(mag.read(), return_counts=True)


def check_wkfast_statistics(found: Any) -> str:
    """Digest of ids and counts."""
    ids, counts = (np.asarray(column, "<u8") for column in found)
    return hashlib.sha256(np.stack([ids[ids != 0], counts[ids != 0]]).tobytes()).hexdigest()[:16]


check_fastremap_statistics = check_wkfast_statistics


def decoded(datasets: str, *, encode: bool = False) -> Callable[[], Any]:
    """Every chunk decoded by numcodecs on all cores, and thrown away or encoded again."""
    files = sorted((Path(datasets) / DATASET / LAYER / "1").glob("c/0/*/*/*"))
    side = range(SHARD // CHUNK)
    work = [(file, [list(chunk) for chunk in itertools.product(side, repeat=3)]) for file in files]
    return lambda: _on_all_cores(_encode if encode else _decode, _shared(work))


def transcoded(datasets: str) -> Callable[[], Any]:
    """Decoded, and encoded by zstd as the files are."""
    return decoded(datasets, encode=True)


def wkfast_relabel(datasets: str) -> Callable[[], Any]:
    """``Layer.relabel`` by two arrays of a million entries."""
    layer = _copied(datasets, "wkfast").get_layer(LAYER)
    old, new = _new_labels()
    return lambda: Path(layer.relabel((old, new), "relabeled").path) / "1"


def fastremap_relabel(datasets: str) -> Callable[[], Any]:
    """``fastremap.remap`` of shards that tensorstore reads and writes."""
    import fastremap
    import tensorstore

    source = Path(_copied(datasets, "fastremap").path) / LAYER / "1"
    mapping = dict(zip(*(column.tolist() for column in _new_labels()), strict=True))
    target = source.parent.parent / "relabeled" / "1"
    target.mkdir(parents=True)
    shutil.copy(source / "zarr.json", target)
    opened = [
        tensorstore.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": str(mag)}}, open=True).result()
        for mag in (source, target)
    ]

    def work() -> Path:
        for corner in itertools.product(*(range(0, edge, SHARD) for edge in opened[0].shape[1:])):
            place = (slice(None), *(slice(at, at + SHARD) for at in corner))
            voxels = opened[0][place].read().result()
            fastremap.remap(voxels, mapping, preserve_missing_labels=True, in_place=True)
            opened[1][place].write(voxels).result()
        return target

    return work


def check_wkfast_relabel(mag: Path) -> str:
    """Digest of the voxels that were written, read by tensorstore."""
    digest = hashlib.sha256()
    for slab in _slabs(mag):
        digest.update(np.ascontiguousarray(slab).data)
    shutil.rmtree(mag.parent.parent)
    return digest.hexdigest()[:16]


check_fastremap_relabel = check_wkfast_relabel


def wkfast_map_chunks(datasets: str) -> Callable[[], Any]:
    """``MagView.map_chunks`` by a function that numba compiled before the clock started."""
    layer = _copied(datasets, "wkfast").get_layer(LAYER)
    target = layer.dataset.add_layer(
        "mapped", "segmentation", dtype="uint32", data_format="zarr3", bounding_box=layer.bounding_box
    )
    mag, mapped = layer.get_mag(1), target.add_mag(1, chunk_shape=CHUNK, shard_shape=SHARD)
    function = _only_large(mag.get_dtype())
    return lambda: mag.map_chunks(function, mapped) or (Path(layer.path) / "1", Path(target.path) / "1")


def check_wkfast_map_chunks(mags: tuple[Path, Path]) -> str:
    """Whether the voxels are those that numpy makes."""
    equal = all(
        np.array_equal(np.where(before > _LIMIT, before, 0), after)
        for before, after in zip(_slabs(mags[0]), _slabs(mags[1]), strict=True)
    )
    shutil.rmtree(mags[0].parent.parent)
    return "equal" if equal else "DIFFERENT"


def rule_compiled(_datasets: str) -> Callable[[], Any]:
    """A rule compiled the first time, numba's import included."""
    from wkfast import rules
    from wkfast.merge.label_rule import RuleSource

    _forget_compiled()
    return lambda: RuleSource.of(rules.only_background).compiled(np.dtype("uint32")).address is not None


def function_compiled(_datasets: str) -> Callable[[], Any]:
    """A function of chunks compiled the first time, numba's import included."""
    _forget_compiled()
    return lambda: _only_large(np.dtype("uint32")) is not None


def _forget_compiled() -> None:
    """Make numba look for machine code where there is none."""
    os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp()


def merge_by_nonzero(datasets: str, annotation: str) -> Callable[[], Any]:
    """``merge_fallback_layer`` by a policy of the core."""
    return _merge(datasets, annotation, "nonzero")


def merge_by_rule(datasets: str, annotation: str) -> Callable[[], Any]:
    """The same by a rule that was compiled before."""
    from wkfast import rules
    from wkfast.merge.label_rule import RuleSource

    RuleSource.of(rules.newer).compiled(np.dtype("uint32"))
    return _merge(datasets, annotation, rules.newer)


def check_merge_by_nonzero(mag: Path) -> str:
    """Digest of the voxels."""
    return check_wkfast_relabel(mag)


check_merge_by_rule = check_merge_by_nonzero


def wkfast_served(url: str, edge: str, count: str) -> Callable[[], Any]:
    """``Layer.values_at`` of a layer whose files lie on a server."""
    import wkfast as wk

    layer, places = wk.Dataset.open(f"{url}/{DATASET}").get_layer(LAYER), points(int(edge), int(count), "paths")
    return lambda: layer.values_at(places)


def reference_served(url: str, edge: str, count: str) -> Callable[[], Any]:
    """``read(size=(1, 1, 1))`` at the first of the same points."""
    import webknossos as wk

    mag = wk.Dataset.open(f"{url}/{DATASET}").get_layer(LAYER).get_mag(1)
    places = points(int(edge), int(count), "paths")[:FAR_ONE_BY_ONE].tolist()
    return lambda: [mag.read(absolute_offset=place, size=(1, 1, 1)).item() for place in places]


def wkfast_streamed(url: str, edge: str, count: str) -> Callable[[], Any]:
    """``Layer.values_at`` of a layer that a server streams."""
    import wkfast as wk

    layer, places = remote_layer(wk, url, LAYER), points(int(edge), int(count), "paths")
    return lambda: layer.values_at(places)


def reference_streamed(url: str, edge: str, count: str) -> Callable[[], Any]:
    """``read(size=(1, 1, 1))`` at the first of the same points."""
    import webknossos as wk

    mag = remote_layer(wk, url, LAYER).get_mag(1)
    places = points(int(edge), int(count), "paths")[:FAR_ONE_BY_ONE].tolist()
    return lambda: [mag.read(absolute_offset=place, size=(1, 1, 1)).item() for place in places]


def check_wkfast_streamed(values: Any) -> str:
    """Digest of the first values."""
    return check_wkfast_points(values[:FAR_ONE_BY_ONE])


check_reference_streamed = check_wkfast_served = check_reference_served = check_wkfast_streamed


def _merge(datasets: str, annotation: str, policy: Any) -> Callable[[], Any]:
    import wkfast as wk

    target = Path(datasets).parent / "merged-by-rule"
    shutil.rmtree(target, ignore_errors=True)
    loaded = wk.Annotation.load(annotation)
    return lambda: loaded.merge_fallback_layer(target, datasets, policy=policy, mags="finest") and target / LAYER / "1"


def _only_large(dtype: np.dtype[Any]) -> Any:
    """Return a function of chunks, compiled."""
    import numba

    from wkfast.dataset.compiled import ChunkFunction

    @numba.njit
    def only_large(voxels: Any) -> Any:
        out = np.zeros_like(voxels)
        given, made = voxels.T, out.T  # in the order of memory
        for z, y, x, c in np.ndindex(given.shape):
            if given[z, y, x, c] > _LIMIT:
                made[z, y, x, c] = given[z, y, x, c]
        return out

    ChunkFunction.of(only_large, dtype, dtype)
    return only_large


def _new_labels() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    old = np.arange(1, ENTRIES + 1, dtype=np.uint32)
    return old, np.random.default_rng(9).permutation(old)


def _copied(datasets: str, name: str) -> Any:
    """Return a dataset whose files are linked to those of the input, for layers to be added to."""
    import wkfast as wk

    target = Path(datasets).parent / f"computed-{name}"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(Path(datasets) / DATASET, target, copy_function=os.link)
    description = target / "datasource-properties.json"
    text = description.read_text()
    description.unlink()
    description.write_text(text)
    return wk.Dataset.open(target)


def _slabs(mag: Path) -> Iterator[NDArray[Any]]:
    import tensorstore

    array = tensorstore.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": str(mag)}}, read=True).result()
    for z in range(0, array.shape[3], 128):
        yield array[0, :, :, z : z + 128].read().result()


def _shared(work: list[tuple[Path, list[list[int]]]]) -> list[tuple[Path, list[list[int]]]]:
    """Cut chunks of shards into shares, several for each core."""
    return [(file, chunks[start : start + 256]) for file, chunks in work for start in range(0, len(chunks), 256)]


def _on_all_cores(function: Callable[[Any], int], work: list[Any]) -> int:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return sum(pool.map(function, work))


def _chunks_of(file: Path, chunks: list[list[int]]) -> Iterator[bytes]:
    side, entry = SHARD // CHUNK, 16
    with file.open("rb") as opened:
        opened.seek(-(side**3 * entry + 4), os.SEEK_END)
        index = np.frombuffer(opened.read(side**3 * entry), "<u8").reshape(side, side, side, 2)
        for chunk in chunks:
            x, y, z = (at % side for at in chunk)
            offset, size = index[x, y, z].tolist()
            yield os.pread(opened.fileno(), size, offset)


def _decode(share: tuple[Path, list[list[int]]]) -> int:
    from numcodecs.zstd import Zstd

    codec, voxels = Zstd(), bytearray(CHUNK**3 * 4)
    return sum(len(codec.decode(chunk, voxels)) for chunk in _chunks_of(*share))


def _encode(share: tuple[Path, list[list[int]]]) -> int:
    from numcodecs.zstd import Zstd

    codec, voxels = Zstd(level=LEVEL), bytearray(CHUNK**3 * 4)
    return sum(len(codec.encode(codec.decode(chunk, voxels))) for chunk in _chunks_of(*share))
