"""A merge holds a few chunks, never a shard or a layer."""

import json

import numpy as np
import pytest
import wkw
from examples.demo.generate import CHUNK_EDGE
from examples.demo.plain_wkw import WkwHeader, file_of_blocks
from tests.inputs import measured, minimal_nml, needs_peaks

EDGE = 512
LIMIT = 200 * 2**20

JOB = """
import wkfast as wk

annotation = wk.Annotation.load(sys.argv[1])
before = begin()
annotation.merge_fallback_layer(sys.argv[2], sys.argv[3], policy=sys.argv[4])
print(peak() - before)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A layer of 1 GiB when decoded, in one file, and an annotation that touches a chunk in every slab of it."""
    folder = tmp_path_factory.mktemp("large")
    mag = folder / "datasets" / "dataset" / "segmentation" / "1"
    header = wkw.Header(
        np.uint64, block_len=CHUNK_EDGE, file_len=EDGE // CHUNK_EDGE, block_type=wkw.Header.BLOCK_TYPE_LZ4
    )
    mag.mkdir(parents=True)
    voxels = np.add.outer(np.add.outer(np.arange(EDGE) // 9, np.arange(EDGE) // 11), np.arange(EDGE) // 7)
    with wkw.Dataset.create(str(mag), header) as dataset:
        dataset.write((0, 0, 0), np.asfortranarray(voxels.astype(np.uint64)[np.newaxis]))
    layer = {
        "name": "segmentation",
        "category": "segmentation",
        "boundingBox": {"topLeft": [0, 0, 0], "width": EDGE, "height": EDGE, "depth": EDGE},
        "dataFormat": "wkw",
        "mags": [{"mag": [1, 1, 1], "path": "./segmentation/1", "cubeLength": EDGE}],
        "numChannels": 1,
        "elementClass": "uint64",
    }
    properties = {"id": {"name": "dataset", "team": ""}, "scale": [4, 4, 40], "dataLayers": [layer], "version": 1}
    (mag.parents[1] / "datasource-properties.json").write_text(json.dumps(properties))
    _write_annotation(folder / "annotation.zip")
    return folder


def _write_annotation(path):
    import io
    import zipfile

    block = WkwHeader(CHUNK_EDGE, 1, 2, np.dtype("<u8"))
    painted = np.zeros((CHUNK_EDGE,) * 3, np.uint64)
    painted[3:9, 3:9, 3:9] = 2**63
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(EDGE // CHUNK_EDGE):
            archive.writestr(f"1/z{i}/y{i}/x{i}.wkw", file_of_blocks(block, painted))
        archive.writestr("1/header.wkw", block.pack(0))
    volume = '<volume id="0" name="V" location="d.zip" format="wkw" fallbackLayer="segmentation" />'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.nml", minimal_nml(volume))
        archive.writestr("d.zip", buffer.getvalue())


@pytest.mark.slow
@needs_peaks
@pytest.mark.parametrize("policy", ["chunk", "nonzero"])
def test_a_merge_of_a_one_gibibyte_shard_stays_below_the_bound(large, tmp_path, policy):
    (grown,) = measured(JOB, large / "annotation.zip", tmp_path / "target", large / "datasets", policy)
    assert grown < LIMIT
