"""The demo merges, checks and draws, and takes nothing away."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.inputs import demo_input, write_zip

ROOT = Path(__file__).resolve().parents[2]


def demo(*arguments, cwd):
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "examples.demo", *map(str, arguments)],
        cwd=cwd, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True,
    )  # fmt: skip


def shown(*arguments, cwd):
    done = demo(*arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_demo_checks_its_result_and_draws_it(tmp_path):
    text = shown(cwd=tmp_path)
    assert "equal" in text
    assert "DIFFERENT" not in text
    picture = tmp_path / "demo-output" / "merge.png"
    assert str(picture.relative_to(tmp_path)) in text
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_demo_removes_nothing_that_is_not_its_own(tmp_path):
    precious = tmp_path / "out" / "merged" / "precious.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("keep me")
    done = demo("--output", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert "not empty" in done.stderr
    assert precious.read_text() == "keep me"


def test_the_demo_can_be_run_twice(tmp_path):
    for _ in range(2):
        assert "equal" in shown(cwd=tmp_path)


def test_the_demo_passes_where_a_mag_is_recomputed(tmp_path):
    folder = tmp_path / "generated"
    folder.mkdir()
    demo_input(folder)
    with (
        zipfile.ZipFile(folder / "annotation.zip") as outer,
        zipfile.ZipFile(io.BytesIO(outer.read("data_Volume.zip"))) as inner,
    ):
        nml = outer.read("annotation.nml")
        fine = {name: inner.read(name) for name in inner.namelist() if not name.startswith("2/")}
    data = write_zip(tmp_path / "data.zip", fine).read_bytes()
    write_zip(tmp_path / "annotation.zip", {"annotation.nml": nml, "data_Volume.zip": data})
    text = shown("--annotation", "annotation.zip", "--datasets", folder / "datasets", cwd=tmp_path)
    assert "DIFFERENT" not in text


def test_half_of_an_input_is_refused(tmp_path):
    done = demo("--annotation", "annotation.zip", cwd=tmp_path)
    assert done.returncode == 2
    assert "give both" in done.stderr
