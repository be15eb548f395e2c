"""What a failed save says names the file that was asked for, not the one it was written to meanwhile."""

import errno
import resource
import signal

import pytest

import wkfast as wk


@pytest.fixture
def annotation():
    annotation = wk.Annotation("a", dataset_name="d", voxel_size=(1, 1, 1))
    tree = annotation.skeleton.add_tree("t")
    for number in range(20_000):
        tree.add_node(position=(number, 0, 0))
    return annotation


@pytest.mark.parametrize("suffix", ["nml", "zip"])
def test_a_missing_folder(annotation, tmp_path, suffix):
    path = tmp_path / "missing" / f"a.{suffix}"
    with pytest.raises(FileNotFoundError) as raised:
        annotation.save(path)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOENT, str(path))
    assert ".part" not in str(raised.value)


@pytest.mark.parametrize("suffix", ["nml", "zip"])
def test_a_folder_that_is_a_file(annotation, tmp_path, suffix):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / f"a.{suffix}"
    with pytest.raises(NotADirectoryError) as raised:
        annotation.save(path)
    assert raised.value.filename == str(path)
    assert ".part" not in str(raised.value)


@pytest.mark.parametrize("suffix", ["nml", "zip"])
def test_a_target_that_is_a_folder(annotation, tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    path.mkdir()
    with pytest.raises(OSError, match="directory") as raised:
        annotation.save(path)
    assert raised.value.filename == str(path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_full_disk_leaves_the_old_file(annotation, tmp_path):
    path = tmp_path / "a.nml"
    path.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match="large") as raised:
            annotation.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert (raised.value.errno, raised.value.filename) == (errno.EFBIG, str(path))
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "old"
