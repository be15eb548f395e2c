"""A WEBKNOSSOS server as the place where layers lie, and ``datasource-properties.json`` as it streams them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast._lazy import lazy_import
from wkfast.client.errors import UnexpectedAnswerError
from wkfast.client.fields import Fields
from wkfast.dataset.data_format import DataFormat
from wkfast.dataset.place import Place
from wkfast.dataset.properties import FILE_NAME, DatasetProperties
from wkfast.remote.header import ArrayHeader
from wkfast.remote.reading import Cutouts
from wkfast.remote.source import RemoteSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wkfast.dataset.layer_properties import Json, LayerProperties
    from wkfast.dataset.voxel_source import VoxelSource
    from wkfast.geometry import Mag
    from wkfast.remote.location import RemoteLocation

zarr: Any = lazy_import("zarr")
zarr_store: Any = lazy_import("wkfast.remote.zarr_store")


class ServerPlace(Place):
    """A data store that streams the layers of a dataset, or of an annotation over one."""

    is_near = False
    has_files = False

    def __init__(self, location: RemoteLocation) -> None:
        self._location = location
        self._streamed = location.streamed
        self.read_only_reason = f"it is streamed from {self._streamed.url}; copy it into a local dataset to change it"
        self.no_folder = f"is streamed from {self._streamed.url} and has no folder"

    @property
    def identity(self) -> object:
        """Where the layers are streamed from."""
        return self._streamed.url

    def open(self, layer: LayerProperties, mag: Mag, entry: Json) -> VoxelSource:
        """Return what voxels of a mag are fetched by; those along further axes by the core."""
        if layer.additional_axes:
            return _core.Mag.open(self.location(layer, mag, entry))
        expected = ArrayHeader.expected(layer, mag)
        return RemoteSource(self._streamed, layer.name, _folder_name(mag, entry), expected, self.cutouts(layer, mag))

    def location(self, layer: LayerProperties, mag: Mag, entry: Json) -> Json:
        """Return where a mag is streamed from, as plain data for the core; what is modelled on it is Zarr v3."""
        expected, step = ArrayHeader.expected(layer, mag), mag.to_np()
        box = layer.bounding_box
        first, end = box.topleft.to_np() // step, -(-box.bottomright.to_np() // step)
        return {
            "mag": list(mag.to_tuple()),
            "format": DataFormat.Zarr3.value,
            "container": {
                "kind": "objects",
                "url": f"webknossos+{self._streamed.mag_url(layer.name, _folder_name(mag, entry))}",
                "options": self._options(layer),
            },
            "prefix": "",
            "axis_order": layer.stored_order(entry),
            "streamed": {
                "voxel_type": expected.dtype.newbyteorder("=").name,
                "channels": expected.shape[0],
                "bounding_box": {"topleft": first.tolist(), "size": (end - first).tolist()},
            },
        }

    def array(self, source: VoxelSource, extent: Sequence[int], name: str) -> Any:
        """Return a mag as a read-only ``zarr.Array`` (c, x, y, z) that fetches what is read.

        Chunks are fetched at once in the number that ``zarr.config["async.concurrency"]`` allows.
        """
        if source.extra_axes:
            return super().array(source, extent, name)
        return zarr.open_array(zarr_store.RemoteStore(source, name), mode="r")

    def cutouts(self, layer: LayerProperties, mag: Mag) -> Cutouts | None:
        """Return the route for large boxes, ``None`` for layers that an annotation paints in: it knows the dataset."""
        if not self._is_cut_out(layer):
            return None
        return Cutouts(self._location.datastore, self._location.dataset_id, layer.name, mag.to_tuple())

    def _options(self, layer: LayerProperties) -> dict[str, str]:
        """Return what the core needs to reach a layer, with the same route for boxes."""
        datastore, options = self._location.datastore, self._location.datastore.storage_options()
        if self._is_cut_out(layer):
            options["cutouts"] = datastore.cutout_path(self._location.dataset_id, layer.name)
        return options

    def _is_cut_out(self, layer: LayerProperties) -> bool:
        painted = self._location.volume_layers
        return painted is not None and layer.name not in painted


def streamed_properties(json: Mapping[str, Any], url: str) -> DatasetProperties:
    """Check and take over the answer of the streaming root at `url`.

    Raises
    ------
    UnexpectedAnswerError
        It lists no layers.
    """
    layers = json.get("dataLayers")
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise UnexpectedAnswerError(f"{url}/{FILE_NAME}: expected a list of 'dataLayers'")
    return DatasetProperties({**json, "dataLayers": [_plain(layer, url) for layer in layers]}, f"{url}/{FILE_NAME}")


def _plain(layer: dict[str, Any], url: str) -> dict[str, Any]:
    """Return a layer with numbers as numbers: newer servers wrap large ones."""
    return {**layer, "largestSegmentId": Fields(layer, url).integer_or_none("largestSegmentId")}


def _folder_name(mag: Mag, entry: Json) -> str:
    """Return the name of the mag in URLs: the last part of its path, which servers before 2025 do not tell."""
    path = entry.get("path")
    return str(path).rstrip("/").rpartition("/")[2] if path else mag.to_layer_name()
