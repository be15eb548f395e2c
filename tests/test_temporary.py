"""Folders for temporary files go, whatever goes wrong meanwhile."""

from __future__ import annotations

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import pytest

from wkfast.temporary import KeptFolder, owned_temporary_folder, remove_temporary


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    # somebody before may still hold a folder, whose home would be found
    monkeypatch.setattr("wkfast.temporary._homes", WeakValueDictionary())
    return tmp_path


@pytest.mark.parametrize("failed", range(4))
@pytest.mark.parametrize("fault", [errno.EMFILE, errno.EIO])
def test_a_folder_goes_where_the_system_fails_once(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, failed: int, fault: int
) -> None:
    opened = os.open
    left = iter(range(100))

    def fails_once(*args: Any, **options: Any) -> int:
        if next(left) == failed:
            raise OSError(fault, os.strerror(fault))
        return opened(*args, **options)

    with owned_temporary_folder("edit") as folder:
        (folder / "a/b").mkdir(parents=True)
        (folder / "a/b/file").write_text("text")
        monkeypatch.setattr(os, "open", fails_once)
    monkeypatch.undo()
    assert next(left) > failed, "removing opens folders"
    assert not [*temporary.iterdir()]


def test_a_folder_that_is_gone_is_no_fault(temporary: Path) -> None:
    remove_temporary(temporary / "none")
    (temporary / "link").symlink_to(temporary)
    remove_temporary(temporary / "link")
    assert (temporary / "link").is_symlink()


def test_thousands_of_kept_folders_take_one_open_file(temporary: Path) -> None:
    def open_files() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    before = open_files()
    kept = [KeptFolder("download") for _ in range(2000)]
    assert open_files() == before + 1
    assert len({each.path for each in kept}) == 2000
    first, last = kept[0], kept[-1].path
    (first.path / "file").write_text("text")
    del kept
    assert first.path.is_dir()
    assert not last.exists()
    del first
    assert not [*temporary.iterdir()]
    assert open_files() == before


def test_a_kept_folder_outlives_one_that_somebody_tidied_away(temporary: Path) -> None:
    first = KeptFolder("volume")
    shutil.rmtree(first.path.parent)
    second = KeptFolder("volume")
    assert second.path.is_dir()
    del first
    assert second.path.is_dir()
    del second
    assert not [*temporary.iterdir()]


def test_a_forked_process_leaves_the_folders_of_the_other_alone(temporary: Path) -> None:
    ours = KeptFolder("volume")
    child = os.fork()
    if child == 0:
        theirs = KeptFolder("volume")
        is_apart = theirs.path.parent != ours.path.parent
        del theirs, ours
        os._exit(0 if is_apart else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert ours.path.is_dir()
    assert [*temporary.iterdir()] == [ours.path.parent]


def test_kept_folders_of_threads_are_apart(temporary: Path) -> None:
    def make_and_drop(_: int) -> bool:
        return all(KeptFolder("download").path.parent.parent == temporary for _ in range(50))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(make_and_drop, range(8)))
    assert not [*temporary.iterdir()]
