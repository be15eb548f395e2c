"""Plan files: a task reads its part, however large the rest is, and the parts together are the merge."""

import json

import pytest
from benches.python import plan_inputs
from tests.inputs import measured, needs_peaks, tree_state

from wkfast import _core
from wkfast.errors import MergeError

FILES = 300
# What a task of a plan ten times as large may need more.
MORE = 6 * 2**20

# What a record of 0.2 says of a file that was copied, besides.
CHUNKS = ("passed", "transcoded", "from_annotation", "from_annotation_passed", "mixed", "recomputed", "all_zero")
VOXELS = ("voxels_changed", "voxels_erased", "voxels_painted", "largest_segment_id")
NOTHING = {"bytes_read": 0, "chunks": dict.fromkeys(CHUNKS, 0), "tally": dict.fromkeys(VOXELS, 0)}

START = """
from wkfast import _core

plan = _core.MergePlan.open(sys.argv[1], "merge.plan")[0]
plan.run((0, 1), threads=1, access="shared")  # what every first task makes
before = begin()
plan = _core.MergePlan.open(sys.argv[1], "merge.plan")[0]
first, end = plan.share(0, 7, 100)
plan.run((first, first + 1), threads=1, access="shared")
print(peak() - before)
"""


def planned(folder, files):
    told = plan_inputs.make(folder, files)
    plan = _core.MergePlan(told)
    (folder / "merge.plan").write_bytes(plan.to_bytes("said"))
    return plan


def opened(folder):
    return _core.MergePlan.open(str(folder), "merge.plan")[0]


def test_a_stored_plan_says_what_the_plan_does(tmp_path):
    plan = planned(tmp_path, FILES)
    stored, said = _core.MergePlan.open(str(tmp_path), "merge.plan")
    assert said == "said"
    for name in ("fingerprint", "target", "task_count", "stages", "stage_work"):
        assert getattr(stored, name) == getattr(plan, name), name
    assert (stored.summary(), stored.work_bytes(), repr(stored)) == (plan.summary(), plan.work_bytes(), repr(plan))
    assert stored.to_json() == plan.to_json()
    assert stored.stage_work == [(FILES, sum(plan.work_bytes()))]
    assert [stored.share(0, share, 7) for share in range(7)] == [plan.share(0, share, 7) for share in range(7)]
    with pytest.raises(MergeError, match="no share 7 of 7"):
        stored.share(0, 7, 7)


def test_shares_of_a_stored_plan_make_what_the_whole_one_makes(tmp_path):
    plan = planned(tmp_path, FILES)
    plan.run(threads=2)
    whole = plan.commit()
    expected = {name: content for name, content in tree_state(tmp_path / "target").items() if name.startswith("seg")}
    for file in sorted((tmp_path / "target").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    (tmp_path / "target").rmdir()
    done = 0
    for share in (4, 0, 2, 1, 3):
        task = opened(tmp_path)
        first, end = task.share(0, share, 5)
        task.run((first, end), threads=1, access="shared")
        done += end - first
        assert task.count_open() == FILES - done == len(task.open_tasks())
        assert task.count_open((first, end)) == 0
    status = _core.merge_status(str(tmp_path / "target"))
    assert (status["tasks_done"], status["bytes_done"]) == (FILES, status["bytes"]) == (FILES, sum(plan.work_bytes()))
    names = [file.name for file in (tmp_path / "target/.wkfast-merge").glob("done-*")]
    assert len(names) == 5
    assert opened(tmp_path).verify(threads=2)["shards"] == FILES
    report = opened(tmp_path).commit()
    assert report["total"] == whole["total"]
    found = {name: content for name, content in tree_state(tmp_path / "target").items() if name.startswith("seg")}
    assert found == expected


def test_a_merge_that_an_earlier_build_began_goes_on(tmp_path):
    plan = planned(tmp_path, FILES)
    plan.run((0, 10), threads=1)
    notes = tmp_path / "target/.wkfast-merge"
    (notes / "plan.json").write_text(plan.to_json())
    (lines,) = notes.glob("done-*")
    head, *rows = lines.read_text().splitlines()
    copied = [json.loads(row) for row in rows if "{" not in row]
    old = [json.dumps({"task": task, "copied": True, "file_bytes": size, **NOTHING}) for task, _, size, *_ in copied]
    (notes / "done-0123456789abcdef.jsonl").write_text("\n".join([head, *old]) + "\n")
    lines.unlink()
    status = _core.merge_status(str(tmp_path / "target"))
    assert (status["tasks"], status["tasks_done"]) == (FILES, len(old))
    assert plan.count_open() == FILES - len(old)
    assert opened(tmp_path).run(threads=2)["resumed"] == len(old)
    opened(tmp_path).commit()


@needs_peaks
def test_a_task_of_a_larger_plan_needs_no_more_memory(tmp_path):
    grown = {}
    for files in (4_000, 40_000):
        planned(tmp_path / str(files), files).run((files // 2, files), threads=2)
        (grown[files],) = measured(START, tmp_path / str(files))
    assert grown[40_000] < grown[4_000] + MORE, grown
