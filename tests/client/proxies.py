"""A real proxy, run as one: PyPI's proxy.py in a process of its own, which notes what it is shown."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.http.parser import HttpParser
from proxy.http.proxy import HttpProxyBasePlugin

_LOG = "WKFAST_TESTS_PROXY_LOG"
_PATIENCE = 30.0


class Noting(HttpProxyBasePlugin):
    """Notes every head that a client sends to the proxy, before anything is sent on."""

    def before_upstream_connection(self, request: HttpParser) -> HttpParser | None:
        if request.is_https_tunnel:
            self._note(request)
        return request

    def handle_client_request(self, request: HttpParser) -> HttpParser | None:
        if not request.is_https_tunnel:
            self._note(request)
        return request

    def _note(self, request: HttpParser) -> None:
        headers = {name.decode(): value.decode() for name, value in (request.headers or {}).values()}
        noted = {"method": (request.method or b"").decode(), "url": str(request._url or ""), "headers": headers}
        with Path(os.environ[_LOG]).open("a") as log:
            log.write(json.dumps(noted) + "\n")


@dataclass
class Proxy:
    """A proxy under way."""

    port: int
    log: Path

    def url(self, user: str = "") -> str:
        """Return its URL, with a name and a password before the host."""
        return f"http://{user and user + '@'}127.0.0.1:{self.port}"

    @property
    def noted(self) -> list[dict]:
        """The heads that came, in order."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextmanager
def running_proxy(folder: Path, user: str | None = None) -> Iterator[Proxy]:
    """Run a proxy on a free port of loopback until the block ends; `user` is the name and password it asks for."""
    folder.mkdir()
    port, log = folder / "port", folder / "log"
    log.touch()
    command = [
        sys.executable, "-m", "proxy", "--hostname", "127.0.0.1", "--port", "0", "--port-file", str(port),
        "--num-workers", "1", "--num-acceptors", "1", "--log-level", "ERROR", "--data-dir", str(folder),
        "--plugins", "tests.client.proxies.Noting", *(["--basic-auth", user] if user else []),
    ]  # fmt: skip
    known = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    known |= {_LOG: str(log), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(command, env=known, cwd=folder) as child:
        try:
            yield Proxy(_number_in(port, child), log)
        finally:
            child.terminate()


def _number_in(file: Path, child: subprocess.Popen) -> int:
    end = time.monotonic() + _PATIENCE
    while not file.exists() or not file.read_text().strip():
        if child.poll() is not None or time.monotonic() > end:
            raise RuntimeError("the proxy did not start")
        time.sleep(0.02)
    return int(file.read_text())
