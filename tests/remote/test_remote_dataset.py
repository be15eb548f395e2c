"""Datasets and annotations on a server, read like local ones."""

import inspect
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.client.standin_state import Layer, Refusal

import wkfast as wk
from wkfast.client import Session
from wkfast.client import errors as client_errors
from wkfast.dataset import Dataset, MagView
from wkfast.dataset import Layer as LocalLayer
from wkfast.errors import WkfastError
from wkfast.remote import RemoteDataset, RemoteLayer, RemoteSegmentationLayer


def opened(annotation_id):
    return RemoteDataset.open(annotation_id_or_url=annotation_id)


def test_an_annotation_is_read_as_it_is_shown(logged_in, annotation_id, merged):
    dataset = opened(annotation_id)
    assert sorted(dataset.layers) == ["Volume", "grey cells", "segmentation"]
    layer = dataset.get_segmentation_layer("Volume")
    assert isinstance(layer, RemoteSegmentationLayer)
    assert (layer.category, layer.dtype, layer.largest_segment_id) == ("segmentation", np.uint32, 1000)
    voxels = layer.get_finest_mag().read()
    assert voxels.flags.f_contiguous
    assert voxels.dtype == np.uint32
    assert np.array_equal(voxels[0], merged[32:, :, 64:])


def test_a_dataset_is_read_in_all_mags(logged_in, dataset_id, fallback):
    dataset = RemoteDataset.open(dataset_id=dataset_id)
    layer = dataset.get_layer("segmentation")
    assert [str(mag) for mag in layer.mags] == ["1", "2"]
    coarse = layer.get_mag(2).read(absolute_offset=(32, 0, 64), size=(64, 64, 32))
    assert np.array_equal(coarse[0], fallback[32:, :, 64:][::2, ::2, ::2])
    grey = dataset.get_color_layers()
    assert [type(one) for one in grey] == [RemoteLayer]
    voxels = grey[0].get_mag(1).read(absolute_offset=(32, 0, 64), size=(64, 64, 64))
    assert np.array_equal(voxels[0].ravel(), np.arange(64**3, dtype=np.uint8))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    topleft=st.tuples(st.integers(-40, 110), st.integers(-40, 80), st.integers(20, 110)),
    size=st.tuples(*[st.integers(1, 70)] * 3),
    kind=st.sampled_from(["annotation", "dataset"]),
)
def test_any_box_is_that_part_of_the_whole(logged_in, annotation_id, dataset_id, merged, fallback, topleft, size, kind):
    if kind == "annotation":
        mag, whole = opened(annotation_id).get_layer("Volume").get_mag(1), merged
    else:
        mag, whole = RemoteDataset.open(dataset_id=dataset_id).get_layer("segmentation").get_mag(1), fallback
    padded = np.pad(whole, ((200, 200),) * 3)
    wanted = padded[tuple(slice(200 + t, 200 + t + s) for t, s in zip(topleft, size, strict=True))]
    for _ in range(2):  # once expecting the header, once knowing it
        assert np.array_equal(mag.read(absolute_offset=topleft, size=size)[0], wanted)


@pytest.mark.parametrize("data_format", [None, "zarr", "wkw"])
def test_a_part_of_a_dataset_is_fetched_into_a_folder(logged_in, dataset_id, fallback, tmp_path, data_format):
    source = RemoteDataset.open(dataset_id=dataset_id)
    box = wk.BoundingBox((33, 1, 65), (40, 50, 30))
    wanted = None if data_format is None else wk.DataFormat(data_format)
    copy = source.download(path=tmp_path / "d", bounding_box=box, layers=["segmentation"], data_format=wanted)
    layer = wk.Dataset.open(tmp_path / "d").get_segmentation_layer("segmentation")
    assert (list(copy.layers), copy.name, copy.voxel_size) == (["segmentation"], source.name, source.voxel_size)
    assert str(layer.data_format) == (data_format or "zarr3")
    assert layer.bounding_box == box
    assert layer.largest_segment_id == source.get_segmentation_layer("segmentation").largest_segment_id
    fine, coarse = layer.get_mag(1), layer.get_mag(2)
    assert np.array_equal(fine.read()[0], fallback[33:73, 1:51, 65:95])
    whole = wk.BoundingBox((32, 0, 64), (42, 52, 32))
    assert coarse.bounding_box == whole
    assert np.array_equal(coarse.read()[0], fallback[32:74, :52, 64:96][::2, ::2, ::2])


def test_what_is_fetched_into_a_folder_can_be_chosen(logged_in, dataset_id, fallback, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = RemoteDataset.open(dataset_id=dataset_id)
    with pytest.raises(ValueError, match="nothing in"):
        source.download(bbox=wk.BoundingBox((9000, 0, 0), (1, 1, 1)))
    assert list(tmp_path.iterdir()) == []
    copy = source.download(layers="segmentation", mags=[2])
    assert copy.path.absolute() == tmp_path / source.name
    assert list(copy.get_layer("segmentation").mags) == [wk.Mag(2)]
    with pytest.warns(UserWarning, match="'grey_cells' here"):
        again = source.download(layers="grey cells", path=copy.path, exist_ok=True)
    assert sorted(again.layers) == ["grey_cells", "segmentation"]
    assert np.array_equal(
        again.get_layer("grey_cells").get_mag(1).read(), source.get_layer("grey cells").get_mag(1).read()
    )


def test_large_boxes_of_a_dataset_come_in_cutouts_and_equal_its_chunks(logged_in, annotation_id, dataset_id):
    layer = RemoteDataset.open(dataset_id=dataset_id).get_layer("grey cells")
    by_cutout = layer.get_mag(1).read()
    assert any(line.endswith("/layers/grey cells/data") for line in logged_in.log)
    logged_in.log.clear()
    by_chunk = layer.get_mag(1).get_zarr_array()[:, 32:96, 0:64, 64:128]
    assert not any(line.endswith("/data") for line in logged_in.log)
    assert np.array_equal(by_cutout, by_chunk)
    # an annotation's own layers know chunks only, the dataset's below it both
    logged_in.log.clear()
    assert np.array_equal(opened(annotation_id).get_layer("grey cells").get_mag(1).read(), by_cutout)
    assert any(line.endswith("/layers/grey cells/data") for line in logged_in.log)


@pytest.mark.parametrize("layer", ["Volume", "grey cells"])
def test_one_by_one_gives_the_same_as_many_at_once(logged_in, annotation_id, monkeypatch, layer):
    mag = opened(annotation_id).get_layer(layer).get_mag(1)
    boxes = [
        ((0, 0, 0), (96, 64, 96)),
        ((33, 1, 65), (40, 60, 31)),
        ((90, 60, 90), (20, 20, 20)),
        ((32, 0, 64), (64,) * 3),
    ]
    at_once = [mag.read(absolute_offset=offset, size=size) for offset, size in boxes]
    monkeypatch.setattr(Session, "is_quick", lambda *_: False)
    for (offset, size), voxels in zip(boxes, at_once, strict=True):
        assert np.array_equal(mag.read(absolute_offset=offset, size=size), voxels)


def test_a_server_in_trouble_during_a_read_is_asked_again(logged_in, annotation_id, merged, monkeypatch):
    original, asked = Layer.chunk, []

    def troubled(*args):
        asked.append(args)
        if len(asked) in (3, 5):
            raise Refusal(503, "busy")
        return original(*args)

    monkeypatch.setattr(Layer, "chunk", troubled)
    mag = opened(annotation_id).get_layer("Volume").get_mag(1)
    assert np.array_equal(mag.read(absolute_offset=(0, 0, 0), size=(96, 64, 96))[0], merged)


def test_a_cutout_with_holes_or_refused_is_read_by_chunks(logged_in, dataset_id, monkeypatch):
    stored = next(iter(logged_in.state.datasets.values())).layers[1]
    wanted = np.arange(64**3, dtype=np.uint8).reshape((64,) * 3)
    del stored.chunks[1, 1, 1][1, 0, 2]
    wanted[:32, :32, :32] = 0
    mag = RemoteDataset.open(dataset_id=dataset_id).get_layer("grey cells").get_mag(1)
    assert np.array_equal(mag.read()[0], wanted)
    assert any("/zarr/" in line and line.endswith("0.1.1.3") for line in logged_in.log)

    def refuse(*_):
        raise Refusal(404, "no such route")

    monkeypatch.setattr(Layer, "cutout", refuse)
    assert np.array_equal(mag.read()[0], wanted)
    logged_in.log.clear()
    mag.read()
    assert not any(line.endswith("/data") for line in logged_in.log)


def test_three_requests_come_before_the_first_chunk_of_a_new_process(logged_in, annotation_id, dataset_id):
    from wkfast.client import close_shared_session

    for open_it, layer in (
        (lambda: opened(annotation_id), "Volume"),
        (lambda: RemoteDataset.open(dataset_id=dataset_id), "segmentation"),
    ):
        close_shared_session()
        logged_in.log.clear()
        open_it().get_layer(layer).get_mag(1).read(absolute_offset=(32, 0, 64), size=(64, 64, 32))
        chunks = [line.rpartition("/")[2][:2] == "0." for line in logged_in.log]
        assert chunks.index(True) <= 3, logged_in.log
        assert any(line.endswith("buildinfo") for line in logged_in.log[:3])


def test_a_header_that_is_not_the_expected_one_is_believed(logged_in, annotation_id, merged, monkeypatch):
    """Chunks of another shape and order: what was fetched on the usual assumption is dropped."""
    from tests.client import standin_app

    def header(layer, mag):
        return {"dtype": "<u4", "fill_value": 0, "zarr_format": 2, "order": "C", "chunks": [1, 64, 16, 32],
                "compressor": None, "filters": None, "shape": [1, 96, 64, 96], "dimension_seperator": "."}  # fmt: skip

    def chunk(layer, mag, key):
        from starlette.responses import Response

        _, x, y, z = map(int, key.split("."))
        part = merged[x * 64 : x * 64 + 64, y * 16 : y * 16 + 16, z * 32 : z * 32 + 32]
        whole = np.zeros((64, 16, 32), "<u4")
        whole[: part.shape[0]] = part
        if not part.size:
            raise Refusal(404, "zarr.chunkNotFound")
        return Response(whole.tobytes(), media_type="application/octet-stream")

    monkeypatch.setattr(standin_app, "array_header", header)
    monkeypatch.setattr(standin_app, "chunk_answer", chunk)
    mag = opened(annotation_id).get_layer("Volume").get_mag(1)
    assert np.array_equal(mag.read()[0], merged[32:, :, 64:])
    assert mag.info.chunk_shape == wk.Vec3Int(64, 16, 32)
    assert np.array_equal(mag.get_zarr_array()[0], merged)


@pytest.mark.parametrize(
    "change",
    [
        {"compressor": {"id": "blosc"}}, {"shape": [96, 64, 96]}, {"dtype": "|O"}, {"fill_value": 7}, {"order": "K"},
        {"shape": [2**40, 96, 64, 96]}, {"shape": [1, 2**60, 64, 96]}, {"shape": [1, 96, 64, 2**64]},
        {"chunks": [1, 2**20, 2**20, 32]}, {"chunks": [1, -32, 32, 32]}, {"shape": [3, 96, 64, 96]},
        *({"dtype": dtype} for dtype in ("<U4", "|S4", "<M8[s]", "<m8[s]", "<c8", "|b1", "<U99999999", "|V8", "<f4",
                                         "<i4", "<u8", "|u1", [["a", "<u4"]], 7, None, "")),
    ],
)  # fmt: skip
def test_a_header_that_cannot_be_right_is_refused(logged_in, annotation_id, monkeypatch, change):
    from tests.client import standin_app

    original = standin_app.array_header
    monkeypatch.setattr(standin_app, "array_header", lambda *args: {**original(*args), **change})
    with pytest.raises(client_errors.UnexpectedAnswerError, match=r"zarray|fill value|the layer has"):
        opened(annotation_id).get_layer("Volume").get_mag(1).read()


@pytest.mark.parametrize("channels", [2**40, -1, "3", [1], 1.5])
def test_a_number_of_channels_that_cannot_be_is_refused(logged_in, annotation_id, monkeypatch, channels):
    original = Layer.described
    monkeypatch.setattr(Layer, "described", lambda *args: {**original(*args), "numChannels": channels})
    with pytest.raises(WkfastError):
        opened(annotation_id).get_layer("Volume").get_mag(1).read()


@pytest.mark.parametrize(
    "change",
    [{"boundingBox": {"topLeft": [0, 0, 2**63 + 5], "width": 9, "height": 9, "depth": 9}}, {"boundingBox": None},
     {"boundingBox": {"topLeft": [0, 0, 0], "width": 2**62, "height": 2**62, "depth": 2**62}}],
)  # fmt: skip
def test_boxes_beyond_all_bounds_are_refused(logged_in, annotation_id, monkeypatch, change):
    original = Layer.described
    monkeypatch.setattr(Layer, "described", lambda *args: {**original(*args), **change})
    with pytest.raises(WkfastError):
        opened(annotation_id).get_layer("Volume").get_mag(1).read()


def test_a_chunk_of_another_size_is_refused(logged_in, annotation_id, monkeypatch):
    from starlette.responses import Response
    from tests.client import standin_app

    monkeypatch.setattr(standin_app, "chunk_answer", lambda *_: Response(b"short", media_type="application/x"))
    with pytest.raises(client_errors.UnexpectedAnswerError, match="5 bytes came, a chunk has 131072"):
        opened(annotation_id).get_layer("Volume").get_mag(1).read()


def test_the_zarr_array_is_read_only_and_knows_missing_chunks(logged_in, annotation_id, merged):
    import zarr

    array = opened(annotation_id).get_layer("Volume").get_mag(1).get_zarr_array()
    assert isinstance(array, zarr.Array)
    assert (array.shape, array.chunks, array.dtype) == ((1, 96, 64, 96), (1, 32, 32, 32), np.uint32)
    assert np.array_equal(array[0, 5:90, 3:60, 60:], merged[5:90, 3:60, 60:])
    with pytest.raises((ValueError, RuntimeError), match="read-only"):
        array[0, 0, 0, 0] = 1
    again = pickle.loads(pickle.dumps(opened(annotation_id).get_layer("Volume").get_mag(1)._source))
    with wk.webknossos_context(logged_in.url, "a-token-that-nobody-may-see"):
        assert again.url == opened(annotation_id).get_layer("Volume").get_mag(1).url


def test_chunks_are_fetched_while_others_are_under_way(logged_in, annotation_id, monkeypatch):
    import zarr

    mag = opened(annotation_id).get_layer("Volume").get_mag(1)
    logged_in.delay = 0.05
    mag.read(absolute_offset=(0, 0, 0), size=(96, 64, 96))
    assert logged_in.most_together >= 16
    logged_in.most_together = 0
    with zarr.config.set({"async.concurrency": 12}):
        _ = mag.get_zarr_array()[:]
    assert logged_in.most_together >= 8


def test_names_urls_and_ids_of_every_form_open_the_dataset(logged_in, dataset_id, annotation_id):
    url = f"{logged_in.url}/datasets/cells-{dataset_id}/view#1,2"
    logged_in.state.short_links["d"] = url
    logged_in.state.short_links["a"] = f"{logged_in.url}/annotations/{annotation_id}#1"
    for text in ("cells", dataset_id, url, f"{logged_in.url}/links/d", f"{logged_in.url}/datasets/Org/cells"):
        dataset = RemoteDataset.open(text)
        assert (dataset.dataset_id, dataset.annotation_id) == (dataset_id, None)
        assert dataset.url == f"{logged_in.url}/datasets/{dataset_id}"
    assert RemoteDataset.open("cells", organization_id="Org").name == "cells"
    for text in (annotation_id, f"{logged_in.url}/annotations/{annotation_id}", f"{logged_in.url}/links/a"):
        dataset = RemoteDataset.open(annotation_id_or_url=text)
        assert (dataset.dataset_id, dataset.annotation_id) == (dataset_id, annotation_id)
        assert dataset.url == f"{logged_in.url}/datasets/{dataset_id}"


def test_arguments_that_name_nothing_or_contradict_each_other_are_refused(logged_in, dataset_id, annotation_id):
    for arguments in (
        {},
        {"dataset_name_or_url": "cells", "dataset_id": dataset_id},
        {"annotation_id_or_url": annotation_id, "sharing_token": "t"},
        {"dataset_name_or_url": f"{logged_in.url}/datasets/{dataset_id}", "webknossos_url": logged_in.url},
    ):
        with pytest.raises(ValueError, match=r"dataset|token|URL"):
            RemoteDataset.open(**arguments)
    with pytest.raises(client_errors.NotFoundError):
        RemoteDataset.open("nothing of that name")


def test_a_sharing_token_opens_what_nobody_else_sees(server, dataset_id):
    with wk.webknossos_context(server.url):
        with pytest.raises(client_errors.NotFoundError):
            RemoteDataset.open(dataset_id=dataset_id)
        token = server.state.datasets[dataset_id].sharing_token
        for dataset in (
            RemoteDataset.open(dataset_id=dataset_id, sharing_token=token),
            RemoteDataset.open(f"{server.url}/datasets/{dataset_id}?token={token}"),
        ):
            assert dataset.get_layer("grey cells").get_mag(1).read().any()
            assert dataset.name == "cells"
            assert token not in repr(dataset) + dataset.url + repr(dataset.layers)


def test_a_public_annotation_is_read_by_anybody_even_without_its_info(server, annotation_id, merged):
    server.state.annotations[annotation_id].visibility = "Public"
    next(iter(server.state.datasets.values())).is_public = True
    with wk.webknossos_context(server.url):
        assert np.array_equal(opened(annotation_id).get_layer("Volume").get_mag(1).read()[0], merged[32:, :, 64:])


def test_a_public_annotation_whose_info_is_closed_is_found_through_its_download(server, annotation_id, merged):
    server.state.annotations[annotation_id].visibility = "Public"
    server.info_needs_login = True
    next(iter(server.state.datasets.values())).is_public = True
    with wk.webknossos_context(server.url):
        dataset = opened(annotation_id)
        assert np.array_equal(dataset.get_layer("Volume").get_mag(1).read()[0], merged[32:, :, 64:])
    assert dataset._place.cutouts(dataset.get_layer("grey cells")._properties, wk.Mag(1)) is None


def test_what_the_server_knows_is_read_and_set_there(logged_in, dataset_id):
    dataset = RemoteDataset.open(dataset_id=dataset_id)
    stored = logged_in.state.datasets[dataset_id]
    dataset.name = "renamed"
    dataset.description = "of a mouse"
    dataset.tags = ["a", "b"]
    dataset.metadata["age"] = 4
    dataset.metadata["species"] = "mouse"
    dataset.metadata["by"] = ["Ada", "Bob"]
    dataset.is_public = True
    assert (stored.name, stored.description, stored.tags, stored.is_public) == (
        "renamed", "of a mouse", ["a", "b"], True)  # fmt: skip
    assert stored.metadata[2] == {"key": "by", "type": "string[]", "value": ["Ada", "Bob"]}
    again = RemoteDataset.open(dataset_id=dataset_id, read_only=True)
    assert (again.name, again.description, again.tags) == ("renamed", "of a mouse", ("a", "b"))
    assert dict(again.metadata) == {"age": 4, "species": "mouse", "by": ["Ada", "Bob"]}
    assert (again.is_public, again.used_storage_bytes, again.sharing_token) == (True, 0, stored.sharing_token)
    del dataset.metadata["age"]
    del dataset.description
    assert list(again.metadata) == ["species", "by"]
    assert again.description is None
    dataset.metadata = {"only": "this"}
    assert dict(again.metadata) == {"only": "this"}
    assert len(again.metadata) == 1
    for change in (
        lambda: setattr(again, "name", "x"),
        lambda: setattr(again, "tags", []),
        lambda: setattr(again, "description", "x"),
        lambda: setattr(again, "metadata", {}),
    ):
        with pytest.raises(wk.errors.ReadOnlyError, match="read_only=True"):
            change()
    with pytest.raises(RuntimeError, match="neither a text, a number nor a list"):
        dataset.metadata["x"] = {"no": 1}


def test_voxels_are_never_written(logged_in, annotation_id):
    dataset = opened(annotation_id)
    layer = dataset.get_layer("Volume")
    mag = layer.get_mag(1)
    with pytest.raises(RuntimeError, match="read-only"):
        mag.write(np.zeros((1, 1, 1), np.uint32))
    for no_folder in (lambda: dataset.path, lambda: mag.path):
        with pytest.raises(wk.errors.DatasetError, match="streamed"):
            no_folder()
    with pytest.raises(wk.errors.ReadOnlyError):
        dataset._change(lambda properties: properties.set_name("x"))


WRITERS = {
    Dataset: {
        "add_layer": ("x", "segmentation"), "add_layer_as_copy": (None,),
        "add_layer_for_existing_files": ("x", "color"),
        "add_layer_like": (None, "x"), "compress": (), "delete_layer": ("Volume",), "downsample": (),
        "get_or_add_layer": ("y", "color"), "write_layer": ("x", "color", np.zeros((1, 1, 1), np.uint8)),
    },
    LocalLayer: {
        "add_mag": (4,), "add_mag_as_copy": (None,), "delete_mag": (1,), "downsample": (), "get_or_add_mag": (4,),
        "redownsample": (), "refresh_largest_segment_id": (),
    },
    MagView: {"write": (np.zeros((1, 1, 1), np.uint32),), "compress": (), "rechunk": (), "merge_with_view": (None,)},
}  # fmt: skip


def test_every_method_that_writes_is_known_and_raises(logged_in, annotation_id):
    dataset = opened(annotation_id)
    layer = dataset.get_layer("Volume")
    targets = {Dataset: dataset, LocalLayer: layer, MagView: layer.get_mag(1)}
    before = dict(logged_in.state.datasets)
    for kind, methods in WRITERS.items():
        for name, arguments in methods.items():
            method = getattr(targets[kind], name, None)
            if method is None:
                continue  # local ones have it not either
            required = [
                p for p in inspect.signature(method).parameters.values()
                if p.kind is p.KEYWORD_ONLY and p.default is p.empty
            ]  # fmt: skip
            with pytest.raises((wk.errors.WkfastError, RuntimeError)):
                method(*arguments, **{p.name: None for p in required})
    assert logged_in.state.datasets == before


def test_a_layer_or_mag_that_is_not_there_is_named(logged_in, annotation_id):
    dataset = opened(annotation_id)
    with pytest.raises(wk.errors.LayerNotFoundError, match="'Volume'"):
        dataset.get_layer("other")
    with pytest.raises(wk.errors.LayerNotFoundError, match="no segmentation"):
        dataset.get_segmentation_layer("grey cells")
    with pytest.raises(wk.errors.MagNotFoundError, match="1, 2"):
        dataset.get_layer("Volume").get_mag(8)


def test_failures_while_reading_name_the_chunk_and_return_nothing(logged_in, annotation_id, monkeypatch):
    def refuse(*_):
        raise Refusal(403, "No read access")

    mag = opened(annotation_id).get_layer("Volume").get_mag(1)
    monkeypatch.setattr(Layer, "chunk", refuse)
    with pytest.raises(client_errors.PermissionDeniedError, match=r"Volume/1/0\.\d\.\d\.\d.*No read access"):
        mag.read()


def test_repr_names_what_it_is(logged_in, annotation_id):
    dataset = opened(annotation_id)
    assert repr(dataset) == f"RemoteDataset('{logged_in.url}/annotations/{annotation_id}')"
    assert "RemoteMagView(name='1'" in repr(dataset.get_layer("Volume").mags)
    assert dataset.voxel_size == (11.24, 11.24, 28.0)
    source = dataset.get_layer("Volume").get_mag(1)._source
    assert len(source.chunks()) == 3 * 2 * 3
    assert (source.dtype, source.channels, source.chunk_shape, source.extra_axes) == ("uint32", 1, (32, 32, 32), [])


def test_labels_at_points_of_a_server_ask_for_every_chunk_once(logged_in, annotation_id, merged, monkeypatch):
    mag = opened(annotation_id).get_layer("Volume").get_mag(1)
    positions = np.random.default_rng(2).integers(-10, 140, (300, 3))
    inside = ((positions >= 0) & (positions < merged.shape)).all(axis=1)
    wanted = [int(merged[tuple(p)]) if there else 0 for p, there in zip(positions, inside, strict=True)]
    read, asked = type(mag._source).read, []
    counted = lambda self, at, *a, **k: asked.append(at) or read(self, at, *a, **k)  # noqa: E731
    monkeypatch.setattr(type(mag._source), "read", counted)
    assert mag.values_at(positions).tolist() == wanted
    assert len(asked) == len(set(asked)) > 3
