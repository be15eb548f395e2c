"""The page of limits says what the sources say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/limits.md").read_text()
NML = "rust/wkfast-nml/src/read/limits.rs"
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
ROW = re.compile(
    r"^\| (?P<what>[^|]+) \| (?P<number>[\d,]+) ?(?P<unit>\w*) \| `(?P<name>[\w:]+)`(?: in `(?P<file>[\w./-]+)`)? \|",
    re.MULTILINE,
)
ROWS = [match.groupdict() for match in ROW.finditer(PAGE)]


def value(text: str) -> float:
    """Return what `1 << 20`, `64 << 10`, `1_024`, `2 ** 3` or `1800.0` stand for."""
    left, _, right = text.replace("_", "").partition("<<")
    return int(left) << int(right) if right else float(left)


def stated(row: dict[str, str]) -> float:
    """Return the limit that the source states."""
    if row["name"].startswith("Limits::"):
        field = row["name"].removeprefix("Limits::")
        defaults = (ROOT / NML).read_text().split("impl Default for Limits")[1]
        found = re.search(rf"\b{field}: ([\d_ <]+),", defaults)
    else:
        source = (ROOT / row["file"]).read_text()
        name = re.escape(row["name"])
        found = re.search(rf"^(?:pub(?:\(\w+\))? )?(?:const )?{name}(?:: \w+)? = ([\d_. <]+?);?$", source, re.MULTILINE)
        pair = re.search(r"^(\w+), (\w+) = ([\d_ <]+), ([\d_ <]+)$", source, re.MULTILINE)
        if found is None and pair is not None and row["name"] in pair.groups():
            return value(pair.group(3 + (row["name"] == pair.group(2))))
    assert found is not None, f"{row['name']} is not to be found"
    return value(found.group(1))


def test_most_rows_name_what_they_are_about() -> None:
    named = [line for line in PAGE.splitlines() if line.startswith("| ") and "`" in line.split("|")[3]]
    assert len(ROWS) == len(named) > 25


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["what"])
def test_a_limit_is_the_one_that_is_in_force(row: dict[str, str]) -> None:
    limit = float(row["number"].replace(",", "")) * UNITS.get(row["unit"], 1)
    if row["name"] == "Limits::group_depth":
        assert limit == stated({**row, "name": "Limits::depth"}) - 2
    else:
        assert stated(row) == limit
