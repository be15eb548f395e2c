"""The stand-in server is faithful: the reference package's client does the same jobs there with the same outcome.

Runs where the reference package is installed, or with WKFAST_REFERENCE_PYTHON naming an interpreter that has it.
"""

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="the stand-in server needs starlette, uvicorn and python-multipart")

from tests.client.conftest import TOKEN
from tests.client.standin_app import running
from tests.client.standin_state import Layer, State
from tests.client.test_standin import FALLBACK, PAINTED, annotation_zip

from wkfast.client import Client, Context, Secret, Session

# what both clients must find: names, counts, and the sum of the merged voxels of the dataset's box
REFERENCE_JOBS = """
    import json, sys
    import webknossos as wk
    url, token, path = sys.argv[1:]
    with wk.webknossos_context(url, token):
        uploaded = wk.Annotation.load(path).upload()
        downloaded = wk.Annotation.download(uploaded)
        remote = wk.Annotation.open_as_remote_dataset(uploaded)
        handle = wk.Annotation.open_remote(uploaded)
        handle.name = "renamed"
        voxels = remote.get_layer("Volume").get_mag(1).read(absolute_offset=(32, 0, 64), size=(64, 64, 32))
        print(json.dumps({
            "name": downloaded.name,
            "volumes": list(downloaded.get_volume_layer_names()),
            "dataset": wk.RemoteDataset.open("cells").name,
            "layers": sorted(remote.layers),
            "sum": int(voxels.sum(dtype="uint64")),
            "listed": [info.name for info in wk.AnnotationInfo.get_remote_annotations()],
        }))
"""


def reference_python() -> str:
    named = os.environ.get("WKFAST_REFERENCE_PYTHON")
    if named:
        return named
    if importlib.util.find_spec("webknossos") is None:
        pytest.skip("the reference package is not installed and WKFAST_REFERENCE_PYTHON is not set")
    return sys.executable


def outcome_of_reference(url: str, path: Path) -> dict:
    command = [reference_python(), "-W", "ignore", "-c", textwrap.dedent(REFERENCE_JOBS), url, TOKEN, str(path)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


def outcome_of_wkfast(url: str, path: Path) -> dict:
    with Session() as session:
        client = Client(Context(url, Secret(TOKEN), 60), session=session)
        uploaded = client.annotations.upload(path).id
        download = client.annotations.download(uploaded, path.with_name("downloaded.zip"))
        info = client.annotations.info(uploaded)
        layers = client.datastore(info.data_store_url).annotation_layers(uploaded)
        names = sorted(layer["name"] for layer in layers.properties()["dataLayers"])
        client.annotations.edit(uploaded, name="renamed")
        chunks = layers.chunks("Volume", "1", [(0, x, y, 2) for x in (1, 2) for y in (0, 1)])
        return {
            "name": download.name.removesuffix(".zip"),
            "volumes": [layer.name for layer in info.layers if layer.typ == "Volume"],
            "dataset": client.datasets.info(client.datasets.id_of("cells")).name,
            "layers": names,
            "sum": sum(int(np.frombuffer(data, "<u4").sum(dtype="uint64")) for _, data in chunks),
            "listed": [record.name for record in client.annotations.readable(owner_id=client.user().id)],
        }


def test_both_clients_do_the_same_jobs_with_the_same_outcome(tmp_path):
    reference_python()
    path = tmp_path / "mine.zip"
    path.write_bytes(annotation_zip(PAINTED))
    outcomes = []
    for jobs in (outcome_of_wkfast, outcome_of_reference):
        state = State()
        state.add_user(TOKEN)
        state.add_dataset("cells", [Layer.of("segmentation", FALLBACK, (32, 0, 64))])
        with running(state) as server:
            outcomes.append(jobs(server.url, path))
    kept = FALLBACK[32:, :32].sum(dtype="uint64") + FALLBACK[:32, 32:].sum(dtype="uint64")
    assert outcomes[0] == outcomes[1]
    assert outcomes[0] == {
        "name": "mine", "volumes": ["Volume"], "dataset": "cells", "layers": ["Volume", "segmentation"],
        "sum": int(kept) + 7 * 32**3, "listed": ["renamed"],
    }  # fmt: skip
