"""A server for the benches: one annotation to download, uploads, one dataset to stream, each answer after a delay.

Usage: ``python -m benches.python.remote_server ANNOTATION DELAY``; prints its URL and runs until it is ended.
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import sys
import time
from collections import deque
from pathlib import Path

import numpy as np

ID = "5" * 24
VOLUME = "Volume"
EDGE, SIDE = 256, 32
_SEND_BUFFER = 4 << 20
_API, _DATA = r"/api/v\d+", r"/data/v\d+"


def voxels() -> np.ndarray:
    """Return the streamed layer: another value in each chunk."""
    steps = np.arange(EDGE, dtype="<u4") // SIDE
    return np.asfortranarray(1 + steps[:, None, None] + 8 * steps[None, :, None] + 64 * steps[None, None, :])


class Answers:
    """What the server says, by method and path; everything is made before the first request."""

    def __init__(self, annotation: Path, url: str) -> None:
        self.file = os.open(annotation, os.O_RDONLY)
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

        self._file = os.memfd_create("answers")
        self._end = 0
        self._made: dict[str, tuple[int, int, int]] = {}
        #: Bytes of the head of each answer that was made.
        self.heads: dict[str, int] = {}
        name = f'content-disposition: attachment;filename="{annotation.name}"\r\n'
        self._keep("/download", _head(200, "application/zip", self.size, name), b"")

    def prepared(self, target: str) -> tuple[int, int, int]:
        """Return where head and body for a path with its query lie: file, begin, end. They are made once."""
        if target not in self._made:
            status, body = self._body(target)
            kind = "application/json" if body[:1] == b"{" else "application/octet-stream"
            self._keep(target, _head(status, kind, len(body)), body)
        return self._made[target]

    def _keep(self, target: str, head: bytes, body: bytes) -> None:
        start, self._end = self._end, self._end + len(head) + len(body)
        os.pwrite(self._file, head + body, start)
        self._made[target], self.heads[target] = (self._file, start, self._end), len(head)

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


class _Connection:
    """One kept-alive connection: a request comes in, its answer goes out, then the next."""

    def __init__(self, wire: socket.socket) -> None:
        self.wire = wire
        self._received = bytearray()
        self._method = self._target = ""
        # of the body of the request that is coming in; None between requests
        self._left: int | None = None
        # what is going out: file, where it begins there, where it ends
        self._going: list[tuple[int, int, int]] = []

    def receive(self, page: memoryview) -> bool | None:
        """Take in what is there; whether a request is complete, ``None`` if the client has left."""
        try:
            size = self.wire.recv_into(page)
        except BlockingIOError:
            return False
        except ConnectionError:
            return None
        if not size:
            return None
        if self._left is None:
            self._received += page[:size]
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return False
            head = self._received[:end].decode("latin-1")
            self._method, self._target, _ = head.split(" ", 2)
            length = 0 if self._method in ("GET", "HEAD") else _stated_length(head)
            self._left = length - (len(self._received) - end - 4)
            self._received.clear()
        else:
            self._left -= size
        if self._left > 0:
            return False
        self._left = None
        return True

    def answer(self, answers: Answers) -> bool:
        """Begin the answer; whether all of it is out."""
        if self._target.partition("?")[0].endswith("/download"):
            self._going = [answers.prepared("/download"), (answers.file, 0, answers.size)]
        else:
            file, start, end = answers.prepared(self._target)
            self._going = [(file, start, end if self._method != "HEAD" else start + answers.heads[self._target])]
        return self.send()

    def send(self) -> bool:
        """Send what fits; whether all of it is out."""
        while self._going:
            file, start, end = self._going[0]
            try:
                # no copy through this process: what a request costs here is no part of what is measured
                sent = os.sendfile(self.wire.fileno(), file, start, end - start)
            except BlockingIOError:
                return False
            except ConnectionError:
                self._going.clear()
                return True
            self._going[:1] = [(file, start + sent, end)] if start + sent < end else []
        return True


class _Server:
    """One thread for all connections. Every answer waits for the delay, so the first to come is the first to go."""

    def __init__(self, listener: socket.socket, answers: Answers, delay: float) -> None:
        self._listener = listener
        self._answers = answers
        self._delay = delay
        self._poll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        self._waiting: deque[tuple[float, _Connection]] = deque()
        self._page = memoryview(bytearray(1 << 20))
        listener.setblocking(False)  # noqa: FBT003
        self._poll.register(listener, select.EPOLLIN)

    def run(self) -> None:
        """Serve until the process is ended."""
        while True:
            for number, events in self._poll.poll(self._patience()):
                if number == self._listener.fileno():
                    self._accept()
                elif number in self._connections:
                    self._serve(self._connections[number], events)
            while self._waiting and self._waiting[0][0] <= time.monotonic():
                self._begin(self._waiting.popleft()[1])

    def _patience(self) -> float | None:
        return max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else None

    def _accept(self) -> None:
        while True:
            try:
                wire, _ = self._listener.accept()
            except BlockingIOError:
                return
            wire.setblocking(False)  # noqa: FBT003
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            self._connections[wire.fileno()] = _Connection(wire)
            self._poll.register(wire, select.EPOLLIN)

    def _serve(self, connection: _Connection, events: int) -> None:
        if events & select.EPOLLOUT:
            if connection.send():
                self._poll.modify(connection.wire, select.EPOLLIN)
            return
        complete = connection.receive(self._page)
        if complete is None:
            del self._connections[connection.wire.fileno()]
            connection.wire.close()
        elif complete and self._delay:
            self._waiting.append((time.monotonic() + self._delay, connection))
        elif complete:
            self._begin(connection)

    def _begin(self, connection: _Connection) -> None:
        if connection.wire.fileno() >= 0 and not connection.answer(self._answers):
            self._poll.modify(connection.wire, select.EPOLLOUT)


def _head(status: int, kind: str, length: int, more: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{more}\r\n".encode()


def _stated_length(head: str) -> int:
    length = re.search(r"(?i)content-length: *(\d+)", head)
    return int(length.group(1)) if length else 0


def _run(annotation: Path, delay: float) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = _Server(listener, Answers(annotation, url), delay)
        sys.stdout.write(url + "\n")
        sys.stdout.flush()
        server.run()


if __name__ == "__main__":
    _run(Path(sys.argv[1]), float(sys.argv[2]))
