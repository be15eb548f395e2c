"""Servers of buckets and of files for the benches: compiled ones, reached over a wire of a length that is asked for.

Objects lie in a folder that ``tools/servers`` serves as S3 does, and nginx as files; between them and whoever reads is
``late``, which delays what it carries. ``make test-servers`` compiles both.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY, SECRET, REGION = "bench", "bench-secret", "us-east-1"
BUCKET = "bench"
_COMPILED = Path(__file__).resolve().parents[2] / "tools" / "servers" / "target" / "release"
_NGINX = """daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{ access_log {folder}/log; sendfile on; tcp_nodelay on; keepalive_requests 1000000;
client_body_temp_path {folder};
proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
server {{ listen 127.0.0.1:{port} backlog=1024; root {root}; }} }}
"""


@dataclass(frozen=True)
class Served:
    """A server that runs: where it is reached, its log and who works for it."""

    url: str
    log: Path
    processes: tuple[int, ...]

    def cpu_seconds(self) -> float:
        """Return how long its processes have computed so far."""
        ticks = 0
        for process in self.processes:
            fields = Path(f"/proc/{process}/stat").read_text().rsplit(") ", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def requests(self) -> list[str]:
        """Return a line for each request so far."""
        return self.log.read_text().splitlines() if self.log.exists() else []


def options(url: str) -> dict[str, str]:
    """Return what wkfast needs to reach the bucket."""
    return {"key": KEY, "secret": SECRET, "endpoint_url": url, "region_name": REGION}


def compiled() -> bool:
    """Return whether the compiled servers are there."""
    return (_COMPILED / "s3").is_file() and (_COMPILED / "late").is_file()


@contextmanager
def _running(*command: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def _later(url: str, milliseconds: int) -> Iterator[tuple[str, int]]:
    """A wire to a server."""
    with _running(str(_COMPILED / "late"), url.removeprefix("http://"), str(milliseconds)) as process:
        yield _line(process), process.pid


def _line(process: subprocess.Popen[str]) -> str:
    return process.stdout.readline().strip() if process.stdout else ""


@contextmanager
def bucket(folder: Path, milliseconds: int) -> Iterator[tuple[Served, str]]:
    """A bucket in which nothing is yet, its objects below `folder`; also the address without delay, for inputs."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / BUCKET).mkdir(parents=True)
    log = Path(tempfile.mkdtemp()) / "log"
    with _running(str(_COMPILED / "s3"), str(folder), KEY, SECRET, str(log)) as server:
        near = _line(server)
        with _later(near, milliseconds) as (far, wire):
            yield Served(far, log, (server.pid, wire)), near


@contextmanager
def files(folder: Path, milliseconds: int) -> Iterator[Served]:
    """The files below `folder`, by nginx."""
    place = Path(tempfile.mkdtemp())
    port = _free_port()
    (place / "conf").write_text(_NGINX.format(folder=place, port=port, root=folder))
    with _running("nginx", "-c", str(place / "conf")) as server:
        _wait_for(port)
        with _later(f"http://127.0.0.1:{port}", milliseconds) as (far, wire):
            yield Served(far, place / "log", (server.pid, wire))


def _free_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_for(port: int) -> None:
    import socket
    import time

    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("nginx does not start")


def upload(folder: Path, near: str, name: str) -> None:
    """Put the files of a folder below a name."""
    from wkfast.buckets import ObjectPath, copy_files

    names = [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in folder.rglob("*") if path.is_file()]
    copy_files(folder, ObjectPath(f"s3://{BUCKET}/{name}", options(near)), names)
