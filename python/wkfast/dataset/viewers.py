"""Layers as other viewers take them: states of neuroglancer, layer data of napari."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import
from wkfast.dataset.data_format import FACTS
from wkfast.dataset.layer_category import SEGMENTATION_CATEGORY
from wkfast.errors import DatasetError, MagNotFoundError
from wkfast.geometry.constants import XYZ_AXES

if TYPE_CHECKING:
    import numpy as np

    from wkfast.dataset.layer import Layer
    from wkfast.dataset.mag_view import MagView
    from wkfast.geometry import NDBoundingBox

    LayerData = tuple[Any, dict[str, Any], str]
else:
    np = lazy_import("numpy")

dask_array: Any = lazy_import("dask.array", extra="dask")

_METRES_PER_NM = 1e-9
_RGB = 3


def to_neuroglancer(layer: Layer, url: str) -> dict[str, Any]:
    """Return a state of neuroglancer; see ``Layer.to_neuroglancer``."""
    if not FACTS[layer.data_format].is_array:
        raise DatasetError(
            f"layer {layer.name!r} is stored as WKW, which neuroglancer does not read: copy it with data_format='zarr3'"
        )
    kind = "segmentation" if layer.category == SEGMENTATION_CATEGORY else "image"
    sizes = zip(XYZ_AXES, layer.dataset.voxel_size, strict=True)
    box = layer.bounding_box
    middle = [start + size / 2 for start, size in zip(box.topleft_xyz, box.size_xyz, strict=True)]
    return {
        "dimensions": {axis: [size * _METRES_PER_NM, "m"] for axis, size in sizes},
        "position": middle,
        "layers": [{"type": kind, "name": layer.name, "source": f"zarr://{url.rstrip('/')}/{layer.name}"}],
        "selectedLayer": {"layer": layer.name, "visible": True},
        "layout": "4panel",
    }


def to_napari(layer: Layer) -> list[LayerData]:
    """Return layer data of napari; see ``Layer.to_napari``."""
    mags = list(layer.mags.values())
    if not mags:
        raise MagNotFoundError(f"layer {layer.name!r} has no mags")
    # Whole voxels of every mag: napari takes the ratio of shapes for that of voxels.
    coarsest = mags[-1].mag
    box = layer.bounding_box.align_with_mag(coarsest, ceil=True)
    levels = [_lazily(layer, view, box) for view in mags]
    size, finest = np.asarray(layer.dataset.voxel_size), mags[0].mag.to_np()
    # napari counts from the middle of a voxel.
    start = (box.topleft_xyz.to_np() + (finest - 1) / 2) * size
    common = {
        "scale": tuple((size * finest)[::-1].tolist()),
        "translate": tuple(start[::-1].tolist()),
        "multiscale": len(levels) > 1,
    }
    if layer.category == SEGMENTATION_CATEGORY:
        return [(_data([level[0] for level in levels]), {"name": layer.name, **common}, "labels")]
    if layer.num_channels == _RGB and layer.dtype == np.uint8:
        rgb = [dask_array.moveaxis(level, 0, -1) for level in levels]
        return [(_data(rgb), {"name": layer.name, "rgb": True, **common}, "image")]
    return [
        (_data([level[channel] for level in levels]), {"name": name, **_limits(layer), **common}, "image")
        for channel, name in enumerate(_names(layer))
    ]


def _lazily(layer: Layer, view: MagView, box: NDBoundingBox) -> Any:
    """Return a box of a mag as an array (c, z, y, x) of dask: a chunk is read when it is looked at."""
    inner = box.in_mag(view.mag)
    ends = inner.bottomright_xyz.to_tuple()
    array = layer._place.array(view._source, ends, f"mag {view.mag} of layer {layer.name!r}")
    x, y, z = (slice(start, end) for start, end in zip(inner.topleft_xyz, ends, strict=True))
    return dask_array.from_array(array, chunks=array.chunks, name=False)[:, x, y, z].transpose(0, 3, 2, 1)


def _data(levels: list[Any]) -> Any:
    return levels if len(levels) > 1 else levels[0]


def _names(layer: Layer) -> list[str]:
    count = layer.num_channels
    return [layer.name] if count == 1 else [f"{layer.name} {channel}" for channel in range(count)]


def _limits(layer: Layer) -> dict[str, Any]:
    """Return what is black and white, where it is known without a look at the voxels."""
    configuration = layer.default_view_configuration
    if configuration is not None and configuration.intensity_range is not None:
        return {"contrast_limits": tuple(configuration.intensity_range)}
    return {"contrast_limits": (0, 255)} if layer.dtype == np.uint8 else {}
