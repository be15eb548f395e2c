"""Edits of real annotations, and the reference package's view of what they wrote."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest

import wkfast as wk

# The painted box lies over chunks that the annotations do not have.
pytestmark = pytest.mark.filterwarnings("ignore:volume layer .* written in part:UserWarning")

LAYERS = [("cremi_two_volumes", 0), ("cremi_two_volumes", 1), ("l4dense_wkw", 0), ("l4_sample_zarr3", 0)]
LABEL = 60001

# Prints what the reference package finds: format, box, largest id, chunks, and how many voxels have the label.
SCRIPT = f"""
import json, sys, warnings
warnings.simplefilter("ignore")
import webknossos
annotation = webknossos.Annotation.load(sys.argv[1])
with annotation.temporary_volume_layer_copy(volume_layer_id=int(sys.argv[2])) as layer:
    mag = layer.get_finest_mag()
    chunks = len(list(mag.get_bounding_boxes_on_disk()))
    voxels = mag.read(absolute_offset=layer.bounding_box.topleft, size=(64, 64, 32))
    found = [layer.data_format.value, list(layer.bounding_box.to_tuple6()), layer.largest_segment_id, chunks]
    print(json.dumps([*found, len(layer.mags), int((voxels == {LABEL}).sum())]))
"""


def edited(fixtures, folder, name, volume_id, mode):
    """Paint a box of 40 × 40 × 20 at the top left of a real layer; return the saved file and what it should hold."""
    annotation = wk.Annotation.load(fixtures / "annotations" / f"{name}.zip")
    volume = annotation.get_volume_layer(volume_layer_id=volume_id)
    before = volume.as_layer()
    box = before.bounding_box
    expected = before.get_finest_mag().read()
    with volume.edit(edit_mode=mode) as layer:
        patch = np.full((1, 40, 40, 20), LABEL, layer.dtype)
        layer.get_finest_mag().write(patch, absolute_offset=box.topleft, allow_resize=True, allow_unaligned=True)
    expected[:, :40, :40, :20] = LABEL
    annotation.save(folder / f"{mode.value}.zip")
    return folder / f"{mode.value}.zip", expected, box


@pytest.mark.parametrize(("name", "volume_id"), LAYERS)
def test_edits_of_real_layers_are_there_after_saving_in_both_modes_alike(fixtures, tmp_path, name, volume_id):
    payloads = []
    for mode in wk.VolumeLayerEditMode:
        file, expected, box = edited(fixtures, tmp_path, name, volume_id, mode)
        again = wk.Annotation.load(file).get_volume_layer(volume_layer_id=volume_id)
        layer = again.as_layer()
        assert np.array_equal(layer.get_finest_mag().read(absolute_bounding_box=box), expected)
        payloads.append([layer.get_mag(mag).read().sum() for mag in layer.mags])
        assert again.largest_segment_id >= LABEL
    assert payloads[0] == payloads[1]


@pytest.mark.skipif(importlib.util.find_spec("webknossos") is None, reason="the reference package is a bench extra")
@pytest.mark.parametrize(("name", "volume_id"), LAYERS)
def test_the_reference_package_reads_what_an_edit_wrote(fixtures, tmp_path, name, volume_id):
    file, expected, box = edited(fixtures, tmp_path, name, volume_id, wk.VolumeLayerEditMode.MEMORY)
    command = [sys.executable, "-c", SCRIPT, file, str(volume_id)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    layer = wk.Annotation.load(file).get_volume_layer(volume_layer_id=volume_id)
    finest = layer.as_layer().get_finest_mag()
    painted = int((expected[:, :64, :64, :32] == LABEL).sum())
    assert json.loads(done.stdout.splitlines()[-1]) == [
        "zarr3",
        list(box.to_tuple6()),
        layer.largest_segment_id,
        len(list(finest.get_bounding_boxes_on_disk())),
        len(layer.as_layer().mags),
        painted,
    ]
