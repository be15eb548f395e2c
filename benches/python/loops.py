"""What scripts do once per node, box or small read: the same statement over both packages, and the ratio of each.

A :class:`Loop` is a statement and the names it uses, made with one of the packages. Each package runs all of them in a
process of its own; what the statements give is compared: ``python -m benches.python loops [--loops WORD ...]``.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
import timeit
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

PACKAGES = ("wkfast", "webknossos")
# Lists of loops, one a module, each with a tuple `LOOPS`.
LISTS = ("benches.python.loops_skeleton", "benches.python.loops_geometry", "benches.python.loops_dataset")
_ROUNDS = 5
_ROUND = 0.01
# Statements that take this long run no further rounds.
_LONG = 5.0
_WORST = 10

World = dict[str, Any]


@dataclass(frozen=True)
class Loop:
    """A statement that scripts repeat.

    Attributes
    ----------
    what
        Shown to the reader.
    statement
        Timed, the same text for both packages.
    world
        Makes the names that the statement uses, given a package and a folder for files.
    per
        Things a statement handles: figures are those of one.
    fresh
        The world is made anew before each run, and the statement runs once in it.
    check
        An expression whose value must be equal in both packages after the statement ran; default: the statement itself.
    ours
        The statement for wkfast where it has another way to say it: bulk calls the reference does not know.
    """

    what: str
    statement: str
    world: Callable[[Any, Path], World]
    per: int = 1
    fresh: bool = False
    check: str | None = None
    ours: str | None = None

    def text(self, package: str) -> str:
        """Return the statement for a package."""
        return self.ours if package == "wkfast" and self.ours is not None else self.statement

    def measure(self, package: str, folder: Path) -> tuple[float, str]:
        """Return the seconds for one thing, and what the check gives."""
        module = importlib.import_module(package)
        world = self.world(module, folder)
        text = self.text(package)
        if self.check is None:
            result = eval(text, world)
        else:
            exec(text, world)
            result = eval(self.check, world)
        result = str(plain(result))
        seconds = self._fresh(text, module, folder) if self.fresh else _best(text, world)
        return seconds / self.per, result

    def _fresh(self, text: str, module: Any, folder: Path) -> float:
        seconds = []
        while len(seconds) < _ROUNDS and sum(seconds) < _LONG:
            seconds.append(timeit.Timer(text, globals=self.world(module, folder)).timeit(1))
        return min(seconds)


def _best(statement: str, world: World) -> float:
    timer = timeit.Timer(statement, globals=world)
    number = 1
    while (seconds := timer.timeit(number)) < _ROUND and number < 1 << 20:
        number = max(2 * number, int(number * _ROUND / max(seconds, 1e-9)))
    return min(seconds, *timer.repeat(_ROUNDS, number)) / number


def plain(value: Any) -> Any:
    """Return a value as both packages show it: numbers, texts, and lists of them."""
    if isinstance(value, str | int | float | type(None)):
        return value
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "get_dict") or hasattr(value, "position"):
        return value.id
    if hasattr(value, "to_list"):
        return value.to_list()
    if isinstance(value, dict):
        return sorted((str(plain(key)), plain(item)) for key, item in value.items())
    return [plain(item) for item in value] if hasattr(value, "__iter__") else repr(value)


def rows(folder: Path, runs: int, words: Sequence[str]) -> Iterator[list[str]]:
    """Yield the rows of a table, then the geometric mean and the worst."""
    measured = [{package: _in_process(package, folder, words) for package in PACKAGES} for _ in range(runs)]
    ratios, different = {}, []
    for what in measured[0]["wkfast"]:
        ours, theirs = (_quickest([run[package][what] for run in measured]) for package in PACKAGES)
        if ours[1] != theirs[1]:
            different.append(f"{what}: results differ: {ours[1][:300]} and {theirs[1][:300]}")
        ratios[what] = theirs[0] / ours[0]
        yield [what, duration(ours[0]), duration(theirs[0]), ratio_text(ratios[what]), "", "", ""]
    mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
    slower = sum(ratio < 1 for ratio in ratios.values())
    yield [f"geometric mean of {len(ratios)} loops, {slower} slower", "", "", ratio_text(mean), "", "", ""]
    for what in sorted(ratios, key=ratios.__getitem__)[:_WORST]:
        yield [f"among the worst: {what}", "", "", ratio_text(ratios[what]), "", "", ""]
    if different:
        raise RuntimeError("\n".join(different))


def _quickest(results: list[list[Any]]) -> tuple[float, str]:
    return min(result[0] for result in results), results[0][1]


def ratio_text(ratio: float) -> str:
    """Return how many times quicker, or 1/x where slower."""
    return f"{ratio:.1f}×" if ratio >= 1 else f"1/{1 / ratio:.1f}"


def duration(seconds: float) -> str:
    """Return seconds in the unit that suits them."""
    for unit, factor in (("ns", 1e9), ("µs", 1e6), ("ms", 1e3)):
        if seconds * factor < 1000:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def _in_process(package: str, folder: Path, words: Sequence[str]) -> Mapping[str, list[Any]]:
    command = [sys.executable, "-W", "ignore", "-m", "benches.python.loops", package, str(folder), *words]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=root, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure all loops of one package, or those whose name has one of the words in it."""
    package, folder, *words = sys.argv[1:]
    warnings.simplefilter("ignore")
    Path(folder).mkdir(parents=True, exist_ok=True)
    loops = [loop for name in LISTS for loop in importlib.import_module(name).LOOPS]
    picked = [loop for loop in loops if not words or any(word in loop.what for word in words)]
    results = {}
    for loop in picked:
        try:
            results[loop.what] = loop.measure(package, Path(folder))
        except Exception as error:
            error.add_note(f"in the loop {loop.what!r} with {package}")
            raise
    sys.stdout.write(json.dumps(results) + "\n")
    sys.stdout.flush()
    os._exit(0)  # tearing down the reference's objects takes as long as making them


if __name__ == "__main__":
    main()
