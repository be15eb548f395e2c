"""The commands and programs of the pages below docs/ work as they stand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.inputs import demo_input

DOCS = Path(__file__).resolve().parents[1] / "docs"
# Made while the site is built.
GENERATED = {"changelog.md", "commands.md", "decisions/index.md"}
PAGES = {page.name: page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md"))}


def blocks(language):
    """Every block of a language, with the page it is on."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    found = [(name, block) for name, text in PAGES.items() for block in pattern.findall(text)]
    return [pytest.param(block, id=f"{name}-{n}") for n, (name, block) in enumerate(found)]


@pytest.fixture
def workplace(tmp_path):
    demo_input(tmp_path)
    return tmp_path


def test_merging_and_porting_are_among_the_pages():
    assert {"merging.md", "porting.md"} <= PAGES.keys()
    assert len(blocks("sh")) >= 4
    assert len(blocks("python")) >= 5


@pytest.mark.parametrize("block", blocks("sh"))
def test_shell_commands_run(block, workplace):
    for command in block.splitlines():
        assert command.startswith("wkfast ")
        done = subprocess.run(
            [sys.executable, "-m", "wkfast", *command.split()[1:]], cwd=workplace, capture_output=True, text=True
        )
        assert done.returncode == 0, (command, done.stderr)


@pytest.mark.parametrize("block", blocks("python"))
def test_python_programs_run(block, workplace):
    (workplace / "program.py").write_text(block)
    done = subprocess.run([sys.executable, "program.py"], cwd=workplace, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name):
    for target in re.findall(r"\]\(([^)#]+)\)", PAGES[name]):
        assert target.startswith("http") or (DOCS / target).exists() or target in GENERATED, target
