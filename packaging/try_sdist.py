"""Build the source archive, install it as users do who have Rust, into a fresh environment, and work with it.

``python packaging/try_sdist.py`` compiles everything anew, which takes minutes; ``CARGO_TARGET_DIR`` names a folder
with crates that are compiled already. What is built with is what the archive asks for, from the package index.
"""

import sys
import tempfile
from os import environ
from pathlib import Path

from try_wheel import FIRST_RUN, run, seconds
from wheels import faults_of_sdist, sdist


def main() -> None:
    """Do what the module says."""
    archive = sdist()
    faults = faults_of_sdist(archive)
    if faults:
        sys.exit(f"{archive.name}: {'; '.join(faults)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run([sys.executable, "-m", "venv", folder / "venv"], dict(environ))
        inside = folder / "venv" / "bin" / "python"
        # A directory of its own: the checkout must not stand in for what was installed.
        env = {key: value for key, value in environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}}
        install = [inside, "-m", "pip", "install", "--no-cache-dir", "--quiet", archive]
        built = seconds(lambda: run(install, env))
        worked = seconds(lambda: run([inside, FIRST_RUN, folder / "work"], env))
    size = archive.stat().st_size / 1e6
    sys.stdout.write(f"{archive.name}: {size:.1f} MB, built and installed in {built:.0f} s, first run {worked:.1f} s\n")


if __name__ == "__main__":
    main()
