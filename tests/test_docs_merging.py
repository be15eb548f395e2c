"""The commands and programs of docs/merging.md work as they stand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from wkfast.demo.generate import generate

DOCS = Path(__file__).resolve().parents[1] / "docs"
TEXT = (DOCS / "merging.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture
def workplace(tmp_path):
    generate(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", blocks("sh"), ids=range(len(blocks("sh"))))
def test_shell_commands_run(block, workplace):
    for command in block.splitlines():
        assert command.startswith("wkfast ")
        done = subprocess.run(
            [sys.executable, "-m", "wkfast", *command.split()[1:]], cwd=workplace, capture_output=True, text=True
        )
        assert done.returncode == 0, (command, done.stderr)


@pytest.mark.parametrize("block", blocks("python"), ids=range(len(blocks("python"))))
def test_python_programs_run(block, workplace):
    (workplace / "program.py").write_text(block)
    done = subprocess.run([sys.executable, "program.py"], cwd=workplace, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (DOCS / target).exists(), target
