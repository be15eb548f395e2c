"""Transfers: what is sent and how often, progress, and flat memory for any size."""

import io
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.client.conftest import TOKEN
from tests.client.servers import Server, answering
from tests.inputs import measured, needs_peaks

from wkfast.client import errors

ID = "570ba0092a7c0e980056fe9b"
UPLOAD = "/api/v12/annotations/upload"
DOWNLOAD = f"/api/v12/annotations/{ID}/download"
MADE = b'{"annotation":{"typ":"Explorational","id":"570ba0092a7c0e980056fe9b"},"messages":[{"success":"done"}]}'
MIB = 1 << 20


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "my annotation.zip"
    path.write_bytes(os.urandom(3 * MIB + 17))
    return path


def failing(status: int, **headers):
    return answering(status, b'{"messages":[{"error":"not now"}]}', **headers)


def test_an_upload_arrives_whole_with_a_stated_length(server, client, source):
    server.on("POST", UPLOAD, answering(200, MADE))
    seen = []
    result = client.annotations.upload(source, progress=lambda done, total: seen.append((done, total)))
    request = server.requests[0]
    size = source.stat().st_size
    assert result.url == f"{server.url}/annotations/{ID}"
    assert "transfer-encoding" not in request.headers
    assert request.body_size == int(request.headers["content-length"]) > size
    assert b'name="my annotation.zip"; filename="my annotation.zip"\r\nContent-Type: application/zip' in request.body
    assert request.headers["x-auth-token"] == TOKEN
    assert seen[-1] == (size, size)


def test_an_upload_takes_an_open_file_and_a_name(server, client, source):
    server.on("POST", UPLOAD, answering(200, MADE))
    with source.open("rb") as file:
        file.read(5)
        client.annotations.upload(file, name='a "b"\r\nX-Evil: c')
    client.annotations.upload(io.BytesIO(source.read_bytes()), name="d")
    first, second = server.requests
    assert b'filename="a %22b%22%0D%0AX-Evil: c.zip"' in first.body
    assert b'filename="d.zip"' in second.body
    assert first.body_size - len(b"a %22b%22%0D%0AX-Evil: c") * 2 == second.body_size - len(b"d") * 2


@pytest.mark.parametrize("status", [400, 401, 403, 413, 500, 502, 504])
def test_an_upload_that_may_have_arrived_is_not_repeated(server, client, source, status):
    server.on("POST", UPLOAD, failing(status))
    with pytest.raises(errors.ResponseError, match="not now"):
        client.annotations.upload(source)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_an_upload_the_server_put_off_is_repeated_from_its_start(server, client, source, clock, status):
    server.on("POST", UPLOAD, failing(status, retry_after=3), answering(200, MADE))
    client.annotations.upload(source)
    assert clock.slept == [3.0]
    first, second = (int(request.headers["content-length"]) for request in server.requests)
    assert [request.body_size for request in server.requests] == [first, second]


def test_an_upload_whose_answer_is_lost_is_not_repeated(server, client, source):
    server.on("POST", UPLOAD, lambda _, wire: wire.end())
    with pytest.raises(errors.TransportError):
        client.annotations.upload(source)
    assert len(server.requests) == 1


def test_an_upload_is_repeated_while_no_connection_can_be_opened(client, source, clock):
    nowhere = type(client.context)("http://127.0.0.1:9", client.context.token, 600, 12)
    with pytest.raises(errors.ConnectionFailedError):
        type(client)(nowhere, session=client.session).annotations.upload(source)
    assert len(clock.slept) == 2


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_an_upload_is_not_sent_on_by_a_redirect(server, other_server, client, source, status):
    server.on("POST", UPLOAD, answering(status, b"", location=f"{other_server.url}/x"))
    with pytest.raises(errors.UnexpectedAnswerError, match="data is not sent on"):
        client.annotations.upload(source)
    assert other_server.requests == []


def test_an_early_refusal_is_heard_though_the_upload_goes_on(server, client, tmp_path):
    large = tmp_path / "large.zip"
    large.write_bytes(bytes(40 * MIB))

    class Impatient(Server):
        def _serve_one(self, connection, incoming):
            incoming.readline()
            connection.sendall(b"HTTP/1.1 413 No\r\ncontent-length: 7\r\nconnection: close\r\n\r\ntoo big")
            connection.shutdown(1)
            while incoming.read(MIB):
                pass
            return False

    impatient = Impatient()
    context = type(client.context)(impatient.url, client.context.token, 600, 12)
    with pytest.raises(errors.BadRequestError, match="too big") as caught:
        type(client)(context, session=client.session).annotations.upload(large)
    assert caught.value.status == 413
    impatient.close()


def test_a_file_that_shrinks_while_it_is_sent_is_an_error(server, client, source):
    server.on("POST", UPLOAD, answering(200, MADE))

    def shrink(done: int, total: int | None) -> None:
        os.truncate(source, MIB)

    with pytest.raises(errors.ClientError, match="became shorter"):
        client.annotations.upload(source, progress=shrink)


def test_a_missing_file_is_told_before_anything_is_sent(server, client, tmp_path):
    with pytest.raises(FileNotFoundError):
        client.annotations.upload(tmp_path / "none.zip")
    assert server.requests == []


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b'{"messages":[{"error":"NML is broken"}]}', "no annotation was made; the server says: NML is broken"),
        (b'{"annotation":{"typ":"Task","id":"../x"}}', "24 hex digits"),
        (b'{"annotation":{"id":"570ba0092a7c0e980056fe9b"}}', "'typ' is missing"),
        (b"<html>", "not a WEBKNOSSOS server"),
    ],
)
def test_an_upload_without_an_annotation_is_an_error(server, client, source, answer, text):
    server.on("POST", UPLOAD, answering(200, answer))
    with pytest.raises(errors.UnexpectedAnswerError, match=text):
        client.annotations.upload(source)
    assert len(server.requests) == 1


def test_warnings_of_the_server_are_handed_on(server, client, source):
    server.on("POST", UPLOAD, answering(200, MADE.replace(b'{"success":"done"}', b'{"warning":"old format"}')))
    assert client.annotations.upload(source).messages == (("warning", "old format"),)


def test_progress_is_told_at_most_ten_times_a_second_and_ends_complete(server, client, clock, tmp_path):
    body = b"<things>" + b" " * (4 * MIB) + b"</things>"
    server.on("GET", DOWNLOAD, answering(200, body, "application/xml"))
    seen = []
    client.annotations.download(ID, tmp_path / "a.nml", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(body), len(body))
    assert seen == sorted(seen)
    assert len(seen) < 4 * MIB / (64 << 10)


def test_progress_without_a_stated_length_has_no_total(server, client, tmp_path):
    def unstated(_, wire):
        wire.head(200, content_type="application/xml", connection="close")
        wire.send(b"<things></things>")
        wire.end()

    server.on("GET", DOWNLOAD, unstated)
    seen = []
    client.annotations.download(ID, tmp_path / "a.nml", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (17, None)


def test_a_progress_that_raises_stops_the_download_and_leaves_nothing(server, client, tmp_path):
    server.on("GET", DOWNLOAD, answering(200, b"<things></things>", "application/xml"))

    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "downloads"
    folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        client.annotations.download(ID, folder / "a.nml", progress=stop)
    assert list(folder.iterdir()) == []


def test_two_downloads_to_one_path_do_not_mix(server, client, tmp_path):
    body = b"<things>" + b"x" * MIB + b"</things>"
    server.on("GET", DOWNLOAD, answering(200, body, "application/xml"))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: client.annotations.download(ID, tmp_path / "a.nml"), range(12)))
    assert (tmp_path / "a.nml").read_bytes() == body
    assert [path.name for path in tmp_path.glob("a.nml*")] == ["a.nml"]


# memory: the work is done in a process of its own, whose peak is compared with one that moves next to nothing


def _zip_parts(size: int):
    """Return the head, the filler block and the tail of a stored zip of about ``size`` bytes, never held whole."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.nml", b"<things></things>")
    data = buffer.getvalue()
    end = data.rfind(b"PK\x01\x02")
    # bytes between members belong to nobody, and the directory's offset moves with them
    filler = size - len(data)
    tail = bytearray(data[end:])
    offset = tail.rfind(b"PK\x05\x06") + 16
    tail[offset : offset + 4] = (end + filler).to_bytes(4, "little")
    return data[:end], filler, bytes(tail)


def _peak(server_url: str, work: str) -> int:
    script = f"""
        from wkfast.client import Client, Context
        client = Client(Context({server_url!r}, timeout=300, api_version=12))
        {work}
        print(peak())
    """
    (peak,) = measured(script, PYTHONWARNINGS="error")
    return peak


@needs_peaks
@pytest.mark.parametrize("mebibytes", [256, pytest.param(2048, marks=pytest.mark.long)])
def test_a_large_download_needs_no_more_memory_than_a_small_one(server, tmp_path, mebibytes):
    def serve(megabytes: int):
        head, filler, tail = _zip_parts(megabytes * MIB)

        def handler(_, wire):
            wire.head(200, content_type="application/zip", content_length=len(head) + filler + len(tail))
            wire.send(head)
            for start in range(0, filler, MIB):
                wire.send(bytes(min(MIB, filler - start)))
            wire.send(tail)

        return handler

    server.on("GET", DOWNLOAD, serve(1), serve(mebibytes))
    work = f"client.annotations.download({ID!r}, {str(tmp_path / 'a.zip')!r})"
    small = _peak(server.url, work)
    large = _peak(server.url, work)
    assert (tmp_path / "a.zip").stat().st_size == mebibytes * MIB
    (tmp_path / "a.zip").unlink()
    assert large - small < 16 * MIB, f"{small} and {large} bytes"


@needs_peaks
@pytest.mark.parametrize("mebibytes", [256, pytest.param(2048, marks=pytest.mark.long)])
def test_a_large_upload_needs_no_more_memory_than_a_small_one(server, tmp_path, mebibytes):
    server.on("POST", UPLOAD, answering(200, MADE))
    peaks = []
    for size in (1, mebibytes):
        with (tmp_path / "a.zip").open("wb") as file:
            file.truncate(size * MIB)
        peaks.append(_peak(server.url, f"client.annotations.upload({str(tmp_path / 'a.zip')!r})"))
    assert server.requests[-1].body_size > mebibytes * MIB
    assert peaks[1] - peaks[0] < 16 * MIB, f"{peaks} bytes"


@needs_peaks
def test_peaks_of_memory_are_those_of_the_script_alone():
    held = b"." * (256 * MIB)
    small, grown = measured("""
        print(peak())
        before = begin()
        len(b"." * 2**26)
        print(peak() - before)
    """)
    assert small < len(held) / 4
    assert abs(grown - 2**26) < MIB
