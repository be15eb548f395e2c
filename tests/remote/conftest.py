"""A stand-in server with a dataset and an annotation over it, and a context to speak to it."""

import io

import pytest

pytest.importorskip("uvicorn", reason="the stand-in server needs starlette, uvicorn and python-multipart")
pytest.importorskip("python_multipart", reason="the stand-in server needs python-multipart")

import numpy as np
from tests.client.standin_app import running
from tests.client.standin_state import Layer, State
from tests.client.test_standin import FALLBACK, PAINTED, annotation_zip

import wkfast as wk
from wkfast.client import Client, Context, Secret, close_shared_session

TOKEN = "a-token-that-nobody-may-see"


@pytest.fixture(autouse=True)
def no_login_from_outside(monkeypatch, tmp_path):
    """Each test starts like a new process: no token, nothing negotiated, no connection open."""
    for name in ("WK_TOKEN", "WK_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WK_URL", "http://127.0.0.1:9")  # nobody is there
    monkeypatch.chdir(tmp_path)
    yield
    close_shared_session()


@pytest.fixture
def server():
    """A server with the dataset ``cells``: two segmentation mags and an image of three channels would be too much."""
    state = State()
    state.add_user(TOKEN)
    coarse = np.asfortranarray(FALLBACK[::2, ::2, ::2])
    layer = Layer.of("segmentation", FALLBACK, (32, 0, 64))
    # mag 2 of a box at (32, 0, 64) begins at (16, 0, 32)
    padded = np.zeros((64, 32, 32), np.uint32)
    padded[16:48, :, :16] = coarse
    layer.chunks[2, 2, 2] = Layer.of("coarse", padded, (0, 0, 32)).chunks[1, 1, 1]
    grey = Layer.of("grey cells", np.arange(64**3, dtype=np.uint8).reshape((64,) * 3), (32, 0, 64))
    grey.category = "color"
    state.add_dataset("cells", [layer, grey])
    with running(state) as stand_in:
        yield stand_in


@pytest.fixture
def dataset_id(server):
    return next(iter(server.state.datasets))


@pytest.fixture
def logged_in(server):
    with wk.webknossos_context(server.url, TOKEN):
        yield server


@pytest.fixture
def annotation_id(server):
    client = Client(Context(server.url, Secret(TOKEN), 60, 14))
    found = client.annotations.upload(io.BytesIO(annotation_zip(PAINTED)), name="mine").id
    server.log.clear()
    return found


@pytest.fixture
def merged():
    """The voxels of mag 1 from the origin on, as the annotation shows them."""
    voxels = np.zeros((96, 64, 96), np.uint32)
    voxels[32:96, :64, 64:96] = FALLBACK
    for (x, y, z), chunk in PAINTED.items():
        voxels[x * 32 : x * 32 + 32, y * 32 : y * 32 + 32, z * 32 : z * 32 + 32] = chunk
    return voxels


@pytest.fixture
def fallback():
    voxels = np.zeros((96, 64, 96), np.uint32)
    voxels[32:96, :64, 64:96] = FALLBACK
    return voxels
