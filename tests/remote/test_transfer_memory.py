"""Downloads and uploads hold a few blocks, whatever the size of the annotation."""

import os
import zipfile

import pytest
from tests.client.servers import Server
from tests.inputs import measured, minimal_nml, needs_peaks

MIB = 2**20
LIMIT = 64 * MIB
CHUNK = 128 * 1024
ID = "570ba0092a7c0e980056fe9b"
VOLUME = '<volume id="0" name="Volume" location="data_Volume.zip" format="zarr3" />'

JOB = """
    import os
    import wkfast as wk
    from wkfast.client import Client

    job, url, path = sys.argv[1:]
    os.chdir(Path(path).parent)
    with wk.webknossos_context(url, "a-token-that-nobody-may-see"):
        Client().version
        annotation = wk.Annotation.load(path)
        before = begin()
        if job == "download":
            annotation = wk.Annotation.download("570ba0092a7c0e980056fe9b")
            assert list(annotation.get_volume_layer_names()) == ["Volume"]
        else:
            annotation.upload()
        print(peak() - before)
"""


def large_annotation(path, size):
    """Write an annotation zip of about `size` bytes, chunk by chunk,."""
    inner = path.with_name("inner.zip")
    block = os.urandom(CHUNK)
    with zipfile.ZipFile(inner, "w") as archive:
        for n in range(size // CHUNK):
            # another start for each, so that nothing could be shared or compressed
            archive.writestr(f"volumeAnnotationData/1/0.{n}.0.0", block[n % CHUNK :] + block[: n % CHUNK])
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("large.nml", minimal_nml(VOLUME))
        archive.write(inner, "data_Volume.zip")
    inner.unlink()


def serve(path, server):
    """Let a server send the file, and take uploads without keeping them."""
    size = path.stat().st_size

    def send(_, wire):
        wire.head(200, content_type="application/zip", content_length=size)
        with path.open("rb") as file:
            while block := file.read(MIB):
                wire.send(block)

    made = {"annotation": {"typ": "Explorational", "id": ID}, "messages": []}
    versions = {"httpApiVersioning": {"currentApiVersion": 14, "oldestSupportedApiVersion": 9}}
    server.get_json("/api/buildinfo", versions)
    server.get_json("/api/v14/user", {"id": ID, "organization": "Org"})
    server.on("GET", f"/api/v14/annotations/{ID}/download", send)
    server.on("POST", "/api/v14/annotations/upload", lambda _, wire: wire.json(made))


def growth(job, server, path, tmp_path):
    (grown,) = measured(JOB, job, server.url, path, TMPDIR=str(tmp_path), PYTHONWARNINGS="error")
    return grown


@needs_peaks
@pytest.mark.parametrize("size", [256 * MIB, pytest.param(2048 * MIB, marks=pytest.mark.long)], ids=["256MB", "2GB"])
def test_memory_stays_flat_for_an_annotation_of(tmp_path, server_of_blocks, size):
    path = tmp_path / "large.zip"
    large_annotation(path, size)
    serve(path, server_of_blocks)
    for job in ("download", "upload"):
        assert growth(job, server_of_blocks, path, tmp_path) <= LIMIT, job
    assert [child.name for child in tmp_path.iterdir()] == ["large.zip"], "temporary folders are removed"
    (upload,) = [request for request in server_of_blocks.requests if request.method == "POST"]
    assert upload.body_size > size
    assert int(upload.headers["content-length"]) == upload.body_size


@pytest.fixture
def server_of_blocks():
    server = Server()
    yield server
    server.close()
