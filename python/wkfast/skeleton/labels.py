"""What lies under nodes in a layer of voxels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from wkfast._lazy import lazy_import
from wkfast.errors import SkeletonError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from wkfast.geometry import NDBoundingBox
else:
    np = lazy_import("numpy")


class LabelledLayer(Protocol):
    """What nodes are looked up in: every layer, wherever it lies."""

    @property
    def bounding_box(self) -> NDBoundingBox:
        """Its box, with its axes."""

    def values_at(
        self,
        positions: npt.ArrayLike,
        mag: Any = None,
        *,
        additional_coordinates: Mapping[str, npt.ArrayLike] | None = None,
    ) -> npt.NDArray[Any]:
        """Return voxels at positions in mag-1 voxels."""


def labels_of(nodes: dict[str, npt.NDArray[Any]], layer: LabelledLayer, mag: Any) -> npt.NDArray[Any]:
    """Return the voxel under every node of a table; see :meth:`Skeleton.labels_at`."""
    positions = nodes["position"]
    axes = [axis for axis in layer.bounding_box.axes if axis not in {"c", "x", "y", "z"}]
    coordinates = {axis: _along(axis, nodes) for axis in axes if _column(axis) in nodes}
    return layer.values_at(np.floor(positions), mag, additional_coordinates=coordinates)


def _column(axis: str) -> str:
    return f"additionalCoordinate-{axis}"


def _along(axis: str, nodes: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    values = np.ma.asarray(nodes[_column(axis)])
    missing = np.flatnonzero(np.ma.getmaskarray(values))
    if len(missing):
        raise SkeletonError(f"node {nodes['id'][missing[0]]} has no place along the axis {axis} of the layer")
    return np.asarray(values.filled(0), np.int64)
