"""``datasource-properties.json``: read, changed in place and replaced as a whole.

The parsed JSON stays the one truth. Views read from it and write into it, so keys that wkfast does not know survive
every rewrite. Format: the dataset documentation of WEBKNOSSOS.
"""

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wkfast.errors import DatasetError, DatasetNotFoundError, LayerNotFoundError
from wkfast.geometry import BoundingBox, Mag, Vec3Int

FILE_NAME = "datasource-properties.json"
SUPPORTED_VERSION = 1
# No dataset is wider: 2⁴⁰ voxels of a nanometre are a kilometre.
FARTHEST = 2**40

Json = dict[str, Any]

_ELEMENT_CLASSES = {"float": "float32", "double": "float64", "uint24": "uint8"}


@dataclass(frozen=True)
class LayerProperties:
    """One entry of ``dataLayers``."""

    json: Json
    file: Path

    @property
    def name(self) -> str:
        """Name of the layer."""
        return str(self._required("name"))

    @property
    def bounding_box(self) -> BoundingBox:
        """Box in mag-1 voxels."""
        box = self._required("boundingBox")
        try:
            topleft = Vec3Int(box["topLeft"])
            size = Vec3Int(box["width"], box["height"], box["depth"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._malformed("boundingBox", '{"topLeft": [x, y, z], "width", "height", "depth"}') from error
        if min(size.to_tuple()) < 0 or max(map(abs, (*topleft.to_tuple(), *size.to_tuple()))) > FARTHEST:
            raise self._malformed("boundingBox", f"sizes from 0 on, and coordinates within ±{FARTHEST:,}")
        return BoundingBox(topleft, size)

    def set_bounding_box(self, box: BoundingBox) -> None:
        """Write a box in mag-1 voxels into the entry."""
        width, height, depth = box.size.to_tuple()
        topleft = list(box.topleft.to_tuple())
        self.json["boundingBox"] = {"topLeft": topleft, "width": width, "height": height, "depth": depth}

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one channel. ``elementClass`` names the whole voxel: ``uint24`` is three channels of ``uint8``."""
        element = str(self._required("elementClass"))
        try:
            return np.dtype(_ELEMENT_CLASSES.get(element, element))
        except TypeError:
            raise self._malformed("elementClass", "uint8 to uint64, int8 to int64, float or double") from None

    @property
    def largest_segment_id(self) -> int | None:
        """Largest segment id in use, ``None`` if nobody wrote it down."""
        value = self.json.get("largestSegmentId")
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise self._malformed("largestSegmentId", "an integer or null")
        return value

    @property
    def mags(self) -> list[Json]:
        """Entries of ``mags``; those of the legacy ``wkwResolutions`` in the same form."""
        if "mags" in self.json:
            return [dict(entry) for entry in self._required("mags")]
        legacy = self.json.get("wkwResolutions", [])
        return [{**entry, "mag": entry["resolution"]} for entry in legacy]

    def mag_of(self, entry: Json) -> Mag:
        """Return the mag of an entry: a number or three."""
        try:
            return Mag(entry["mag"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._malformed("mags", "a mag such as 2 or [2, 2, 1]") from error

    def _required(self, key: str) -> Any:
        try:
            return self.json[key]
        except KeyError:
            raise self._malformed(key, "a value") from None

    def _malformed(self, key: str, expected: str) -> DatasetError:
        name = self.json.get("name", "?")
        found = self.json.get(key, "nothing")
        return DatasetError(f"{self.file}: layer {name!r}: {key!r} is {found!r}, expected {expected}")


@dataclass(frozen=True)
class DatasetProperties:
    """The whole file."""

    json: Json
    file: Path

    @classmethod
    def read(cls, folder: Path) -> "DatasetProperties":
        """Read the properties of the dataset in `folder`.

        Raises
        ------
        DatasetNotFoundError
            There is no such file.
        DatasetError
            It is no JSON, no dataset, or of a version wkfast does not know.
        """
        file = folder / FILE_NAME
        try:
            parsed = json.loads(file.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise DatasetNotFoundError(f"no dataset at {folder}: there is no {FILE_NAME}") from None
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{file}: not valid JSON: {error}") from error
        if not isinstance(parsed, dict) or not isinstance(parsed.get("dataLayers"), list):
            raise DatasetError(f"{file}: expected a JSON object with a list of 'dataLayers'")
        version = parsed.get("version", SUPPORTED_VERSION)
        if version != SUPPORTED_VERSION:
            raise DatasetError(f"{file}: dataset version {version!r}; wkfast reads version {SUPPORTED_VERSION}")
        return cls(parsed, file)

    @classmethod
    def create(
        cls, folder: Path, name: str, voxel_size: Sequence[float], unit: str = "nanometer"
    ) -> "DatasetProperties":
        """Return the properties of a new dataset without layers; nothing is written."""
        scale = {"factor": [float(value) for value in voxel_size], "unit": unit}
        json_ = {"id": {"name": name, "team": ""}, "scale": scale, "dataLayers": [], "version": SUPPORTED_VERSION}
        return cls(json_, folder / FILE_NAME)

    @property
    def layers(self) -> list[LayerProperties]:
        """The layers, as listed."""
        return [LayerProperties(layer, self.file) for layer in self.json["dataLayers"]]

    def layer(self, name: str) -> LayerProperties:
        """Return the layer called `name`.

        Raises
        ------
        LayerNotFoundError
            There is none; the message lists those there are.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        there = ", ".join(repr(layer.name) for layer in self.layers) or "none"
        raise LayerNotFoundError(f"{self.file.parent} has no layer {name!r}; its layers: {there}")

    @property
    def name(self) -> str:
        """Name of the dataset, else its folder's."""
        identity = self.json.get("id")
        written = identity.get("name") if isinstance(identity, dict) else None
        return str(written) if written else self.file.parent.name

    @property
    def voxel_size(self) -> tuple[float, float, float]:
        """Size of a mag-1 voxel in :attr:`unit`."""
        scale = self.json.get("scale")
        factor = scale.get("factor") if isinstance(scale, dict) else scale
        try:
            x, y, z = (float(value) for value in factor or ())
        except (TypeError, ValueError) as error:
            raise DatasetError(f"{self.file}: 'scale' is {scale!r}, expected three numbers and a unit") from error
        return x, y, z

    @property
    def unit(self) -> str:
        """Unit of the voxel size; nanometer where none is named."""
        scale = self.json.get("scale")
        return str(scale.get("unit", "nanometer")) if isinstance(scale, dict) else "nanometer"

    def write(self) -> None:
        """Replace the file as a whole: a reader sees the old one or the new one, never a part."""
        text = json.dumps(self.json, indent=4)
        handle, temporary = tempfile.mkstemp(dir=self.file.parent, prefix=f".{FILE_NAME}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o666 & ~_umask())
            Path(temporary).replace(self.file)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _umask() -> int:
    """Return the process's umask; asking for it is setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
