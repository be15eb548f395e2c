"""Servers and clients for the tests of the client, and the watch over its tokens."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.client.servers import Server

from wkfast.client import Client, Clock, Context, Secret, Session, Timeouts, context

TOKEN = "tOkEn-4711-never-to-be-seen"


class QuickClock(Clock):
    """Sleeping takes no time but moves the clock; chance is what it is told to be."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.luck = 1.0

    def monotonic(self) -> float:
        return time.monotonic() + sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def chance(self) -> float:
        return self.luck


@pytest.fixture
def clock() -> QuickClock:
    return QuickClock()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def other_server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def session(clock: QuickClock) -> Iterator[Session]:
    with Session(clock=clock, timeouts=Timeouts(connect=2, read=0.5, first_byte=2, write=2, pool=2)) as session:
        yield session


@pytest.fixture
def client(server: Server, session: Session) -> Client:
    return Client(Context(server.url, Secret(TOKEN), timeout=600, api_version=12), session=session)


@pytest.fixture
def anonymous(server: Server, session: Session) -> Client:
    return Client(Context(server.url, api_version=12, timeout=600), session=session)


@pytest.fixture(autouse=True)
def tokens_stay_hidden(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test does, no logger of any library writes the token."""
    caplog.set_level(logging.DEBUG)
    yield
    assert TOKEN not in caplog.text


def open_sockets() -> set[str]:
    """Names of this process's sockets; empty where the system has no ``/proc``."""
    folder = Path("/proc/self/fd")
    names = set()
    for entry in folder.iterdir() if folder.is_dir() else ():
        with suppress(OSError):
            names.add(str(entry.readlink()))
    return {name for name in names if name.startswith("socket:")}


@pytest.fixture
def nothing_is_left_open() -> Iterator[None]:
    """After a test and the end of its servers and sessions, no socket and no thread of it is there any more."""
    sockets, threads = open_sockets(), set(threading.enumerate())
    yield
    # a thread that was let go at the very end of a test may take a moment to be gone
    for thread in set(threading.enumerate()) - threads:
        thread.join(timeout=5)
    assert open_sockets() <= sockets
    assert set(threading.enumerate()) <= threads


@pytest.fixture(autouse=True)
def fresh_default_context(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """Each test starts like a new process in an empty folder."""
    for name in ("WK_TOKEN", "WK_URL", "WK_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(context, "_default", None)
