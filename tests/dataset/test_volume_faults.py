"""Damaged, hostile and missing data: an error that names file, mag and chunk, and nothing on disk that changes.

Every row of docs/volume-faults.md has its test here or in the one that it names.
"""

import json
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.inputs import tree_state

import wkfast as wk
from wkfast import _core
from wkfast.errors import DatasetError, LayerNotFoundError, MagNotFoundError, VolumeDataError

Refusal = Callable[[wk.MagView], str]
CHUNKED = [("wkw", {"shard_shape": 32}), ("zarr", {}), ("zarr3", {"shard_shape": 32}), ("zarr3", {"shard_shape": 8})]
SHARD_FILES = {"wkw": "z0/y0/x0.wkw", "zarr": "0/0/0/0", "zarr3": "c/0/0/0/0"}


def filled(folder: Path, data_format: str, **shapes: object) -> wk.MagView:
    dataset = wk.Dataset(folder / "dataset", voxel_size=(4, 4, 40))
    layer = dataset.add_layer("layer", "segmentation", dtype="uint32", data_format=data_format)
    mag = layer.add_mag(1, chunk_shape=8, **shapes)
    values = np.random.default_rng(1).integers(1, 2**32, (32, 32, 32), np.uint32)
    mag.write(values, absolute_offset=(0, 0, 0), allow_resize=True)
    return wk.Dataset.open(dataset.path).get_layer("layer").get_mag(1)


def first_file(mag: wk.MagView) -> Path:
    return mag.path / SHARD_FILES[mag.info.data_format.value]


def truncated(content: bytes) -> bytes:
    return content[:-7]


def emptied_but_for_a_byte(_content: bytes) -> bytes:
    return b"\0"


def overwritten_at_the_end(content: bytes) -> bytes:
    return content[:-40] + bytes(range(200, 240))


def overwritten_in_front(content: bytes) -> bytes:
    return bytes(range(64)) + content[64:]


def doubled(content: bytes) -> bytes:
    return content + content


@pytest.mark.parametrize("damage", [truncated, emptied_but_for_a_byte, overwritten_in_front, overwritten_at_the_end])
@pytest.mark.parametrize(("data_format", "shapes"), CHUNKED)
def test_a_damaged_file_is_named_and_neither_read_nor_overwritten_in_part(
    tmp_path: Path, data_format: str, shapes: dict, damage: Callable[[bytes], bytes]
) -> None:
    mag = filled(tmp_path, data_format, **shapes)
    file = first_file(mag)
    file.write_bytes(damage(file.read_bytes()))
    before = tree_state(mag.path)
    noticed = _noticed(mag, file)
    # Neither LZ4 nor WEBKNOSSOS's zstd in Zarr v2 has a checksum: what decodes to the right length are voxels.
    assert noticed or (data_format in {"wkw", "zarr"} and damage is overwritten_at_the_end)
    if noticed and not (data_format == "zarr3" and damage is overwritten_in_front and shapes["shard_shape"] == 32):
        with pytest.raises(VolumeDataError, match=str(file)):
            mag.write(np.ones((3, 3, 3), np.uint32), absolute_offset=(1, 1, 1), allow_unaligned=True)
        assert tree_state(mag.path) == before


def _noticed(mag: wk.MagView, file: Path) -> bool:
    try:
        mag.read()
    except VolumeDataError as error:
        return str(file) in str(error)
    return False


def test_a_chunk_in_a_shard_is_named_with_its_place(tmp_path: Path) -> None:
    mag = filled(tmp_path, "zarr3", shard_shape=32)
    file = first_file(mag)
    content = bytearray(file.read_bytes())
    index = content[-(64 * 16 + 4) : -4]
    place = (1 * 4 + 2) * 4 + 3  # z fastest
    offset, length = struct.unpack_from("<QQ", index, 16 * place)
    content[offset + length // 2] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(VolumeDataError, match=r"c/0/0/0/0, chunk \(1, 2, 3\)"):
        mag.read()
    assert mag.read(absolute_offset=(0, 0, 0), size=(8, 8, 8)).all()


def rewrite_index(file: Path, change: Callable[[bytearray], None], *, valid_sum: bool) -> None:
    content = bytearray(file.read_bytes())
    index = bytearray(content[-(64 * 16 + 4) : -4])
    change(index)
    content[-(64 * 16 + 4) : -4] = index
    if valid_sum:
        import google_crc32c

        content[-4:] = struct.pack("<I", google_crc32c.value(bytes(index)))
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("entry", "valid_sum", "reason"),
    [
        ((0, 16), False, "checksum"),
        ((2**63, 16), True, "at byte 9223372036854775808"),
        ((0, 2**62), True, "at most"),
        ((2**64 - 2, 4), True, "at byte"),
    ],
)
def test_a_shard_index_that_points_anywhere_is_refused(
    tmp_path: Path, entry: tuple[int, int], valid_sum: bool, reason: str
) -> None:
    mag = filled(tmp_path, "zarr3", shard_shape=32)
    rewrite_index(first_file(mag), lambda index: struct.pack_into("<QQ", index, 0, *entry), valid_sum=valid_sum)
    with pytest.raises(VolumeDataError, match=f"c/0/0/0/0: .*{reason}"):
        mag.read()


def test_a_jump_table_that_runs_backwards_is_refused(tmp_path: Path) -> None:
    mag = filled(tmp_path, "wkw", shard_shape=32)
    file = first_file(mag)
    content = bytearray(file.read_bytes())
    struct.pack_into("<Q", content, 16 + 8 * 5, 17)
    file.write_bytes(content)
    with pytest.raises(VolumeDataError, match=r"x0\.wkw: block 5 of its table"):
        mag.read()


@pytest.mark.parametrize("at", [4, 6, 7])
def test_a_file_whose_header_differs_from_its_mag_s_is_refused(tmp_path: Path, at: int) -> None:
    mag = filled(tmp_path, "wkw", shard_shape=32)
    file = first_file(mag)
    content = bytearray(file.read_bytes())
    content[at] = {4: 0x14, 6: 2, 7: 8}[at]
    file.write_bytes(content)
    with pytest.raises(VolumeDataError, match=r"x0\.wkw: "):
        mag.read()


def change_json(file: Path, **more: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **more}))


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [1, 2**70, 1, 1]},
        {"shape": "large"},
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 2**31, 2**31, 2**31]}}},
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 0, 8, 8]}}},
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 12, 8, 8]}}},
        {"codecs": [{"name": "lzma"}]},
        {"data_type": "r8"},
        {"fill_value": 2**40},
        {"dimension_names": ["x", "x", "x", "x"]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_absurd_metadata_are_refused_before_memory_is_taken(
    tmp_path: Path, refusal_within_2_gib: Refusal, change: dict
) -> None:
    mag = filled(tmp_path, "zarr3", shard_shape=32)
    change_json(mag.path / "zarr.json", **change)
    without_axis_order(mag)
    assert str(mag.path / "zarr.json") in refusal_within_2_gib(mag)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [1, 2**70, 1, 1]},
        {"chunks": [1, 2**31, 2**31, 2**31]},
        {"chunks": [1, 8, 8]},
        {"dtype": "<q16"},
        {"order": "X"},
        {"compressor": {"id": "lzma"}},
        {"filters": [{"id": "delta"}]},
        {"zarr_format": 3},
        {"dimension_separator": "-"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_absurd_metadata_of_zarr_v2_are_refused_before_memory_is_taken(
    tmp_path: Path, refusal_within_2_gib: Refusal, change: dict
) -> None:
    mag = filled(tmp_path, "zarr")
    change_json(mag.path / ".zarray", **change)
    assert str(mag.path / ".zarray") in refusal_within_2_gib(mag)


@pytest.mark.parametrize("header", [b"WKW\x01\xff\x02\x03\x04", b"WKW\x01\x0f\x01\x04\xf8", b"WKW\x02\x33\x02\x03\x04"])
def test_absurd_headers_of_wkw_are_refused_before_memory_is_taken(
    tmp_path: Path, refusal_within_2_gib: Refusal, header: bytes
) -> None:
    mag = filled(tmp_path, "wkw", shard_shape=32)
    (mag.path / "header.wkw").write_bytes(header + bytes(8))
    assert str(mag.path / "header.wkw") in refusal_within_2_gib(mag)


def without_axis_order(mag: wk.MagView) -> None:
    properties = mag.layer.dataset.path / "datasource-properties.json"
    content = json.loads(properties.read_text())
    del content["dataLayers"][0]["mags"][0]["axisOrder"]
    properties.write_text(json.dumps(content))


OPENING = """
import json, resource, sys
import wkfast as wk
from wkfast.errors import VolumeDataError

resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))
for line in sys.stdin:
    refusal = "none"
    try:
        wk.Dataset.open(line.rstrip("\\n")).get_layer("layer").get_mag(1)
    except VolumeDataError as error:
        refusal = str(error)
    print(json.dumps(refusal), flush=True)
"""


@pytest.fixture(scope="module")
def refusal_within_2_gib() -> Iterator[Refusal]:
    """What a process that may not have more memory says when it opens a mag; one for all mags."""
    command = [sys.executable, "-c", OPENING]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def refusal(mag: wk.MagView) -> str:
            print(mag.layer.dataset.path, file=process.stdin, flush=True)
            return str(json.loads(process.stdout.readline() or '"the process has died"'))

        yield refusal
        process.stdin.close()


def test_an_array_without_the_axes_of_its_layer_is_refused(tmp_path: Path) -> None:
    mag = filled(tmp_path, "zarr3", shard_shape=32)
    properties = mag.layer.dataset.path / "datasource-properties.json"
    content = json.loads(properties.read_text())
    content["dataLayers"][0]["additionalAxes"] = [{"name": "t", "bounds": [0, 2], "index": 4}]
    properties.write_text(json.dumps(content))
    with pytest.raises((DatasetError, VolumeDataError), match="axes"):
        wk.Dataset.open(mag.layer.dataset.path).get_layer("layer").get_mag(1).read()


@pytest.mark.parametrize(("data_format", "shapes"), CHUNKED)
def test_a_file_without_a_byte_is_absent(tmp_path: Path, data_format: str, shapes: dict) -> None:
    mag = filled(tmp_path, data_format, **shapes)
    expected = mag.read()
    edge = mag.info.shard_shape.x
    first_file(mag).write_bytes(b"")
    expected[:, :edge, :edge, :edge] = 0
    np.testing.assert_array_equal(mag.read(), expected)
    assert wk.BoundingBox((0, 0, 0), (edge,) * 3) not in list(mag.get_bounding_boxes_on_disk())
    mag.write(np.ones((1, edge, edge, edge), np.uint32), absolute_offset=(0, 0, 0))
    expected[:, :edge, :edge, :edge] = 1
    np.testing.assert_array_equal(mag.read(), expected)


def test_files_without_a_byte_in_an_archive_are_warned_of(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("1/header.wkw", b"WKW\x01\x05\x02\x03\x04" + bytes(8))
        archive.writestr("1/z0/y0/x3.wkw", b"")
    with pytest.warns(UserWarning, match=r"1/z0/y0/x3\.wkw"):
        (found,) = _core.discover_mags(tmp_path / "data.zip")
    assert found["chunks"] == 0


@pytest.mark.parametrize(
    "axes", ["t", [{"name": "t"}], [{"name": "t", "bounds": [0], "index": 1}], [{"name": "t", "bounds": 3, "index": 1}]]
)
def test_additional_axes_that_are_none_are_refused(tmp_path: Path, axes: object) -> None:
    mag = filled(tmp_path, "zarr3", shard_shape=32)
    properties = mag.layer.dataset.path / "datasource-properties.json"
    content = json.loads(properties.read_text())
    content["dataLayers"][0]["additionalAxes"] = axes
    properties.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"datasource-properties\.json: layer 'layer': 'additionalAxes'"):
        wk.Dataset.open(mag.layer.dataset.path).get_layer("layer").get_mag(1).read()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", ["layer"]),
        ("category", None),
        ("elementClass", {"x": 0, "y": 1}),
        ("mags", None),
        ("mags", 5),
        ("mags", "1"),
        ("mags", [None]),
        ("mags", [{"mag": 2**63}]),
        ("mags", [{"mag": 1, "path": "\ud800"}]),
        ("mags", [{"mag": 1, "path": ["layer"]}]),
        ("mags", [{"mag": 1, "axisOrder": "cxyz"}]),
        ("mags", [{"mag": 1, "axisOrder": ""}]),
        ("name", "\ud800"),
        ("mags", [{"mag": 1, "axisOrder": {"c": "0"}}]),
        ("mags", [{"mag": 1, "axisOrder": {"c": -1}}]),
        ("additionalAxes", [{"name": "t", "bounds": [0, 2**63], "index": 1}]),
        ("additionalAxes", [{"name": "t", "bounds": [0, 1], "index": -1}]),
    ],
)
def test_entries_of_other_types_are_refused_and_named(tmp_path: Path, key: str, value: object) -> None:
    """Each ended in an error of Python's that spoke of neither file nor entry."""
    mag = filled(tmp_path, "zarr3", shard_shape=32)
    file = mag.layer.dataset.path / "datasource-properties.json"
    content = json.loads(file.read_text())
    content["dataLayers"][0][key] = value
    file.write_text(json.dumps(content))
    dataset = wk.Dataset.open(file.parent)
    with pytest.raises(DatasetError, match=rf"datasource-properties\.json: layer .*{key!r}"):
        [
            [view.read(), layer.category, layer.dtype]
            for layer in dataset.layers.values()
            for view in layer.mags.values()
        ]


@pytest.mark.parametrize("layers", [[None], ["layer"], [[1, 2]]])
def test_layers_that_are_no_objects_are_refused(tmp_path: Path, layers: list[object]) -> None:
    file = filled(tmp_path, "zarr3").layer.dataset.path / "datasource-properties.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "dataLayers": layers}))
    with pytest.raises(DatasetError, match=r"datasource-properties\.json: expected a JSON object"):
        wk.Dataset.open(file.parent)


def test_boxes_beyond_reason_are_refused(tmp_path: Path) -> None:
    mag = filled(tmp_path, "zarr3", shard_shape=32)
    with pytest.raises((MemoryError, ValueError)):
        mag.read(absolute_offset=(0, 0, 0), size=(2**24, 2**24, 2**24))
    with pytest.raises(ValueError, match="beyond any layer"):
        mag.read(absolute_offset=(2**60, 0, 0), size=(1, 1, 1))
    with pytest.raises(ValueError, match="out of bounds"):
        mag._source.write((2**40, 0, 0), np.ones((1, 1, 1, 1), np.uint32))


def test_what_lies_out_of_bounds_reads_as_zeros(tmp_path: Path) -> None:
    mag = filled(tmp_path, "wkw", shard_shape=32)
    assert not mag.read(absolute_offset=(100, 0, 0), size=(40, 8, 8)).any()
    edge = mag.read(absolute_offset=(28, 28, 28), size=(8, 8, 8))[0]
    assert edge[:4, :4, :4].all()
    assert not edge[4:].any()


@pytest.mark.parametrize("path", ["../outside", "layer/../../outside", "./../outside/1"])
def test_a_path_that_climbs_out_of_the_dataset_is_refused(tmp_path: Path, path: str) -> None:
    mag = filled(tmp_path, "zarr3", shard_shape=32)
    layer = mag.layer
    layer._change(lambda entry: entry.set_mags([{"mag": 1, "path": path}]))
    with pytest.raises(DatasetError, match="leads out of the dataset"):
        layer.get_mag(1)


def test_links_out_of_the_mag_are_neither_read_nor_written(tmp_path: Path) -> None:
    mag = filled(tmp_path, "zarr3", shard_shape=8)
    secret = tmp_path / "secret"
    secret.write_bytes(first_file(mag).read_bytes())
    first_file(mag).unlink()
    first_file(mag).symlink_to(secret)
    with pytest.raises(VolumeDataError, match="leads out"):
        mag.read()
    before = secret.read_bytes()
    mag.write(np.ones((8, 8, 8), np.uint32), absolute_offset=(0, 0, 0), allow_unaligned=True)
    assert secret.read_bytes() == before
    assert not first_file(mag).is_symlink()


def test_members_of_a_zip_that_climb_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("1/header.wkw", b"WKW\x01\x05\x02\x03\x04" + bytes(8))
        archive.writestr("../../evil", b"x")
    with pytest.raises(VolumeDataError, match="evil"):
        _core.discover_mags(tmp_path / "data.zip")


def test_a_mag_in_an_archive_is_not_written(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("1/header.wkw", b"WKW\x01\x05\x02\x03\x04" + bytes(8))
    before = (tmp_path / "data.zip").read_bytes()
    mag = _core.Mag.open(_core.discover_mags(tmp_path / "data.zip")[0]["location"])
    with pytest.raises(VolumeDataError, match="lies in an archive"):
        mag.write((0, 0, 0), np.ones((1, 32, 32, 32), np.uint32))
    assert (tmp_path / "data.zip").read_bytes() == before


def test_sources_are_never_opened_for_writing(tmp_path: Path) -> None:
    """Seen by the kernel: reading leaves every file's times and bytes alone, with all permissions to write given."""
    mag = filled(tmp_path, "zarr3", shard_shape=32)
    files = {file: file.stat().st_mtime_ns for file in mag.path.rglob("*")}
    mag.read()
    list(mag.get_bounding_boxes_on_disk())
    assert {file: file.stat().st_mtime_ns for file in mag.path.rglob("*")} == files


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    mag = filled(tmp_path, "zarr3", shard_shape=32)
    folder = first_file(mag).parent
    folder.chmod(0o555)
    with pytest.raises(VolumeDataError, match=str(first_file(mag))):
        mag.write(np.ones((32, 32, 32), np.uint32))
    folder.chmod(0o755)


def test_a_missing_layer_mag_or_folder_is_said_with_what_there_is(tmp_path: Path) -> None:
    mag = filled(tmp_path, "zarr3", shard_shape=32)
    dataset = mag.layer.dataset
    with pytest.raises(LayerNotFoundError, match="layer"):
        dataset.get_layer("other")
    with pytest.raises(MagNotFoundError, match="its mags: 1"):
        mag.layer.get_mag(2)
    (mag.path / "zarr.json").unlink()
    with pytest.raises(MagNotFoundError, match=r"zarr\.json"):
        mag.layer.get_mag(1)
    empty = dataset.add_layer("empty", "color")
    with pytest.raises(MagNotFoundError, match="has no mags"):
        empty.get_finest_mag()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"dataLayers": 3}', '{"dataLayers": [], "version": 2}', "[" * 100_000]
)
def test_properties_that_are_none_are_refused_and_left(tmp_path: Path, text: str) -> None:
    dataset = wk.Dataset(tmp_path / "dataset", voxel_size=(4, 4, 40))
    file = dataset.path / "datasource-properties.json"
    file.write_text(text)
    with pytest.raises(DatasetError, match=r"datasource-properties\.json"):
        wk.Dataset.open(dataset.path)
    with pytest.raises(DatasetError, match=r"datasource-properties\.json"):
        dataset.add_layer("layer", "color")
    assert file.read_text() == text
