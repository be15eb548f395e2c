"""HTTP servers on loopback: one that answers by script, bytes and faults included, and one that replays recordings."""

import base64
import hashlib
import json
import select
import socket
import struct
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

_PATIENCE = 20.0
_POLL = 0.03
_KEPT_BODY = 1 << 20


@dataclass
class Request:
    """What arrived. Of a large body only the first mebibyte is kept, with size and digest of the whole."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""
    body_size: int = 0
    body_sha256: str = ""


class Wire:
    """The server's end of a connection, for one answer."""

    def __init__(self, connection: socket.socket, closing: threading.Event) -> None:
        self.connection = connection
        self.closing = closing
        self.keep_alive = True

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.connection.sendall(data)

    def head(self, status: int = 200, **headers: object) -> None:
        """Send a status line and headers; ``content_length=5`` becomes ``content-length: 5``."""
        lines = [f"HTTP/1.1 {status} Any", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def reply(self, status: int, body: bytes, content_type: str = "application/json", **headers: object) -> None:
        """Send a whole answer."""
        self.head(status, content_type=content_type, content_length=len(body), **headers)
        self.send(body)

    def json(self, value: object, status: int = 200, **headers: object) -> None:
        """Send JSON as the server serialises it."""
        self.reply(status, compact(value), **headers)

    def end(self) -> None:
        """Close in order after this answer."""
        self.keep_alive = False

    def reset(self) -> None:
        """Break the connection: what is not delivered is lost."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.end()

    def stall(self, seconds: float = _PATIENCE) -> None:
        """Say nothing until the server is closed."""
        self.closing.wait(seconds)
        self.end()


Handler = Callable[[Request, Wire], None]


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass
class Server:
    """Answers each route by its handlers in turn, the last one again and again; 404 in HTML for the rest."""

    routes: dict[tuple[str, str], deque[Handler]] = field(default_factory=lambda: defaultdict(deque))
    fallback: Handler | None = None
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    #: Makes a connection into an encrypted one.
    wrap: Callable[[socket.socket], socket.socket] | None = None

    def __post_init__(self) -> None:
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_POLL)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    def on(self, method: str, path: str, *handlers: Handler) -> None:
        self.routes[method, path].extend(handlers)

    def get_json(self, path: str, *values: object) -> None:
        self.on("GET", path, *(_answering(value) for value in values))

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def close(self) -> None:
        self._closing.set()
        for thread in self._threads:
            thread.join(_PATIENCE)
        self._listener.close()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.connections += 1
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        if self.wrap is not None:
            try:
                connection = self.wrap(connection)
            except OSError:
                connection.close()
                return  # the client did not trust it
        with connection, connection.makefile("rb") as incoming:
            connection.settimeout(_POLL)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            keep_alive = True
            while keep_alive and not self._closing.is_set():
                if not self._wait(connection):
                    continue
                connection.settimeout(_PATIENCE)
                try:
                    keep_alive = self._serve_one(connection, incoming)
                except OSError:
                    return  # the client left
                connection.settimeout(_POLL)

    @staticmethod
    def _wait(connection: socket.socket) -> bool:
        return bool(select.select([connection], [], [], _POLL)[0])

    def _serve_one(self, connection: socket.socket, incoming) -> bool:
        request = read_request(incoming)
        if request is None:
            return False
        wire = Wire(connection, self._closing)
        with self._lock:
            self.requests.append(request)
            handler = self._handler(request)
        handler(request, wire)
        return wire.keep_alive

    def _handler(self, request: Request) -> Handler:
        queue = self.routes.get((request.method, request.path))
        if queue:
            return queue.popleft() if len(queue) > 1 else queue[0]
        return self.fallback or (lambda _, wire: wire.reply(404, b"<html>no such page</html>", "text/html"))


def _answering(value: object) -> Handler:
    return lambda _, wire: wire.json(value)


def answering(status: int, body: bytes, content_type: str = "application/json", **headers: object) -> Handler:
    return lambda _, wire: wire.reply(status, body, content_type, **headers)


def read_request(incoming) -> Request | None:
    """Read one request; large bodies are hashed, not held."""
    line = incoming.readline()
    if not line.strip():
        return None
    method, target, _ = line.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while (line := incoming.readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    parts = urlsplit(target)
    request = Request(method, unquote(parts.path), dict(parse_qsl(parts.query, keep_blank_values=True)), headers)
    _read_body(incoming, request)
    return request


def _read_body(incoming, request: Request) -> None:
    left, digest = int(request.headers.get("content-length", "0")), hashlib.sha256()
    while left:
        block = incoming.read(min(left, 1 << 16))
        if not block:
            break
        left -= len(block)
        request.body_size += len(block)
        digest.update(block)
        request.body += block[: max(0, _KEPT_BODY - len(request.body))]
    request.body_sha256 = digest.hexdigest()


@dataclass
class Replay:
    """The exchanges of a recording, answered by method, path and query; repeated requests are answered in order."""

    recording: dict
    base_url: str

    def __post_init__(self) -> None:
        self.answers: dict[tuple, deque[dict]] = defaultdict(deque)
        for exchange in self.recording["exchanges"]:
            self.answers[self.key(exchange["request"])].append(exchange)
        self.unknown: list[str] = []
        self.seen: list[dict] = []

    @classmethod
    def load(cls, path: Path, base_url: str) -> "Replay":
        return cls(json.loads(path.read_text()), base_url)

    @staticmethod
    def key(request: dict) -> tuple:
        query = tuple(sorted((key, value) for key, value in request["query"].items() if key != "timestamp"))
        return request["method"], request["path"], query

    def __call__(self, request: Request, wire: Wire) -> None:
        wanted = self.key({"method": request.method, "path": request.path, "query": request.query})
        queue = self.answers.get(wanted)
        if not queue:
            self.unknown.append(f"{request.method} {request.path} {request.query}")
            wire.reply(501, b"not recorded", "text/plain")
            return
        exchange = queue.popleft() if len(queue) > 1 else queue[0]
        self.seen.append(exchange["request"])
        response = exchange["response"]
        body = self._body(response["body"])
        headers = {name: value for name, value in response["headers"].items() if name != "content-length"}
        length = len(body) if request.method != "HEAD" else response["headers"].get("content-length", 0)
        wire.head(response["status"], content_length=length, **headers)
        wire.send(body)

    def _body(self, body: dict | None) -> bytes:
        if body is None:
            return b""
        if "base64" in body:
            return base64.b64decode(body["base64"])
        data = compact(body["json"]) if "json" in body else body["text"].encode()
        assert hashlib.sha256(data).hexdigest() == body["sha256"], "the recording is not replayed faithfully"
        # the recorded server lives at another address; files are left as they are
        return data.replace(b"http://localhost:9000", self.base_url.encode()) if "json" in body else data
