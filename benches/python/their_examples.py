"""The reference package's own examples of computing on annotations, run against either package: they find the same.

Usage: ``python -m benches.python.their_examples EXAMPLES [FOLDER]``. EXAMPLES is the folder ``webknossos/examples`` of
a checkout of webknossos-libs, of which nothing is kept here. What they download is made in FOLDER instead.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benches.python import volumes

# File, the function that does the work, and what it is called with.
EXAMPLES = {
    "calculate_segment_sizes": ("main", ()),
    "apply_merger_mode": ("main", ()),
    "skeleton_path_length": ("calculate_path_length", ("",)),
}
_EDGE, _CHUNKS, _TREES, _NODES = 512, 50, 20, 50


def _compare(examples: Path, folder: Path) -> bool:
    """Run every example that is there in both packages; print seconds, and whether they found the same."""
    volumes.volume(folder, "zarr3", _EDGE, _CHUNKS)
    equal = True
    for name in EXAMPLES:
        if not (examples / f"{name}.py").exists():
            print(f"{name}: there is no such example")
            continue
        ours, theirs = (_run_in_process(examples, folder, name, package) for package in ("wkfast", "webknossos"))
        same = ours["found"] == theirs["found"]
        equal &= same
        verdict = "equal" if same else f"DIFFERENT: {ours['found']} and {theirs['found']}"
        print(f"{name}: wkfast {ours['seconds']:.2f} s, webknossos {theirs['seconds']:.2f} s, {verdict}")
    return equal


def _run_in_process(examples: Path, folder: Path, name: str, package: str) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-m", "benches.python.their_examples"]
    done = subprocess.run(
        [*command, str(examples), str(folder), name, package],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _run(examples: Path, folder: Path, name: str, package: str) -> dict[str, Any]:
    """Run one example in this process, where `package` is what it imports as ``webknossos``."""
    wk: Any = importlib.import_module(package)
    sys.modules["webknossos"] = wk
    os.environ["PYTEST_CURRENT_TEST"] = name  # they upload nothing then
    source = volumes.volume(folder, "zarr3", _EDGE, _CHUNKS)
    copied = folder / f"copied-{package}"
    shutil.rmtree(copied, ignore_errors=True)
    shutil.copytree(source.datasets / volumes.DATASET, copied)
    annotation = _with_trees(wk, source.annotation)
    wk.Annotation.download = staticmethod(lambda *_, **__: annotation)
    wk.Dataset.download = staticmethod(lambda *_, **__: wk.Dataset.open(copied))
    specification = importlib.util.spec_from_file_location(name, examples / f"{name}.py")
    if specification is None or specification.loader is None:
        raise RuntimeError(f"{examples / name}.py is no Python")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    function, arguments = EXAMPLES[name]
    start, printed = time.perf_counter(), io.StringIO()
    with contextlib.redirect_stdout(printed):
        getattr(module, function)(*arguments)
    seconds = time.perf_counter() - start
    layers = {made: _digest(layer) for made, layer in wk.Dataset.open(copied).layers.items()}
    # In any order: trees have none in the reference package.
    words = " ".join(sorted(re.findall(r"[\w.]+", printed.getvalue())))
    return {"seconds": seconds, "found": [hashlib.sha256(words.encode()).hexdigest()[:16], layers]}


def _with_trees(wk: Any, path: Path) -> Any:
    """Return the annotation with some trees, which merger mode makes one segment each."""
    annotation = wk.Annotation.load(path)
    draw = np.random.default_rng(5)
    for number in range(_TREES):
        tree = annotation.skeleton.add_tree(f"tree {number}")
        walk = (draw.integers(0, _EDGE, 3) + draw.integers(-9, 10, (_NODES, 3)).cumsum(axis=0)) % _EDGE
        nodes = [tree.add_node(position=tuple(place)) for place in walk.tolist()]
        for one, other in itertools.pairwise(nodes):
            tree.add_edge(one, other)
    return annotation


def _digest(layer: Any) -> str:
    return hashlib.sha256(layer.get_mag(1).read().tobytes()).hexdigest()[:16]


def main() -> None:
    """Compare all examples; a process of its own for each and each package."""
    examples = Path(sys.argv[1]).resolve()
    if len(sys.argv) > 3:
        print(json.dumps(_run(examples, Path(sys.argv[2]), *sys.argv[3:5])))
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(sys.argv[2] if len(sys.argv) > 2 else made)
        sys.exit(not _compare(examples, folder))


if __name__ == "__main__":
    main()
