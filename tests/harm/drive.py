"""Does harm to writing jobs, and looks at what becomes of the data.

``python -m tests.harm.drive kills JOB FOLDER SEED COUNT``: SIGKILL at random moments, so many times.
``python -m tests.harm.drive faults JOB FOLDER SEED MOST``: calls of the system that fail, at most so many; the process
is started with the library made of ``faults.c`` in LD_PRELOAD.
``python -m tests.harm.drive syscalls JOB FOLDER SEED MOST``: those that go past libc, which strace makes fail.
``python -m tests.harm.drive sizes JOB FOLDER SEED COUNT``: files may not be longer than a limit, of so many.
``python -m tests.harm.drive locks JOB FOLDER SEED 1``: the system has no locks.

Prints a line of JSON for every finding, and one at the end.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.harm.injection import SYSCALL_ERRORS, SYSCALLS, injected, numbers_of
from tests.harm.refusals import limit_files, refuse_locks
from tests.harm.writing_jobs import JOBS, files, read_state

from wkfast.errors import WkfastError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CALLS = ("write", "pwrite", "fsync", "rename", "open", "copy_file_range", "ftruncate", "mmap", "mkdir", "unlink")
ERRORS = ("ENOSPC", "EIO", "EDQUOT", "EROFS", "EACCES", "EMFILE", "EINTR")


def in_child(work: Callable[[], Any]) -> tuple[int, Callable[[], Any]]:
    """Begin work in a forked process; return its id, and what waits for its result: ``None`` if it was killed."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reads)
        warnings.simplefilter("ignore")
        try:
            result = {"result": work()}
        except BaseException as error:  # noqa: BLE001 - the parent judges
            own = isinstance(error, WkfastError) or (isinstance(error, OSError) and error.filename is not None)
            result = {"error": repr(error), "own": own, "trace": "".join(traceback.format_exception(error)[-6:])}
        os.write(writes, json.dumps(result).encode())
        os._exit(0)
    os.close(writes)

    def wait() -> Any:
        with os.fdopen(reads, "rb") as pipe:
            told = pipe.read()
        os.waitpid(child, 0)
        return json.loads(told) if told else None

    return child, wait


def done(work: Callable[[], Any]) -> Any:
    return in_child(work)[1]()


class Trial:
    """A job over data that is made once: what is there before it and after it, and how long it takes."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.job = name, JOBS[name]
        self.valid, self.work, self.temporary = folder / "valid", folder / "work", folder / "tmp"
        self.valid.mkdir(parents=True)
        self.temporary.mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(self.temporary)
        self.findings = 0
        self._must(done(lambda: self.job.prepare(self.valid) and None))
        self.reset()
        self.before, self.files_before = self.state(), files(self.work)
        began = time.monotonic()
        self._must(done(self.run))
        self.seconds = time.monotonic() - began
        self.after, self.files_after = self.state(), files(self.work)
        assert self.before != self.after or name in {"compress", "rechunk"}, "the job changes nothing that is looked at"

    @staticmethod
    def _must(outcome: Any) -> None:
        assert "error" not in (outcome or {"error": "killed"}), outcome

    def reset(self) -> None:
        for folder in (self.work, self.temporary):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.valid, self.work)
        self.temporary.mkdir()

    def run(self) -> None:
        self.job.run(self.work)

    def state(self) -> Any:
        outcome = done(lambda: read_state(self.job, self.work))
        return outcome.get("result", outcome)

    def find(self, what: str, **facts: Any) -> None:
        self.findings += 1
        say(job=self.name, finding=what, **facts)

    def check(self, harm: dict[str, Any], *, killed: bool) -> None:
        """Old or new is read; the same call finishes; nothing is left."""
        state = self.state()
        if state not in (self.before, self.after):
            self.find("neither old nor new is read", state=state, **harm)
        if not killed:
            self._check_tidy("a failed call left", harm)
        again = done(self.run)
        if again is None or "error" in again:
            self.find("the same call is refused later", again=again, **harm)
        elif self.state() != self.after:
            self.find("the same call ends otherwise", state=self.state(), **harm)
        else:
            # What has a name of ours waits for the next change of the mag or file that it lies beside.
            left = sorted(name for name in files(self.work) - self.files_after if ".wkfast-" not in name)
            if left:
                self.find("left behind for ever", left=left[:5], **harm)

    def _check_tidy(self, what: str, harm: dict[str, Any]) -> None:
        left = sorted(path.name for path in self.temporary.iterdir())
        if left:
            self.find(f"{what} in TMPDIR", left=left[:5], **harm)


def kills(trial: Trial, chance: random.Random, most: int) -> int:
    """Kill the job at random moments, so many times; return how often."""
    count = tries = 0
    longest = trial.seconds
    while count < most and tries < 4 * most:
        trial.reset()
        child, wait = in_child(trial.run)
        after = chance.uniform(0, longest)
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
        killed = wait() is None
        count, tries = count + killed, tries + 1
        # A third come too late, and so some at the very end, however long the job takes on a busy machine.
        longest *= 1.1 if killed else 0.8
        trial.check({"after": after, "killed": killed}, killed=True)
    return count


def raised_by(run: Callable[[], None], folder: Path) -> dict[str, Any]:
    """Run, and return what is to be judged of an error; nothing if there was none."""
    try:
        run()
    except BaseException as fault:  # noqa: BLE001 - it is judged
        filename = getattr(fault, "filename", None)
        return {
            "error": repr(fault),
            "own": isinstance(fault, WkfastError) or (isinstance(fault, OSError) and filename is not None),
            "names": any(part in f"{fault} {filename}" for part in (folder.name, "a.zip", "wkfast-")),
            "trace": "".join(traceback.format_exception(fault)[-6:]),
        }
    return {}


class Shim:
    """The library that makes calls fail."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL(None)
        self.library.wkfast_fault_seen.restype = self.library.wkfast_fault_failed.restype = ctypes.c_long

    def arm(self, call: str, folder: Path, error: int, number: int) -> None:
        self.library.wkfast_fault_arm(call.encode(), str(folder).encode(), error, ctypes.c_long(number))

    def with_fault(self, call: str, folder: Path, error: int, number: int, run: Callable[[], None]) -> Any:
        """Run with a fault in a child; return calls seen, faults made, and what came of it."""

        def work() -> Any:
            self.arm(call, folder, error, number)
            raised = raised_by(run, folder)
            self.library.wkfast_fault_disarm()
            return {
                "seen": self.library.wkfast_fault_seen(),
                "failed": self.library.wkfast_fault_failed(),
                "raised": raised,
            }

        return done(work)


def cases(trial: Trial, shim: Shim) -> Iterator[tuple[str, Path, int]]:
    """Yield every call of every kind that the job makes, in its folder and in TMPDIR, by its number."""
    for call in CALLS:
        for folder in (trial.work, trial.temporary):
            trial.reset()
            seen = shim.with_fault(call, folder, 0, 0, trial.run)["result"]["seen"]
            yield from ((call, folder, number) for number in range(1, seen + 1))


def judge(trial: Trial, raised: dict[str, Any], harm: dict[str, Any]) -> None:
    """Look at an error, if there was one, and at the data."""
    if raised and not raised["own"]:
        trial.find("an error that is none of wkfast's own", raised=raised, **harm)
    elif raised and not raised["names"]:
        trial.find("an error that names no file", raised=raised, **harm)
    if not raised and trial.state() != trial.after:
        trial.find("done, but not done", **harm)
    trial.check(harm, killed=False)


def refused(trial: Trial, refuse: Callable[[], None], harm: dict[str, Any]) -> bool:
    """Run the job where the system refuses something from the start; return whether the job failed for it."""

    def work() -> dict[str, Any]:
        refuse()
        return raised_by(trial.run, trial.work)

    trial.reset()
    told = done(work)
    if told is None or "result" not in told:
        trial.find("the process died", told=told, **harm)
        return False
    judge(trial, told["result"], harm)
    return bool(told["result"])


def sizes(trial: Trial, chance: random.Random, count: int) -> int:
    """Refuse files beyond several sizes, the least first; return how often the job failed."""
    trial.reset()
    done(trial.run)
    largest = max(file.stat().st_size for file in trial.work.rglob("*") if file.is_file())
    limits = [0, *sorted(chance.randrange(1, largest + 1) for _ in range(count - 1))]
    return sum(refused(trial, partial(limit_files, limit), {"limit": limit}) for limit in limits)


def faults(trial: Trial, chance: random.Random, most: int) -> tuple[dict[str, int], dict[str, int]]:
    """Make calls fail; return how many of each kind did, and how many calls of each kind there are."""
    shim = Shim()
    known = list(cases(trial, shim))
    everything = [(*case, error) for case in known for error in ERRORS]
    chosen = everything if len(everything) <= most else chance.sample(everything, most)
    counts: dict[str, int] = {}
    for call, folder, number, error in chosen:
        trial.reset()
        told = shim.with_fault(call, folder, getattr(errno, error), number, trial.run)
        harm = {"call": call, "number": number, "error": error, "where": folder.name}
        if told is None or "result" not in told:
            trial.find("the process died", told=told, **harm)
            continue
        outcome = told["result"]
        if not outcome["failed"]:
            continue
        counts[call] = counts.get(call, 0) + 1
        judge(trial, outcome["raised"], harm)
    return counts, dict(Counter(call for call, _, _ in known))


def syscalls(trial: Trial, chance: random.Random, most: int) -> tuple[dict[str, int], dict[str, int]]:
    """As :func:`faults`, of calls that go past libc. Each thread counts its own calls, and all fail at that number."""
    run = [sys.executable, "-m", "tests.harm.drive", "run", trial.name, str(trial.work)]
    log = trial.valid.with_name("strace.log")
    trial.reset()
    numbers = numbers_of(run, log)
    known = [(call, number) for call in SYSCALLS for number in range(1, numbers.get(call, 0) + 1)]
    everything = [(*case, error) for case in known for error in SYSCALL_ERRORS]
    chosen = everything if len(everything) <= most else chance.sample(everything, most)
    counts: Counter[str] = Counter()
    for call, number, error in chosen:
        trial.reset()
        told, failed = injected(run, log, call, number, error)
        harm = {"call": call, "number": number, "error": error}
        if told is None:
            trial.find("the process died", **harm)
        elif failed:
            counts[call] += 1
            judge(trial, told, harm)
    return counts, dict(Counter(call for call, _ in known))


def say(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main() -> None:
    if sys.argv[1] == "run":
        job, work = JOBS[sys.argv[2]], Path(sys.argv[3])
        warnings.simplefilter("ignore")
        say(**raised_by(lambda: job.run(work), work))
        return
    kind, name, folder, seed, amount = sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4], float(sys.argv[5])
    trial, chance = Trial(name, folder), random.Random(seed)
    if kind == "kills":
        say(job=name, done=kills(trial, chance, int(amount)), findings=trial.findings)
        return
    if kind == "sizes":
        say(job=name, done=sizes(trial, chance, int(amount)), findings=trial.findings)
        return
    if kind == "locks":
        failed_once = refused(trial, refuse_locks, {"locks": "refused"})
        say(job=name, done=1, failed=failed_once, findings=trial.findings)
        return
    failed, calls = (syscalls if kind == "syscalls" else faults)(trial, chance, int(amount))
    say(job=name, done=failed, calls=calls, findings=trial.findings)


if __name__ == "__main__":
    main()
