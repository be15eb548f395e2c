"""``wkfast download`` and ``wkfast upload`` against a server with a memory."""

import json
import os
import signal
import subprocess
import sys
import zipfile

import pytest

pytest.importorskip("uvicorn", reason="the stand-in server needs starlette, uvicorn and python-multipart")
pytest.importorskip("python_multipart", reason="the stand-in server needs python-multipart")

from tests.client.servers import Server
from tests.client.standin_app import running
from tests.client.standin_state import Layer, State
from tests.client.test_standin import FALLBACK, PAINTED, annotation_zip

TOKEN = "a-token-that-nobody-may-see"


@pytest.fixture
def server():
    state = State()
    state.add_user(TOKEN)
    state.add_dataset("cells", [Layer.of("segmentation", FALLBACK, (32, 0, 64))])
    with running(state) as stand_in:
        yield stand_in


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.zip"
    path.write_bytes(annotation_zip(PAINTED))
    return path


def environment(**values):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("WK_")}
    return {**clean, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **values}


def run(folder, *arguments, code=0, **values):
    """Run a command; whatever happens, the token is not in what it prints."""
    command = [sys.executable, "-W", "error::ResourceWarning", "-m", "wkfast", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment(**values), timeout=60)
    assert TOKEN not in done.stdout + done.stderr
    assert done.returncode == code, done.stderr
    return done


def test_what_is_uploaded_comes_back(server, file, tmp_path):
    known = {"WK_URL": server.url, "WK_TOKEN": TOKEN}
    url = run(tmp_path, "upload", file, **known).stdout.strip()
    assert url.startswith(f"{server.url}/annotations/")
    done = run(tmp_path, "download", url, "back.zip", **known)
    assert done.stdout.startswith("back.zip (")
    assert done.stderr == "", "a batch log stays silent"
    with zipfile.ZipFile(tmp_path / "back.zip") as archive:
        assert archive.namelist() == ["mine.nml", "data_Volume.zip"]
    run(tmp_path, "download", url, "nml-only.zip", "--skip-volume-data", **known)
    with zipfile.ZipFile(tmp_path / "nml-only.zip") as archive:
        assert archive.namelist() == ["mine.nml"]


def test_names_folders_facts_and_progress(server, file, tmp_path):
    known = {"WK_TOKEN": TOKEN}
    facts = json.loads(run(tmp_path, "upload", file, "--name", "other", "--json", "--url", server.url, **known).stdout)
    assert server.state.annotations[facts["id"]].name == "other"
    (tmp_path / "folder").mkdir()
    done = run(tmp_path, "download", facts["id"], "folder", "--json", "--progress", "--url", server.url, **known)
    assert json.loads(done.stdout)["path"] == "folder/other.zip"
    assert "downloading" in done.stderr


def test_the_token_may_be_given_but_is_never_printed(server, file, tmp_path):
    url = run(tmp_path, "upload", file, "--url", server.url, "--token", TOKEN).stdout.strip()
    run(tmp_path, "download", url, "a.zip", "--token", TOKEN, "--url", server.url)
    done = run(tmp_path, "download", url, "b.zip", "--debug", "--url", server.url, "--token", TOKEN + "x", code=2)
    assert "Traceback" in done.stderr
    assert TOKEN not in run(tmp_path, "download", "--help", WK_TOKEN=TOKEN).stdout


def test_the_environments_token_stays_with_the_environments_server(server, tmp_path):
    other = Server()
    try:
        run(tmp_path, "download", "0" * 24, "a.zip", "--url", other.url, code=2, WK_URL=server.url, WK_TOKEN=TOKEN)
        assert other.requests
        assert all("x-auth-token" not in request.headers for request in other.requests)
    finally:
        other.close()


def test_errors_are_one_line_and_leave_nothing(server, file, tmp_path):
    known = {"WK_URL": server.url, "WK_TOKEN": TOKEN}
    for arguments, said in (
        (("download", "0" * 24, "a.zip"), "could not be found"),
        (("download", "no-id", "a.zip"), "24 hexadecimal digits"),
        (("upload", "missing.zip"), "is not there"),
        (("upload", "picture.png"), ".zip or .nml"),
    ):
        done = run(tmp_path, *arguments, code=2, **known)
        assert said in done.stderr
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
    assert "WK_TOKEN" in run(tmp_path, "upload", file, code=2, WK_URL=server.url).stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.zip"]


def test_a_file_that_is_there_is_replaced_only_if_told_to(server, file, tmp_path):
    known = {"WK_URL": server.url, "WK_TOKEN": TOKEN}
    url = run(tmp_path, "upload", file, **known).stdout.strip()
    (tmp_path / "kept.zip").write_bytes(b"dear")
    assert "kept.zip" in run(tmp_path, "download", url, "kept.zip", code=2, **known).stderr
    assert (tmp_path / "kept.zip").read_bytes() == b"dear"
    run(tmp_path, "download", url, "kept.zip", "--overwrite", **known)
    assert zipfile.is_zipfile(tmp_path / "kept.zip")


def test_ctrl_c_is_told_and_leaves_nothing(tmp_path):
    server = Server()
    begun = []

    def slow(_, wire):
        wire.head(200, content_type="application/zip", content_length=1 << 20)
        wire.send(b"PK\x03\x04" + bytes(1000))
        begun.append(True)
        wire.stall()

    server.fallback = slow
    server.get_json("/api/buildinfo", {"httpApiVersioning": {"currentApiVersion": 12, "oldestSupportedApiVersion": 5}})
    try:
        command = [sys.executable, "-m", "wkfast", "download", "0" * 24, "a.zip"]
        with subprocess.Popen(
            command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment(WK_URL=server.url)
        ) as child:
            while not begun:
                assert child.poll() is None
                server._closing.wait(0.02)
            child.send_signal(signal.SIGINT)
            stderr = child.communicate(timeout=20)[1]
    finally:
        server.close()
    assert (child.returncode, stderr.strip()) == (130, "interrupted")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        (("download", "http://a..b/annotations/" + "0" * 24, "a.zip"), {}),
        (("download", "0" * 24, "a.zip", "--url", "http://wk\udcff.org"), {}),
        (("download", "0" * 24, "a.zip", "--url", "http://wk.example.org/\udcff"), {}),
        (("download", "\udcff", "a.zip"), {}),
        (("upload", "mine.zip", "--name", "caf\udce9"), {}),
        (("upload", "mine.zip", "--token", "caf\udce9"), {}),
        (("download", "0" * 24, "a.zip"), {"ALL_PROXY": "socks5://127.0.0.1:9", "WK_URL": "http://wk.example.org"}),
        (("download", "0" * 24, "a.zip"), {"HTTP_PROXY": "http://a..b:1", "WK_URL": "http://wk.example.org"}),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(file, tmp_path, arguments, values):
    known = {"WK_TOKEN": TOKEN, "WK_URL": "http://127.0.0.1:9", "NO_PROXY": "", "no_proxy": ""}
    lower = {name.lower(): value for name, value in values.items() if name.endswith("_PROXY")}
    done = run(tmp_path, *arguments, code=2, **{**known, **values, **lower})
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.zip"]


def test_who_gives_up_says_after_how_many_attempts(tmp_path):
    command = [
        sys.executable,
        "-m",
        "wkfast",
        "download",
        "570ba0092a7c0e980056fe9b",
        "a.zip",
        "--url",
        "http://127.0.0.1:9",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    *announced, last = done.stderr.splitlines()
    assert done.returncode == 2
    assert "attempt 3 of 3" in announced[-1]
    assert last.startswith("error: ")
    assert last.endswith("(3 attempts were made)")
