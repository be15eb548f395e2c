"""Install a wheel as users do, with no Rust in sight, into fresh environments, and work with it.

``python packaging/try_wheel.py dist/wkfast-*.whl [PYTHON ...]`` takes the interpreters that are named, else all from
3.11 on that are found. The oldest gets the oldest releases of the dependencies that wkfast supports, too; each gets the
newest. Printed is a row for each: Python, C library, releases, seconds to install the wheel beside its dependencies,
and for a first run. Nothing of wkfast may stay behind when it is removed. Needs ``uv``.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

FIRST_RUN = Path(__file__).with_name("first_run.py")
OLDEST, NEWEST = (3, 11), (3, 15)
_FACTS = """
import importlib.metadata, json, platform
versions = {name: importlib.metadata.version(name) for name in ("numpy", "zarr", "httpx", "rich")}
print(json.dumps([platform.python_version(), " ".join(platform.libc_ver()), versions]))
"""


def main(arguments: list[str]) -> None:
    """Do what the module says."""
    wheel, *named = arguments
    pythons = named or found()
    if not pythons:
        sys.exit("there is no Python to try the wheel with")
    for python in pythons:
        for resolution in ("lowest-direct", "highest") if python == pythons[0] else ("highest",):
            sys.stdout.write(attempt(Path(wheel).resolve(), python, resolution) + "\n")
            sys.stdout.flush()


def found() -> list[str]:
    """Return interpreters that wkfast supports, oldest first, one of each release."""
    folders = [*os.environ["PATH"].split(os.pathsep), *Path.home().glob(".pyenv/versions/*/bin")]
    names = [f"python3.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]
    paths = ((name, Path(folder) / name) for name in names for folder in folders)
    works = {name: str(path) for name, path in reversed(list(paths)) if path.is_file() and _runs(path)}
    return [works[name] for name in names if name in works]


def _runs(python: Path) -> bool:
    """Whether an interpreter starts; shims of version managers may stand for nothing."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def attempt(wheel: Path, python: str, resolution: str) -> str:
    """Install, work, remove; return a row of what was there and how long it took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = without_rust(folder)
        run([python, "-m", "venv", "--without-pip", folder / "venv"], env)
        inside = folder / "venv" / "bin" / "python"
        before = everything(folder / "venv")
        uv = [shutil.which("uv") or sys.exit("there is no uv"), "pip"]
        install, remove = [[*uv, what, "--python", inside] for what in ("install", "uninstall")]
        # As pip does it: else the first run would be that of Python's compiler.
        install.append("--compile-bytecode")
        # Named here, its requirements are those whose oldest release is meant; what they require in turn is not.
        run([*install, "--no-build", "--resolution", resolution, wheel, *requirements(wheel)], env)
        run([*remove, "wkfast"], env)
        installed = seconds(lambda: run([*install, "--no-build", "--no-deps", wheel], env))
        worked = seconds(lambda: run([inside, FIRST_RUN, folder / "work"], env))
        release, library, versions = json.loads(run([inside, "-c", _FACTS], env))
        run([*remove, "wkfast"], env)
        stayed = [path for path in everything(folder / "venv") - before if "wkfast" in path]
        if stayed:
            sys.exit(f"these stayed behind: {stayed}")
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"Python {release}, {library}, {told}: installed in {installed:.2f} s, first run {worked:.1f} s"


def without_rust(home: Path) -> dict[str, str]:
    """Return an environment as on a machine that has Python only."""
    path = "/usr/bin:/bin"
    if shutil.which("cargo", path=path):
        sys.exit("Rust is installed for everybody, so this would prove nothing")
    settings = {key: value for key, value in os.environ.items() if key.startswith(("UV_", "PIP_", "SSL_"))}
    cache = str(Path(tempfile.gettempdir()) / "wkfast-uv-cache")
    return {"PATH": path, "HOME": str(home), "UV_CACHE_DIR": cache, **settings}


def requirements(wheel: Path) -> list[str]:
    """Return what a wheel requires, extras left out."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode().split("\n\n", 1)[0].splitlines()
    asked = [line.removeprefix("Requires-Dist:").strip() for line in lines if line.startswith("Requires-Dist:")]
    return [requirement for requirement in asked if "extra ==" not in requirement]


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    start = time.monotonic()
    work()
    return time.monotonic() - start


def run(command: list[str | Path], env: dict[str, str]) -> str:
    """Run a command and return what it prints; a failure is told and ends it all."""
    done = subprocess.run([str(part) for part in command], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def everything(folder: Path) -> set[str]:
    """Return all files below a folder but compiled ones, which Python leaves to their folders."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


if __name__ == "__main__":
    main(sys.argv[1:])
