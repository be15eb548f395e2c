"""A small input for the demo: a fallback dataset of three mags and an annotation drawn over it.

Everything is written in the formats a WEBKNOSSOS server and its converters use, without wkfast's own writers.
"""

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from examples.demo import plain_wkw
from examples.demo.plain_wkw import Voxels

DATASET_NAME = "demo_dataset"
LAYER_NAME = "segmentation"
VOXEL_SIZE_NM = (11.24, 11.24, 28.0)
SHAPE = (256, 256, 128)
CHUNK_EDGE = 32
# Voxels between two cells.
GAP = 3
# Where the tube that is drawn begins.
TUBE_START = 120
PAINTED_LABEL = 900
OVERPAINTED_LABEL = 901
MAGS = (1, 2, 4)


@dataclass(frozen=True)
class DemoInput:
    """Where the demo's input lies."""

    annotation: Path
    dataset_directory: Path


def generate(folder: Path) -> DemoInput:
    """Return the demo's input, written below `folder`."""
    fallback = labels()
    annotated = draw(fallback)
    dataset_directory = folder / "datasets"
    write_dataset(dataset_directory / DATASET_NAME, fallback)
    annotation = folder / "annotation.zip"
    write_annotation(annotation, fallback, annotated)
    return DemoInput(annotation, dataset_directory)


def labels(shape: tuple[int, int, int] = SHAPE, *, cells: int = 40, seed: int = 7) -> Voxels:
    """Return a segmentation, uint32 (x, y, z): the nearest of `cells` random points, zero near the borders between."""
    points = np.random.default_rng(seed).uniform(0, shape, (cells, 3)).astype(np.float32)
    out = np.zeros(shape, np.uint32)
    y, z = (axis.astype(np.float32) for axis in np.ogrid[: shape[1], : shape[2]])
    for x, label in enumerate(out):  # plane by plane, which stay in the processor's cache
        nearest = np.full(label.shape, np.inf, np.float32)
        second = nearest.copy()
        for i, (px, py, pz) in enumerate(points, start=1):
            distance = np.sqrt((np.float32(x) - px) ** 2 + (y - py) ** 2 + (z - pz) ** 2)
            closer = distance < nearest
            np.minimum(second, np.where(closer, nearest, distance), out=second)
            label[closer] = i
            np.minimum(nearest, distance, out=nearest)
        label[second - nearest < GAP] = 0
    return out


def draw(fallback: Voxels) -> Voxels:
    """Return a copy of `fallback` as an annotator leaves it: painted, overpainted and erased in places."""
    out = fallback.copy()
    x, y, z = np.ogrid[: out.shape[0], : out.shape[1], : out.shape[2]]
    ball = (x - 70) ** 2 + (y - 80) ** 2 + ((z - 48) * 2) ** 2 < 45**2
    out[ball & (out == 0)] = PAINTED_LABEL
    tube = (x - 60 - y // 4) ** 2 + ((z - 48) * 2) ** 2 < 12**2
    out[np.broadcast_to(tube, out.shape) & (y > TUBE_START)] = OVERPAINTED_LABEL
    out[160:224, 64:128, 32:96] = 0
    return out


def write_dataset(folder: Path, fallback: Voxels) -> None:
    """Write the fallback dataset: WKW, mags 1, 2 and 4, the coarser ones strided samples of the first."""
    mags = []
    for mag in MAGS:
        files = max(1, 4 // mag)
        sample = fallback[::mag, ::mag, ::mag]
        plain_wkw.write_mag(folder / LAYER_NAME / str(mag), sample, blocks_per_file_edge=files)
        mags.append({"mag": [mag] * 3, "path": f"./{LAYER_NAME}/{mag}", "cubeLength": CHUNK_EDGE * files})
    layer = {
        "name": LAYER_NAME,
        "category": "segmentation",
        "boundingBox": dict(zip(("topLeft", "width", "height", "depth"), ([0, 0, 0], *fallback.shape), strict=True)),
        "dataFormat": "wkw",
        "mags": mags,
        "largestSegmentId": int(fallback.max()),
        "numChannels": 1,
        "elementClass": "uint32",
    }
    properties = {
        "id": {"name": DATASET_NAME, "team": ""},
        "scale": {"factor": list(VOXEL_SIZE_NM), "unit": "nanometer"},
        "dataLayers": [layer],
        "version": 1,
    }
    (folder / "datasource-properties.json").write_text(json.dumps(properties, indent=4))


def write_annotation(path: Path, fallback: Voxels, annotated: Voxels) -> None:
    """Write the annotation zip: the chunks that differ, mags 1, 2 and 4, and a skeleton."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("annotation.nml", nml())
        archive.writestr("data_Volume.zip", data_zip(fallback, annotated))


def data_zip(fallback: Voxels, annotated: Voxels) -> bytes:
    """Return the volume layer's zip: a WKW file for each chunk of 32 voxels that was touched, whole, zeros included."""
    buffer = io.BytesIO()
    header = plain_wkw.WkwHeader(CHUNK_EDGE, 1, 2, np.dtype("<u4"))
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for mag in MAGS:
            drawn, base = annotated[::mag, ::mag, ::mag], fallback[::mag, ::mag, ::mag]
            for place in np.ndindex(*(n // CHUNK_EDGE for n in drawn.shape)):
                box = tuple(slice(i * CHUNK_EDGE, (i + 1) * CHUNK_EDGE) for i in place)
                if (drawn[box] != base[box]).any():
                    x, y, z = place
                    archive.writestr(f"{mag}/z{z}/y{y}/x{x}.wkw", plain_wkw.file_of_blocks(header, drawn[box]))
            archive.writestr(f"{mag}/header.wkw", header.pack(0))
    return buffer.getvalue()


def nml() -> str:
    """Return the NML: a tree of four nodes along the tube that is drawn, and the volume layer."""
    x, y, z = VOXEL_SIZE_NM
    nodes = "".join(
        f'      <node id="{i}" radius="60.0" x="{60 + (120 + 40 * i) // 4}" y="{120 + 40 * i}" z="48" />\n'
        for i in range(1, 4)
    )
    return f"""<things>
  <meta name="writer" content="wkfast demo" />
  <parameters>
    <experiment name="{DATASET_NAME}" description="drawn by the wkfast demo" />
    <scale x="{x}" y="{y}" z="{z}" unit="nanometer" />
    <time ms="1760000000000" />
    <editPosition x="70" y="80" z="48" />
  </parameters>
  <thing id="1" color.r="0.9" color.g="0.3" color.b="0.1" color.a="1.0" name="along the tube">
    <nodes>
{nodes}    </nodes>
    <edges>
      <edge source="1" target="2" />
      <edge source="2" target="3" />
    </edges>
  </thing>
  <branchpoints />
  <comments>
    <comment node="1" content="starts here" />
  </comments>
  <groups />
  <volume id="0" name="Volume" location="data_Volume.zip" format="wkw" fallbackLayer="{LAYER_NAME}">
    <segments>
      <segment id="{PAINTED_LABEL}" name="painted" />
      <segment id="{OVERPAINTED_LABEL}" name="overpainted" />
    </segments>
    <groups />
  </volume>
</things>
"""
