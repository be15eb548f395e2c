"""A merge killed 30 times, at any moment, ends as if nobody had touched it; a dead process holds nothing."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from examples.demo.plain_wkw import write_mag
from tests.inputs import tree_state

from wkfast import _core
from wkfast.errors import TargetNotEmptyError

# `make torture` kills more often, and at other moments.
KILLS = int(os.environ.get("WKFAST_KILLS", "30"))
SEED = os.environ.get("WKFAST_HARM_SEED", "11")
SHAPE = (128, 128, 64)
MAGS = (1, 2, 4)

# Forks a child for every line of its input, so that not every one of them imports everything.
NURSERY = """
import json, os, signal, sys
from wkfast import _core

def merge(plan_input, kill_at):
    def progress(done, *_):
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
    plan = _core.MergePlan(plan_input)
    plan.run(threads=2, progress=progress)
    if kill_at == "before commit":
        os.kill(os.getpid(), signal.SIGKILL)
    plan.commit()

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        merge(*json.loads(line))
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.fixture
def plan_input(tmp_path):
    numbers = np.arange(np.prod(SHAPE), dtype=np.uint32).reshape(SHAPE) // 7 % 1000
    for mag in MAGS:
        write_mag(tmp_path / f"fallback/{mag}", numbers[::mag, ::mag, ::mag], blocks_per_file_edge=1)
    for name, label in (("below", 5000), ("above", 6000)):
        write_mag(tmp_path / name, np.full((64, 64, 32), label, np.uint32), blocks_per_file_edge=1)
    return {
        "annotations": [[location(tmp_path / name, 1)] for name in ("below", "above")],
        "fallback": [location(tmp_path / f"fallback/{mag}", mag) for mag in MAGS],
        "fallback_bounding_box": {"topleft": [0, 0, 0], "size": list(SHAPE)},
        "target": str(tmp_path / "target"),
        "target_mags": [{"mag": [mag] * 3, "folder": f"segmentation/{mag}"} for mag in MAGS],
    }


def location(path: Path, mag: int) -> dict:
    return {"mag": [mag] * 3, "format": "wkw", "container": {"kind": "directory", "path": str(path)}, "prefix": ""}


@contextmanager
def nursery():
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.stdin.close()


def start(process: subprocess.Popen, plan_input: dict, kill_at: int | str | None = None) -> int:
    process.stdin.write(json.dumps([plan_input, kill_at]) + "\n")
    process.stdin.flush()
    return int(process.stdout.readline())


def was_killed(process: subprocess.Popen) -> bool:
    """Wait for the child and tell whether it was killed; it must not have failed otherwise."""
    status = int(process.stdout.readline())
    assert status in (0, signal.SIGKILL)
    return status == signal.SIGKILL


def finished(target: Path) -> tuple[dict[str, bytes], dict]:
    """Every file of a finished merge, and what it reports apart from times."""
    files = tree_state(target)
    report = json.loads(files.pop("wkfast-merge.json"))["report"]
    return files, {name: fact for name, fact in report.items() if name != "seconds"}


def test_kills_at_any_moment_leave_no_difference(plan_input, tmp_path):
    target, chance, kills, ends = tmp_path / "target", random.Random(SEED), 0, 0
    points = [0, 1, 7, 20, "before commit"]
    with nursery() as process:
        began = time.perf_counter()
        start(process, plan_input)
        assert not was_killed(process)
        undisturbed = time.perf_counter() - began
        expected = finished(target)
        shutil.rmtree(target)
        while kills < KILLS:
            if chance.random() < 0.3:
                start(process, plan_input, chance.choice(points))
            else:
                child = start(process, plan_input)
                time.sleep(chance.uniform(0, undisturbed))
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            kills += was_killed(process)
            if (target / "wkfast-merge.json").exists() and not (target / ".wkfast-merge").exists():
                ends += 1
                assert finished(target) == expected
                shutil.rmtree(target)
        start(process, plan_input)
        assert not was_killed(process)
    assert finished(target) == expected
    assert ends > 0


HOLDER = """
import json, sys
from wkfast import _core
hold = _core.MergePlan(json.loads(sys.argv[1])).hold()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_dead_owner_holds_nothing(plan_input):
    command = [sys.executable, "-c", HOLDER, json.dumps(plan_input)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(TargetNotEmptyError, match="another process"):
            _core.MergePlan(plan_input).run()
        holder.kill()
        holder.wait()
        plan = _core.MergePlan(plan_input)
        assert plan.run()["tasks"] == plan.task_count
        plan.commit()


def test_what_a_kill_during_the_commit_leaves_is_cleared_by_the_next(plan_input, tmp_path):
    plan = _core.MergePlan(plan_input)
    plan.run()
    report = plan.commit()
    leftover = tmp_path / "target/.wkfast-merge/tmp"
    leftover.mkdir(parents=True)
    (leftover / "half-written").write_bytes(b"1")
    assert plan.commit() == report
    assert not leftover.parent.exists()
