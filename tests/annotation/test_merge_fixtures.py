"""Real annotations over real-format datasets give the voxels that the reference package gives."""

import hashlib
import json

import numpy as np
import pytest
import tensorstore
import wkw
import zarr

import wkfast as wk

PAIRS = {
    "cremi_volume_on_dsA+": "cremi_two_volumes",
    "l4dense_on_wkw": "l4dense_wkw",
    "l4_sample_on_zarr3": "l4_sample_zarr3",
}


@pytest.fixture(params=PAIRS, scope="module")
def merged(request, fixtures, tmp_path_factory):
    """Expected facts, target folder and report of one merge."""
    expected = json.loads((fixtures / "expected" / f"{request.param}.json").read_text())
    annotation = wk.Annotation.load(fixtures / "annotations" / f"{PAIRS[request.param]}.zip")
    target = tmp_path_factory.mktemp("merge") / "target"
    name = expected["volume"] if len(list(annotation.get_volume_layer_names())) > 1 else None
    report = annotation.merge_fallback_layer(target, fixtures / "datasets", name)
    source = wk.Dataset.open(fixtures / "datasets" / annotation.dataset_name).get_layer(expected["layer"])
    return expected, target, report, source


def test_voxels_equal_the_reference_merge(merged):
    expected, target, _report, _source = merged
    layer = wk.Dataset.open(target).get_layer(expected["layer"])
    voxels = layer.get_mag(expected["mag"]).read(absolute_offset=expected["topleft"], size=expected["size"])[0]
    assert voxels.dtype == expected["dtype"]
    assert voxels.shape == tuple(expected["shape"])
    assert np.count_nonzero(voxels) == expected["nonzero"]
    assert hashlib.sha256(voxels.tobytes(order="F")).hexdigest() == expected["sha256_f_order"]


def test_format_chunks_and_shards_are_the_fallbacks(merged):
    expected, target, _report, source = merged
    layer = wk.Dataset.open(target).get_layer(expected["layer"])
    assert layer.data_format == source.data_format
    assert list(layer.mags) == list(source.mags)
    for mag, view in layer.mags.items():
        assert view.info == source.get_mag(mag).info


def test_independent_readers_read_the_same(merged):
    expected, target, _report, _source = merged
    layer = wk.Dataset.open(target).get_layer(expected["layer"])
    for mag in layer.mags.values():
        box = mag.bounding_box.in_mag(mag.mag)
        corner, size = box.topleft.to_tuple(), tuple(min(n, 200) for n in box.size.to_tuple())
        ours = mag.read(
            absolute_offset=mag.bounding_box.topleft,
            size=[n * m for n, m in zip(size, mag.mag.to_tuple(), strict=True)],
        )[0]
        for theirs in independent_reads(layer.data_format, mag.path, corner, size):
            assert np.array_equal(ours, theirs)


def independent_reads(data_format, path, corner, size):
    if data_format is wk.DataFormat.WKW:
        with wkw.Dataset.open(str(path)) as dataset:
            yield dataset.read(corner, size)[0]
        return
    box = (0, *(slice(start, start + n) for start, n in zip(corner, size, strict=True)))
    yield zarr.open_array(path, mode="r")[box]
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
    yield tensorstore.open(spec, read=True).result()[box].read().result()


def test_the_bounding_box_grows_to_the_touched_chunks_and_no_further(merged):
    expected, target, _report, source = merged
    box = wk.Dataset.open(target).get_layer(expected["layer"]).bounding_box
    assert box.contains_bbox(source.bounding_box)
    low, high = np.array(expected["topleft"]), np.array(expected["topleft"]) + expected["size"]
    assert (np.array(box.topleft.to_tuple()) >= low).all()
    assert (np.array(box.bottomright.to_tuple()) <= high).all()


def test_the_report_counts_what_was_done(merged):
    _expected, target, report, _source = merged
    facts = report.to_json()
    assert facts["total"]["from_annotation"] + facts["total"]["mixed"] > 0
    assert facts["total"]["bytes_written"] > 0
    assert json.loads(json.dumps(facts)) == facts
    files = [file for file in target.rglob("*") if file.is_file()]
    assert not [file for file in files if file.suffix in {".tmp", ".part"}]


def test_sources_are_as_they_were(merged, fixtures):
    _expected, target, _report, source = merged
    assert not list((fixtures / "datasets").rglob(".wkfast*"))
    assert target.resolve() not in source.path.resolve().parents
