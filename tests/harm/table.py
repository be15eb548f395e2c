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

from tests.harm import recording
from tests.harm.drive import CALLS
from tests.harm.injection import SYSCALLS
from tests.harm.shim import compiled
from tests.harm.writing_jobs import JOBS

ROOT = Path(__file__).resolve().parents[2]


def told_of(kind: str, job: str, folder: Path, seed: str, most: str, **environment: str) -> list[dict]:
    """Return what the driver says of a job."""
    place = folder / kind / job.replace(" ", "-")
    command = [sys.executable, "-m", "tests.harm.drive", kind, job, str(place), seed, most]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), **environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def row(cells: list[object]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |\n"


def main() -> None:
    folder, seed, most = Path(sys.argv[1]).absolute(), sys.argv[2], sys.argv[3]
    folder.mkdir(parents=True)
    library = compiled(folder)
    out, can_trace = sys.stdout, recording.is_possible()
    columns = (*CALLS, *SYSCALLS)
    out.write(row(["job", *columns, "findings"]) + row(["---"] * (len(columns) + 2)))
    found: list[dict] = []
    for job in JOBS:
        *findings, last = told_of("faults", job, folder, seed, most, LD_PRELOAD=str(library))
        *more, past = told_of("syscalls", job, folder, seed, most) if can_trace else [{"done": {}, "calls": {}}]
        found += findings + more
        done, calls = last["done"] | past["done"], last["calls"] | past["calls"]
        made = [f"{done.get(call, 0)} / {calls[call]}" if call in calls else "–" for call in columns]
        out.write(row([job, *made, len(findings) + len(more)]))
        out.flush()
    for finding in found:
        out.write(json.dumps(finding) + "\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
