"""Annotations to and from a server that keeps what it is given."""

import pytest

pytest.importorskip("uvicorn", reason="the stand-in server needs starlette, uvicorn and python-multipart")
pytest.importorskip("python_multipart", reason="the stand-in server needs python-multipart")

import numpy as np
from tests.client.standin_app import running
from tests.client.standin_state import Layer, State

import wkfast as wk

TOKEN = "a-token-that-nobody-may-see"


@pytest.fixture
def server():
    state = State()
    state.add_user(TOKEN)
    state.add_dataset("cells", [Layer.of("segmentation", np.ones((32, 32, 32), np.uint32), (0, 0, 0))])
    with running(state) as stand_in:
        yield stand_in


@pytest.fixture(autouse=True)
def no_login_from_outside(monkeypatch, tmp_path):
    for name in ("WK_TOKEN", "WK_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WK_URL", "http://127.0.0.1:9")  # nobody is there
    monkeypatch.chdir(tmp_path)


def skeleton():
    annotation = wk.Annotation("traced", dataset_name="cells", voxel_size=(4, 4, 40))
    tree = annotation.skeleton.add_tree("dendrite")
    tree.add_edge(tree.add_node(position=(1, 2, 3)), tree.add_node(position=(4, 5, 6)))
    return annotation


def test_what_is_uploaded_comes_back(server):
    with wk.webknossos_context(server.url, TOKEN):
        url = skeleton().upload()
        assert url.startswith(server.url + "/annotations/")
        again = wk.Annotation.download(url)
    (tree,) = again.skeleton.flattened_trees()
    assert tree.name == "dendrite"
    assert tree.get_node_positions().tolist() == [[1, 2, 3], [4, 5, 6]]
    assert again.dataset_name == "cells"


def test_an_upload_fills_in_the_organization(server):
    with wk.webknossos_context(server.url, TOKEN):
        annotation = skeleton()
        annotation.upload()
    assert annotation.organization_id is not None


def test_an_upload_without_login_says_how_to(server):
    with wk.webknossos_context(server.url), pytest.raises(RuntimeError, match="log in first"):
        skeleton().upload()


def test_a_download_lives_as_long_as_its_annotation(server):
    with wk.webknossos_context(server.url, TOKEN):
        annotation, context = wk.Annotation.download(skeleton().upload(), _return_context=True)
    folder = annotation._downloaded.folder.path
    assert folder.is_dir()
    with context:
        assert wk.Annotation.download(annotation.annotation_id).name == annotation.name
    del annotation
    assert not folder.exists()


def test_the_old_type_parameter_warns(server):
    with wk.webknossos_context(server.url, TOKEN):
        url = skeleton().upload()
        with pytest.warns(DeprecationWarning, match="annotation_type"):
            wk.Annotation.download(url, wk.AnnotationType.EXPLORATIONAL)


def test_a_url_in_the_place_of_the_type_names_the_server(server):
    with wk.webknossos_context(server.url, TOKEN):
        identity = wk.Annotation.id_from_url(skeleton().upload())
        assert wk.Annotation.download(identity, server.url).name == wk.Annotation.download(identity).name
        assert wk.Annotation.open_as_remote_dataset(identity, server.url).layers.keys() == {"segmentation"}
    with pytest.raises(RuntimeError, match=r"127\.0\.0\.1:9"):
        wk.Annotation.download(identity, "http://127.0.0.1:9")


def test_an_annotation_that_is_not_there_is_named(server):
    with wk.webknossos_context(server.url, TOKEN), pytest.raises(RuntimeError, match="0123456789abcdef01234567"):
        wk.Annotation.download("0123456789abcdef01234567")
