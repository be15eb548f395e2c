"""Many annotations into a folder: each whole or not there, gone on with where it was, and told at the end."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace

import pytest
from tests.client.servers import Server, answering
from tests.client.standin_app import running
from tests.client.standin_state import State
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
    assert ({it.status for it in again.downloads}, again.paths) == ({"skipped"}, report.paths)
    assert downloads(logged_in) == []


def test_a_file_that_is_not_whole_is_fetched_again(logged_in, ids, tmp_path):
    report = wk.download_annotations(ids[:3], tmp_path)
    cut = report.paths[1]
    cut.write_bytes(cut.read_bytes()[:-30])
    (tmp_path / f"{ids[2]}.zip").write_bytes(b"")
    logged_in.log.clear()
    again = wk.download_annotations(ids[:3], tmp_path)
    assert [it.status for it in again.downloads] == ["skipped", "downloaded", "downloaded"]
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


def test_an_annotation_that_is_named_twice_comes_once(logged_in, ids, tmp_path):
    url = f"{logged_in.url}/annotations/{ids[0]}"
    wanted = [ids[0], url, f"{url}#1,2,3", f"{logged_in.url}/annotations/Explorational/{ids[0]}", ids[0].upper()]
    report = wk.download_annotations(wanted, tmp_path, concurrency=5)
    assert sorted(it.status for it in report.downloads) == ["downloaded"] + ["skipped"] * 4
    assert {it.annotation_id for it in report.downloads} == {ids[0]}
    assert len(downloads(logged_in)) == len(names(tmp_path)) == 1
    assert len(wk.download_annotations(wanted, tmp_path, overwrite=True).failed) == 0
    assert len(downloads(logged_in)) == 2


def test_what_was_there_is_fetched_anew_if_it_shall_be(logged_in, ids, tmp_path):
    wk.download_annotations(ids[:2], tmp_path)
    logged_in.log.clear()
    report = wk.download_annotations(ids[:3], tmp_path, overwrite=True)
    assert {it.status for it in report.downloads} == {"downloaded"}
    assert len(downloads(logged_in)) == 3


def test_a_file_of_another_annotation_is_not_believed_by_its_name(logged_in, ids, tmp_path):
    paths = wk.download_annotations(ids[:2], tmp_path).paths
    paths[0].write_bytes(paths[1].read_bytes())
    logged_in.log.clear()
    report = wk.download_annotations(ids[:2], tmp_path)
    assert [it.status for it in report.downloads] == ["downloaded", "skipped"]
    assert [wk.Annotation.load(path).annotation_id for path in report.paths] == ids[:2]


def test_names_of_servers_name_no_files(logged_in, ids, tmp_path):
    """Names are told, safe; files are called by ids, so that equal names do not collide."""
    hostile = ["a/b", "same", "same", ".hidden", "x" * 300]
    for one, name in zip(ids, hostile, strict=False):
        logged_in.state.annotations[one].name = name
    report = wk.download_annotations(ids[: len(hostile)], tmp_path / "folder")
    assert [it.name for it in report.downloads][:4] == ["b", "same", "same", "hidden"]
    assert names(tmp_path) == ["folder"]
    assert names(tmp_path / "folder") == sorted(f"{one}.zip" for one in ids[: len(hostile)])
    facts = json.loads(wk.download_annotations(ids[1:2], tmp_path / "folder").to_json())[0]
    assert (facts["annotation_id"], facts["name"], facts["status"]) == (ids[1], "same", "skipped")
    assert facts["size"] == (tmp_path / "folder" / f"{ids[1]}.zip").stat().st_size
    assert facts["seconds"] >= 0


def test_paths_that_servers_propose_lead_nowhere(tmp_path):
    names_of_servers = ["../../up.zip", "/etc/passwd", "C:\\\\x.zip", "a\r\n.zip", "con.zip"]
    ids = [f"{n:024x}" for n in range(len(names_of_servers))]
    server, body = Server(), annotation_zip(PAINTED)

    def answer(request, wire):
        name = names_of_servers[int(request.path.split("/")[-2], 16)].replace("\r\n", "")
        wire.reply(200, body, "application/zip", content_disposition=f'attachment; filename="{name}"')

    server.fallback = answer
    server.get_json("/api/buildinfo", {"httpApiVersioning": {"currentApiVersion": 12, "oldestSupportedApiVersion": 5}})
    with wk.webknossos_context(server.url):
        report = wk.download_annotations(ids, tmp_path / "folder")
    close_shared_session()
    server.close()
    assert {it.status for it in report.downloads} == {"downloaded"}
    assert [it.name for it in report.downloads[:4]] == ["up", "passwd", "x", "a"]
    assert (names(tmp_path), names(tmp_path / "folder")) == (["folder"], [f"{one}.zip" for one in ids])


def test_bare_nmls_are_kept_as_such(logged_in, ids, tmp_path):
    stored = logged_in.state.annotations[ids[0]]
    stored.nml, stored.volumes = re.sub("<volume[^>]*>", "", stored.nml), {}
    first = wk.download_annotations(ids[:1], tmp_path)
    again = wk.download_annotations(ids[:1], tmp_path)
    assert names(tmp_path) == [f"{ids[0]}.nml"]
    assert (first.downloads[0].status, again.downloads[0].status) == ("downloaded", "skipped")
    first.paths[0].write_bytes(first.paths[0].read_bytes()[:-20])
    assert wk.download_annotations(ids[:1], tmp_path).downloads[0].status == "downloaded"


def test_annotations_of_one_id_on_two_servers_are_two_files(logged_in, ids, tmp_path):
    state = State()
    state.add_user(TOKEN)
    with running(state) as other:
        copy = logged_in.state.annotations[ids[0]]
        state.annotations[ids[0]] = replace(copy, visibility="Public", name="of the other")
        with pytest.warns(UserWarning, match="no token is sent there"):
            report = wk.download_annotations([ids[0], f"{other.url}/annotations/{ids[0]}"], tmp_path)
    assert {it.status for it in report.downloads} == {"downloaded"}
    host = other.url.removeprefix("http://").replace(":", "_")
    assert names(tmp_path) == sorted([f"{ids[0]}.zip", f"{host}-{ids[0]}.zip"])


def test_a_task_that_cannot_be_listed_holds_up_nothing(logged_in, ids, tmp_path):
    report = wk.download_annotations([wk.Task("../x"), ids[0], wk.Project("00", "gone")], tmp_path)
    assert [it.status for it in report.downloads] == ["failed", "downloaded", "failed"]
    assert [it.annotation for it in report.failed] == ["task ../x", "project gone"]


def test_nothing_is_wanted_or_nothing_that_is_known(logged_in, tmp_path):
    assert wk.download_annotations([], tmp_path).downloads == ()
    for wrong in ("0" * 24, [7], [None]):
        with pytest.raises(WkfastError, match=r"list|is none of what is taken"):
            wk.download_annotations(wrong, tmp_path)


def test_a_folder_that_is_a_file_is_refused(logged_in, ids, tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(WkfastError, match="name a folder"):
            wk.download_annotations(ids, folder)
    assert (tmp_path / "file").read_text() == "mine"
    assert downloads(logged_in) == []


def test_secrets_in_urls_are_not_told(logged_in, ids, tmp_path):
    report = wk.download_annotations([f"http://127.0.0.1:9/annotations/{ids[0]}x?token=hush"], tmp_path)
    assert len(report.failed) == 1
    assert "hush" not in str(report) + report.to_json()


def test_a_server_that_is_busy_is_asked_again(tmp_path, monkeypatch):
    server, body = Server(), annotation_zip(PAINTED)
    one = "5" * 24
    path = f"/api/v12/annotations/{one}/download"
    server.on("GET", path, answering(429, b"{}", retry_after=0), answering(200, body, "application/zip"))
    server.get_json("/api/buildinfo", {"httpApiVersioning": {"currentApiVersion": 12, "oldestSupportedApiVersion": 5}})
    with wk.webknossos_context(server.url):
        report = wk.download_annotations([one], tmp_path)
    close_shared_session()
    server.close()
    assert report.downloads[0].status == "downloaded"
    assert server.paths().count(path) == 2


def test_a_bar_shows_annotations_and_bytes(logged_in, ids, tmp_path, capsys):
    report = wk.download_annotations(ids[:3], tmp_path, progress=True)
    size = sum(it.size for it in report.downloads)
    assert f"downloading: 3 of 3 annotations, {size / 1000:.1f} kB, " in capsys.readouterr().err


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
    assert done.returncode == 1
    assert [it["status"] for it in json.loads(done.stdout)] == ["skipped", "failed"]
    assert TOKEN not in done.stdout + done.stderr


def test_the_command_line_tells_lists_from_annotations(logged_in, ids, tmp_path):
    url = f"{logged_in.url}/annotations/{ids[1]}"
    (tmp_path / ids[0]).write_text("this file is called like an id, which it is not")
    done = command(tmp_path, ids[0], "one.zip", url=logged_in.url)
    assert (done.returncode, done.stdout[:7]) == (0, "one.zip")
    done = command(tmp_path, "no-list.txt", "folder", url=logged_in.url)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "neither an id" in done.stderr
    (tmp_path / "binary").write_bytes(b"PK\x03\x04\x00\xff")
    done = command(tmp_path, "binary", "folder", url=logged_in.url)
    assert (done.returncode, "is no list" in done.stderr) == (2, True)
    assert not (tmp_path / "folder").exists()
    (tmp_path / "list").write_bytes(f"\ufeff{url}#7,8  # the second\r\n#{ids[3]}\r\n".encode())
    done = command(tmp_path, "list", "folder", url=logged_in.url)
    assert (done.returncode, names(tmp_path / "folder")) == (0, [f"{ids[1]}.zip"])
    logged_in.log.clear()
    done = command(tmp_path, "list", "folder", "--overwrite", url=logged_in.url)
    assert (done.returncode, len(downloads(logged_in))) == (0, 1)
    done = command(tmp_path, "list", "binary", url=logged_in.url)
    assert (done.returncode, "name a folder" in done.stderr) == (2, True)


def test_a_list_may_come_through_a_pipe(logged_in, ids, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(f"{ids[0]}\n",))
    writer.start()
    done = command(tmp_path, "pipe", "folder", url=logged_in.url)
    writer.join(10)
    assert (done.returncode, names(tmp_path / "folder")) == (0, [f"{ids[0]}.zip"])


def test_what_has_no_room_fails_and_the_rest_comes(logged_in, ids, tmp_path):
    """Files may not grow beyond a limit, which is what a full disk does to the larger ones."""
    stored = logged_in.state.annotations[ids[1]]
    stored.volumes = {**stored.volumes, "large": os.urandom(1 << 20)}
    program = (
        "import resource, sys, wkfast as wk\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, 1 << 19))\n"
        "report = wk.download_annotations(sys.argv[2:], sys.argv[1], retry_count=0)\n"
        "print(report.to_json())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "WK_URL": logged_in.url}
    whole = [sys.executable, "-c", program, "folder", *ids[:3]]
    done = subprocess.run(
        whole, cwd=tmp_path, capture_output=True, text=True, env={**environment, "WK_TOKEN": TOKEN}, timeout=60
    )
    found = json.loads(done.stdout)
    assert [it["status"] for it in found] == ["downloaded", "failed", "downloaded"]
    assert "File too large" in found[1]["error"]
    assert names(tmp_path / "folder") == sorted(f"{one}.zip" for one in (ids[0], ids[2]))
    assert wk.download_annotations(ids[:3], tmp_path / "folder").downloads[1].status == "downloaded"


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
    (folder / f"{ids[0]}.zip.wkfast-part").touch()  # killed behind the last step
    slow[0] = False
    done = command(tmp_path, "ids", "folder", url=server.url)
    close_shared_session()
    server.close()
    assert done.stdout.startswith("6 annotations: 3 downloaded, 3 there already, 0 failed; ")
    assert names(folder) == [f"{one}.zip" for one in ids]
    asked = [path.split("/")[-2] for path in server.paths() if path.endswith("/download")]
    assert [asked.count(one) for one in ids[:3]] == [1, 1, 1], "what was there was fetched again"
