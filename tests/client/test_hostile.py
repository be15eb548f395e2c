"""What hostile and slow servers try: answers mixed up, time and memory without end, foreign errors, tokens shown."""

import gzip
import threading
import time
import traceback
import tracemalloc
from contextlib import suppress

import pytest
from tests.client.conftest import TOKEN
from tests.client.servers import answering, compact

from wkfast.client import Client, Context, RetryPolicy, Secret, Session, Timeouts, errors, resolve_annotation
from wkfast.drafts import PartFile
from wkfast.errors import WkfastError

pytestmark = pytest.mark.usefixtures("nothing_is_left_open")

ID = "570ba0092a7c0e980056fe9b"
INFO = f"/api/v12/annotations/{ID}/info"
DOWNLOAD = f"/api/v12/annotations/{ID}/download"
NML = b"<things><parameters/></things>"
MIB = 1 << 20


def annotation_id(number):
    return f"{number:024x}"


def record(request):
    return compact({"id": request.path.split("/")[-2], "typ": "Explorational"})


# answers mixed up


def early(request, wire):
    for status in (100, 102, 103, 103):
        wire.head(status, link="</style.css>; rel=preload", content_length=0)
    wire.reply(200, record(request))


def behind(request, wire):
    body = record(request)
    wrong = compact({"id": "wrong", "typ": "Explorational"})
    head = "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n"
    wire.send(head.format(len(body)).encode() + body + head.format(len(wrong)).encode() + wrong)


def late(request, wire):
    body = record(request)
    wire.reply(200, body)
    wire.closing.wait(0.02)
    wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")


def chunked(request, wire):
    body = record(request)
    wire.head(200, transfer_encoding="chunked")
    wire.send(b"".join(b"%x;ext=1\r\n%s\r\n" % (1, body[i : i + 1]) for i in range(len(body))) + b"0\r\nx: y\r\n\r\n")


@pytest.mark.parametrize("answer", [early, behind, late, chunked], ids=lambda answer: answer.__name__)
def test_each_call_gets_its_own_answer(server, client, answer):
    server.fallback = answer
    for number in range(12):
        assert client.annotations.info(annotation_id(number)).id == annotation_id(number)
        if answer is late:
            time.sleep(0.03)
    assert server.connections == (1 if answer in (early, chunked) else 12)


def test_each_thread_and_each_user_gets_its_own_answer(server, session):
    server.fallback = lambda request, wire: (
        wire.head(103),
        wire.json({"id": f"{request.path.split('/')[-2]} {request.headers['x-auth-token']}", "typ": "Task"}),
    )
    wrong = []

    def ask(user):
        client = Client(Context(server.url, Secret(f"token-{user}"), 60, 12), session=session)
        for number in range(10):
            got = client.annotations.info(annotation_id(number)).id
            if got != f"{annotation_id(number)} token-{user}":
                wrong.append(got)

    threads = [threading.Thread(target=ask, args=(n % 3,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_no_connection_is_shared_by_two_users(server, session):
    ports = {}
    server.fallback = lambda request, wire: (
        ports.setdefault(request.headers.get("x-auth-token"), set()).add(wire.connection.getpeername()),
        wire.reply(200, record(request)),
    )
    for _ in range(3):
        for token in (Secret("one"), Secret("two"), None):
            Client(Context(server.url, token, 60, 12), session=session).annotations.info(ID)
    assert [len(used) for used in ports.values()] == [1, 1, 1]
    assert len(set.union(*ports.values())) == 3


def test_connections_of_many_users_are_kept_apart(server, session):
    server.fallback = lambda request, wire: wire.reply(200, record(request))
    for number in range(12):
        Client(Context(server.url, Secret(f"token-{number}"), 60, 12), session=session).annotations.info(ID)
    assert session._fetcher.idle() == [(server.url, 1)] * 12


# time: one deadline from the call to its last byte


def drip(wire, data, then=b""):
    """Send a byte every now and then, and again from the start, until the client has had enough."""
    wire.send(then)
    while not wire.closing.is_set():
        for start in range(len(data)):
            wire.send(data[start : start + 1])
            if wire.closing.wait(0.05):
                return


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/zip\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
DRIPS = {
    "a status line": lambda _, wire: drip(wire, b"HTTP/1.1 200 " + b"O" * 10_000),
    "a head": lambda _, wire: drip(wire, b"x-more: y\r\n", HEAD),
    "100 without end": lambda _, wire: drip(wire, b"HTTP/1.1 100 Continue\r\n\r\n"),
    "103 without end": lambda _, wire: drip(wire, b"HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n"),
    "a line of a chunk's size": lambda _, wire: drip(wire, b"0", CHUNKED),
    "chunks": lambda _, wire: drip(wire, b"1\r\nx\r\n", CHUNKED),
    "trailers": lambda _, wire: drip(wire, b"x-more: y\r\n", CHUNKED + b"2\r\nPK\r\n0\r\n"),
    "a body": lambda _, wire: drip(wire, b"x", HEAD + b"content-length: 1000000\r\n\r\n"),
    "the page of a refusal": lambda _, wire: drip(wire, b"no ", b"HTTP/1.1 403 No\r\ncontent-length: 100000\r\n\r\n"),
    "JSON in place of a file": lambda _, wire: drip(
        wire, b"{", b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n"
    ),
    "silence after a while": lambda _, wire: (wire.closing.wait(0.8), wire.send(HEAD), wire.stall()),
}


class Ends:
    """The call in a thread, so that a test can tell whether it ends; whenever it does, the error is kept."""

    def __init__(self, work):
        self.error = None
        self.thread = threading.Thread(target=self.run, args=(work,), daemon=True)
        self.thread.start()

    def run(self, work):
        try:
            work()
        except BaseException as error:  # noqa: BLE001 (the test looks at it)
            self.error = error

    def in_time(self, seconds=10):
        self.thread.join(seconds)
        return not self.thread.is_alive()


@pytest.mark.parametrize("over_httpx", [False, True], ids=["own", "httpx"])
@pytest.mark.parametrize("slow", DRIPS.values(), ids=DRIPS.keys())
def test_the_total_time_of_a_call_is_kept(server, tmp_path, slow, over_httpx):
    server.fallback = slow
    # far more than the call may take in total, so that only the total can end it
    with Session(timeouts=Timeouts(60, 60, 60, 60, 60)) as session:
        if over_httpx:
            session._fetcher.leads_to = lambda _: False
        client = Client(Context(server.url, Secret(TOKEN), 1.0, 12), session=session)
        call = Ends(lambda: client.annotations.download(ID, tmp_path / "a.zip"))
        assert call.in_time()
    assert isinstance(call.error, errors.ClientError)
    if "refusal" not in repr(call.error) and not isinstance(
        call.error, errors.ResponseError | errors.UnexpectedAnswerError
    ):
        assert isinstance(call.error, errors.ClientTimeoutError | errors.TransportError), call.error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a status line", "100 without end", "a body"])
def test_the_total_time_of_an_upload_is_kept(server, tmp_path, name):
    server.fallback = DRIPS[name]
    with Session(timeouts=Timeouts(60, 60, 60, 60, 60)) as session:
        client = Client(Context(server.url, Secret(TOKEN), 1.0, 12), session=session)
        (tmp_path / "a.nml").write_bytes(NML)
        call = Ends(lambda: client.annotations.upload(tmp_path / "a.nml"))
        assert call.in_time()
    assert isinstance(call.error, errors.ClientTimeoutError), call.error


# memory


def test_encodings_within_encodings_are_refused_before_a_byte_is_unpacked(server, client):
    bomb = gzip.compress(gzip.compress(bytes(200 * MIB)))
    server.fallback = answering(200, bomb, content_encoding="gzip, gzip")
    tracemalloc.start()
    with pytest.raises(errors.UnexpectedAnswerError, match="not asked for"):
        client.annotations.readable()
    assert tracemalloc.get_traced_memory()[1] < 20 * MIB
    tracemalloc.stop()


def test_a_list_that_unpacks_without_end_is_stopped_at_the_limit(server, client, monkeypatch):
    monkeypatch.setattr("wkfast.client.session.JSON_LIMIT", 8 * MIB)
    server.fallback = answering(200, gzip.compress(b"[" + b" " * (400 * MIB), 1), content_encoding="gzip")
    call = client.call("GET", client.api_url("annotations"))
    packed = type(call)("GET", call.url, headers={"accept-encoding": "gzip"})
    tracemalloc.start()
    with pytest.raises(errors.AnswerTooLargeError):
        client.session.send(packed, limit=8 * MIB)
    assert tracemalloc.get_traced_memory()[1] < 40 * MIB
    tracemalloc.stop()


@pytest.mark.parametrize("body", [b"no gzip at all", gzip.compress(b"[]" * 1000, mtime=0)[:-12]])
def test_a_list_that_is_not_packed_as_it_says_is_tried_again_and_told(server, client, body):
    server.fallback = answering(200, body, content_encoding="gzip")
    with pytest.raises(errors.TransportError, match="broke"):
        client.annotations.readable()
    assert len(server.requests) == 6


@pytest.mark.parametrize("stated", [True, False])
def test_a_chunk_is_read_no_further_than_it_can_be(server, client, stated):
    sent = []

    def endless(_, wire):
        wire.head(200, content_type="x/y", **({"content_length": 1 << 30} if stated else {"connection": "close"}))
        while not wire.closing.is_set():
            wire.send(bytes(MIB))
            sent.append(MIB)

    server.fallback = endless
    layers = client.datastore(server.url).dataset_layers(ID)
    with pytest.raises(errors.AnswerTooLargeError, match="larger than 32768 bytes"):
        layers.chunk("color", "1", (0, 0, 0, 0), limit=32768)
    assert sum(sent) < 64 * MIB


# errors that are not ours

HOSTS = [
    "a..b",
    "x" * 64 + ".org",
    "xn--ls8h=",
    "a b",
    "wk\udc80.org",
    "ⅷ" * 80,
    "[::1",
    "wk.org:99999",
    "a\u200b.b",
    "-" * 300,
]


@pytest.mark.parametrize("host", HOSTS)
def test_hosts_that_are_none_are_refused_where_they_are_typed(host, session, clock):
    clock.chance = lambda: 0.0
    for url in (f"http://{host}", f"https://{host}/annotations/{ID}", f"http://{host}/datasets/x-{ID}"):
        with suppress(WkfastError):
            Client(Context(url, api_version=12), session=session).health()
        with suppress(WkfastError):
            resolve_annotation(url)


@pytest.mark.parametrize(
    "location", [*(f"http://{host.replace(chr(0xDC80), 'x')}/x" for host in HOSTS), "http://", "//", "/\x00", "?"]
)
def test_hosts_that_are_none_are_refused_where_a_server_leads(server, client, location):
    server.fallback = lambda _, wire: wire.send(
        b"HTTP/1.1 302 Go\r\ncontent-length: 0\r\nlocation: " + location.encode("utf-8") + b"\r\n\r\n"
    )
    with pytest.raises(WkfastError):
        client.annotations.info(ID)


@pytest.mark.parametrize(
    "value", ["socks5://127.0.0.1:9", "nonsense://x", "http://[::1", "http://a..b:1", "http://x:99999", "::::"]
)
def test_proxies_that_cannot_be_used_are_refused_clearly(server, monkeypatch, value):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, value)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Session(retry=RetryPolicy(0)) as session, pytest.raises(WkfastError):
        Client(Context("http://wk.example.org", None, 5, 12), session=session).health()


@pytest.mark.parametrize("work", [
    lambda client: client.annotations.upload(__file__, name="a\udc80"),
    lambda client: client.datasets.id_of("a\udc80", "Org"),
    lambda client: client.datasets.by_directory_name("a", "\udc80"),
    lambda client: client.datasets.search("\udc80", "Org"),
    lambda client: client.annotations.info("\udc80"),
    lambda client: client.annotations.of_task("\udc80"),
    lambda client: client.datastore(client.context.url).dataset_layers(ID).chunk("\udc80", "1", (0, 0, 0, 0)),
    lambda _: Context("http://wk.example.org/\udc80"),
    lambda _: Secret("\udc80"),
])  # fmt: skip
def test_halves_of_characters_are_refused_before_anything_is_sent(server, client, work):
    with pytest.raises(WkfastError):
        work(client)
    assert server.requests == []


DIGITS = "9" * 400
NUMBERS = [
    ({"scale": f"[{DIGITS}, 1, 1]"}), {"scale": "[1e400, 1, 1]"}, {"scale": f'{{"factor": [1, 1, {DIGITS}]}}'},
    {"created": DIGITS}, {"created": "9" * 5000},
    {"created": f'{{"customJsonEncoding": "bigint", "value": "{DIGITS}"}}'},
]  # fmt: skip


@pytest.mark.parametrize("values", NUMBERS)
def test_numbers_beyond_all_bounds_are_refused(server, client, values):
    scale, created = values.get("scale", "[1, 1, 1]"), values.get("created", "1")
    source = f'"dataSource": {{"dataLayers": [], "scale": {scale}}}'
    body = f'{{"id": "{ID}", "name": "x", "created": {created}, "dataStore": {{"url": "{server.url}"}}, {source}}}'
    server.fallback = answering(200, body.encode())
    with pytest.raises(errors.UnexpectedAnswerError):
        client.datasets.info(ID)


@pytest.mark.parametrize("header", ["bytes {0}-{0}/*", "bytes 0-9/{0}", "bytes -1-{0}/5", "x"])
def test_a_content_range_beyond_all_bounds_is_refused(server, client, header):
    server.fallback = answering(206, b"0123456789", content_range=header.format("9" * 5000))
    with pytest.raises(errors.UnexpectedAnswerError, match="another range"):
        client.datastore(server.url).file(ID, "x", start=0, length=10)


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "+5", "0x10", "²"])
def test_lengths_that_are_none_are_an_error_of_ours(server, client, length):
    server.fallback = lambda _, wire: (
        wire.send(f"HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n".encode("latin-1")),
        wire.end(),
    )
    with pytest.raises(errors.TransportError):
        client.annotations.info(ID)


@pytest.mark.parametrize(
    "value", ["Mon, 01 Jan 0001 00:00:00 +2359", "9" * 5000, "Fri, 31 Dec 9999 23:59:59 -2359", "-1"]
)
def test_a_retry_after_of_any_kind_is_survived(server, client, value):
    server.fallback = answering(429, b"{}", retry_after=value)
    with pytest.raises(errors.BusyError):
        client.annotations.info(ID)


# the token in a traceback


def shown_locals(error):
    """What a tool that shows the variables of each frame would print."""
    texts = []
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if "/wkfast/" in frame.f_code.co_filename:
                texts += [f"{frame.f_code.co_name} {name} = {value!r}" for name, value in frame.f_locals.items()]
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


FAILING = {
    "a refusal": answering(403, b"no", "text/plain"),
    "hung up": lambda _, wire: wire.end(),
    "no HTTP": lambda _, wire: (wire.send(b"SSH\r\n\r\n"), wire.end()),
    "cut": lambda _, wire: (wire.head(200, content_length=100), wire.send(b"{"), wire.end()),
    "a redirect": answering(302, b"", location="ftp://x"),
    "HTML": answering(200, b"<html>", "text/html"),
    "stalled": lambda _, wire: wire.stall(2),
}
CALLS = {
    "info": lambda client, _: client.annotations.info(ID),
    "readable": lambda client, _: client.annotations.readable(),
    "download": lambda client, folder: client.annotations.download(ID, folder),
    "upload": lambda client, _: client.annotations.upload(__file__),
    "edit": lambda client, _: client.datasets.update(ID, {"name": "x"}),
    "sharing token": lambda client, _: client.datasets.info(ID, sharing_token=Secret(TOKEN)),
    "chunk": lambda client, _: client.datastore(client.context.url, sharing_token=Secret(TOKEN)).dataset_layers(ID)
    .chunk("c", "1", (0, 0, 0, 0)),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAILING.values(), ids=FAILING.keys())
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_no_variable_of_a_failed_call_shows_the_token(server, client, tmp_path, call, fault):
    server.fallback = fault
    caught = Ends(lambda: call(client, tmp_path))
    assert caught.in_time(30)
    # an edit that was made says nothing, so that nobody minds what the answer looks like
    assert isinstance(caught.error, WkfastError) or (fault is FAILING["HTML"] and call is CALLS["edit"])
    assert TOKEN not in shown_locals(caught.error)


@pytest.mark.parametrize("raised", [KeyboardInterrupt, ZeroDivisionError])
def test_no_variable_shows_the_token_when_the_users_own_function_raises(server, client, tmp_path, raised):
    def stop(done, total):
        raise raised

    (tmp_path / "a.nml").write_bytes(NML)
    server.fallback = answering(200, NML, "application/xml")
    for work in (
        lambda: client.annotations.upload(tmp_path / "a.nml", progress=stop),
        lambda: client.annotations.download(ID, tmp_path / "b.nml", progress=stop),
    ):
        with pytest.raises(raised) as caught:
            work()
        assert TOKEN not in shown_locals(caught.value)


@pytest.mark.parametrize(
    "setting", [{"WK_TIMEOUT": "soon"}, {"WK_URL": "http://a..b"}, {"WK_TOKEN": f"{TOKEN}\n{TOKEN}"}]
)
def test_no_variable_shows_the_token_when_the_environment_is_wrong(monkeypatch, setting):
    for name, value in {"WK_TOKEN": TOKEN, **setting}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(errors.ConfigurationError) as caught:
        Client()
    assert TOKEN not in shown_locals(caught.value)


# names


@pytest.mark.parametrize("letter", ["x", "ä", "語", "🧠"])
@pytest.mark.parametrize("size", [180, 237, 251])
def test_long_names_of_many_byte_letters_are_downloaded(server, client, tmp_path, letter, size):
    name = letter * (size // len(letter.encode())) + ".nml"
    server.fallback = answering(200, NML, "application/xml")
    client.annotations.download(ID, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_part_file_of_a_name_in_no_encoding_is_made_all_the_same(tmp_path):
    with PartFile(tmp_path, "a\udc80" * 60 + ".zip") as part:
        assert part.path.exists()


def test_an_unreachable_server_is_given_up_soon_and_no_more_attempts_are_announced(tmp_path, caplog):
    with Session() as session:
        client = Client(Context("http://127.0.0.1:9", None, 600, 12), session=session)
        slept = []
        client.session.clock.sleep = slept.append
        with pytest.raises(errors.ConnectionFailedError) as raised:
            client.health()
        assert sum(slept) < 2
    announced = [line.split("; ")[-1].split(" in ")[0] for line in caplog.messages]
    assert announced == ["attempt 2 of 3", "attempt 3 of 3"]
    assert raised.value.__notes__ == ["(3 attempts were made)"]
