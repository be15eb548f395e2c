"""Takes the power away from writing jobs, in a model of the disk, and looks at what becomes of the data.

``python -m tests.harm.power_loss check FOLDER SEED MOST JOB…``: records what the jobs do, replays what may be left of
it at every moment, at most so many states per job, and prints a line of JSON for every finding and one for each job.
``python -m tests.harm.power_loss run FOLDER JOB…`` is the process that is recorded.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.harm.crashes import crashes
from tests.harm.disk import Disk
from tests.harm.drive import done, say
from tests.harm.recording import calls, record
from tests.harm.writing_jobs import JOBS, files, read_state

import wkfast as wk
from wkfast.errors import VolumeDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.harm.crashes import Crash
    from tests.harm.disk import Tree

# Text of the same length that stands for the run of the machine before it went down.
BEFORE = "00000000-0000-4000-8000-000000000000"
BOOT = Path("/proc/sys/kernel/random/boot_id")
CHANCES = 6  # states that are drawn at each moment, beside the plain ones
WIDTH = 4  # so many times the states that are looked at are made up, so that they are of many moments


@dataclass(frozen=True)
class Loss:
    """What a job may lose of what it made, and what is left to the user then.

    Files of voxels that are new, and take the place of no others, are not synced. So in what the job made (and nowhere
    else) such files may be missing, which are zeros, or damaged, which is an error that names them.

    Attributes
    ----------
    made
        The folder that the job makes, from the job's.
    remove
        Takes it away, so that the same call makes it anew.
    """

    made: str
    remove: Callable[[Path], object]


def dataset(folder: Path) -> wk.Dataset:
    return wk.Dataset.open(folder / "dataset")


# Every other job ends with all of its result on disk, or is as if it had not begun.
MAY_LOSE: dict[str, Loss] = {
    "export": Loss("dataset/exported", lambda folder: dataset(folder).delete_layer("exported")),
    "copy a layer": Loss("dataset/copied", lambda folder: dataset(folder).delete_layer("copied")),
    "downsample": Loss("dataset/one/2", lambda folder: dataset(folder).get_layer("one").delete_mag(2)),
    "merge": Loss("merged", lambda folder: shutil.rmtree(folder / "merged")),
    "merge by tasks": Loss("merged", lambda folder: shutil.rmtree(folder / "merged")),
}


class Replay:
    """A job whose calls were recorded: what is there before and after, and what its states are held to."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.job = name, JOBS[name]
        self.valid, self.work, self.whole = folder / "valid", folder / "work", folder / "whole"
        self.temporary = folder / "tmp"
        for each in (self.valid, self.temporary):
            each.mkdir(parents=True)
        outcome = done(lambda: self.job.prepare(self.valid) and None)
        assert "error" not in (outcome or {"error": "killed"}), outcome
        shutil.copytree(self.valid, self.work, symlinks=True)
        self.before, self.files_before = self.state(), files(self.work)
        self.disk = Disk(folder)
        self.boot = BOOT.read_text().strip().encode()
        self.findings = self.states = 0

    def follow(self, log: Iterable[Any]) -> None:
        """Take over what was recorded, and see that it explains what is there."""
        self.disk.follow(log)
        found, there = below(self.disk.tree(), "work"), Disk(self.work).tree()
        assert found == there, f"not understood: {sorted(set(found.items()) ^ set(there.items()), key=str)[:3]}"
        self.after, self.files_after = self.state(), files(self.work)
        self.work.rename(self.whole)

    def state(self) -> Any:
        outcome = done(lambda: read_state(self.job, self.work))
        return outcome.get("result", outcome)

    def find(self, what: str, crash: Crash, **facts: Any) -> None:
        self.findings += 1
        step = self.disk.steps[crash.moment - 1]
        say(job=self.name, finding=what, moment=crash.moment, after=type(step).__name__, told=crash.told, **facts)

    def check(self, chance: random.Random, most: int, *, by_folder: bool) -> None:
        """Look at states that differ, at most so many."""
        distinct: dict[bytes, Crash] = {}
        for crash in crashes(self.disk, chance, each=CHANCES, by_folder=by_folder):
            distinct.setdefault(digest(below(crash.tree, "work")), crash)
            if len(distinct) >= WIDTH * most:
                break
        chosen = list(distinct.values())
        if len(chosen) > most:
            chosen = chance.sample(chosen, most)
        for crash in chosen:
            self.states += 1
            self.look(crash)

    def look(self, crash: Crash) -> None:
        """Old or new is read, or what may be lost is; the same call finishes; nothing is left."""
        tree = below(crash.tree, "work")
        restore(tree, self.work, self.valid, lambda content: content.replace(self.boot, BEFORE.encode()))
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(self.temporary)
        state = self.state()
        if state not in (self.before, self.after):
            loss = MAY_LOSE.get(self.name)
            refused = "nothing may be lost" if loss is None else self._refused(crash, loss)
            if refused is not None:
                self.find("neither old nor new is read", crash, state=state, refused=refused)
                return
            assert loss is not None
            outcome = done(lambda: loss.remove(self.work))
            if outcome is None or "error" in outcome:
                self.find("what was lost cannot be removed", crash, outcome=outcome)
                return
        self._again(crash)

    def _again(self, crash: Crash) -> None:
        again = done(lambda: self.job.run(self.work))
        if again is None or "error" in again:
            self.find("the same call is refused later", crash, again=again)
        elif self.state() != self.after:
            self.find("the same call ends otherwise", crash, state=self.state())
        else:
            left = sorted(name for name in files(self.work) - self.files_after if ".wkfast-" not in name)
            if left:
                self.find("left behind for ever", crash, left=left[:5])

    def _refused(self, crash: Crash, loss: Loss) -> str | None:
        """Return why a state is none that a job may leave; see :class:`Loss`."""
        lost = [path.removeprefix("work/") for path in crash.lost if path.startswith(f"work/{loss.made}/")]
        lost = [path for path in lost if path not in self.files_before and not path.endswith((".json", ".wkw.header"))]
        if not lost:
            return "no new file of voxels was lost"
        outcome = done(lambda: differs(self.work, self.whole, lost))
        return outcome["result"] if outcome and "result" in outcome else str(outcome)


def differs(found: Path, whole: Path, lost: list[str]) -> str | None:
    """Return how datasets differ but by zeros and by errors that name files that were lost."""
    warnings.simplefilter("ignore")
    for properties in sorted(whole.rglob("datasource-properties.json")):
        place = properties.parent.relative_to(whole)
        mine, full = wk.Dataset.open(found / place), wk.Dataset.open(properties.parent)
        if {name: facts(layer) for name, layer in mine.layers.items()} != {
            name: facts(layer) for name, layer in full.layers.items()
        }:
            return f"other layers or mags in {place}"
        for name, layer in full.layers.items():
            for mag, view in layer.mags.items():
                try:
                    voxels = mine.layers[name].mags[mag].read()
                except VolumeDataError as error:
                    if not any(path in str(error) for path in lost):
                        return f"an error that names no lost file: {error}"
                    continue
                if not ((voxels == view.read()) | (voxels == 0)).all():
                    return f"other voxels in {name}/{mag}"
    return None


def facts(layer: wk.Layer) -> Any:
    return str(layer.bounding_box), getattr(layer, "largest_segment_id", None), sorted(map(str, layer.mags))


def below(tree: Tree, folder: str) -> Tree:
    return {path.removeprefix(f"{folder}/"): what for path, what in tree.items() if path.startswith(f"{folder}/")}


def digest(tree: Tree) -> bytes:
    told = hashlib.sha256()
    for path, what in sorted(tree.items()):
        told.update(f"{path}\0{type(what).__name__}\0".encode())
        told.update(what.encode() if isinstance(what, str) else hashlib.sha256(what or b"").digest())
    return told.digest()


def restore(tree: Tree, folder: Path, before: Path, change: Callable[[bytes], bytes]) -> None:
    """Make a folder be what the tree says; files that are as before are as old as before, too."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, what in tree.items():
        if what is None:
            (folder / path).mkdir()
        elif isinstance(what, str):
            (folder / path).symlink_to(what)
        elif (before / path).is_file() and (before / path).read_bytes() == what:
            shutil.copy2(before / path, folder / path)
        else:
            (folder / path).write_bytes(change(what))


def slug(name: str) -> str:
    return name.replace(" ", "-")


def run(folder: Path, names: list[str]) -> None:
    """Run the jobs, one after the other, while somebody records."""
    warnings.simplefilter("ignore")
    for name in names:
        tempfile.tempdir = str(folder / slug(name) / "tmp")
        os.environ["TMPDIR"] = tempfile.tempdir
        JOBS[name].run(folder / slug(name) / "work")


def check(folder: Path, seed: str, most: int, names: list[str], *, by_folder: bool) -> None:
    replays = [Replay(name, folder / slug(name)) for name in names]
    log = folder / "log"
    record([sys.executable, "-m", "tests.harm.power_loss", "run", str(folder), *names], log, os.environ)
    told = list(calls(log))
    for replay in replays:
        replay.follow(told)
        replay.check(random.Random(f"{seed} {replay.name}"), most, by_folder=by_folder)
        say(job=replay.name, steps=len(replay.disk.steps), states=replay.states, findings=replay.findings)


def main() -> None:
    if sys.argv[1] == "run":
        run(Path(sys.argv[2]), sys.argv[3:])
    else:
        by_folder = bool(os.environ.get("WKFAST_NAMES_BY_FOLDER"))
        check(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5:] or list(JOBS), by_folder=by_folder)


if __name__ == "__main__":
    main()
