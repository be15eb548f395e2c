"""Whole jobs against a server with a memory: what one call changes, the next one sees."""

import io
import json
import re
import warnings
import zipfile

import numcodecs
import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="the stand-in server needs starlette, uvicorn and python-multipart")
pytest.importorskip("python_multipart", reason="the stand-in server needs python-multipart")

from tests.client.conftest import TOKEN
from tests.client.standin_app import running
from tests.client.standin_state import Layer, State

from wkfast.client import Client, Context, Secret, Session, errors, resolve_annotation, resolve_dataset

FALLBACK = np.arange(64 * 64 * 32, dtype=np.uint32).reshape(64, 64, 32) + 1
OTHER = "the-token-of-somebody-else"
NML = """<?xml version="1.0"?>
<things>
  <meta name="writer" content="hand" />
  <parameters>
    <experiment name="cells" organization="Org" description="" />
    <scale x="11.24" y="11.24" z="28.0" unit="nanometer" />
    <offset x="0" y="0" z="0" />
    <time ms="1697029744090" />
    <editPosition x="40" y="8" z="70" />
    <editRotation xRot="0.0" yRot="0.0" zRot="0.0" />
    <zoomLevel zoom="2.0" />
  </parameters>
  <volume id="1" name="Volume" location="data_Volume.zip" format="zarr3" fallbackLayer="segmentation" />
</things>
"""


@pytest.fixture
def stand_in():
    state = State()
    state.add_user(TOKEN)
    state.add_user(OTHER, organization="Elsewhere", first_name="Bob")
    state.add_dataset("cells", [Layer.of("segmentation", FALLBACK, (32, 0, 64))])
    with running(state) as server:
        yield server


@pytest.fixture
def clients(stand_in):
    """The owner, a user of another organisation and nobody, each with the negotiated version."""
    with Session() as session:
        contexts = [Context(stand_in.url, token and Secret(token), 60) for token in (TOKEN, OTHER, None)]
        yield [Client(context, session=session) for context in contexts]


def annotation_zip(chunks: dict[tuple[int, int, int], np.ndarray]) -> bytes:
    """Return an annotation with one volume layer on ``segmentation``, written without wkfast."""
    header = {"zarr_format": 3, "node_type": "array", "shape": [1, 96, 64, 96], "data_type": "uint32",
              "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 32, 32, 32]}},
              "chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}}, "fill_value": 0,
              "codecs": [{"name": "transpose", "configuration": {"order": [3, 2, 1, 0]}},
                         {"name": "bytes", "configuration": {"endian": "little"}}, {"name": "blosc"}]}  # fmt: skip
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("volumeAnnotationData/1/zarr.json", json.dumps(header))
        for (x, y, z), voxels in chunks.items():
            data = numcodecs.Blosc("lz4").encode(voxels.astype("<u4").tobytes(order="F"))
            archive.writestr(f"volumeAnnotationData/1/0.{x}.{y}.{z}", data)
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("mine.nml", NML)
        archive.writestr("data_Volume.zip", inner.getvalue())
    return outer.getvalue()


PAINTED = {(1, 0, 2): np.full((32, 32, 32), 7), (2, 1, 2): np.zeros((32, 32, 32))}


def upload(client: Client, name: str = "mine") -> str:
    return client.annotations.upload(io.BytesIO(annotation_zip(PAINTED)), name=name).id


def test_an_uploaded_annotation_is_listed_told_downloaded_and_edited(stand_in, clients, tmp_path):
    owner = clients[0]
    result = owner.annotations.upload(io.BytesIO(annotation_zip(PAINTED)), name="my cells")
    assert result.url == f"{stand_in.url}/annotations/{result.id}"
    listed = owner.annotations.readable(owner_id=owner.user().id)
    assert [(record.id, record.name) for record in listed] == [(result.id, "my cells")]
    info = owner.annotations.info(result.id)
    assert [layer.name for layer in info.layers] == ["Skeleton", "Volume"]
    owner.annotations.edit(result.id, name="renamed", description="done")
    info = owner.annotations.info(result.id)
    assert (info.name, info.description) == ("renamed", "done")
    download = owner.annotations.download(result.id, tmp_path)
    assert download.path == tmp_path / "renamed.zip"
    with zipfile.ZipFile(download.path) as archive:
        assert archive.namelist() == ["renamed.nml", "data_Volume.zip"]
        assert info.dataset_id in archive.read("renamed.nml").decode()
    skipped = owner.annotations.download(result.id, tmp_path / "skipped.zip", skip_volume_data=True)
    with zipfile.ZipFile(skipped.path) as archive:
        assert archive.namelist() == ["renamed.nml"]
        volume = re.search(rb"<volume[^>]*>", archive.read("renamed.nml"))[0]
        assert b"location" not in volume
        assert b"format" not in volume
    assert skipped.kind == "zip"


def test_two_downloads_of_one_annotation_differ_in_bytes(clients, tmp_path):
    annotation_id = upload(clients[0])
    for name in ("a.zip", "b.zip"):
        clients[0].annotations.download(annotation_id, tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() != (tmp_path / "b.zip").read_bytes()


def test_chunks_of_an_annotation_are_merged_with_the_fallback(stand_in, clients):
    owner = clients[0]
    annotation_id = upload(owner)
    info = owner.annotations.info(annotation_id)
    layers = owner.datastore(info.data_store_url).annotation_layers(annotation_id)
    assert [layer["name"] for layer in layers.properties()["dataLayers"]] == ["segmentation", "Volume"]
    assert layers.array_header("Volume", "1")["shape"] == [1, 96, 64, 96]
    indices = [(0, x, y, 2) for x in (0, 1, 2) for y in (0, 1)]
    found = {index: data and np.frombuffer(data, "<u4").reshape((32, 32, 32), order="F")
             for index, data in layers.chunks("Volume", "1", indices)}  # fmt: skip
    assert found[0, 0, 0, 2] is None
    assert (found[0, 1, 0, 2] == 7).all()
    assert (found[0, 2, 1, 2] == 0).all(), "erased stays erased"
    assert (found[0, 2, 0, 2] == FALLBACK[32:, :32]).all()
    assert (found[0, 1, 1, 2] == FALLBACK[:32, 32:]).all()


@pytest.mark.parametrize(
    ("topleft", "size", "missing"),
    [((32, 0, 64), (64, 64, 32), 0), ((40, 5, 70), (30, 50, 9), 0), ((0, 0, 64), (40, 8, 8), 1)],
)
def test_a_cutout_is_the_box_of_the_layer(stand_in, clients, topleft, size, missing):
    dataset = next(iter(stand_in.state.datasets.values()))
    cutout = (
        clients[0].datastore(stand_in.url).cutout(dataset.id, "segmentation", mag=(1, 1, 1), topleft=topleft, size=size)
    )
    whole = np.zeros((96, 64, 96), np.uint32)
    whole[32:96, :64, 64:96] = FALLBACK
    wanted = whole[tuple(slice(t, t + s) for t, s in zip(topleft, size, strict=True))]
    assert np.array_equal(np.frombuffer(cutout.voxels, "<u4").reshape(size, order="F"), wanted)
    assert len(cutout.missing_buckets) == missing


def test_three_requests_lead_to_the_first_chunk(stand_in, clients):
    owner = clients[0]
    annotation_id = upload(owner)
    stand_in.log.clear()
    info = owner.annotations.info(annotation_id)
    layers = owner.datastore(info.data_store_url).annotation_layers(annotation_id)
    layers.properties()
    layers.array_header("Volume", "1")
    assert len(stand_in.log) == 3
    assert layers.chunk("Volume", "1", (0, 1, 0, 2)) is not None


def test_rights_differ_by_who_asks(stand_in, clients, tmp_path):
    owner, stranger, nobody = clients
    annotation_id = upload(owner)
    for client, kind in ((stranger, errors.PermissionDeniedError), (nobody, errors.PermissionDeniedError)):
        with pytest.raises(kind):
            client.annotations.download(annotation_id, tmp_path / "a.zip")
    with pytest.raises(errors.AuthenticationError, match="WK_TOKEN"):
        upload(nobody)
    with pytest.raises(errors.BadRequestError, match="does not exist, or you may not use it"):
        upload(stranger)
    stand_in.state.annotations[annotation_id].visibility = "Public"
    assert nobody.annotations.download(annotation_id, tmp_path / "a.zip").kind == "zip"
    with pytest.raises(errors.PermissionDeniedError, match="Ada Example"):
        stranger.annotations.edit(annotation_id, name="mine now")
    stand_in.state.annotations[annotation_id].is_locked_by_owner = True
    with pytest.raises(errors.PermissionDeniedError, match="locked"):
        owner.annotations.edit(annotation_id, name="x")


def test_a_dataset_is_found_by_name_url_short_link_and_sharing_token(stand_in, clients):
    owner, _, nobody = clients
    dataset = next(iter(stand_in.state.datasets.values()))
    stand_in.state.short_links["k"] = f"{stand_in.url}/datasets/cells-{dataset.id}/view#1,2"
    texts = ["cells", dataset.id, f"{stand_in.url}/datasets/Org/cells", f"{stand_in.url}/links/k"]
    for text in texts:
        assert resolve_dataset(text, context=owner.context, session=owner.session).dataset_id == dataset.id
    token = owner.datasets.sharing_token(dataset.id)
    with pytest.raises(errors.NotFoundError):
        nobody.datasets.info(dataset.id)
    record = nobody.datasets.info(dataset.id, sharing_token=token)
    layers = nobody.datastore(record.data_store_url, sharing_token=token).dataset_layers(dataset.id)
    assert len(layers.chunk("segmentation", "1", (0, 1, 0, 2))) == 131072
    dataset.name = "renamed"
    assert owner.datasets.id_of("cells", "Org") == dataset.id
    with pytest.raises(errors.NotFoundError):
        owner.datasets.id_of("nothing", "Org")


def test_an_annotation_is_found_by_short_link_without_a_word_about_the_token(stand_in, clients):
    annotation_id = upload(clients[0])
    stand_in.state.short_links["k"] = f"{stand_in.url}/annotations/{annotation_id}#%7B%7D"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = resolve_annotation(f"{stand_in.url}/links/k", context=clients[0].context, session=clients[0].session)
    assert (found.annotation_id, found.context) == (annotation_id, clients[0].context)


def test_chunks_are_asked_for_while_others_are_under_way(stand_in, clients):
    dataset = next(iter(stand_in.state.datasets.values()))
    layers = clients[0].datastore(stand_in.url).dataset_layers(dataset.id)
    stand_in.delay = 0.05
    indices = [(0, x, y, z) for x in range(4) for y in range(4) for z in range(2)]
    assert len(dict(layers.chunks("segmentation", "1", indices, concurrency=8))) == 32
    assert stand_in.most_together == 8
