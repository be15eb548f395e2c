"""The README's commands work as they stand."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import wkfast as wk
from tests.inputs import demo_input

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands(prefix: str) -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines() if line.startswith(prefix)]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    demo_input(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_first_commands_are_the_whole_set_up():
    assert blocks("sh")[0].split("\n") == ["make demo", "make test", ""]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("command", commands("make "))
def test_make_targets_of_the_readme_exist(command):
    dry_run = subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert dry_run.returncode == 0, dry_run.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_alone_lists_every_task():
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for task in ("setup", "demo", "test", "lint", "bench", "fuzz", "docs", "clean"):
        assert f"make {task} " in listed


@pytest.mark.parametrize("command", commands("wkfast "))
def test_shell_commands_of_the_readme_run(command, workplace):
    done = subprocess.run(
        [sys.executable, "-m", "wkfast", *command.split()[1:]], cwd=workplace, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_python_code_of_the_readme_runs(workplace, capsys):
    for code in blocks("python"):  # each is a program of its own
        names = {}
        exec(compile(code, "README.md", "exec"), names)
    (shown,) = blocks("text")
    assert capsys.readouterr().out == shown
    corrected = names["wk"].Annotation.load("corrected.zip").get_volume_layer().as_layer().get_finest_mag()
    assert corrected.read(absolute_offset=(64, 64, 32), size=(32, 32, 32)).min() == 77


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_batch_script_merges_and_goes_back_into_the_queue_where_that_helps(workplace):
    (script,) = blocks("sbatch")
    for name, line in {
        "srun": 'exec "$@"',
        "wkfast": f'exec "{sys.executable}" -m wkfast "$@"',
        "scontrol": 'echo "$@" > told',
    }.items():
        command = workplace / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(f"#!/bin/sh\n{line}\n")
        command.chmod(0o755)
    variables = {"TARGET": "batch", "ANNOTATION": "annotation.zip", "DATASETS": "datasets", "SLURM_JOB_ID": "7"}
    variables |= {"SLURM_CPUS_PER_TASK": "1"}
    environment = {**os.environ, **variables, "PATH": f"{workplace / 'bin'}:{os.environ['PATH']}"}

    def run(text):
        return subprocess.run(["bash", "-c", text], cwd=workplace, env=environment, capture_output=True, text=True)

    annotation = wk.Annotation.load(workplace / "annotation.zip")
    with annotation.plan_merge(workplace / "batch", workplace / "datasets").plan.hold():
        assert run(script.replace("--wait 600", "--wait 0")).returncode == 75
    assert (workplace / "told").read_text() == "requeue 7\n"
    (workplace / "told").unlink()
    done = run(script)
    assert done.returncode == 0, done.stderr
    assert run(script.replace("$DATASETS", "nowhere")).returncode == 2
    assert not (workplace / "told").exists()


def test_every_link_of_the_readme_leads_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
