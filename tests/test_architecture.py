"""The page on the architecture says what is so: rooms and their imports, and files and names on the roads."""

import re
from pathlib import Path

import pytest

from tests.test_layers import ALLOWED

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
# What everybody may use, or nobody imports, has no row.
TOOLS = {"_lazy", "_locks", "_short", "_warnings"}
UNLISTED = TOOLS | {"cli"}


def quoted(text):
    return re.findall(r"`([^`]+)`", text)


def rows(heading):
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_rooms_are_those_that_there_are_with_the_imports_that_they_have():
    stated = {quoted(room)[0]: set(quoted(used)) for room, _, used in rows("Rooms")}
    assert stated == {room: used - TOOLS for room, used in ALLOWED.items() if room not in UNLISTED}


@pytest.mark.parametrize("path", sorted({name for name in quoted(PAGE) if "/" in name and " " not in name}))
def test_files_are_where_the_page_says(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("path", "name"), re.findall(r"`([^`]+/[^`]+)` · `(\w+)`", PAGE))
def test_names_on_the_roads_are_defined_in_their_files(path, name):
    defined = rf"\b(def|class|fn|struct|enum|trait) {name}\b"
    assert re.search(defined, (ROOT / path).read_text(encoding="utf-8")), f"{path} defines no {name}"


def test_roads_have_steps():
    assert len(re.findall(r"`[^`]+/[^`]+` · `\w+`", PAGE)) > 15
