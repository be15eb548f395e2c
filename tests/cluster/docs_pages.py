"""Blocks of the page about clusters, and the command ``wkfast`` that they call."""

import os
import re
import sys

from tests.cluster.slurm_jobs import ROOT


def blocks(language):
    """Every block of a language."""
    page = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def with_wkfast(folder, *more):
    """What has to stand in ``PATH`` for blocks: this Python's wkfast, other commands of its environment, `more`."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    for name, command in (("wkfast", f"{sys.executable} -m wkfast"), ("python", sys.executable)):
        (bin_folder / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (bin_folder / name).chmod(0o755)
    return os.pathsep.join([str(bin_folder), *map(str, more), os.environ["PATH"]])
