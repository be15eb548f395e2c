"""Layers and annotation chunks read the plain way, for checking what the core reads and writes.

WKW through :mod:`examples.demo.plain_wkw`, Zarr through zarr-python, archives through :mod:`zipfile`, NML through
:mod:`xml.etree`: none of it is wkfast's own.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from examples.demo import plain_wkw
from examples.demo.plain_wkw import Voxels
from wkfast._lazy import lazy_import

zarr: Any = lazy_import("zarr")
numcodecs: Any = lazy_import("numcodecs")

Box = tuple[tuple[int, int, int], tuple[int, int, int]]
Chunk = tuple[tuple[int, int, int], Voxels]

_WKW_MEMBER = re.compile(r"(?P<mag>[\d-]+)/z(?P<z>\d+)/y(?P<y>\d+)/x(?P<x>\d+)\.wkw")
_ZARR_MEMBER = re.compile(r"volumeAnnotationData/(?P<mag>[\d-]+)/(?:c\.)?0\.(?P<x>\d+)\.(?P<y>\d+)\.(?P<z>\d+)")


@dataclass(frozen=True)
class PlainLayer:
    """One layer of a dataset folder, as its ``datasource-properties.json`` describes it."""

    folder: Path
    properties: dict[str, Any]

    @classmethod
    def open(cls, dataset: Path, name: str) -> "PlainLayer":
        """Open layer `name` of the dataset folder."""
        source = json.loads((dataset / "datasource-properties.json").read_text())
        (layer,) = (layer for layer in source["dataLayers"] if layer["name"] == name)
        return cls(dataset, layer)

    @property
    def box(self) -> Box:
        """Top left and size in mag-1 voxels."""
        box = self.properties["boundingBox"]
        x, y, z = box["topLeft"]
        return (x, y, z), (box["width"], box["height"], box["depth"])

    @property
    def mags(self) -> list[str]:
        """Names of the mags, e.g. ``1`` or ``2-2-1``, as listed."""
        return [mag_name(mag["mag"]) for mag in self.properties["mags"]]

    def read(self, mag: str, topleft: tuple[int, int, int], size: tuple[int, int, int]) -> Voxels:
        """Return voxels (x, y, z) of a box given in voxels of `mag`."""
        (entry,) = (entry for entry in self.properties["mags"] if mag_name(entry["mag"]) == mag)
        folder = self.folder / entry.get("path", f"{self.properties['name']}/{mag}")
        if self.properties["dataFormat"] == "wkw":
            return plain_wkw.read_box(folder, topleft, size)
        array = zarr.open_array(folder, mode="r")
        box = tuple(slice(start, start + n) for start, n in zip(topleft, size, strict=True))
        part: Voxels = array[(0, *box)]
        return np.pad(part, [(0, n - have) for n, have in zip(size, part.shape, strict=True)])


@dataclass(frozen=True)
class PlainAnnotation:
    """The one volume layer of an annotation zip that is merged."""

    path: Path
    dataset_name: str
    fallback_layer: str
    location: str

    @classmethod
    def open(cls, path: Path, volume_layer_name: str | None = None) -> "PlainAnnotation":
        """Read the NML of an annotation zip and choose the layer by name, or the only one."""
        with zipfile.ZipFile(path) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith(".nml"))
            root = ET.fromstring(archive.read(name))  # noqa: S314 - checks what the core, which refuses DTDs, has read
        volumes = [v for v in root.iter("volume") if volume_layer_name in (None, v.get("name", "Volume"))]
        (volume,) = volumes
        experiment = next(root.iter("experiment"))
        return cls(path, experiment.attrib["name"], volume.attrib["fallbackLayer"], volume.attrib["location"])

    def chunks(self, mag: str) -> Iterator[Chunk]:
        """Yield index (x, y, z) and voxels (32, 32, 32) of every chunk of `mag` that has data."""
        with zipfile.ZipFile(self.path) as outer, zipfile.ZipFile(io.BytesIO(outer.read(self.location))) as inner:
            for name in inner.namelist():
                found = _WKW_MEMBER.fullmatch(name) or _ZARR_MEMBER.fullmatch(name)
                if found and found["mag"] == mag and inner.getinfo(name).file_size > 0:
                    index = (int(found["x"]), int(found["y"]), int(found["z"]))
                    yield index, _decode(name, inner.read(name), inner)


def _decode(name: str, payload: bytes, archive: zipfile.ZipFile) -> Voxels:
    if name.endswith(".wkw"):
        ((_place, voxels),) = plain_wkw.blocks_of_file(payload)
        return voxels
    description = json.loads(archive.read(name.rsplit("/", 1)[0] + "/zarr.json"))
    data = numcodecs.blosc.decompress(payload)
    return np.frombuffer(data, description["data_type"]).reshape((32, 32, 32), order="F")


def mag_name(mag: int | list[int]) -> str:
    """Return the folder name of a mag.

    Examples
    --------
    >>> mag_name([4, 4, 4]), mag_name([2, 2, 1])
    ('4', '2-2-1')
    """
    edges = [mag] * 3 if isinstance(mag, int) else mag
    return str(edges[0]) if len(set(edges)) == 1 else "-".join(map(str, edges))
