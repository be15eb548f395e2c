"""The two sides of a merge: annotations, as plain data, and the layer below them. And what if one is not there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from wkfast.dataset import Dataset, SegmentationLayer
from wkfast.dataset.links import is_folder
from wkfast.errors import AnnotationError, DatasetNotFoundError
from wkfast.merge.base import MergeBase, refuse_format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wkfast import _core
    from wkfast.buckets import ObjectPath
    from wkfast.dataset import DataFormat
    from wkfast.geometry import VoxelSize

# Where the layer below is: in a dataset below a folder or address, in a dataset, or it is the layer.
Below: TypeAlias = "Path | ObjectPath | Dataset | SegmentationLayer"

# What the reference calls the layer that an annotation without a fallback becomes.
EXPORTED_LAYER = "volume_layer"


@dataclass(frozen=True)
class Side:
    """One annotation's volume layer, and what the annotation says of the dataset below it.

    Attributes
    ----------
    mags
        Where the layer's mags lie, by absolute paths; none if it holds no voxels.
    fallback_layer
        Name of the layer that it lies over, if there is one.
    mapping
        Name of the mapping that was active while it was made, if there was one.
    """

    annotation: str
    layer: str
    dataset: str
    voxel_size: VoxelSize
    mags: list[_core.MagLocation]
    fallback_layer: str | None = None
    largest_segment_id: int | None = None
    mapping: str | None = None

    def __str__(self) -> str:
        return f"volume layer {self.layer!r} of annotation {self.annotation!r}"


def base_of(sides: Sequence[Side], below: Below, data_format: DataFormat | None = None) -> MergeBase:
    """Return what `sides` are laid over: the fallback layer that all of them name, or what becomes of one without any.

    Raises
    ------
    AnnotationError
        There is neither a fallback nor a voxel, or the annotations do not belong together.
    DatasetError
        The fallback is not there.
    """
    check_alike(sides)
    first, *others = sides
    if first.fallback_layer is not None:
        return MergeBase.of_layer(fallback_layer(first, below), data_format)
    refuse_format(data_format)
    if others:
        raise AnnotationError(f"{first} and the others name no fallback layer: there is nothing to merge them into")
    if not first.mags:
        raise AnnotationError(f"{first} names no fallback layer and holds no voxels: there is nothing to merge")
    size = first.voxel_size
    factor = tuple(float(edge) for edge in size.factor.to_tuple())
    return MergeBase.of_annotation(EXPORTED_LAYER, first.mags, factor, size.unit.value, first.largest_segment_id)


def check_alike(sides: Sequence[Side]) -> None:
    """Make sure that annotations lie over the same layer of the same dataset.

    Raises
    ------
    AnnotationError
        They do not; the message names two that differ, and in what.
    """
    first = sides[0]
    for other in sides[1:]:
        pairs = {
            "dataset": (first.dataset, other.dataset),
            "fallback layer": (first.fallback_layer, other.fallback_layer),
            "voxel size": (first.voxel_size.to_nanometer(), other.voxel_size.to_nanometer()),
        }
        for what, (ours, theirs) in pairs.items():
            if ours != theirs:
                raise AnnotationError(f"{first} and {other} differ in their {what}: {ours!r} and {theirs!r}")


def fallback_layer(side: Side, below: Below) -> SegmentationLayer:
    """Return the layer that `side` lies over.

    Raises
    ------
    DatasetNotFoundError, LayerNotFoundError
        It is not there; the message lists what is.
    AnnotationError
        The annotation names no fallback layer, or a dataset that is no folder name.
    """
    if side.fallback_layer is None:
        raise AnnotationError(f"{side} names no fallback layer")
    if isinstance(below, SegmentationLayer):
        return below
    if isinstance(below, Dataset):
        return below.get_segmentation_layer(side.fallback_layer)
    try:
        dataset = Dataset.open(below.absolute() / as_folder_name(side.dataset))
    except DatasetNotFoundError as error:
        if not isinstance(below, Path):
            raise
        if not is_folder(below):
            raise DatasetNotFoundError(f"no datasets in {below}: there is no such folder") from None
        there = ", ".join(_datasets_in(below)) or "none"
        raise DatasetNotFoundError(f"{error}; datasets in {below}: {there}") from None
    return dataset.get_segmentation_layer(side.fallback_layer)


def _datasets_in(folder: Path) -> list[str]:
    try:
        return sorted(path.parent.name for path in folder.glob("*/datasource-properties.json"))
    except OSError:  # a name that no folder has, or a folder that may not be looked into
        return []


def as_folder_name(dataset_name: str) -> str:
    """Return the name of a dataset if it names a folder and nothing else.

    Raises
    ------
    AnnotationError
        It would lead elsewhere.

    Examples
    --------
    >>> as_folder_name("l4_sample")
    'l4_sample'
    """
    if dataset_name in {"", ".", ".."} or any(bad in dataset_name for bad in ("/", "\\", "\0")):
        raise AnnotationError(f"the dataset name {dataset_name!r} of the annotation is no folder name")
    return dataset_name


def largest_id(sides: Sequence[Side]) -> int:
    """Return what the annotations say of their largest id."""
    return max(side.largest_segment_id or 0 for side in sides)


def remarks(sides: Sequence[Side], *, renamed: bool = False) -> list[str]:
    """Return what the user should know of the annotations.

    Parameters
    ----------
    renamed
        Whether a mapping is applied, the annotations' or another.
    """
    consequence = "it changes nothing" if any(side.mags for side in sides) else "the fallback is copied as it is"
    empty = [side for side in sides if not side.mags and side.fallback_layer is not None]
    return [
        *(f"{side} holds no voxels: {consequence}" for side in empty),
        *(
            f"the mapping {side.mapping!r} was active on {side}: the merged layer holds the ids before it; "
            "mapping= takes its agglomerate file"
            for side in sides
            if side.mapping is not None and not renamed
        ),
    ]
