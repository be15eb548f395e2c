"""A server for the benches: one annotation to download, uploads, one dataset to stream, each answer after a delay.

Usage: ``python -m benches.python.remote_server ANNOTATION DELAY``; prints its URL and runs until it is ended.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

import numpy as np

ID = "5" * 24
EDGE, SIDE = 256, 32
_BLOCK = 1 << 20
_API, _DATA = r"/api/v\d+", r"/data/v\d+"


def voxels() -> np.ndarray:
    """Return the streamed layer: another value in each chunk."""
    steps = np.arange(EDGE, dtype="<u4") // SIDE
    return np.asfortranarray(1 + steps[:, None, None] + 8 * steps[None, :, None] + 64 * steps[None, None, :])


class Answers:
    """What the server says, by method and path; everything is made before the first request."""

    def __init__(self, annotation: Path, url: str) -> None:
        self.annotation = annotation
        self.size = annotation.stat().st_size
        self.voxels = voxels()
        box = {"topLeft": [0, 0, 0], "width": EDGE, "height": EDGE, "depth": EDGE}
        mag = {"mag": [1, 1, 1], "path": "./segmentation/1", "axisOrder": {"c": 0, "x": 1, "y": 2, "z": 3}}
        layer = {"name": "segmentation", "category": "segmentation", "elementClass": "uint32", "dataFormat": "zarr",
                 "boundingBox": box, "mags": [mag], "resolutions": [[1, 1, 1]], "numChannels": 1,
                 "largestSegmentId": 1000}  # fmt: skip
        scale = {"factor": [11.24, 11.24, 28.0], "unit": "nanometer"}
        source = {"id": {"name": "cells", "team": "Org"}, "dataLayers": [layer], "scale": scale}
        store = {"name": "localhost", "url": url, "allowsUpload": True, "jobsSupportedByAvailableWorkers": [],
                 "jobsEnabled": False}  # fmt: skip
        dataset = {"id": ID, "name": "cells", "directoryName": "cells", "dataSource": source, "dataStore": store,
                   "owningOrganization": "Org", "allowedTeams": [], "allowedTeamsCumulative": [], "isActive": True,
                   "isPublic": True, "description": None, "created": 1700000000000, "isEditable": True,
                   "lastUsedByUser": 0, "logoUrl": "", "sortingKey": 0, "metadata": [], "isUnreported": False,
                   "tags": [], "folderId": "0" * 24, "usedStorageBytes": 0, "isVirtual": False}  # fmt: skip
        header = {"dtype": "<u4", "fill_value": 0, "zarr_format": 2, "order": "F", "chunks": [1, SIDE, SIDE, SIDE],
                  "compressor": None, "filters": None, "shape": [1, EDGE, EDGE, EDGE],
                  "dimension_separator": "."}  # fmt: skip
        versions = {"currentApiVersion": 14, "oldestSupportedApiVersion": 9}
        build = {"webknossos": {"version": "x"}, "httpApiVersioning": versions, "localDataStoreEnabled": True,
                 "localTracingStoreEnabled": True}  # fmt: skip
        user = {"id": ID, "organization": "Org", "email": "a@example.org", "firstName": "A", "lastName": "B",
                "created": 0, "lastActivity": 0, "teams": [], "experiences": {}, "isAdmin": True,
                "isDatasetManager": True}  # fmt: skip
        made = {"annotation": {"typ": "Explorational", "id": ID}, "messages": []}
        self.records = {
            "/api/buildinfo": build, f"{_API}/buildinfo": build, f"{_API}/user": user,
            f"{_API}/datasets/{ID}": dataset, f"{_API}/annotations/upload": made,
            f"{_DATA}/zarr/{ID}/datasource-properties.json": source,
            f"{_DATA}/zarr/{ID}/segmentation/1/.zarray": header,
        }  # fmt: skip

    def body(self, target: str) -> tuple[int, bytes]:
        """Return the status and body for a path with its query."""
        path, _, query = target.partition("?")
        for pattern, record in self.records.items():
            if re.fullmatch(pattern, path):
                return 200, json.dumps(record).encode()
        if path.endswith("/layers/segmentation/data"):
            asked = dict(part.split("=") for part in query.split("&"))
            sizes = [int(asked[name]) for name in ("width", "height", "depth")]
            return 200, self._cut([int(asked[axis]) for axis in "xyz"], sizes)
        chunk = re.fullmatch(rf"{_DATA}/zarr/{ID}/segmentation/1/0\.(\d)\.(\d)\.(\d)", path)
        if chunk:
            return 200, self._cut([SIDE * int(index) for index in chunk.groups()], [SIDE] * 3)
        return 404, b'{"messages":[{"error":"not found"}]}'

    def _cut(self, start: list[int], size: list[int]) -> bytes:
        box = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
        return self.voxels[box].tobytes(order="F")


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: Answers, delay: float) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = re.search(r"(?i)content-length: *(\d+)", head)
            left = int(length.group(1)) if length else 0
            while left:
                left -= len(await reader.read(min(left, _BLOCK)))
            await asyncio.sleep(delay)
            method, target, _ = head.split(" ", 2)
            if target.partition("?")[0].endswith("/download"):
                await _send_file(writer, answers.annotation, answers.size)
                continue
            status, body = answers.body(target)
            kind = "application/json" if body[:1] == b"{" else "application/octet-stream"
            writer.write(_head(status, kind, len(body)) + (body if method != "HEAD" else b""))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _send_file(writer: asyncio.StreamWriter, path: Path, size: int) -> None:
    name = f'content-disposition: attachment;filename="{path.name}"\r\n'
    writer.write(_head(200, "application/zip", size, name))
    await writer.drain()
    with path.open("rb") as file:
        await asyncio.get_running_loop().sendfile(writer.transport, file)


def _head(status: int, kind: str, length: int, more: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{more}\r\n".encode()


async def _run(annotation: Path, delay: float) -> None:
    made: list[Answers] = []
    server = await asyncio.start_server(
        lambda reader, writer: _serve(reader, writer, made[0], delay), "127.0.0.1", 0, limit=_BLOCK
    )
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    made.append(Answers(annotation, url))
    sys.stdout.write(url + "\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1]), float(sys.argv[2])))
