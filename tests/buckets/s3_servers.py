"""Servers that speak S3, started on this machine: moto's, and one by the crate ``s3s-fs`` (`make test-servers`)."""

from __future__ import annotations

import functools
import logging
import re
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

SECRET = "hush-hush-hush"
COMPILED = Path(__file__).resolve().parents[2] / "tools" / "servers" / "target" / "release" / "s3"

# What is asked of the compiled server beyond its files.
KINDS = {"s3s": [], "s3s-ignores": ["--conditions=ignored"], "s3s-refuses": ["--conditions=refused"]}


# Werkzeug shows answers other than 200 in colours.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Bucket:
    """A bucket of a server, and what reaches it."""

    def __init__(self, client, endpoint, name):
        self.client, self.endpoint, self.name = client, endpoint, name
        self.options = {"key": "tester", "secret": SECRET, "endpoint_url": endpoint, "region_name": "us-east-1"}

    def put(self, folder, prefix):
        """Put all files of a folder below a prefix, and return the address of that."""
        for file in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
            key = f"{prefix}/{file.relative_to(folder).as_posix()}"
            self.client.put_object(Bucket=self.name, Key=key, Body=file.read_bytes())
        return f"s3://{self.name}/{prefix}"

    def listed(self, prefix=""):
        # Without this boto asks for encoded keys, which not every server sends.
        asked = {"Bucket": self.name, "Prefix": prefix, "EncodingType": "none"}
        pages = self.client.get_paginator("list_objects_v2").paginate(**asked)
        return sorted(each["Key"] for page in pages for each in page.get("Contents", []))


class Server:
    """A server, what talks to it, and what it was asked for: method, path and bytes that came with it."""

    def __init__(self, kind, endpoint, log):
        boto3 = pytest.importorskip("boto3")
        given = {"aws_access_key_id": "tester", "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
        self.kind, self.endpoint, self._log = kind, endpoint, log
        self.client = boto3.client("s3", endpoint_url=endpoint, **given)

    @property
    def knows_conditions(self):
        """Whether it decides which of two puts came first."""
        return self.kind in {"moto", "s3s"}

    def asked(self):
        return self._log()


class _Requests(logging.Handler):
    """Keeps what werkzeug tells of requests."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def emit(self, record):
        line = record.getMessage()
        if '"' in line:
            method, path, *_ = _COLOURS.sub("", line).split('"')[1].split(" ")
            self.seen.append((method, path))


# Calls of moto that compare what is there with a condition, and change it.
_CHANGES = ("put_object", "delete_object")


def _one_after_the_other(responses):
    """Let moto decide which of two puts came first: by itself it compares for both, and then puts both."""
    lock = threading.Lock()

    def alone(call):
        @functools.wraps(call)
        def in_turn(*given, **more):
            with lock:
                return call(*given, **more)

        return in_turn

    for name in _CHANGES:
        call = getattr(responses, name)
        if not hasattr(call, "__wrapped__"):
            setattr(responses, name, alone(call))


@contextmanager
def moto():
    server_of = pytest.importorskip("moto.server", reason="moto serves S3 to these tests")
    _one_after_the_other(pytest.importorskip("moto.s3.responses").S3Response)
    server = server_of.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    log, requests = logging.getLogger("werkzeug"), _Requests()
    log.setLevel(logging.INFO)
    log.addHandler(requests)
    log.propagate = False
    server.start()
    host, port = server.get_host_and_port()
    yield Server("moto", f"http://{host}:{port}", lambda: list(requests.seen))
    server.stop()


@contextmanager
def compiled(kind):
    if not COMPILED.is_file():
        pytest.skip("the compiled server of S3 is not there: run `make test-servers`, which builds it")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        (Path(folder) / "objects").mkdir()
        command = [str(COMPILED), str(Path(folder) / "objects"), "tester", SECRET, str(log), *KINDS[kind]]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            yield Server(kind, process.stdout.readline().strip(), lambda: _asked(log))
            process.stdin.close()  # which ends it


def _asked(log):
    lines = (line.split(" ") for line in log.read_text().splitlines())
    return [("PUT" if method == "COPY" else method, path) for method, path, _ in lines]


def serving(kind):
    return moto() if kind == "moto" else compiled(kind)
