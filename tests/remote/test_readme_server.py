"""The README's examples "From a server" work as they stand, but for the server's name, the token and the id."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
TOKEN = "a-token-that-nobody-may-see"


def block(language, server, annotation_id):
    """The README's first block of a language, its gaps filled."""
    text, *_ = re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    text = text.replace("annotations/…", f"annotations/{annotation_id}").replace("https://webknossos.org", server.url)
    return text.replace('token="…"', f'token="{TOKEN}"').replace("WK_TOKEN=…", f"WK_TOKEN={TOKEN}")


def test_the_program_reads_the_layer_as_the_server_shows_it(server, annotation_id, merged):
    import wkfast as wk

    names = {"wk": wk}
    exec(compile(block("py", server, annotation_id), "README.md", "exec"), names)
    assert names["voxels"].shape == (1, 256, 256, 256)
    expected = np.zeros((256, 256, 256), np.uint32)
    # nothing lies before the layer's box, which begins with the dataset's
    expected[:96, :64, :96] = merged
    assert np.array_equal(names["voxels"][0], expected)
    assert np.array_equal(names["array"][0], merged)


def test_the_commands_bring_the_annotation_here_and_there(server, annotation_id, tmp_path):
    lines = block("console", server, annotation_id).splitlines()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WK_")}
    environment |= {"WK_URL": server.url, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    said = []
    for line in lines:
        assert line.startswith("$ ")
        words = line.removeprefix("$ ").split()
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            environment[name] = value
            continue
        command = [sys.executable, "-m", "wkfast", *words[1:]]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=60)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert len(said) == 2
    assert (tmp_path / "annotation.zip").stat().st_size
    assert said[1].startswith(f"{server.url}/annotations/")
    assert annotation_id not in said[1]
