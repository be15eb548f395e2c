"""Folders for temporary files go, whatever goes wrong meanwhile."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from wkfast.temporary import owned_temporary_folder, remove_temporary

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
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
