"""Servers of files that are no more than that, and what reading from them takes."""

import http.server
import os
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest

import wkfast

# Requests at once to a server that closes connections: its queue of them has room for five.
MOST = 6


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.now, self.most, self.crowd = 0, 0, threading.Condition()


class _Counting(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, in pieces. Counts how many are asked for at once."""

    def do_GET(self):
        crowd = self.server.crowd
        with crowd:
            self.server.now += 1
            self.server.most = max(self.server.most, self.server.now)
            crowd.notify_all()
        self.wait()
        # Before the answer: who has it asks for the next at once.
        with crowd:
            self.server.now -= 1
        super().do_GET()

    def wait(self):
        """Wait before the answer."""

    def log_message(self, *_):
        pass


class _Slow(_Counting):
    def wait(self):
        time.sleep(0.02)


class _Lasting(_Counting):
    protocol_version = "HTTP/1.1"


class _Crowded(_Lasting):
    def wait(self):
        if self.path.count("/") > 4:  # a chunk
            with self.server.crowd:
                self.server.crowd.wait_for(lambda: self.server.most > MOST, 20)


@contextmanager
def served(folder, handler):
    server = _Server(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server
    finally:
        server.shutdown()
        server.server_close()


def chunked(folder, voxels, chunk):
    dataset = wkfast.Dataset(folder, voxel_size=(4, 4, 40))
    box = wkfast.BoundingBox((0, 0, 0), voxels.shape)
    layer = dataset.add_layer("a", "color", dtype=voxels.dtype, bounding_box=box, data_format="zarr")
    layer.add_mag(1, chunk_shape=chunk).write(voxels)
    return layer


@pytest.mark.parametrize(("handler", "is_few"), [(_Slow, True), (_Crowded, False)])
def test_servers_that_close_connections_are_asked_by_few_at_once(tmp_path, handler, is_few):
    voxels = np.random.default_rng(1).integers(1, 255, (64, 64, 64), dtype=np.uint8)
    chunked(tmp_path / "data", voxels, 16)
    with served(tmp_path, handler) as (address, server):
        read = wkfast.Dataset.open(f"{address}/data").get_layer("a").get_mag(1).read()
        np.testing.assert_array_equal(read[0], voxels)
        assert (server.most <= MOST) is is_few


def test_pythons_own_server_is_read(tmp_path):
    voxels = np.random.default_rng(2).integers(1, 255, (128, 64, 64), dtype=np.uint8)
    chunked(tmp_path / "data", voxels, 8)
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            port = server.stdout.readline().split(" port ")[1].split(" ")[0]
            layer = wkfast.Dataset.open(f"http://127.0.0.1:{port}/data").get_layer("a")
            np.testing.assert_array_equal(layer.get_mag(1).read()[0], voxels)
        finally:
            server.terminate()


def test_chunks_that_are_files_take_no_more_memory_than_a_batch_may_have(tmp_path):
    voxels = np.random.default_rng(3).integers(0, 2**32, (128, 128, 128), dtype=np.uint32)
    layer = chunked(tmp_path / "data", voxels, 128)
    layer.bounding_box = wkfast.BoundingBox((0, 0, 0), (2048, 1024, 128))
    mag = tmp_path / "data" / "a" / "1"
    first = next(file for file in mag.rglob("*") if file.is_file() and file.stat().st_size > 8e6)
    copies = [(x, y) for x in range(16) for y in range(8)]
    for x, y in copies:
        copy = mag.joinpath(*first.relative_to(mag).parts[:-3], str(x), str(y), "0")
        copy.parent.mkdir(parents=True, exist_ok=True)
        if copy != first:
            os.link(first, copy)
    script = """
    import resource, sys, wkfast
    mag = wkfast.Dataset.open(sys.argv[1]).get_layer("a").get_mag(1)
    mag.read(absolute_offset=(0, 0, 0), size=(16, 16, 16))
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    before = peak()
    read = mag.read(absolute_offset=(0, 0, 64), size=(2048, 1024, 1))
    print(read.sum(), peak() - before)
    """
    with served(tmp_path, _Lasting) as (address, _):
        command = [sys.executable, "-c", textwrap.dedent(script), f"{address}/data"]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(told[0]) == int(voxels[:, :, 64].sum(dtype=np.uint64)) * len(copies)
    # 256 MiB that are on their way, what is decoded, and what allocators keep. All of it would be 1 GiB.
    assert float(told[1]) < 512
