"""Archives that inflate absurdly fill neither memory nor disk, and are called what they are."""

import os
import struct
import subprocess
import sys
import zipfile

import pytest
from tests.inputs import minimal_nml

import wkfast as wk

VOLUME = '<volume id="0" name="Volume" location="data.zip" format="wkw" />'
MB = 2**20


def annotation(path, data, method):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.nml", minimal_nml(VOLUME))
        archive.writestr("data.zip", data)
    return path


def declare(path, size):
    """Let the directory say that the last member inflates to `size` bytes."""
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    struct.pack_into("<I", content, entry + 24, size)
    path.write_bytes(content)


def test_a_data_zip_that_would_inflate_to_gigabytes_is_refused_before_it_does(tmp_path):
    path = annotation(tmp_path / "a.zip", b"PK\x03\x04" + os.urandom(4 * MB), zipfile.ZIP_DEFLATED)
    declare(path, 2**31)
    loaded = wk.Annotation.load(path)
    with pytest.raises(wk.errors.VolumeDataError, match=r"data\.zip.*no volume data"):
        loaded.get_volume_layer().as_layer()


def test_a_data_zip_that_cannot_hold_what_it_declares_is_refused(tmp_path):
    path = annotation(tmp_path / "a.zip", bytes(4 * MB), zipfile.ZIP_DEFLATED)
    declare(path, 2**31)
    with pytest.warns(UserWarning, match=r"data\.zip.*cannot hold"):
        wk.Annotation.load(path)


LOAD = """
import sys
from pathlib import Path
import wkfast as wk

def status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

before = status("VmRSS:")
Path("/proc/self/clear_refs").write_text("5")
wk.Annotation.load(sys.argv[1])
print(status("VmHWM:") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_an_nml_that_inflates_a_thousandfold_is_read_in_bounded_memory(tmp_path):
    path = tmp_path / "a.zip"
    head, tail = minimal_nml("").rsplit("</things>", 1)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.nml", "w") as member:
        member.write(head.encode())
        for _ in range(256):
            member.write(b" " * MB)
        member.write(b"</things>" + tail.encode())
    assert path.stat().st_size < MB
    done = subprocess.run([sys.executable, "-c", LOAD, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 32 * MB
