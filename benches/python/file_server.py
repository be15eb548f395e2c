"""A server of files for the benches: the files of a folder, whole or ranges of bytes, each answer after a delay.

Usage: ``python -m benches.python.file_server FOLDER DELAY``; prints its URL and runs until it is ended.
"""

from __future__ import annotations

import http.server
import os
import re
import sys
import time
from functools import partial
from pathlib import Path


class _Files(http.server.SimpleHTTPRequestHandler):
    """Answers on a thread for each connection, so that one that waits holds up no other."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # heads are sent before bodies
    delay = 0.0

    def do_GET(self) -> None:
        """Send a file, or the range of it that was asked for."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Send what is known of a file."""
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        time.sleep(self.delay)
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        size = path.stat().st_size
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        first, end = _bounds(asked, size) if asked else (0, size)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{end - 1}/{size}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - first))
        self.send_header("Last-Modified", self.date_time_string(path.stat().st_mtime))
        self.end_headers()
        if body:
            with path.open("rb") as file:
                self.wfile.write(os.pread(file.fileno(), end - first, first))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _bounds(asked: re.Match[str], size: int) -> tuple[int, int]:
    if not asked[1]:
        return max(0, size - int(asked[2])), size
    return int(asked[1]), min(size, int(asked[2]) + 1) if asked[2] else size


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512


def _run(folder: str, delay: float) -> None:
    _Files.delay = delay
    with _Server(("127.0.0.1", 0), partial(_Files, directory=folder)) as server:
        sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    _run(sys.argv[1], float(sys.argv[2]))
