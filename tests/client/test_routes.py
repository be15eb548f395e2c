"""Every route against answers written here from the contract, so that recordings are not needed to cover them."""

import io
import json
import warnings

import pytest
from tests.client.conftest import TOKEN
from tests.client.servers import answering

from wkfast.client import Client, Context, Secret, Session, errors, resolve_annotation, resolve_dataset
from wkfast.client.records import DataLayer, VoxelSizeRecord

ID = "570ba0092a7c0e980056fe9b"
DATASET_ID = "59e9cfbdba632ac2ab8b23b5"
BUILD_INFO = {"webknossos": {"version": "25.11.0"}, "httpApiVersioning": {"currentApiVersion": 13}}
SAMPLE_LAYER = {
    "name": "segmentation",
    "category": "segmentation",
    "elementClass": "uint64",
    "boundingBox": {"topLeft": [1, 2, 3], "width": 4, "height": 5, "depth": 6},
    "largestSegmentId": {"customJsonEncoding": "bigint", "value": "18446744073709551615"},
    "mags": [{"mag": [1, 1, 1], "path": "./segmentation/1"}, {"mag": [2, 2, 1]}],
    "numChannels": 1,
    "dataFormat": "zarr3",
}


def build_info(oldest: object, current: object) -> dict:
    return {"webknossos": {}, "httpApiVersioning": {"oldestSupportedApiVersion": oldest, "currentApiVersion": current}}


def dataset(name: str = "l4 sample", dataset_id: str = DATASET_ID, organization: str = "Org", **source: object) -> dict:
    data_source = {"id": {"name": name, "team": ""}, "dataLayers": [SAMPLE_LAYER], **source}
    return {
        "id": dataset_id,
        "name": name,
        "owningOrganization": organization,
        "dataStore": {"name": "localhost", "url": "http://localhost:9000"},
        "dataSource": data_source,
    }


def annotation(**more: object) -> dict:
    owner = {"id": "u1", "firstName": "Ada", "lastName": "Example"}
    return {"id": ID, "typ": "Task", "name": "mine", "owner": owner, "restrictions": {"allowUpdate": True}, **more}


# versions


@pytest.mark.parametrize(
    ("oldest", "current", "chosen"), [(5, 12, 12), (5, 13, 13), (5, 14, 14), (5, 99, 14), (13, 13, 13), (12, 12, 12)]
)
def test_the_newest_common_version_is_spoken(server, session, oldest, current, chosen):
    server.get_json("/api/buildinfo", build_info(oldest, current))
    assert Client(Context(server.url), session=session).version == chosen


@pytest.mark.parametrize(
    ("oldest", "current", "text"),
    [
        (5, 11, "speaks API versions 5 to 11, wkfast speaks 12 to 14. A newer server"),
        (15, 17, "speaks API versions 15 to 17, wkfast speaks 12 to 14. A newer wkfast"),
        (None, 13, "does not tell"),
        (5, None, "does not tell"),
    ],
)
def test_without_a_common_version_both_ranges_are_told(server, session, oldest, current, text):
    server.get_json("/api/buildinfo", build_info(oldest, current))
    with pytest.raises(errors.VersionError, match=text):
        _ = Client(Context(server.url), session=session).version


def test_an_old_server_without_versions_is_told(server, session):
    server.get_json("/api/buildinfo", {"webknossos": {"version": "22.10"}})
    with pytest.raises(errors.VersionError, match="older than version 6"):
        _ = Client(Context(server.url), session=session).version


def test_the_version_is_asked_for_once_per_server_without_token(server, session):
    server.get_json("/api/buildinfo", build_info(5, 13))
    server.on("GET", "/api/v13/health", answering(200, b"Ok", "text/plain"))
    for token in (None, Secret(TOKEN), Secret("other")):
        assert Client(Context(server.url + "/", token, timeout=9), session=session).health() == "Ok"
    assert server.paths().count("/api/buildinfo") == 1
    assert "x-auth-token" not in server.requests[0].headers


def test_a_failed_negotiation_is_not_remembered(server, session):
    server.on("GET", "/api/buildinfo", answering(404, b""), answering(200, json.dumps(build_info(1, 12)).encode()))
    client = Client(Context(server.url), session=session)
    with pytest.raises(errors.NotFoundError):
        _ = client.version
    assert client.version == 12


def test_a_forced_version_is_not_negotiated(server, session):
    server.on("GET", "/api/v7/health", answering(200, b"Ok", "text/plain"))
    Client(Context(server.url, api_version=7), session=session).health()
    assert server.paths() == ["/api/v7/health"]


def test_another_web_server_is_told_apart(server, session):
    server.on("GET", "/api/buildinfo", answering(200, b"<!doctype html><title>Lab</title>", "text/html"))
    with pytest.raises(errors.NotWebknossosError, match="not a WEBKNOSSOS server"):
        _ = Client(Context(server.url), session=session).version


# annotations


def test_an_annotation_may_lack_anything_but_id_and_type(server, client):
    server.get_json(f"/api/v12/annotations/{ID}/info", {"id": ID, "typ": "Explorational", "owner": None, "new": [1]})
    record = client.annotations.info(ID)
    assert (record.id, record.typ, record.name, record.owner, record.layers) == (ID, "Explorational", "", None, ())
    assert int(server.requests[0].query["timestamp"]) > 1_700_000_000_000
    assert server.requests[0].headers["x-auth-token"] == TOKEN
    assert server.requests[0].headers["user-agent"].startswith("wkfast/")


@pytest.mark.parametrize("annotation_id", ["", "..", ID[:-1], f"{ID}/../x", "a" * 25])
def test_an_id_that_is_none_is_not_asked_for(server, client, annotation_id):
    with pytest.raises(errors.InvalidUrlError, match="24 hexadecimal digits"):
        client.annotations.info(annotation_id)
    assert server.requests == []


def test_readable_annotations_are_filtered_by_owner(server, client):
    entries = [annotation(), annotation(owner={"id": "u2"}), annotation(owner=None)]
    server.get_json("/api/v12/annotations/readable", entries)
    assert len(client.annotations.readable()) == 3
    assert len(client.annotations.readable(is_finished=False, owner_id="u1")) == 1
    assert [request.query for request in server.requests] == [{}, {"isFinished": "false"}]


def test_annotations_of_a_task(server, client):
    server.get_json("/api/v12/tasks/t1/annotations", [annotation(state="Finished")])
    assert [record.state for record in client.annotations.of_task("t1")] == ["Finished"]


def test_an_edit_sends_only_what_changes_under_the_type_the_server_tells(server, client):
    server.get_json(f"/api/v12/annotations/{ID}/info", annotation())
    server.on("PATCH", f"/api/v12/annotations/Task/{ID}/edit", answering(200, b""))
    client.annotations.edit(ID, name="new")
    client.annotations.edit(ID, description="")
    client.annotations.edit(ID)
    edits = [json.loads(request.body) for request in server.requests if request.method == "PATCH"]
    assert edits == [{"name": "new"}, {"description": ""}]
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    "more", [{"restrictions": {"allowUpdate": False}}, {"isLockedByOwner": True}], ids=["no right", "locked"]
)
def test_an_edit_that_is_not_allowed_names_the_owner_and_is_not_tried(server, client, more):
    server.get_json(f"/api/v12/annotations/{ID}/info", annotation(**more))
    with pytest.raises(errors.PermissionDeniedError, match="Ada Example"):
        client.annotations.edit(ID, name="new")
    assert [request.method for request in server.requests] == ["GET"]


def test_a_refused_edit_tells_the_messages_and_is_not_repeated(server, client):
    server.get_json(f"/api/v12/annotations/{ID}/info", annotation())
    server.on("PATCH", f"/api/v12/annotations/Task/{ID}/edit", answering(400, b'{"messages":[{"error":"shared"}]}'))
    with pytest.raises(errors.BadRequestError, match="shared"):
        client.annotations.edit(ID, name="new")
    assert len(server.requests) == 2


# users, stores, datasets


def test_the_user_is_asked_for_once(server, client):
    user = {"id": "u1", "firstName": "Ada", "lastName": "E", "organization": "Org"}
    more = {"teams": [{"id": "t", "name": "T"}], "experiences": {"isSnake_case Key": 5}}
    server.get_json("/api/v12/user", user | more)
    assert client.user() is client.user()
    assert (client.user().name, client.user().experiences) == ("Ada E", {"isSnake_case Key": 5})
    assert len(server.requests) == 1


def test_stores_are_listed(server, client):
    server.get_json("/api/v12/datastores", [{"name": "a", "url": server.url, "allowsUpload": True}])
    server.get_json("/api/v12/tracingstore", {"name": "t", "url": server.url + "/"})
    assert [store.allows_upload for store in client.datastores()] == [True]
    assert client.tracingstore().url == server.url


@pytest.mark.parametrize(
    "url", ["http://ds.example.org", "ds.example.org", "file:///x", "https://user:pw@ds.example.org"]
)
def test_a_store_that_would_get_the_token_in_clear_is_refused(session, url):
    client = Client(Context("https://wk.example.org", Secret(TOKEN), api_version=12), session=session)
    with pytest.raises((errors.UnexpectedAnswerError, errors.ConfigurationError)):
        client.datastore(url)


def test_a_dataset_is_taken_over_with_exact_integers(server, client):
    server.get_json(f"/api/v12/datasets/{DATASET_ID}", dataset(scale={"factor": [11.2, 11.2, 25], "unit": "nanometer"}))
    record = client.datasets.info(DATASET_ID)
    assert record.voxel_size == VoxelSizeRecord((11.2, 11.2, 25.0))
    assert record.layers == (
        DataLayer("segmentation", "segmentation", "uint64", (1, 2, 3), (4, 5, 6), ((1, 1, 1), (2, 2, 1)), 1, "zarr3",
                  18446744073709551615),)  # fmt: skip


def test_old_and_broken_datasets_are_taken_over(server, client):
    old_layer = {key: value for key, value in SAMPLE_LAYER.items() if key != "mags"} | {"resolutions": [[4, 4, 2]]}
    server.get_json(f"/api/v12/datasets/{DATASET_ID}", dataset(scale=[4, 4, 30], dataLayers=[old_layer]),
                    dataset(status="Not imported yet."))  # fmt: skip
    old, broken = client.datasets.info(DATASET_ID), client.datasets.info(DATASET_ID)
    assert (old.voxel_size, old.layers[0].mags) == (VoxelSizeRecord((4.0, 4.0, 30.0)), ((4, 4, 2),))
    assert (broken.status, broken.layers) == ("Not imported yet.", ())


def test_a_name_is_looked_up_exactly_in_the_users_organization(server, client):
    server.get_json("/api/v12/user", {"id": "u", "organization": "Org"})
    found = [dataset("l4 sample 2"), dataset(organization="Other"), dataset(dataset_id="a" * 24)]
    server.get_json("/api/v12/datasets", found)
    assert client.datasets.id_of("l4 sample") == "a" * 24
    assert server.requests[-1].query == {"isActive": "true", "organizationId": "Org", "searchQuery": "l4 sample"}


def test_several_datasets_of_one_name_are_warned_of(server, client):
    server.get_json("/api/v12/datasets", [dataset(dataset_id="a" * 24), dataset(dataset_id="b" * 24)])
    with pytest.warns(UserWarning, match="2 datasets"):
        assert client.datasets.id_of("l4 sample", "Org") == "a" * 24


def test_a_directory_name_is_the_second_chance(server, client):
    server.get_json("/api/v12/datasets", [])
    server.get_json("/api/v12/datasets/disambiguate/Org/a b/toId",
                    {"id": DATASET_ID, "name": "new", "organization": "Org", "directoryName": "a b"})  # fmt: skip
    assert client.datasets.id_of("a b", "Org") == DATASET_ID


def test_a_sharing_token_is_handed_out_hidden(server, client):
    server.get_json(f"/api/v12/datasets/{DATASET_ID}/sharingToken", {"sharingToken": "S"})
    assert client.datasets.sharing_token(DATASET_ID) == Secret("S")


# data store


def test_streamed_layers_of_an_annotation(server, client):
    root = f"/data/v12/annotations/zarr/{ID}"
    server.get_json(f"{root}/datasource-properties.json", {"dataLayers": []})
    server.get_json(f"{root}/my layer/2-2-1/.zarray", {"chunks": [1, 32, 32, 32]})
    server.on("GET", f"{root}/my layer/2-2-1/0.1.2.3", answering(200, b"voxels", "application/octet-stream"))
    layers = client.datastore(server.url).annotation_layers(ID)
    assert layers.properties() == {"dataLayers": []}
    assert layers.array_header("my layer", "2-2-1") == {"chunks": [1, 32, 32, 32]}
    assert layers.chunk("my layer", "2-2-1", (0, 1, 2, 3)) == b"voxels"
    assert all(request.headers["x-auth-token"] == TOKEN for request in server.requests)


@pytest.mark.parametrize(
    "message", ["No data at coordinates, no fallback layer defined", "[Server Time …]  zarr.chunkNotFound"]
)
def test_a_chunk_without_data_is_none_and_asked_for_once(server, client, message):
    body = json.dumps({"messages": [{"error": ""}, {"chain": message}]}).encode()
    server.on("GET", f"/data/v12/zarr/{ID}/seg/1/0.0.0.0", answering(404, body))
    assert client.datastore(server.url).dataset_layers(ID).chunk("seg", "1", (0, 0, 0, 0)) is None
    assert len(server.requests) == 1


@pytest.mark.parametrize("body", [b'{"messages":[{"error":"layer not found"}]}', b"<html>", b""])
def test_a_chunk_of_a_layer_that_is_not_there_is_an_error(server, client, body):
    server.on("GET", f"/data/v12/zarr/{ID}/seg/1/0.0.0.0", answering(404, body))
    with pytest.raises(errors.NotFoundError):
        client.datastore(server.url).dataset_layers(ID).chunk("seg", "1", (0, 0, 0, 0))


def test_a_folder_listing_is_no_chunk(server, client):
    server.on("GET", f"/data/v12/zarr/{ID}/seg/1/0.0.0.0", answering(200, b"<html>", "text/html; charset=UTF-8"))
    with pytest.raises(errors.UnexpectedAnswerError, match="web page"):
        client.datastore(server.url).dataset_layers(ID).chunk("seg", "1", (0, 0, 0, 0))


def test_a_sharing_token_takes_the_place_of_the_users(server, client):
    server.get_json(f"/data/v12/zarr/{ID}/datasource-properties.json", {})
    client.datastore(server.url, sharing_token=Secret("S")).dataset_layers(ID).properties()
    assert server.requests[0].query == {"token": "S"}
    assert "x-auth-token" not in server.requests[0].headers


def test_a_cutout_tells_which_buckets_are_missing(server, client):
    route = f"/data/v12/datasets/{ID}/layers/a b/data"
    server.on("GET", route, answering(200, b"xy", "application/octet-stream", missing_buckets="[0, 7]"))
    cutout = client.datastore(server.url).cutout(ID, "a b", mag=(2, 2, 1), topleft=(8, 6, 4), size=(1, 2, 3))
    assert (cutout.voxels, cutout.missing_buckets) == (b"xy", (0, 7))
    assert server.requests[0].query == {
        "mag": "2-2-1", "x": "8", "y": "6", "z": "4", "width": "1", "height": "2", "depth": "3"}  # fmt: skip


@pytest.mark.parametrize("knows_ranges", [True, False])
@pytest.mark.parametrize(
    ("start", "length", "wanted"), [(2, 3, b"234"), (7, 9, b"789"), (-4, None, b"6789"), (5, None, b"56789")]
)
def test_a_range_of_a_stored_file_is_right_whether_or_not_the_server_knows_ranges(
    server, client, knows_ranges, start, length, wanted
):
    data = b"0123456789"

    def handler(request, wire):
        if not knows_ranges:
            wire.reply(200, data, "application/octet-stream")
            return
        first, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
        begin = int(first) if first else len(data) - int(last)
        end = min(int(last), 9) if first and last else 9
        part = data[begin : end + 1]
        wire.reply(206, part, "application/octet-stream", content_range=f"bytes {begin}-{end}/10")

    server.on("GET", f"/data/v12/datasets/{ID}/proxy/layers/c/0", handler)
    assert client.datastore(server.url).file(ID, "layers/c/0", start=start, length=length) == wanted


def test_a_range_other_than_the_one_asked_for_is_an_error(server, client):
    server.on("GET", f"/data/v12/datasets/{ID}/proxy/c", answering(206, b"xx", content_range="bytes 5-6/10"))
    with pytest.raises(errors.UnexpectedAnswerError, match="range"):
        client.datastore(server.url).file(ID, "c", start=2, length=2)


# tracing store


def test_a_mesh_is_streamed_to_a_file(server, client, tmp_path):
    server.get_json("/api/v12/tracingstore", {"name": "t", "url": server.url})
    server.on("POST", "/tracings/volume/t-1/fullMesh.stl", answering(200, b"stl", "application/octet-stream"))
    request = {"lod": 0, "segmentId": 5, "meshFileName": "m", "mappingName": None}
    assert client.tracingstore().download_mesh("t-1", request, tmp_path / "a.stl").read_bytes() == b"stl"
    assert json.loads(server.requests[-1].body) == request


def test_an_agglomerate_graph_is_handed_on_as_bytes(server, client):
    server.get_json("/api/v12/tracingstore", {"name": "t", "url": server.url})
    server.on("GET", "/tracings/mapping/t-1/agglomerateGraph/7", answering(200, b"\x0a\x00", "application/x-protobuf"))
    assert client.tracingstore().agglomerate_graph("t-1", 7) == b"\x0a\x00"


# from a pasted text to a context


@pytest.fixture
def context(server):
    return Context(server.url, Secret(TOKEN), 600, 12)


def test_an_annotation_of_the_contexts_server_keeps_the_token(server, context):
    found = resolve_annotation(f"{server.url}/annotations/{ID}#x", context=context)
    assert (found.context, found.annotation_id) == (context, ID)
    assert resolve_annotation(ID, context=context).context == context
    assert resolve_annotation(ID, webknossos_url=server.url + "/", context=context).context == context


def test_an_annotation_of_another_server_goes_without_token_and_warns(context):
    with pytest.warns(UserWarning, match="no token is sent") as caught:
        found = resolve_annotation(f"https://else.example.org/annotations/{ID}", context=context)
    assert found.context == Context("https://else.example.org", None, 600)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resolve_annotation(f"https://else.example.org/annotations/{ID}", context=context.anonymous())


def test_a_url_and_a_server_beside_it_are_one_too_many(context):
    with pytest.raises(errors.InvalidUrlError, match="not both"):
        resolve_annotation(f"{context.url}/annotations/{ID}", webknossos_url=context.url, context=context)


def test_a_compound_annotation_is_refused(context):
    with pytest.raises(errors.InvalidUrlError, match="compound"):
        resolve_annotation(f"{context.url}/annotations/CompoundTask/{ID}", context=context)


def test_a_short_link_is_followed_without_token(server, context, session):
    server.get_json("/api/v12/shortLinks/byKey/k-1", {"longLink": f"{server.url}/annotations/{ID}#%7B%7D"})
    found = resolve_annotation(f"{server.url}/links/k-1", context=context, session=session)
    assert (found.annotation_id, found.context) == (ID, context)
    assert "x-auth-token" not in server.requests[0].headers


def test_a_short_link_of_another_server_is_asked_there(server, other_server, context, session):
    other_server.get_json("/api/buildinfo", build_info(5, 13))
    other_server.get_json(
        "/api/v13/shortLinks/byKey/k", {"longLink": f"{other_server.url}/datasets/x-{DATASET_ID}?token=S"}
    )
    found = resolve_dataset(f"{other_server.url}/links/k", context=context, session=session)
    assert (found.dataset_id, found.sharing_token, found.context.token) == (DATASET_ID, Secret("S"), None)
    assert server.requests == []
    assert TOKEN not in repr(other_server.requests)


@pytest.mark.parametrize("long_link", ["file:///etc/passwd", "/annotations/x", "{url}/links/again", ""])
def test_a_short_link_to_nowhere_is_an_error(server, context, session, long_link):
    server.get_json("/api/v12/shortLinks/byKey/k", {"longLink": long_link.format(url=server.url)})
    with pytest.raises(errors.InvalidUrlError, match="short link"):
        resolve_annotation(f"{server.url}/links/k", context=context, session=session)


def test_an_unknown_short_link_is_an_error_of_its_own(server, context, session):
    server.on("GET", "/api/v12/shortLinks/byKey/k", answering(404, b'{"messages":[{"error":"no such link"}]}'))
    with pytest.raises(errors.NotFoundError, match="no such link"):
        resolve_annotation(f"{server.url}/links/k", context=context, session=session)


def test_a_dataset_by_organization_and_name_is_looked_up(server, context, session):
    server.get_json("/api/v12/datasets", [dataset()])
    found = resolve_dataset(f"{server.url}/datasets/Org/l4%20sample/view", context=context, session=session)
    assert (found.dataset_id, found.context) == (DATASET_ID, context)


def test_the_server_names_what_is_downloaded_into_a_folder(server, client, tmp_path):
    answer = answering(200, b"<things></things>", "application/xml", content_disposition='x;filename="a b.nml"')
    server.on("GET", f"/api/v12/annotations/{ID}/download", answer)
    download = client.annotations.download(ID, tmp_path, skip_volume_data=True)
    assert download.path.read_bytes() == b"<things></things>"
    assert (download.name, download.kind, download.path) == ("a b.nml", "nml", tmp_path / "a b.nml")
    assert server.requests[0].query == {"skipVolumeData": "true", "volumeDataZipFormat": "zarr3"}


def test_session_and_transport_exclude_each_other():
    with Session() as session, pytest.raises(ValueError, match="not both"):
        Client(Context(), session=session, transport=io.BytesIO())
