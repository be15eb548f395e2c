"""The client against recorded traffic of a real server, byte for byte as it was sent."""

import base64
import hashlib
import json
import warnings
import zipfile
from email.parser import BytesParser
from email.policy import HTTP

import pytest
from tests.client.conftest import TOKEN
from tests.client.servers import Replay

from wkfast.client import Client, Context, Secret, errors, resolve_annotation, resolve_dataset

pytestmark = pytest.mark.fixtures

DATASET = "59e9cfbdba632ac2ab8b23b5"
UPLOADED = "69270ba1010000ca00110a99"


@pytest.fixture
def replayed(fixtures, server, session):
    """Return a function that starts a recording and gives the client for it."""
    replays = []

    def start(name: str, version: int = 12, token: str | None = TOKEN) -> Client:
        path = fixtures / "rest" / f"{name}.json"
        if not path.is_file():
            pytest.skip(f"no recording {path}")
        replay = Replay.load(path, server.url)
        replays.append(replay)
        server.fallback = replay
        context = Context(server.url, token and Secret(token), timeout=60, api_version=version)
        return Client(context, session=session)

    yield start
    for replay in replays:
        assert replay.unknown == []
        assert replay.seen


def recorded(fixtures, name: str, method: str, end: str) -> dict:
    exchanges = json.loads((fixtures / "rest" / f"{name}.json").read_text())["exchanges"]
    return next(
        exchange for exchange in exchanges
        if exchange["request"]["method"] == method and exchange["request"]["path"].endswith(end)
    )  # fmt: skip


def test_build_info_names_the_versions(fixtures, replayed, server):
    client = replayed("build_info")
    # recorded under a versioned path; the client asks without
    exchange = recorded(fixtures, "build_info", "GET", "/buildinfo")
    server.get_json("/api/buildinfo", exchange["response"]["body"]["json"])
    info = client.build_info()
    assert (info.current_api_version, info.oldest_api_version) == (12, 5)
    assert Client(Context(server.url), session=client.session).version == 12
    assert client.get(client.api_url("buildinfo")) == exchange["response"]["body"]["json"]


def test_health(replayed):
    assert replayed("health").health() == "Ok"


def test_user_and_organization(replayed):
    user = replayed("user_organization").user()
    assert (user.id, user.organization, user.name) == ("570b9f4d2a7c0e4d008da6ef", "Organization_X", "Sample User")
    assert [team.name for team in user.teams] == ["team_X1", "team_X3", "team_X4"]
    assert user.experiences == {"abc": 5}


def test_annotation_info(replayed, server):
    record = replayed("annotation_info").annotations.info("570ba0092a7c0e980056fe9b")
    assert (record.typ, record.state, record.modified, record.tracing_time) == ("Explorational", "Active", 0, None)
    assert (record.dataset_id, record.dataset_name) == ("570b9f4e4bb848d0885ee711", "2012-06-28_Cortex")
    assert [layer.typ for layer in record.layers] == ["Skeleton"]
    assert (record.may_update, record.is_locked_by_owner, record.others_may_edit) == (True, False, False)
    assert record.owner is not None
    assert record.data_store_url == record.tracing_store_url == server.url


def test_an_upload_is_shaped_like_the_recorded_one_and_tells_the_new_url(fixtures, replayed, server, tmp_path):
    part = recorded(fixtures, "annotation_upload_download_roundtrip", "POST", "/upload")["request"]["body"]["multipart"]
    source = tmp_path / part[1]["filename"]
    source.write_bytes(base64.b64decode(part[1]["base64"]))
    result = replayed("annotation_upload_download_roundtrip").annotations.upload(source)
    assert (result.id, result.typ) == (UPLOADED, "Explorational")
    assert result.url == f"{server.url}/annotations/{UPLOADED}"
    assert result.messages == (("success", "Successfully uploaded file"),)
    sent = split_multipart(server.requests[-1])
    assert [(p["name"], p["filename"], p["content_type"]) for p in sent] == [
        (p["field"], p["filename"], p["content_type"]) for p in part]  # fmt: skip
    assert sent[0]["data"] == part[0]["text"].encode()
    assert hashlib.sha256(sent[1]["data"]).hexdigest() == part[1]["sha256"]


def split_multipart(request) -> list[dict]:
    """Read a multipart body with the mail parser of the standard library, which shares nothing with the client."""
    head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + request.body)
    return [
        {
            "name": part.get_param("name", header="content-disposition"),
            "filename": part.get_filename(),
            "content_type": part.get("content-type") and str(part["content-type"]),
            "data": part.get_payload(decode=True),
        }
        for part in message.iter_parts()
    ]


@pytest.mark.parametrize("skip", [False, True])
def test_a_zip_download_is_the_recorded_file(fixtures, replayed, tmp_path, skip):
    download = replayed("annotation_upload_download_roundtrip").annotations.download(
        UPLOADED, tmp_path, skip_volume_data=skip
    )
    assert (download.name, download.kind) == ("l4_sample__explorational__suser__94b271.zip", "zip")
    assert download.size == (984 if skip else 19217)
    with zipfile.ZipFile(download.path) as archive:
        assert archive.testzip() is None
        assert len([name for name in archive.namelist() if name.endswith(".nml")]) == 1


def test_a_skeleton_is_downloaded_as_nml(replayed, tmp_path):
    download = replayed("bounding_box_roundtrip").annotations.download(
        "69270ba2010000ca00110a9a", tmp_path, skip_volume_data=True
    )
    assert (download.name, download.kind, download.size) == ("test_bounding_box_roundtrip.nml", "nml", 1754)


def test_an_annotation_is_streamed(replayed, server):
    client = replayed("annotation_upload_download_roundtrip")
    dataset = client.datasets.info(DATASET)
    layers = client.datastore(dataset.data_store_url).annotation_layers(UPLOADED)
    assert {layer["name"] for layer in layers.properties()["dataLayers"]} >= {"Volume"}
    header = layers.array_header("Volume", "16-16-4")
    assert (header["chunks"], header["shape"]) == ([1, 32, 32, 32], [1, 256, 256, 384])
    indices = [(0, 7, 7, 8), (0, 7, 6, 8), (0, 6, 7, 8), (0, 6, 6, 8), (0, 0, 0, 0)]
    found = dict(layers.chunks("Volume", "16-16-4", indices, concurrency=4))
    assert found.pop((0, 0, 0, 0)) is None
    assert [len(chunk) for chunk in found.values()] == [131072] * 4


def test_a_dataset_is_found_by_name_and_directory_name(replayed):
    client = replayed("dataset_info")
    found = client.datasets.by_directory_name("l4_sample", "Organization_X")
    assert (found.id, found.name) == (DATASET, "l4_sample")
    client = replayed("remote_dataset")
    assert client.datasets.id_of("l4_sample", "Organization_X") == DATASET


@pytest.mark.parametrize(("name", "version"), [("dataset_info", 12), ("dataset_v13", 13)])
def test_dataset_info(fixtures, replayed, name, version):
    exchange = json.loads((fixtures / "rest" / f"{name}.json").read_text())["exchanges"]
    ids = [e["request"]["path"].rpartition("/")[2] for e in exchange if e["request"]["method"] == "GET"
           and e["request"]["path"].startswith(f"/api/v{version}/datasets/") and e["request"]["path"].count("/") == 4
           and not e["request"]["query"] and e["response"]["status"] == 200]  # fmt: skip
    client = replayed(name, version)
    assert ids
    for dataset_id in set(ids):
        record = client.datasets.info(dataset_id)
        assert record.organization == "Organization_X"
        assert record.voxel_size is not None
        assert {layer.category for layer in record.layers} <= {"color", "segmentation"}
        assert all(layer.mags for layer in record.layers)


def test_sharing_token(fixtures, replayed):
    request = recorded(fixtures, "dataset_sharing_token", "GET", "/sharingToken")["request"]
    version, dataset_id = int(request["path"].split("/")[2][1:]), request["path"].split("/")[4]
    assert replayed("dataset_sharing_token", version).datasets.sharing_token(dataset_id) == Secret("TOKEN")


def test_datastores(replayed, server):
    assert [store.url for store in replayed("datastore_list").datastores()] == [server.url]


def test_tracingstore(replayed, server):
    assert replayed("tracingstore_v9", 9).tracingstore().url == server.url


def test_cutouts_are_complete(fixtures, replayed, server):
    client = replayed("remote_dataset")
    store = client.datastore(server.url)
    boxes = [exchange for exchange in json.loads((fixtures / "rest/remote_dataset.json").read_text())["exchanges"]
             if exchange["request"]["path"].endswith("/data")]  # fmt: skip
    assert len(boxes) == 18
    for exchange in boxes:
        query, path = exchange["request"]["query"], exchange["request"]["path"].split("/")
        numbers = {key: int(value) for key, value in query.items() if key != "mag"}
        cutout = store.cutout(
            path[4], path[6], mag=tuple(map(int, query["mag"].split("-"))),
            topleft=(numbers["x"], numbers["y"], numbers["z"]),
            size=(numbers["width"], numbers["height"], numbers["depth"]),
        )  # fmt: skip
        assert cutout.missing_buckets == ()
        assert hashlib.sha256(cutout.voxels).hexdigest() == exchange["response"]["body"]["sha256"]


def test_stored_files_and_their_ranges(replayed, server):
    store = replayed("proxy_path_v12").datastore(server.url)
    assert json.loads(store.file(DATASET, "layers/color/mags/1/zarr.json"))["zarr_format"] == 3
    part = store.file(DATASET, "layers/color/mags/1/c/0/3/3/1", start=41527141, length=26084)
    assert len(part) == 26084


def test_a_short_link_leads_to_a_public_annotation(replayed, server, tmp_path):
    client = replayed("short_link_v7", 7, token=None)
    found = resolve_annotation(f"{server.url}/links/SampleKey_A1-b2C", context=client.context, session=client.session)
    assert found.annotation_id == "61c20205010000cc004a6356"
    layers = client.datastore(server.url).annotation_layers(found.annotation_id)
    assert layers.array_header("color", "1")["order"] == "F"
    assert all("x-auth-token" not in request.headers for request in server.requests)


def test_an_old_server_of_api_7_is_streamed(replayed, server):
    client = replayed("annotation_upload_download_roundtrip_v7", 7)
    layers = client.datastore(server.url).annotation_layers("6756fa1401000039002797f0")
    assert len(layers.chunk("Volume", "16-16-4", (0, 7, 6, 8))) == 131072
    assert layers.chunk("Volume", "16-16-4", (0, 0, 0, 0)) is None


def test_recorded_refusals_become_clear_errors(fixtures, replayed, server):
    client = replayed("error_bodies", 9)
    exchanges = json.loads((fixtures / "rest/error_bodies.json").read_text())["exchanges"]
    kinds = {400: errors.BadRequestError, 403: errors.PermissionDeniedError, 404: errors.NotFoundError}
    asked = [exchange for exchange in exchanges if exchange["request"]["method"] in ("GET", "HEAD")]
    for exchange in asked:
        request, response = exchange["request"], exchange["response"]
        call = client.call(request["method"], server.url + request["path"], request["query"])
        with pytest.raises(kinds[response["status"]]) as caught:
            client.session.send(call)
        said = [
            text
            for message in (response["body"] or {}).get("json", {}).get("messages", [])
            for text in message.values()
        ]
        said = [" ".join(text.split()).replace("http://localhost:9000", server.url) for text in said]
        assert all(text in str(caught.value) for text in said)
        assert "<" not in str(caught.value).replace("<id>", "")
    assert len(asked) >= 12


def test_a_dataset_is_resolved_through_the_recorded_search(replayed, server):
    client = replayed("bounding_box_roundtrip")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = resolve_dataset("l4_sample", context=client.context, session=client.session)
    assert found.dataset_id == DATASET
