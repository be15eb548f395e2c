"""Recipes for Snakemake and Nextflow, as the docs have them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cluster.docs_pages import blocks, with_wkfast
from tests.cluster.processes import ended, look_for, running_jobs, started
from tests.cluster.slurm_jobs import assert_merged, files_of, log, run

pytestmark = pytest.mark.long

BESIDE_PYTHON = Path(sys.executable).parent
PATHS = os.pathsep.join([str(BESIDE_PYTHON), os.environ["PATH"]])


@pytest.fixture
def recipe(workplace):
    if shutil.which("snakemake", path=PATHS) is None:
        pytest.skip("snakemake is not installed")
    (text,) = blocks("snakemake")
    (workplace / "Snakefile").write_text(text)
    return {"PATH": with_wkfast(workplace, BESIDE_PYTHON)}


def test_snakemake_on_one_machine(workplace, recipe):
    command = ["snakemake", "--cores", "2", "--quiet"]
    done = subprocess.run(command, cwd=workplace, env={**os.environ, **recipe}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_merged(workplace)


def test_snakemake_by_jobs_that_are_killed(cluster, workplace, prepared, recipe):
    pytest.importorskip("snakemake_executor_plugin_cluster_generic", reason="Snakemake's cluster-generic is missing")
    (command,), (status,) = blocks("snakemake-slurm"), blocks("snakemake-status")
    (workplace / "status.sh").write_text(status)
    slow = {"LD_PRELOAD": str(prepared / "slow.so"), "WKFAST_SLOW": "2000"}
    with started(workplace, ["bash", "-c", command], **recipe, **slow) as process:
        look_for(lambda: files_of(workplace / "merged"), process)
        run("scancel", "--signal=KILL", "--full", running_jobs(workplace)[0])
        assert ended(process) == 0, log(workplace, "said.log")
    assert_merged(workplace)


def test_commands_of_the_nextflow_recipe(workplace):
    (text,) = blocks("nextflow")
    given = dict(re.findall(r'^params\.(\w+) = "?(.*?)"?$', text, re.MULTILINE))
    values = {f"params.{name}": value.replace("$launchDir", str(workplace)) for name, value in given.items()}
    plan, share, commit = re.findall(r'"""\n(.*?)"""', text, re.DOTALL)
    # as Nextflow hands files over
    (workplace / "staged.plan").symlink_to("merge.plan")
    more = {"plan_file": "staged.plan", "task.cpus": "1"}
    shares = [(share, {"number": str(number)}) for number in range(int(given["tasks"]))]
    path = with_wkfast(workplace)
    for script, own in ((plan, {}), *shares, (commit, {})):
        filled = re.sub(r"\$\{([\w.]+)\}", lambda name, own=own: (values | more | own)[name[1]], script)
        done = subprocess.run(
            ["bash", "-euc", filled], cwd=workplace, env={**os.environ, "PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, (filled, done.stderr)
    assert_merged(workplace)


def test_nextflow(workplace):
    if shutil.which("nextflow") is None:
        pytest.skip("nextflow is not installed: its commands alone are tried")
    (text,) = blocks("nextflow")
    (workplace / "main.nf").write_text(text)
    path = with_wkfast(workplace)
    command = ["nextflow", "run", "main.nf"]
    done = subprocess.run(command, cwd=workplace, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_merged(workplace)
