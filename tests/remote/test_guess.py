"""What is asked for ahead is a guess: where it is wrong, the dataset is the same, by the careful way."""

import pytest
from tests.client.servers import Server, answering

import wkfast as wk
from wkfast.client import close_shared_session, errors

ID, TOKEN = "5" * 24, "a-token-that-nobody-may-see"
BOX = {"topLeft": [0, 0, 0], "width": 32, "height": 32, "depth": 32}
LAYER = {"name": "cells", "category": "segmentation", "elementClass": "uint32", "dataFormat": "zarr",
         "boundingBox": BOX, "mags": [{"mag": [1, 1, 1], "path": "./cells/1"}], "largestSegmentId": 7,
         "numChannels": 1}  # fmt: skip
SOURCE = {"id": {"name": "d", "team": "Org"}, "dataLayers": [LAYER], "scale": {"factor": [1, 1, 1]}}


@pytest.fixture
def servers():
    """The server and a data store beside it."""
    close_shared_session()
    started = [Server(), Server()]
    yield started
    close_shared_session()
    for server in started:
        server.close()


def serve(server, store, version):
    """Answers of a server of one version whose datasets lie in a data store."""
    server.get_json("/api/buildinfo", {"webknossos": {"version": "x"}, "httpApiVersioning": {
        "currentApiVersion": version, "oldestSupportedApiVersion": 9}})  # fmt: skip
    record = {"id": ID, "name": "d", "dataStore": {"name": "s", "url": store.url, "allowsUpload": True},
              "dataSource": SOURCE, "owningOrganization": "Org"}  # fmt: skip
    server.get_json(f"/api/v{version}/datasets/{ID}", record)
    store.get_json(f"/data/v{version}/zarr/{ID}/datasource-properties.json", SOURCE)


def opened(server):
    with wk.webknossos_context(server.url, TOKEN):
        return list(wk.RemoteDataset.open(dataset_id=ID).layers)


def test_a_right_guess_asks_nothing_twice(servers):
    server, _ = servers
    serve(server, server, 14)
    assert opened(server) == ["cells"]
    assert sorted(server.paths()) == sorted(
        ["/api/buildinfo", f"/api/v14/datasets/{ID}", f"/data/v14/zarr/{ID}/datasource-properties.json"]
    )


def test_an_older_server_is_asked_again_in_its_version(servers):
    server, _ = servers
    serve(server, server, 12)
    assert opened(server) == ["cells"]
    assert f"/api/v12/datasets/{ID}" in server.paths()


def test_a_data_store_elsewhere_is_asked_and_guessed_the_next_time(servers):
    server, store = servers
    serve(server, store, 14)
    assert opened(server) == ["cells"]
    server.requests.clear()
    store.requests.clear()
    assert opened(server) == ["cells"]
    assert (server.paths(), len(store.requests)) == ([f"/api/v14/datasets/{ID}"], 1)


def test_a_guess_that_fails_is_asked_for_again_with_all_attempts(servers):
    server, _ = servers
    path = f"/data/v14/zarr/{ID}/datasource-properties.json"
    server.on("GET", path, answering(500, b"{}"))
    serve(server, server, 14)
    assert opened(server) == ["cells"]
    assert server.paths().count(path) == 2


def test_a_refusal_is_told_as_without_a_guess(servers):
    server, _ = servers
    serve(server, server, 14)
    path = f"/api/v14/datasets/{ID}"
    server.routes["GET", path].clear()
    server.on("GET", path, answering(403, b'{"messages":[{"error":"not yours"}]}'))
    with pytest.raises(errors.PermissionDeniedError, match="not yours"):
        opened(server)


def test_a_forced_version_is_the_only_one_asked_for(servers):
    server, _ = servers
    serve(server, server, 13)
    with wk.webknossos_context(server.url, TOKEN, api_version=13):
        wk.RemoteDataset.open(dataset_id=ID)
    assert all("/v13/" in path for path in server.paths())
