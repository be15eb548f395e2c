"""A wrong file, archive or answer of a server raises an error of wkfast's own, never another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.boundary.drive import LONGEST, READERS

ROOT = Path(__file__).resolve().parents[2]
# For each reader, s; `make boundary` gives them more, and cases that nobody has seen.
SECONDS = float(os.environ.get("WKFAST_BOUNDARY_SECONDS", "2"))
FIRST = int(os.environ.get("WKFAST_BOUNDARY_FIRST", "0"))


@pytest.mark.parametrize("reader", [*READERS, "servers"])
def test_mutated_input_raises_errors_of_wkfast_alone(reader, tmp_path):
    if reader == "servers":
        pytest.importorskip("uvicorn", reason="the stand-in server needs starlette, uvicorn and python-multipart")
    command = [sys.executable, "-m", "tests.boundary.drive", reader, str(tmp_path), str(FIRST), str(SECONDS)]
    path = os.pathsep.join([str(ROOT), *sys.path])
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(tmp_path)},
        timeout=SECONDS + 2 * LONGEST,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"{lines[-1:]} ended the process with {done.returncode}: {done.stderr[-2000:]}"
    findings = [f"case {line['found']}: {line['trace']}" for line in lines if "found" in line]
    assert not findings, "\n".join(findings[:3])
    assert lines[-1]["tried"] > 0
    assert not list(tmp_path.glob("wkfast-*")), "failed calls left temporary folders"


def test_a_reader_that_raises_anything_else_is_found(tmp_path):
    from tests.boundary.drive import outcome

    def wrong() -> None:
        raise KeyError("name")

    assert outcome(wrong)[0] == "KeyError"
    assert outcome(lambda: None) is None
