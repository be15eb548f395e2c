"""Transfers and streamed reads over loopback, by wkfast, by httpx alone and by the reference."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benches.python.remote_server import EDGE, ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BLOCK = 1 << 20
_NML = """<things><parameters><experiment name="cells" organization="Org" description="" />
<scale x="11.24" y="11.24" z="28.0" unit="nanometer" /><offset x="0" y="0" z="0" /><time ms="0" />
<editPosition x="0" y="0" z="0" /><editRotation xRot="0" yRot="0" zRot="0" /><zoomLevel zoom="1" /></parameters>
<volume id="0" name="Volume" location="data_Volume.zip" format="zarr3" /></things>"""


def annotation(folder: Path, size: int) -> Path:
    """Return an annotation zip of about `size` bytes that do not compress."""
    path = folder / f"transfer-{size}.zip"
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
def serving(path: Path, delay: float) -> Iterator[str]:
    """Run the server in a process of its own; yield its URL."""
    command = [sys.executable, "-m", "benches.python.remote_server", str(path), str(delay)]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as server:
        try:
            yield server.stdout.readline().strip() if server.stdout else ""
        finally:
            server.terminate()


def wkfast_receive(url: str) -> Callable[[], Path]:
    """``client.annotations.download`` to a folder."""
    from wkfast.client import Client, Context, Secret

    client, folder = Client(Context(url, Secret("t"), 600)), Path(tempfile.mkdtemp())
    _ = client.version  # negotiated and imported before the clock starts, as httpx is for the other job
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


def wkfast_stream(url: str) -> Callable[[], Any]:
    """``RemoteDataset.open`` and one ``read`` of the whole layer."""
    import wkfast as wk

    return lambda: _stream(wk, url)


def reference_stream(url: str) -> Callable[[], Any]:
    """The same in the reference package."""
    import webknossos as wk

    return lambda: _stream(wk, url)


def _stream(wk: Any, url: str) -> Any:
    with wk.webknossos_context(url, "t"):
        mag = wk.RemoteDataset.open(f"{url}/datasets/{ID}").get_layer("segmentation").get_mag(1)
        return mag.read(absolute_offset=(0, 0, 0), size=(EDGE, EDGE, EDGE))


def check_wkfast_stream(array: Any) -> str:
    """Return the shape, type and digest of what was read."""
    return f"{array.shape} {array.dtype} {hashlib.sha256(array.tobytes(order='F')).hexdigest()}"


check_reference_stream = check_wkfast_stream
