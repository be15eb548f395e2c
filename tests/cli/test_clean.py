"""``wkfast clean``: what killed jobs left goes, and nothing that somebody works on."""

import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from tests.inputs import demo_input, tree_state

import wkfast as wk
from wkfast import _core
from wkfast.dataset.folder_drafts import place_folder
from wkfast.merge.options import MergeOptions
from wkfast.temporary import Purpose, owned_temporary_folder


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def dataset(tmp_path: Path, temporary: Path) -> wk.Dataset:
    dataset = wk.Dataset(tmp_path / "dataset", voxel_size=(4, 4, 40))
    dataset.write_layer("em", "color", np.ones((64, 64, 64), "uint8"))
    return dataset


def cleaned(*arguments: object) -> dict:
    command = [sys.executable, "-m", "wkfast", "clean", "--json", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def left(folder: Path, names: list[str], days: float = 2) -> list[Path]:
    """Files and, with a slash at the end, folders that nobody has touched for days."""
    made = []
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        inner = path / "c" / "0" if name.endswith("/") else path
        inner.parent.mkdir(parents=True, exist_ok=True)
        inner.write_bytes(b"left")
        made.append(path)
        for each in [path, *path.rglob("*")]:
            os.utime(each, (time.time() - 86400 * days,) * 2)
    return made


def test_what_killed_jobs_left_is_removed_and_told(dataset: wk.Dataset, temporary: Path) -> None:
    before = tree_state(dataset.path)
    names = ["em/1/c/0/0/0/0.wkfast-part", ".copied.wkfast-part/", "em/.1.wkfast-part/", "em/.1-0a.wkfast-gone/",
             "a.zip.part-0123456789ab", "datasource-properties.json.wkfast-lock", "em/2/.77.wkfast-ticket"]  # fmt: skip
    paths = left(dataset.path, names) + left(temporary, ["wkfast-edit-abc/", "wkfast-copy-x/", "wkfast-volume-1/"])
    foreign = left(temporary, ["other-edit-abc/", "wkfast-notes/"]) + left(
        dataset.path, ["a.part-time", "em/notes.part"]
    )
    told = cleaned(dataset.path, "--dry-run")
    assert {each["path"] for each in told["removed"]} == set(map(str, paths))
    assert all(path.exists() for path in paths)
    told = cleaned(dataset.path)
    assert {each["path"] for each in told["removed"]} == set(map(str, paths))
    assert all(each["bytes"] == 4 for each in told["removed"])
    assert not any(path.exists() for path in paths)
    assert all(path.exists() for path in foreign)
    for path in left(dataset.path, ["a.part-time", "em/notes.part"]):
        path.unlink()
    assert tree_state(dataset.path) == before
    assert cleaned(dataset.path)["removed"] == []


def test_what_somebody_works_on_stays(dataset: wk.Dataset, temporary: Path) -> None:
    young = left(dataset.path, [".young.wkfast-part/"], days=0.5)
    held = _core.Draft(dataset.path / "datasource-properties.json")
    (download,) = left(dataset.path, ["a.zip.part-0123456789ab"])
    with download.open("rb") as file, owned_temporary_folder("edit") as edit:
        fcntl.flock(file, fcntl.LOCK_EX)
        for each in [edit.parent, *edit.parent.rglob("*")]:
            os.utime(each, (0, 0))
        before = tree_state(dataset.path)
        assert cleaned(dataset.path)["removed"] == []
        assert tree_state(dataset.path) == before
        assert edit.exists()
    held.release()
    assert [each["path"] for each in cleaned(dataset.path)["removed"]] == [str(download)]
    assert [each["path"] for each in cleaned(dataset.path, "--older-than", 1)["removed"]] == list(map(str, young))


def test_what_is_made_or_needed_for_days_stays(dataset: wk.Dataset, temporary: Path, tmp_path: Path) -> None:
    """A folder under construction, and an edited layer of an annotation that somebody has open."""
    annotation = wk.Annotation("a", dataset_name="dataset", voxel_size=(4, 4, 40))
    volume = annotation.add_volume_layer("cells", dtype="uint8")
    with volume.edit() as layer:
        layer.add_mag(1).write(np.ones((32, 32, 32), "uint8"), absolute_offset=(0, 0, 0), allow_resize=True)
    with place_folder(dataset.path / "em" / "8", dataset.path) as draft:
        (draft / "zarr.json").write_text("{}")
        assert cleaned(dataset.path, "--older-than", 0)["removed"] == []
        assert draft.is_dir()
    annotation.save(tmp_path / "saved.zip")
    (saved,) = wk.Annotation.load(tmp_path / "saved.zip").volume_layers
    assert (saved.as_layer().get_mag(1).read() == 1).all()


def test_a_mag_that_was_moved_aside_stays_until_another_has_its_place(dataset: wk.Dataset, temporary: Path) -> None:
    mag = dataset.path / "em" / "1"
    aside = mag.with_name(f"{mag.name}.wkfast-old")
    mag.rename(aside)
    assert cleaned(dataset.path, "--older-than", 0)["removed"] == []
    mag.mkdir()
    assert [each["path"] for each in cleaned(dataset.path, "--older-than", 0)["removed"]] == [str(aside)]


@pytest.mark.parametrize("purpose", get_args(Purpose))
@pytest.mark.parametrize("made", ["with owned_temporary_folder({!r}):", "kept = KeptFolder({!r})\nif kept:"])
def test_a_folder_of_killed_work_goes_at_once(dataset: wk.Dataset, temporary: Path, purpose: str, made: str) -> None:
    script = (
        "import os, signal\nfrom wkfast.temporary import KeptFolder, owned_temporary_folder\n"
        f"{made.format(purpose)}\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script])
    (killed,) = temporary.iterdir()
    assert [each["path"] for each in cleaned(dataset.path)["removed"]] == [str(killed)]


def test_links_are_not_followed(dataset: wk.Dataset, tmp_path: Path) -> None:
    victim = left(tmp_path / "victim", ["x.wkfast-part", "kept"])
    (dataset.path / "em.wkfast-part").symlink_to(tmp_path / "victim")
    (dataset.path / "link").symlink_to(tmp_path / "victim")
    os.utime(dataset.path / "em.wkfast-part", (0, 0), follow_symlinks=False)
    assert [each["path"] for each in cleaned(dataset.path)["removed"]] == [str(dataset.path / "em.wkfast-part")]
    assert all(path.exists() for path in victim)
    done = subprocess.run([sys.executable, "-m", "wkfast", "clean", tmp_path / "none"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "is no folder" in done.stderr


def told(*arguments: object) -> list[str]:
    command = [sys.executable, "-m", "wkfast", "clean", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_what_is_too_young_to_be_removed_is_told(dataset: wk.Dataset) -> None:
    assert told(dataset.path) == [f"nothing is left over in {dataset.path}"]
    (one,) = left(dataset.path, ["em/.2.wkfast-part/"], days=0.5)
    (line,) = told(dataset.path)
    assert line.startswith("kept, as it changed within the last 24 hours")
    assert f"{one} (4 bytes)" in line
    assert "--older-than 0" in line
    left(dataset.path, ["em/.1.wkfast-part/", "em/1/c/0.wkfast-lock"], days=0.5)
    (line,) = told(dataset.path)
    assert "3 of them, such as " in line
    assert "(12 bytes)" in line
    kept = cleaned(dataset.path)["kept"]
    assert {each["path"]: each["bytes"] for each in kept}[str(one)] == 4
    assert len(kept) == 3
    assert cleaned(dataset.path, "--older-than", 0)["kept"] == []
    assert not one.exists()


def test_a_merge_that_is_not_finished_is_told_of_and_stays(dataset: wk.Dataset, tmp_path: Path) -> None:
    demo = demo_input(tmp_path / "demo")
    job = wk.Annotation.load(demo.annotation).plan_merge(tmp_path / "merged", demo.dataset_directory)
    job.run(MergeOptions())
    before = tree_state(tmp_path / "merged")
    (line,) = told(tmp_path, "--older-than", 0)
    assert f"a merge into {tmp_path / 'merged'} is not finished" in line
    assert cleaned(tmp_path, "--older-than", 0)["merges"] == [str(tmp_path / "merged")]
    assert tree_state(tmp_path / "merged") == before
    job.commit()
    assert cleaned(tmp_path)["merges"] == []
