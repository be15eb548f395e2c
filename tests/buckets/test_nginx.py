"""Files that nginx serves, with a listing of its folders or without, are read as those in a folder."""

import shutil
import socket
import subprocess
import time

import numpy as np
import pytest
from tests.buckets.test_reading import FORMATS, made, same

import wkfast
from wkfast.errors import DatasetNotFoundError, WkfastError

# Workers of root's server are somebody else, who may not look into the folders of tests.
CONFIGURATION = """daemon off; user root; worker_processes 1; pid {place}/pid; error_log {place}/error.log;
events {{ worker_connections 512; }}
http {{ access_log {place}/log; client_body_temp_path {place}/a; proxy_temp_path {place}/b; fastcgi_temp_path {place}/c;
uwsgi_temp_path {place}/d; scgi_temp_path {place}/e;
server {{ listen 127.0.0.1:{port}; root {root}; autoindex {listing}; {more} }} }}
"""


@pytest.fixture
def nginx(tmp_path_factory):
    """Returns a function that serves a folder, and its address."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed (Debian: nginx-light)")
    servers = []

    def start(root, *, listing="off", more=""):
        place = tmp_path_factory.mktemp("nginx")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        text = CONFIGURATION.format(place=place, port=port, root=root, listing=listing, more=more)
        (place / "conf").write_text(text)
        command = [program, "-p", place, "-e", place / "error.log", "-c", place / "conf"]
        servers.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        return f"http://127.0.0.1:{port}"

    yield start
    for server in servers:
        server.terminate()
        server.wait()


@pytest.mark.parametrize("listing", ["off", "on"])
@pytest.mark.parametrize("data_format", FORMATS)
def test_datasets_are_read(nginx, tmp_path, data_format, listing):
    near = made(tmp_path / "a b" / "near", data_format)
    far = wkfast.Dataset.open(f"{nginx(tmp_path, listing=listing)}/a%20b/near")
    same(far, near)
    points = np.random.default_rng(4).integers(-5, 110, (500, 3))
    np.testing.assert_array_equal(far.get_layer("labels").values_at(points), near.get_layer("labels").values_at(points))


def test_without_ranges_shards_are_refused_and_chunks_that_are_files_read(nginx, tmp_path):
    for data_format in ("zarr", "zarr3"):
        near = made(tmp_path / data_format, data_format)
        far = wkfast.Dataset.open(f"{nginx(tmp_path, more='max_ranges 0;')}/{data_format}")
        if data_format == "zarr":
            same(far, near)
        else:
            with pytest.raises(WkfastError, match="no ranges of bytes"):
                far.get_layer("labels").get_mag(1).read()


def test_what_is_not_there_or_not_allowed_is_one_error(nginx, tmp_path):
    made(tmp_path / "near", "zarr3")
    with pytest.raises(DatasetNotFoundError):
        wkfast.Dataset.open(f"{nginx(tmp_path, listing='on')}/none")
    with pytest.raises(WkfastError, match=r"does not allow it|asks for credentials"):
        wkfast.Dataset.open(f"{nginx(tmp_path, more='deny all;')}/near")
