"""Progress is one thing everywhere: what users may pass, and what they see of it."""

import sys

import pytest

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
