"""Each line of unsafe code is in a list, with the test under it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "unsafe.md").read_text(encoding="utf-8")
LINES = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| `")]
ROWS = [[cell.strip() for cell in line] for line in LINES]
# A block, a function or a pointer to one, an implementation, a trait: not the word in comments or the name of the lint.
UNSAFE = re.compile(r"\bunsafe\b(?!_)")


def count_unsafe(source):
    lines = (line.split("//")[0] for line in source.read_text(encoding="utf-8").splitlines())
    return sum(bool(UNSAFE.search(line)) for line in lines)


def test_every_unsafe_line_is_listed():
    counts = {path: count_unsafe(path) for path in (ROOT / "rust").glob("*/src/**/*.rs")}
    found = {path.relative_to(ROOT).as_posix(): count for path, count in counts.items() if count}
    assert {row[0].strip("`"): int(row[1]) for row in ROWS} == found


@pytest.mark.parametrize(
    ("path", "name"), [pair for row in ROWS for pair in re.findall(r"`([^`]+)` · `(\w+)`", row[3])]
)
def test_the_tests_of_the_list_exist(path, name):
    assert re.search(rf"\b(def|fn) {name}\b", (ROOT / path).read_text(encoding="utf-8"))


def test_every_row_has_a_test():
    assert ROWS
    assert all("` · `" in row[3] for row in ROWS)
