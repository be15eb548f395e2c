"""Volume layers read in place, exported and copied: the same voxels everywhere."""

import json
from pathlib import Path

import numpy as np
import pytest
import zarr
from tests.inputs import minimal_nml, tree_state, volume_annotation, wkw_data_zip, write_zip, zarr3_data_zip, zipped

import wkfast as wk

REAL = ["cremi_two_volumes", "l4dense_wkw", "l4_sample_zarr3"]


def labels(label, dtype=np.uint32):
    return np.arange(32**3, dtype=dtype).reshape((32,) * 3, order="F") % 7 + dtype(label)


CHUNKS = {(1, 2, 3): labels(10), (2, 2, 3): labels(200)}


def dataset_at(folder):
    return wk.Dataset(folder / "exported", voxel_size=(4, 4, 40))


@pytest.fixture(params=["wkw", "zarr3", "zarr3 of 2024", "zarr3 of 2025"])
def annotation(request, tmp_path):
    data = wkw_data_zip(CHUNKS) if request.param == "wkw" else zarr3_data_zip(CHUNKS, dialect=request.param)
    return wk.Annotation.load(volume_annotation(tmp_path / "a.zip", data, data_format=request.param[:5].strip()))


def test_an_exported_layer_has_the_voxels_and_the_format_of_the_annotation(annotation, tmp_path):
    layer = annotation.export_volume_layer_to_dataset(dataset_at(tmp_path), layer_name="painted")
    for chunk, expected in CHUNKS.items():
        corner = tuple(32 * place for place in chunk)
        assert np.array_equal(layer.get_mag(1).read(absolute_offset=corner, size=(32, 32, 32))[0], expected)
    assert (layer.name, layer.largest_segment_id, layer.dtype) == ("painted", 206, np.dtype("uint32"))
    reopened = wk.Dataset.open(tmp_path / "exported").get_segmentation_layer("painted")
    assert reopened.bounding_box == layer.bounding_box
    if layer.data_format is wk.DataFormat.Zarr3:  # other readers take the metadata at their word
        array = zarr.open_array(layer.get_mag(1).path, mode="r")
        assert np.array_equal(array[0, 32:64, 64:96, 96:128], CHUNKS[1, 2, 3])


@pytest.mark.parametrize("name", REAL)
def test_real_layers_are_the_same_in_place_exported_and_copied(fixtures, tmp_path, name):
    annotation = wk.Annotation.load(fixtures / "annotations" / f"{name}.zip")
    for volume in annotation.volume_layers:
        dataset = wk.Dataset(tmp_path / str(volume.id), voxel_size=annotation.voxel_size)
        exported = annotation.export_volume_layer_to_dataset(dataset, volume_layer_id=volume.id)
        in_place = volume.as_layer()
        with annotation.temporary_volume_layer_copy(volume_layer_id=volume.id) as copied:
            assert exported.mags.keys() == in_place.mags.keys() == copied.mags.keys()
            for mag in in_place.mags:
                found = [set(layer.get_mag(mag).get_bounding_boxes_on_disk()) for layer in (exported, copied)]
                assert found[0] == found[1] == set(in_place.get_mag(mag).get_bounding_boxes_on_disk())
            voxels = in_place.get_finest_mag().read()
            assert voxels.any()
            assert np.array_equal(voxels, exported.get_finest_mag().read())
            assert np.array_equal(voxels, copied.get_finest_mag().read())


# What the reference package makes of the same files.
REFERENCE = {
    ("cremi_two_volumes", 0): ((544, 416, 0), (96, 192, 32), 1, 18),
    ("cremi_two_volumes", 1): ((544, 416, 0), (96, 192, 32), 7718, 16),
    ("l4dense_wkw", 0): ((2656, 4160, 1792), (384, 320, 32), 2504698, 94),
    ("l4_sample_zarr3", 0): ((3072, 3072, 512), (1024, 1024, 1024), 1, 111),
}


@pytest.mark.parametrize(("name", "volume_id"), REFERENCE)
def test_real_layers_export_as_the_reference_package_does(fixtures, tmp_path, name, volume_id):
    annotation = wk.Annotation.load(fixtures / "annotations" / f"{name}.zip")
    layer = annotation.export_volume_layer_to_dataset(dataset_at(tmp_path), volume_layer_id=volume_id)
    topleft, size, largest, chunks = REFERENCE[name, volume_id]
    assert layer.bounding_box == wk.BoundingBox(topleft, size)
    assert layer.largest_segment_id == largest
    assert len(list(layer.get_finest_mag().get_bounding_boxes_on_disk())) == chunks


def test_a_copy_is_read_only_unless_asked_for_and_gone_afterwards(annotation):
    volume = annotation.get_volume_layer()
    with annotation.temporary_volume_layer_copy() as layer:
        path = layer.path
        with pytest.raises(RuntimeError, match="read-only"):
            layer.get_mag(1).write(labels(1), absolute_offset=(32, 64, 96))
    assert not path.exists()
    with annotation.temporary_volume_layer_copy("V", read_only=False) as layer:
        layer.get_mag(1).write(labels(1), absolute_offset=(32, 64, 96))
        assert layer.get_mag(1).read(absolute_offset=(32, 64, 96), size=(1, 1, 1)) == 1
    assert volume.as_layer().get_mag(1).read(absolute_offset=(32, 64, 96), size=(1, 1, 1)) == 10


def test_a_layer_in_place_cannot_be_changed_and_has_no_folder(annotation):
    mag = annotation.get_volume_layer().as_layer().get_mag(1)
    with pytest.raises(RuntimeError, match="read-only"):
        mag.write(labels(1), absolute_offset=(32, 64, 96))
    with pytest.raises(RuntimeError, match="in an archive"):
        _ = mag.path


def test_a_name_that_is_taken_or_none_leaves_the_dataset_as_it_was(annotation, tmp_path):
    dataset = dataset_at(tmp_path)
    annotation.export_volume_layer_to_dataset(dataset)
    (dataset.path / "other").mkdir()
    before = tree_state(tmp_path)
    for name in ("volume_layer", "other"):
        with pytest.raises(IndexError, match=name):
            annotation.export_volume_layer_to_dataset(dataset, layer_name=name)
    for name in ("../up", "", ".hidden", "a/b"):
        with pytest.raises(ValueError, match="cannot be called"):
            annotation.export_volume_layer_to_dataset(dataset, layer_name=name)
    assert tree_state(tmp_path) == before


def test_a_name_as_servers_have_them_becomes_a_safe_one_with_a_note(annotation, tmp_path):
    dataset = dataset_at(tmp_path)
    with pytest.warns(UserWarning, match=r"layer 'a@b\$c d' is called 'a_b_c_d' here"):
        layer = annotation.export_volume_layer_to_dataset(dataset, layer_name="a@b$c d")
    assert (layer.name, layer.path.name) == ("a_b_c_d", "a_b_c_d")
    properties = dataset.path / "datasource-properties.json"
    properties.write_text(properties.read_text().replace("a_b_c_d", "a@b$c"))
    layer.path.rename(dataset.path / "a@b$c")
    foreign = wk.Dataset.open(dataset.path).get_layer("a@b$c")
    other = wk.Dataset(tmp_path / "other", voxel_size=(4, 4, 40))
    with pytest.warns(UserWarning, match="is called 'a_b_c' here"):
        copy = other.add_layer_as_copy(foreign)
    assert copy.name == "a_b_c"
    mag = foreign.get_finest_mag()
    np.testing.assert_array_equal(copy.get_mag(mag.mag).read(), mag.read())


def test_a_damaged_archive_leaves_the_dataset_as_it_was(tmp_path):
    data = zipped({"1/header.wkw": b"WKW", "1/z0/y0/x0.wkw": b"nothing"})
    annotation = wk.Annotation.load(volume_annotation(tmp_path / "a.zip", data, data_format="wkw"))
    dataset = dataset_at(tmp_path)
    before = tree_state(tmp_path)
    with pytest.raises(wk.errors.VolumeDataError, match=r"a\.zip!d\.zip!1/header\.wkw"):
        annotation.export_volume_layer_to_dataset(dataset)
    assert tree_state(tmp_path) == before


def test_one_broken_data_zip_leaves_the_rest_usable(tmp_path):
    body = (
        '<volume id="0" name="good" location="good.zip" format="zarr3" />'
        '<volume id="1" name="bad" location="bad.zip" format="wkw" />'
    )
    members = {"a.nml": minimal_nml(body), "good.zip": zarr3_data_zip(CHUNKS), "bad.zip": b"no zip at all"}
    file = write_zip(tmp_path / "a.zip", members)
    with pytest.warns(UserWarning, match=r"cannot be read: .*bad\.zip: is no zip file"):
        annotation = wk.Annotation.load(file)
    assert annotation.get_volume_layer("good").as_layer().get_mag(1).read().any()
    bad = annotation.get_volume_layer("bad")
    for attempt in (bad.as_layer, lambda: bad.export_to_dataset(dataset_at(tmp_path))):
        with pytest.raises(wk.errors.VolumeDataError, match=r"bad\.zip"):
            attempt()
    annotation.save(tmp_path / "again.zip")
    with pytest.warns(UserWarning, match=r"bad\.zip"):
        again = wk.Annotation.load(tmp_path / "again.zip")
    assert again.get_volume_layer("good").as_layer().get_mag(1).read().any()


def test_a_new_layer_exports_as_an_empty_one_of_its_type(tmp_path):
    annotation = wk.Annotation("a", dataset_name="d", voxel_size=(4, 4, 40))
    annotation.add_volume_layer("V", dtype="uint8")
    layer = annotation.export_volume_layer_to_dataset(dataset_at(tmp_path))
    assert (layer.dtype, layer.mags, layer.bounding_box.is_empty()) == (np.dtype("uint8"), {}, True)


def test_the_type_of_a_new_layer_is_its_fallbacks(tmp_path):
    dataset = dataset_at(tmp_path)
    fallback = dataset.add_layer("base", "segmentation", dtype="uint16")
    annotation = wk.Annotation("a", dataset_name="d", voxel_size=(4, 4, 40))
    assert annotation.add_volume_layer("from layer", fallback_layer=fallback).dtype == np.uint16
    assert annotation.add_volume_layer("from name", fallback_layer="base").dtype == np.uint32
    assert annotation.add_volume_layer("asked for", fallback, dtype="uint64").dtype == np.uint64
    with pytest.raises(AssertionError, match="integers"):
        annotation.add_volume_layer("fractions", dtype="float32")


def test_chunks_beyond_the_stated_box_make_it_grow(tmp_path):
    data = zarr3_data_zip({(0, 0, 0): labels(1), (9, 0, 0): labels(2)})  # the zip says 128³
    layer = wk.Annotation.load(volume_annotation(tmp_path / "a.zip", data)).get_volume_layer().as_layer()
    assert layer.bounding_box == wk.BoundingBox((0, 0, 0), (320, 128, 128))


def test_facts_of_the_zips_own_description_are_carried(tmp_path):
    data = zarr3_data_zip({(4, 0, 1, 2): labels(1)}, axes="t")
    annotation = wk.Annotation.load(volume_annotation(tmp_path / "a.zip", data))
    annotation.export_volume_layer_to_dataset(dataset_at(tmp_path))
    (layer,) = json.loads((tmp_path / "exported/datasource-properties.json").read_text())["dataLayers"]
    assert layer["additionalAxes"] == [{"name": "t", "index": 1, "bounds": [0, 10]}]


def test_progress_counts_chunks_and_may_stop(annotation, tmp_path):
    told = []
    annotation.export_volume_layer_to_dataset(dataset_at(tmp_path), progress=lambda *counts: told.append(counts))
    assert told[-1] == (2, 2)

    def stop(done, total):
        raise InterruptedError

    before = tree_state(tmp_path)
    with pytest.raises(InterruptedError):
        annotation.export_volume_layer_to_dataset(wk.Dataset.open(tmp_path / "exported"), "again", progress=stop)
    assert tree_state(tmp_path) == before
    assert [path.name for path in Path(tmp_path / "exported").iterdir() if path.name.endswith(".part")] == []


def test_the_longest_name_of_a_layer_can_be_exported(tmp_path):
    """The folder that is filled before it gets its name had a longer one."""
    annotation = wk.Annotation("a", dataset_name="d", voxel_size=(4, 4, 4))
    annotation.add_volume_layer("V")
    dataset = wk.Dataset(tmp_path / "exported", voxel_size=(4, 4, 4))
    assert annotation.export_volume_layer_to_dataset(dataset, "x" * 255).path.is_dir()
    with pytest.raises(AssertionError, match=r"no volume layer with id '0'; there are 'V' \(id 0\)"):
        annotation.get_volume_layer(volume_layer_id="0")
