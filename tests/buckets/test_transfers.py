"""Annotations from a bucket to a server, and back."""

from contextlib import contextmanager
from functools import partial

import pytest

pytest.importorskip("uvicorn", reason="the stand-in server needs starlette, uvicorn and python-multipart")
pytest.importorskip("python_multipart", reason="the stand-in server needs python-multipart")

from tests.client.standin_app import running
from tests.client.standin_state import Layer, State
from tests.client.test_standin import FALLBACK, PAINTED, annotation_zip

import wkfast
from wkfast import Annotation
from wkfast.annotation import bulk
from wkfast.buckets import ObjectPath
from wkfast.client import close_shared_session
from wkfast.errors import ObjectStoreError

TOKEN = "a-token-that-nobody-may-see"


@pytest.fixture
def run(command):
    """Run a command beside a server with a memory."""
    state = State()
    state.add_user(TOKEN)
    state.add_dataset("cells", [Layer.of("segmentation", FALLBACK, (32, 0, 64))])
    with running(state) as server:
        yield partial(command, WK_URL=server.url, WK_TOKEN=TOKEN)


def test_an_annotation_goes_from_a_bucket_to_a_server_and_back(bucket, run):
    mine = ObjectPath(f"s3://{bucket.name}/mine.zip", bucket.options)
    mine.write(annotation_zip(PAINTED))
    url = run("upload", mine).stdout.strip()
    told = run("download", url, f"s3://{bucket.name}/back.zip").stdout
    assert told.startswith(f"s3://{bucket.name}/back.zip (")
    assert Annotation.load(mine.parent / "back.zip").dataset_name == "cells"
    assert run("download", url, f"s3://{bucket.name}/folder").stdout.startswith(f"s3://{bucket.name}/folder/")
    assert len((mine.parent / "folder").files()) == 1


def test_what_is_there_stays_and_what_is_missing_is_said(bucket, run, tmp_path):
    mine = ObjectPath(f"s3://{bucket.name}/mine.zip", bucket.options)
    content = annotation_zip(PAINTED)
    mine.write(content)
    url = run("upload", mine).stdout.strip()
    assert "is there already" in run("download", url, mine, code=2).stderr
    assert mine.read(1 << 30) == content
    run("download", url, mine, "--overwrite")
    assert mine.read(1 << 30) != content
    assert "is not there" in run("upload", f"s3://{bucket.name}/none.zip", code=2).stderr
    wrong = run("download", url, f"s3://{bucket.name}/wrong.nml", code=2)
    assert "came as .zip" in wrong.stderr
    assert (mine.parent / "wrong.nml").size() is None
    assert "neither an id" in run("download", tmp_path, f"s3://{bucket.name}/many", code=2).stderr


def test_many_annotations_come_into_a_bucket_once(bucket, run, tmp_path):
    mine, many = (ObjectPath(f"s3://{bucket.name}/{name}", bucket.options) for name in ("mine.zip", "many"))
    mine.write(annotation_zip(PAINTED))
    urls = [run("upload", mine).stdout.strip() for _ in range(3)]
    (tmp_path / "ids.txt").write_text("\n".join(urls[:2]))
    told = run("download", tmp_path / "ids.txt", many).stdout
    assert told.startswith("2 annotations: 2 downloaded, 0 there already, 0 failed; ")
    (tmp_path / "ids.txt").write_text("\n".join(urls))
    assert "1 downloaded, 2 there already" in run("download", tmp_path / "ids.txt", many).stdout
    assert [name for name, _ in many.files()] == sorted(f"{url.rsplit('/', 1)[-1]}.zip" for url in urls)
    assert {Annotation.load(many / name).dataset_name for name, _ in many.files()} == {"cells"}


def test_a_server_of_files_takes_no_annotations(serve, run, tmp_path):
    url, _ = serve(tmp_path)
    (tmp_path / "ids.txt").write_text("0" * 24)
    assert "a server of files takes none" in run("download", tmp_path / "ids.txt", f"{url}/many", code=2).stderr


@pytest.fixture
def annotations(without_credentials):
    """A server with three annotations, which this process is logged in to, and their ids."""
    state = State()
    state.add_user(TOKEN)
    state.add_dataset("cells", [Layer.of("segmentation", FALLBACK, (32, 0, 64))])
    ids = [state.upload(f"a{n}.zip", annotation_zip(PAINTED), state.users[TOKEN]).id for n in range(3)]
    with running(state) as server, wkfast.webknossos_context(server.url, TOKEN):
        yield server, ids
    close_shared_session()


def fetched(server):
    return [line for line in server.log if line.endswith("/download")]


def test_many_are_not_fetched_for_a_bucket_that_is_not_there(bucket, annotations):
    server, ids = annotations
    with pytest.raises(ObjectStoreError, match="there is no such bucket"):
        wkfast.download_annotations(ids, ObjectPath("s3://no-such-bucket-at-all/out", bucket.options))
    assert not fetched(server)


def test_many_are_not_fetched_for_a_bucket_that_refuses(between, annotations):
    server, ids = annotations
    far = ObjectPath(f"s3://{between.name}/out", between.options)
    between.refuses = lambda _method, _path: True
    with pytest.raises(ObjectStoreError, match="AccessDenied"):
        wkfast.download_annotations(ids, far)
    # One that refuses later on fails what it refuses to tell of, before that is fetched.
    between.refuses = lambda _method, path: ids[1] in path
    report = wkfast.download_annotations(ids, far)
    assert [it.annotation for it in report.failed] == [ids[1]]
    assert len(fetched(server)) == 2
    assert "does not allow it" in report.failed[0].error


def test_what_cannot_be_put_stays_nowhere(between, annotations, tmp_path, monkeypatch):
    _, ids = annotations
    left = []
    owned = bulk.owned_temporary_folder

    @contextmanager
    def looked_at(purpose):
        with owned(purpose) as here:
            yield here
            left.extend(path.name for path in here.glob("*.zip"))

    monkeypatch.setattr(bulk, "owned_temporary_folder", looked_at)
    between.refuses = lambda method, _path: method not in {"GET", "HEAD"}
    report = wkfast.download_annotations(ids, ObjectPath(f"s3://{between.name}/out", between.options))
    assert [it.status for it in report.downloads] == ["failed"] * 3
    assert not left


def test_nothing_is_put_when_all_was_given_up(tmp_path):
    target = ObjectPath("memory://given-up/out")
    downloads = bulk._Downloads(None, target, tmp_path, overwrite=False, options={"skip_volume_data": False})
    downloads.stop()
    (tmp_path / "a.zip").write_bytes(b"zip")
    with pytest.raises(bulk._Stopped):
        downloads._put(tmp_path / "a.zip")
    assert not target.files()
    assert not (tmp_path / "a.zip").exists()
