"""A merge gives its fallback other labels on the way: numpy's lookup over what a merge without a mapping writes."""

from __future__ import annotations

import concurrent.futures as cf
import json
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from tests.inputs import demo_input, tree_state

import wkfast as wk
from wkfast.errors import AnnotationError, DatasetError, DatasetValueError, MergeError, VolumeDataError
from wkfast.merge.options import MergeOptions

if TYPE_CHECKING:
    from pathlib import Path

    from examples.demo.generate import DemoInput
    from numpy.typing import NDArray

    from wkfast.merge import MergeReport

NAME = "segmentation"


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> DemoInput:
    return demo_input(tmp_path_factory.mktemp("mapping"))


@pytest.fixture(scope="module")
def annotation(source) -> wk.Annotation:
    return wk.Annotation.load(source.annotation)


def fallback_of(source: DemoInput) -> Any:
    return wk.Dataset.open(source.dataset_directory / "demo_dataset").get_segmentation_layer(NAME)


def some_mapping(source: DemoInput) -> dict[int, int]:
    """Every second label becomes one smaller, one becomes background, one the largest that the type holds."""
    labels = np.unique(fallback_of(source).get_mag(1).read()).tolist()
    found = {label: label - 1 for label in labels[2::2]}
    return {**found, labels[3]: 0, labels[5]: 2**32 - 1, 123456: 7}


def looked_up(voxels: NDArray, mapping: dict[int, int], missing: str) -> NDArray:
    flat = [mapping.get(v, v if missing == "keep" else 0) for v in voxels.ravel().tolist()]
    return np.array(flat, voxels.dtype).reshape(voxels.shape)


def merge(annotation: wk.Annotation, source: DemoInput, target: Path, **options: Any) -> MergeReport:
    return annotation.merge_fallback_layer(target, source.dataset_directory, **options)


def voxels(target: Path, mag: int = 1) -> NDArray:
    return wk.Dataset.open(target).get_layer(NAME).get_mag(mag).read()


@pytest.mark.parametrize("missing", ["keep", "zero"])
@pytest.mark.parametrize("policy", ["chunk", "nonzero"])
def test_the_fallback_gets_its_labels_and_paint_keeps_its_own(tmp_path, source, annotation, policy, missing):
    mapping = some_mapping(source)
    merge(annotation, source, tmp_path / "plain", policy=policy)
    report = merge(annotation, source, tmp_path / "t", policy=policy, mapping=mapping, missing=missing, verify=True)
    plain = voxels(tmp_path / "plain")
    before = (
        fallback_of(source)
        .get_mag(1)
        .read(absolute_bounding_box=wk.Dataset.open(tmp_path / "plain").get_layer(NAME).bounding_box)
    )
    expected = np.where(plain == before, looked_up(before, mapping, missing), plain)
    assert np.array_equal(voxels(tmp_path / "t"), expected)
    assert report.total.voxels_relabeled == np.count_nonzero(looked_up(before, mapping, missing) != before)
    assert report.mapping == "the one given"
    assert "voxels have another label" in str(report)
    assert wk.Dataset.open(tmp_path / "t").get_segmentation_layer(NAME).largest_segment_id == 2**32 - 1
    view = annotation.merged_layer(source.dataset_directory, policy=policy, mapping=mapping, missing=missing)
    for mag in view.mags:
        assert np.array_equal(
            view.get_mag(mag).read(), wk.Dataset.open(tmp_path / "t").get_layer(NAME).get_mag(mag).read()
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain", "t"]


def test_a_mapping_that_changes_nothing_writes_the_same_files(tmp_path, source, annotation):
    merge(annotation, source, tmp_path / "plain")
    report = merge(annotation, source, tmp_path / "t", mapping={123456: 7})
    assert tree_state(tmp_path / "t" / NAME) == tree_state(tmp_path / "plain" / NAME)
    assert (report.total.relabeled, report.total.voxels_relabeled, report.total.transcoded) == (0, 0, 0)
    assert report.total.passed > 0


def agglomerate(path: Path, mapping: dict[int, int], length: int = 1000) -> Path:
    table = np.arange(length, dtype=np.uint64)
    for old, new in mapping.items():
        table[old] = new
    zarr.open_group(path, mode="w").create_array("segment_to_agglomerate", data=table, chunks=(64,))
    return path


def test_every_way_to_give_a_mapping_makes_the_same(tmp_path, source, annotation):
    mapping = {4: 3, 7: 3, 9: 1}
    merge(annotation, source, tmp_path / "dict", mapping=mapping)
    ways = {
        "arrays": (np.array([9, 7, 4]), np.array([1, 3, 3])),
        "function": lambda label: mapping.get(label, label),
        "file": agglomerate(tmp_path / "mapping.zarr", mapping),
        "text": str(tmp_path / "mapping.zarr"),
    }
    for name, way in ways.items():
        merge(annotation, source, tmp_path / name, mapping=way)
        assert tree_state(tmp_path / name / NAME) == tree_state(tmp_path / "dict" / NAME), name


def test_an_annotation_stands_for_what_merger_mode_makes(tmp_path, source, annotation):
    layer = fallback_of(source)
    labels = np.unique(layer.get_mag(1).read())[1:4].tolist()
    merger = wk.Annotation("merger", dataset_name="demo_dataset", voxel_size=(4, 4, 4))
    nodes = [np.argwhere(layer.get_mag(1).read()[0] == label)[0].tolist() for label in labels]
    corner = layer.bounding_box.topleft
    merger.skeleton.add_tree("one").add_nodes(
        [tuple(int(a) + b for a, b in zip(n, corner, strict=True)) for n in nodes]
    )
    report = merge(annotation, source, tmp_path / "t", mapping=merger)
    merge(annotation, source, tmp_path / "dict", mapping=dict.fromkeys(labels, labels[0]))
    assert tree_state(tmp_path / "t" / NAME) == tree_state(tmp_path / "dict" / NAME)
    assert report.mapping == "merger mode of 'merger'"
    assert report.total.voxels_relabeled > 0


def with_mapping_name(source: DemoInput, name: str) -> wk.Annotation:
    annotation = wk.Annotation.load(source.annotation)
    annotation.volume_layers[0].mapping_name = name
    return annotation


def test_the_mapping_that_the_volume_layer_names_is_applied_where_it_is_at_hand(tmp_path):
    source = demo_input(tmp_path / "input")
    named = with_mapping_name(source, "v1")
    with pytest.warns(UserWarning, match="mapping 'v1' was active .*: the merged layer holds the ids before it"):
        merge(named, source, tmp_path / "plain")
    agglomerate(fallback_of(source).path / "agglomerates/v1", {4: 3, 7: 3})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = merge(named, source, tmp_path / "t")
    merge(named, source, tmp_path / "dict", mapping={4: 3, 7: 3})
    assert tree_state(tmp_path / "t" / NAME) == tree_state(tmp_path / "dict" / NAME)
    assert report.mapping.endswith("agglomerates/v1")
    with pytest.warns(UserWarning, match="before it"):
        merge(named, source, tmp_path / "none", mapping={})
    assert tree_state(tmp_path / "none" / NAME) == tree_state(tmp_path / "plain" / NAME)


def test_a_mapping_whose_name_no_file_can_have_does_not_lie_there(tmp_path):
    source = demo_input(tmp_path / "input")
    with pytest.warns(UserWarning, match="was active"):
        merge(with_mapping_name(source, "v" * 300), source, tmp_path / "plain")


def test_an_executor_and_a_job_array_make_the_same(tmp_path, source, annotation):
    mapping = agglomerate(tmp_path / "mapping.zarr", {4: 3, 7: 3})
    merge(annotation, source, tmp_path / "t", mapping=mapping)
    with cf.ProcessPoolExecutor(2) as executor:
        merge(annotation, source, tmp_path / "spread", mapping=mapping, executor=executor, verify=True)
    assert tree_state(tmp_path / "spread" / NAME) == tree_state(tmp_path / "t" / NAME)
    plan = ["merge", "plan", "p.json", "array", source.annotation, source.dataset_directory, "--mapping", mapping]
    for command in (plan, ["merge", "run", "p.json"], ["merge", "commit", "p.json", "--verify", "--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "wkfast", *map(str, command)], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["mapping"] == str(mapping)
    assert tree_state(tmp_path / "array" / NAME) == tree_state(tmp_path / "t" / NAME)
    assert not list(tmp_path.glob(".*"))


def test_a_merge_that_has_begun_refuses_another_mapping(tmp_path, source, annotation):
    class StopError(Exception):
        pass

    def stop(done: int, _: int) -> None:
        if done > 1:
            raise StopError

    with pytest.raises(StopError):
        merge(annotation, source, tmp_path / "t", mapping={4: 3}, progress=stop)
    assert len(list(tmp_path.glob(".t.*.wkfast-mapping"))) == 1
    for other in ({"mapping": {4: 2}}, {"mapping": {4: 3}, "missing": "zero"}, {}):
        with pytest.raises(MergeError, match=r"different merge \(input.mapping"):
            merge(annotation, source, tmp_path / "t", **other)
    merge(annotation, source, tmp_path / "t", mapping={4: 3})
    assert not list(tmp_path.glob(".*"))


def test_a_dry_run_leaves_nothing(tmp_path, source, annotation):
    preview = merge(annotation, source, tmp_path / "new/t", mapping={4: 3}, dry_run=True)
    assert all(numbers.shards_untouched == 0 for numbers in preview.mags.values())
    assert not list(tmp_path.iterdir())


def test_what_is_no_mapping_is_refused_before_anything_is_written(tmp_path, source, annotation):
    broken = zarr.open_group(tmp_path / "broken", mode="w")
    broken.create_array("other", data=np.zeros(3))
    large = agglomerate(tmp_path / "large", {4: 2**40})
    before = tree_state(tmp_path)
    for mapping, error, message in (
        ({4: -1}, DatasetValueError, "makes labels -1, which is no label of the layer's type uint32"),
        ({2**32: 1}, DatasetValueError, "names 4294967296, which is no label"),
        ({4: 1.5}, DatasetValueError, "makes labels 1.5"),
        (([4, 4], [1, 2]), DatasetValueError, "names label 4 twice"),
        (([4], [1, 2]), DatasetValueError, "has 1 labels, but 2"),
        (7, DatasetValueError, "int is no mapping of labels"),
        (tmp_path / "missing", DatasetError, "is not there"),
        (tmp_path / "broken", DatasetError, "is no agglomerate file"),
        (large, DatasetError, "segment 4 belongs to agglomerate 1099511627776"),
    ):
        with pytest.raises(error, match=message):
            merge(annotation, source, tmp_path / "t", mapping=mapping)
    with pytest.raises(MergeError, match="missing is 'drop', expected 'keep' or 'zero' or 'error'"):
        merge(annotation, source, tmp_path / "t", mapping={4: 1}, missing="drop")
    alone = wk.Annotation("a", dataset_name="demo_dataset", voxel_size=(4, 4, 4))
    alone.add_volume_layer("Volume")
    with pytest.raises((MergeError, AnnotationError), match="names no fallback layer"):
        merge(alone, source, tmp_path / "t", mapping={4: 1})
    assert tree_state(tmp_path) == before


def test_a_label_that_the_mapping_lacks_is_named_with_its_chunk(tmp_path, source, annotation):
    with pytest.raises(VolumeDataError, match=r"chunk \(\d+, \d+, \d+\): label \d+ is not in the mapping"):
        merge(annotation, source, tmp_path / "t", mapping={4: 3}, missing="error")


def test_a_table_that_is_gone_is_told(tmp_path, source, annotation):
    job = annotation.plan_merge(tmp_path / "t", source.dataset_directory, options=MergeOptions(mapping={4: 3}))
    (table,) = tmp_path.glob(".t.*.wkfast-mapping")
    content = table.read_bytes()
    again = type(job).from_json(job.to_json())
    for left in (None, content[:-1]):
        table.unlink() if left is None else table.write_bytes(left)
        with pytest.raises((VolumeDataError, OSError), match="wkfast-mapping"):
            again.run(MergeOptions())
