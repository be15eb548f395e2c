"""Progress is one thing everywhere: what users may pass, and what they see of it."""

import importlib.util
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import pytest

import wkfast as wk
from wkfast import progress
from wkfast.progress import LogLines, ProgressState, observed, throttled


@pytest.mark.parametrize("nothing", [None, False])
def test_nobody_is_told_who_does_not_ask(nothing):
    with observed(nothing, "downloading", "bytes", last_line=True) as observer:
        assert observer is None


def test_a_function_hears_what_is_done_and_in_all_and_may_stop_the_work():
    seen = []
    with observed(lambda done, total: seen.append((done, total)), "merging") as observer:
        observer(1, 2, 500, 1000)
        observer(2, None)
    assert seen == [(1, 2), (2, None)]

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), observed(stop, "merging") as observer:
        observer(1, 2)


def test_a_state_can_be_looked_at_from_elsewhere():
    state = ProgressState()
    with observed(state, "exporting", "chunks") as observer:
        observer(3, 8)
        assert state == ProgressState(3, 8, "chunks", "exporting")


def test_a_log_that_asks_gets_a_last_line_where_it_says_something(capsys):
    with observed(progress=True, title="downloading", unit="bytes", last_line=True) as observer:
        observer(5, None)
        observer(3_400_000, 3_400_000)
    with observed(progress=True, title="merging") as observer:
        observer(1, 2, 3, 4)
    assert capsys.readouterr().err == "downloading: 3.4 MB of 3.4 MB, 0 s\n"


@pytest.mark.parametrize(
    ("unit", "calls", "words"),
    [
        ("bytes", [(500, 1000)], ["downloading", "0.5/1.0 kB", "50%"]),
        ("bytes", [(500, None)], ["downloading", "500/? bytes"]),
        ("chunks", [(3, 8)], ["downloading", "3 of 8 chunks"]),
        ("shards", [(3, 8, 10, 40)], ["3 of 8 shards", "25%", "10/40 bytes"]),
    ],
)
def test_a_terminal_gets_a_bar(monkeypatch, capsys, unit, calls, words):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    for name, value in {"TERM": "xterm", "COLUMNS": "160"}.items():
        monkeypatch.setenv(name, value)
    with observed(progress=True, title="downloading", unit=unit) as observer:
        for call in calls:
            observer(*call)
    shown = capsys.readouterr().err
    for word in words:
        assert word in shown


def test_a_log_of_unknown_length_says_so(capsys):
    now = [0.0]
    lines = LogLines("downloading", unit="bytes", clock=lambda: now[0])
    now[0] = 61.0
    lines.observe(2_000_000, None)
    assert capsys.readouterr().err == "downloading: 2.0 MB, time left unknown\n"


def test_blocks_are_told_ten_times_a_second_and_the_last_always():
    now, seen = [0.0], []
    report = throttled(lambda done, _: seen.append(done), clock=lambda: now[0])
    for block in range(101):
        now[0] = block / 100
        report(block, 100)
    report(101, 101, last=True)
    assert len(seen) in (11, 12)
    assert seen[-1] == 101
    throttled(None)(1, 2, last=True)


class Output:
    """What ipywidgets has of this name, as far as rich uses it."""

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        return None

    def clear_output(self, wait=False):
        """Nothing is shown here."""

    def close(self):
        """The same."""


@pytest.fixture
def notebook(monkeypatch):
    """What a notebook displays."""
    displayed = []
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    modules = {"IPython": {}, "IPython.display": {"display": displayed.append}, "ipywidgets": {"Output": Output}}
    for name, members in modules.items():
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    return displayed


def test_a_notebook_gets_a_bar(notebook, capsys):
    def drawn():
        return any(
            "merging" in text and "3 of 8 chunks" in text for text in (getattr(one, "text", "") for one in notebook)
        )

    with observed(progress=True, title="merging", unit="chunks") as observer:
        observer(3, 8)
        end = time.monotonic() + 20
        while not drawn() and time.monotonic() < end:  # it is drawn ten times a second
            time.sleep(0.02)
    assert drawn()
    assert any(isinstance(shown, Output) for shown in notebook)
    assert capsys.readouterr() == ("", "")


def test_a_notebook_without_widgets_gets_lines(notebook, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "ipywidgets")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "ipywidgets" else ModuleSpec(name, None)
    )
    with observed(progress=True, title="merging", unit="chunks", last_line=True) as observer:
        observer(3, 8)
    assert notebook == []
    assert capsys.readouterr().err.startswith("merging: 3 of 8 chunks")


@pytest.fixture
def layer(tmp_path):
    """A segmentation whose mag 1 has eight files, uncompressed."""
    layer = wk.Dataset(tmp_path / "d", voxel_size=(4, 4, 4)).add_layer("cells", "segmentation", dtype="uint32")
    layer.bounding_box = wk.BoundingBox((0, 0, 0), (128, 128, 128))
    layer.add_mag(1, shard_shape=64, compress=False).write(np.ones((128, 128, 128), np.uint32))
    return layer


WORK = {
    "downsampling": lambda layer, **how: layer.downsample(coarsest_mag=wk.Mag(4), shard_shape=32, **how),
    "downsampling cells/2": lambda layer, **how: layer.downsample_mag(1, wk.Mag(2), shard_shape=32, **how),
    "downsampling cells/4": lambda layer, **how: layer.downsample_mag_list(
        wk.Mag(1), [wk.Mag(2), wk.Mag(4)], shard_shape=32, **how
    ),
    "compressing cells/1": lambda layer, **how: layer.get_mag(1).compress(**how),
    "compressing": lambda layer, **how: layer.dataset.compress(**how),
    "rechunking cells/1": lambda layer, **how: layer.get_mag(1).rechunk(chunk_shape=16, **how),
    "copying copy/1": lambda layer, **how: layer.dataset.add_layer_like(layer, "copy").add_mag_as_copy(
        layer.get_mag(1), **how
    ),
    "copying": lambda layer, **how: layer.dataset.copy_dataset(layer.dataset.path.with_name("copy"), **how),
}


@pytest.mark.parametrize("executor", [None, 2])
@pytest.mark.parametrize("work", WORK)
def test_mags_are_made_under_the_eyes_of_who_asks(layer, work, executor):
    seen = []
    with ThreadPoolExecutor(executor) if executor else nullcontext() as pool:
        WORK[work](layer, progress=lambda done, total: seen.append((done, total)), executor=pool)
    ends = [(done, total) for done, total in seen if done == total]
    assert ends, seen
    assert seen[-1] == ends[-1]
    assert all(0 <= done <= total for done, total in seen)
    assert max(total for _, total in seen) == 8


@pytest.fixture
def bars(monkeypatch):
    """Titles of the bars that are shown."""
    titles = []

    def shown(title, *_how, **_more):
        titles.append(title)
        return nullcontext(lambda *_done: None)

    monkeypatch.setattr(progress, "_shown", shown)
    return titles


@pytest.mark.parametrize("work", WORK)
def test_a_bar_says_what_is_done(layer, work, bars):
    WORK[work](layer, progress=True)
    assert bars
    assert all(title.startswith(work.split()[0]) for title in bars)
    assert any(title.startswith(work) for title in bars)


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("asked", [None, True])
def test_logs_of_short_work_stay_silent(layer, work, asked, capsys):
    WORK[work](layer, progress=asked)
    assert capsys.readouterr() == ("", "")


def test_a_bar_of_the_reference_package_has_its_title(layer, bars):
    layer.dataset.add_layer_like(layer, "copy").add_mag_as_copy(layer.get_mag(1), progress_desc="Copying cells")
    assert bars == ["Copying cells copy/1"]


@pytest.mark.parametrize("executor", [None, 2])
def test_loops_over_chunks_have_the_bar_of_the_reference_package(layer, executor, monkeypatch):
    seen = []

    def bar(title, *_how, **_more):
        return nullcontext(lambda *done: seen.append((title, *done)))

    monkeypatch.setattr(progress, "_shown", bar)
    mag = layer.get_mag(1)
    with ThreadPoolExecutor(executor) if executor else nullcontext() as pool:
        sums = mag.map_chunk(lambda view: int(view.read().sum()), executor=pool, progress_desc="Summing")
        mag.for_each_chunk(lambda _chunk: None, executor=pool)
    assert sums == [64**3] * 8
    assert seen[0] == ("Summing", 0, 8, 0, 4 * 128**3)
    assert seen[-1] == ("Summing", 8, 8, 4 * 128**3, 4 * 128**3)


@pytest.mark.parametrize("work", ["downsampling cells/2", "compressing cells/1", "rechunking cells/1"])
def test_who_watches_may_end_the_work_and_nothing_has_changed(layer, work):
    def stop(done, total):
        raise KeyboardInterrupt

    before = (layer.get_mag(1).info, list(layer.mags))
    with pytest.raises(KeyboardInterrupt):
        WORK[work](layer, progress=stop)
    again = wk.Dataset.open(layer.dataset.path).get_layer("cells")
    assert (again.get_mag(1).info, list(again.mags)) == before


def test_exports_and_edits_take_a_state_to_look_at(tmp_path):
    annotation = wk.Annotation("a", dataset_name="d", voxel_size=(4, 4, 4))
    volume = annotation.add_volume_layer("painted")
    packed, exported = ProgressState(), ProgressState()
    with volume.edit(progress=packed) as layer:
        layer.add_mag(1).write(np.ones((64, 64, 64), np.uint32), absolute_offset=(0, 0, 0), allow_resize=True)
    dataset = wk.Dataset(tmp_path / "exported", voxel_size=(4, 4, 4))
    annotation.export_volume_layer_to_dataset(dataset, progress=exported)
    assert packed == ProgressState(8, 8, "chunks", "packing")
    assert exported == ProgressState(8, 8, "chunks", "exporting")
