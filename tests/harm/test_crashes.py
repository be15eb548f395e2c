"""The model of a disk that loses power, on programs of a few lines whose outcomes are known."""

from __future__ import annotations

import os
import random
import sys

import pytest
from tests.harm.crashes import crashes
from tests.harm.disk import Disk
from tests.harm.recording import calls, is_possible, record

OLD, NEW = b"old", b"new and longer"
PLACED = f"""
import os
file = os.open(FOLDER + "/draft", os.O_CREAT | os.O_WRONLY)
os.write(file, {NEW!r})
SYNC
os.rename(FOLDER + "/draft", FOLDER + "/file")
"""


def outcomes(folder, program, *, by_folder=False):
    """Return what may be left of a folder in which a program runs, as texts of its files by name."""
    if not is_possible():
        pytest.skip("calls are recorded by strace, which is not there or may not trace")
    (folder / "work").mkdir()
    (folder / "work/file").write_bytes(OLD)
    disk = Disk(folder / "work")
    record([sys.executable, "-c", f"FOLDER = {str(folder / 'work')!r}\n{program}"], folder / "log", os.environ)
    disk.follow(calls(folder / "log"))
    assert disk.tree() == Disk(folder / "work").tree()
    found = crashes(disk, random.Random(1), each=30, by_folder=by_folder)
    return [crash.tree for crash in found]


def test_what_is_renamed_before_it_is_synced_may_be_a_name_of_nothing(tmp_path):
    found = {tree["file"] for tree in outcomes(tmp_path, PLACED.replace("SYNC", ""))}
    assert {OLD, NEW, b"", bytes(len(NEW))} <= found
    assert any(0 < len(each) < len(NEW) and NEW.startswith(each) for each in found)


def test_what_is_synced_before_it_is_renamed_is_old_or_new(tmp_path):
    trees = outcomes(tmp_path, PLACED.replace("SYNC", "os.fsync(file)"))
    assert {tree["file"] for tree in trees} == {OLD, NEW}
    assert all("draft" not in tree for tree in trees if tree["file"] == NEW)


@pytest.mark.parametrize("by_folder", [False, True])
def test_names_keep_their_order_in_a_journal_and_within_a_folder(tmp_path, by_folder):
    program = """
import os
os.mkdir(FOLDER + "/a")
os.mkdir(FOLDER + "/b")
os.mkdir(FOLDER + "/a/first")
os.mkdir(FOLDER + "/b/second")
"""
    trees = outcomes(tmp_path, program, by_folder=by_folder)
    assert not [tree for tree in trees if "b" in tree and "a" not in tree]
    turned = [tree for tree in trees if "b/second" in tree and "a/first" not in tree]
    assert bool(turned) == by_folder


def test_a_synced_folder_keeps_its_names(tmp_path):
    program = """
import os
os.mkdir(FOLDER + "/a")
os.fsync(os.open(FOLDER, os.O_RDONLY))
os.mkdir(FOLDER + "/b")
"""
    trees = outcomes(tmp_path, program, by_folder=True)
    assert {frozenset(tree) for tree in trees} == {
        frozenset({"file"}), frozenset({"file", "a"}), frozenset({"file", "a", "b"})
    }  # fmt: skip


def test_calls_of_threads_come_in_an_order_in_which_they_may_have_taken_effect(tmp_path):
    """One gives a number back and makes a name; the other is given the number and finds the name before it returns."""
    (tmp_path / "log").write_text("""\
1 close(7 <unfinished ...>
2 openat(AT_FDCWD, "a", O_RDONLY) = 7
1 <... close resumed>) = 0
1 mkdir("b", 0777 <unfinished ...>
2 openat(AT_FDCWD, "b", O_RDONLY <unfinished ...>
3 mkdir("b", 0777 <unfinished ...>
1 <... mkdir resumed>) = 0
3 <... mkdir resumed>) = -1 EEXIST (File exists)
2 <... openat resumed>) = 8
""")
    told = [(call.name, call.result) for call in calls(tmp_path / "log")]
    assert told == [("close", 0), ("openat", 7), ("mkdir", 0), ("openat", 8)]
