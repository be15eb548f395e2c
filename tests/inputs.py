"""Small inputs that tests build for themselves, in the formats a server writes."""

from __future__ import annotations

import atexit
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import textwrap
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from examples.demo.generate import DemoInput, draw, generate, labels
from examples.demo.plain_wkw import WkwHeader, file_of_blocks
from numcodecs import Blosc

from wkfast.geometry import Mag

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray


@lru_cache(maxsize=1)
def small_fallback():
    """Labels (96, 96, 64), uint32."""
    return labels((96, 96, 64), cells=12)


@lru_cache(maxsize=1)
def _generated() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="wkfast-demo-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    generate(folder)
    return folder


def demo_input(folder: Path) -> DemoInput:
    """The demo's own input below `folder`: generated once in a process, and copied."""
    shutil.copytree(_generated(), folder, dirs_exist_ok=True)
    return DemoInput(folder / "annotation.zip", folder / "datasets")


def without_coarse_mags(annotation: Path) -> Path:
    """The demo's annotation, rewritten with mag 1 alone: a merge has to compute the others."""
    with zipfile.ZipFile(annotation) as outer:
        members = {name: outer.read(name) for name in outer.namelist()}
    with zipfile.ZipFile(io.BytesIO(members["data_Volume.zip"])) as inner:
        fine = {name: inner.read(name) for name in inner.namelist() if name.startswith("1/")}
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in fine.items():
            archive.writestr(name, content)
    return write_zip(annotation, {**members, "data_Volume.zip": data.getvalue()})


def write_zip(path: Path, members: Mapping[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def minimal_nml(body: str = "", *, dataset: str = "dataset") -> str:
    return (
        f'<things><parameters><experiment name="{dataset}" /><scale x="4.0" y="4.0" z="40.0" /></parameters>'
        f"{body}</things>"
    )


def volume_annotation(
    path: Path,
    data: bytes,
    *,
    data_format: str = "zarr3",
    fallback: str | None = "segmentation",
    dataset: str = "dataset",
) -> Path:
    """An annotation zip with one volume layer, whose data zip is `data`."""
    over = f'fallbackLayer="{fallback}" ' if fallback else ""
    volume = f'<volume id="0" name="V" location="d.zip" format="{data_format}" {over}/>'
    return write_zip(path, {"a.nml": minimal_nml(volume, dataset=dataset), "d.zip": data})


def write_many_members(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write a zip file of members as they are. Python's zipfile takes ten times as long for a hundred thousand."""
    directory, start = [], 0
    with path.open("wb") as file:
        for name, content in members:
            raw, size = name.encode(), len(content)
            # What a member's own header and its entry in the directory both say, from the version on: UTF-8, stored.
            facts = struct.pack("<5H3L2H", 20, 0x800, 0, 0, 0x21, zlib.crc32(content), size, size, len(raw), 0)
            directory.append(b"PK\1\2\x14\0" + facts + struct.pack("<3H2L", 0, 0, 0, 0, start) + raw)
            start += file.write(b"PK\3\4" + facts + raw) + file.write(content)
        size, count = file.write(b"".join(directory)), len(directory)
        # Of more members than 65535 the number stands in an end of 64 bits.
        file.write(b"PK\6\6" + struct.pack("<Q2H2L4Q", 44, 45, 45, 0, 0, count, count, size, start))
        file.write(b"PK\6\7" + struct.pack("<LQL", 0, start + size, 1))
        file.write(b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))


def zipped(members: Mapping[str, bytes | str], *, stored: bool = False) -> bytes:
    """A zip file in memory."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def wkw_data_zip(chunks: Mapping[tuple[int, ...], NDArray[Any]], mag: str = "1") -> bytes:
    """A data zip as servers write it in WKW: chunks of 32³ by their number along x, y, z."""
    (dtype,) = {chunk.dtype for chunk in chunks.values()}
    header = WkwHeader(32, 1, 2, dtype.newbyteorder("<"))
    members = {
        f"{mag}/z{z}/y{y}/x{x}.wkw": file_of_blocks(header, np.asfortranarray(chunk))
        for (x, y, z), chunk in chunks.items()
    }
    return zipped({**members, f"{mag}/header.wkw": header.pack(0)})


def zarr3_data_zip(
    chunks: Mapping[tuple[int, ...], NDArray[Any]], mag: str = "1", *, dialect: str = "zarr3", axes: str = ""
) -> bytes:
    """A data zip as servers write it in Zarr v3.

    Parameters
    ----------
    chunks
        Of 32³ voxels, by their number along the additional `axes`, then x, y, z.
    dialect
        "zarr3", or the two that came later: "zarr3 of 2024" names chunks otherwise than it says and hides that they are
        blosc, "zarr3 of 2025" names them without a ``c``.
    """
    (dtype,) = {chunk.dtype for chunk in chunks.values()}
    names = ["c", *axes, "x", "y", "z"]
    ones = [1] * (1 + len(axes))
    blosc = {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 1, "blocksize": 0}
    metadata = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [*(10 * one for one in ones), 128, 128, 128] if axes else [1, 128, 128, 128],
        "data_type": dtype.name,
        "fill_value": 0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [*ones, 32, 32, 32]}},
        "chunk_key_encoding": {
            "name": "default" if dialect == "zarr3" else "v2",
            "configuration": {"separator": "."},
        },
        "codecs": [
            {"name": "transpose", "configuration": {"order": "F"}},
            {"name": "bytes", "configuration": {"endian": "little"}},
            *([] if dialect == "zarr3 of 2024" else [{"name": "blosc", "configuration": blosc}]),
        ],
        "dimension_names": names,
    }
    metadata["shape"][0] = 1
    layer = {
        "name": "volumeAnnotationData",
        "category": "segmentation",
        "boundingBox": {"topLeft": [0, 0, 0], "width": 128, "height": 128, "depth": 128},
        "dataFormat": "zarr3",
        "elementClass": dtype.name,
        "numChannels": 1,
        "mags": [{"mag": Mag(mag).to_list(), "axisOrder": {axis: place for place, axis in enumerate(names)}}],
        **({"additionalAxes": [{"name": axes, "index": 1, "bounds": [0, 10]}]} if axes else {}),
    }
    encoder = Blosc("lz4", 5, Blosc.SHUFFLE)
    prefix = "0." if dialect == "zarr3 of 2025" else "c.0."
    folder = f"volumeAnnotationData/{mag}"
    members: dict[str, bytes | str] = {
        f"{folder}/{prefix}{'.'.join(map(str, place))}": bytes(encoder.encode(chunk.tobytes(order="F")))
        for place, chunk in chunks.items()
    }
    properties = {"id": {"name": "", "team": ""}, "scale": [4, 4, 40], "dataLayers": [layer]}
    return zipped(
        {"datasource-properties.json": json.dumps(properties), f"{folder}/zarr.json": json.dumps(metadata), **members}
    )


def tree_state(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` with its bytes: equal before and after means that nothing was touched."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


# What scripts that measure themselves begin with. The peak is that of VmHWM, which an interpreter begins anew: what
# getrusage gives begins with the peak of the process that it was forked from, here that of all tests before.
_MEMORY = """
import sys
from pathlib import Path

def memory(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))

def peak():
    return memory("VmHWM")

def begin():
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    return before

"""
_SECONDS = 900
needs_peaks = pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory are read from Linux's /proc")


def measured(script: str, *arguments: object, **environment: str) -> list[int]:
    """Run a script in an interpreter of its own, and return the integers that it prints.

    It may call `peak()`, the most bytes it had, and `begin()`, which lets that count from there and returns the bytes
    it has.
    """
    paths = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, "-c", _MEMORY + textwrap.dedent(script), *map(str, arguments)]
    variables = {**os.environ, "PYTHONPATH": paths, **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables, timeout=_SECONDS)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-3000:]
    return [int(number) for number in done.stdout.split()]


__all__ = [
    "DemoInput",
    "demo_input",
    "draw",
    "measured",
    "minimal_nml",
    "needs_peaks",
    "small_fallback",
    "tree_state",
    "volume_annotation",
    "without_coarse_mags",
    "wkw_data_zip",
    "write_zip",
    "zarr3_data_zip",
    "zipped",
]
