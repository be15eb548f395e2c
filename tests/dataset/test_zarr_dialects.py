"""Arrays in Zarr as others write them: what is read gives zarr-python's voxels, what is not says why by name."""

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.inputs import tree_state, volume_annotation, zarr3_data_zip, zipped

import wkfast as wk
from wkfast import _core
from wkfast.dataset import open_layer
from wkfast.errors import VolumeDataError, WkfastError


def opened(path: Path, **axis_order: int) -> _core.Mag:
    data_format = "zarr3" if (path / "zarr.json").exists() else "zarr"
    container = {"kind": "directory", "path": str(path)}
    place = {"mag": [1, 1, 1], "format": data_format, "container": container, "prefix": ""}
    return _core.Mag.open({**place, **({"axis_order": axis_order} if axis_order else {})})


def as_cxyz(data: NDArray, axes: str) -> NDArray:
    """Slices along other axes first, then c, x, y, z, of length 1 where the array has none."""
    others = [axis for axis in axes if axis not in "cxyz"]
    present = [axis for axis in "cxyz" if axis in axes]
    moved = data.transpose([axes.index(axis) for axis in others + present])
    missing = tuple(len(others) + place for place, axis in enumerate("cxyz") if axis not in axes)
    return np.expand_dims(moved, missing)


def assert_same(path: Path, data: NDArray, axes: str) -> None:
    mag = opened(path, **{axis: place for place, axis in enumerate(axes)})
    expected = as_cxyz(data, axes)
    others = expected.shape[:-4]
    for extra in np.ndindex(*others):
        found = mag.read((0, 0, 0), expected.shape[-3:], extra=list(extra))
        np.testing.assert_array_equal(found, expected[extra])


def test_real_arrays_read_as_zarr_python_reads_them_or_are_refused_by_name(fixtures: Path) -> None:
    root = fixtures / "realfiles" / "zarr"
    refused = {}
    folders = [folder for folder in sorted(root.iterdir()) if folder.is_dir()]
    assert folders
    for folder in folders:
        axes = json.loads((root / f"{folder.name}.axes.json").read_text())["axes"]
        try:
            opened(folder, **{axis: place for place, axis in enumerate(axes)})
        except VolumeDataError as error:
            refused[folder.name] = str(error)
        else:
            assert_same(folder, zarr.open_array(folder, mode="r")[...], axes)
    assert len(refused) <= 1
    assert all("codec numcodecs.delta is not supported" in reason for reason in refused.values())


# What each folder of a dataset holds: layers with their mags and the sum of their voxels, or why it is refused.
REAL_DATASETS: dict[str, Any] = {
    "complex_property_ds": "complex_property_ds/color/2: No such file or directory",  # only its finest mags are there
    "old_wkw_dataset": {"color": ["1", "2"]},
    "simple_n5_dataset": "data format 'n5', which wkfast does not read; it reads wkw, zarr, zarr3",
    "simple_ng_dataset": "data format 'neuroglancerPrecomputed', which wkfast does not read",
    "simple_wkw_dataset": {"color": ["1"]},
    "simple_zarr3_dataset": {"color": ["1"]},
    "simple_zarr_dataset": {"color": ["1"]},
}


def test_real_datasets_open_or_are_refused_by_name(fixtures: Path) -> None:
    folders = sorted((fixtures / "realfiles" / "dataset").iterdir())
    assert {folder.name for folder in folders} == set(REAL_DATASETS)
    for folder in folders:
        wanted = REAL_DATASETS[folder.name]
        if isinstance(wanted, str):
            with pytest.raises(WkfastError, match=re.escape(wanted)):
                [mag.info for layer in wk.Dataset.open(folder).layers.values() for mag in layer.mags.values()]
            continue
        dataset = wk.Dataset.open(folder, read_only=True)
        assert {name: sorted(map(str, layer.mags)) for name, layer in dataset.layers.items()} == wanted
        for layer in dataset.layers.values():
            for mag in layer.mags.values():
                box = mag.bounding_box.align_with_mag(mag.mag)
                small = wk.BoundingBox(box.topleft, [min(edge, 24 * mag.mag.x) for edge in box.size])
                assert mag.read_cxyz(absolute_bounding_box=small).shape == (layer.num_channels, 24, 24, 24)


def test_real_datasets_are_read_as_the_reference_reads_them(fixtures: Path) -> None:
    reference = pytest.importorskip("webknossos")
    for name in ("simple_wkw_dataset", "simple_zarr_dataset", "simple_zarr3_dataset"):
        folder = fixtures / "realfiles" / "dataset" / name
        theirs, ours = reference.Dataset.open(folder).get_layer("color"), wk.Dataset.open(folder).get_layer("color")
        assert ours.bounding_box == theirs.bounding_box
        np.testing.assert_array_equal(ours.get_mag(1).read(), theirs.get_mag(1).read())


@st.composite
def cut_arrays(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of an array whose channels lie in several chunks, the last one padded now and then."""
    channels = draw(st.integers(2, 5))
    axes = draw(st.permutations("cxyz"))
    lengths = {"c": channels, **{axis: draw(st.integers(1, 9)) for axis in "xyz"}}
    chunk = {"c": draw(st.integers(1, channels + 1)), **{axis: draw(st.integers(1, 5)) for axis in "xyz"}}
    version = draw(st.sampled_from([2, 3]))
    separator = draw(st.sampled_from("./"))
    return {
        "shape": tuple(lengths[axis] for axis in axes),
        "chunks": tuple(chunk[axis] for axis in axes),
        "dtype": draw(st.sampled_from(["uint8", "int16", "uint32", "uint64", "float32"])),
        "fill_value": draw(st.sampled_from([0, 7])),
        "zarr_format": version,
        "order": draw(st.sampled_from("CF")) if version == 2 else None,
        "dimension_names": list(axes),
        "chunk_key_encoding": {"name": "v2" if version == 2 else "default", "separator": separator},
        "compressors": draw(st.sampled_from(["auto", None])),
    }


@settings(max_examples=60)
@given(array=cut_arrays(), seed=st.integers(0, 2**32 - 1))
def test_channels_cut_into_chunks_are_read(
    tmp_path_factory: pytest.TempPathFactory, array: dict[str, Any], seed: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "1"
    axes = array["dimension_names"]
    if array["zarr_format"] == 2:  # has no place for them
        array = {**array, "dimension_names": None}
    theirs = zarr.create_array(path, **array)
    random = np.random.default_rng(seed)
    # Chunks that are nothing but fill are left out by zarr-python.
    data = np.full(array["shape"], array["fill_value"], array["dtype"])
    corner = tuple(slice(0, random.integers(0, edge + 1)) for edge in array["shape"])
    data[corner] = random.integers(0, 100, data[corner].shape)
    theirs[...] = data
    assert_same(path, theirs[...], "".join(axes))


def cut(path: Path) -> NDArray:
    data = np.arange(3 * 20 * 18 * 9, dtype="uint16").reshape(3, 20, 18, 9)
    array = zarr.create_array(
        path, shape=data.shape, chunks=(1, 8, 8, 8), dtype="uint16", dimension_names=["c", "x", "y", "z"]
    )
    array[...] = data
    return data


def test_any_box_of_cut_channels_is_read_and_a_missing_file_is_fill(tmp_path: Path) -> None:
    data = cut(tmp_path / "1")
    (tmp_path / "1" / "c" / "1" / "0" / "1" / "0").unlink()
    data[1, :8, 8:16, :8] = 0
    mag = opened(tmp_path / "1")
    assert (mag.channels, mag.chunk_shape, mag.chunk_count) == (3, (8, 8, 8), 3 * 3 * 2)
    np.testing.assert_array_equal(mag.read((3, 5, 2), (9, 12, 7)), data[:, 3:12, 5:17, 2:9])
    damaged = tmp_path / "1" / "c" / "2" / "0" / "0" / "0"
    damaged.write_bytes(damaged.read_bytes()[:-3])
    with pytest.raises(VolumeDataError, match=r"file 2 of its channels"):
        mag.read((0, 0, 0), (8, 8, 8))


def test_cut_channels_are_not_written_but_copied_into_whole_chunks(tmp_path: Path) -> None:
    data = cut(tmp_path / "1")
    before = tree_state(tmp_path / "1")
    with pytest.raises(VolumeDataError, match="does not write them; rechunk it first"):
        opened(tmp_path / "1").write((0, 0, 0), np.ones((3, 40, 40, 40), "uint16", order="F"))
    assert tree_state(tmp_path / "1") == before
    dataset = wk.Dataset(tmp_path / "dataset", voxel_size=(4, 4, 4))
    for data_format in ["wkw", "zarr", "zarr3"]:
        layer = dataset.add_layer_as_copy(open_layer(tmp_path / "1"), data_format, data_format=data_format)
        np.testing.assert_array_equal(layer.get_mag(1).read(absolute_offset=(0, 0, 0), size=data.shape[1:]), data)


@pytest.mark.parametrize(("axes", "shape"), [("tyx", (3, 20, 30)), ("yx", (20, 30)), ("tcyx", (2, 3, 9, 8))])
@pytest.mark.parametrize("version", [2, 3])
def test_arrays_without_z_are_one_slice_thick(tmp_path: Path, axes: str, shape: tuple[int, ...], version: int) -> None:
    chunks = tuple(1 if axis == "t" else 8 for axis in axes)
    array = zarr.create_array(tmp_path / "1", shape=shape, chunks=chunks, dtype="uint16", zarr_format=version)
    array[...] = np.arange(np.prod(shape)).reshape(shape)
    assert_same(tmp_path / "1", array[...], axes)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("dtype", ["float16", "bool", "complex64"])
def test_types_that_webknossos_lacks_are_refused_by_name(tmp_path: Path, dtype: str, version: int) -> None:
    zarr.create_array(tmp_path / "1", shape=(4, 4, 4), chunks=(4, 4, 4), dtype=dtype, zarr_format=version)
    name = dtype if version == 3 else np.dtype(dtype).str
    with pytest.raises(VolumeDataError, match=rf"data type {name} .*uint8, .*float64.*convert"):
        opened(tmp_path / "1")


def edited(path: Path, **fields: Any) -> Path:
    """An array's folder with other fields in its metadata."""
    zarr.create_array(path, shape=(4, 4, 4), chunks=(4, 4, 4), dtype="uint8")[...] = 3
    file = path / "zarr.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))
    return path


@pytest.mark.parametrize(
    "fields",
    [
        {"storage_transformers": None},
        {"storage_transformers": []},
        {"storage_transformers": [{"name": "cache", "must_understand": False}]},
        {"of_a_tool": {"must_understand": False, "name": "anything"}},
        {"attributes": {"must_understand": True}},
    ],
)
def test_extensions_that_need_not_be_understood_are_passed_over(tmp_path: Path, fields: dict[str, Any]) -> None:
    assert opened(edited(tmp_path / "1", **fields)).read((0, 0, 0), (4, 4, 4)).sum() == 3 * 64


def test_data_zips_of_servers_that_name_no_storage_transformers_are_read(tmp_path: Path) -> None:
    chunk = np.full((32, 32, 32), 7, "uint32")
    with zipfile.ZipFile(io.BytesIO(zarr3_data_zip({(0, 0, 0): chunk}))) as archive:
        data = zipped({name: _with_null(archive.read(name)) for name in archive.namelist()})
    annotation = wk.Annotation.load(volume_annotation(tmp_path / "a.zip", data))
    read = annotation.get_volume_layer().as_layer().get_mag(1).read(absolute_offset=(0, 0, 0), size=(32, 32, 32))
    np.testing.assert_array_equal(read[0], chunk)


def _with_null(content: bytes) -> bytes:
    """An array's metadata as servers of 2023 wrote them; all else as it is."""
    if b'"codecs"' not in content:
        return content
    return json.dumps({**json.loads(content), "storage_transformers": None}).encode()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"storage_transformers": [{"name": "sharded_storage"}]}, "storage transformer sharded_storage"),
        ({"storage_transformers": ["encryption"]}, "storage transformer encryption"),
        ({"mirrored": {"must_understand": True}}, '"mirrored" is an extension that wkfast does not know'),
        ({"mirrored": {"name": "x"}}, '"mirrored" is an extension'),
        ({"mirrored": True}, '"mirrored" is an extension'),
        ({"codecs": ["bytes", {"name": "numcodecs.bz2", "configuration": {"level": 1}}]}, "codec bz2 is not supported"),
        ({"codecs": ["bytes", "numcodecs.fletcher32"]}, "codec fletcher32 is not supported"),
        ({"codecs": ["bytes", {"name": "numcodecs.adler32"}]}, "codec adler32 is not supported"),
        ({"codecs": [{"name": "numcodecs.delta"}, "bytes"]}, "codec numcodecs.delta is not supported"),
    ],
)
def test_what_must_be_understood_and_is_not_is_refused_by_name(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(VolumeDataError, match=reason):
        opened(edited(tmp_path / "1", **fields))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"compressor": {"id": "bz2", "level": 1}}, "codec bz2 is not supported"),
        ({"filters": [{"id": "delta", "dtype": "|u1"}]}, "filter delta is not supported"),
        ({"filters": [{"id": "fletcher32"}]}, "filter fletcher32 is not supported"),
    ],
)
def test_codecs_of_version_2_that_are_not_known_are_refused_by_name(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    zarr.create_array(tmp_path / "1", shape=(4, 4, 4), chunks=(4, 4, 4), dtype="uint8", zarr_format=2)
    file = tmp_path / "1" / ".zarray"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))
    with pytest.raises(VolumeDataError, match=reason):
        opened(tmp_path / "1")
