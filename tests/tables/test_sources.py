"""Files are found as pathlib finds them, which takes its time."""

from __future__ import annotations

from pathlib import Path

import pytest

from wkfast.tables.sources import Source, Unusable, find

FILES = (
    "a/x.nml",
    "a-b/x.nml",
    "a-b/c/z.nml",
    "b.nml",
    ".nml",
    ".hid/q.nml",
    "a/no.zip",
    "a/B.NML",
    "a b.nml",
    "x.xml",
)


@pytest.fixture
def folder(tmp_path):
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"." * len(name))
    (tmp_path / "folder.nml").mkdir()
    (tmp_path / "broken.nml").symlink_to("nowhere")
    (tmp_path / "a-b" / "link").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "linked.nml").symlink_to(tmp_path / "b.nml")
    return tmp_path


def slowly(folder, suffixes):
    """Names and sizes of what is to be read, in order."""
    found = sorted(each for each in Path(folder).rglob("*") if each.suffix in suffixes and each.is_file())
    return [(str(each), each.stem, each.stat().st_size if each.suffix != ".zip" else None) for each in found]


@pytest.mark.parametrize("place", [".", "a", "./a-b/", ".."])
@pytest.mark.parametrize("also", [frozenset(), frozenset({".xml"})])
def test_a_folder_is_read_in_order_with_what_lies_below(folder, monkeypatch, place, also):
    monkeypatch.chdir(folder / "a" if place == ".." else folder)
    found = [(each.name, each.annotation, getattr(each, "size", None)) for each in find(place, also=also)]
    assert found == slowly(place, {".nml", ".zip", *also})
    assert len(found) > 1


def test_files_that_are_given_are_taken_or_told_one_by_one(folder, monkeypatch):
    monkeypatch.chdir(folder)
    given = ["./b.nml", "none.nml", "broken.nml", "a/B.NML", "a/no.zip", "x.xml", "a/linked.nml", "a\0b.nml"]
    found = list(find(given))
    assert [each.name for each in found] == ["b.nml", *given[1:]]
    assert [isinstance(each, Source) for each in found] == [True, False, False, False, False, False, True, False]
    assert all(each.name in str(each.error) for each in found if isinstance(each, Unusable) and "\0" not in each.name)
