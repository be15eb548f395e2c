"""A server for the benches: one annotation to download, uploads, one dataset to stream, each answer after a delay.

Usage: ``python -m benches.python.remote_server ANNOTATION DELAY``; prints its URL and runs until it is ended.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import cast

import numpy as np

ID = "5" * 24
VOLUME = "Volume"
EDGE, SIDE = 256, 32
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
        painted = {**layer, "name": VOLUME, "mags": [{**mag, "path": f"./{VOLUME}/1"}]}
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
                "created": 0, "lastActivity": 0, "teams": [], "experiences": {}, "isActive": True, "isAdmin": True,
                "isDatasetManager": True}  # fmt: skip
        info = {"id": ID, "typ": "Explorational", "name": "mine", "description": "", "state": "Active", "modified": 0,
                "annotationLayers": [{"tracingId": "t", "typ": "Volume", "name": VOLUME, "stats": {}}],
                "datasetId": ID, "dataSetName": "cells", "organization": "Org", "dataStore": store,
                "visibility": "Internal"}  # fmt: skip
        made = {"annotation": {"typ": "Explorational", "id": ID}, "messages": []}
        self.records = {
            "/api/buildinfo": build, f"{_API}/buildinfo": build, f"{_API}/user": user,
            f"{_API}/datasets/{ID}": dataset, f"{_API}/annotations/upload": made,
            f"{_DATA}/zarr/{ID}/datasource-properties.json": source,
            f"{_DATA}/zarr/{ID}/segmentation/1/.zarray": header,
            f"{_API}/annotations/{ID}/info": info, f"{_API}/health": "Ok",
            f"{_DATA}/annotations/zarr/{ID}/datasource-properties.json": {**source, "dataLayers": [layer, painted]},
            f"{_DATA}/annotations/zarr/{ID}/{VOLUME}/1/.zarray": header,
        }  # fmt: skip

        self._made: dict[str, bytes] = {}

    def answer(self, target: str) -> bytes:
        """Return head and body for a path with its query, made once: what it costs is no part of what is measured."""
        if target not in self._made:
            status, body = self._body(target)
            kind = "application/json" if body[:1] == b"{" else "application/octet-stream"
            self._made[target] = _head(status, kind, len(body)) + body
        return self._made[target]

    def _body(self, target: str) -> tuple[int, bytes]:
        path, _, query = target.partition("?")
        for pattern, record in self.records.items():
            if re.fullmatch(pattern, path):
                return 200, json.dumps(record).encode()
        if path.endswith("/layers/segmentation/data"):
            asked = dict(part.split("=") for part in query.split("&"))
            sizes = [int(asked[name]) for name in ("width", "height", "depth")]
            return 200, self._cut([int(asked[axis]) for axis in "xyz"], sizes)
        chunk = re.fullmatch(
            rf"{_DATA}/(?:annotations/)?zarr/{ID}/(?:segmentation|{VOLUME})/1/0\.(\d)\.(\d)\.(\d)", path
        )
        if chunk:
            return 200, self._cut([SIDE * int(index) for index in chunk.groups()], [SIDE] * 3)
        return 404, b'{"messages":[{"error":"not found"}]}'

    def _cut(self, start: list[int], size: list[int]) -> bytes:
        box = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
        return self.voxels[box].tobytes(order="F")


class _Connection(asyncio.Protocol):
    """One kept-alive connection; a request is answered after the delay, without work that was done before."""

    transport: asyncio.Transport

    def __init__(self, answers: Answers, delay: float) -> None:
        self._answers = answers
        self._delay = delay
        self._received = bytearray()
        self._method = self._target = ""
        # of the body of the request that is coming in; None between requests
        self._left: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._left is None:
            self._received += data
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._received[:end].decode("latin-1")
            self._method, self._target, _ = head.split(" ", 2)
            length = re.search(r"(?i)content-length: *(\d+)", head)
            self._left = (int(length.group(1)) if length else 0) - (len(self._received) - end - 4)
            self._received.clear()
        else:
            self._left -= len(data)
        if self._left <= 0:
            self._left = None
            asyncio.get_running_loop().call_later(self._delay, self._answer)

    def _answer(self) -> None:
        if self.transport.is_closing():
            return
        if self._target.partition("?")[0].endswith("/download"):
            self._sending = asyncio.create_task(self._send_file())
        else:
            answer = self._answers.answer(self._target)
            self.transport.write(answer if self._method != "HEAD" else answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")

    async def _send_file(self) -> None:
        path = self._answers.annotation
        name = f'content-disposition: attachment;filename="{path.name}"\r\n'
        self.transport.write(_head(200, "application/zip", self._answers.size, name))
        with path.open("rb") as file:
            await asyncio.get_running_loop().sendfile(self.transport, file)


def _head(status: int, kind: str, length: int, more: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{more}\r\n".encode()


async def _run(annotation: Path, delay: float) -> None:
    made: list[Answers] = []
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(made[0], delay), "127.0.0.1", 0, backlog=512
    )
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    made.append(Answers(annotation, url))
    sys.stdout.write(url + "\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1]), float(sys.argv[2])))
