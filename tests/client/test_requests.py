"""Single requests by the core: connections kept, retried, bounded, and never two answers mixed up."""

import os
import threading
import time

import pytest
from tests.client.conftest import TOKEN
from tests.client.servers import answering

from wkfast.client import Client, Context, RetryPolicy, Secret, Session, Timeouts, errors
from wkfast.client.fetcher import Fetcher
from wkfast.client.workers import fetch_all

pytestmark = pytest.mark.usefixtures("nothing_is_left_open")

ID = "570ba0092a7c0e980056fe9b"
ROUTE = f"/data/v12/zarr/{ID}/layer/1/0.0.0.0"
BODY = bytes(range(256)) * 512
INDEX = (0, 0, 0, 0)


def whole(_, wire):
    wire.reply(200, BODY, "application/octet-stream")


def cut(share, *, stated=True, reset=False):
    def handler(_, wire):
        length = {"content_length": len(BODY)} if stated else {"transfer_encoding": "chunked"}
        wire.head(200, content_type="application/octet-stream", **length)
        data = BODY[: int(len(BODY) * share)]
        wire.send(data if stated else f"{len(BODY):x}\r\n".encode() + data)
        wire.reset() if reset else wire.end()

    return handler


@pytest.fixture
def layers(server, client):
    return client.datastore(server.url).dataset_layers(ID)


def test_a_chunk_is_asked_for_with_the_token_and_without_httpx(server, layers, monkeypatch):
    monkeypatch.setattr(Session, "_open_httpx", lambda *_: pytest.fail("httpx is slow"))
    server.on("GET", ROUTE, whole)
    assert layers.chunk("layer", "1", INDEX) == BODY
    (request,) = server.requests
    assert request.headers["x-auth-token"] == TOKEN
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"].startswith("wkfast/")


def test_connections_are_kept_alive(server, layers):
    server.on("GET", ROUTE, whole)
    for _ in range(5):
        layers.chunk("layer", "1", INDEX)
    assert (len(server.requests), server.connections) == (5, 1)


RECOVERABLE = {
    "hung up before the head": lambda _, wire: wire.end(),
    "cut at 0 %": cut(0),
    "cut at 50 %": cut(0.5),
    "cut at 99 %": cut(0.99),
    "reset at 50 %": cut(0.5, reset=True),
    "cut within a chunked body": cut(0.5, stated=False),
    "no HTTP": lambda _, wire: (wire.send(b"SSH-2.0-x\r\n"), wire.end()),
    "500": answering(500, b"{}"),
    "503": answering(503, b"{}"),
    "429": answering(429, b"{}", retry_after=3),
    "a stall within the body": lambda _, wire: (
        wire.head(200, content_length=len(BODY)), wire.send(BODY[:10]), wire.stall(1.0)),
}  # fmt: skip


@pytest.mark.parametrize("fault", RECOVERABLE.values(), ids=RECOVERABLE.keys())
def test_a_fault_is_tried_again(server, layers, clock, fault):
    server.on("GET", ROUTE, fault, fault, whole)
    assert layers.chunk("layer", "1", INDEX) == BODY
    assert len(server.requests) == 3
    assert len(clock.slept) == 2


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(cut(0.5), errors.TransportError), (answering(503, b"{}"), errors.ServerError)],
)
def test_a_lasting_fault_ends_after_six_attempts(server, layers, fault, kind):
    server.on("GET", ROUTE, fault)
    with pytest.raises(kind) as caught:
        layers.chunk("layer", "1", INDEX)
    assert len(server.requests) == 6
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert TOKEN not in f"{caught.value!r}{caught.value.__dict__}"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, errors.BadRequestError), (401, errors.AuthenticationError), (403, errors.PermissionDeniedError)],
)
def test_a_refusal_is_not_repeated_and_repeats_no_token(server, layers, status, kind):
    server.on("GET", ROUTE, answering(status, f"no {TOKEN}".encode(), "text/plain"))
    with pytest.raises(kind, match=r"no \*\*\*"):
        layers.chunk("layer", "1", INDEX)
    assert len(server.requests) == 1


def test_a_redirect_elsewhere_loses_the_token(server, other_server, layers):
    server.on("GET", ROUTE, answering(302, b"", location=f"{other_server.url}/moved"))
    other_server.on("GET", "/moved", whole)
    assert layers.chunk("layer", "1", INDEX) == BODY
    assert "x-auth-token" not in other_server.requests[0].headers


@pytest.fixture
def proxied(server, monkeypatch):
    """The environment names the server as proxy."""
    for name in ("no_proxy", "NO_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, server.url)


@pytest.mark.parametrize("password", ["", "me:secret@"])
def test_a_proxy_passes_requests_on(server, proxied, monkeypatch, password):
    monkeypatch.setenv("http_proxy", server.url.replace("://", f"://{password}"))
    seen = []
    server.fallback = lambda request, wire: (seen.append(request.headers["host"]), wire.reply(200, BODY, "x/y"))
    with Session() as session:
        behind = Client(Context("http://wk.example.org", Secret(TOKEN), 60, 12), session=session)
        layers = behind.datastore("http://wk.example.org").dataset_layers(ID)
        for _ in range(3):
            assert layers.chunk("layer", "1", INDEX) == BODY
    assert seen == ["wk.example.org"] * 3
    assert server.connections == 1


def test_a_proxy_that_leads_no_further_is_told(server, proxied):
    server.fallback = lambda _, wire: wire.reply(403, b"no", "text/plain")
    with Session(retry=RetryPolicy(0)) as session:
        behind = Client(Context("https://wk.example.org", Secret(TOKEN), 60, 12), session=session)
        with pytest.raises(errors.ConnectionFailedError, match="the proxy answered 403"):
            behind.health()
    (request,) = server.requests
    assert (request.method, "x-auth-token" in request.headers) == ("CONNECT", False)


def test_a_proxy_that_takes_no_connections_is_named_without_its_password(proxied, monkeypatch, tmp_path):
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://me:hush@127.0.0.1:9")
    (tmp_path / "a.zip").write_bytes(b"PK")
    told = r"no connection: by the proxy 127\.0\.0\.1:9 \(named by HTTP_PROXY"
    with Session(retry=RetryPolicy(0)) as session:
        behind = Client(Context("http://wk.example.org", Secret(TOKEN), 60, 12), session=session)
        # the second has a body, and goes over httpx
        for work in (behind.health, lambda: behind.annotations.upload(tmp_path / "a.zip", name="a.zip")):
            with pytest.raises(errors.ConnectionFailedError, match=told) as caught:
                work()
            assert "hush" not in str(caught.value)


def test_a_connection_that_the_server_closed_meanwhile_is_replaced_without_a_pause(server, layers, clock):
    def once(_, wire):
        whole(_, wire)
        wire.end()

    server.on("GET", ROUTE, once)
    for _ in range(3):
        assert layers.chunk("layer", "1", INDEX) == BODY
        time.sleep(0.05)
    assert (server.connections, clock.slept) == (3, [])


def test_a_body_beyond_the_limit_is_refused_stated_or_not(server, client):
    def endless(_, wire):
        wire.head(200, content_type="application/x", connection="close")
        while not wire.closing.is_set():
            wire.send(bytes(1 << 16))

    call = client.call("GET", f"{server.url}/big")
    for handler in (endless, answering(200, bytes(5000), "a/b")):
        server.routes["GET", "/big"].clear()
        server.on("GET", "/big", handler)
        with pytest.raises(errors.AnswerTooLargeError, match="larger than 4000 bytes"):
            client.session.send(call, limit=4000)


def test_a_drip_ends_with_the_total_time(server, clock, session):
    def drip(_, wire):
        wire.head(200, content_length=len(BODY))
        for start in range(200):
            wire.send(BODY[start : start + 1])
            clock.slept.append(10)
            wire.closing.wait(0.01)

    server.on("GET", ROUTE, drip)
    client = Client(Context(server.url, None, 100, 12), session=session)
    with pytest.raises(errors.ClientTimeoutError, match="100 s allowed in total"):
        client.datastore(server.url).dataset_layers(ID).chunk("layer", "1", INDEX)


def test_a_server_that_is_not_there_is_named(session):
    client = Client(Context("http://127.0.0.1:9", None, 60, 12), session=session)
    with pytest.raises(errors.ConnectionFailedError, match=r"127\.0\.0\.1:9"):
        client.datastore("http://127.0.0.1:9").dataset_layers(ID).chunk("layer", "1", INDEX)


def test_closing_the_session_closes_what_lies_idle_and_what_is_under_way(server, clock):
    server.on("GET", ROUTE, lambda request, wire: (wire.closing.wait(0.3), whole(request, wire)))
    session = Session(clock=clock, timeouts=Timeouts(read=5))
    layers = Client(Context(server.url, None, 60, 12), session=session).datastore(server.url).dataset_layers(ID)
    got = []
    thread = threading.Thread(target=lambda: got.append(layers.chunk("layer", "1", INDEX)))
    thread.start()
    while not server.requests:
        time.sleep(0.01)
    session.close()
    thread.join()
    assert got == [BODY]
    assert session._fetcher.idle() == []
    with pytest.raises(RuntimeError, match="closed"):
        layers.chunk("layer", "1", INDEX)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_opens_connections_of_its_own(server, layers):
    server.on("GET", ROUTE, whole)
    layers.chunk("layer", "1", INDEX)
    child = os.fork()
    if child == 0:
        os._exit(0 if layers.chunk("layer", "1", INDEX) == BODY else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert layers.chunk("layer", "1", INDEX) == BODY
    assert server.connections == 2


def test_no_way_leads_to_an_answer_of_another_request(server, layers):
    """Many threads on one pool: each gets its own chunk."""
    indices = [(0, x, y, 0) for x in range(20) for y in range(10)]
    for _, x, y, _ in indices:
        body = bytes([x, y]) * 1000
        server.on("GET", ROUTE[:-7] + f"0.{x}.{y}.0", answering(200, body, "a/b"))
    for (_, x, y, _), body in layers.chunks("layer", "1", indices, concurrency=32):
        assert body == bytes([x, y]) * 1000


def test_results_that_are_taken_slowly_hold_nothing_up_and_stay_few():
    under_way, most = set(), [0]
    lock = threading.Lock()

    def fetch(key):
        with lock:
            under_way.add(key)
            most[0] = max(most[0], len(under_way))
        return key

    taken = []
    for key, _ in fetch_all(fetch, range(300), concurrency=8):
        time.sleep(0.0005)
        with lock:
            under_way.discard(key)
        taken.append(key)
    assert sorted(taken) == list(range(300))
    assert most[0] <= 17


def test_the_first_error_ends_it_and_nothing_new_is_started():
    started = []

    def fetch(key):
        started.append(key)
        if key == 5:
            raise ValueError("five")
        return key

    before = set(threading.enumerate())
    with pytest.raises(ValueError, match="five"):
        for _ in fetch_all(fetch, iter(range(10**9)), concurrency=4):
            pass
    assert len(started) < 10**5
    assert set(threading.enumerate()) <= before


def test_leaving_early_ends_the_threads():
    before = set(threading.enumerate())
    results = fetch_all(lambda key: key, iter(range(10**9)), concurrency=4)
    next(results)
    results.close()
    assert set(threading.enumerate()) <= before


def test_ctrl_c_does_not_wait_for_a_silent_server():
    released = threading.Event()

    def fetch(key):
        if key:
            released.wait(20)
        return key

    results = fetch_all(fetch, range(8), concurrency=4)
    next(results)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        results.throw(KeyboardInterrupt())
    assert not released.is_set()
    waited = time.monotonic() - start
    released.set()
    assert waited < 10


def test_a_fetcher_knows_where_proxies_stand(monkeypatch):
    monkeypatch.setenv("https_proxy", "proxy:3128")
    monkeypatch.setenv("no_proxy", "inside.example.org")
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.delenv("all_proxy", raising=False)
    fetcher = Fetcher()
    assert not fetcher.leads_straight_to("https://wk.example.org/x")
    assert fetcher.leads_to("https://wk.example.org/x")
    assert fetcher.leads_straight_to("https://inside.example.org/x")
    assert fetcher.leads_straight_to("http://wk.example.org/x")
