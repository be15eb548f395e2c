"""Annotations from a bucket to a server, and back."""

from functools import partial

import pytest

pytest.importorskip("uvicorn", reason="the stand-in server needs starlette, uvicorn and python-multipart")
pytest.importorskip("python_multipart", reason="the stand-in server needs python-multipart")

from tests.client.standin_app import running
from tests.client.standin_state import Layer, State
from tests.client.test_standin import FALLBACK, PAINTED, annotation_zip

from wkfast import Annotation
from wkfast.buckets import ObjectPath

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
