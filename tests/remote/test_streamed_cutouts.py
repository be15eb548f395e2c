"""Work on streamed layers asks for boxes where the server cuts them out: voxels as by chunks, no token elsewhere."""

import os
import subprocess
import sys

import numpy as np
import pytest
from tests.client import standin_app
from tests.client.servers import Server
from tests.client.standin_state import Layer, Refusal
from tests.client.test_standin import PAINTED, annotation_zip
from tests.remote.conftest import TOKEN

import wkfast as wk

# ends within a chunk along each axis
SIZE = (90, 70, 63)
TOPLEFT = (32, 0, 64)


@pytest.fixture
def stored(server):
    """The layer as the server has it: 18 chunks, one of them absent and one of zeros."""
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 50, (9, 7, 7), np.uint32)
    voxels = np.kron(coarse, np.ones((10, 10, 9), np.uint32))
    voxels[:32, :32, :32] = 0
    layer = Layer.of("segmentation", voxels, TOPLEFT)
    server.state.add_dataset("large", [layer])
    return layer


@pytest.fixture
def remote(logged_in, stored):
    dataset_id = next(key for key, it in logged_in.state.datasets.items() if it.name == "large")
    logged_in.log.clear()
    return wk.RemoteDataset.open(dataset_id=dataset_id).get_segmentation_layer("segmentation")


@pytest.fixture
def cutouts(monkeypatch):
    """What is asked for as cut-outs, and a function that may answer in their place."""

    class Cutouts(list):
        answer = None

    asked, usual = Cutouts(), standin_app.cutout_answer

    def cutout_answer(layer, mag, start, size):
        asked.append((mag, start, size))
        answer = usual(layer, mag, start, size)
        return answer if asked.answer is None else asked.answer(answer)

    monkeypatch.setattr(standin_app, "cutout_answer", cutout_answer)
    return asked


@pytest.fixture
def annotation(tmp_path):
    path = tmp_path / "mine.zip"
    path.write_bytes(annotation_zip(PAINTED))
    return wk.Annotation.load(path)


def chunks_in(log):
    return [line for line in log if "/zarr/" in line and line.rpartition("/")[2].startswith("0.")]


def copied(remote, folder):
    """The voxels of a copy made by the core."""
    dataset = wk.Dataset(folder, voxel_size=(11.24, 11.24, 28.0))
    return dataset.add_layer_as_copy(remote, data_format="zarr3").get_mag(1).read()


def expected(stored):
    voxels = np.zeros((1, *SIZE), np.uint32)
    for (x, y, z), chunk in stored.chunks[1, 1, 1].items():
        corner = [place * 32 - start for place, start in zip((x, y, z), TOPLEFT, strict=True)]
        box = tuple(slice(start, start + 32) for start in corner)
        part = voxels[0][box]
        part[...] = chunk[tuple(map(slice, part.shape))]
    return voxels


def test_a_copy_asks_for_boxes_and_for_no_chunk(logged_in, remote, stored, cutouts, tmp_path):
    assert np.array_equal(copied(remote, tmp_path / "copy"), expected(stored))
    assert chunks_in(logged_in.log) == []
    assert {(mag, start[0] % 32) for mag, start, _ in cutouts} == {((1, 1, 1), 0)}
    ends = [max(start[axis] + size[axis] for _, start, size in cutouts) for axis in range(3)]
    assert ends == [122, 70, 127], "nothing behind the end of the layer is asked for"
    assert max(np.prod(size) * 4 for _, _, size in cutouts) <= 1 << 20


def test_everything_that_works_on_streamed_layers_gives_the_same_by_boxes(remote, cutouts, tmp_path):
    def work(folder):
        here = wk.Dataset(folder, voxel_size=(11.24, 11.24, 28.0))
        layer = here.add_layer_as_copy(remote, data_format="zarr3")
        layer.downsample(coarsest_mag=4)
        remote.get_mag(1).rechunk(target_path=folder / "rechunked", chunk_shape=(16, 16, 16))
        rechunked = wk.Dataset.open(folder / "rechunked").get_layer("segmentation").get_mag(1).read()
        counted = remote.segment_statistics()
        return [rechunked, *(mag.read() for mag in layer.mags.values()), *(counted[key] for key in sorted(counted))]

    by_boxes, asked = work(tmp_path / "boxes"), len(cutouts)
    assert asked > 6

    def refuse(_):
        raise Refusal(404, "no such route")

    cutouts.answer = refuse
    by_chunks = work(tmp_path / "chunks")
    assert len(by_boxes) == len(by_chunks)
    assert all(np.array_equal(one, other) for one, other in zip(by_boxes, by_chunks, strict=True))


def test_a_merge_by_boxes_equals_one_over_the_download(annotation, remote, cutouts, tmp_path):
    remote.dataset.download(path=tmp_path / "datasets" / "cells")
    annotation.merge_fallback_layer(tmp_path / "expected", tmp_path / "datasets")
    cutouts.clear()
    annotation.merge_fallback_layer(tmp_path / "merged", fallback=remote, verify=True)
    assert cutouts
    mine, theirs = (wk.Dataset.open(tmp_path / name).get_layer("segmentation") for name in ("merged", "expected"))
    assert np.array_equal(mine.get_mag(1).read(), theirs.get_mag(1).read())


def test_a_chunk_that_is_absent_is_asked_for_by_itself(logged_in, remote, stored, cutouts, tmp_path):
    del stored.chunks[1, 1, 1][2, 1, 3]
    assert np.array_equal(copied(remote, tmp_path / "copy"), expected(stored))
    assert any(line.endswith("0.2.1.3") for line in chunks_in(logged_in.log)), "the server says that a part is missing"
    asked = chunks_in(logged_in.log)
    assert len(asked) < 18, "of the other boxes all is there"


def test_few_chunks_are_not_cut_out(logged_in, dataset_id, tmp_path, cutouts):
    small = wk.RemoteDataset.open(dataset_id=dataset_id).get_segmentation_layer("segmentation")
    copied(small, tmp_path / "copy")
    assert cutouts == []
    assert chunks_in(logged_in.log)


def with_body(change):
    return lambda answer: standin_app.Response(change(answer.body), media_type=answer.media_type)


def with_headers(**headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda answer: standin_app.Response(answer.body, headers=named)


@pytest.mark.parametrize(
    "answer",
    [
        with_body(lambda body: body[:-1]),
        with_body(lambda body: body[:0]),
        with_body(lambda body: body + b"\0"),
        with_body(lambda body: body * 40),
        with_headers(content_type="text/html"),
        with_headers(content_type="text/plain"),
        with_headers(content_encoding="gzip"),
        with_headers(missing_buckets="[0]"),
        with_headers(missing_buckets="nonsense"),
        with_headers(missing_buckets=""),
        lambda answer: standin_app.Response(answer.body, status_code=503),
        lambda answer: standin_app.Response(answer.body, status_code=206 + 94),
    ],
)
def test_answers_that_are_not_the_box_are_not_believed(logged_in, remote, stored, cutouts, tmp_path, answer):
    def lie(true):
        return answer(standin_app.Response(b"\7" * len(true.body), media_type=true.media_type))

    cutouts.answer = lie
    assert np.array_equal(copied(remote, tmp_path / "copy"), expected(stored))
    assert len(chunks_in(logged_in.log)) == 18


def test_a_server_without_the_route_is_soon_asked_no_more(logged_in, remote, stored, cutouts):
    def refuse(_):
        raise Refusal(404, "no such route")

    cutouts.answer = refuse
    location = remote._place.location(remote._properties, wk.Mag(1), remote._entry_of(wk.Mag(1)))
    mag = wk._core.Mag.open(location)
    assert np.array_equal(mag.read(TOPLEFT, SIZE), expected(stored))
    assert cutouts
    cutouts.clear()
    assert np.array_equal(mag.read(TOPLEFT, SIZE), expected(stored))
    assert cutouts == []


def test_redirects_of_boxes_lead_nowhere(logged_in, remote, stored, cutouts, tmp_path):
    elsewhere = Server()
    cutouts.answer = lambda _: standin_app.Response(status_code=302, headers={"location": f"{elsewhere.url}/box"})
    assert np.array_equal(copied(remote, tmp_path / "copy"), expected(stored))
    elsewhere.close()
    assert elsewhere.requests == []
    assert len(chunks_in(logged_in.log)) == 18


@pytest.mark.parametrize(
    "path", ["//elsewhere.example.org/data", "https://elsewhere.example.org/data", "data", "/d?a=b"]
)
def test_a_plan_that_names_a_route_elsewhere_is_refused(remote, path):
    location = remote._place.location(remote._properties, wk.Mag(1), remote._entry_of(wk.Mag(1)))
    location["container"]["options"]["cutouts"] = path
    with pytest.raises(wk.errors.WkfastError, match="no address of a data store"):
        wk._core.Mag.open(location)


def test_another_process_cuts_out_by_the_same_plan(annotation, remote, server, cutouts, tmp_path):
    plan = annotation.plan_merge(tmp_path / "merged", fallback=remote).to_json()
    assert TOKEN not in plan
    (tmp_path / "plan.json").write_text(plan)
    cutouts.clear()
    clean = {key: value for key, value in os.environ.items() if not key.startswith("WK_")}
    known = {**clean, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "WK_URL": server.url, "WK_TOKEN": TOKEN}
    command = [sys.executable, "-m", "wkfast", "merge", "run", "plan.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=known, timeout=120)
    assert done.returncode == 0, done.stderr
    assert cutouts


def test_layers_that_an_annotation_paints_in_are_not_cut_out(logged_in, annotation_id):
    dataset = wk.RemoteDataset.open(annotation_id_or_url=annotation_id)

    def options(name):
        layer = dataset.get_layer(name)
        return layer._place.location(layer._properties, wk.Mag(1), layer._entry_of(wk.Mag(1)))["container"]["options"]

    assert "cutouts" not in options("Volume")
    assert options("grey cells")["cutouts"].endswith("/layers/grey%20cells/data")
