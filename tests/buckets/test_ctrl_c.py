"""Ctrl-C leaves servers that say nothing, whatever is going on."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from tests.buckets.conftest import SECRET
from tests.buckets.test_annotation_files import noisy_zip
from tests.buckets.test_merging import painted

# Each is made ready while the server answers, and done when it has stopped to.
CALLS = {
    "load": ("", "wkfast.Annotation.load(far / 'a.zip')"),
    "zips": ("from wkfast.tables import read_skeletons", "read_skeletons([far / 'a.zip'] * 100)"),
    # The search is closed while zips behind are being looked into.
    "zips one by one": (
        (
            "from wkfast.tables import iterate_skeletons; "
            "search = iterate_skeletons([far / 'a.zip'] * 100, batch_bytes=1); next(search)"
        ),
        "next(search); next(search)",
    ),
    "save": ("annotation = wkfast.Annotation.load('a.zip')", "annotation.save(far / 'b.zip')"),
    "layer": ("layer = wkfast.Annotation.load(far / 'a.zip').get_volume_layer('paint')", "layer.as_layer()"),
    "plan": ("annotation = wkfast.Annotation.load('b.zip')", "annotation.plan_merge(far / 'm', far / 'near')"),
    "merge": (
        "job = MergeJob.from_json(wkfast.Annotation.load('b.zip').plan_merge(far / 'm', far / 'near').to_json())",
        "run_share(job)",
    ),
    "commit": (
        "job = wkfast.Annotation.load('b.zip').plan_merge(far / 'm', far / 'near'); run_share(job)",
        "job.commit()",
    ),
    "copy": ("dataset = wkfast.Dataset.open(far / 'near/data')", "dataset.copy_dataset('copied')"),
    "copy there": ("dataset = wkfast.Dataset.open('near/data')", "dataset.copy_dataset(far / 'copied')"),
    "statistics": (
        "layer = wkfast.Dataset.open(far / 'near/data').get_layer('labels')",
        "layer.segment_statistics()",
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_ctrl_c_leaves_a_silent_server(between, tmp_path, call):
    painted(tmp_path / "near").save(tmp_path / "b.zip")
    noisy_zip(tmp_path / "a.zip", tmp_path)
    between.client.put_object(Bucket=between.name, Key="a.zip", Body=(tmp_path / "a.zip").read_bytes())
    between.put(tmp_path / "near", "near")
    ready, work = CALLS[call]
    script = f"""
    import wkfast
    from wkfast.buckets import ObjectPath
    from wkfast.merge.arrays import run_share
    from wkfast.merge.job import MergeJob
    far = ObjectPath("s3://{between.name}", {between.options!r})
    {ready}
    print("ready", flush=True)
    input()
    {work}
    """
    environment = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": SECRET}
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=tmp_path,
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    said = child.stdout.readline()
    assert said == b"ready\n", child.stderr.read().decode()
    begun = []

    def silent(method, path):
        begun.append((method, path))
        time.sleep(60)

    between.refuses = silent
    child.stdin.write(b"\n")
    child.stdin.flush()
    waited = time.monotonic() + 30
    while not begun and time.monotonic() < waited:
        time.sleep(0.02)
    assert begun
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=30)
    assert b"KeyboardInterrupt" in errors, errors.decode()
