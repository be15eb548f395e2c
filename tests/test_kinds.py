"""Each kind of harm is in a list, with the tests that hold against it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "hostile-kinds.md").read_text(encoding="utf-8")
ROWS = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| ")][1:]
NAMED = re.compile(r"`([^`]+)` · `(\w+)`")
PAIRS = sorted({pair for row in ROWS for pair in NAMED.findall(row[-1])})


@pytest.mark.parametrize(("path", "name"), PAIRS)
def test_the_tests_of_the_list_exist(path, name):
    source = (ROOT / path).read_text(encoding="utf-8")
    # in Rust, some are made by a macro from their name alone
    assert re.search(rf"\b(def|fn) {name}\b", source) or re.search(rf"\b{name},", source)


def test_every_kind_has_a_test():
    assert len(ROWS) >= 15
    assert all(NAMED.search(row[-1]) for row in ROWS)
