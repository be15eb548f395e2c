"""Threads that wait for servers outlive the interpreter, and must not come back to it."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.client.servers import Request, Server, Wire

# Once the interpreter has ended, the process stays, as one does that has much to tidy up: long enough for every thread
# that looks for signals to do so.
PROGRAM = """
import ctypes, sys, threading, time
import wkfast as wk

libc = ctypes.CDLL(None)
libc.__cxa_atexit(ctypes.cast(libc.pause, ctypes.c_void_p), None, None)
# They look in turn, so that for some the moment comes when nothing is left of the interpreter.
for server in sys.argv[1:]:
    annotation = server + "/annotations/" + 24 * "a"
    threading.Thread(target=wk.Annotation.download, args=(annotation,), daemon=True).start()
    time.sleep(0.002)
print("asked", flush=True)
time.sleep(0.5)
"""


@pytest.fixture
def silent() -> Iterator[list[Server]]:
    def answer(_request: Request, wire: Wire) -> None:
        wire.stall()

    # Threads that ask the same server wait for the first.
    servers = [Server(fallback=answer) for _ in range(16)]
    yield servers
    for server in servers:
        server.close()


def test_threads_that_wait_for_servers_leave_an_interpreter_that_has_ended_alone(
    silent: list[Server], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), *(server.url for server in silent)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment["TMPDIR"] = str(tmp_path)  # it is killed with downloads under way, whose folders stay
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"asked\n"
        time.sleep(2)
        ended = child.poll()
        child.send_signal(signal.SIGKILL)
        said = child.communicate()[1]
    assert (ended, said.decode()) == (None, "")
    assert all(server.paths() for server in silent), "not all had asked yet"
