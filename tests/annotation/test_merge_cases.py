"""What a merge does when one side is missing, oddly named, or there several times; what it says before and after."""

import io
import json
import zipfile

import numpy as np
import pytest
from examples.demo.generate import CHUNK_EDGE
from examples.demo.plain_wkw import WkwHeader, file_of_blocks
from tests.inputs import (
    demo_input,
    minimal_nml,
    tree_state,
    volume_annotation,
    without_coarse_mags,
    write_zip,
    zarr3_data_zip,
)

import wkfast as wk
from wkfast.errors import AnnotationError, MergeError, VolumeDataError, VolumeLayerNotFoundError

EDGE = CHUNK_EDGE


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return demo_input(tmp_path_factory.mktemp("cases"))


def painted(folder, name, chunks, *, fallback="segmentation", dataset="demo_dataset", layers=1, more=""):
    """An annotation file whose mag 1 has `chunks`: label by place of the chunk."""
    header = WkwHeader(EDGE, 1, 2, np.dtype("<u4"))
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("1/header.wkw", header.pack(0))
        for (x, y, z), label in chunks.items():
            block = file_of_blocks(header, np.full((EDGE,) * 3, label, np.uint32))
            archive.writestr(f"1/z{z}/y{y}/x{x}.wkw", block)
    below = "" if fallback is None else f'fallbackLayer="{fallback}" '
    volumes = "".join(
        f'<volume id="{n}" name="layer {n}" location="d{n}.zip" format="wkw" {below}{more}/>' for n in range(layers)
    )
    members = {f"d{n}.zip": data.getvalue() for n in range(layers)}
    return write_zip(folder / name, {name.replace(".zip", ".nml"): minimal_nml(volumes, dataset=dataset), **members})


def segmentation(target, name="segmentation"):
    return wk.Dataset.open(target).get_segmentation_layer(name)


def same_voxels(one, other):
    assert list(one.mags) == list(other.mags)
    for mag in one.mags:
        np.testing.assert_array_equal(one.get_mag(mag).read(), other.get_mag(mag).read())


def test_a_layer_without_a_fallback_becomes_a_layer(source, tmp_path):
    file = painted(tmp_path, "a.zip", {(1, 0, 2): 7, (3, 1, 2): 9}, fallback=None)
    wk.Annotation.load(file).merge_fallback_layer(tmp_path / "target", source.dataset_directory)
    layer = segmentation(tmp_path / "target", "volume_layer")
    assert layer.bounding_box == wk.BoundingBox((EDGE, 0, 2 * EDGE), (3 * EDGE, 2 * EDGE, EDGE))
    assert layer.largest_segment_id == 9
    voxels = layer.get_mag(1).read()[0]
    assert (voxels[:EDGE, :EDGE] == 7).all()
    assert (voxels[2 * EDGE :, EDGE:] == 9).all()
    assert np.count_nonzero(voxels) == 2 * EDGE**3


@pytest.mark.parametrize("chunks", [None, {}], ids=["no data", "headers only"])
def test_without_voxels_the_fallback_is_copied_and_a_warning_says_so(source, tmp_path, chunks):
    if chunks is None:
        annotation = wk.Annotation("a", dataset_name="demo_dataset", voxel_size=(4, 4, 40))
        annotation.add_volume_layer("layer 0", fallback_layer="segmentation")
    else:
        annotation = wk.Annotation.load(painted(tmp_path, "a.zip", chunks))
    with pytest.warns(UserWarning, match="'layer 0' .* holds no voxels: the fallback is copied as it is") as warned:
        report = annotation.merge_fallback_layer(tmp_path / "target", source.dataset_directory)
    assert {warning.filename for warning in warned} == {__file__}
    assert any("holds no voxels" in warning for warning in report.warnings)
    assert report.total.voxels_changed == 0
    same_voxels(segmentation(tmp_path / "target"), segmentation(source.dataset_directory / "demo_dataset"))


def test_with_neither_side_there_is_nothing_to_merge(source, tmp_path):
    annotation = wk.Annotation("a", dataset_name="demo_dataset", voxel_size=(4, 4, 40))
    annotation.add_volume_layer("Volume")
    with pytest.raises(AnnotationError, match="names no fallback layer and holds no voxels"):
        annotation.merge_fallback_layer(tmp_path / "target", source.dataset_directory)
    with pytest.raises(VolumeLayerNotFoundError, match="no volume layers"):
        wk.Annotation("a", dataset_name="x", voxel_size=(4, 4, 40)).merge_fallback_layer(tmp_path / "t", tmp_path)
    assert not (tmp_path / "target").exists()


def test_of_several_layers_one_is_named(source, tmp_path):
    annotation = wk.Annotation.load(painted(tmp_path, "a.zip", {(0, 0, 0): 5}, layers=2))
    with pytest.raises(AssertionError, match=r"'layer 0' .*'layer 1'"):
        annotation.merge_fallback_layer(tmp_path / "target", source.dataset_directory)
    with pytest.raises(AssertionError, match="layer 7"):
        annotation.merge_fallback_layer(tmp_path / "target", source.dataset_directory, "layer 7")
    assert not (tmp_path / "target").exists()
    annotation.merge_fallback_layer(tmp_path / "target", source.dataset_directory, "layer 1")
    assert (segmentation(tmp_path / "target").get_mag(1).read()[0, :EDGE, :EDGE, :EDGE] == 5).all()


def test_data_that_the_file_names_and_lacks_are_an_error(source, tmp_path):
    volume = '<volume id="0" name="V" location="gone.zip" format="wkw" fallbackLayer="segmentation" />'
    file = write_zip(tmp_path / "a.zip", {"a.nml": minimal_nml(volume, dataset="demo_dataset")})
    with pytest.warns(UserWarning, match="gone"):
        annotation = wk.Annotation.load(file)
    with pytest.raises(VolumeDataError, match=r"gone\.zip.*download the annotation again"):
        annotation.merge_fallback_layer(tmp_path / "target", source.dataset_directory)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("name", ["my cells", "run 3/cells"])
def test_layers_with_blanks_or_slashes_in_their_names_work(tmp_path, name):
    source = demo_input(tmp_path)
    dataset = source.dataset_directory / "demo_dataset"
    (dataset / name).parent.mkdir(exist_ok=True)
    (dataset / "segmentation").rename(dataset / name)
    properties = json.loads(
        (dataset / "datasource-properties.json").read_text().replace("./segmentation/", f"./{name}/")
    )
    properties["dataLayers"][0]["name"] = name
    (dataset / "datasource-properties.json").write_text(json.dumps(properties))
    annotation = wk.Annotation.load(painted(tmp_path, "a.zip", {(0, 1, 0): 77}, fallback=name))
    annotation.merge_fallback_layer(tmp_path / "target", source.dataset_directory)
    merged = segmentation(tmp_path / "target", name).get_mag(1).read()[0]
    assert (merged[:EDGE, EDGE : 2 * EDGE, :EDGE] == 77).all()


def test_an_active_mapping_is_warned_of(source, tmp_path):
    file = painted(tmp_path, "a.zip", {(0, 0, 0): 5}, more='mappingName="agglomerate_view" ')
    with pytest.warns(UserWarning, match="'agglomerate_view' was active"):
        report = wk.Annotation.load(file).merge_fallback_layer(tmp_path / "target", source.dataset_directory)
    assert "agglomerate_view" in str(report)


def test_a_dry_run_tells_the_plan_and_writes_nothing(source, tmp_path):
    annotation = wk.Annotation.load(without_coarse_mags(demo_input(tmp_path).annotation))
    before = tree_state(tmp_path)
    preview = annotation.merge_fallback_layer(tmp_path / "target", source.dataset_directory, dry_run=True)
    assert tree_state(tmp_path) == before
    assert [numbers.source for numbers in preview.mags.values()] == ["annotation", "recomputed", "recomputed"]
    report = annotation.merge_fallback_layer(tmp_path / "target", source.dataset_directory)
    finest = preview.mags[wk.Mag(1)]
    assert finest.chunks_replaced == report.mags[wk.Mag(1)].from_annotation
    assert finest.shards_touched == report.mags[wk.Mag(1)].shards_rewritten
    assert "would merge 'segmentation'" in str(preview)
    assert json.loads(json.dumps(preview.to_json()))["dry_run"] is True


def test_a_report_lists_what_segments_gained_and_lost(source, tmp_path):
    annotation = wk.Annotation.load(painted(tmp_path, "a.zip", {(1, 1, 0): 900_001, (0, 0, 0): 900_002}))
    report = annotation.merge_fallback_layer(tmp_path / "target", source.dataset_directory, mags="finest")
    before = segmentation(source.dataset_directory / "demo_dataset").get_mag(1).read()[0]
    lost = np.concatenate([before[:EDGE, :EDGE, :EDGE], before[EDGE : 2 * EDGE, EDGE : 2 * EDGE, :EDGE]])
    ids, counts = np.unique(lost[lost > 0], return_counts=True)
    total = report.total
    assert total.largest_gains == ((900_001, EDGE**3), (900_002, EDGE**3))
    assert dict(total.largest_losses) == dict(zip(ids.tolist(), (-counts).tolist(), strict=True))
    assert (total.segments_gained, total.segments_lost) == (2, len(ids))
    assert report.to_json()["total"]["largest_gains"] == [[900_001, EDGE**3], [900_002, EDGE**3]]


def test_a_verified_merge_says_so(source, tmp_path):
    annotation = wk.Annotation.load(source.annotation)
    report = annotation.merge_fallback_layer(tmp_path / "target", source.dataset_directory, verify=True)
    assert report.verified["shards"] == 12
    assert "verified: 12 shards" in str(report)


def test_untouched_files_can_be_shared(source, tmp_path):
    annotation = wk.Annotation.load(painted(tmp_path, "a.zip", {(0, 0, 0): 5}))
    annotation.merge_fallback_layer(tmp_path / "copy", source.dataset_directory)
    report = annotation.merge_fallback_layer(tmp_path / "hard", source.dataset_directory, link="hard")
    assert report.total.shards_copied > 0
    shared = [file for file in (tmp_path / "hard").rglob("x*.wkw") if file.stat().st_nlink > 1]
    assert len(shared) == report.total.shards_copied
    same_voxels(segmentation(tmp_path / "hard"), segmentation(tmp_path / "copy"))


@pytest.mark.parametrize(("rule", "said"), [(max, r"max\(\) is no rule"), ("newest", "'chunk'.*'nonzero'")])
def test_rules_that_do_not_exist_are_refused_before_anything_is_read(tmp_path, rule, said):
    annotation = wk.Annotation("a", dataset_name="x", voxel_size=(4, 4, 40))
    with pytest.raises(MergeError, match=said):
        annotation.merge_fallback_layer(tmp_path / "target", tmp_path, policy=rule)


def test_later_annotations_lie_over_earlier_ones_and_conflicts_are_counted(source, tmp_path):
    anna = painted(tmp_path, "anna.zip", {(0, 0, 0): 5, (1, 0, 0): 6})
    ben = painted(tmp_path, "ben.zip", {(1, 0, 0): 8, (2, 0, 0): 9})
    carl = painted(tmp_path, "carl.zip", {(1, 0, 0): 8, (0, 0, 0): 5})
    report = wk.merge_annotations([anna, wk.Annotation.load(ben), carl], tmp_path / "target", source.dataset_directory)
    voxels = segmentation(tmp_path / "target").get_mag(1).read()[0, : 3 * EDGE, :EDGE, :EDGE]
    for chunk, label in enumerate([5, 8, 9]):
        assert (voxels[chunk * EDGE : (chunk + 1) * EDGE] == label).all()
    assert [(pair.lower, pair.upper, pair.voxels) for pair in report.conflicts] == [
        ("anna", "ben", EDGE**3),
        ("anna", "carl", EDGE**3),
    ]
    assert "'anna' and 'ben' labelled differently" in str(report)
    assert report.to_json()["conflicts"][0] == {"lower": "anna", "upper": "ben", "voxels": EDGE**3}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"dataset": "elsewhere"}, "dataset"),
        ({"fallback": "other"}, "fallback layer"),
        ({"fallback": None}, "fallback"),
    ],
)
def test_annotations_that_do_not_belong_together_are_refused(source, tmp_path, other, words):
    files = [painted(tmp_path, "a.zip", {(0, 0, 0): 5}), painted(tmp_path, "b.zip", {(0, 0, 0): 5}, **other)]
    with pytest.raises(AnnotationError, match=f"'a' and .*'b' differ in their {words}"):
        wk.merge_annotations(files, tmp_path / "target", source.dataset_directory)
    with pytest.raises(AnnotationError, match="takes a list"):
        wk.merge_annotations([], tmp_path / "target", source.dataset_directory)
    assert not (tmp_path / "target").exists()


def test_a_finished_target_is_not_merged_into_again(source, tmp_path):
    annotation = wk.Annotation.load(source.annotation)
    annotation.merge_fallback_layer(tmp_path / "target", source.dataset_directory)
    with pytest.raises(MergeError, match="already holds a dataset"):
        annotation.merge_fallback_layer(tmp_path / "target", source.dataset_directory)


@pytest.mark.parametrize("data_format", ["wkw", "zarr", "zarr3"])
@pytest.mark.parametrize("sampling", ["isotropic", "anisotropic"])
def test_recomputed_mags_are_the_merged_one_downsampled(tmp_path, data_format, sampling):
    noise = np.random.default_rng(3)
    dataset = wk.Dataset(tmp_path / "datasets" / "d", voxel_size=(4, 4, 12))
    # Few labels, so that most coarser voxels are decided by a tie.
    labels = noise.integers(0, 4, (128, 96, 64)).astype(np.uint16)
    fallback = dataset.write_layer("segmentation", "segmentation", labels, data_format=data_format, downsample=False)
    how = {"coarsest_mag": wk.Mag(8), "sampling_mode": sampling, "align_with_other_layers": False}
    fallback.downsample(**how)
    chunks = {at: noise.integers(0, 4, (32, 32, 32)).astype(np.uint16) for at in [(0, 0, 0), (1, 2, 1), (3, 0, 0)]}
    file = volume_annotation(tmp_path / "a.zip", zarr3_data_zip(chunks), dataset="d")
    report = wk.Annotation.load(file).merge_fallback_layer(tmp_path / "target", tmp_path / "datasets")
    merged = segmentation(tmp_path / "target")
    assert [mag for mag, counts in report.mags.items() if counts.recomputed] == list(merged.mags)[1:]
    again = wk.Dataset(tmp_path / "again", voxel_size=(4, 4, 12)).add_layer_like(merged, "segmentation")
    again.add_mag_as_copy(merged.get_mag(1))
    again.downsample(**how)
    same_voxels(merged, again)
    for mag in list(merged.mags)[1:]:
        assert not np.array_equal(merged.get_mag(mag).read(), fallback.get_mag(mag).read())
