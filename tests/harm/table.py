"""Makes calls fail in every writing job, and prints what came of it as a table in Markdown: `make faults`.

``python -m tests.harm.table FOLDER SEED MOST``: at most so many failures for each job. A cell says how many calls were
made to fail, each in one run of the job and with one of seven errors, and how many of the kind the job makes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.harm.drive import CALLS
from tests.harm.shim import compiled
from tests.harm.writing_jobs import JOBS

ROOT = Path(__file__).resolve().parents[2]


def told_of(job: str, folder: Path, seed: str, most: str, library: Path) -> list[dict]:
    """Return what the driver says of a job."""
    command = [sys.executable, "-m", "tests.harm.drive", "faults", job, str(folder / job.replace(" ", "-")), seed, most]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "LD_PRELOAD": str(library)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def row(cells: list[object]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |\n"


def main() -> None:
    folder, seed, most = Path(sys.argv[1]).absolute(), sys.argv[2], sys.argv[3]
    folder.mkdir(parents=True)
    library = compiled(folder)
    out = sys.stdout
    out.write(row(["job", *CALLS, "findings"]) + row(["---"] * (len(CALLS) + 2)))
    found: list[dict] = []
    for job in JOBS:
        *findings, last = told_of(job, folder, seed, most, library)
        found += findings
        made = [f"{last['done'].get(call, 0)} / {last['calls'].get(call, 0)}" for call in CALLS]
        out.write(row([job, *made, last["findings"]]))
        out.flush()
    for finding in found:
        out.write(json.dumps(finding) + "\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
