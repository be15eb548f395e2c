"""What a user does first, with nothing but an installed wkfast: ``python first_run.py FOLDER``.

Makes a dataset and an annotation over it, by the library alone, and takes them through the command line: looked at,
checked, merged, and read back by zarr. Every voxel of the result is compared with numpy's.
"""

import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np

import wkfast as wk

COMMAND = Path(sysconfig.get_path("scripts")) / "wkfast"
EDGE = 64
NODES = 1000


def main(folder: Path) -> None:
    """Do it all in an empty folder."""
    voxels = np.random.default_rng(7).integers(1, 1000, (EDGE,) * 3).astype(np.uint32)
    make_inputs(folder, voxels)
    command("--help")
    facts = json.loads(command("info", folder / "a.zip", "--json"))
    assert (facts["trees"], facts["nodes"], facts["edges"]) == (1, NODES, NODES - 1), facts
    command("validate", folder / "a.zip")
    command("merge-fallback", folder / "merged", folder / "a.zip", folder / "datasets")
    check(folder, voxels)


def command(*arguments: object) -> str:
    """Run ``wkfast`` and return what it prints."""
    done = subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_inputs(folder: Path, voxels: np.ndarray) -> None:
    """Write a dataset, and an annotation that is painted over its segmentation, in both ways of editing."""
    dataset = wk.Dataset(folder / "datasets" / "sample", voxel_size=(4, 4, 40))
    layer = dataset.add_layer("segmentation", "segmentation", dtype="uint32", data_format="wkw")
    layer.add_mag(1, shard_shape=EDGE).write(voxels, allow_resize=True)
    annotation = wk.Annotation("a", dataset_name="sample", voxel_size=(4, 4, 40))
    tree = annotation.skeleton.add_tree("neurite")
    positions = np.arange(3 * NODES).reshape(NODES, 3)
    tree.add_nodes(positions, edges=np.stack([np.arange(NODES - 1), np.arange(1, NODES)], axis=1))
    volume = annotation.add_volume_layer("Volume", fallback_layer=layer)
    paint(volume, (0, 0, 0), wk.VolumeLayerEditMode.TEMPORARY_DIRECTORY)
    paint(volume, (32, 32, 32), wk.VolumeLayerEditMode.MEMORY)
    annotation.save(folder / "a.zip")


def paint(volume: wk.VolumeLayer, corner: tuple[int, int, int], mode: wk.VolumeLayerEditMode) -> None:
    """Paint a chunk."""
    with volume.edit(edit_mode=mode) as layer:
        mag = layer.get_or_add_mag(1)
        mag.write(np.full((32, 32, 32), 5000, np.uint32), absolute_offset=corner, allow_resize=True)


def check(folder: Path, voxels: np.ndarray) -> None:
    """Compare the merged layer with what was painted over the voxels; read it by zarr, too."""
    expected = voxels.copy()
    expected[:32, :32, :32] = expected[32:, 32:, 32:] = 5000
    layer = wk.Dataset.open(folder / "merged").get_layer("segmentation")
    assert np.array_equal(layer.get_mag(1).read()[0], expected)
    copy = wk.Dataset.open(folder / "merged").copy_dataset(folder / "zarr", data_format="zarr3")
    assert np.array_equal(copy.get_layer("segmentation").get_mag(1).get_zarr_array()[0], expected)
    graph = wk.Annotation.load(folder / "a.zip").skeleton.get_tree_by_id(1)
    assert len(graph.edges) == NODES - 1, graph


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True)
    main(place)
    shutil.rmtree(place)
    sys.stdout.write("all is well\n")
