"""Many GETs at once: what comes is right and in its place, and everything odd is left to single requests, untouched."""

import gzip
import hashlib
import ssl
import subprocess

import pytest
from tests.client.conftest import TOKEN
from tests.client.servers import answering
from tests.client.test_requests import RECOVERABLE, cut

from wkfast.client import Client, Context, Secret, Session, Timeouts, errors, pool
from wkfast.client.batch import BatchRequest
from wkfast.client.pool import MOST_CONNECTIONS

pytestmark = pytest.mark.usefixtures("nothing_is_left_open")

SIZE = 70_000


def body_of(number):
    return hashlib.sha256(str(number).encode()).digest() * (SIZE // 32) + b"x" * (SIZE % 32)


class Numbered(BatchRequest):
    """A body received in three runs of memory."""

    __slots__ = ("came", "number", "runs")

    def __init__(self, number, size=SIZE):
        self.number, self.target, self.size, self.came = number, f"/n/{number}", size, 0
        self.runs = [memoryview(bytearray(part)) for part in (1, size // 2, size - 1 - size // 2)]

    def room(self):
        return self.runs

    def arrived(self, headers):
        self.came += 1
        return headers["content-type"] != "text/html"

    def settles(self, status, body):
        return status == 404 and b"no data" in body

    @property
    def body(self):
        return b"".join(self.runs)


@pytest.fixture
def served(server):
    """Every number is answered with its body."""
    server.fallback = lambda request, wire: wire.reply(200, body_of(request.path.rpartition("/")[2]), "a/b")
    return server


def fetch(client, requests, concurrency=8):
    return list(client.session.batch(client.call("GET", client.context.url), requests, concurrency=concurrency))


def check(requests, left):
    """Each request came once and whole, or is left, once."""
    assert len(set(left)) == len(left)
    for request in requests:
        if request not in left:
            assert (request.came, request.body) == (1, body_of(request.number))


def test_all_arrive_in_their_place_over_few_connections_with_the_token(served, client):
    requests = [Numbered(number) for number in range(100)]
    assert fetch(client, iter(requests)) == []
    check(requests, [])
    assert served.connections <= 8
    assert {request.headers["x-auth-token"] for request in served.requests} == {TOKEN}
    assert {request.headers["accept-encoding"] for request in served.requests} == {"identity"}
    more = [Numbered(number) for number in range(100, 140)]
    assert fetch(client, more) == []
    check(more, [])
    assert served.connections <= 8


def test_nothing_is_asked_for_where_there_is_nothing_to_fetch(served, client):
    assert fetch(client, []) == []
    assert served.connections == 0


@pytest.mark.parametrize("fault", RECOVERABLE.values(), ids=RECOVERABLE.keys())
def test_what_a_fault_hits_is_left_and_the_rest_is_right(served, client, fault):
    for number in (0, 7, 19):
        served.on("GET", f"/n/{number}", fault)
    requests = [Numbered(number) for number in range(20)]
    left = fetch(client, requests, concurrency=3)
    check(requests, left)
    assert {requests[0], requests[7], requests[19]} & set(left)


OTHERS = {
    "a refusal": answering(403, b"no"),
    "a redirect": answering(302, b"", location="http://127.0.0.1:9/elsewhere"),
    "an encoded body": answering(200, gzip.compress(bytes(SIZE)), "a/b", content_encoding="gzip"),
    "a body in pieces": lambda _, wire: (
        wire.head(200, content_type="a/b", transfer_encoding="chunked"),
        wire.send(f"{SIZE:x}\r\n".encode() + bytes(SIZE) + b"\r\n0\r\n\r\n")),
    "a body of another size": answering(200, bytes(SIZE + 1), "a/b"),
    "a small body": answering(200, b"short", "a/b"),
    "a web page": answering(200, bytes(SIZE), "text/html"),
    "more than announced": lambda _, wire: (
        wire.head(200, content_type="a/b", content_length=SIZE), wire.send(bytes(SIZE + 5))),
    "a head without end": lambda _, wire: wire.send(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000),
    "cut without a stated length": cut(0.5, stated=False),
    "another protocol": lambda _, wire: wire.head(101, upgrade="x"),
    "answers before the answer without end": lambda _, wire: (
        [wire.head(103, link="<a>") for _ in range(40)], wire.reply(200, bytes(SIZE), "a/b")),
    "an answer without a body that states a length": lambda _, wire: wire.head(304, content_length=5),
    "two lengths": lambda _, wire: wire.send(
        f"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: {SIZE}\r\n\r\n".encode() + bytes(SIZE)),
    "a blank before a colon": lambda _, wire: wire.send(
        f"HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\ntransfer-encoding : chunked\r\n\r\n".encode() + bytes(SIZE)),
}  # fmt: skip


@pytest.mark.parametrize("answer", OTHERS.values(), ids=OTHERS.keys())
def test_any_other_answer_is_left(served, client, answer):
    served.on("GET", "/n/3", answer)
    requests = [Numbered(number) for number in range(12)]
    left = fetch(client, requests, concurrency=2)
    check([request for request in requests if request.number != 3], left)
    # what was announced did come; the bytes behind it spoil the connection, not the body
    assert requests[3] in left or answer is OTHERS["more than announced"]


@pytest.mark.parametrize("status", [100, 102, 103])
def test_answers_before_the_answer_are_passed_over(served, client, status):
    original = served.fallback

    def hinting(request, wire):
        for _ in range(3):
            wire.head(status, link=f"<{request.path}>", content_length=0)
        original(request, wire)

    served.fallback = hinting
    requests = [Numbered(number) for number in range(40)]
    assert fetch(client, requests, concurrency=3) == []
    check(requests, [])
    assert served.connections <= 3


@pytest.mark.parametrize("size", [SIZE, 400_000])
def test_what_comes_behind_an_answer_is_never_taken_for_the_next(server, client, size):
    """Each answer is followed by another one, for nobody: bodies hold the number that was asked for."""

    def body(number):
        return number.encode().ljust(16) * (size // 16)

    def twice(request, wire):
        number = request.path.rpartition("/")[2]
        head = f"HTTP/1.1 200 OK\r\ncontent-type: a/b\r\ncontent-length: {len(body(number))}\r\n\r\n".encode()
        wire.send(b"".join((head, body(number), head, body("wrong"))))

    server.fallback = twice
    requests = [Numbered(number, size) for number in range(12)]
    left = fetch(client, requests, concurrency=3)
    for request in requests:
        if request not in left:
            assert request.body == body(str(request.number))


def test_an_answer_that_settles_the_matter_needs_no_second_question(served, client):
    served.on("GET", "/n/3", answering(404, b"no data here"))
    requests = [Numbered(number) for number in range(12)]
    assert fetch(client, requests) == []
    assert requests[3].came == 0


def test_after_a_refusal_nothing_more_is_asked_for(served, client):
    served.fallback = answering(503, b"{}")
    requests = [Numbered(number) for number in range(200)]
    assert set(fetch(client, requests, concurrency=4)) == set(requests)
    assert len(served.requests) <= 4


def test_after_many_broken_connections_single_requests_take_over(served, client):
    served.fallback = lambda _, wire: wire.end()
    requests = [Numbered(number) for number in range(200)]
    assert set(fetch(client, requests, concurrency=4)) == set(requests)
    assert len(served.requests) <= 12


def test_where_nobody_listens_all_is_left(session):
    client = Client(Context("http://127.0.0.1:9", None, 60, 12), session=session)
    requests = [Numbered(number) for number in range(5)]
    assert set(fetch(client, requests)) == set(requests)


def test_a_proxy_or_another_transport_leaves_all(served, client, monkeypatch):
    monkeypatch.setenv("http_proxy", served.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    requests = [Numbered(number) for number in range(5)]
    behind = Client(Context("http://wk.example.org", None, 60, 12), session=client.session)
    assert fetch(behind, requests) == requests
    assert served.requests == []


def test_the_total_time_ends_it(served, session, clock):
    def drip(_, wire):
        wire.head(200, content_length=SIZE, content_type="a/b")
        while not wire.closing.is_set():
            wire.send(b"x")
            clock.slept.append(10)
            wire.closing.wait(0.02)

    served.on("GET", "/n/1", drip)
    client = Client(Context(served.url, Secret(TOKEN), 100, 12), session=session)
    with pytest.raises(errors.ClientTimeoutError, match="100 s allowed in total"):
        fetch(client, [Numbered(number) for number in range(4)])


@pytest.mark.parametrize("exception", [KeyboardInterrupt, ZeroDivisionError])
def test_what_ends_it_closes_what_is_under_way(served, client, exception):
    class Bad(Numbered):
        __slots__ = ()

        def arrived(self, _):
            raise exception

    with pytest.raises(exception):
        fetch(client, [Bad(0), *(Numbered(number) for number in range(1, 9))], concurrency=4)
    pool = client.session._pool
    assert pool._reserved == 0
    requests = [Numbered(number) for number in range(9)]
    assert fetch(client, requests) == []
    check(requests, [])


def test_batches_share_what_connections_there_may_be(session):
    pool = session._pool
    assert pool.reserve(MOST_CONNECTIONS - 1) == MOST_CONNECTIONS - 1
    assert [pool.reserve(50), pool.reserve(50)] == [1, 1]
    pool.give_back(MOST_CONNECTIONS - 1)
    assert pool.reserve(50) == 50


def test_more_connections_are_opened_while_the_server_takes_its_time(served, client):
    original = served.fallback
    served.fallback = lambda request, wire: (wire.closing.wait(0.3), original(request, wire))
    requests = [Numbered(number) for number in range(200)]
    left = fetch(client, requests, concurrency=128)
    check(requests, left)
    assert 64 < served.connections <= 128


def test_of_the_connections_of_a_wide_read_few_stay_open(served, client, monkeypatch):
    monkeypatch.setattr(pool, "_SURPLUS_SECONDS", 0.5)
    original = served.fallback
    served.fallback = lambda request, wire: (wire.closing.wait(0.3), original(request, wire))
    requests = [Numbered(number) for number in range(60)]
    assert fetch(client, requests, concurrency=60) == []
    ((server, idle),) = client.session._pool._idle.items()
    assert len(idle) > pool._KEPT
    closer = client.session._pool._closer
    # another read puts it off
    assert fetch(client, [Numbered(60)]) == []
    while closer is not None:
        closer.join(30)
        closer = client.session._pool._closer
    assert len(client.session._pool._idle[server]) == pool._KEPT
    assert fetch(client, [Numbered(number) for number in range(61, 90)]) == []


@pytest.fixture
def encrypted(served, tmp_path, monkeypatch):
    """The server behind TLS, by a certificate that is trusted."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=False, capture_output=True)  # fmt: skip
    if made.returncode:
        pytest.skip("no openssl to make a certificate with")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    served.wrap = lambda connection: context.wrap_socket(connection, server_side=True)
    return served.url.replace("http:", "https:")


def test_encrypted_connections_carry_it_too(encrypted, served):
    with Session(timeouts=Timeouts(connect=5, read=5)) as session:
        client = Client(Context(encrypted, Secret(TOKEN), 60, 12), session=session)
        requests = [Numbered(number) for number in range(40)]
        left = fetch(client, requests)
        check(requests, left)
        assert left == []
        assert 1 < served.connections <= 8


def test_a_certificate_that_is_not_trusted_leaves_all(encrypted, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with Session(timeouts=Timeouts(connect=5, read=5)) as session:
        client = Client(Context(encrypted, Secret(TOKEN), 60, 12), session=session)
        requests = [Numbered(number) for number in range(4)]
        assert set(fetch(client, requests)) == set(requests)


def test_no_socket_is_left_open(served, session, recwarn):
    client = Client(Context(served.url, None, 60, 12), session=session)
    served.on("GET", "/n/5", cut(0.5))
    fetch(client, [Numbered(number) for number in range(30)])
    session.close()
    assert not [warning for warning in recwarn if issubclass(warning.category, ResourceWarning)]
