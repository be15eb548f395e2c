"""A server between wkfast and one of S3 that does what wires, loads and clocks do: each request may get a fault."""

from __future__ import annotations

import http.client
import http.server
import re
import socket
import struct
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tests.buckets.s3_servers import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable

# What the errors of S3 are called, and how they are answered.
STATUS = {
    "SlowDown": 503,
    "InternalError": 500,
    "ExpiredToken": 403,
    "RequestTimeTooSkewed": 403,
    "ConditionalRequestConflict": 409,
    "AccessDenied": 403,
}


class Asked:
    """A request: its number from 0 on, method, path, body and what the proxy knows of it."""

    def __init__(self, number, method, path, headers, body):
        self.number, self.method, self.path, self.body = number, method, path, body
        self.is_copy = "x-amz-copy-source" in headers
        self.range = re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("Range", ""))
        self.is_conditional = "If-None-Match" in headers or "If-Match" in headers

    @property
    def object(self):
        bucket, _, key = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        return {"Bucket": bucket, "Key": key}

    def __repr__(self):
        return f"{self.number} {self.method} {self.path}"


class _Faulty(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.lock:
            asked = Asked(len(self.server.asked), self.command, self.path, self.headers, body)
            self.server.asked.append(asked)
            fault = self.server.fault(asked)
        (fault or honest)(self, asked)

    def forwarded(self, asked):
        """What the server answers: status, headers, content."""
        server = http.client.HTTPConnection(self.server.behind)
        server.request(self.command, self.path, asked.body, dict(self.headers))
        answer = server.getresponse()
        content = answer.read()
        server.close()
        return answer.status, dict(answer.getheaders()), content

    def answer(self, status, headers, content, *, sent=None):
        """Send an answer, or the first `sent` bytes of its content."""
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(name, value)
        # Servers spell names of headers as they like.
        stated = next((value for name, value in headers.items() if name.lower() == "content-length"), "0")
        length = stated if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:sent])

    def reset(self):
        """End the connection as a machine that has gone does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.hang_up()

    def hang_up(self):
        self.wfile.flush()
        self.close_connection = True
        self.rfile.close()
        self.connection.close()

    def finish(self):
        if self.connection.fileno() >= 0:
            super().finish()

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.handle_any
        raise AttributeError(name)

    def log_message(self, *_):
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        """A client that goes away is nothing to tell of."""


# -- faults: what is done with a request ------------------------------------------------------------------------------


def honest(handler, asked):
    handler.answer(*handler.forwarded(asked))


def late(seconds):
    def fault(handler, asked):
        time.sleep(seconds)
        honest(handler, asked)

    return fault


def refused(code):
    """An error of S3's; nothing is done."""

    def fault(handler, asked):
        text = f"<Error><Code>{code}</Code><Message>This is a test.</Message></Error>".encode()
        handler.answer(STATUS[code], {"Content-Type": "application/xml"}, text)

    return fault


def reset(handler, asked):
    """The connection ends before anything is done."""
    handler.reset()


def lost(handler, asked):
    """It is done, and nobody is told."""
    handler.forwarded(asked)
    handler.reset()


def closed(handler, asked):
    """It is done, and the connection is closed in peace."""
    handler.forwarded(asked)
    handler.hang_up()


def done_but_failed(handler, asked):
    """It is done, and whoever stands before the server says that it has failed."""
    handler.forwarded(asked)
    refused("InternalError")(handler, asked)


def cut(handler, asked):
    """Half of the content comes, and the connection is closed."""
    status, headers, content = handler.forwarded(asked)
    handler.answer(status, headers, content, sent=len(content) // 2)
    handler.hang_up()


def torn(handler, asked):
    """Half of the content comes, and the connection is reset."""
    status, headers, content = handler.forwarded(asked)
    handler.answer(status, headers, content, sent=len(content) // 2)
    handler.reset()


def whole(handler, asked):
    """The range is overlooked."""
    if asked.method != "GET" or not asked.range:
        honest(handler, asked)
        return
    found = handler.server.client.get_object(**asked.object)
    headers = {"ETag": found["ETag"], "Last-Modified": handler.date_time_string()}
    handler.answer(200, headers, found["Body"].read())


def shifted(handler, asked):
    """Another range comes, and is called what it is."""
    if asked.method != "GET" or not asked.range:
        honest(handler, asked)
        return
    found = handler.server.client.get_object(**asked.object)
    content, first, last = found["Body"].read(), int(asked.range[1]) + 1, int(asked.range[2]) + 1
    headers = {"ETag": found["ETag"], "Last-Modified": handler.date_time_string()}
    headers["Content-Range"] = f"bytes {first}-{min(last, len(content)) - 1}/{len(content)}"
    handler.answer(206, headers, content[first : last + 1])


def replaced_then(content, fault):
    """The object is put anew by somebody else in the middle of its answer, or before it."""

    def replace(handler, asked):
        status, headers, sent = handler.forwarded(asked)
        handler.server.client.put_object(**asked.object, Body=content)
        handler.answer(status, headers, sent, sent=len(sent) // 2)
        handler.reset()

    def before(handler, asked):
        handler.server.client.put_object(**asked.object, Body=content)
        honest(handler, asked)

    return replace if fault is torn else before


@contextmanager
def faulty(bucket, fault: Callable = lambda _asked: None):
    """A bucket that is reached through a proxy: `fault`, which may be set anew, says what becomes of a request."""
    server = _Server(("127.0.0.1", 0), _Faulty)
    server.behind, server.client = bucket.endpoint.removeprefix("http://"), bucket.client
    server.asked, server.fault, server.lock = [], fault, threading.Lock()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    reached = Bucket(bucket.client, f"http://127.0.0.1:{server.server_port}", bucket.name)
    reached.server = server
    try:
        yield reached
    finally:
        server.fault = lambda _asked: None
        server.shutdown()
        server.server_close()


def times(count, fault, suits=lambda _asked: True):
    """The fault for the first `count` requests of the kind."""
    left = [count]

    def decide(asked):
        if left[0] <= 0 or not suits(asked):
            return None
        left[0] -= 1
        return fault

    return decide


def always(fault, suits=lambda _asked: True):
    return times(1 << 30, fault, suits)
