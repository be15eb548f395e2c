"""The core's merge as Python drives it: plans travel, are killed, stopped and repeated, and refuse without a trace."""

import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import zarr
from examples.demo.plain_wkw import WkwHeader, file_of_blocks, read_box, write_mag
from tests.inputs import measured, needs_peaks, tree_state

from wkfast import _core
from wkfast.errors import EnvironmentVariableError, MagNotFoundError, MergeError, TargetNotEmptyError, VolumeDataError

SHAPE = (128, 128, 64)
MAGS = (1, 2, 4)


def location(path: Path, mag: int, data_format: str = "wkw") -> dict:
    container = {"kind": "directory", "path": str(path)}
    return {"mag": [mag] * 3, "format": data_format, "container": container, "prefix": ""}


@pytest.fixture
def plan_input(tmp_path):
    """A fallback of three mags in small files, an annotation of eight chunks in mag 1."""
    numbers = np.arange(np.prod(SHAPE), dtype=np.uint32).reshape(SHAPE) // 7 % 1000
    for mag in MAGS:
        write_mag(tmp_path / f"fallback/{mag}", numbers[::mag, ::mag, ::mag], blocks_per_file_edge=1)
    write_mag(tmp_path / "annotation/1", np.full((64, 64, 64), 5000, np.uint32), blocks_per_file_edge=1)
    erased = file_of_blocks(WkwHeader(32, 1, 2, np.dtype("<u4")), np.zeros((32, 32, 32), np.uint32))
    (tmp_path / "annotation/1/z1/y1/x1.wkw").write_bytes(erased)
    return {
        "annotations": [[location(tmp_path / "annotation/1", 1)]],
        "fallback": [location(tmp_path / f"fallback/{mag}", mag) for mag in MAGS],
        "fallback_bounding_box": {"topleft": [0, 0, 0], "size": list(SHAPE)},
        "target": str(tmp_path / "target"),
        "target_mags": [{"mag": [mag] * 3, "folder": f"segmentation/{mag}"} for mag in MAGS],
        "options": {"policy": "chunk", "mags": "all"},
    }


def result(target: Path) -> dict[str, bytes]:
    """Every file of the result without the report, which holds times."""
    return {name: data for name, data in tree_state(target).items() if name != "wkfast-merge.json"}


def undisturbed(plan_input: dict, tmp_path: Path) -> dict[str, bytes]:
    plan = _core.MergePlan({**plan_input, "target": str(tmp_path / "undisturbed")})
    plan.run()
    plan.commit()
    return result(tmp_path / "undisturbed")


def run_stage_part(plan: _core.MergePlan, first: int, last: int) -> int:
    return plan.run((first, last), threads=1, access="coordinated")["tasks"]


def test_a_merge_gives_the_annotation_over_the_fallback(plan_input, tmp_path):
    plan = _core.MergePlan(plan_input)
    assert not (tmp_path / "target").exists()
    seen = []
    plan.run(progress=lambda *now: seen.append(now))
    report = plan.commit()
    work = sum(plan.work_bytes())
    assert seen[-1] == (plan.task_count, plan.task_count, work, work)
    assert seen == sorted(seen)
    merged = read_box(tmp_path / "target/segmentation/1", (0, 0, 0), SHAPE)
    fallback = read_box(tmp_path / "fallback/1", (0, 0, 0), SHAPE)
    expected = fallback.copy()
    expected[:64, :64, :64] = read_box(tmp_path / "annotation/1", (0, 0, 0), (64, 64, 64))
    np.testing.assert_array_equal(merged, expected)
    assert report["total"]["voxels_changed"] == np.count_nonzero(expected != fallback)
    assert (report["total"]["from_annotation"], report["total"]["all_zero"]) == (8, 1)
    assert report["largest_segment_id"] == 5000
    assert [mag["source"] for mag in report["mags"]] == ["annotation", "recomputed", "recomputed"]
    stored = json.loads((tmp_path / "target/wkfast-merge.json").read_text())["report"]
    assert stored == json.loads(json.dumps(report))


def test_a_dry_run_knows_the_numbers_and_writes_nothing(plan_input, tmp_path):
    summary = _core.MergePlan(plan_input).summary()
    finest = summary["mags"][0]
    assert (finest["annotation_chunks"], finest["chunks_replaced"], finest["shards_touched"]) == (8, 8, 8)
    assert summary["dtype"] == "uint32"
    assert not (tmp_path / "target").exists()


def test_a_plan_is_run_by_other_processes_in_pieces(plan_input, tmp_path):
    expected = undisturbed(plan_input, tmp_path)
    plan = _core.MergePlan(plan_input)
    assert pickle.loads(pickle.dumps(plan)).fingerprint == plan.fingerprint
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        for start, end in plan.stages:
            parts = [(n, min(n + 7, end)) for n in range(start, end, 7)]
            done = [executor.submit(run_stage_part, plan, *part) for part in parts]
            assert sum(future.result() for future in done) == end - start
    plan.commit()
    assert result(tmp_path / "target") == expected


def test_a_merge_stopped_by_its_progress_callback_resumes(plan_input, tmp_path):
    expected = undisturbed(plan_input, tmp_path)

    def stop(done: int, *_rest: int) -> None:
        if done >= 5:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        _core.MergePlan(plan_input).run(progress=stop)
    with pytest.raises(TargetNotEmptyError, match="resume"):
        _core.MergePlan(plan_input, resume=False)
    plan = _core.MergePlan(plan_input)
    with pytest.raises(MergeError, match="tasks are not done"):
        plan.commit()
    assert plan.run()["resumed"] >= 5
    plan.commit()
    assert result(tmp_path / "target") == expected


def test_a_plan_knows_what_is_left_to_do(plan_input):
    plan = _core.MergePlan(plan_input)
    assert plan.open_tasks() == list(range(plan.task_count))
    plan.run((3, 9))
    assert plan.open_tasks() == [*range(3), *range(9, plan.task_count)]
    plan.run()
    plan.commit()
    assert plan.open_tasks() == []


def test_the_work_of_a_task_is_what_it_copies_and_computes(plan_input):
    plan = _core.MergePlan(plan_input)
    first = plan.summary()["mags"][0]
    finest = plan.work_bytes()[: first["shards_touched"] + first["shards_untouched"]]
    assert len(plan.work_bytes()) == plan.task_count
    assert sum(finest) == first["fallback_bytes"] + first["chunks_replaced"] * 4 * 32**3


def test_a_held_target_is_its_holders_and_their_workers(plan_input):
    plan, target = _core.MergePlan(plan_input), Path(plan_input["target"])
    with plan.hold() as hold:
        assert (target / hold.ticket).is_file()
        with pytest.raises(TargetNotEmptyError, match="another process"):
            _core.MergePlan(plan_input).run(access="shared")
        file = target / hold.plan_file
        worker, _ = _core.MergePlan.open(str(file.parent), file.name)
        assert worker.run(access="coordinated")["tasks"] == plan.task_count
        ticket = target / hold.ticket
    assert not ticket.exists()
    with pytest.raises(ValueError, match="not held any more"):
        hold.ticket  # noqa: B018
    hold.release()
    plan.commit()


@pytest.mark.parametrize("text", ["0", "-2", "many", "1.5"])
def test_a_number_of_threads_that_is_none_is_refused(plan_input, monkeypatch, text):
    plan = _core.MergePlan(plan_input)
    monkeypatch.setenv("WKFAST_THREADS", text)
    with pytest.raises(EnvironmentVariableError, match=f'WKFAST_THREADS is "{text}", expected a positive number'):
        plan.run()
    assert plan.run(threads=1)["tasks"] == plan.task_count


CHILD = """
import json, sys
from wkfast import _core
plan = _core.MergePlan(json.loads(sys.argv[1]))
print("ready", flush=True)
plan.run(threads=2)
plan.commit()
print("done", flush=True)
"""


def start_child(plan_input: dict) -> subprocess.Popen:
    child = subprocess.Popen([sys.executable, "-c", CHILD, json.dumps(plan_input)], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    return child


def test_a_merge_killed_at_any_moment_is_finished_by_the_same_call(plan_input, tmp_path):
    expected = undisturbed(plan_input, tmp_path)
    chance = random.Random(5)
    for _ in range(6):
        child = start_child(plan_input)
        time.sleep(chance.uniform(0, 0.02))
        child.kill()
        child.communicate()
        if (tmp_path / "target/wkfast-merge.json").exists():
            break
    plan = _core.MergePlan(plan_input)
    plan.run()
    plan.commit()
    assert result(tmp_path / "target") == expected


def test_ctrl_c_ends_a_merge_without_a_half_written_file(plan_input, tmp_path):
    expected = undisturbed(plan_input, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        _core.MergePlan(plan_input).run(progress=lambda *_now: os.kill(os.getpid(), signal.SIGINT))
    written = result(tmp_path / "target")
    files = {name for name in written if name.endswith(".wkw")}
    assert files
    assert all(written[name] == expected[name] for name in files)


def test_what_cannot_be_merged_raises_its_class_and_creates_nothing(plan_input, tmp_path):
    before = tree_state(tmp_path)
    with pytest.raises(MagNotFoundError, match="the annotation has 8, the fallback has 1, 2, 4"):
        _core.MergePlan({**plan_input, "annotations": [[{**plan_input["annotations"][0][0], "mag": [8, 8, 8]}]]})
    with pytest.raises(MergeError, match="the fallback layer has no mags"):
        _core.MergePlan({**plan_input, "fallback": []})
    with pytest.raises(MergeError, match="`newest`, expected `chunk` or `nonzero`"):
        _core.MergePlan({**plan_input, "options": {"policy": "newest"}})
    with pytest.raises(VolumeDataError, match="nowhere"):
        _core.MergePlan({**plan_input, "annotations": [[location(tmp_path / "nowhere", 1)]]})
    assert tree_state(tmp_path) == before
    (tmp_path / "target").mkdir()
    (tmp_path / "target/mine.txt").touch()
    with pytest.raises(TargetNotEmptyError, match=r"mine\.txt"):
        _core.MergePlan(plan_input)


def test_a_damaged_chunk_is_named_and_what_was_done_stays(plan_input, tmp_path):
    chunk = tmp_path / "annotation/1/z0/y0/x1.wkw"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    with pytest.raises(VolumeDataError, match=r"z0/y0/x1\.wkw"):
        _core.MergePlan(plan_input).run()
    assert (tmp_path / "target/.wkfast-merge/plan.json").exists()
    assert not (tmp_path / "target/datasource-properties.json").exists()


MEASURED = """
import json
from wkfast import _core

plan_input = json.loads(sys.argv[1])
before = peak()
plan = _core.MergePlan(plan_input)
plan.run(threads=2)
plan.commit()
print(peak() - before)
"""


@needs_peaks
def test_memory_does_not_grow_with_the_size_of_a_shard(tmp_path):
    # One shard of 128 MB that does not compress; what is painted over counts, for each label that is lost takes memory.
    noise = np.random.default_rng(1).integers(0, 2**63, (1, 256, 256, 256), dtype=np.uint64)
    array = zarr.create_array(
        tmp_path / "fallback",
        shape=noise.shape,
        dtype="uint64",
        chunks=(1, 32, 32, 32),
        shards=noise.shape,
        filters=[zarr.codecs.TransposeCodec(order=(3, 2, 1, 0))],
        compressors=[zarr.codecs.ZstdCodec(level=1)],
        dimension_names=["c", "x", "y", "z"],
    )
    array[:] = noise
    write_mag(tmp_path / "annotation", np.ones((64, 64, 64), np.uint64), blocks_per_file_edge=1)
    plan_input = {
        "annotations": [[location(tmp_path / "annotation", 1)]],
        "fallback": [location(tmp_path / "fallback", 1, "zarr3")],
        "fallback_bounding_box": {"topleft": [0, 0, 0], "size": [256, 256, 256]},
        "target": str(tmp_path / "target"),
        "target_mags": [{"mag": [1, 1, 1], "folder": "1"}],
    }
    (grown,) = measured(MEASURED, json.dumps(plan_input))
    assert grown < 64 * 2**20
    merged = zarr.open_array(tmp_path / "target/1", mode="r")[:]
    noise[:, :64, :64, :64] = 1
    np.testing.assert_array_equal(merged, noise)
