"""Fuzz the parsers one after the other, and keep count.

    python tools/fuzz.py run --seconds 600            every target in turn, each for ten minutes
    python tools/fuzz.py run --seconds 60 wkw zarr    two of them
    python tools/fuzz.py keep                         what the corpora in the repository should hold from now on
    python tools/fuzz.py table                        what has been run so far, as Markdown

What runs find lies in `build/fuzz`, which is not part of the repository: a corpus and crashes for each target, and a
line for each run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FUZZ = ROOT / "rust" / "fuzz"
BUILD = ROOT / "build" / "fuzz"
RUNS = BUILD / "runs.jsonl"
#: C code is watched as well; gcc and clang take the same words.
C_FLAGS = "-fsanitize=address -fno-omit-frame-pointer"
#: Bytes of an input, seconds and megabytes that it may take.
LIMITS = {"max_len": 4096, "timeout": 10, "rss_limit_mb": 2048}
#: Inputs of a target that are kept in the repository: how many, and bytes of each.
MOST_KEPT, LONGEST_KEPT = 400, 2000


def targets() -> list[str]:
    """Names of all targets."""
    return [bin_["name"] for bin_ in tomllib.loads((FUZZ / "Cargo.toml").read_text())["bin"]]


def build(folder: Path) -> None:
    """Build all targets, with sanitizers, and put them into `folder`."""
    flags = {name: f"{os.environ.get(name, '')} {C_FLAGS}".strip() for name in ("CFLAGS", "CXXFLAGS")}
    environment = os.environ | flags | {"RUSTC_BOOTSTRAP": "1"}
    subprocess.run(["cargo", "fuzz", "build", "--fuzz-dir", FUZZ], check=True, cwd=ROOT, env=environment)  # noqa: S607 - the one on PATH
    folder.mkdir(parents=True, exist_ok=True)
    host = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout  # noqa: S607
    built = FUZZ / "target" / host.split("host: ")[1].split()[0] / "release"
    for target in targets():
        shutil.copy2(built / target, folder / target)


def run(folder: Path, target: str, seconds: int) -> dict[str, Any]:
    """Fuzz one target and say what came of it."""
    corpus, crashes = (BUILD / kind / target for kind in ("corpus", "crashes"))
    kept = FUZZ / "corpus" / target
    for needed in (corpus, crashes, kept):
        needed.mkdir(parents=True, exist_ok=True)
    before = set(crashes.iterdir())
    words = [f"-{name}={value}" for name, value in LIMITS.items()]
    words += [f"-max_total_time={seconds}", f"-artifact_prefix={crashes}/", "-print_final_stats=1"]
    if (words_of := FUZZ / f"{target}.dict").exists():
        words.append(f"-dict={words_of}")
    begun, cpu = time.time(), cpu_of_children()
    log = BUILD / f"{target}.log"
    with log.open("wb") as out:
        environment = os.environ | {"LSAN_OPTIONS": f"suppressions={FUZZ / 'leaks.txt'}:print_suppressions=0"}
        subprocess.run([folder / target, *words, corpus, kept], stdout=out, stderr=out, check=False, env=environment)
    said = log.read_text(encoding="utf-8", errors="replace")
    inputs = re.findall(r"stat::number_of_executed_units:\s*(\d+)", said) or re.findall(r"^#(\d+)", said, re.MULTILINE)
    edges = re.findall(r"cov: (\d+)", said)
    return {
        "target": target,
        "day": time.strftime("%Y-%m-%d", time.gmtime(begun)),
        "seconds": round(cpu_of_children() - cpu),
        "inputs": int(inputs[-1]) if inputs else 0,
        "edges": int(edges[-1]) if edges else 0,
        "findings": sorted(path.name for path in set(crashes.iterdir()) - before),
    }


def cpu_of_children() -> float:
    """Seconds of processors that ended processes took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def keep(folder: Path, target: str) -> int:
    """Keep the fewest short inputs of a target that reach as much as all that were found, and count them."""
    kept, short, least = FUZZ / "corpus" / target, BUILD / "short" / target, BUILD / "least" / target
    for fresh in (short, least):
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
    named = [path for path in kept.iterdir() if len(path.name) != 40]
    for path in [*(BUILD / "corpus" / target).glob("*"), *kept.iterdir()]:
        if path.stat().st_size <= LONGEST_KEPT:
            shutil.copy2(path, short / path.name)
    subprocess.run([folder / target, "-merge=1", f"-max_len={LONGEST_KEPT}", least, short], check=True)
    chosen = sorted(least.iterdir(), key=lambda path: path.stat().st_size)[:MOST_KEPT]
    for path in set(kept.iterdir()) - set(named):
        path.unlink()
    for path in chosen:
        shutil.copy2(path, kept / path.name)
    return len(chosen)


def table() -> str:
    """Say what all runs did, a row for each target."""
    runs = [json.loads(line) for line in RUNS.read_text().splitlines()]
    rows = ["| target | CPU | inputs | edges | findings | last run |", "|---|---:|---:|---:|---:|---|"]
    for target in targets():
        own = [run for run in runs if run["target"] == target]
        if own:
            cpu, inputs = (sum(run[key] for run in own) for key in ("seconds", "inputs"))
            found = sum(len(run["findings"]) for run in own)
            edges = max(run["edges"] for run in own)
            rows.append(f"| `{target}` | {cpu:,} s | {inputs:,} | {edges:,} | {found} | {own[-1]['day']} |")
    return "\n".join(rows)


def main() -> int:
    """Do what the command line says; 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=["run", "keep", "table"])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all by default")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--built", type=Path, help="folder with targets that are built already")
    arguments = parser.parse_intermixed_args()
    if arguments.job == "table":
        print(table())  # noqa: T201
        return 0
    folder = arguments.built or BUILD / "bin"
    if arguments.built is None:
        build(folder)
    found = []
    for target in arguments.targets or targets():
        if arguments.job == "keep":
            print(f"{target}: {keep(folder, target)} inputs are kept", flush=True)  # noqa: T201
            continue
        result = run(folder, target, arguments.seconds)
        with RUNS.open("a", encoding="utf-8") as out:
            out.write(json.dumps(result) + "\n")
        print(json.dumps(result), flush=True)  # noqa: T201
        found += result["findings"]
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
