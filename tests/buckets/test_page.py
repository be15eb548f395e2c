"""The page on buckets: its program and its commands run as they stand, on a server that speaks S3."""

import re
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from tests.buckets.conftest import SECRET, Bucket
from tests.buckets.test_merging import painted

import wkfast

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "buckets.md").read_text(encoding="utf-8")


@pytest.fixture
def workplace(s3_server, without_credentials, tmp_path, monkeypatch):
    client, endpoint = s3_server.client, s3_server.endpoint
    with suppress(client.exceptions.BucketAlreadyExists):  # the other test has made it
        client.create_bucket(Bucket="bucket")
    (tmp_path / "annotations").mkdir()
    annotation = painted(tmp_path / "near", dataset_name="l4_sample", labels="segmentation")
    Bucket(client, endpoint, "bucket").put(tmp_path / "near", "datasets")
    folder = tmp_path / "work"
    folder.mkdir()
    annotation.save(tmp_path / "annotations" / "annotation.zip")
    annotation.save(folder / "annotation.zip")
    Bucket(client, endpoint, "bucket").put(tmp_path / "annotations", "annotations")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return folder


def test_the_program_runs(workplace):
    program = re.search(r"^```py\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[1]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (workplace / "merged" / "datasource-properties.json").is_file()
    assert wkfast.Dataset.open("s3://bucket/merged").get_layer("segmentation").mags
    made = wkfast.Dataset.open("s3://bucket/new")
    assert [len(layer.mags) for layer in made.layers.values()] == [2, 3]


def test_the_commands_run(workplace):
    block = re.search(r"^```console\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[1]
    for command in re.findall(r"^\$ wkfast (.*)$", block, re.MULTILINE):
        words = [sys.executable, "-m", "wkfast", *shlex.split(command)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stderr)
    assert (workplace / "segments.npz").is_file()
