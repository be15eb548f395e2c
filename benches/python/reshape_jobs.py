"""Making mags out of mags: downsampling, compressing and cutting anew, by wkfast and by the reference.

Both start from a copy of the same files; all mags that come out must be equal.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benches.python.volume_jobs import LAYER

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK, SHARD = 64, 256


def wkfast_downsample(path: str) -> Callable[[], str]:
    """``Layer.downsample`` from mag 1 to the coarsest by default."""
    import wkfast as wk

    return _downsample(wk, path)


def reference_downsample(path: str) -> Callable[[], str]:
    """The same in the reference package."""
    import webknossos as wk

    return _downsample(wk, path)


def wkfast_compress(path: str) -> Callable[[], str]:
    """``MagView.compress`` of an uncompressed mag, in place."""
    import wkfast as wk

    return _compress(wk, path)


def reference_compress(path: str) -> Callable[[], str]:
    """The same in the reference package."""
    import webknossos as wk

    return _compress(wk, path)


def wkfast_rechunk(path: str) -> Callable[[], str]:
    """``MagView.rechunk`` to chunks and shards of another size, in place."""
    import wkfast as wk

    return _rechunk(wk, path)


def reference_rechunk(path: str) -> Callable[[], str]:
    """The same in the reference package."""
    import webknossos as wk

    return _rechunk(wk, path)


def _downsample(wk: Any, path: str) -> Callable[[], str]:
    target, layer = _copied(wk, path)
    return lambda: layer.downsample() or target


def _compress(wk: Any, path: str) -> Callable[[], str]:
    import wkfast

    target = f"{path}-uncompressed"
    if not Path(target).exists():
        _, layer = _copied(wkfast, path, target)
        layer.get_mag(1).rechunk(compress=False)
    target, layer = _copied(wk, target)
    return lambda: layer.get_mag(1).compress() or target


def _rechunk(wk: Any, path: str) -> Callable[[], str]:
    target, layer = _copied(wk, path)
    shapes = {"chunk_shape": (CHUNK,) * 3, "shard_shape": (SHARD,) * 3}
    return lambda: layer.get_mag(1).rechunk(**shapes) or target


def _copied(wk: Any, path: str, target: str = "") -> tuple[str, Any]:
    target = target or f"{path}-reshaped"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(path, target)
    return target, wk.Dataset.open(target).get_layer(LAYER)


def _digest(path: str) -> str:
    """Digest of every mag, as wkfast reads it."""
    import wkfast as wk

    digest = hashlib.sha256()
    for name, mag in wk.Dataset.open(path).get_layer(LAYER).mags.items():
        digest.update(str(name).encode())
        digest.update(mag.read().T.data)  # a view: no second copy of what may be gigabytes
    return digest.hexdigest()[:16]


check_wkfast_downsample = check_wkfast_compress = check_wkfast_rechunk = _digest
check_reference_downsample = check_reference_compress = check_reference_rechunk = _digest
