"""What the system says of a folder that is held open names its path, and nothing is left."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from wkfast.dataset import folder_drafts, folders
from wkfast.errors import BeingMadeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def place(root: Path) -> None:
    with folder_drafts.place_folder(root / "layer/1", root) as draft:
        (draft / "file").write_text("voxels")


def replace(root: Path) -> None:
    with folder_drafts.replaced_folder(root / "new/1", root):
        pass


CALLS: list[tuple[str, Callable[[Path], None], str]] = [
    ("mkdir", place, "layer"),
    ("mkdir", replace, "new"),
    ("rename", place, "layer/1"),
    ("open", lambda root: folders.mark_left(root / "layer", root), "layer"),
    ("unlink", lambda root: folders.unmark_left(root / "layer", root), "layer/.wkfast-left"),
]


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EMFILE, errno.EACCES])
@pytest.mark.parametrize(("name", "call", "told"), CALLS)
def test_errors_of_held_folders_name_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, call: Callable[[Path], None], told: str, fault: int
) -> None:
    (tmp_path / "layer").mkdir()
    works = getattr(os, name)

    def fails(*args: Any, **options: Any) -> Any:
        if options.keys() & {"dir_fd", "src_dir_fd"}:
            raise OSError(fault, os.strerror(fault), args[0])
        return works(*args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, name, fails)
        with pytest.raises(OSError, match=os.strerror(fault)) as raised:
            call(tmp_path)
    assert raised.value.filename == str(tmp_path / told)
    assert [*(tmp_path / "layer").iterdir()] == []


def test_a_mark_that_cannot_be_made_names_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "layer").mkdir()
    opened = os.open

    def fails(path: Any, flags: int, *args: Any, **options: Any) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), path)
        return opened(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", fails)
    with pytest.raises(OSError, match="quota") as raised:
        folders.mark_left(tmp_path / "layer", tmp_path)
    assert raised.value.filename == str(tmp_path / "layer/.wkfast-left")


def test_where_no_locks_are_seen_two_drafts_are_never_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one is made beside the first, which somebody may be at; each is placed whole, the last one stays."""
    monkeypatch.setattr(folder_drafts, "take_lock", lambda _opened: None)
    folder = tmp_path / "1"
    with folder_drafts.replaced_folder(folder, tmp_path) as (first, place_first):
        (first / "a").touch()
        with folder_drafts.replaced_folder(folder, tmp_path) as (second, place_second):
            (second / "b").touch()
            (first / "c").touch()
            place_first()
            assert {path.name for path in folder.iterdir()} == {"a", "c"}
            place_second()
    assert [path.name for path in folder.iterdir()] == ["b"]
    assert [*tmp_path.iterdir()] == [folder]


@pytest.mark.parametrize("make", [folder_drafts.fresh_folder, folder_drafts.replaced_folder])
def test_what_another_machine_makes_anew_is_not_placed(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where locks hold within a machine alone, the second takes the first one's draft for left by a killed call."""
    monkeypatch.setattr(folder_drafts, "take_lock", lambda _opened: True)
    folder = tmp_path / "1"
    with make(folder, tmp_path) as (_, place_first), make(folder, tmp_path) as (second, place_second):
        with pytest.raises(BeingMadeError):
            place_first()
        assert not folder.exists()
        (second / "b").touch()
        place_second()
    assert [path.name for path in folder.iterdir()] == ["b"]
    assert [*tmp_path.iterdir()] == [folder]


def test_a_folder_that_has_the_number_of_a_removed_one_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FUSE mounts give the numbers of folders anew while those are still held."""
    monkeypatch.setattr(os.path, "samestat", lambda _one, _other: True)
    draft = tmp_path / ".1.wkfast-part"

    def locked_too_late(_opened: int) -> bool:
        draft.rmdir()
        draft.mkdir()
        (draft / "theirs").touch()
        return True

    monkeypatch.setattr(folder_drafts, "take_lock", locked_too_late)
    with pytest.raises(BeingMadeError), folder_drafts.place_folder(tmp_path / "1", tmp_path):
        raise AssertionError("it is somebody else's")
    assert [*draft.iterdir()] == [draft / "theirs"]
