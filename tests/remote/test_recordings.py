"""Datasets and annotations streamed from recorded traffic of a real server."""

import base64
import json

import numpy as np
import pytest
from tests.client.servers import Replay, Server

import wkfast as wk

pytestmark = pytest.mark.fixtures

TOKEN = "a-token-that-nobody-may-see"
DATASET, UPLOADED, ANNOTATION = "59e9cfbdba632ac2ab8b23b5", "6980c7fbd10000c2de2cc07c", "69270ba1010000ca00110a99"


@pytest.fixture
def replayed(fixtures):
    """Return a function that starts a recording and gives its server; nothing else than the recorded is asked for."""
    started = []

    def start(name):
        path = fixtures / "rest" / f"{name}.json"
        if not path.is_file():
            pytest.skip(f"no recording {path}")
        server = Server()
        server.fallback = Replay.load(path, server.url)
        started.append(server)
        return server

    yield start
    for server in started:
        server.close()
        assert server.fallback.unknown == []
        assert {request.headers["x-auth-token"] for request in server.requests} == {TOKEN}


def chunk(server, root, position):
    """A recorded chunk (x, y, z), decoded without wkfast."""
    path = f"{root}/{'.'.join(map(str, (0, *position)))}"
    exchange = next(e for e in server.fallback.recording["exchanges"] if e["request"]["path"] == path)
    data = base64.b64decode(exchange["response"]["body"]["base64"])
    return np.frombuffer(data, "<u4" if len(data) == 4 * 32**3 else "u1").reshape((32, 32, 32), order="F")


def pasted(server, root, first, counts):
    """Recorded chunks side by side."""
    return np.block(
        [[[chunk(server, root, (first[0] + x, first[1] + y, first[2] + z)) for z in range(counts[2])]
          for y in range(counts[1])] for x in range(counts[0])]
    )  # fmt: skip


@pytest.mark.parametrize(("name", "version"), [("dataset_v13", 13), ("remote_dataset", 12)])
def test_layers_and_mags_of_a_recorded_dataset(replayed, name, version):
    server = replayed(name)
    with wk.webknossos_context(server.url, TOKEN, api_version=version):
        dataset = wk.RemoteDataset.open(f"{server.url}/datasets/l4_sample-{DATASET}")
        assert (dataset.dataset_id, dataset.name) == (DATASET, "l4_sample")
    assert list(dataset.layers) == ["color", "segmentation"]
    layer = dataset.get_segmentation_layer("segmentation")
    assert [mag.to_layer_name() for mag in sorted(layer.mags)] == ["1", "2-2-1", "4-4-1", "8-8-2", "16-16-4"]
    assert layer.bounding_box.topleft == (3072, 3072, 512)
    assert (layer.dtype, dataset.get_layer("color").dtype) == (np.uint32, np.uint8)


def test_a_recorded_dataset_is_found_by_its_name(replayed):
    server = replayed("dataset_v13")
    with wk.webknossos_context(server.url, TOKEN, api_version=13):
        assert wk.RemoteDataset.open("l4_sample", organization_id="Organization_X").dataset_id == DATASET


def test_a_box_over_recorded_chunks_is_cut_out_of_them(replayed):
    server = replayed("remote_dataset")
    with wk.webknossos_context(server.url, TOKEN, api_version=12):
        mag = wk.RemoteDataset.open(dataset_id=UPLOADED).get_layer("color").get_mag(1)
        voxels = mag.read(absolute_offset=(3164, 3212, 1017), size=(10, 10, 10))
    whole = pasted(server, f"/data/v12/zarr/{UPLOADED}/color/1", (98, 100, 31), (2, 1, 2))
    assert voxels.any()
    assert np.array_equal(voxels[0], whole[28:38, 12:22, 25:35])


def test_a_recorded_annotation_is_streamed_and_a_chunk_without_data_is_zero(replayed, fixtures):
    server = replayed("annotation_upload_download_roundtrip")
    # the recorded client found the dataset through a download, wkfast asks for the record of the annotation
    exchanges = json.loads((fixtures / "rest" / "annotation_info.json").read_text())["exchanges"]
    info = next(e["response"]["body"]["json"] for e in exchanges if e["request"]["path"].endswith("/info"))
    store = {**info["dataStore"], "url": server.url}
    layers = [{**info["annotationLayers"][0], "typ": "Volume", "name": "Volume"}]
    changed = {"id": ANNOTATION, "datasetId": DATASET, "dataStore": store, "annotationLayers": layers}
    server.get_json(f"/api/v12/annotations/{ANNOTATION}/info", {**info, **changed})
    with wk.webknossos_context(server.url, TOKEN, api_version=12):
        dataset = wk.Annotation.open_as_remote_dataset(ANNOTATION)
        assert sorted(dataset.layers) == ["Volume", "color", "segmentation"]
        mag = dataset.get_layer("Volume").get_mag("16-16-4")
        offset, size = (6 * 512, 6 * 512, 8 * 128), (1024, 1024, 128)
        voxels = mag.read(absolute_offset=offset, size=size)
        nothing = mag.get_zarr_array()[0, :32, :32, :32]
    root = f"/data/v12/annotations/zarr/{ANNOTATION}/Volume/16-16-4"
    assert voxels.any()
    assert np.array_equal(voxels[0], pasted(server, root, (6, 6, 8), (2, 2, 1)))
    assert not nothing.any()
