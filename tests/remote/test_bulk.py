"""Many annotations into a folder: each whole or not there, gone on with where it was, and told at the end."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile

import pytest
from tests.client.servers import Server
from tests.client.test_standin import PAINTED, annotation_zip
from tests.remote.conftest import TOKEN

import wkfast as wk
from wkfast.client import annotations as annotations_module
from wkfast.client import close_shared_session
from wkfast.errors import WkfastError


@pytest.fixture
def ids(logged_in):
    """Twelve annotations on the server."""
    user = logged_in.state.users[TOKEN]
    return [logged_in.state.upload(f"a{n}.zip", annotation_zip(PAINTED), user).id for n in range(12)]


def downloads(server):
    return [line for line in server.log if line.endswith("/download")]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_all_come_and_a_second_call_asks_for_none(logged_in, ids, tmp_path):
    report = wk.download_annotations(ids, tmp_path / "new" / "folder", concurrency=3)
    folder = tmp_path / "new" / "folder"
    assert names(folder) == sorted(f"{one}.zip" for one in ids)
    assert [it.annotation for it in report.downloads] == ids
    assert {it.status for it in report.downloads} == {"downloaded"}
    assert all(zipfile.is_zipfile(path) for path in report.paths)
    assert wk.Annotation.load(report.paths[0]).name
    logged_in.log.clear()
    again = wk.download_annotations(ids, folder)
    assert ({it.status for it in again.downloads}, again.paths) == ({"present"}, report.paths)
    assert downloads(logged_in) == []


def test_a_file_that_is_not_whole_is_fetched_again(logged_in, ids, tmp_path):
    report = wk.download_annotations(ids[:3], tmp_path)
    cut = report.paths[1]
    cut.write_bytes(cut.read_bytes()[:-30])
    (tmp_path / f"{ids[2]}.zip").write_bytes(b"")
    logged_in.log.clear()
    again = wk.download_annotations(ids[:3], tmp_path)
    assert [it.status for it in again.downloads] == ["present", "downloaded", "downloaded"]
    assert len(downloads(logged_in)) == 2
    assert all(zipfile.is_zipfile(path) for path in again.paths)


def test_what_fails_holds_up_nothing_and_is_told_with_its_reason(logged_in, ids, tmp_path):
    wanted = [ids[0], "0" * 24, "no id", f"{logged_in.url}/annotations/{ids[1]}#1,2", ids[0], f" {ids[2]} "]
    report = wk.download_annotations(wanted, tmp_path)
    assert names(tmp_path) == sorted(f"{one}.zip" for one in ids[:3])
    assert [it.annotation for it in report.failed] == ["0" * 24, "no id"]
    text = str(report)
    assert text.startswith("5 annotations: 3 downloaded, 0 there already, 2 failed; ")
    assert "could not be found" in text
    assert "24 hexadecimal digits" in text
    assert [it["status"] for it in json.loads(report.to_json())].count("failed") == 2


def test_with_and_without_volumes_are_different_files(logged_in, ids, tmp_path):
    wk.download_annotations(ids[:1], tmp_path)
    report = wk.download_annotations(ids[:1], tmp_path, skip_volume_data=True)
    assert names(tmp_path) == sorted([f"{ids[0]}.zip", f"{ids[0]}-without-volumes.zip"])
    assert report.downloads[0].status == "downloaded"


def test_tasks_projects_and_lists_stand_for_their_annotations(logged_in, ids, tmp_path, monkeypatch):
    monkeypatch.setattr(annotations_module, "_PAGE", 2)
    tasks = ["7" * 24, "8" * 24, "9" * 24, "6" * 24]
    logged_in.state.projects["cells & co"] = tasks
    for number, one in enumerate(ids):
        stored = logged_in.state.annotations[one]
        stored.task_id, stored.typ = tasks[number % 3], "Task"
    project = wk.Project.get_by_name("cells & co")
    assert project.get_tasks() == [wk.Task(task) for task in tasks]
    assert {it.status for it in wk.download_annotations([project], tmp_path / "p").downloads} == {"downloaded"}
    assert names(tmp_path / "p") == sorted(f"{one}.zip" for one in ids)
    wk.download_annotations([wk.Task(tasks[0]), *wk.AnnotationInfo.get_remote_annotations()], tmp_path / "t")
    assert names(tmp_path / "t") == names(tmp_path / "p")
    with pytest.raises(WkfastError, match="could not be found"):
        wk.Project.get_by_name("other")


def test_progress_counts_annotations_and_may_stop_all(logged_in, ids, tmp_path):
    seen = []
    wk.download_annotations(ids, tmp_path / "a", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, 12) for n in range(1, 13)]

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wk.download_annotations(ids, tmp_path / "b", progress=stop)
    assert [name for name in names(tmp_path / "b") if ".part-" in name] == []
    assert all(zipfile.is_zipfile(path) for path in (tmp_path / "b").iterdir())


@pytest.mark.parametrize("concurrency", [0, -1])
def test_a_concurrency_that_is_none_is_refused(logged_in, tmp_path, concurrency):
    with pytest.raises(WkfastError, match="concurrency"):
        wk.download_annotations([], tmp_path, concurrency=concurrency)


def command(folder, *arguments, url, text=None):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "WK_URL": url,
        "WK_TOKEN": TOKEN,
    }
    whole = [sys.executable, "-m", "wkfast", "download", *map(str, arguments)]
    return subprocess.run(whole, cwd=folder, capture_output=True, text=True, env=environment, timeout=60, input=text)


def test_the_command_line_takes_a_file_of_ids(logged_in, ids, tmp_path):
    (tmp_path / "ids.txt").write_text("# mine\n" + "\n".join(ids[:3]) + f"\n\n  {logged_in.url}/annotations/{ids[3]}\n")
    done = command(tmp_path, "ids.txt", "folder", "--concurrency", 2, url=logged_in.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("4 annotations: 4 downloaded, 0 there already, 0 failed; ")
    done = command(tmp_path, "-", "folder", "--json", url=logged_in.url, text=f"{ids[0]}\n{'0' * 24}\n")
    assert done.returncode == 2
    assert [it["status"] for it in json.loads(done.stdout)] == ["present", "failed"]
    assert TOKEN not in done.stdout + done.stderr


def under_way(folder, before):
    """Whether three annotations are there and three more on their way."""
    now = set(folder.glob("*"))
    return len(list(folder.glob("*.zip"))) == 3 and len([it for it in now - before if ".part-" in it.name]) == 3


def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path):
    """The first run is killed while downloads are under way; the second fetches the rest, and no part stays."""
    ids = [f"{n:024x}" for n in range(6)]
    body = annotation_zip(PAINTED)
    server, slow = Server(), [True]

    def answer(request, wire):
        number = int(request.path.split("/")[-2], 16)
        if slow[0] and number >= 3:
            wire.head(200, content_type="application/zip", content_length=len(body))
            wire.send(body[:1000])
            wire.stall()
        else:
            wire.reply(200, body, "application/zip")

    server.fallback = answer
    server.get_json("/api/buildinfo", {"httpApiVersioning": {"currentApiVersion": 12, "oldestSupportedApiVersion": 5}})
    (tmp_path / "ids").write_text("\n".join(ids))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "WK_URL": server.url}
    whole = [sys.executable, "-m", "wkfast", "download", "ids", "folder"]
    folder = tmp_path / "folder"
    for kill in (signal.SIGKILL, signal.SIGINT):
        with subprocess.Popen(whole, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as child:
            end = time.monotonic() + 30
            before = set(folder.glob("*"))
            while time.monotonic() < end and not under_way(folder, before):
                time.sleep(0.02)
            child.send_signal(kill)
            stderr = child.communicate(timeout=30)[1]
    assert (child.returncode, stderr.strip()) == (130, "interrupted")
    assert names(folder) == [f"{one}.zip" for one in ids[:3]]
    (folder / f"{ids[5]}.zip.part-of-a-killed-run").write_bytes(b"half")
    slow[0] = False
    server.requests.clear()
    done = command(tmp_path, "ids", "folder", url=server.url)
    close_shared_session()
    server.close()
    assert done.stdout.startswith("6 annotations: 3 downloaded, 3 there already, 0 failed; ")
    assert names(folder) == [f"{one}.zip" for one in ids]
