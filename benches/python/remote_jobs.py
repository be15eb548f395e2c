"""Transfers and streamed reads over loopback, by wkfast, by httpx alone and by the reference."""

from __future__ import annotations

import hashlib
import itertools
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benches.python.remote_server import EDGE, ID, SIDE, VOLUME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BLOCK = 1 << 20
# reads before the one that counts: a single one may end while connections are still being opened
_WARM_UPS = 2
_NML = f"""<things><meta name="annotationId" content="{ID}" />
<parameters><experiment datasetId="{ID}" name="cells" organization="Org" description="" />
<scale x="11.24" y="11.24" z="28.0" unit="nanometer" /><offset x="0" y="0" z="0" /><time ms="0" />
<editPosition x="0" y="0" z="0" /><editRotation xRot="0" yRot="0" zRot="0" /><zoomLevel zoom="1" /></parameters>
<volume id="0" name="Volume" location="data_Volume.zip" format="zarr3" /></things>"""


def annotation(folder: Path, size: int) -> Path:
    """Return an annotation zip of about `size` bytes that do not compress."""
    path = folder / f"transfer-{size}-{ID}.zip"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        inner, part = path.with_suffix(".inner"), path.with_suffix(".part")
        with zipfile.ZipFile(inner, "w") as archive:
            for n in range(size // _BLOCK):
                archive.writestr(f"volumeAnnotationData/1/0.{n}.0.0", os.urandom(_BLOCK))
        with zipfile.ZipFile(part, "w") as archive:
            archive.writestr("cells.nml", _NML)
            archive.write(inner, "data_Volume.zip")
        inner.unlink()
        part.rename(path)
    return path


@contextmanager
def serving(path: Path, delay: float, server: str = "remote_server") -> Iterator[str]:
    """Run a server of these benches in a process of its own; yield its URL."""
    command = [sys.executable, "-m", f"benches.python.{server}", str(path), str(delay)]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            yield process.stdout.readline().strip() if process.stdout else ""
        finally:
            process.terminate()


def wkfast_receive(url: str) -> Callable[[], Path]:
    """``client.annotations.download`` to a folder."""
    from wkfast.client import Client, Context, Secret

    client, folder = Client(Context(url, Secret("t"), 600)), Path(tempfile.mkdtemp())
    client.health()  # negotiated, and httpx imported, before the clock starts, as for the other job
    return lambda: Path(client.annotations.download(ID, folder).path or "")


def httpx_receive(url: str) -> Callable[[], Path]:
    """``httpx.stream`` to a file, nothing else."""
    import httpx

    path = Path(tempfile.mkdtemp()) / "file"

    def work() -> Path:
        address = f"{url}/api/v14/annotations/{ID}/download"
        with httpx.stream("GET", address, timeout=600) as answer, path.open("wb") as file:
            for block in answer.iter_bytes():
                file.write(block)
        return path

    return work


def check_wkfast_receive(path: Path) -> str:
    """Return the digest of a received file, which is removed."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    path.unlink()
    path.parent.rmdir()
    return digest


check_httpx_receive = check_wkfast_receive


def wkfast_download(url: str) -> Callable[[], str]:
    """``Annotation.download``."""
    import wkfast as wk

    return lambda: _download(wk, url)


def reference_download(url: str) -> Callable[[], str]:
    """The same in the reference package."""
    import webknossos as wk

    return lambda: _download(wk, url)


def _download(wk: Any, url: str) -> str:
    with wk.webknossos_context(url, "t"):
        return str(list(wk.Annotation.download(ID).get_volume_layer_names()))


def wkfast_upload(url: str, path: str) -> Callable[[], str]:
    """``Annotation.upload`` of a loaded annotation."""
    import wkfast as wk

    return _upload(wk, url, path)


def reference_upload(url: str, path: str) -> Callable[[], str]:
    """The same in the reference package."""
    import webknossos as wk

    return _upload(wk, url, path)


def _upload(wk: Any, url: str, path: str) -> Callable[[], str]:
    loaded = wk.Annotation.load(path)

    def work() -> str:
        with wk.webknossos_context(url, "t"):
            return str(loaded.upload()).removeprefix(url)

    return work


def wkfast_open(url: str) -> Callable[[], Any]:
    """``RemoteDataset.open`` and one voxel."""
    import wkfast as wk

    return _open(wk, url)


def reference_open(url: str) -> Callable[[], Any]:
    """The same in the reference package."""
    import webknossos as wk

    return _open(wk, url)


def _open(wk: Any, url: str) -> Callable[[], Any]:
    remote_dataset = wk.RemoteDataset  # imported before the clock starts

    def work() -> Any:
        with wk.webknossos_context(url, "t"):
            mag = remote_dataset.open(f"{url}/datasets/{ID}").get_layer("segmentation").get_mag(1)
            return mag.read(absolute_offset=(33, 33, 33), size=(1, 1, 1)).item()

    return work


def wkfast_stream(url: str, layer: str) -> Callable[[], Any]:
    """One ``read`` of a whole layer that has been opened."""
    import wkfast as wk

    return _stream(wk, url, layer)


def reference_stream(url: str, layer: str) -> Callable[[], Any]:
    """The same in the reference package."""
    import webknossos as wk

    return _stream(wk, url, layer)


def remote_layer(wk: Any, url: str, layer: str) -> Any:
    """Return a layer that the server streams, opened by either package."""
    with wk.webknossos_context(url, "t"):
        if layer == VOLUME:
            dataset = wk.Annotation.open_as_remote_dataset(f"{url}/annotations/{ID}")
        else:
            dataset = wk.RemoteDataset.open(f"{url}/datasets/{ID}")
    return dataset.get_layer(layer)


def _stream(wk: Any, url: str, layer: str) -> Callable[[], Any]:
    mag = remote_layer(wk, url, layer).get_mag(1)
    # connections, caches and memory are those of a process that reads on: it is the rate that is compared
    for _ in range(_WARM_UPS):
        mag.read(absolute_offset=(0, 0, 0), size=(EDGE, EDGE, EDGE))
    return lambda: mag.read(absolute_offset=(0, 0, 0), size=(EDGE, EDGE, EDGE))


def sockets_stream(url: str, layer: str) -> Callable[[], Any]:
    """The same bytes over bare sockets: what a connection for each two chunks, or each cut-out, allows."""
    port, voxels = int(url.rpartition(":")[2]), np.zeros((1, EDGE, EDGE, EDGE), "<u4", order="F")
    work = _requests(layer)
    wires = [socket.create_connection(("127.0.0.1", port)) for _ in range(min(len(work), 256))]
    pages = {wire: memoryview(bytearray((2 << 20) + 4096)) for wire in wires}
    for _ in range(_WARM_UPS):
        _exchange(wires, pages, iter(work), voxels)
    return lambda: _exchange(wires, pages, iter(work), voxels)


def _requests(layer: str) -> list[tuple[bytes, tuple[slice, ...], int]]:
    """Requests, where their voxels go, and how many bytes these are: chunks, or 256 x 64 x 32 at once."""
    width, height, depth = (SIDE, SIDE, SIDE) if layer == VOLUME else (EDGE, 2 * SIDE, SIDE)
    ends, made = "HTTP/1.1\r\nhost: x\r\n\r\n", []
    for x, y, z in itertools.product(*(range(0, EDGE, step) for step in (width, height, depth))):
        if layer == VOLUME:
            path = f"/data/v14/annotations/zarr/{ID}/{layer}/1/0.{x // SIDE}.{y // SIDE}.{z // SIDE}"
        else:
            box = f"mag=1-1-1&x={x}&y={y}&z={z}&width={width}&height={height}&depth={depth}"
            path = f"/data/v14/datasets/{ID}/layers/{layer}/data?{box}"
        place = (slice(None), slice(x, x + width), slice(y, y + height), slice(z, z + depth))
        made.append((f"GET {path} {ends}".encode(), place, width * height * depth * 4))
    return made


def _exchange(wires: list[Any], pages: dict[Any, memoryview], work: Iterator[Any], voxels: Any) -> Any:
    with selectors.DefaultSelector() as selector:
        waiting = 0
        for wire, (request, place, size) in zip(wires, work, strict=False):
            wire.sendall(request)
            selector.register(wire, selectors.EVENT_READ, [place, size, 0])
            waiting += 1
        while waiting:
            for key, _ in selector.select():
                wire, state, page = key.fileobj, key.data, pages[key.fileobj]
                place, size, got = state
                state[2] = got = got + wire.recv_into(page[got:])
                head = bytes(page[:1024]).find(b"\r\n\r\n") + 4
                if got < head + size:
                    continue
                part = voxels[place]
                part[...] = np.frombuffer(page[head:got], "<u4").reshape(part.shape, order="F")
                following = next(work, None)
                if following is None:
                    selector.unregister(wire)
                    waiting -= 1
                else:
                    wire.sendall(following[0])
                    state[:] = [*following[1:], 0]
    return voxels


def check_wkfast_stream(array: Any) -> str:
    """Return the shape, type and digest of what was read."""
    return f"{array.shape} {array.dtype} {hashlib.sha256(array.tobytes(order='F')).hexdigest()}"


check_reference_stream = check_sockets_stream = check_wkfast_stream
