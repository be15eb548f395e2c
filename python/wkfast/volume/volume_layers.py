"""The volume layers of an annotation, found by name or id."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import
from wkfast.dataset.data_format import DataFormat
from wkfast.errors import AnnotationError, VolumeLayerAmbiguousError, VolumeLayerNotFoundError
from wkfast.volume.volume_layer import VolumeLayer

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import DTypeLike

    from wkfast import dataset
    from wkfast.dataset import Layer, foreign
    from wkfast.geometry import Vec3Float
else:
    np = lazy_import("numpy")
    dataset = lazy_import("wkfast.dataset")
    foreign = lazy_import("wkfast.dataset.foreign")


class VolumeLayers(list[VolumeLayer]):
    """Volume layers in the order of the file; ids are unique, names need not be."""

    def __init__(self, annotation_name: str) -> None:
        super().__init__()
        self._annotation_name = annotation_name

    def append(self, layer: VolumeLayer) -> None:
        """Add a layer.

        Raises
        ------
        AnnotationError
            Its id is taken.
        """
        self.extend((layer,))

    def extend(self, layers: Iterable[VolumeLayer]) -> None:
        """Add layers, in time that grows with their number alone.

        Raises
        ------
        AnnotationError
            The id of one is taken. None is added.
        """
        added = list(layers)
        taken = {other.id for other in self}
        for layer in added:
            if layer.id in taken:
                raise AnnotationError(f"annotation {self._annotation_name!r}: two volume layers have the id {layer.id}")
            taken.add(layer.id)
        super().extend(added)

    def add(
        self,
        name: str,
        fallback_layer: Layer | str | None,
        volume_layer_id: int | None,
        *,
        dtype: DTypeLike | None,
        voxel_size: Vec3Float,
    ) -> VolumeLayer:
        """Return a new layer without data; see ``Annotation.add_volume_layer``."""
        if foreign.is_of_reference(fallback_layer):
            fallback_layer = foreign.own_layer(fallback_layer, dataset.Dataset.open)
        if isinstance(fallback_layer, dataset.Layer):
            if not isinstance(fallback_layer, dataset.SegmentationLayer):
                raise AnnotationError(f"the fallback layer {fallback_layer.name!r} is no segmentation layer")
            dtype = fallback_layer.dtype if dtype is None else dtype
            _check_holds(_label_type(dtype), fallback_layer)
            fallback_layer = fallback_layer.name
        elif fallback_layer is not None and _is_no_name(fallback_layer):
            raise AnnotationError(
                f"a fallback layer is a Layer or the name of one, not {fallback_layer!r}; give the type of the voxels "
                f"by keyword: add_volume_layer({name!r}, dtype=...)"
            )
        if volume_layer_id is None:
            volume_layer_id = max((layer.id for layer in self), default=-1) + 1
        layer = VolumeLayer(
            volume_layer_id,
            name,
            fallback_layer,
            data_format=DataFormat.Zarr3,
            voxel_size=voxel_size,
            dtype=_label_type(np.uint32 if dtype is None else dtype),
        )
        self.append(layer)
        return layer

    def find(self, name: str | None = None, layer_id: int | None = None) -> VolumeLayer:
        """Return the one layer that fits; see ``Annotation.get_volume_layer``."""
        if not self:
            raise VolumeLayerNotFoundError(f"the annotation {self._annotation_name!r} has no volume layers")
        fitting = [layer for layer in self if name in (None, layer.name) and layer_id in (None, layer.id)]
        if len(fitting) == 1:
            return fitting[0]
        there = ", ".join(f"{layer.name!r} (id {layer.id})" for layer in self)
        if fitting:
            raise VolumeLayerAmbiguousError(f"several volume layers fit, choose one by name or id: {there}")
        wanted = [f"name {name!r}"] * (name is not None) + [f"id {layer_id!r}"] * (layer_id is not None)
        raise VolumeLayerNotFoundError(f"no volume layer with {' and '.join(wanted)}; there are {there}")

    def to_merge(self, name: str | None) -> VolumeLayer:
        """Return the layer to merge. Ambiguity is an ``AssertionError`` here, as in the reference."""
        try:
            return self.find(name)
        except VolumeLayerAmbiguousError as error:
            raise VolumeLayerNotFoundError(str(error)) from None


def _is_no_name(fallback_layer: object) -> bool:
    """Newer releases of the reference take the dtype here, which must not become the name of a layer."""
    return not isinstance(fallback_layer, str) or re.fullmatch("u?int(8|16|32|64)", fallback_layer) is not None


def _check_holds(dtype: np.dtype[Any], fallback: Layer) -> None:
    """Refuse a type that cannot hold the fallback's labels: WEBKNOSSOS copies them into chunks that are painted on."""
    if not np.can_cast(fallback.dtype, dtype):
        raise AnnotationError(
            f"a volume layer of {dtype} cannot hold the labels of its fallback layer {fallback.name!r}, which are "
            f"{fallback.dtype}: choose a type that can, or leave it out"
        )


def _label_type(dtype: DTypeLike) -> np.dtype[Any]:
    try:
        known = np.dtype(dtype)
    except (TypeError, ValueError):  # the last of half a character
        known = np.dtype(object)
    if known.kind not in "ui":
        raise AnnotationError(f"voxels of a volume layer are integers of 8 to 64 bits, not {dtype!r}")
    return known
