"""Build wheels for Linux and the sdist into ``dist/``, and make sure that they are what users need.

``python packaging/wheels.py [TARGET ...]`` builds for Rust's names of platforms, ``USUAL`` if none is named. zig comes
from the package index and links against the oldest C library that the platform's name promises. ``--check FILE ...``
looks at wheels that are there. Ends with 1 if one is not as it should be.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"

# Built if nobody says otherwise; those for musl are on request.
USUAL = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu")
# Rust's name of a platform -> the oldest C library that its wheel runs with.
PLATFORMS = {
    "x86_64-unknown-linux-gnu": "manylinux_2_17",
    "aarch64-unknown-linux-gnu": "manylinux_2_17",
    "x86_64-unknown-linux-musl": "musllinux_1_2",
    "aarch64-unknown-linux-musl": "musllinux_1_2",
}
LARGEST = 6_000_000  # bytes
# zig keeps frame pointers, which costs zstd a tenth of its speed; errors of Rust are not unwound through C. No array
# was ever written in what zstd wrote before its first release, whose readers come with blosc-src otherwise.
C_FLAGS = "-fomit-frame-pointer -fno-asynchronous-unwind-tables -DZSTD_LEGACY_SUPPORT=0"
_NEEDED = (
    "wkfast/_core.abi3.so",
    "wkfast/_core.pyi",
    "wkfast/py.typed",
    "licenses/LICENSE-MIT",
    "licenses/LICENSE-APACHE",
    "licenses/THIRD-PARTY-LICENSES",
)


def main(arguments: list[str]) -> int:
    """Do what the module says; return the exit code."""
    if arguments[:1] == ["--check"]:
        files = [Path(name) for name in arguments[1:]]
    else:
        files = [wheel(target) for target in arguments or USUAL] + [sdist()]
    failed = False
    for file in files:
        faults = faults_of_wheel(file) if file.suffix == ".whl" else faults_of_sdist(file)
        failed |= bool(faults)
        size = file.stat().st_size / 1e6
        sys.stdout.write(f"{file.name}: {size:.1f} MB, {'; '.join(faults) or 'as it should be'}\n")
    return int(failed)


def wheel(target: str) -> Path:
    """Build the wheel for a platform and return it."""
    rustup = shutil.which("rustup")
    if rustup:
        subprocess.run([rustup, "target", "add", target], check=True)
    options = ["--profile", "wheel", "--zig", "--target", target, "--compatibility", PLATFORMS[target]]
    made = _maturin("build", *options)
    subprocess.run([sys.executable, Path(__file__).with_name("densely.py"), made], check=True)
    return made


def sdist() -> Path:
    """Build the source archive and return it."""
    return _maturin("sdist")


def _maturin(*arguments: str) -> Path:
    """Run maturin of this interpreter's environment and return the file that it made."""
    folder = DIST / "new"
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "maturin", *arguments, "--out", folder]
    # maturin finds zig by the first Python of the path, which is not this one unless its environment is active.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    subprocess.run(command, check=True, cwd=ROOT, env={"CFLAGS": C_FLAGS, **os.environ, "PATH": path})
    (made,) = folder.iterdir()
    made = made.rename(DIST / made.name)
    folder.rmdir()
    return made


def faults_of_wheel(file: Path) -> list[str]:
    """Return what is wrong with a wheel: its size, its content, or what it needs of a system beyond its name."""
    faults = []
    if file.stat().st_size > LARGEST:
        faults.append(f"larger than {LARGEST / 1e6:g} MB")
    if "-cp311-abi3-" not in file.name:
        faults.append("not one wheel for every CPython from 3.11 on")
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
    faults += [f"no {needed}" for needed in _NEEDED if not any(name.endswith(needed) for name in names)]
    strays = [name for name in names if not name.startswith("wkfast") or name.endswith((".pyc", ".rs", ".c", ".h"))]
    faults += [f"holds {name}" for name in strays]
    return faults + _faults_of_platform(file)


def _faults_of_platform(file: Path) -> list[str]:
    """Return what auditwheel says against the name of a wheel for Linux."""
    if "linux" not in file.name:
        return []
    command = [sys.executable, "-m", "auditwheel", "show", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = " ".join(done.stdout.split())
    if done.returncode:
        return [f"auditwheel: {done.stderr.strip()}"]
    promised = file.stem.rsplit("-", 1)[1].split(".")
    _, _, found = told.partition('platform tag: "')
    tag = found.partition('"')[0]
    return [] if tag in promised else [f"auditwheel says {tag or told}"]


def faults_of_sdist(file: Path) -> list[str]:
    """Return what is wrong with a source archive."""
    with tarfile.open(file) as archive:
        names = archive.getnames()
    wanted = ("Cargo.lock", "Cargo.toml", "pyproject.toml", "README.md", "LICENSE-MIT", "THIRD-PARTY-LICENSES")
    wanted += ("rust/wkfast-python/src/lib.rs", "rust/crc-fast/src/lib.rs")
    faults = [f"no {needed}" for needed in wanted if not any(name.endswith(f"/{needed}") for name in names)]
    return faults + [f"holds {name}" for name in names if name.endswith((".so", ".pyc"))]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
