"""What commands write is there as a whole or not at all, and what they say names the file."""

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.inputs import demo_input

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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    demo_input(tmp_path)
    (tmp_path / "list").touch()
    return tmp_path


def told_to_a_full_disk(folder: Path, command: str, *, errors_too: bool = False) -> tuple[int, str]:
    """Run a command whose output goes to a file that takes nothing more; return exit code and what was said."""
    script = (
        "import resource, signal, sys\nfrom wkfast.cli import main\n"
        # the files of the work are as long as they like: only the log is at its end
        "import os\nos.ftruncate(1, 1 << 30)\nos.lseek(1, 0, os.SEEK_END)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))\nmain(sys.argv[1:])"
    )
    with (folder / "log").open("wb") as log:
        done = subprocess.run(
            [sys.executable, "-c", script, *command.split()],
            stdout=log,
            stderr=subprocess.STDOUT if errors_too else subprocess.PIPE,
            cwd=folder,
        )
    return done.returncode, (done.stderr or b"").decode()


@pytest.mark.parametrize("options", ["", " --json", " --progress"])
def test_a_merge_whose_report_cannot_be_printed_is_said_to_be_complete(folder: Path, options: str) -> None:
    code, said = told_to_a_full_disk(folder, "merge-fallback merged annotation.zip datasets" + options)
    assert code == 1
    done = f"the merge into {folder / 'merged'} is committed"
    assert said.splitlines()[-1] == f"error: standard output: File too large; {done}, only the report is lost"
    assert "Traceback" not in said
    assert "Exception" not in said
    wk.Dataset.open(folder / "merged")


def test_a_log_on_a_full_disk_does_not_end_a_merge(folder: Path) -> None:
    command = "merge-fallback merged annotation.zip datasets --progress"
    assert told_to_a_full_disk(folder, command, errors_too=True) == (1, "")
    wk.Dataset.open(folder / "merged")


@pytest.mark.parametrize(
    ("command", "done"),
    [
        ("merge plan merge.plan merged annotation.zip datasets", "merge.plan is written"),
        ("export exported annotation.zip", "layer 'volume_layer' of exported is written"),
        ("statistics datasets/demo_dataset segmentation --out sizes.csv", "sizes.csv is written"),
        ("convert annotation.zip swc --to swc --unit nm", "swc is written"),
    ],
)
def test_what_is_written_is_said_to_be_where_that_cannot_be_printed(folder: Path, command: str, done: str) -> None:
    assert told_to_a_full_disk(folder, command) == (
        1,
        f"error: standard output: File too large; {done}, only the report is lost\n",
    )


@pytest.mark.parametrize(
    "command", ["info annotation.zip", "merge-fallback merged annotation.zip datasets --dry-run", "--version"]
)
def test_what_only_tells_has_failed_where_nothing_can_be_told(folder: Path, command: str) -> None:
    assert told_to_a_full_disk(folder, command) == (2, "error: standard output: File too large\n")
