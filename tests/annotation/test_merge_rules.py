"""Rules of merges, compiled or not, make what a loop over voxels makes."""

from __future__ import annotations

import concurrent.futures as cf
import functools
import json
import os
import pickle
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.inputs import demo_input, tree_state, volume_annotation, without_coarse_mags, zarr3_data_zip

import wkfast as wk
from wkfast import rules
from wkfast.cli import main
from wkfast.dataset.user_functions import compiled, digest_of
from wkfast.errors import MergeError, VolumeDataError
from wkfast.merge import label_rule
from wkfast.merge.label_rule import LabelRule, RuleSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

NAME = "segmentation"
numba = pytest.importorskip("numba", reason="rules are compiled by numba")


def larger(annotation: Any, fallback: Any) -> Any:
    return max(annotation, fallback)


def failing(annotation: Any, fallback: Any) -> Any:
    if annotation == 5:
        raise ValueError("five")
    return fallback


def too_large(annotation: Any, fallback: Any) -> Any:
    return fallback if annotation < 3 else annotation * 2**40


def in_python_alone(annotation: Any, fallback: Any) -> Any:
    return int(f"{annotation}{fallback}") % 7


def of_three(annotation: Any, fallback: Any, more: Any) -> Any:
    return annotation + fallback + more


def halved(annotation: Any, fallback: Any) -> Any:
    return (annotation + fallback) * 0.5


def is_larger(annotation: Any, fallback: Any) -> Any:
    return annotation > fallback


def of_none(annotation: Any, fallback: Any) -> Any:
    if annotation > fallback:
        return


PAIRS: dict[str, Any] = {
    "newer": rules.newer,
    "only_background": rules.only_background,
    "only_inside": rules.only_inside([1, 3]),
    "larger": larger,
    "njit": numba.njit(larger),
    "vectorize": numba.vectorize(larger),
}


def blocks(seed: int, dtype: str, labels: int = 6) -> NDArray:
    """A chunk of 32³ voxels in blocks."""
    small = np.random.default_rng(seed).integers(0, labels, (8, 8, 8))
    return small.repeat(4, 0).repeat(4, 1).repeat(4, 2).astype(dtype)


class World:
    """A fallback of 64 x 32 x 32 voxels and annotations over parts of it."""

    def __init__(self, folder: Path, dtype: str = "uint32", data_format: str = "zarr3") -> None:
        self.folder = folder
        layer = wk.Dataset(folder / "datasets/dataset", voxel_size=(4, 4, 40)).add_layer(
            NAME, "segmentation", dtype=dtype, data_format=data_format
        )
        self.fallback = np.concatenate([blocks(1, dtype), blocks(2, dtype)])
        shards = {} if data_format == "zarr" else {"shard_shape": 64}
        mag = layer.add_mag(1, chunk_shape=32, **shards)
        mag.write(self.fallback, absolute_offset=(0, 0, 0), allow_resize=True, allow_unaligned=True)
        # which chunks there are, and what they hold
        self.painted = [
            {0: blocks(7 + number, dtype), **({1: blocks(9, dtype)} if number == 0 else {})} for number in range(3)
        ]
        self.files = [
            volume_annotation(folder / f"{number}.zip", zarr3_data_zip({(x, 0, 0): part for x, part in of.items()}))
            for number, of in enumerate(self.painted)
        ]

    def merge(self, target: str, policy: Any, count: int = 1, **options: Any) -> NDArray:
        self.report = wk.merge_annotations(
            self.files[:count], self.folder / target, self.folder / "datasets", policy=policy, **options
        )
        return wk.Dataset.open(self.folder / target).get_layer(NAME).get_mag(1).read()[0, :64, :32, :32]

    def slowly(self, rule: Callable[[Any, Any], Any], count: int = 1) -> NDArray:
        """One after the other, voxel by voxel."""
        merged = self.fallback.copy()
        for of in self.painted[:count]:
            for x, chunk in of.items():
                below = merged[32 * x : 32 * x + 32]
                pairs = zip(chunk.ravel().tolist(), below.ravel().tolist(), strict=True)
                below[...] = np.array([int(rule(*pair)) for pair in pairs], below.dtype).reshape(below.shape)
        return merged


@pytest.mark.parametrize("name", PAIRS)
def test_a_rule_decides_as_a_loop_over_voxels_does(tmp_path, name):
    world, rule = World(tmp_path), PAIRS[name]
    plain = RuleSource.of(rule).function
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        merged = world.merge("merged", rule, verify=True)
    assert np.array_equal(merged, world.slowly(plain))
    total = world.report.total
    assert total.voxels_changed == np.count_nonzero(merged != world.fallback)
    assert total.voxels_erased == np.count_nonzero((merged == 0) & (world.fallback != 0))
    assert total.voxels_painted == np.count_nonzero((merged != 0) & (world.fallback == 0))
    if name in {"larger", "only_inside"}:
        assert np.array_equal(world.merge("two", rule, 2, verify=True), world.slowly(plain, 2))
    view = wk.Annotation.load(world.files[0]).merged_layer(tmp_path / "datasets", policy=rule)
    assert np.array_equal(view.get_mag(1).read()[0, :64, :32, :32], merged)


@pytest.mark.parametrize(("dtype", "data_format"), [("uint8", "wkw"), ("uint64", "zarr"), ("int16", "zarr3")])
def test_rules_know_the_types_and_formats_of_layers(tmp_path, dtype, data_format):
    world = World(tmp_path, dtype, data_format)
    assert np.array_equal(world.merge("merged", larger, verify=True), world.slowly(larger))


def questions(dtype: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Labels of three annotations and whether they are there, and the fallback's: ends of the type included."""
    limits, rng = np.iinfo(dtype), np.random.default_rng(5)
    some = np.array([0, 1, 3, limits.max, limits.min, limits.max - 1], dtype)
    present = rng.integers(0, 2, (200, 3)).astype(np.uint8)
    present[:, 0] = 1
    return rng.choice(some, (200, 3)), present, rng.choice(some, 200)


def asked_in_machine_code(rule: LabelRule, *given: NDArray[Any]) -> NDArray[Any]:
    painted, _, fallback = given
    out = np.empty_like(fallback)
    kinds = rule.code.ctypes.argtypes
    places = [each.ctypes.data_as(kind) for each, kind in zip((*given, out), kinds, strict=False)]
    assert rule.code.ctypes(*places, *painted.shape) == -1
    return out


@pytest.mark.parametrize(
    ("dtype", "rule"),
    [
        *((dtype, larger) for dtype in ("uint8", "uint64", "int8", "int64")),
        ("uint64", PAIRS["only_inside"]),
        ("int8", rules.max_votes),
    ],
)
def test_compiled_and_plain_rules_are_equal(dtype, rule):
    """The machine code, and what is asked where there is none, against a plain loop."""
    painted, present, fallback = questions(dtype)
    source = RuleSource.of(rule)
    if not source.for_all:
        painted, present = (np.ascontiguousarray(side[:, :1]) for side in (painted, present))
    shown = [row[there == 1] for row, there in zip(painted, present, strict=True)]
    first = shown if source.for_all else [int(row[0]) for row in shown]
    expected = np.array([int(source.function(a, int(b))) for a, b in zip(first, fallback, strict=True)], dtype)
    asked = source.compiled(np.dtype(dtype))
    assert np.array_equal(asked(painted, present, fallback), expected)
    assert np.array_equal(asked_in_machine_code(asked, painted, present, fallback), expected)


def test_all_annotations_may_be_asked_about_at_once(tmp_path):
    world = World(tmp_path)
    merged = world.merge("merged", rules.max_votes, 3, verify=True)
    expected = world.fallback.copy()
    expected[32:] = world.painted[0][1]
    votes = np.stack([of[0] for of in world.painted]).reshape(3, -1)
    most = [max(reversed(column), key=column.count) for column in votes.T.tolist()]
    expected[:32] = np.array(most, np.uint32).reshape(32, 32, 32)
    assert np.array_equal(merged, expected)
    assert world.report.conflicts
    world.merge("one", rules.max_votes, verify=True)
    alone = wk.Dataset.open(tmp_path / "one").get_layer(NAME).get_mag(1).read()
    assert np.array_equal(alone[0, :32, :32, :32], world.painted[0][0])


def test_messages_call_rules_by_the_names_that_callers_know():
    names = [RuleSource.of(rule).core["name"] for rule in (rules.max_votes, rules.newer, rules.only_inside([3]))]
    assert names == ["max_votes()", "newer()", "only_inside_these()"]
    assert RuleSource.of(pickle.loads(pickle.dumps(rules.max_votes))).function is rules.max_votes.function


def test_what_numba_cannot_compile_is_asked_as_it_is_and_says_so(tmp_path):
    world = World(tmp_path)
    with pytest.warns(UserWarning, match=r"in_python_alone\(\) is asked as it is, .* numba cannot compile it"):
        merged = world.merge("merged", in_python_alone)
    assert np.array_equal(merged, world.slowly(in_python_alone))
    with warnings.catch_warnings(action="ignore"):
        view = wk.Annotation.load(world.files[0]).merged_layer(tmp_path / "datasets", policy=in_python_alone)
    assert np.array_equal(view.get_mag(1).read()[0, :64, :32, :32], merged)


def test_rules_and_new_labels_go_together_and_coarser_mags_are_made_of_the_result(tmp_path):
    source = demo_input(tmp_path)
    annotation = wk.Annotation.load(without_coarse_mags(source.annotation))
    report = annotation.merge_fallback_layer(
        tmp_path / "t", source.dataset_directory, policy=rules.only_background, mapping={4: 0, 7: 3}
    )
    assert report.total.recomputed > 0
    assert report.total.voxels_painted > 0
    assert report.total.voxels_erased == 0


@pytest.mark.parametrize("rule", [larger, rules.only_inside([1, 3]), in_python_alone])
def test_workers_decide_alike(tmp_path, rule):
    world = World(tmp_path)
    with warnings.catch_warnings(), cf.ProcessPoolExecutor(1) as executor:
        warnings.simplefilter("ignore")
        spread = world.merge("spread", rule, executor=executor, verify=True)
    assert np.array_equal(spread, world.slowly(RuleSource.of(rule).function))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.filterwarnings("ignore:.*asked as it is")
def test_any_callable_is_a_rule_and_told_from_others():
    painted, present, fallback = questions("uint16")
    painted, present = (np.ascontiguousarray(side[:, :1]) for side in (painted, present))
    for rule, plain in ((np.maximum, max), (functools.partial(pow_below, 3), functools.partial(pow_below, 3))):
        asked = RuleSource.of(rule).compiled(np.dtype("uint16"))
        expected = [plain(int(a), int(b)) for a, b in zip(painted[:, 0], fallback, strict=True)]
        assert asked.address is None
        assert asked(painted, present, fallback).tolist() == expected
    assert RuleSource.of(Unhashable()).compiled(np.dtype("uint16"))(painted, present, fallback).tolist() == [9] * len(
        fallback
    )
    digests = [RuleSource.of(functools.partial(pow_below, power)).core["digest"] for power in (3, 3, 4)]
    assert digests[0] == digests[1] != digests[2]


SAME_LINE = [lambda a, b: min(a, b), lambda a, b: max(a, b), lambda a, b: 5, lambda a, b: 6]  # fmt: skip # noqa: ARG005, PLW0108


def test_rules_that_share_a_line_are_told_apart_in_machine_code_and_on_disk():
    painted, present = np.array([[3], [9]], "uint32"), np.ones((2, 1), bool)
    fallback = np.array([7, 2], "uint32")
    for rule, expected in zip(SAME_LINE, ([3, 2], [7, 9], [5, 5], [6, 6]), strict=True):
        asked = RuleSource.of(rule).compiled(np.dtype("uint32"))
        assert asked.address is not None
        inner, _, _ = compiled(rule, lambda: (numba.uint32, numba.uint32))
        assert [int(inner(a, b)) for a, b in zip(painted[:, 0], fallback, strict=True)] == expected
        assert asked(painted, present, fallback).tolist() == expected


def test_digests_tell_what_functions_do_and_are_the_same_everywhere():
    long = [np.arange(5000), np.arange(5000)]
    long[1][2500] = 0
    tables = [(table,) for table in long]
    functions = [
        *(lambda a, b, table=table: table[0][a] + b for table in tables),
        *(lambda a, b, *, by=by: a + b * by for by in (2, 3)),
        lambda a, b: a in {None, 1} or b,
    ]
    digests = [digest_of(function) for function in functions]
    assert len(set(digests)) == len(digests)
    script = (
        "import wkfast.dataset.user_functions as u; f = lambda a, b: a in {'x', 'y', 'z'} or b; print(u.digest_of(f))"
    )
    found = {
        subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True,
                       text=True, check=True).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(found) == 1


class Unhashable:
    __hash__ = None

    def __eq__(self, other: object) -> bool:
        return True

    def __call__(self, _annotation: Any, _fallback: Any) -> int:
        return 9


def pow_below(power: int, annotation: Any, fallback: Any) -> int:
    return int(annotation**power + fallback) % 1000


def plus_offset(annotation: Any, fallback: Any) -> Any:
    return annotation + OFFSET


OFFSET = 1


def test_a_rule_is_compiled_once_until_what_it_refers_to_changes(monkeypatch):
    kind, one = np.dtype("uint16"), np.ones(1, "uint16")
    painted, present = np.full((1, 1), 5, "uint16"), np.ones((1, 1), "uint8")
    first = RuleSource.of(plus_offset).compiled(kind)
    assert RuleSource.of(plus_offset).compiled(kind).code is first.code
    assert asked_in_machine_code(first, painted, present, one).tolist() == [6]
    monkeypatch.setitem(globals(), "OFFSET", 3)
    assert asked_in_machine_code(RuleSource.of(plus_offset).compiled(kind), painted, present, one).tolist() == [8]


def test_a_dask_cluster_decides_alike(tmp_path):
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    world = World(tmp_path)
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None, local_directory=tmp_path
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        spread = world.merge("spread", rules.only_inside([1, 3]), executor=client.get_executor())
    assert np.array_equal(spread, world.slowly(RuleSource.of(rules.only_inside([1, 3])).function))


def test_a_job_array_takes_the_rule_where_tasks_are_run(tmp_path, monkeypatch, capsys):
    world = World(tmp_path)
    (tmp_path / "mine.py").write_text("def rule(annotation, fallback):\n    return max(annotation, fallback)\n")
    monkeypatch.chdir(tmp_path)

    def run(*command: Any) -> str:
        with pytest.raises(SystemExit) as ended:
            main([str(part) for part in command])
        said = capsys.readouterr()
        return str(said.out if not ended.value.code else said.err)

    given, annotation = ("--rule", "mine.py:rule"), world.files[0]
    run("merge", "plan", "p.json", "array", annotation, "datasets", *given)
    assert "the plan has the rule rule(); give it again: --rule FILE.py:NAME" in run("merge", "run", "p.json")
    assert "this is another or was changed" in run("merge", "run", "p.json", "--rule", "newer")
    assert "give it again" in run("merge", "script", "p.json", "--slurm")
    script = run("merge", "script", "p.json", "--slurm", *given)
    assert f"--finish --wait 600 --progress --rule {tmp_path / 'mine.py'}:rule" in script
    assert "task 0 of 1 is done" in run("merge", "run", "p.json", *given)
    assert "1 of 1 file" in run("merge", "status", "p.json")
    assert json.loads(run("merge", "commit", "p.json", "--verify", "--json", *given))["mags"]
    world.merge("merged", larger)
    assert tree_state(tmp_path / "array" / NAME) == tree_state(tmp_path / "merged" / NAME)
    run("merge", "plan", "q.json", "plain", annotation, "datasets")
    assert "the plan has no rule" in run("merge", "run", "q.json", *given)
    for rule, message in (("mine.py:other", "no function other"), ("none", "is no rule: expected FILE.py:NAME")):
        assert message in run("merge-fallback", "t", annotation, "datasets", "--rule", rule)


def test_a_merge_that_has_begun_refuses_another_rule(tmp_path):
    world = World(tmp_path)

    class StopError(Exception):
        pass

    def stop(*_: int) -> None:
        raise StopError

    def inside(ids: list[int]) -> Any:
        return rules.only_inside(ids)

    with pytest.raises(StopError):
        world.merge("t", inside([1, 3]), progress=stop)
    for other in (inside([1, 4]), rules.newer, "nonzero"):
        with pytest.raises(MergeError, match=r"different merge \(input.options.rule"):
            world.merge("t", other)
    assert np.array_equal(world.merge("t", inside([3, 1])), world.slowly(inside([1, 3])))


@pytest.mark.parametrize("compiled", [True, False])
def test_errors_name_chunk_labels_and_line(tmp_path, compiled, monkeypatch):
    world = World(tmp_path)
    if not compiled:
        monkeypatch.setattr(label_rule, "_compiled", lambda *_: (None, "of this test"))
    line = failing.__code__.co_firstlineno + 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with pytest.raises(
            VolumeDataError, match=rf"chunk \(\d, 0, 0\): failing\(\) failed for \(5, \d\) in line {line} of .*: five"
        ):
            world.merge("t", failing)
        with pytest.raises(
            VolumeDataError, match=r"too_large\(\) returned \d+ for \(\d, \d\), which uint32 does not hold"
        ):
            world.merge("u", too_large)


def test_what_is_no_rule_is_refused_before_anything_is_written(tmp_path):
    world = World(tmp_path)
    before = tree_state(tmp_path)
    for rule, message in (
        (abs, r"abs\(\) is no rule: it has to take \(annotation, fallback\)"),
        (of_three, r"of_three\(\) is no rule"),
        (rules.ForAll(abs), r"has to take \(labels, fallback\)"),
        (halved, "returns float64 for labels of uint32, expected a whole number"),
        (is_larger, "returns bool for labels"),
        (of_none, "returns none for labels"),
        ("mean", "policy is 'mean', expected"),
        (7, "policy is 7, expected 'chunk' or 'nonzero'"),
    ):
        with pytest.raises(MergeError, match=message):
            world.merge("t", rule, mapping={3: 1})
    with pytest.raises(MergeError, match="takes the ids of segments, not float64"):
        rules.only_inside([1.5])
    with pytest.raises(MergeError, match="takes a list of ids"):
        rules.only_inside(3)
    assert tree_state(tmp_path) == before
