"""Drives mutated files and answers through the public readers. What comes out is a result, or an error of wkfast's own.

``python -m tests.boundary.drive READER FOLDER FIRST SECONDS`` tries the cases from number FIRST on for that long. Each
line that it prints is a case that it begins, or a finding in JSON; a case is made anew by its reader and number alone.
"""

from __future__ import annotations

import faulthandler
import json
import random
import resource
import shutil
import sys
import time
import traceback
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tests.boundary.mutations import mutated
from tests.inputs import demo_input, minimal_nml, volume_annotation, wkw_data_zip, write_zip, zarr3_data_zip

import wkfast as wk
from wkfast.errors import WkfastError
from wkfast.merge.options import MergeOptions

if TYPE_CHECKING:
    from collections.abc import Callable

# More than any reader needs for what is here, and less than a machine has.
MOST_MEMORY = 4 << 30
# No case takes so long, s.
LONGEST = 60

CHUNKS = {(0, 0, 0): np.arange(32**3, dtype=np.uint32).reshape(32, 32, 32), (1, 0, 2): np.ones((32, 32, 32), np.uint32)}

SKELETON = """
<thing id="1" name="a" color.r="1.0" color.g="0" color.b="0" color.a="1" groupId="2" type="DEFAULT"><nodes>
<node id="1" radius="1.5" x="1" y="2" z="3" rotX="0" inVp="0" inMag="1" bitDepth="8" interpolation="1" time="12" />
<node id="2" x="4" y="5" z="6" additionalCoordinate-t="3" /></nodes><edges><edge source="1" target="2" /></edges>
<metadata><metadataEntry key="k" numberValue="1.5" /></metadata></thing>
<branchpoints><branchpoint id="1" time="5" /></branchpoints><comments><comment node="2" content="hello" /></comments>
<groups><group id="1" name="outer" isExpanded="true"><group id="2" name="inner" /></group></groups>
"""
SEGMENTS = """
<volume id="0" name="V" location="d.zip" format="wkw" fallbackLayer="segmentation" largestSegmentId="7">
<segments><segment id="3" name="s" created="12" anchorPositionX="1" anchorPositionY="2" anchorPositionZ="3"
color.r="0.5" color.g="0" color.b="0" groupId="1" /></segments><groups><group id="1" name="g" /></groups></volume>
"""
PARAMETERS = """
<offset x="0" y="0" z="0" /><time ms="12" />
<editPosition x="1" y="2" z="3" /><editRotation xRot="0" yRot="0" zRot="0" />
<zoomLevel zoom="1.5" />
<userBoundingBox id="1" name="b" color.r="1" color.g="0" color.b="0" color.a="1" isVisible="true"
topLeftX="0" topLeftY="0" topLeftZ="0" width="10" height="10" depth="10" />
<taskBoundingBox topLeftX="0" topLeftY="0" topLeftZ="0" width="10" height="10" depth="10" />
<additionalAxes><additionalAxis name="t" index="0" start="0" end="5" /></additionalAxes>
"""


def full_nml(volume: str = "") -> str:
    return minimal_nml(volume + SKELETON).replace("</parameters>", PARAMETERS + "</parameters>")


# -- readers: what they read, made once, and how they read it --------------------------------------------------------


def skeletons(folder: Path) -> None:
    (folder / "a.nml").write_text(full_nml())


def use_annotation(folder: Path) -> None:
    (path,) = [*folder.glob("*.nml"), *folder.glob("*.zip")]
    annotation = wk.Annotation.load(path)
    for tree in annotation.skeleton.flattened_trees():
        _ = (
            tree.metadata,
            list(tree.edges),
            tree.color,
            tree.group,
            [(node.position, node.comment) for node in tree.nodes],
        )
    _ = annotation.skeleton.nodes_table(), list(annotation.skeleton.flattened_groups()), annotation.voxel_size_with_unit
    _ = annotation.user_bounding_boxes, annotation.task_bounding_box, annotation.metadata, repr(annotation)
    for layer in annotation.volume_layers:
        with suppress(WkfastError):
            use_layer(layer.as_layer())
        with suppress(WkfastError):
            layer.check(chunks=True)
    annotation.save(folder / "again.zip")
    wk.Annotation.load(folder / "again.zip")


def annotations_in_wkw(folder: Path) -> None:
    data = wkw_data_zip(CHUNKS)
    write_zip(folder / "a.zip", {"a.nml": full_nml(SEGMENTS), "d.zip": data, "other.txt": b"kept"})


def annotations_in_zarr3(folder: Path) -> None:
    volume_annotation(folder / "a.zip", zarr3_data_zip(CHUNKS))


def use_edit(folder: Path) -> None:
    annotation = wk.Annotation.load(folder / "a.zip")
    for layer in annotation.volume_layers:
        with layer.edit() as edited:
            edited.get_finest_mag().write(np.ones((32, 32, 32), np.uint32), absolute_offset=(0, 0, 0))
    annotation.save(folder / "again.zip")


def use_export(folder: Path) -> None:
    annotation = wk.Annotation.load(folder / "a.zip")
    for layer in annotation.volume_layers:
        layer.export_to_dataset(wk.Dataset(folder / "exported", voxel_size=(4, 4, 40)), "new")


def use_layer(layer: Any) -> None:
    _ = layer.bounding_box, layer.dtype, layer.num_channels, layer.category, layer.data_format, repr(layer)
    for mag in layer.mags.values():
        _ = mag.info, mag.bounding_box, repr(mag)
        mag.read(absolute_offset=(0, 0, 0), size=(32, 32, 32))
        for _, _box in zip(range(50), mag.get_bounding_boxes_on_disk(), strict=False):
            pass


def _dataset(folder: Path, data_format: str) -> None:
    dataset = wk.Dataset(folder / "dataset", voxel_size=(4, 4, 40))
    voxels = np.arange(64**3, dtype=np.uint32).reshape(64, 64, 64) % 1000
    layer = dataset.write_layer(
        "segmentation",
        "segmentation",
        voxels,
        data_format=data_format,
        chunk_shape=16 if data_format == "zarr3" else 32,
        shard_shape=32,
        downsample=False,
    )
    layer.largest_segment_id = 1000


def datasets_in_wkw(folder: Path) -> None:
    _dataset(folder, "wkw")


def datasets_in_zarr3(folder: Path) -> None:
    _dataset(folder, "zarr3")


def datasets_in_zarr2(folder: Path) -> None:
    import zarr

    dataset = wk.Dataset(folder / "dataset", voxel_size=(4, 4, 40))
    layer = dataset.write_layer("segmentation", "segmentation", np.ones((32, 32, 32), np.uint32), downsample=False)
    shutil.rmtree(layer.get_mag(1).path)
    array = zarr.create_array(
        layer.path / "1", shape=(1, 32, 32, 32), chunks=(1, 16, 16, 16), dtype="uint32", zarr_format=2, fill_value=0
    )
    array[:] = 7
    path = dataset.path / "datasource-properties.json"
    path.write_text(path.read_text().replace('"zarr3"', '"zarr"'))


def use_dataset(folder: Path) -> None:
    dataset = wk.Dataset.open(folder / "dataset")
    _ = dataset.name, dataset.voxel_size_with_unit, repr(dataset), dataset.calculate_bounding_box()
    for layer in dataset.layers.values():
        use_layer(layer)


def use_dataset_in_full(folder: Path) -> None:
    """Writing over what was read, below the folder of the test."""
    dataset = wk.Dataset.open(folder / "dataset")
    for name in list(dataset.layers):
        layer = dataset.get_layer(name)
        mag = layer.get_finest_mag()
        mag.write(np.ones((32, 32, 32), np.uint32), absolute_offset=(0, 0, 0), allow_unaligned=True)
        layer.downsample_mag(mag.mag, target_mag=mag.mag * 2)
        mag.compress()
        layer.delete_mag(mag.mag)
        dataset.delete_layer(name)


def merges(folder: Path) -> None:
    demo_input(folder)


def use_merge(folder: Path) -> None:
    annotation = wk.Annotation.load(folder / "annotation.zip")
    annotation.merge_fallback_layer(folder / "merged", dataset_directory=folder / "datasets")


def unfinished_merges(folder: Path) -> None:
    demo_input(folder)
    annotation = wk.Annotation.load(folder / "annotation.zip")
    job = annotation.plan_merge(folder / "merged", folder / "datasets")
    (folder / "plan.json").write_text(job.to_json())
    (folder / "merge.plan").write_bytes(job.to_bytes())
    job.run(MergeOptions())  # never committed


def use_plan_file(folder: Path) -> None:
    from wkfast.merge.job import MergeJob

    job = MergeJob.from_json((folder / "plan.json").read_text(encoding="utf-8", errors="surrogateescape"))
    _ = job.preview()


def use_stored_plan(folder: Path) -> None:
    from wkfast.cli.merge_steps import read_plan

    job = read_plan(str(folder / "merge.plan"))
    _ = job.preview(), job.plan.work_bytes(), job.plan.share(0, 1, 2)


READERS: dict[str, tuple[Callable[[Path], None], str, Callable[[Path], None]]] = {
    "skeletons": (skeletons, "*.nml", use_annotation),
    "annotations in WKW": (annotations_in_wkw, "*.zip", use_annotation),
    "annotations in Zarr v3": (annotations_in_zarr3, "*.zip", use_annotation),
    "edits": (annotations_in_wkw, "*.zip", use_edit),
    "edits in Zarr v3": (annotations_in_zarr3, "*.zip", use_edit),
    "exports": (annotations_in_wkw, "*.zip", use_export),
    "datasets in WKW": (datasets_in_wkw, "**/*", use_dataset),
    "datasets in Zarr v3": (datasets_in_zarr3, "**/*", use_dataset),
    "datasets in Zarr v2": (datasets_in_zarr2, "**/*", use_dataset),
    "changes of datasets": (datasets_in_zarr3, "**/*", use_dataset_in_full),
    "merges": (merges, "**/*", use_merge),
    "plan files": (unfinished_merges, "merge.plan", use_stored_plan),
    "plan files in JSON": (unfinished_merges, "plan.json", use_plan_file),
    "unfinished merges": (unfinished_merges, "merged/.wkfast-merge/**/*", use_merge),
}


# -- answers of servers ----------------------------------------------------------------------------------------------


def remote(folder: Path, chance: Callable[[], random.Random], answered: list[str]) -> Callable[[], None]:
    """Start a server whose answers are mutated, and return what reads from it."""
    from starlette.responses import Response
    from tests.client import standin_app
    from tests.client.standin_state import Layer, State
    from tests.client.test_standin import FALLBACK, PAINTED, annotation_zip

    from wkfast.client import Client, Context, Secret
    from wkfast.remote import RemoteDataset

    honest = standin_app.StandIn.logged
    lying = [False]

    def logged(self: Any, handler: Any) -> Any:
        plain = honest(self, handler)

        async def run(request: Any) -> Any:
            answer = await plain(request)
            if not lying[0] or chance().random() < 0.6 or not hasattr(answer, "body"):
                return answer
            kind = "a.json" if "json" in str(answer.media_type) or request.url.path.endswith("json") else "a.bin"
            kind = "a.zip" if request.url.path.endswith("download") else kind
            body = mutated(kind, bytes(answer.body), chance())
            answered.append(request.url.path)
            status = (
                answer.status_code if chance().random() < 0.9 else chance().choice((200, 204, 206, 301, 404, 418, 500))
            )
            return Response(body, status, media_type=answer.media_type)

        return run

    standin_app.StandIn.logged = logged  # type: ignore[method-assign]
    state = State()
    state.add_user("token")
    state.add_dataset("cells", [Layer.of("segmentation", FALLBACK, (32, 0, 64))])
    running = standin_app.running(state)
    server = running.__enter__()
    import io

    client = Client(Context(server.url, Secret("token"), 60, 14))
    annotation = client.annotations.upload(io.BytesIO(annotation_zip(PAINTED)), name="mine").id
    dataset = next(iter(state.datasets))

    def use() -> None:
        lying[0] = True
        try:
            with wk.webknossos_context(server.url, "token"):
                kind = chance().randrange(3)
                if kind == 0:
                    wk.Annotation.download(annotation)
                    return
                which = {"annotation_id_or_url": annotation} if kind == 1 else {"dataset_id": dataset}
                for layer in RemoteDataset.open(**which).layers.values():
                    use_layer(layer)
        finally:
            lying[0] = False

    use.running = running  # type: ignore[attr-defined] # the server stops when nothing holds it any more
    return use


# -- the driver ------------------------------------------------------------------------------------------------------


def say(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def outcome(use: Callable[[], None]) -> tuple[str, str] | None:
    """Return kind and place of an error that is none of wkfast's own."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            use()
    except WkfastError:
        return None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a panic is one, too
        return type(error).__name__, "".join(traceback.format_exception(error)[-12:])
    return None


def try_case(reader: str, valid: Path, work: Path, number: int) -> tuple[str, str] | None:
    """Make the case of that number and read it."""
    chance = random.Random(f"{reader} {number}")
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(valid, work)
    _, pattern, use = READERS[reader]
    files = sorted(file for file in work.glob(pattern) if file.is_file())
    small = [file for file in files if file.suffix in {".json", ".nml", ".zip", ".wkw"} or file.name.startswith(".")]
    file = chance.choice(small if small and chance.random() < 0.8 else files)
    file.write_bytes(mutated(file.name, file.read_bytes(), chance))
    return outcome(lambda: use(work))


def main() -> None:
    reader, folder, first, seconds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    valid, work = folder / "valid", folder / "work"
    valid.mkdir(parents=True)
    if reader == "servers":
        chances, answered = [random.Random()], []
        use = remote(folder, lambda: chances[0], answered)
    else:
        READERS[reader][0](valid)
    ends, number = time.monotonic() + seconds, first
    while time.monotonic() < ends:
        say(case=number)
        faulthandler.dump_traceback_later(LONGEST, exit=True)
        if reader == "servers":
            chances[0] = random.Random(f"{reader} {number}")
            found = outcome(use)
        else:
            found = try_case(reader, valid, work, number)
        faulthandler.cancel_dump_traceback_later()
        if found:
            say(found=number, error=found[0], trace=found[1])
        number += 1
    say(tried=number - first)


if __name__ == "__main__":
    main()
