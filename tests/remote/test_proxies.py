"""A real proxy before the server: which requests take it, what it is shown, and what is said when it refuses."""

import http.server
import itertools
import os
import subprocess
import sys
import textwrap
import threading
from functools import partial

import pytest

pytest.importorskip("proxy", reason="the proxy is that of the package proxy.py")

from tests.client import standin_app
from tests.client.proxies import running_proxy
from tests.client.standin_app import running
from tests.client.test_standin import PAINTED, annotation_zip
from tests.remote.conftest import TOKEN

import wkfast as wk
from wkfast.errors import ObjectStoreError
from wkfast.merge.options import MergeOptions

USER, PASSWORD = "somebody", "hush-hush"
# as it stands in a URL and as it is
CREDENTIALS = f"{USER}:{PASSWORD}"

JOBS = {
    "requests": """
        layer = wk.RemoteDataset.open(dataset_id=DATASET).get_layer("segmentation")
        print(int(layer.get_mag(1).read().astype("u8").sum()))
        """,
    "uploads": """
        print(wk.Annotation.load("mine.zip").upload() and "uploaded")
        """,
    "merges": """
        remote = wk.RemoteDataset.open(dataset_id=DATASET)
        wk.Annotation.load("mine.zip").merge_fallback_layer("merged", fallback=remote)
        print(sorted(wk.Dataset.open("merged").layers))
        """,
    "buckets": """
        from wkfast.buckets import ObjectPath
        print(ObjectPath(FILES + "/greeting.txt").read(1 << 20).decode())
        """,
}
DONE = {"uploads": "uploaded", "merges": "['segmentation']", "buckets": "hello"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    key, file = folder / "key.pem", folder / "certificate.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(file)],
        check=False, capture_output=True)  # fmt: skip
    if made.returncode:
        pytest.skip("no openssl to make a certificate with")
    return file, key


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def files(tmp_path):
    """A server of files."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "greeting.txt").write_text("hello")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def secure(server, certificate):
    """The same server by TLS."""
    with running(server.state, certificate) as stand_in:
        yield stand_in


def run(job, folder, server, proxy, *, user="", certificate=None, files="", **more):
    """Run a job in a process of its own, before whose servers a proxy stands; what it said, and its exit code."""
    work = textwrap.dedent(JOBS[job])
    script = f"import wkfast as wk\nDATASET, FILES = {dataset_of(server)!r}, {files!r}\n{work}"
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith("WK_") and "proxy" not in key.lower()
    }
    named = {name: proxy.url(user) for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
    known = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "WK_URL": server.url, "WK_TOKEN": TOKEN}
    known |= {"SSL_CERT_FILE": str(certificate[0])} if certificate else {}
    (folder / "mine.zip").write_bytes(annotation_zip(PAINTED))
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder, env={**clean, **named, **known, **more}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert TOKEN not in said
    assert PASSWORD not in said
    return done.returncode, said


def dataset_of(server):
    return next(iter(server.state.datasets))


def check_done(job, outcome):
    code, said = outcome
    assert code == 0, said
    assert said.strip().splitlines()[-1] == DONE[job] if job in DONE else int(said) > 0


@pytest.mark.parametrize("user", [None, CREDENTIALS])
@pytest.mark.parametrize("job", JOBS)
def test_requests_to_plain_servers_are_passed_on(server, files, tmp_path, job, user):
    with running_proxy(tmp_path / "proxy", user) as proxy:
        check_done(job, run(job, tmp_path, server, proxy, user=user or "", files=files))
        noted = proxy.noted
    assert noted
    assert all(one["method"] != "CONNECT" and one["url"].startswith("http://127.0.0.1:") for one in noted)
    if job == "merges":
        assert any("/zarr/" in one["url"] and "/0." in one["url"] for one in noted), "the core's own requests too"


@pytest.mark.parametrize("user", [None, CREDENTIALS])
@pytest.mark.parametrize("job", ["requests", "uploads", "merges"])
def test_encrypted_servers_are_led_through_to_and_the_token_is_not_shown(secure, certificate, tmp_path, job, user):
    with running_proxy(tmp_path / "proxy", user) as proxy:
        check_done(job, run(job, tmp_path, secure, proxy, user=user or "", certificate=certificate))
        noted = proxy.noted
    assert {one["method"] for one in noted} == {"CONNECT"}
    assert TOKEN not in str(noted)


def test_layers_are_not_read_in_plain_where_an_encrypted_server_sends_one_there(
    secure, server, certificate, tmp_path, monkeypatch
):
    usual = standin_app.streamed

    def streamed(request, source, layers):
        if request.url.scheme == "https" and request.url.path.split("/")[-1].startswith("0."):
            return standin_app.Response(status_code=302, headers={"location": f"{server.url}{request.url.path}?hush"})
        return usual(request, source, layers)

    monkeypatch.setattr(standin_app, "streamed", streamed)
    with running_proxy(tmp_path / "proxy") as proxy:
        spared = dict.fromkeys(("no_proxy", "NO_PROXY"), "*")
        code, said = run("merges", tmp_path, secure, proxy, certificate=certificate, **spared)
    assert code == 1
    assert f"redirected to {server.url}/" in said
    assert "from https to http, where anybody may read along, which is not followed" in said
    assert "hush" not in said


def test_encrypted_buckets_are_led_through_to(secure, certificate, tmp_path):
    with running_proxy(tmp_path / "proxy") as proxy:
        address = secure.url.replace("http:", "https:")
        run("buckets", tmp_path, secure, proxy, certificate=certificate, files=address)
        noted = proxy.noted
    assert {one["method"] for one in noted} == {"CONNECT"}


@pytest.mark.parametrize("user", ["", f"{USER}:{PASSWORD}-not"])
@pytest.mark.parametrize("job", JOBS)
def test_a_proxy_that_asks_for_a_password_is_told_of(server, files, tmp_path, job, user):
    with running_proxy(tmp_path / "proxy", CREDENTIALS) as proxy:
        code, said = run(job, tmp_path, server, proxy, user=user, files=files)
        assert proxy.noted == []
    assert code == 1
    assert "407" in said
    assert "proxy" in said.splitlines()[-1].lower()


@pytest.mark.parametrize("job", ["requests", "uploads", "merges"])
def test_a_proxy_that_leads_nobody_through_without_a_password_is_told_of(secure, certificate, tmp_path, job):
    with running_proxy(tmp_path / "proxy", CREDENTIALS) as proxy:
        code, said = run(job, tmp_path, secure, proxy, user=f"{USER}:x", certificate=certificate)
        assert proxy.noted == []
    assert code == 1
    assert "407" in said


@pytest.mark.parametrize(
    ("job", "spared"),
    # clients of buckets take a star for every name, not for addresses
    [
        pair
        for pair in itertools.product(JOBS, ["127.0.0.1", "example.org, 127.0.0.0/8", "*"])
        if pair != ("buckets", "*")
    ],
)
def test_servers_that_are_spared_are_reached_straight(server, files, tmp_path, job, spared):
    with running_proxy(tmp_path / "proxy", CREDENTIALS) as proxy:
        check_done(job, run(job, tmp_path, server, proxy, files=files, NO_PROXY=spared, no_proxy=spared))
        assert proxy.noted == []


@pytest.mark.parametrize("value", ["nonsense://x", "http://x:99999", "socks5://127.0.0.1:9"])
def test_streamed_layers_never_go_past_a_proxy_that_cannot_be_used(server, tmp_path, value):
    with running_proxy(tmp_path / "proxy") as proxy:
        more = dict.fromkeys(("http_proxy", "HTTP_PROXY"), value)
        code, said = run("merges", tmp_path, server, proxy, **more)
        assert (code, proxy.noted) == (1, [])
    assert "proxy" in said.splitlines()[-1]
    assert server.log == []


GONE = 9


@pytest.mark.parametrize("job", ["requests", "uploads", "merges"])
def test_a_proxy_that_takes_no_connections_is_named_without_its_password(server, tmp_path, job):
    with running_proxy(tmp_path / "proxy") as proxy:
        more = dict.fromkeys(("http_proxy", "HTTP_PROXY"), f"http://{CREDENTIALS}@127.0.0.1:{GONE}")
        code, said = run(job, tmp_path, server, proxy, **more)
    assert code == 1
    assert f"no connection: by the proxy 127.0.0.1:{GONE} (named by HTTP_PROXY" in said
    assert USER not in said
    assert server.log == []


def test_a_merge_whose_proxy_goes_away_says_so_and_that_it_goes_on(logged_in, dataset_id, tmp_path, monkeypatch):
    remote = wk.RemoteDataset.open(dataset_id=dataset_id)
    (tmp_path / "mine.zip").write_bytes(annotation_zip(PAINTED))
    job = wk.Annotation.load(tmp_path / "mine.zip").plan_merge(tmp_path / "merged", fallback=remote)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://{CREDENTIALS}@127.0.0.1:{GONE}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(
        ObjectStoreError, match=rf"no connection: by the proxy 127.0.0.1:{GONE} .*goes on where"
    ) as told:
        job.merge(MergeOptions())
    assert USER not in str(told.value)
