"""``datasource-properties.json``: read, changed in place and replaced as a whole.

The parsed JSON stays the one truth. Views read from it and write into it, so keys that wkfast does not know survive
every rewrite. Format: the dataset documentation of WEBKNOSSOS.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wkfast._short import short
from wkfast.dataset.layer_properties import Json, LayerProperties, layer_properties
from wkfast.dataset.metadata_files import ZARR_FILES, json_text, parsed_json, read_metadata
from wkfast.dataset.view_configuration import DatasetViewConfiguration, configuration_of
from wkfast.drafts import exclusive_draft
from wkfast.errors import DatasetError, DatasetNotFoundError, DatasetValueError, ExistsError, LayerNotFoundError
from wkfast.geometry import LengthUnit, VoxelSize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wkfast.buckets import ObjectPath

FILE_NAME = "datasource-properties.json"
# What lies beside it while it is written, and stays where that is killed.
UNFINISHED = (f"{FILE_NAME}.wkfast-part", f"{FILE_NAME}.wkfast-lock")
SUPPORTED_VERSION = 1
# More than a dataset of ten thousand layers needs.
MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class DatasetProperties:
    """The whole file, or what stands for it where there is none.

    Attributes
    ----------
    file
        What messages call it. Nothing is opened by it but in :meth:`read`, :meth:`write_new`, :meth:`look_again` and
        :meth:`update`.
    """

    json: Json
    file: Path | str

    @classmethod
    def read(cls, folder: Path | ObjectPath) -> DatasetProperties:
        """Read the properties of the dataset in `folder`, which may lie in a bucket.

        Raises
        ------
        DatasetNotFoundError
            There is no such file.
        DatasetError
            It is no JSON, no dataset, or of a version wkfast does not know.
        """
        text = read_metadata(folder / FILE_NAME)
        if text is None:
            if isinstance(folder, Path) and not os.path.lexists(folder):
                raise DatasetNotFoundError(f"no dataset at {folder}: there is no such folder")
            hint = "; open_layer opens arrays and OME-Zarr images" if _holds_zarr(folder) else ""
            raise DatasetNotFoundError(f"no dataset at {folder}: there is no {FILE_NAME}{hint}")
        return cls.parse(text, folder)

    @classmethod
    def parse(cls, text: bytes, folder: Path | ObjectPath) -> DatasetProperties:
        """Return what the file of the dataset in `folder` says.

        Raises
        ------
        DatasetError
            As of :meth:`read`.
        """
        file = folder / FILE_NAME
        parsed = parsed_json(text, file)
        layers = parsed.get("dataLayers") if isinstance(parsed, dict) else None
        if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
            raise DatasetError(f"{file}: expected a JSON object with a list of 'dataLayers', which are objects")
        version = parsed.get("version", SUPPORTED_VERSION)
        if version != SUPPORTED_VERSION:
            raise DatasetValueError(
                f"{file}: dataset version {short(version)}; wkfast reads version {SUPPORTED_VERSION}"
            )
        return cls(parsed, file if isinstance(file, Path) else str(file))

    @classmethod
    def create(
        cls, folder: Path | ObjectPath, name: str, voxel_size: Sequence[float], unit: str = "nanometer"
    ) -> DatasetProperties:
        """Return the properties of a new dataset without layers; nothing is written."""
        scale = {"factor": [float(value) for value in voxel_size], "unit": unit}
        json_ = {"id": {"name": name, "team": ""}, "scale": scale, "dataLayers": [], "version": SUPPORTED_VERSION}
        return cls(json_, folder / FILE_NAME if isinstance(folder, Path) else f"{folder}/{FILE_NAME}")

    @property
    def layers(self) -> list[LayerProperties]:
        """The layers, as listed."""
        return [layer_properties(layer, self.file) for layer in self.json["dataLayers"]]

    @property
    def data_layers(self) -> list[LayerProperties]:
        """The same as :attr:`layers`, by the name of the reference package."""
        return self.layers

    @property
    def id(self) -> dict[str, str]:
        """Name of the dataset and its organisation, as they are written down."""
        stated = self.json.get("id")
        return dict(stated) if isinstance(stated, dict) else {}

    @property
    def scale(self) -> VoxelSize:
        """Size of a mag-1 voxel."""
        return VoxelSize(self.voxel_size, LengthUnit.from_text(self.unit))

    @property
    def version(self) -> int:
        """Version of the file."""
        return int(self.json.get("version", SUPPORTED_VERSION))

    @property
    def default_view_configuration(self) -> DatasetViewConfiguration | None:
        """How the dataset is shown at first, where that is written down."""
        return configuration_of(self.json, DatasetViewConfiguration)  # type: ignore[no-any-return] # of that kind

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
        raise LayerNotFoundError(f"{self._home} has no layer {name!r}; its layers: {there}")

    @property
    def name(self) -> str:
        """Name of the dataset, else its folder's."""
        identity = self.json.get("id")
        written = identity.get("name") if isinstance(identity, dict) else None
        return str(written) if written else Path(self._home).absolute().name

    @property
    def _home(self) -> str:
        return str(self.file).rpartition("/")[0] or "."

    @property
    def voxel_size(self) -> tuple[float, float, float]:
        """Size of a mag-1 voxel in :attr:`unit`."""
        scale = self.json.get("scale")
        factor = scale.get("factor") if isinstance(scale, dict) else scale
        try:
            x, y, z = (float(value) for value in factor or ())
        except (TypeError, ValueError, OverflowError) as error:
            raise DatasetError(f"{self.file}: 'scale' is {short(scale)}, expected three numbers and a unit") from error
        return x, y, z

    @property
    def unit(self) -> str:
        """Unit of the voxel size; nanometer where none is named."""
        scale = self.json.get("scale")
        return str(scale.get("unit", "nanometer")) if isinstance(scale, dict) else "nanometer"

    def set_name(self, name: str) -> None:
        """Write the name of the dataset."""
        identity = self.json.get("id")
        self.json["id"] = {**(identity if isinstance(identity, dict) else {"team": ""}), "name": name}

    def add_layer(self, entry: Json) -> None:
        """Append a layer.

        Raises
        ------
        ExistsError
            There is one of its name.
        """
        self.add_layers([entry])

    def add_layers(self, entries: Sequence[Json]) -> None:
        """Append layers.

        Raises
        ------
        ExistsError
            There is one of the name of one.
        """
        self.check_free(*(entry["name"] for entry in entries))
        self.json["dataLayers"] += entries

    def check_free(self, *names: str) -> None:
        """Check that no layer has one of some names, which differ.

        Raises
        ------
        ExistsError
            One has.
        """
        taken = {layer.name for layer in self.layers}
        for name in names:
            if name in taken:
                raise ExistsError(f"{self._home} has a layer {name!r} already")
            taken.add(name)

    def remove_layer(self, name: str) -> None:
        """Remove the layer called `name`.

        Raises
        ------
        LayerNotFoundError
            There is none; the message lists those there are.
        """
        entry = self.layer(name).json
        self.json["dataLayers"] = [layer for layer in self.json["dataLayers"] if layer is not entry]

    def rename_layer(self, old: str, new: str) -> None:
        """Give a layer another name; paths of mags that lie in its folder follow, whoever lists them."""
        for layer in self.layers:
            layer.move_mags(old, new)
        self.layer(old).json["name"] = new

    def write_new(self) -> None:
        """Write the file of a new dataset as a whole.

        Raises
        ------
        ExistsError
            There is one: somebody was quicker.
        """
        with exclusive_draft(Path(self.file)) as draft:
            if os.path.lexists(self.file):
                raise ExistsError(f"cannot create a dataset at {self._home}: somebody has just made one")
            draft.put(self.text())

    def look_again(self) -> None:
        """Take over what others have written meanwhile."""
        file = Path(self.file)
        with exclusive_draft(file):  # of two threads, the later state is taken over last
            self.adopt(DatasetProperties.read(file.parent))

    def update(self, change: Callable[[DatasetProperties], None]) -> None:
        """Apply `change` to what the file says now, and take over what others have written meanwhile.

        Processes that change one dataset wait for each other, so that none undoes what another did. `change` gets
        properties of its own; if it raises, nothing is written.
        """
        file = Path(self.file)
        with exclusive_draft(file) as draft:
            fresh = DatasetProperties.read(file.parent)
            change(fresh)
            draft.put(fresh.text())
            # Before the next one may write: of two threads, the later change is taken over last.
            self.adopt(fresh)

    def text(self) -> bytes:
        """Return what the file is to hold."""
        return json_text(self.json, self.file)

    def adopt(self, fresh: DatasetProperties) -> None:
        """Take over all of `fresh`; entries of layers stay the objects that layers hold."""
        known = {str(layer.get("name")): layer for layer in self.json["dataLayers"]}
        layers = []
        for entry in fresh.json["dataLayers"]:
            held = known.get(str(entry.get("name")), entry)
            if held is not entry:
                _put_over(held, entry)
            layers.append(held)
        _put_over(self.json, {**fresh.json, "dataLayers": layers})


def _put_over(held: Json, now: Json) -> None:
    """Make one object what another is; threads that read it meanwhile find every key that both have."""
    held.update(now)
    for key in held.keys() - now.keys():
        held.pop(key, None)


def _holds_zarr(folder: Path | ObjectPath) -> bool:
    return any(
        os.path.lexists(folder / name) if isinstance(folder, Path) else (folder / name).is_file() for name in ZARR_FILES
    )
