"""The Slurm that ``SLURM_CONF`` names or else one of this machine, and what merges of its jobs begin with.

Jobs lie in ``WKFAST_CLUSTER_FOLDER``, a folder that every node sees as this machine does; default: ``build`` of the
checkout, which nodes have to see anyway.
"""

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from tests.cluster import own_slurm
from tests.cluster.slurm_jobs import MERGE, ROOT, run, slurm_answers
from tests.inputs import demo_input, without_coarse_mags

FOLDER = Path(os.environ.get("WKFAST_CLUSTER_FOLDER", ROOT / "build" / "cluster"))


@pytest.fixture(scope="session")
def cluster():
    """The Slurm that was started for the tests; `None` where there was one."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler is installed")
    if os.environ.get("SLURM_CONF"):
        answer = slurm_answers()
        if answer is not None:
            pytest.skip(f"no Slurm can be reached by SLURM_CONF: {answer}")
        yield None
        return
    reason = own_slurm.why_none()
    if reason is not None:
        pytest.skip(reason)
    with own_slurm.OwnSlurm(FOLDER) as own:
        os.environ["SLURM_CONF"] = str(own.configuration)
        yield own
        del os.environ["SLURM_CONF"]


@pytest.fixture
def own_cluster(cluster):
    """A Slurm whose nodes may be killed."""
    if cluster is None:
        pytest.skip("nodes of a Slurm that others use are not killed: leave SLURM_CONF out")
    yield cluster
    cluster.restore()


@pytest.fixture
def nodes(cluster):
    return sorted(set(run("sinfo", "-h", "-N", "-o", "%N").split()))


@pytest.fixture(scope="session")
def prepared(cluster):
    """Mag 1 painted alone, so that mags 2 and 4 are further stages, and what an undisturbed merge makes of it."""
    folder = FOLDER / uuid.uuid4().hex
    folder.mkdir(parents=True)
    without_coarse_mags(demo_input(folder).annotation)
    run(sys.executable, "-m", "wkfast", *MERGE.split(), cwd=folder)
    (folder / "merged").rename(folder / "expected")
    run("cc", "-shared", "-fPIC", "-o", folder / "slow.so", Path(__file__).with_name("slow.c"), "-ldl")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def workplace(prepared):
    folder = prepared / uuid.uuid4().hex
    folder.mkdir()
    for name in ("annotation.zip", "datasets", "expected"):
        (folder / name).symlink_to(prepared / name)
    yield folder
    subprocess.run(["scancel", "--name", "wkfast-stage0,wkfast-stage1,wkfast-stage2,wkfast-commit,wkfast-test"])
