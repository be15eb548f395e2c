"""Servers that tests start on this machine: one that speaks S3, one of files with ranges of bytes, one without."""

from __future__ import annotations

import http.server
import os
import re
import subprocess
import sys
import threading
import uuid
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.buckets.faults import faulty, refused
from tests.buckets.s3_servers import SECRET, Bucket, serving

__all__ = ["ALL_SERVERS", "SECRET", "Bucket"]

# Which servers of S3 a test runs on: moto's; with `make test-servers` all that it can run on.
ALL_SERVERS = "WKFAST_ALL_SERVERS"


def pytest_generate_tests(metafunc):
    """Run a test on moto's server; on others where it names them, `@pytest.mark.servers(…)`, or all are wanted."""
    if "s3_server" not in metafunc.fixturenames:
        return
    named = [kind for mark in metafunc.definition.iter_markers("servers") for kind in mark.args]
    kinds = ["moto", *named] if named or not os.environ.get(ALL_SERVERS) else ["moto", "s3s"]
    metafunc.parametrize("s3_server", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def s3_server(request):
    with serving(request.param) as server:
        yield server


@pytest.fixture
def without_credentials(monkeypatch, tmp_path):
    """No credentials but those of the test."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


@pytest.fixture
def bucket(s3_server, without_credentials):
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    s3_server.client.create_bucket(Bucket=name)
    return Bucket(s3_server.client, s3_server.endpoint, name)


class _Files(http.server.SimpleHTTPRequestHandler):
    """Files of a folder; with ranges of bytes, if `ranges`. What was asked for is noted."""

    ranges = True
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "")) if self.ranges else None
        path = Path(self.translate_path(self.path))
        self.server.asked.append((self.path, self.headers.get("Range")))
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        first, last = self._bounds(asked, len(content)) if asked else (0, len(content))
        if first >= len(content) and asked:
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last - 1}/{len(content)}")
        self.send_header("Content-Length", str(last - first))
        self.send_header("Last-Modified", self.date_time_string(path.stat().st_mtime))
        self.end_headers()
        self.wfile.write(content[first:last])

    @staticmethod
    def _bounds(asked, size):
        if not asked[1]:
            return max(0, size - int(asked[2])), size
        return int(asked[1]), min(size, int(asked[2]) + 1) if asked[2] else size

    def log_message(self, *_):
        pass


class _WholeFiles(_Files):
    ranges = False


@pytest.fixture
def serve():
    """Returns a function that serves a folder, and the server's address and what it was asked for."""
    servers = []

    def start(folder, *, ranges=True):
        handler = partial(_Files if ranges else _WholeFiles, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.asked = []
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}", server.asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def between(bucket):
    """A bucket that is reached through a server which tells what it was asked (`asked`) and refuses (`refuses`)."""
    told = []

    def fault(asked):
        told.append(("COPY" if asked.is_copy else asked.method, urlsplit(asked.path).path, len(asked.body)))
        return refused("AccessDenied") if reached.refuses(asked.method, asked.path) else None

    with faulty(bucket, fault) as reached:
        reached.asked, reached.refuses = told, lambda _method, _path: False
        yield reached


@pytest.fixture
def command(bucket):
    """Run a command that finds the bucket, and what else it is told, in the environment."""
    known = {
        "AWS_ENDPOINT_URL": bucket.endpoint,
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }

    def run(*words, code=0, **more):
        said = [sys.executable, "-m", "wkfast", *map(str, words)]
        done = subprocess.run(said, capture_output=True, text=True, env={**os.environ, **known, **more}, timeout=60)
        assert done.returncode == code, done.stderr
        return done

    return run
