"""Jobs that disturb and are disturbed: handed in, watched, and their result compared with an undisturbed merge's."""

import re
import subprocess
import sys
import time
import uuid
from pathlib import Path

from tests.inputs import tree_state

ROOT = Path(__file__).resolve().parents[2]
LONGEST_SECONDS = 300
MERGE = "merge-fallback merged annotation.zip datasets"


def slurm_answers():
    """What keeps Slurm from answering; `None`: it does."""
    try:
        asked = subprocess.run(["sinfo", "-h", "-N", "-o", "%N"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if asked.returncode or not asked.stdout.strip():
        return asked.stderr.strip() or "there are no nodes"
    return None


def run(*command, cwd=None):
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def slow(prepared, **variables):
    given = "".join(f"{name}={value} " for name, value in variables.items())
    return f"env {given}LD_PRELOAD={prepared / 'slow.so'} {sys.executable} -m wkfast"


def arrays(folder, prepared, *options, **variables):
    """Hand in what `wkfast merge script` prints, slowed down, and return the numbers of its jobs."""
    wkfast = (sys.executable, "-m", "wkfast")
    run(*wkfast, *MERGE.replace("merge-fallback", "merge plan merge.plan").split(), cwd=folder)
    sizes = ("--cpus", 1, "--mem", "200M", "--rate", "0.05", "--minutes", "1", "--command", slow(prepared, **variables))
    of_sbatch = [f"--option={option}" for option in options]
    script = run(*wkfast, "merge", "script", "merge.plan", "--slurm", *sizes, *of_sbatch, cwd=folder)
    (folder / "merge.sh").write_text(script)
    return hand_in(folder)


def hand_in(folder):
    return re.findall(r"job (\d+)$", run("bash", "merge.sh", cwd=folder), re.MULTILINE)


def readme_job(folder, prepared, *options, changes=(), **variables):
    """Hand in the batch script of the README and return its number."""
    (script,) = re.findall(r"^```sbatch\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    for before, after in (
        ("srun wkfast", f"srun {slow(prepared, **variables)}"),
        ("cpus-per-task=16", "cpus-per-task=1"),
        ("mem=4G", "mem=200M"),
        *changes,
    ):
        assert before in script
        script = script.replace(before, after)
    number = uuid.uuid4().hex
    (folder / f"{number}.sbatch").write_text(script)
    variables = "ALL,TARGET=merged,ANNOTATION=annotation.zip,DATASETS=datasets"
    usual = ("--parsable", "--job-name=wkfast-test", "--open-mode=append", f"--export={variables}", "--output=%j.log")
    return run("sbatch", *usual, *options, f"{number}.sbatch", cwd=folder).strip()


def facts(job):
    """What Slurm says of a job; of an array of each task."""
    lines = run("scontrol", "show", "job", "-o", job).splitlines()
    return [dict(part.split("=", 1) for part in line.split(" ") if "=" in part) for line in lines]


def wait(job):
    """Wait for the end of a job, requeued or not, and return what Slurm says of it then."""

    return until(lambda: all(map(over, facts(job))), job)


def over(found):
    # There are many other states, some for a moment: a job that is being signalled is in one of its own.
    return found["JobState"] in {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL"}


def until(reached, job):
    end = time.monotonic() + LONGEST_SECONDS
    while not reached():
        assert time.monotonic() < end, facts(job)
        time.sleep(0.2)
    return facts(job)


def files_of(target):
    return [path for path in target.rglob("x*.wkw") if ".wkfast-merge" not in path.parts]


def in_the_middle(folder, job):
    """Wait until a merge has written something; it has not written all, for it is slow."""
    until(lambda: files_of(folder / "merged"), job)
    assert len(files_of(folder / "merged")) < len(files_of(folder / "expected"))


def log(folder, pattern):
    return "".join(path.read_text() for path in sorted(folder.glob(pattern)))


def assert_merged(folder):
    expected, merged = (tree_state(folder / name) for name in ("expected", "merged"))
    for files in (expected, merged):
        files.pop("wkfast-merge.json")
    assert merged == expected
    assert not list((folder / "merged").glob(".wkfast*"))
