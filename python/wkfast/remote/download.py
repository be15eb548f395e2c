"""Parts of a dataset on a server as a dataset in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wkfast.addresses import local_path
from wkfast.dataset import DataFormat, Dataset
from wkfast.dataset.layer_creation import safe_layer_name
from wkfast.errors import DatasetValueError
from wkfast.geometry import BoundingBox, Mag

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

    from wkfast.dataset import Layer, MagView
    from wkfast.geometry import MagLike, NDBoundingBox
    from wkfast.remote.dataset import RemoteDataset

# Edge of what is fetched and written at once, in voxels of the mag.
_PIECE = 512


def download(
    source: RemoteDataset,
    path: str | PathLike[str] | None,
    box: BoundingBox | None,
    layers: Iterable[str] | str | None,
    mags: Iterable[MagLike] | None,
    data_format: DataFormat | None,
    *,
    exist_ok: bool,
) -> Dataset:
    """Fetch layers, or a part of them, into a folder; see :meth:`RemoteDataset.download`."""
    name = source.name
    names = list(source.layers) if layers is None else [layers] if isinstance(layers, str) else list(layers)
    parts = {each: _part(source.get_layer(each), box) for each in names}
    wanted = None if mags is None else {Mag(mag) for mag in mags}
    size = source.voxel_size_with_unit
    folder = local_path(name if path is None else path, "what is downloaded")
    copy = Dataset(folder, name=name, voxel_size_with_unit=size, exist_ok=exist_ok)
    for each, part in parts.items():
        _copy_layer(source.get_layer(each), copy, part, wanted, data_format or DataFormat.Zarr3)
    if source.default_view_configuration is not None:
        copy.default_view_configuration = source.default_view_configuration
    return copy


def _part(layer: Layer, box: BoundingBox | None) -> NDBoundingBox:
    whole: NDBoundingBox = BoundingBox(layer.bounding_box.topleft_xyz, layer.bounding_box.size_xyz)
    part = whole if box is None else whole.intersected_with(box, dont_assert=True)
    if part.is_empty():
        raise DatasetValueError(f"layer {layer.name!r} has nothing in {box}: its box is {whole}")
    return part


def _copy_layer(
    layer: Layer, copy: Dataset, part: NDBoundingBox, mags: set[Mag] | None, data_format: DataFormat
) -> None:
    new = copy.add_layer(
        safe_layer_name(layer.name), layer.category, dtype=layer.dtype, num_channels=layer.num_channels,
        data_format=data_format, bounding_box=part, largest_segment_id=getattr(layer, "largest_segment_id", None),
    )  # fmt: skip
    if layer.default_view_configuration is not None:
        new.default_view_configuration = layer.default_view_configuration
    shard = None if data_format is DataFormat.Zarr else _PIECE
    for mag, view in layer.mags.items():
        if mags is None or mag in mags:
            _copy_mag(view, new.add_mag(mag, shard_shape=shard), part)


def _copy_mag(source: MagView, target: MagView, part: NDBoundingBox) -> None:
    step = source.mag.to_vec3_int() * _PIECE
    for piece in part.align_with_mag(source.mag, ceil=True).chunk(step, step):
        target.write_cxyz(source.read_cxyz(absolute_bounding_box=piece), absolute_bounding_box=piece)
