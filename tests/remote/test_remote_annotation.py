"""Annotations on a server: streamed, opened remotely, listed, by task."""

import struct
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.test_reference import reference_python
from tests.remote.conftest import TOKEN

import wkfast as wk
from wkfast.annotation.agglomerate_graph import AgglomerateGraphData
from wkfast.client import errors as client_errors

# Serialised by protobuf itself: segments 1, 2, 2**40; edge 1-2; position (-3, 4, 5); affinity 0.5.
GRAPH = bytes.fromhex("08010802088080808080201204080110021a0f08fdffffffffffffffff0110041805250000003f")


@pytest.fixture
def annotation_url(server, annotation_id):
    return f"{server.url}/annotations/{annotation_id}"


def test_an_annotation_opens_as_a_streamed_dataset(logged_in, annotation_url, annotation_id, merged):
    for dataset in (
        wk.Annotation.open_as_remote_dataset(annotation_url),
        wk.Annotation.open_as_remote_dataset(annotation_id, webknossos_url=logged_in.url),
        wk.Annotation.download(annotation_url, skip_volume_data=True).get_remote_annotation_dataset(),
    ):
        assert isinstance(dataset, wk.RemoteDataset)
        assert isinstance(dataset, wk.Dataset)
        voxels = dataset.get_layer("Volume").get_finest_mag().read(absolute_offset=(32, 0, 64), size=(64, 64, 32))
        assert np.array_equal(voxels[0], merged[32:, :, 64:])
    with pytest.warns(DeprecationWarning, match="annotation_type"):
        wk.Annotation.open_as_remote_dataset(annotation_id, wk.AnnotationType.EXPLORATIONAL)


def test_opening_an_annotation_as_a_dataset_downloads_nothing(logged_in, annotation_url):
    wk.Annotation.open_as_remote_dataset(annotation_url)
    assert not any("download" in line for line in logged_in.log)


def test_the_base_dataset_is_found_by_id_name_and_sharing_token(logged_in, annotation_url, dataset_id, fallback):
    annotation = wk.Annotation.download(annotation_url, skip_volume_data=True)
    assert annotation.dataset_id == dataset_id
    base = annotation.get_remote_base_dataset()
    assert (base.dataset_id, base.annotation_id, sorted(base.layers)) == (
        dataset_id, None, ["grey cells", "segmentation"])  # fmt: skip
    assert np.array_equal(base.get_layer("segmentation").get_mag(1).read()[0], fallback[32:, :, 64:])
    by_name = wk.Annotation("a", dataset_name="cells", voxel_size=(1, 1, 1))
    assert by_name.get_remote_base_dataset().dataset_id == dataset_id
    token = logged_in.state.datasets[dataset_id].sharing_token
    with wk.webknossos_context(logged_in.url):
        shared = annotation.get_remote_base_dataset(sharing_token=token, webknossos_url=logged_in.url)
    assert shared.name == "cells"


def test_an_annotation_that_is_on_no_server_has_no_streamed_dataset():
    annotation = wk.Annotation("a", dataset_name="cells", voxel_size=(1, 1, 1))
    with pytest.raises(ValueError, match="no annotation_id"):
        annotation.get_remote_annotation_dataset()


def test_an_annotation_downloaded_elsewhere_is_streamed_from_there_without_token(server, annotation_url):
    with wk.webknossos_context(server.url, TOKEN):
        annotation = wk.Annotation.download(annotation_url, skip_volume_data=True)
    server.state.annotations[annotation.annotation_id].visibility = "Public"
    elsewhere = wk.webknossos_context("http://127.0.0.1:9", "another-servers-token")
    with elsewhere, pytest.warns(UserWarning, match="another server"):
        dataset = annotation.get_remote_annotation_dataset()
    assert "Volume" in dataset.layers


def test_a_remote_annotation_reads_and_sets_its_name_and_description_there(logged_in, annotation_url, annotation_id):
    stored = logged_in.state.annotations[annotation_id]
    remote = wk.Annotation.open_remote(annotation_url)
    assert isinstance(remote, wk.RemoteAnnotation)
    assert isinstance(remote, wk.Annotation)
    assert (remote.url, remote.name, remote.description) == (annotation_url, "mine", "")
    assert repr(remote) == f"RemoteAnnotation({annotation_url!r})"
    assert (remote.dataset_name, remote.annotation_id) == ("cells", annotation_id)
    assert list(remote.get_volume_layer_names()) == ["Volume"]
    remote.name, remote.description = "renamed", "done"
    assert (stored.name, stored.description) == ("renamed", "done")
    stored.name = "renamed by somebody else"
    assert remote.name == "renamed by somebody else"
    remote.description = None
    assert stored.description == ""
    assert remote.get_remote_annotation_dataset().annotation_id == annotation_id


def test_a_remote_annotation_is_not_saved(logged_in, annotation_url, tmp_path):
    remote = wk.Annotation.open_remote(annotation_url)
    for kind in (NotImplementedError, AssertionError):
        with pytest.raises(kind, match=r"Annotation\.download"):
            remote.save(tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_what_may_not_be_changed_is_not(server, annotation_url, annotation_id):
    server.state.annotations[annotation_id].visibility = "Public"
    with wk.webknossos_context(server.url):
        remote = wk.Annotation.open_remote(annotation_url)
        with pytest.raises(client_errors.PermissionDeniedError, match="Ada Example"):
            remote.name = "mine now"
    assert server.state.annotations[annotation_id].name == "mine"


def test_a_mesh_is_written_complete_under_the_name_of_layer_and_segment(logged_in, annotation_url, tmp_path):
    remote = wk.Annotation.open_remote(annotation_url)
    path = remote.download_mesh(5, tmp_path / "meshes", "tracing-1", mesh_file_name="meshes")
    assert path == tmp_path / "meshes" / "tracing-1_5.stl"
    assert path.read_bytes() == b"mesh of 5 in tracing-1"
    again = remote.download_mesh(6, tmp_path, mag=1, seed_position=(1, 2, 3), token=TOKEN)
    assert again.read_bytes().startswith(b"mesh of 6 in ")
    with pytest.raises(AssertionError, match="mag= and seed_position="):
        remote.download_mesh(5, tmp_path)


def test_an_agglomerate_graph_is_told_as_arrays(logged_in, annotation_url):
    logged_in.state.agglomerate_graphs[7] = GRAPH
    remote = wk.Annotation.open_remote(annotation_url)
    graph = remote.get_agglomerate_graph_data(7)
    assert graph.segments.tolist() == [1, 2, 2**40]
    assert graph.edges.tolist() == [[1, 2]]
    assert graph.positions.tolist() == [[-3, 4, 5]]
    assert graph.affinities.tolist() == [0.5]
    with pytest.raises(client_errors.BadRequestError, match="no editable mapping"):
        remote.get_agglomerate_graph_data(8)


def varint(number):
    parts = bytearray()
    number &= (1 << 64) - 1
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


@given(
    segments=st.lists(st.integers(0, 2**64 - 1)),
    edges=st.lists(st.tuples(*[st.integers(0, 2**63 - 1)] * 2)),
    positions=st.lists(st.tuples(*[st.integers(-(2**31), 2**31 - 1)] * 3)),
    affinities=st.lists(st.floats(width=32, allow_nan=False)),
    packed=st.booleans(),
)
def test_any_graph_is_parsed_packed_or_not_and_with_unknown_fields(segments, edges, positions, affinities, packed):
    floats = [struct.pack("<f", value) for value in affinities]
    message = b"".join(map(varint, segments)) if packed else b""
    message = field(1, message) if packed else b"".join(varint(8) + varint(one) for one in segments)
    message += b"".join(field(2, varint(8) + varint(a) + varint(16) + varint(b)) for a, b in edges)
    message += varint(9 << 3) + varint(300) + varint(10 << 3 | 1) + bytes(8)
    message += b"".join(field(3, b"".join(varint(i + 1 << 3) + varint(n) for i, n in enumerate(p))) for p in positions)
    message += field(4, b"".join(floats)) if packed else b"".join(varint(4 << 3 | 5) + one for one in floats)
    graph = AgglomerateGraphData.parse(message)
    assert graph.segments.tolist() == segments
    assert graph.edges.tolist() == [list(edge) for edge in edges]
    assert graph.positions.tolist() == [list(position) for position in positions]
    assert graph.affinities.tolist() == affinities


@given(st.binary(max_size=60))
def test_bytes_that_are_no_graph_are_an_error_of_ours(data):
    try:
        AgglomerateGraphData.parse(data)
    except wk.errors.AnnotationError as error:
        assert "no agglomerate graph" in str(error)  # noqa: PT017 (parsing may succeed too)


def test_the_annotations_of_a_user_are_listed(logged_in, annotation_id):
    (info,) = wk.AnnotationInfo.get_remote_annotations()
    stored = logged_in.state.annotations[annotation_id]
    assert info == wk.AnnotationInfo(
        annotation_id, stored.owner.id, "mine", "", wk.AnnotationType.EXPLORATIONAL, wk.AnnotationState.ACTIVE,
        0.0, stored.modified,
    )  # fmt: skip
    assert info.download_annotation().annotation_id == annotation_id
    assert wk.AnnotationInfo.get_remote_annotations(is_finished=True) == []
    assert wk.AnnotationInfo.get_remote_annotations(is_finished=None, owner="0" * 24) == []
    stored.state = "Finished"
    assert wk.AnnotationInfo.get_remote_annotations() == []
    (finished,) = wk.AnnotationInfo.get_remote_annotations(is_finished=True)
    assert finished.state is wk.AnnotationState.FINISHED
    stored.state = "Unheard-of"
    with pytest.raises(client_errors.UnexpectedAnswerError, match="Unheard-of"):
        wk.AnnotationInfo.get_remote_annotations(is_finished=None)


def test_the_annotations_of_a_task_are_told(logged_in, annotation_id):
    stored = logged_in.state.annotations[annotation_id]
    stored.task_id, stored.typ, stored.state = "7" * 24, "Task", "Finished"
    (info,) = wk.Task.get_by_id("7" * 24).get_annotation_infos()
    assert (info.id, info.type, info.state) == (annotation_id, wk.AnnotationType.TASK, wk.AnnotationState.FINISHED)
    with pytest.raises(ValueError, match="24 hexadecimal digits"):
        wk.Task.get_by_id("seven")


JOBS = """
    import json, sys
    import {package} as wk
    url, token, annotation_id = sys.argv[1:]
    with wk.webknossos_context(url, token):
        remote = wk.Annotation.open_remote(annotation_id)
        dataset = wk.Annotation.open_as_remote_dataset(annotation_id)
        base = wk.Annotation.download(annotation_id, skip_volume_data=True).get_remote_base_dataset()
        box = dict(absolute_offset=(20, 4, 50), size=(70, 40, 60))
        base.description, base.tags, base.metadata = "d", ["t"], {{"k": 3, "l": ["m"]}}
        remote.description = "e"
        try:
            remote.save("x.zip")
        except NotImplementedError as error:
            refused = True
        info = wk.AnnotationInfo.get_remote_annotations()[0]
        volume = dataset.get_layer("Volume").get_mag(1)
        graph = remote.get_agglomerate_graph_data(7)
        print(json.dumps([
            remote.name, remote.description, remote.url, refused, sorted(dataset.layers), dataset.url, dataset.name,
            base.url, base.name, base.description, list(base.tags), dict(base.metadata), base.is_public,
            int(volume.read(**box).sum()), int((volume.read(**box) * 7).max()), str(volume.get_dtype()),
            str(dataset.get_layer("Volume").bounding_box), list(map(str, dataset.get_layer("segmentation").mags)),
            int(base.get_layer("segmentation").get_mag(2).read(**box).sum()),
            info.id, info.owner_id, info.name, info.type.value, info.state.value, info.duration_in_seconds,
            graph.segments.tolist(), graph.edges.tolist(), graph.positions.tolist(), graph.affinities.tolist(),
            remote.download_mesh(5, "meshes", "tracing-1", mesh_file_name="m").name,
        ]))
"""


def test_the_reference_package_says_the_same_of_the_same_server(server, annotation_id, tmp_path):
    """Word for word the same script, run with either package."""
    import json
    import os
    import subprocess
    import sys
    import textwrap

    server.state.agglomerate_graphs[7] = GRAPH
    outcomes = []
    for package, python, path in (
        ("webknossos", reference_python(), None),
        ("wkfast", sys.executable, os.pathsep.join(sys.path)),
    ):
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"PYTHONPATH": path} if path else {}
        script = textwrap.dedent(JOBS.format(package=package))
        command = [python, "-W", "ignore", "-c", script, server.url, TOKEN, annotation_id]
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, env=environment, cwd=tmp_path
        )
        assert result.returncode == 0, result.stderr[-3000:]
        outcomes.append(json.loads(result.stdout.splitlines()[-1]))
    assert outcomes[0] == outcomes[1]


def test_importing_wkfast_loads_nothing_that_speaks_to_servers():
    import subprocess
    import sys

    script = "import sys, wkfast; print([m for m in sys.modules if m.startswith(('httpx', 'wkfast.remote', 'zarr'))])"
    with warnings.catch_warnings():
        result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
