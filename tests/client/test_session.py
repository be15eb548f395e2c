"""Connections: shared, kept alive, closed without a trace, and not opened before they are needed."""

import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time

import httpx
import pytest
from tests.client.conftest import TOKEN
from tests.client.servers import answering

from wkfast.client import Client, Context, Secret, Session, close_shared_session, errors, shared_session
from wkfast.client.workers import fetch_all

ID = "570ba0092a7c0e980056fe9b"


def child(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "PYTHONPATH": paths, **environment},
    )  # fmt: skip


@pytest.mark.parametrize("module", ["wkfast", "wkfast.client", "wkfast.client.context", "wkfast.client.errors"])
def test_importing_loads_no_http_library(module):
    script = f"import sys, {module}; print([name for name in ('httpx', 'ssl', 'http.client') if name in sys.modules])"
    result = child(script)
    assert (result.stdout.strip(), result.stderr) == ("[]", "")


def test_parsing_a_url_and_a_context_load_no_http_library():
    result = child(f"""
        import sys
        from wkfast.client import Client, current_context, resolve_annotation
        Client(resolve_annotation("https://webknossos.org/annotations/{ID}").context)
        print("httpx" in sys.modules)
    """)
    assert (result.stdout.strip(), result.stderr) == ("False", "")


def test_the_shared_session_closes_without_a_warning_at_the_end_of_the_process(server):
    server.on("GET", "/api/v12/health", answering(200, b"Ok", "text/plain"))
    result = child(f"""
        from wkfast.client import Client, Context
        print(Client(Context({server.url!r}, api_version=12)).health())
    """)
    assert (result.stdout.strip(), result.stderr) == ("Ok", "")


def test_a_get_loads_no_http_library(server):
    server.on("GET", "/api/v12/health", answering(200, b"Ok", "text/plain"))
    result = child(f"""
        import sys
        from wkfast.client import Client, Context
        Client(Context({server.url!r}, api_version=12)).health()
        print("httpx" in sys.modules)
    """)
    assert (result.stdout.strip(), result.stderr) == ("False", "")


def test_ctrl_c_leaves_a_silent_server_at_once(server):
    given_up = []

    def silent(_, wire):
        wire.stall()
        given_up.append(True)

    server.on("GET", "/api/v12/health", silent)
    result = child(f"""
        import signal, threading
        from wkfast.client import Client, Context
        threading.Timer(0.5, lambda: signal.raise_signal(signal.SIGINT)).start()
        try:
            Client(Context({server.url!r}, api_version=12)).health()
        except KeyboardInterrupt:
            print("left")
    """)
    assert (result.stdout.strip(), result.stderr) == ("left", "")
    # the server has not said anything, nor hung up
    assert given_up == []


def test_the_transport_is_a_parameter():
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"id": "a", "organization": "o"}))
    with Client(Context("https://wk.example.org", api_version=12), transport=transport) as client:
        assert client.user().organization == "o"


def test_a_closed_session_says_so(server):
    session = Session()
    session.close()
    session.close()
    with pytest.raises(RuntimeError, match="closed"):
        Client(Context(server.url, api_version=12), session=session).health()


def test_a_client_leaves_the_shared_session_open(server):
    server.on("GET", "/api/v12/health", answering(200, b"Ok", "text/plain"))
    for _ in range(2):
        with Client(Context(server.url, api_version=12)) as client:
            assert client.health() == "Ok"
    assert client.session is shared_session()
    assert server.connections == 1
    close_shared_session()


def test_threads_share_connections(server, client):
    server.on("GET", "/api/v12/health", answering(200, b"Ok", "text/plain"))
    answers = []
    threads = [threading.Thread(target=lambda: answers.extend(client.health() for _ in range(10))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["Ok"] * 80
    assert server.connections <= 8


def test_a_stale_connection_is_replaced(server, client):
    def once(_, wire):
        wire.reply(200, b"Ok", "text/plain")
        wire.end()

    server.on("GET", "/api/v12/health", once)
    assert [client.health() for _ in range(3)] == ["Ok"] * 3


def test_cookies_tie_no_identity_to_the_pool(server, client):
    server.on("GET", "/api/v12/health", answering(200, b"Ok", "text/plain", set_cookie="id=somebody; Path=/"))
    client.health()
    client.health()
    assert all("cookie" not in request.headers for request in server.requests)


def test_contexts_on_one_session_keep_their_tokens_apart(server, session):
    server.get_json("/api/v12/user", {"id": "a"}, {"id": "b"}, {"id": "c"})
    users = [Client(Context(server.url, token, api_version=12), session=session) for token in
             (Secret("one"), Secret("two"), None, Secret("one"))]  # fmt: skip
    assert [client.user().id for client in users] == ["a", "b", "c", "a"]
    assert [request.headers.get("x-auth-token") for request in server.requests] == ["one", "two", None]


@pytest.mark.parametrize("over_httpx", [False, True])
def test_a_sharing_token_is_in_no_log(server, client, caplog, monkeypatch, over_httpx):
    server.get_json(f"/api/v12/datasets/{ID}", {"nothing": 1})
    if over_httpx:  # which logs what it asks for
        monkeypatch.setattr(client.session._fetcher, "leads_to", lambda _: False)
    with pytest.raises(errors.UnexpectedAnswerError) as caught:
        client.datasets.info(ID, sharing_token=TOKEN)
    assert server.requests[0].query == {"sharingToken": TOKEN}
    assert "x-auth-token" not in server.requests[0].headers
    assert (f"/api/v12/datasets/{ID}" in caplog.text) == over_httpx
    assert TOKEN not in caplog.text + str(caught.value)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_opens_connections_of_its_own(server):
    server.on("GET", "/api/v12/health", answering(200, b"Ok", "text/plain"))
    with Session() as session:
        context = Context(server.url, api_version=12)
        clients = [Client(context), Client(context, session=session)]
        assert [client.health() for client in clients] == ["Ok", "Ok"]
        forking = multiprocessing.get_context("fork")
        answers = forking.SimpleQueue()
        process = forking.Process(target=lambda: answers.put([client.health() for client in clients]))
        process.start()
        process.join(20)
        assert answers.get() == ["Ok", "Ok"]
        assert [client.health() for client in clients] == ["Ok", "Ok"]
    assert server.connections == 4
    close_shared_session()


def test_a_client_is_pickled_as_its_context(server, monkeypatch):
    server.on("GET", "/api/v12/health", answering(200, b"Ok", "text/plain"))
    sent = pickle.dumps(Client(Context(server.url, Secret(TOKEN), api_version=12)))
    assert TOKEN.encode() not in sent
    monkeypatch.setenv("WK_URL", server.url)
    monkeypatch.setenv("WK_TOKEN", TOKEN)
    arrived = pickle.loads(sent)
    assert (arrived.context.token, arrived.health()) == (Secret(TOKEN), "Ok")
    close_shared_session()


def test_many_chunks_are_fetched_at_once_over_few_connections(server, client):
    together, lock = [0, 0], threading.Lock()

    def chunk(request, wire):
        with lock:
            together[0] += 1
            together[1] = max(together)
        time.sleep(0.02)
        with lock:
            together[0] -= 1
        wire.reply(200, request.path.rpartition("/")[2].encode(), "application/octet-stream")

    server.fallback = chunk
    layers = client.datastore(server.url).dataset_layers(ID)
    indices = [(0, x, y, 0) for x in range(10) for y in range(10)]
    found = dict(layers.chunks("color", "1", indices, concurrency=8))
    assert found == {index: ".".join(map(str, index)).encode() for index in indices}
    assert together[1] == 8
    assert server.connections <= 8


def test_fetching_is_bounded_and_stops_with_the_reader():
    started = []

    def fetch(key: int) -> int:
        started.append(key)
        return key

    def endless():
        key = 0
        while True:
            yield key
            key += 1

    before = set(threading.enumerate())  # of whoever ran here earlier, and none of this test's business
    results = fetch_all(fetch, endless(), concurrency=2)
    assert [next(results)[0] in range(8) for _ in range(3)] == [True] * 3
    results.close()
    count = len(started)
    assert count <= 8
    assert set(threading.enumerate()) <= before
    time.sleep(0.05)
    assert len(started) == count


def test_the_first_error_of_a_fetch_ends_it():
    def fetch(key: int) -> int:
        if key == 5:
            raise errors.ServerError("no")
        return key

    with pytest.raises(errors.ServerError):
        list(fetch_all(fetch, range(1000), concurrency=4))
