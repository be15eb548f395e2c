"""What the wire may do to a download, and that nothing half-done or secret is left behind."""

import gzip
import io
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests.client.conftest import TOKEN
from tests.client.servers import Server, answering

from wkfast.client import errors

pytestmark = pytest.mark.usefixtures("nothing_is_left_open")

ID = "570ba0092a7c0e980056fe9b"
ROUTE = f"/api/v12/annotations/{ID}/download"
INFO = f"/api/v12/annotations/{ID}/info"
NML = b'<?xml version="1.0"?><things><parameters/></things>\n'


def zipped(size: int = 300_000) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.nml", NML)
        archive.writestr("data.zip", os.urandom(size))
    return buffer.getvalue()


ZIP = zipped()


def whole(_, wire):
    wire.reply(200, ZIP, "application/zip", content_disposition='attachment;filename="mine.zip"')


def cut(share: float, *, stated: bool = True, reset: bool = False):
    """Send the head and a share of the body, then hang up."""

    def handler(_, wire):
        length = {"content_length": len(ZIP)} if stated else {"connection": "close"}
        wire.head(200, content_type="application/zip", **length)
        wire.send(ZIP[: int(len(ZIP) * share)])
        wire.reset() if reset else wire.end()

    return handler


def hang_up(_, wire):
    wire.end()


def failed(status: int, **headers):
    return answering(status, b'{"messages":[{"error":"out of order"}]}', **headers)


def assert_clean(folder: Path, error: BaseException | None = None, *, names: tuple[str, ...] = ()) -> None:
    """Only the named files are in the folder, and the token is in nothing the error carries."""
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    if error is not None:
        carried = [str(error), repr(error), repr(error.__dict__), repr(getattr(error, "__notes__", ""))]
        assert TOKEN not in "".join(carried)
        assert TOKEN.encode() not in pickle.dumps(error)
        assert error.__cause__ is None
        assert error.__context__ is None


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder


RECOVERABLE = {
    "hung up before the head": hang_up,
    "cut at 0 %": cut(0),
    "cut at 50 %": cut(0.5),
    "cut at 99 %": cut(0.99),
    "reset at 50 %": cut(0.5, reset=True),
    "cut at 50 % without content-length": cut(0.5, stated=False),
    "cut at 0 % without content-length": cut(0, stated=False),
    "500": failed(500),
    "502": failed(502),
    "503": failed(503),
    "429": failed(429),
    "408": failed(408),
}


@pytest.mark.parametrize("fault", RECOVERABLE.values(), ids=RECOVERABLE.keys())
def test_a_download_starts_again_after_a_fault_and_is_whole(server, client, clock, folder, fault):
    server.on("GET", ROUTE, fault, fault, whole)
    download = client.annotations.download(ID, folder / "a.zip")
    assert (folder / "a.zip").read_bytes() == ZIP
    assert (download.name, download.kind, download.size) == ("mine.zip", "zip", len(ZIP))
    assert len(clock.slept) == 2
    assert all("range" not in request.headers for request in server.requests)
    assert_clean(folder, names=("a.zip",))


PERMANENT = {
    "hung up before the head": (hang_up, errors.TransportError),
    "cut at 50 %": (cut(0.5), errors.TransportError),
    "cut at 99 % without content-length": (cut(0.99, stated=False), errors.IncompleteDownloadError),
    "empty without content-length": (cut(0, stated=False), errors.IncompleteDownloadError),
    "500 storm": (failed(500), errors.ServerError),
    "503 storm": (failed(503, retry_after=1), errors.ServerError),
    "429 storm": (failed(429, retry_after=1), errors.BusyError),
}


@pytest.mark.parametrize(("fault", "kind"), PERMANENT.values(), ids=PERMANENT.keys())
def test_a_lasting_fault_ends_after_six_attempts_and_keeps_the_old_file(server, client, clock, folder, fault, kind):
    (folder / "a.zip").write_bytes(b"old")
    server.on("GET", ROUTE, fault)
    with pytest.raises(kind) as caught:
        client.annotations.download(ID, folder / "a.zip")
    assert len(server.requests) == 6
    assert len(clock.slept) == 5
    assert caught.value.__notes__ == ["(6 attempts were made)"]
    assert (folder / "a.zip").read_bytes() == b"old"
    assert_clean(folder, caught.value, names=("a.zip",))


REFUSED = {
    "400": (400, errors.BadRequestError),
    "401": (401, errors.AuthenticationError),
    "403": (403, errors.PermissionDeniedError),
    "404": (404, errors.NotFoundError),
    "409": (409, errors.BadRequestError),
    "418": (418, errors.BadRequestError),
}


@pytest.mark.parametrize(("status", "kind"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refusal_is_not_repeated_and_says_what_the_server_said(server, client, folder, status, kind):
    server.on("GET", ROUTE, failed(status))
    with pytest.raises(kind, match="out of order") as caught:
        client.annotations.download(ID, folder / "a.zip")
    assert (caught.value.status, caught.value.messages) == (status, ("out of order",))
    assert len(server.requests) == 1
    assert_clean(folder, caught.value)


def test_the_end_of_a_zip_within_the_zip_is_not_its_end(server, client, folder):
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("volumeAnnotationData/1/0.0.0.0", b"x" * 1000)
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("a.nml", NML)
        archive.writestr("data.zip", inner.getvalue())
    whole_zip = outer.getvalue()

    def cut_behind_the_inner_zip(_, wire):
        wire.head(200, content_type="application/zip", connection="close")
        wire.send(whole_zip[:-30])
        wire.end()

    server.on("GET", ROUTE, cut_behind_the_inner_zip)
    with pytest.raises(errors.IncompleteDownloadError):
        client.annotations.download(ID, folder / "a.zip")
    assert_clean(folder)


def test_retry_count_bounds_the_attempts(server, client, folder):
    server.on("GET", ROUTE, failed(500))
    with pytest.raises(errors.ServerError):
        client.annotations.download(ID, folder / "a.zip", retry_count=1)
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for(server, client, clock, folder, status):
    server.on("GET", ROUTE, failed(status, retry_after=17), failed(status, retry_after=9999), whole)
    client.annotations.download(ID, folder / "a.zip")
    assert clock.slept == [17.0, 120.0]


def test_pauses_grow_and_are_spread_by_chance(server, client, clock, folder):
    server.on("GET", ROUTE, failed(500))
    with pytest.raises(errors.ServerError):
        client.annotations.download(ID, folder / "a.zip")
    assert clock.slept == [0.5, 1.0, 2.0, 4.0, 8.0]
    clock.luck = 0.5
    assert client.session.retry.pause(3, None, clock.chance()) == 2.0
    assert client.session.retry.pause(30, None, 1.0) == 60.0


def test_the_total_time_counts_over_all_attempts(server, client, clock, folder, session):
    patient = type(client)(type(client.context)(server.url, client.context.token, 30, 12), session=session)
    server.on("GET", ROUTE, failed(503, retry_after=20))
    with pytest.raises(errors.ServerError) as caught:
        patient.annotations.download(ID, folder / "a.zip")
    assert clock.slept == [20.0]
    assert_clean(folder, caught.value)


def test_a_slow_drip_below_the_read_timeout_arrives(server, client, folder):
    def drip(_, wire):
        wire.head(200, content_type="application/xml", content_length=len(NML))
        for byte in NML:
            wire.send(bytes([byte]))
            wire.closing.wait(0.005)

    server.on("GET", ROUTE, drip)
    assert client.annotations.download(ID, folder / "a.nml").kind == "nml"
    assert (folder / "a.nml").read_bytes() == NML


def test_a_drip_that_outlasts_the_total_time_is_given_up(server, client, clock, folder):
    def drip(_, wire):
        wire.head(200, content_type="application/zip", content_length=len(ZIP))
        for start in range(0, 1000, 10):
            wire.send(ZIP[start : start + 10])
            clock.slept.append(100)
            wire.closing.wait(0.01)

    server.on("GET", ROUTE, drip)
    with pytest.raises(errors.ClientTimeoutError, match="600 s allowed in total") as caught:
        client.annotations.download(ID, folder / "a.zip")
    assert len(server.requests) == 1
    assert_clean(folder, caught.value)


def test_a_stall_within_the_body_is_cut_by_the_time_between_bytes(server, client, folder):
    def stall(_, wire):
        wire.head(200, content_type="application/zip", content_length=len(ZIP))
        wire.send(ZIP[:1000])
        wire.stall(1.5)  # longer than read, shorter than first_byte

    server.on("GET", ROUTE, stall, whole)
    client.annotations.download(ID, folder / "a.zip")
    assert len(server.requests) == 2


def test_the_first_byte_may_take_longer_than_the_rest(server, client, folder):
    def build_first(_, wire):
        wire.closing.wait(0.8)  # longer than read, shorter than first_byte
        whole(_, wire)

    server.on("GET", ROUTE, build_first)
    client.annotations.download(ID, folder / "a.zip")
    assert len(server.requests) == 1


def test_a_server_that_never_answers_times_out(server, client, folder):
    server.on("GET", INFO, lambda _, wire: wire.stall())
    with pytest.raises(errors.ClientTimeoutError) as caught:
        type(client)(client.context, session=client.session).annotations.info(ID)
    assert isinstance(caught.value, TimeoutError)
    assert_clean(folder, caught.value)


def test_an_unreachable_server_is_named(client, folder, clock):
    nowhere = type(client.context)("http://127.0.0.1:9", client.context.token, 600, 12)
    with pytest.raises(errors.ConnectionFailedError, match=r"127\.0\.0\.1:9") as caught:
        type(client)(nowhere, session=client.session).annotations.download(ID, folder / "a.zip")
    assert sum(clock.slept) <= 2
    assert_clean(folder, caught.value)


def test_a_server_that_was_there_a_moment_ago_is_waited_for(client, folder, clock):
    server = Server()
    server.on("GET", ROUTE, whole)
    known = type(client)(type(client.context)(server.url, None, 600, 12), session=client.session)
    known.annotations.download(ID, folder / "a.zip")
    server.close()
    with pytest.raises(errors.ConnectionFailedError):
        known.annotations.download(ID, folder / "b.zip")
    assert len(clock.slept) == 5


MISTAKEN = {
    "HTML as a file": (answering(200, b"<html>log in</html>", "text/html; charset=UTF-8"), errors.NotWebknossosError),
    "HTML named zip": (answering(200, b"<!DOCTYPE html><p>", "application/zip"), errors.UnexpectedAnswerError),
    "JSON as a file": (answering(200, b'{"messages":[{"error":"busy"}]}'), errors.UnexpectedAnswerError),
    "neither zip nor NML": (answering(200, b"\x7fELF" * 50, "application/zip"), errors.UnexpectedAnswerError),
}


@pytest.mark.parametrize(("answer", "kind"), MISTAKEN.values(), ids=MISTAKEN.keys())
def test_something_else_than_a_file_is_refused_at_once(server, client, folder, answer, kind):
    server.on("GET", ROUTE, answer)
    with pytest.raises(kind) as caught:
        client.annotations.download(ID, folder)
    assert len(server.requests) == 1
    assert_clean(folder, caught.value)


def test_a_wrong_content_type_does_not_hide_a_whole_file(server, client, folder):
    server.on("GET", ROUTE, answering(200, ZIP, "application/xml", content_disposition="attachment; filename=x.nml"))
    assert client.annotations.download(ID, folder).path == folder / "x.zip"


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>",
        b"",
        b"{",
        b"[1]",
        b"{}",
        b'{"id": 5, "typ": "Task"}',
        b'{"id": "x", "typ": "Task", "annotationLayers": [7]}',
        b'{"id": "x", "typ": "Task", "modified": NaN}',
        b"[" * 100_000,
        b'{"id": "x", "typ": "Task", "owner": {"name": "nobody"}}',
        b"\xff\xfe\x00",
    ],
)
def test_json_that_is_not_as_agreed_is_a_clear_error(server, client, answer, folder):
    server.on("GET", INFO, answering(200, answer))
    with pytest.raises(errors.UnexpectedAnswerError, match="/info") as caught:
        client.annotations.info(ID)
    assert_clean(folder, caught.value)


def test_a_missing_field_is_named(server, client):
    server.get_json(INFO, {"id": ID})
    with pytest.raises(errors.UnexpectedAnswerError, match="'typ' is missing, expected a string"):
        client.annotations.info(ID)


HOSTILE = {
    'attachment;filename="../../../etc/passwd"': "passwd.zip",
    'attachment;filename="/etc/cron.d/x.zip"': "x.zip",
    'attachment;filename="C:\\\\Windows\\\\evil.zip"': "evil.zip",
    "attachment; filename*=UTF-8''..%2F..%2Fr%C3%A9sum%C3%A9.zip": "résumé.zip",
    'attachment;filename="..": x': "_..__ x.zip",
    'attachment;filename=".bashrc"': "bashrc.zip",
    'attachment;filename=""': f"annotation_{ID}.zip",
    'attachment;filename="a\x07\x1bb.zip"': "ab.zip",
    f'attachment;filename="{"x" * 5000}.zip"': "x" * 180 + ".zip",
    'attachment;filename="naïve.zip"': "naïve.zip",
    'attachment;filename="run.sh"': "run.sh.zip",
    "garbage": f"annotation_{ID}.zip",
}


@pytest.mark.parametrize(("header", "name"), HOSTILE.items())
def test_a_hostile_file_name_stays_in_the_folder(server, client, folder, header, name):
    server.on("GET", ROUTE, answering(200, ZIP, "application/zip", content_disposition=header))
    try:
        download = client.annotations.download(ID, folder, retry_count=0)
    except errors.TransportError:
        # the HTTP library refuses control characters in headers by itself
        assert any(ord(char) < 32 for char in header)
        assert_clean(folder)
        return
    assert download.path == folder / name
    assert_clean(folder, names=(name,))


def test_a_name_the_server_chose_replaces_nothing(server, client, folder):
    (folder / "mine.zip").write_bytes(b"dear")
    server.on("GET", ROUTE, whole)
    with pytest.raises(FileExistsError, match=r"mine\.zip"):
        client.annotations.download(ID, folder)
    with pytest.raises(FileExistsError):
        client.annotations.download(ID, folder / "mine.zip", overwrite=False)
    assert (folder / "mine.zip").read_bytes() == b"dear"
    assert_clean(folder, names=("mine.zip",))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_origin_goes_without_the_token(server, other_server, client, folder, status):
    server.on("GET", ROUTE, answering(status, b"", location=f"{other_server.url}/elsewhere"))
    other_server.on("GET", "/elsewhere", whole)
    client.annotations.download(ID, folder / "a.zip")
    assert server.requests[0].headers["x-auth-token"] == TOKEN
    assert "x-auth-token" not in other_server.requests[0].headers
    assert TOKEN not in repr(other_server.requests)


def test_a_detour_over_another_origin_does_not_bring_the_token_back(server, other_server, client, folder):
    server.on("GET", ROUTE, answering(302, b"", location=f"{other_server.url}/elsewhere"))
    other_server.on("GET", "/elsewhere", answering(302, b"", location=f"{server.url}/api/delete-everything"))
    server.on("GET", "/api/delete-everything", whole)
    client.annotations.download(ID, folder / "a.zip")
    assert "x-auth-token" not in server.requests[1].headers


def test_a_redirect_within_the_origin_keeps_the_token(server, client, folder):
    server.on("GET", ROUTE, answering(302, b"", location="/moved"))
    server.on("GET", "/moved", whole)
    client.annotations.download(ID, folder / "a.zip")
    assert server.requests[1].headers["x-auth-token"] == TOKEN


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://x/y", "http://user:pw@127.0.0.1/x", "HTTPS:"])
def test_a_redirect_to_something_strange_is_not_followed(server, client, folder, location):
    server.on("GET", ROUTE, answering(302, b"", location=location))
    with pytest.raises(errors.UnexpectedAnswerError, match="not followed") as caught:
        client.annotations.download(ID, folder / "a.zip")
    assert "pw" not in str(caught.value)
    assert_clean(folder, caught.value)


@pytest.mark.parametrize("location", ["http://[::1", "javascript:alert(1)", "data:,x"])
def test_a_redirect_to_no_url_at_all_is_an_error(server, client, folder, location):
    server.on("GET", ROUTE, answering(302, b"", location=location))
    with pytest.raises(errors.ClientError) as caught:
        client.annotations.download(ID, folder / "a.zip")
    assert_clean(folder, caught.value)


def test_a_redirect_from_https_to_http_is_not_followed(client, folder):
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(302, headers={"location": "http://wk.example.org/plain"})

    context = type(client.context)("https://wk.example.org", client.context.token, 60, 12)
    encrypted = type(client)(context, transport=httpx.MockTransport(answer))
    with encrypted, pytest.raises(errors.UnexpectedAnswerError, match=r"from https to http.* not followed") as caught:
        encrypted.annotations.info(ID)
    assert len(asked) == 1
    assert_clean(folder, caught.value)


def test_endless_redirects_end(server, client, folder):
    server.on("GET", ROUTE, answering(302, b"", location=ROUTE))
    with pytest.raises(errors.UnexpectedAnswerError, match="more than 5 redirects"):
        client.annotations.download(ID, folder / "a.zip")
    assert len(server.requests) == 6


def test_a_token_that_the_server_repeats_is_not_shown(server, client, folder):
    server.on("GET", ROUTE, failed(400))
    server.routes["GET", ROUTE].clear()
    server.on("GET", ROUTE, lambda request, wire: wire.json(
        {"messages": [{"error": f"token {request.headers['x-auth-token']} is unknown"}]}, 403))  # fmt: skip
    with pytest.raises(errors.PermissionDeniedError, match=r"token \*\*\* is unknown") as caught:
        client.annotations.download(ID, folder / "a.zip")
    assert_clean(folder, caught.value)


def test_a_download_without_token_is_told_to_log_in(server, anonymous, folder):
    server.on("GET", ROUTE, answering(401, b""))
    with pytest.raises(errors.AuthenticationError, match="WK_TOKEN"):
        anonymous.annotations.download(ID, folder / "a.zip")


def test_an_endless_download_is_stopped_at_the_limit(server, client, folder):
    def endless(_, wire):
        wire.head(200, content_type="application/zip", connection="close")
        while not wire.closing.is_set():
            wire.send(b"PK" + bytes(1 << 16))

    server.on("GET", ROUTE, endless)
    with pytest.raises(errors.AnswerTooLargeError, match="larger than the 5000000 bytes allowed") as caught:
        client.annotations.download(ID, folder / "a.zip", max_bytes=5_000_000)
    assert_clean(folder, caught.value)


def test_a_large_stated_length_is_refused_before_the_body(server, client, folder):
    def announce(_, wire):
        wire.head(200, content_type="application/zip", content_length=1 << 40)
        wire.stall()

    server.on("GET", ROUTE, announce)
    with pytest.raises(errors.AnswerTooLargeError):
        client.annotations.download(ID, folder / "a.zip", max_bytes=5_000_000)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_json_without_end_is_stopped_at_the_limit(server, client, monkeypatch, encoding):
    body = b"[" + b" " * 3_000_000
    body = gzip.compress(body) if encoding == "gzip" else body
    server.on("GET", "/api/v12/user", answering(200, body, content_encoding=encoding))
    call = replace(client.call("GET", client.api_url("user")), headers={"accept-encoding": "gzip"})
    with pytest.raises(errors.AnswerTooLargeError, match="larger than 1000000 bytes"):
        client.session.send(call, limit=1_000_000)


def test_a_huge_error_page_is_read_only_at_its_beginning(server, client, folder):
    def flood(_, wire):
        wire.head(404, content_type="text/html", connection="close")
        while not wire.closing.is_set():
            wire.send(b"<p>no</p>" * 10_000)

    server.on("GET", INFO, flood)
    with pytest.raises(errors.NotFoundError) as caught:
        client.annotations.info(ID)
    assert len(str(caught.value)) < 3000


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "gzip, gzip", "x" * 500])
def test_an_encoded_body_that_nobody_asked_for_is_refused(server, client, folder, encoding):
    server.on("GET", ROUTE, answering(200, gzip.compress(ZIP), "application/zip", content_encoding=encoding))
    with pytest.raises(errors.UnexpectedAnswerError, match="not asked for") as caught:
        client.annotations.download(ID, folder / "a.zip")
    assert server.requests[0].headers["accept-encoding"] == "identity"
    assert len(server.requests) == 1
    assert_clean(folder, caught.value)


def test_header_lines_without_end_are_refused(server, client, folder):
    def flood(_, wire):
        wire.send(b"HTTP/1.1 200 OK\r\n")
        while not wire.closing.is_set():
            wire.send(b"x-more: " + b"x" * 60_000 + b"\r\n")

    server.on("GET", ROUTE, flood)
    with pytest.raises(errors.TransportError) as caught:
        client.annotations.download(ID, folder / "a.zip", retry_count=0)
    assert_clean(folder, caught.value)


def test_a_full_disk_leaves_nothing(server, client, folder):
    server.on("GET", ROUTE, answering(200, zipped(4_000_000), "application/zip"))
    script = f"""
        import resource
        from wkfast.client import Client, Context
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        Client(Context({server.url!r}, api_version=12)).annotations.download({ID!r}, {str(folder / "a.zip")!r})
    """
    result = _run_child(script)
    assert "OSError: [Errno 27]" in result.stderr
    assert "ResourceWarning" not in result.stderr
    assert_clean(folder)


def test_ctrl_c_leaves_nothing(server, client, folder):
    begun = threading.Event()

    def slow(_, wire):
        wire.head(200, content_type="application/zip", content_length=len(ZIP))
        wire.send(ZIP[: len(ZIP) // 2])
        begun.set()
        wire.stall()

    server.on("GET", ROUTE, slow)
    script = f"""
        from wkfast.client import Client, Context
        Client(Context({server.url!r}, api_version=12)).annotations.download({ID!r}, {str(folder / "a.zip")!r})
    """
    with subprocess.Popen(_child(script), stderr=subprocess.PIPE, text=True, env=_environment()) as child:
        assert begun.wait(20)
        end = time.monotonic() + 20
        while not list(folder.iterdir()) and time.monotonic() < end:
            time.sleep(0.01)
        # the file is there: give the child the moment it needs to be waiting for the rest
        time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        stderr = child.communicate(timeout=20)[1]
    assert "KeyboardInterrupt" in stderr
    assert "ResourceWarning" not in stderr
    assert_clean(folder)


def _child(script: str) -> list[str]:
    return [sys.executable, "-W", "error", "-c", textwrap.dedent(script)]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _run_child(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_child(script), capture_output=True, text=True, timeout=60, env=_environment(), check=False)
