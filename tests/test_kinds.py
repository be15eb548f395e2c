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


# A kind is taken off the page only where it is taken off here.
KINDS = [
    "folders that cannot go yet, on mounts that are no local disk",
    "names that seem absent while they are replaced",
    "folders that are removed or rewritten while somebody reads in them",
    "names, paths and links that lead out",
    "small files that take large memory",
    "groups that nest deep",
    "time that grows faster than the file",
    "calls that cannot be interrupted",
    "special files in the place of metadata",
    "odd files and links in the place of voxels",
    "folders whose copy would never end",
    "members of an archive that share bytes, or lie out of it",
    "two mags of one name, texts that are not what they say, errors of others",
    "inputs that change under a job",
    "files that no reader takes back",
    "sizes and numbers that damaged files claim",
    "threads on one skeleton or dataset",
    "threads and processes that make, replace or remove the same",
    "kills and losses of power",
    "steps that the system refuses",
    "special files in the place of what is written",
    "libraries that damaged files end the process of",
    "modes of files, and calls refused half made",
]


def test_every_kind_is_there_and_has_a_test():
    assert [row[0].strip() for row in ROWS] == KINDS
    assert all(NAMED.search(row[-1]) for row in ROWS)
