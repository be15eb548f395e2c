"""A merge in steps on one plan file: tasks run side by side, are killed, run again; the script of the docs works."""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.inputs import demo_input, tree_state, without_coarse_mags

from wkfast.cli import merge_steps
from wkfast.errors import MergeError

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "docs" / "merge-array.sbatch"


def wkfast(*arguments, cwd, check=True, **options):
    done = subprocess.run(
        [sys.executable, "-m", "wkfast", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, **options
    )
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    workplace_in(folder)
    wkfast("merge-fallback", "merged", "annotation.zip", "datasets", cwd=folder)
    return content(folder / "merged")


@pytest.fixture
def workplace(tmp_path):
    workplace_in(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planned")
    workplace_in(folder)
    plan(folder)
    return folder


def workplace_in(folder):
    """The demo's input with mag 1 painted alone: mags 2 and 4 are recomputed, in two further stages."""
    without_coarse_mags(demo_input(folder).annotation)


def content(target):
    files = tree_state(target)
    files.pop("wkfast-merge.json")
    return files


def plan(folder):
    wkfast("merge", "plan", "merge.plan", "merged", "annotation.zip", "datasets", cwd=folder)


def test_tasks_of_an_array_make_what_one_merge_makes(workplace, expected):
    plan(workplace)
    assert not (workplace / "merged").exists()
    for task in (2, 0, 1):
        said = wkfast("merge", "run", "merge.plan", "--task", task, "--tasks", 3, cwd=workplace).stdout
    assert "every file is there: commit" in said
    report = json.loads(wkfast("merge", "commit", "merge.plan", "--json", cwd=workplace).stdout)
    assert report["total"]["recomputed"] > 0
    assert content(workplace / "merged") == expected


def test_tasks_run_side_by_side(workplace, expected):
    plan(workplace)
    command = [sys.executable, "-m", "wkfast", "merge", "run", "merge.plan", "--tasks", "4", "--task"]
    running = [subprocess.Popen([*command, str(task)], cwd=workplace) for task in (0, 1, 2, 3, 2)]
    assert [child.wait() for child in running] == [0] * 5
    wkfast("merge", "commit", "merge.plan", cwd=workplace)
    assert content(workplace / "merged") == expected


def test_every_step_can_be_repeated(workplace, expected):
    for _ in range(2):
        plan(workplace)
        wkfast("merge", "run", "merge.plan", cwd=workplace)
    first = wkfast("merge", "commit", "merge.plan", "--json", cwd=workplace).stdout
    assert wkfast("merge", "commit", "merge.plan", "--json", cwd=workplace).stdout == first
    assert "every file is there" in wkfast("merge", "run", "merge.plan", cwd=workplace).stdout
    assert content(workplace / "merged") == expected


def test_a_commit_waits_for_every_task_or_finishes_them(workplace, expected):
    plan(workplace)
    said = wkfast("merge", "run", "merge.plan", "--task", 1, "--tasks", 2, cwd=workplace).stdout
    assert "left to others: " in said
    early = wkfast("merge", "commit", "merge.plan", cwd=workplace, check=False)
    assert early.returncode == 2
    assert "tasks are not done" in early.stderr
    wkfast("merge", "commit", "merge.plan", "--finish", cwd=workplace)
    assert content(workplace / "merged") == expected


def test_stages_can_be_arrays_of_their_own(workplace, expected):
    plan(workplace)
    late = wkfast("merge", "run", "merge.plan", "--stage", 1, cwd=workplace, check=False)
    assert late.returncode == 2
    assert "must be done first" in late.stderr
    for stage in range(3):
        for task in range(2):
            options = ("--stage", stage, "--task", task, "--tasks", 2)
            wkfast("merge", "run", "merge.plan", *options, cwd=workplace)
    wkfast("merge", "commit", "merge.plan", cwd=workplace)
    assert content(workplace / "merged") == expected


def test_a_plan_may_be_a_link_as_workflows_hand_files_over(workplace, expected):
    plan(workplace)
    stored = next(path for path in workplace.iterdir() if path.suffix == ".plan")
    kept = stored.rename(workplace / "datasets" / stored.name)
    stored.symlink_to(kept)
    wkfast("merge", "run", stored.name, cwd=workplace)
    assert "files" in wkfast("merge", "status", stored.name, cwd=workplace).stdout
    wkfast("merge", "commit", stored.name, cwd=workplace)
    assert content(workplace / "merged") == expected


def test_a_damaged_plan_file_is_one_clear_line(planned):
    whole = (planned / "merge.plan").read_bytes()
    for damaged in (whole[:15], whole[:100], whole[:40] + bytes(40) + whole[80:], whole[:-1]):
        (planned / "damaged.plan").write_bytes(damaged)
        done = wkfast("merge", "run", "damaged.plan", cwd=planned, check=False)
        assert done.returncode == 2
        assert "damaged.plan" in done.stderr
        assert "Traceback" not in done.stderr


def test_plans_of_other_programs_are_json_where_their_name_says_so(workplace, expected):
    inputs = ("merged", "annotation.zip", "datasets")
    wkfast("merge", "plan", "plan.json", *inputs, cwd=workplace)
    assert json.loads((workplace / "plan.json").read_text())["target"] == str(workplace / "merged")
    wkfast("merge", "plan", "plan.json.gz", *inputs, cwd=workplace)
    plain = gzip.decompress((workplace / "plan.json.gz").read_bytes())
    assert json.loads(plain)["target"] == str(workplace / "merged")
    wkfast("merge", "commit", "plan.json.gz", "--finish", cwd=workplace)
    assert content(workplace / "merged") == expected
    whole = (workplace / "plan.json.gz").read_bytes()
    for damaged in (whole[:100], whole[:40] + bytes(40) + whole[80:], whole[:2]):
        (workplace / "plan.json.gz").write_bytes(damaged)
        done = wkfast("merge", "run", "plan.json.gz", cwd=workplace, check=False)
        assert (done.returncode, "not a merge plan" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "nowhere.json"), ["nowhere.json", "wkfast merge plan"]),
        (("run", "annotation.zip"), ["annotation.zip: not a merge plan; `wkfast merge plan` writes one"]),
        (("run", "merge.plan", "--task", "4", "--tasks", "4"), ["no task 4 of 4", "0 to 3"]),
        (("run", "merge.plan", "--stage", "7"), ["no stage 7"]),
    ],
)
def test_mistakes_are_one_clear_line(planned, arguments, words):
    done = wkfast("merge", *arguments, cwd=planned, check=False)
    assert done.returncode == 2
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr


def directives(script):
    return dict(re.findall(r"^#SBATCH --([a-z-]+)=(\S+)", script, re.MULTILINE))


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_array_script_of_the_docs_is_a_script_slurm_accepts():
    assert subprocess.run(["bash", "-n", SCRIPT]).returncode == 0
    lines = SCRIPT.read_text().splitlines()
    assert lines[0] == "#!/bin/bash"
    last = max(number for number, line in enumerate(lines) if line.startswith("#SBATCH"))
    assert all(line.startswith("#") or not line.strip() for line in lines[:last]), "sbatch stops reading at a command"
    given = directives(SCRIPT.read_text())
    assert re.fullmatch(r"0-\d+", given["array"])
    assert re.fullmatch(r"\d+[MG]", given["mem"])
    assert re.fullmatch(r"\d\d:\d\d:\d\d", given["time"])
    assert int(given["cpus-per-task"]) > 0


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_array_script_of_the_docs_merges_though_a_task_is_killed(workplace, expected):
    plan(workplace)
    (workplace / "bin").mkdir()
    command = workplace / "bin" / "wkfast"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m wkfast "$@"\n')
    command.chmod(0o755)
    (workplace / "bin" / "srun").write_text('#!/bin/sh\nexec "$@"\n')
    (workplace / "bin" / "srun").chmod(0o755)
    given = directives(SCRIPT.read_text())
    count = int(given["array"].split("-")[1]) + 1

    def start(task):
        environment = {
            **os.environ,
            "PATH": f"{workplace / 'bin'}:{os.environ['PATH']}",
            "PLAN": "merge.plan",
            "SLURM_ARRAY_TASK_ID": str(task),
            "SLURM_ARRAY_TASK_COUNT": str(count),
            "SLURM_CPUS_PER_TASK": "1",
        }
        return subprocess.Popen(["bash", SCRIPT], cwd=workplace, env=environment, start_new_session=True)

    running = [start(task) for task in range(count)]
    time.sleep(0.03)  # less than Python takes to start, so the task is not done, however quick it is
    os.killpg(running[1].pid, signal.SIGKILL)
    assert running[1].wait() == -signal.SIGKILL
    assert [child.wait() for child in (*running[:1], *running[2:])] == [0] * (count - 1)
    assert start(1).wait() == 0
    wkfast("merge", "commit", "merge.plan", cwd=workplace)
    assert content(workplace / "merged") == expected


@pytest.mark.parametrize("name", ["plan.json", "plan.json.gz"])
def test_what_is_larger_than_any_plan_is_not_read_to_its_end(tmp_path, monkeypatch, name):
    monkeypatch.setattr(merge_steps, "MOST_OF_PLAN", 1000)
    text = b" " * 100_000
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    with pytest.raises(MergeError, match="more than 1,000 bytes"):
        merge_steps.read_plan(tmp_path / name)
