"""What commands write is there as a whole or not at all, and what they say names the file."""

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import wkfast as wk

LONGEST = 20_000


def limited(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command whose files the system does not let grow beyond a size."""
    return subprocess.run(
        [sys.executable, "-m", "wkfast", *map(str, arguments)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LONGEST, LONGEST)),
        capture_output=True,
        text=True,
    )


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    dataset = wk.Dataset(tmp_path / "dataset", voxel_size=(4, 4, 40))
    dataset.write_layer("labels", "segmentation", np.arange(32**3, dtype="uint32").reshape(32, 32, 32))
    return tmp_path / "dataset"


@pytest.mark.parametrize("suffix", ["csv", "npz"])
@pytest.mark.parametrize("old", [None, b"old"])
def test_statistics_are_whole_or_as_they_were(labels: Path, tmp_path: Path, suffix: str, old: bytes | None) -> None:
    out = tmp_path / "out" / f"sizes.{suffix}"
    out.parent.mkdir()
    if old is not None:
        out.write_bytes(old)
    done = limited("statistics", labels, "labels", "--out", out)
    assert done.returncode == 2
    assert done.stderr == f"error: [Errno 27] File too large: '{out}'\n"
    assert [each.read_bytes() for each in out.parent.iterdir()] == ([] if old is None else [old])


def test_statistics_are_written_through_a_link(labels: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "sizes.csv").symlink_to(tmp_path / "kept" / "sizes.csv")
    command = [sys.executable, "-m", "wkfast", "statistics", labels, "labels", "--out", tmp_path / "sizes.csv"]
    subprocess.run(command, check=True)
    assert (tmp_path / "sizes.csv").is_symlink()
    assert len((tmp_path / "kept" / "sizes.csv").read_text().splitlines()) == 32**3


@pytest.mark.parametrize("old", [None, b"old"])
def test_tables_are_whole_or_as_they_were(tmp_path: Path, old: bytes | None) -> None:
    pytest.importorskip("pyarrow")
    skeleton = wk.Annotation("a", dataset_name="d", voxel_size=(1, 1, 1)).skeleton
    skeleton.add_tree("t").add_nodes(np.random.default_rng(1).integers(0, 1 << 20, (20_000, 3)))
    skeleton.save(tmp_path / "a.nml")
    out = tmp_path / "out" / "nodes.parquet"
    out.parent.mkdir()
    if old is not None:
        out.write_bytes(old)
    done = limited("convert", tmp_path / "a.nml", out)
    assert done.returncode == 2
    assert done.stderr == f"error: [Errno 27] File too large: '{out}'\n"
    assert [each.read_bytes() for each in out.parent.iterdir()] == ([] if old is None else [old])
