"""Merges over a layer that stays on its server: the same files as over its download, and no token anywhere."""

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from tests.client import standin_app
from tests.client.servers import Server
from tests.client.standin_state import Layer, Refusal
from tests.client.test_standin import PAINTED, annotation_zip
from tests.remote.conftest import TOKEN

import wkfast as wk
from wkfast.errors import MergeError, ObjectStoreError, VolumeDataError, WkfastError
from wkfast.merge.report import PROVENANCE_FILE

FORMATS = ["zarr3", "wkw", "zarr"]


@pytest.fixture
def annotation(tmp_path):
    path = tmp_path / "mine.zip"
    path.write_bytes(annotation_zip(PAINTED))
    return wk.Annotation.load(path)


@pytest.fixture
def remote(logged_in, dataset_id):
    return wk.RemoteDataset.open(dataset_id=dataset_id)


@pytest.fixture
def served(server, monkeypatch):
    """Answers about chunks: a function of layer, mag and key that may refuse, and returns what it was given."""
    answers, usual = [], standin_app.chunk_answer

    def chunk_answer(layer, mag, key):
        for answer in answers:
            answer(layer, mag, key)
        return usual(layer, mag, key)

    monkeypatch.setattr(standin_app, "chunk_answer", chunk_answer)
    return answers


def over_a_download(annotation, remote, folder, data_format="zarr3", **options):
    """The merge over the same layer in a folder."""
    remote.download(path=folder / "datasets" / "cells", layers="segmentation", data_format=wk.DataFormat(data_format))
    annotation.merge_fallback_layer(folder / "expected", folder / "datasets", **options)
    return folder / "expected"


def files_of(target):
    """Every file by its path, what tells of the merge itself left out."""
    paths = [path for path in target.rglob("*") if path.is_file() and path.name != PROVENANCE_FILE]
    return {str(path.relative_to(target)): path.read_bytes() for path in paths if ".wkfast" not in str(path)}


def chunks_of(shard):
    """The encoded chunks of a Zarr shard by their place: in which order they lie there says nothing."""
    count = 16**3
    index = np.frombuffer(shard[-16 * count - 4 : -4], "<u8").reshape(count, 2)
    return {place: shard[at : at + size] for place, (at, size) in enumerate(index.tolist()) if size < 2**63}


def check_same_files(target, expected):
    mine, theirs = files_of(target), files_of(expected)
    assert sorted(mine) == sorted(theirs)
    for name, content in mine.items():
        if name.endswith((".json", ".zarray")):
            told, wanted = json.loads(content), json.loads(theirs[name])
            for one in (told, wanted):
                one.pop("id", None)
            assert told == wanted, name
        elif "/c/" in name:
            assert chunks_of(content) == chunks_of(theirs[name]), name
            assert len(content) == len(theirs[name])
        else:
            assert content == theirs[name], name


@pytest.mark.parametrize("data_format", FORMATS)
def test_a_merge_over_a_streamed_layer_equals_that_over_its_download(annotation, remote, tmp_path, data_format):
    expected = over_a_download(annotation, remote, tmp_path, data_format)
    report = annotation.merge_fallback_layer(tmp_path / "merged", fallback=remote, data_format=data_format, verify=True)
    check_same_files(tmp_path / "merged", expected)
    assert report.verified["chunks"] > 0
    layer = wk.Dataset.open(tmp_path / "merged").get_segmentation_layer("segmentation")
    assert (layer.data_format.value, sorted(map(str, layer.mags))) == (data_format, ["1", "2"])


@pytest.mark.parametrize("options", [{"policy": "nonzero"}, {"mags": "finest"}, {"mapping": {7: 9, 1: 70000}}])
def test_options_of_merges_mean_the_same(annotation, remote, tmp_path, options):
    expected = over_a_download(annotation, remote, tmp_path, **options)
    layer = remote.get_segmentation_layer("segmentation")
    annotation.merge_fallback_layer(tmp_path / "merged", fallback=layer, verify=True, **options)
    mine, theirs = (wk.Dataset.open(path).get_layer("segmentation") for path in (tmp_path / "merged", expected))
    for mag in theirs.mags:
        assert np.array_equal(mine.get_mag(mag).read(), theirs.get_mag(mag).read())


def test_what_the_server_has_not_is_not_in_the_result(annotation, remote, server, tmp_path):
    layer = next(iter(server.state.datasets.values())).layers[0]
    del layer.chunks[1, 1, 1][2, 0, 2]
    layer.chunks[1, 1, 1][1, 1, 2] = np.zeros((32,) * 3, np.uint32)
    layer.chunks[2, 2, 2].clear()
    expected = over_a_download(annotation, remote, tmp_path, mags="finest")
    annotation.merge_fallback_layer(tmp_path / "merged", fallback=remote, mags="finest", verify=True)
    check_same_files(tmp_path / "merged", expected)
    report = annotation.merge_fallback_layer(tmp_path / "all", fallback=remote, verify=True)
    assert len(report.mags) == 2


def test_a_layer_without_any_chunk_makes_no_files(server, remote, tmp_path):
    layer = next(iter(server.state.datasets.values())).layers[0]
    for chunks in layer.chunks.values():
        chunks.clear()
    empty = wk.Annotation("empty", dataset_name="cells", voxel_size=(11.24, 11.24, 28.0))
    empty.add_volume_layer("Volume", fallback_layer="segmentation", dtype=np.uint32)
    with pytest.warns(UserWarning, match="holds no voxels"):
        empty.merge_fallback_layer(tmp_path / "merged", fallback=remote, verify=True)
    assert not [name for name in files_of(tmp_path / "merged") if "/c/" in name]
    assert not wk.Dataset.open(tmp_path / "merged").get_layer("segmentation").get_mag(1).read().any()


def test_the_annotation_may_name_another_layer_or_none(annotation, remote, tmp_path):
    layer = remote.get_segmentation_layer("segmentation")
    lone = wk.Annotation("lone", dataset_name="elsewhere", voxel_size=(11.24, 11.24, 28.0))
    lone.add_volume_layer("Volume", dtype=np.uint32)
    with pytest.warns(UserWarning, match="holds no voxels"):
        lone.merge_fallback_layer(tmp_path / "merged", fallback=layer)
    copied = wk.Dataset.open(tmp_path / "merged").get_layer("segmentation").get_mag(1)
    assert np.array_equal(copied.read(), layer.get_mag(1).read())


def test_a_server_that_fails_leaves_a_target_that_the_same_call_completes(annotation, remote, served, tmp_path):
    expected = over_a_download(annotation, remote, tmp_path)
    refusing = threading.Event()
    refusing.set()

    def refuse(_layer, mag, _key):
        if refusing.is_set() and mag == (2, 2, 2):
            raise Refusal(400, f"no chunks today, {TOKEN}")

    served.append(refuse)
    with pytest.raises(ObjectStoreError, match=r"no chunks today.*; the same call goes on where") as raised:
        annotation.merge_fallback_layer(tmp_path / "merged", fallback=remote)
    assert "/segmentation/2/0." in str(raised.value)
    assert TOKEN not in str(raised.value)
    assert not (tmp_path / "merged" / "datasource-properties.json").exists()
    assert not [
        path for path in (tmp_path / "merged").rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()
    ]
    refusing.clear()
    asked = []
    served.append(lambda _layer, mag, key: asked.append((mag, key)))
    annotation.merge_fallback_layer(tmp_path / "merged", fallback=remote)
    check_same_files(tmp_path / "merged", expected)
    assert {mag for mag, _ in asked} == {(2, 2, 2)}, "what was done was done"


def test_a_server_in_trouble_is_asked_again(annotation, remote, served, tmp_path):
    expected = over_a_download(annotation, remote, tmp_path)
    seen = set()

    def stumble(_layer, mag, key):
        if (mag, key) not in seen:
            seen.add((mag, key))
            raise Refusal(503, "in a moment")

    served.append(stumble)
    annotation.merge_fallback_layer(tmp_path / "merged", fallback=remote)
    assert len(seen) > 4
    check_same_files(tmp_path / "merged", expected)


def test_a_404_that_is_no_absence_is_an_error(annotation, remote, served, tmp_path):
    def hide(_layer, _mag, _key):
        raise Refusal(404, "Dataset could not be found")

    served.append(hide)
    with pytest.raises(ObjectStoreError, match="could not be found"):
        annotation.merge_fallback_layer(tmp_path / "merged", fallback=remote)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"dtype": "<u8"}, "type uint64"),
        ({"dtype": "<f4"}, "type float32"),
        ({"dtype": "|S4"}, "S4"),
        ({"shape": [3, 96, 64, 96], "chunks": [3, 32, 32, 32]}, "3 channels"),
        ({"compressor": {"id": "zstd", "level": 3}}, "uncompressed"),
        ({"fill_value": 5}, "0 where nothing is stored"),
        ({"chunks": [1, 2**20, 2**20, 2**20]}, "chunk"),
        ({"shape": [1, 2**70, 1, 1]}, "metadata"),
    ],
)
def test_a_header_that_lies_is_refused_before_anything_is_written(
    annotation, remote, tmp_path, monkeypatch, change, expected
):
    usual = standin_app.array_header
    monkeypatch.setattr(standin_app, "array_header", lambda layer, mag: {**usual(layer, mag), **change})
    with pytest.raises(VolumeDataError, match=expected):
        annotation.merge_fallback_layer(tmp_path / "merged", fallback=remote)
    assert not (tmp_path / "merged").exists()


def test_a_chunk_that_is_cut_off_is_named(annotation, remote, tmp_path, monkeypatch):
    usual = standin_app.chunk_answer

    def cut(layer, mag, key):
        answer = usual(layer, mag, key)
        return type(answer)(answer.body[:-4], media_type=answer.media_type)

    monkeypatch.setattr(standin_app, "chunk_answer", cut)
    with pytest.raises(VolumeDataError, match=r"segmentation/.*131068 bytes came, a chunk has 131072"):
        annotation.merge_fallback_layer(tmp_path / "merged", fallback=remote)


def test_what_is_given_has_to_be_one_of_both(annotation, remote, tmp_path):
    with pytest.raises(MergeError, match="either dataset_directory="):
        annotation.merge_fallback_layer(tmp_path / "merged")
    with pytest.raises(MergeError, match="either dataset_directory="):
        annotation.merge_fallback_layer(tmp_path / "merged", tmp_path, fallback=remote)
    with pytest.raises(MergeError, match="expected a dataset or a segmentation layer"):
        annotation.merge_fallback_layer(tmp_path / "merged", fallback="cells")
    with pytest.raises(MergeError, match="data_format is 'tiff'"):
        annotation.merge_fallback_layer(tmp_path / "merged", fallback=remote, data_format="tiff")
    local = remote.download(path=tmp_path / "cells", layers="segmentation")
    with pytest.raises(MergeError, match="others give the result their own"):
        annotation.merge_fallback_layer(tmp_path / "merged", fallback=local, data_format="wkw")
    report = annotation.merge_fallback_layer(tmp_path / "merged", fallback=local)
    assert report.layer_name == "segmentation"


# -- tokens ------------------------------------------------------------------------------------------------------------


def environment(**values):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("WK_")}
    return {**clean, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **values}


def wkfast(folder, *arguments, code=0, **values):
    command = [sys.executable, "-m", "wkfast", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment(**values), timeout=120)
    assert TOKEN not in done.stdout + done.stderr
    assert done.returncode == code, done.stderr
    return done


def test_plans_and_pickles_hold_no_token(annotation, remote, tmp_path):
    job = annotation.plan_merge(tmp_path / "merged", fallback=remote)
    assert TOKEN not in job.to_json()
    assert "held:" not in job.to_json()
    layer = remote.get_segmentation_layer("segmentation")
    location = layer._place.location(layer._properties, wk.Mag(1), layer._entry_of(wk.Mag(1)))
    assert TOKEN not in repr(location)
    assert TOKEN.encode() not in pickle.dumps((location, layer))


def test_a_plan_is_run_by_another_process_with_the_token_of_its_environment(annotation, server, dataset_id, tmp_path):
    known = {"WK_URL": server.url, "WK_TOKEN": TOKEN}
    page = f"{server.url}/datasets/cells-{dataset_id}"
    wkfast(tmp_path, "merge", "plan", "plan.json", "merged", "mine.zip", page, **known)
    assert TOKEN not in (tmp_path / "plan.json").read_text()
    done = wkfast(tmp_path, "merge", "run", "plan.json", code=2, WK_URL=server.url)
    assert "set WK_TOKEN" in done.stderr
    done = wkfast(tmp_path, "merge", "run", "plan.json", code=2, WK_TOKEN=TOKEN)
    assert "set WK_TOKEN" in done.stderr, "the token is for another server"
    wkfast(tmp_path, "merge", "run", "plan.json", **known)
    wkfast(tmp_path, "merge", "commit", "plan.json", **known)
    assert wk.Dataset.open(tmp_path / "merged").get_layer("segmentation").get_mag(1).read().any()


def test_a_plan_sends_the_token_to_no_store_that_the_server_does_not_name(annotation, remote, server, tmp_path):
    with_store, thief = annotation.plan_merge(tmp_path / "merged", fallback=remote).to_json(), Server()
    data = server.url.replace("http://", "webknossos+http://")
    (tmp_path / "plan.json").write_text(with_store.replace(data, thief.url.replace("http://", "webknossos+http://")))
    done = wkfast(tmp_path, "merge", "run", "plan.json", code=2, WK_URL=server.url, WK_TOKEN=TOKEN)
    thief.close()
    assert "does not name it as one of its data stores" in done.stderr
    assert thief.requests == []


def test_redirects_elsewhere_go_without_the_token(annotation, remote, server, tmp_path, monkeypatch):
    elsewhere, usual = Server(), standin_app.streamed

    def reply(request, wire):
        wire.reply(404, b'{"messages": [{"error": "no data at this place"}]}')

    elsewhere.fallback = reply

    def streamed(request, source, layers):
        path = request.path_params["path"]
        if path.split("/")[-1].startswith("0."):
            return standin_app.Response(status_code=302, headers={"location": f"{elsewhere.url}/{path}"})
        return usual(request, source, layers)

    monkeypatch.setattr(standin_app, "streamed", streamed)
    annotation.merge_fallback_layer(tmp_path / "merged", fallback=remote, mags="finest")
    elsewhere.close()
    assert len(elsewhere.requests) == 4
    assert not [request for request in elsewhere.requests if "x-auth-token" in request.headers]


def redirecting(monkeypatch, location):
    """Have chunks redirected to `location` of the server's address and the chunk's name; what then is asked with."""
    asked, usual = [], standin_app.streamed

    def streamed(request, source, layers):
        path = request.path_params["path"]
        if path.split("/")[-1].startswith("0.") and "moved" not in request.query_params:
            host, name = request.headers["host"], path.split("/")[-1]
            there = location.format(host=host, path=request.url.path, name=name)
            return standin_app.Response(status_code=307, headers={"location": there})
        if "moved" in request.query_params:
            asked.append(request.headers.get("x-auth-token"))
        return usual(request, source, layers)

    monkeypatch.setattr(standin_app, "streamed", streamed)
    return asked


@pytest.mark.parametrize(
    "location",
    ["{name}?moved=1", "./{name}?moved=1", "{path}?moved=1", "//{host}{path}?moved=1", "HTTP://{host}{path}?moved=1"],
)
def test_redirects_may_be_told_in_short(annotation, remote, tmp_path, monkeypatch, location):
    expected = over_a_download(annotation, remote, tmp_path)
    asked = redirecting(monkeypatch, location)
    annotation.merge_fallback_layer(tmp_path / "merged", fallback=remote)
    check_same_files(tmp_path / "merged", expected)
    assert asked
    assert set(asked) == {TOKEN}


@pytest.mark.parametrize("location", ["ftp://{host}{path}", "http://me:hush@{host}{path}", "file:///etc/passwd"])
def test_redirects_to_something_strange_are_not_followed(annotation, remote, tmp_path, monkeypatch, location):
    asked = redirecting(monkeypatch, location + "?moved=hush")
    with pytest.raises(ObjectStoreError, match=r"redirected to .*, which is not followed") as caught:
        annotation.merge_fallback_layer(tmp_path / "merged", fallback=remote)
    assert "hush" not in str(caught.value)
    assert asked == []


def test_a_sharing_token_is_enough(annotation, server, dataset_id, tmp_path):
    token = server.state.datasets[dataset_id].sharing_token
    with wk.webknossos_context(server.url, None):
        remote = wk.RemoteDataset.open(dataset_id=dataset_id, sharing_token=token)
        job = annotation.plan_merge(tmp_path / "merged", fallback=remote)
        assert token not in job.to_json()
        annotation.merge_fallback_layer(tmp_path / "merged", fallback=remote)
    assert (tmp_path / "merged" / "datasource-properties.json").exists()


def test_workers_of_an_executor_take_the_token_of_their_environment(annotation, remote, server, tmp_path, monkeypatch):
    expected = over_a_download(annotation, remote, tmp_path)
    monkeypatch.setenv("WK_URL", server.url)
    monkeypatch.setenv("WK_TOKEN", TOKEN)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        annotation.merge_fallback_layer(tmp_path / "merged", executor=executor, fallback=remote)
    check_same_files(tmp_path / "merged", expected)


def test_workers_without_a_token_say_where_they_take_it_from(annotation, remote, server, tmp_path, monkeypatch):
    monkeypatch.setenv("WK_URL", server.url)
    monkeypatch.delenv("WK_TOKEN", raising=False)
    told = "No token was sent: this process got none with its work.* set WK_TOKEN in its environment"
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        with pytest.raises(ObjectStoreError, match=told) as counted:
            remote.get_layer("segmentation").segment_statistics(executor=executor)
        assert "goes on" not in str(counted.value)
        with pytest.raises(ObjectStoreError, match=f"{told}.*; the same call goes on where this one ended"):
            annotation.merge_fallback_layer(tmp_path / "merged", executor=executor, fallback=remote)


def test_ctrl_c_ends_a_merge_that_waits_for_a_silent_server(annotation, server, dataset_id, tmp_path, monkeypatch):
    asked = threading.Event()

    async def silent(_request):
        asked.set()
        await standin_app.asyncio.sleep(60)

    usual = standin_app.StandIn.dataset_stream

    async def dataset_stream(self, request):
        is_chunk = request.path_params["path"].split("/")[-1].startswith("0.")
        return await (silent(request) if is_chunk else usual(self, request))

    state = server.state
    monkeypatch.setattr(standin_app.StandIn, "dataset_stream", dataset_stream)
    with standin_app.running(state) as slow:
        page = f"{slow.url}/datasets/cells-{dataset_id}"
        command = [sys.executable, "-m", "wkfast", "merge-fallback", "merged", "mine.zip", page]
        known = environment(WK_URL=slow.url, WK_TOKEN=TOKEN)
        with subprocess.Popen(command, cwd=tmp_path, env=known, stderr=subprocess.PIPE, text=True) as child:
            assert asked.wait(60)
            child.send_signal(signal.SIGINT)
            stderr = child.communicate(timeout=20)[1]
    assert (child.returncode, stderr.strip()) == (130, "interrupted")


# -- other calls -------------------------------------------------------------------------------------------------------


def test_a_merged_layer_is_read_over_a_streamed_one(annotation, remote, tmp_path):
    annotation.merge_fallback_layer(tmp_path / "merged", fallback=remote)
    written = wk.Dataset.open(tmp_path / "merged").get_layer("segmentation")
    layer = annotation.merged_layer(fallback=remote)
    for mag in written.mags:
        assert np.array_equal(layer.get_mag(mag).read(), written.get_mag(mag).read())
    points = [(40, 8, 70), (70, 40, 70), (33, 1, 65)]
    assert np.array_equal(layer.get_mag(1).values_at(points), written.get_mag(1).values_at(points))


def test_streamed_layers_are_copied_counted_and_downsampled_like_their_downloads(remote, tmp_path):
    streamed = remote.get_segmentation_layer("segmentation")
    local = remote.download(path=tmp_path / "cells", layers="segmentation").get_segmentation_layer("segmentation")
    here = wk.Dataset(tmp_path / "here", voxel_size=(11.24, 11.24, 28.0))
    copy = here.add_layer_as_copy(streamed)
    assert (str(copy.data_format), copy.get_mag(1).info.compression_mode) == ("zarr3", True)
    as_wkw = here.add_layer_as_copy(streamed, "as_wkw", data_format="wkw").get_mag(1)
    assert as_wkw.info.compression_mode
    assert np.array_equal(as_wkw.read(), local.get_mag(1).read())
    for mag in local.mags:
        assert np.array_equal(copy.get_mag(mag).read(), local.get_mag(mag).read())
    one = here.add_layer_like(streamed, "one")
    one.add_mag_as_copy(streamed.get_mag(1))
    one.downsample(coarsest_mag=4)
    other = here.add_layer_like(local, "other")
    other.add_mag_as_copy(local.get_mag(1))
    other.downsample(coarsest_mag=4)
    assert sorted(one.mags) == sorted(other.mags)
    assert len(one.mags) == 3
    for mag in one.mags:
        assert np.array_equal(one.get_mag(mag).read(), other.get_mag(mag).read())
    assert np.array_equal(streamed.get_mag(1).values_at([(40, 8, 70)]), local.get_mag(1).values_at([(40, 8, 70)]))
    mine, theirs = streamed.segment_statistics(), local.segment_statistics()
    assert sorted(mine) == sorted(theirs)
    assert all(np.array_equal(mine[key], theirs[key]) for key in mine)
    streamed.get_mag(1).rechunk(target_path=tmp_path / "rechunked", chunk_shape=(16, 16, 16))
    rechunked = wk.Dataset.open(tmp_path / "rechunked").get_layer("segmentation").get_mag(1)
    assert np.array_equal(rechunked.read(), local.get_mag(1).read())
    assert rechunked.info.chunk_shape.to_tuple() == (16, 16, 16)


def test_streamed_mags_are_mapped_into_other_layers_and_lie_over_none(remote, tmp_path):
    streamed = remote.get_segmentation_layer("segmentation")
    here = wk.Dataset(tmp_path / "here", voxel_size=(11.24, 11.24, 28.0))
    layer = here.add_layer_like(streamed, "doubled")
    streamed.get_mag(1).map_chunks(double, layer.add_mag(1))
    assert np.array_equal(layer.get_mag(1).read(), streamed.get_mag(1).read() * 2)
    with pytest.raises(VolumeDataError, match="it can lie below others, not over them"):
        layer.get_mag(1).merge_with_view(streamed.get_mag(1))
    assert np.array_equal(layer.get_mag(1).read(), streamed.get_mag(1).read() * 2)
    relabeled = streamed.relabel({1: 5, 2: 5}, "relabeled", dataset=here).get_mag(1).read()
    there = streamed.get_mag(1).read()
    assert np.array_equal(relabeled, np.where(np.isin(there, [1, 2]), 5, there))
    copy = remote.copy_dataset(tmp_path / "copy", layers_to_ignore=["grey cells"])
    assert type(copy) is wk.Dataset
    assert np.array_equal(copy.get_layer("segmentation").get_mag(2).read(), streamed.get_mag(2).read())
    with pytest.raises(WkfastError, match="has no folder"):
        here.add_layer_as_ref(streamed)
    for change in (streamed.downsample, streamed.get_mag(1).compress, lambda: streamed.delete_mag(1)):
        with pytest.raises(WkfastError, match="read-only"):
            change()


def with_time(monkeypatch, moments=2):
    """Has the stand-in stream layers with an axis t: voxels of a moment are those of the first, and as much more."""
    header, chunk, described = standin_app.array_header, standin_app.chunk_answer, Layer.described
    axes = {"c": 0, "t": 1, "x": 2, "y": 3, "z": 4}

    def array_header(layer, mag):
        usual = header(layer, mag)
        return {**usual, "shape": [1, moments, *usual["shape"][1:]], "chunks": [1, 1, *usual["chunks"][1:]]}

    def chunk_answer(layer, mag, key):
        c, t, x, y, z = key.split(".")
        answer = chunk(layer, mag, f"{c}.{x}.{y}.{z}")
        voxels = np.frombuffer(answer.body, layer.dtype) + np.array(int(t), layer.dtype)
        return type(answer)(voxels.tobytes(), media_type=answer.media_type)

    def with_axis(self, *arguments):
        usual = described(self, *arguments)
        mags = [{**mag, "axisOrder": axes} for mag in usual["mags"]]
        return {**usual, "mags": mags, "additionalAxes": [{"name": "t", "index": 1, "bounds": [0, moments]}]}

    monkeypatch.setattr(standin_app, "array_header", array_header)
    monkeypatch.setattr(standin_app, "chunk_answer", chunk_answer)
    monkeypatch.setattr(Layer, "described", with_axis)


def test_additional_axes_are_read_and_copied(logged_in, dataset_id, fallback, tmp_path, monkeypatch):
    with_time(monkeypatch)
    streamed = wk.RemoteDataset.open(dataset_id=dataset_id).get_segmentation_layer("segmentation")
    mag = streamed.get_mag(1)
    voxels = mag.read()
    there = fallback[32:96, :64, 64:96]
    assert voxels.shape == (1, 2, 64, 64, 32)
    assert np.array_equal(voxels[0, 0], there)
    assert np.array_equal(voxels[0, 1], there + 1)
    assert mag.url.endswith("/segmentation/1")
    lone = wk.Annotation("lone", dataset_name="elsewhere", voxel_size=(11.24, 11.24, 28.0))
    lone.add_volume_layer("Volume", dtype=np.uint32)
    with pytest.warns(UserWarning, match="holds no voxels"):
        lone.merge_fallback_layer(tmp_path / "merged", fallback=streamed, verify=True)
    copied = wk.Dataset.open(tmp_path / "merged").get_layer("segmentation").get_mag(1)
    assert np.array_equal(copied.read(), voxels)


def double(chunk):
    """What ``map_chunks`` is given: of a module, so that workers find it."""
    return (chunk * 2).astype(chunk.dtype)
