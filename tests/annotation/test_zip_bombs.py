"""Archives that inflate absurdly fill neither memory nor disk, and are called what they are."""

import os
import struct
import zipfile

import pytest
from tests.inputs import measured, minimal_nml, needs_peaks, write_zip

import wkfast as wk
from wkfast.tables import read_skeletons

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
import wkfast as wk

before = begin()
wk.Annotation.load(sys.argv[1])
print(peak() - before)
"""


@needs_peaks
def test_an_nml_that_inflates_a_thousandfold_is_read_in_bounded_memory(tmp_path):
    path = tmp_path / "a.zip"
    head, tail = minimal_nml("").rsplit("</things>", 1)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.nml", "w") as member:
        member.write(head.encode())
        for _ in range(256):
            member.write(b" " * MB)
        member.write(b"</things>" + tail.encode())
    assert path.stat().st_size < MB
    (grown,) = measured(LOAD, path)
    assert grown < 32 * MB


ELEMENTS = 500_000
KINDS = {
    "empty trees": ("", "<thing id='{}'/>", ""),
    "trees": ("", "<thing id='{0}' name='t'><nodes><node id='{0}' x='1' y='2' z='3'/></nodes></thing>", ""),
    "comments": ("<comments>", "<comment node='{}' content='c'/>", "</comments>"),
    "branchpoints": ("<branchpoints>", "<branchpoint id='{}'/>", "</branchpoints>"),
    "segments": ("<volume id='0' name='v'><segments>", "<segment id='{}'/>", "</segments></volume>"),
}
LOAD_AND_SAVE = LOAD.replace(
    "wk.Annotation.load(sys.argv[1])",
    "import warnings; warnings.simplefilter('ignore'); wk.Annotation.load(sys.argv[1]).save(sys.argv[2])",
)


@needs_peaks
@pytest.mark.parametrize("kind", KINDS)
def test_very_many_elements_take_a_small_factor_of_their_text(tmp_path, kind):
    start, element, end = KINDS[kind]
    elements = "".join(map(element.format, range(1, ELEMENTS + 1)))
    paths = tmp_path / "a.zip", tmp_path / "b.zip"
    with zipfile.ZipFile(paths[0], "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.nml", minimal_nml(start + elements + end))
    (grown,) = measured(LOAD_AND_SAVE, *paths)
    # Beside what is kept: where each stands, what was seen of ids, and the text under way.
    assert grown < 12 * len(elements) + 32 * MB
    with zipfile.ZipFile(paths[1]) as archive:
        name = element.split()[0]
        assert archive.read("a.nml").decode().count(name + " ") == ELEMENTS


LISTED = 200_000
LIST_AND_SAVE = LOAD.replace(
    "wk.Annotation.load(sys.argv[1])",
    "import warnings; warnings.simplefilter('ignore'); annotation = wk.Annotation.load(sys.argv[1]); "
    "trees = list(annotation.skeleton.flattened_trees()); annotation.save(sys.argv[2])",
)


@needs_peaks
@pytest.mark.parametrize("kind", ["empty trees", "trees"])
def test_trees_that_are_listed_hold_no_tables_before_their_nodes_are_asked_for(tmp_path, kind):
    _, element, _ = KINDS[kind]
    paths = tmp_path / "a.zip", tmp_path / "b.zip"
    with zipfile.ZipFile(paths[0], "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.nml", minimal_nml("".join(map(element.format, range(1, LISTED + 1)))))
    (grown,) = measured(LIST_AND_SAVE, *paths)
    # The objects of Python's, and what they are written from; with a table each it would be twice as much.
    assert grown < 1000 * LISTED
    twin = [wk.Annotation.load(path).skeleton for path in paths]
    assert twin[0].get_tree_by_id(LISTED) == twin[1].get_tree_by_id(LISTED)


def test_more_groups_than_anybody_has_are_refused(tmp_path):
    path = tmp_path / "a.nml"
    groups = "".join(f"<group id='{i}' name='g'/>" for i in range(1, 2**18 + 2))
    path.write_text(minimal_nml(f"<groups>{groups}</groups>"))
    with pytest.raises(wk.errors.NmlError, match=r"more than 262144 groups, boxes, axes.*WKFAST_NML_LIMITS=records="):
        wk.Annotation.load(path)


def test_who_has_more_groups_than_anybody_raises_the_bound(tmp_path, monkeypatch):
    path = tmp_path / "a.nml"
    groups = "".join(f"<group id='{i}' name='g'/>" for i in range(1, 2**18 + 2))
    path.write_text(minimal_nml(f"<groups>{groups}</groups>"))
    monkeypatch.setenv("WKFAST_NML_LIMITS", "records=300000")
    skeleton = wk.Skeleton.load(path)
    assert len(list(skeleton.flattened_groups())) == 2**18 + 1
    skeleton.save(tmp_path / "b.nml")
    assert len(list(wk.Skeleton.load(tmp_path / "b.nml").flattened_groups())) == 2**18 + 1


def raise_any(failures):
    for failure in failures:
        raise failure.error


READERS = {
    "load": wk.Annotation.load,
    "load a skeleton": wk.Skeleton.load,
    "iterate trees": lambda path: list(wk.iterate_trees(path)),
    "read": lambda path: raise_any(read_skeletons(path).errors),
    "read bytes": lambda path: wk.Annotation.load(write_zip(path.with_suffix(".zip"), {"a.nml": path.read_bytes()})),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ("records=2", "more than 2 groups, .*WKFAST_NML_LIMITS=records="),
        ("extras_bytes=10", "more than 10 bytes.*WKFAST_NML_LIMITS=extras_bytes="),
        ("text_bytes=1000", "text of more than 1000 bytes.*WKFAST_NML_LIMITS=text_bytes="),
    ],
)
def test_bounds_of_the_environment_hold_for_every_reader(tmp_path, monkeypatch, reader, limits, said):
    path = tmp_path / "a.nml"
    groups = "".join(f"<group id='{i}' name='g'/>" for i in range(1, 5))
    trees = "".join(f"<thing id='{i}' odd='{i}'><nodes/><edges/></thing>" for i in range(1, 20_000))
    path.write_text(minimal_nml(f"{trees}<groups>{groups}</groups>"))
    READERS[reader](path)
    monkeypatch.setenv("WKFAST_NML_LIMITS", limits)
    with pytest.raises(wk.errors.NmlError, match=said):
        READERS[reader](path)
    monkeypatch.setenv("WKFAST_NML_LIMITS", "depth=900")
    with pytest.raises(wk.errors.EnvironmentVariableError, match=r"WKFAST_NML_LIMITS is .depth=900., expected"):
        READERS[reader](path)
