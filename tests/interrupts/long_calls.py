"""Calls that take long, each over data that it makes for itself, and a child process that runs one of them.

``python -m tests.interrupts.long_calls NAME FOLDER gaps`` says how long a signal had to wait at most for Python to see
it; with ``stop AFTER`` in place of ``gaps``, how long Ctrl-C took to end the call.
"""

from __future__ import annotations

import copy
import gc
import itertools
import json
import os
import pickle
import signal
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tests.inputs import minimal_nml, wkw_data_zip, write_many_members

import wkfast as wk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Call = Callable[[], Any]

# How often the clock of the child rings, s.
TICK = 0.01

CALLS: dict[str, Callable[[Path], Call]] = {}


def long_call(prepare: Callable[[Path], Call]) -> Callable[[Path], Call]:
    """Name a function that makes its data below a folder and returns the call to interrupt."""
    CALLS[prepare.__name__] = prepare
    return prepare


# -- files of skeletons ----------------------------------------------------------------------------------------------


def nml_of(folder: Path, body: Iterator[str]) -> Path:
    head, tail = minimal_nml("|").split("|")
    path = folder / "large.nml"
    with path.open("w") as file:
        file.write(head)
        file.writelines(body)
        file.write(tail)
    return path


def in_zip(nml: Path) -> Path:
    path = nml.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.write(nml, nml.name)
    return path


def nodes(count: int) -> Iterator[str]:
    yield '<thing id="1"><nodes>'
    for start in range(1, count, 1000):
        yield "".join(f'<node id="{at}" x="{at % 977}" y="{at % 7}" z="1" />' for at in range(start, start + 1000))
    yield "</nodes><edges>"
    for start in range(1, count, 1000):
        yield "".join(f'<edge source="{at}" target="{at + 1}" />' for at in range(start, start + 999))
    yield "</edges></thing>"


def trees(count: int) -> Iterator[str]:
    for at in range(1, count):
        node = f'<node id="{at}" x="1" y="2" z="3" />'
        yield f'<thing id="{at}" name="tree {at}" groupId="1"><nodes>{node}</nodes></thing>'
    yield '<groups><group id="1" name="all" /></groups>'


def groups(count: int) -> Iterator[str]:
    yield '<thing id="1"/><groups>'
    yield from (f'<group id="{at}" name="group {at}" />' for at in range(1, count))
    yield "</groups>"


def comments(count: int) -> Iterator[str]:
    yield from nodes(count)
    yield "<comments>"
    yield from (f'<comment node="{at}" content="comment number {at}" />' for at in range(1, count))
    yield "</comments>"


def segments(count: int) -> Iterator[str]:
    yield '<volume id="0" name="V" location="d.zip"><segments>'
    yield from (f'<segment id="{at}" name="segment {at}" anchorPositionX="1" />' for at in range(1, count))
    yield "</segments></volume>"


def boxes(count: int) -> Iterator[str]:
    """User boxes stand in the parameters, so this is a whole file."""
    for at in range(count):
        yield (
            f'<userBoundingBox id="{at}" topLeftX="0" topLeftY="0" topLeftZ="0" width="3" height="3" depth="3" '
            'color.r="1" color.g="0" color.b="0" color.a="1" isVisible="true" />'
        )


LARGE: dict[str, tuple[Callable[[int], Iterator[str]], int]] = {
    "nodes": (nodes, 3_000_000),
    "trees": (trees, 100_000),
    "groups": (groups, 200_000),
    "comments": (comments, 500_000),
    "segments": (segments, 200_000),
}


def large(kind: str, folder: Path) -> Path:
    make, count = LARGE[kind]
    return nml_of(folder, make(count))


def _loads(kind: str, *, zipped: bool) -> Callable[[Path], Call]:
    def prepare(folder: Path) -> Call:
        path = large(kind, folder)
        path = in_zip(path) if zipped else path
        return lambda: wk.Annotation.load(path)

    return prepare


for _kind in LARGE:
    CALLS[f"load_{_kind}"] = _loads(_kind, zipped=False)
CALLS["load_zip_of_nodes"] = _loads("nodes", zipped=True)
CALLS["load_zip_of_trees"] = _loads("trees", zipped=True)


@long_call
def load_boxes(folder: Path) -> Call:
    head, tail = minimal_nml().split("</parameters>")
    path = folder / "boxes.nml"
    path.write_text(head + "".join(boxes(100_000)) + "</parameters>" + tail)
    return lambda: wk.Annotation.load(path)


@long_call
def load_faults(folder: Path) -> Call:
    path = nml_of(folder, (f'<thing id="{at}" color.r="much"><nodes/></thing>' for at in range(300_000)))

    def load() -> None:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wk.Annotation.load(path)

    return load


@long_call
def load_zip_of_many_members(folder: Path) -> Call:
    path = folder / "members.zip"
    others = ((f"other/member number {at}", b"") for at in range(200_000))
    write_many_members(path, [("a.nml", minimal_nml().encode()), *others])
    return lambda: wk.Annotation.load(path)


def _saves(kind: str, suffix: str, change: Callable[[wk.Annotation], Any]) -> Callable[[Path], Call]:
    def prepare(folder: Path) -> Call:
        annotation = wk.Annotation.load(large(kind, folder))
        change(annotation)
        return lambda: annotation.save(folder / f"saved{suffix}")

    return prepare


def touch_all(annotation: wk.Annotation) -> None:
    for tree in annotation.skeleton.flattened_trees():
        tree.name += "'"


CALLS["save_nodes"] = _saves("nodes", ".nml", lambda _: None)
CALLS["save_nodes_as_zip"] = _saves("nodes", ".zip", lambda _: None)
CALLS["save_trees"] = _saves("trees", ".nml", lambda _: None)
CALLS["save_changed_trees"] = _saves("trees", ".nml", touch_all)
CALLS["save_groups"] = _saves("groups", ".nml", lambda _: None)
CALLS["save_comments"] = _saves("comments", ".zip", touch_all)


@long_call
def save_segments(folder: Path) -> Call:
    path = folder / "segments.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.nml", minimal_nml("".join(segments(LARGE["segments"][1]))))
        archive.writestr("d.zip", wkw_data_zip({(0, 0, 0): np.ones((32, 32, 32), np.uint32)}))
    annotation = wk.Annotation.load(path)
    return lambda: annotation.save(folder / "saved.zip")


@long_call
def save_zip_of_large_members(folder: Path) -> Call:
    path = folder / "members.zip"
    content = np.random.default_rng(1).bytes(300 << 20)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.nml", minimal_nml())
        archive.writestr("one", content)
    annotation = wk.Annotation.load(path)
    return lambda: annotation.save(folder / "saved.zip")


# -- skeletons in memory ---------------------------------------------------------------------------------------------


def _on_skeleton(kind: str, call: Callable[[wk.Skeleton], Any], *, changed: bool = False) -> Callable[[Path], Call]:
    def prepare(folder: Path) -> Call:
        annotation = wk.Annotation.load(large(kind, folder))
        if changed:
            touch_all(annotation)
        return lambda: call(annotation.skeleton)

    return prepare


def first(skeleton: wk.Skeleton) -> wk.Tree:
    return next(iter(skeleton.flattened_trees()))


ON_SKELETONS: dict[str, Callable[[wk.Skeleton], Any]] = {
    "copy": copy.deepcopy,
    "pickle": lambda skeleton: pickle.loads(pickle.dumps(skeleton)),
    "compare": lambda skeleton: skeleton == copy.deepcopy(skeleton),
    "tables": lambda skeleton: (skeleton.nodes_table(), skeleton.edges_table()),
    "count": lambda skeleton: [skeleton.get_total_node_count() for _ in range(20)],
    "ids": lambda skeleton: skeleton.get_node_by_id(1),
}

for _kind in ("nodes", "trees", "comments"):
    for _name, _call in ON_SKELETONS.items():
        CALLS[f"{_name}_of_{_kind}"] = _on_skeleton(_kind, _call)
    CALLS[f"copy_of_changed_{_kind}"] = _on_skeleton(_kind, copy.deepcopy, changed=True)
    CALLS[f"tables_of_changed_{_kind}"] = _on_skeleton(_kind, ON_SKELETONS["tables"], changed=True)


def add_nodes(skeleton: wk.Skeleton) -> None:
    skeleton.add_tree("new").add_nodes(np.ones((5_000_000, 3)))


def walk(skeleton: wk.Skeleton) -> None:
    for node in itertools.islice(first(skeleton).nodes, 1_000_000):
        assert node.position


CALLS["add_nodes"] = _on_skeleton("groups", add_nodes)
CALLS["walk_over_nodes"] = _on_skeleton("nodes", walk)
CALLS["add_tree"] = _on_skeleton("nodes", lambda skeleton: skeleton.add_tree(first(skeleton)))
CALLS["list_nodes"] = _on_skeleton("nodes", lambda skeleton: list(first(skeleton).nodes))
CALLS["list_edges"] = _on_skeleton("nodes", lambda skeleton: list(first(skeleton).edges))
CALLS["list_degrees"] = _on_skeleton("nodes", lambda skeleton: list(first(skeleton).degree))
CALLS["list_trees"] = _on_skeleton("trees", lambda skeleton: list(skeleton.flattened_trees()))
CALLS["path_length"] = _on_skeleton("nodes", lambda skeleton: first(skeleton).path_length)


# -- datasets --------------------------------------------------------------------------------------------------------


def dataset_of_many_layers(folder: Path) -> Path:
    layers = [
        {
            "name": f"layer {at}",
            "category": "segmentation",
            "boundingBox": {"topLeft": [0, 0, 0], "width": 8, "height": 8, "depth": 8},
            "dataFormat": "zarr3",
            "elementClass": "uint32",
            "mags": [{"mag": [1, 1, 1]}],
        }
        for at in range(50_000)
    ]
    properties = {"id": {"name": "many", "team": ""}, "scale": [1, 1, 1], "dataLayers": layers}
    (folder / "datasource-properties.json").write_text(json.dumps(properties))
    return folder


@long_call
def open_dataset_of_many_layers(folder: Path) -> Call:
    path = dataset_of_many_layers(folder)
    return lambda: list(wk.Dataset.open(path).layers)


def mag_of_many_files(folder: Path) -> wk.MagView:
    """A mag of 40,000 chunks that hold the same."""
    dataset = wk.Dataset(folder / "dataset", voxel_size=(1, 1, 1))
    mag = dataset.write_layer(
        "many", "segmentation", np.ones((8, 8, 8), "uint32"), downsample=False, chunk_shape=8, shard_shape=8
    ).get_mag(1)
    (one,) = [file for file in mag.path.rglob("*") if file.is_file() and not file.name.endswith(".json")]
    content = one.read_bytes()
    for x, y in itertools.product(range(100), range(40)):
        below = mag.path / f"c/0/{x}/{y}"
        below.mkdir(parents=True, exist_ok=True)
        for z in range(10):
            if not (below / str(z)).exists():
                (below / str(z)).write_bytes(content)
    dataset.get_layer("many").bounding_box = wk.BoundingBox((0, 0, 0), (800, 320, 80))
    return wk.Dataset.open(dataset.path).get_layer("many").get_mag(1)


def _on_many_files(call: Callable[[wk.MagView, Path], Any]) -> Callable[[Path], Call]:
    def prepare(folder: Path) -> Call:
        mag = mag_of_many_files(folder)
        return lambda: call(mag, folder)

    return prepare


ON_MANY_FILES: dict[str, Callable[[wk.MagView, Path], Any]] = {
    "list_chunks": lambda mag, _: list(mag.get_bounding_boxes_on_disk()),
    "measure_mag": lambda mag, _: mag.layer.dataset.calculate_bounding_box(),
    "read_many_files": lambda mag, _: mag.read(),
    "delete_many_files": lambda mag, _: mag.layer.dataset.delete_layer("many"),
    "copy_many_files": lambda mag, folder: mag.layer.dataset.copy_dataset(folder / "copy"),
    "downsample_many_files": lambda mag, _: mag.layer.downsample_mag(1, target_mag=2),
    "rechunk_many_files": lambda mag, _: mag.rechunk(chunk_shape=16, shard_shape=32),
}

for _name, _on_files in ON_MANY_FILES.items():
    CALLS[_name] = _on_many_files(_on_files)


def volume(folder: Path) -> tuple[wk.Dataset, np.ndarray]:
    voxels = np.random.default_rng(3).integers(0, 1 << 30, (256, 256, 512), "uint32")
    dataset = wk.Dataset(folder / "dataset", voxel_size=(1, 1, 1))
    return dataset, voxels


@long_call
def write_layer(folder: Path) -> Call:
    dataset, voxels = volume(folder)
    return lambda: dataset.write_layer("one", "segmentation", voxels, downsample=False)


def _on_volume(call: Callable[[wk.SegmentationLayer], Any]) -> Callable[[Path], Call]:
    def prepare(folder: Path) -> Call:
        dataset, voxels = volume(folder)
        layer = dataset.write_layer("one", "segmentation", voxels, downsample=False, shard_shape=256)
        return lambda: call(layer)

    return prepare


CALLS["read_volume"] = _on_volume(lambda layer: [layer.get_mag(1).read() for _ in range(3)])
CALLS["compress_volume"] = _on_volume(lambda layer: layer.get_mag(1).compress())
CALLS["downsample_volume"] = _on_volume(lambda layer: layer.downsample())
CALLS["compare_volume"] = _on_volume(lambda layer: layer.get_mag(1).content_is_equal(layer.get_mag(1)))
CALLS["largest_id"] = _on_volume(lambda layer: layer.refresh_largest_segment_id())


# -- annotations with voxels -----------------------------------------------------------------------------------------


def annotation_with_voxels(folder: Path) -> wk.Annotation:
    dense = np.random.default_rng(2).integers(1, 1 << 30, (32, 32, 32), "uint32")
    places = itertools.product(range(20), range(20), range(6))
    path = folder / "annotation.zip"
    volume_xml = '<volume id="0" name="V" location="d.zip" format="wkw" fallbackLayer="one" />'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.nml", minimal_nml(volume_xml))
        archive.writestr("d.zip", wkw_data_zip(dict.fromkeys(places, dense)))
    return wk.Annotation.load(path)


def fallback_dataset(folder: Path) -> wk.Dataset:
    dataset, voxels = volume(folder)
    dataset.write_layer("one", "segmentation", voxels, downsample=False)
    return dataset


def _on_annotation(call: Callable[[wk.Annotation, Path], Any]) -> Callable[[Path], Call]:
    def prepare(folder: Path) -> Call:
        annotation = annotation_with_voxels(folder)
        return lambda: call(annotation, folder)

    return prepare


def edit(annotation: wk.Annotation, _: Path) -> None:
    with annotation.volume_layers[0].edit(fallback_layer=None) as layer:
        layer.get_mag(1).write(np.ones((32, 32, 32), "uint32"))


def export(annotation: wk.Annotation, folder: Path) -> None:
    annotation.export_volume_layer_to_dataset(wk.Dataset(folder / "exported", voxel_size=(4, 4, 40)), "one")


CALLS["check_voxels"] = _on_annotation(lambda annotation, _: annotation.volume_layers[0].check(chunks=True))
CALLS["edit_voxels"] = _on_annotation(edit)
CALLS["export_voxels"] = _on_annotation(export)


@long_call
def merge(folder: Path) -> Call:
    annotation, dataset = annotation_with_voxels(folder), fallback_dataset(folder)
    return lambda: annotation.merge_fallback_layer(folder / "merged", dataset_directory=dataset.path.parent)


# Where signals still wait longer than they should: whole columns are made, or records taken over from Python, in one
# step that holds the interpreter, or voxels are read without looking up.
DEAF = {
    *("add_nodes", "add_tree", "save_groups", "save_segments", "ids_of_nodes", "tables_of_nodes", "pickle_of_trees"),
    *("list_chunks", "read_many_files", "read_volume", "copy_many_files", "open_dataset_of_many_layers"),
}


# -- the child -------------------------------------------------------------------------------------------------------


def largest_gap(call: Call) -> tuple[float, float]:
    """Return the longest time between two moments at which Python saw the clock, and how long the call took, s."""
    gc.disable()  # a collection of Python's own is nobody's to interrupt
    seen = [time.monotonic()]
    signal.signal(signal.SIGALRM, lambda *_: seen.append(time.monotonic()))
    signal.setitimer(signal.ITIMER_REAL, TICK, TICK)
    began = time.monotonic()
    call()
    signal.setitimer(signal.ITIMER_REAL, 0)
    ended = time.monotonic()
    times = [began, *(moment for moment in seen if began < moment < ended), ended]
    return max(b - a for a, b in itertools.pairwise(times)), ended - began


def time_to_stop(call: Call, after: float) -> float | None:
    """Interrupt a call and return how long it took to end, s; ``None`` where it had ended before."""
    began = time.monotonic()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        time.sleep(max(0.0, began + after - time.monotonic()))
        os.kill(parent, signal.SIGINT)
        os._exit(0)
    try:
        call()
        os.waitpid(child, 0)
    except KeyboardInterrupt:
        return time.monotonic() - began - after
    return None


def main() -> None:
    name, folder, mode = sys.argv[1:4]
    Path(folder).mkdir(parents=True, exist_ok=True)
    call = CALLS[name](Path(folder))
    result = largest_gap(call) if mode == "gaps" else time_to_stop(call, float(sys.argv[4]))
    sys.stdout.write(f"{json.dumps(result)}\n")


if __name__ == "__main__":
    main()
