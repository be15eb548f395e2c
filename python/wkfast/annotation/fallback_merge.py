"""Annotations' volume layers over their fallback layer: which sides are meant, and what if one of them is not there."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wkfast.dataset import Dataset
from wkfast.errors import AnnotationError, DatasetNotFoundError, VolumeDataError
from wkfast.merge.base import MergeBase
from wkfast.merge.merge import MergeJob
from wkfast.merge.view import merged_layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wkfast import _core
    from wkfast.annotation.volume_layer import VolumeLayer
    from wkfast.dataset import SegmentationLayer
    from wkfast.geometry import VoxelSize
    from wkfast.merge.rules import MergeRules

# What the reference calls the layer that an annotation without a fallback becomes.
EXPORTED_LAYER = "volume_layer"


@dataclass(frozen=True)
class Paint:
    """One annotation's volume layer, and what the annotation says of the dataset below it."""

    annotation_name: str
    dataset_name: str
    voxel_size: VoxelSize
    layer: VolumeLayer

    def mags(self) -> list[_core.MagLocation]:
        """Return where the painted mags lie, by absolute paths; none if the file never had any voxels.

        Raises
        ------
        VolumeDataError
            The file names data that it does not hold: what was painted would be lost without a trace.
        """
        if self.layer.missing_member is not None:
            raise VolumeDataError(
                f"the data of {self} should be in {self.layer.missing_member!r}, which the annotation zip does not "
                "hold; download the annotation again, with volume data"
            )
        if self.layer.data is None:
            return []
        found = self.layer.data.mags(self.layer.data_format)
        return [_absolute(mag["location"]) for mag in found] if any(mag["chunks"] for mag in found) else []

    def __str__(self) -> str:
        return f"volume layer {self.layer.name!r} of annotation {self.annotation_name!r}"


def prepare_merge(
    paints: Sequence[Paint], target: Path, dataset_directory: Path, rules: MergeRules, *, resume: bool = True
) -> MergeJob:
    """Decide how `paints`, later ones over earlier ones, are merged into the fallback layer that all of them name.

    A fallback alone is copied; a volume layer alone becomes a layer of its own.

    Raises
    ------
    AnnotationError
        There is neither a fallback nor a voxel, or the annotations do not belong together.
    """
    check_alike(paints)
    painted = [(paint, mags) for paint in paints if (mags := paint.mags())]
    remarks = [*_remarks_on_missing_voxels(paints, [paint for paint, _ in painted]), *_remarks_on_mappings(paints)]
    if paints[0].layer.fallback_layer_name is None:
        base, layers = _base_of_paint(painted, paints), []
    else:
        base, layers = MergeBase.of_layer(fallback_layer(paints[0], dataset_directory)), [mags for _, mags in painted]
    largest = max(paint.layer.largest_segment_id or 0 for paint in paints)
    names = [paint.annotation_name for paint, _ in painted]
    job = MergeJob.prepare(
        base, layers, target, rules, resume=resume, largest_painted_id=largest, names=names, warnings=remarks
    )
    for remark in remarks:
        warnings.warn(remark, UserWarning, stacklevel=5)
    return job


def merged_view(paints: Sequence[Paint], dataset_directory: Path, rules: MergeRules) -> SegmentationLayer:
    """Return the fallback layer of `paints` with all of them over it, merged while it is read.

    Raises
    ------
    AnnotationError
        There is no fallback, or the annotations do not belong together.
    """
    check_alike(paints)
    fallback = fallback_layer(paints[0], dataset_directory)
    painted = [mags for paint in paints if (mags := paint.mags())]
    largest = max(paint.layer.largest_segment_id or 0 for paint in paints)
    return merged_layer(fallback, painted, rules, largest_painted_id=largest)


def check_alike(paints: Sequence[Paint]) -> None:
    """Make sure that annotations lie over the same layer of the same dataset.

    Raises
    ------
    AnnotationError
        They do not; the message names two that differ, and in what.
    """
    first = paints[0]
    for other in paints[1:]:
        pairs = {
            "dataset": (first.dataset_name, other.dataset_name),
            "fallback layer": (first.layer.fallback_layer_name, other.layer.fallback_layer_name),
            "voxel size": (first.voxel_size.to_nanometer(), other.voxel_size.to_nanometer()),
        }
        for what, (ours, theirs) in pairs.items():
            if ours != theirs:
                raise AnnotationError(f"{first} and {other} differ in their {what}: {ours!r} and {theirs!r}")


def fallback_layer(paint: Paint, dataset_directory: Path) -> SegmentationLayer:
    """Return the layer that `paint` lies over.

    Raises
    ------
    DatasetNotFoundError, LayerNotFoundError
        It is not there; the message lists what is.
    AnnotationError
        The annotation names no fallback layer, or a dataset that is no folder name.
    """
    name = paint.layer.fallback_layer_name
    if name is None:
        raise AnnotationError(f"{paint} names no fallback layer")
    try:
        dataset = Dataset.open(dataset_directory.absolute() / as_folder_name(paint.dataset_name))
    except DatasetNotFoundError as error:
        there = sorted(p.parent.name for p in dataset_directory.glob("*/datasource-properties.json"))
        raise DatasetNotFoundError(f"{error}; datasets in {dataset_directory}: {', '.join(there) or 'none'}") from None
    return dataset.get_segmentation_layer(name)


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


def _absolute(location: _core.MagLocation) -> _core.MagLocation:
    """Workers may run in another folder."""
    container = location["container"]
    return {**location, "container": {**container, "path": str(Path(container["path"]).absolute())}}


def _base_of_paint(painted: Sequence[tuple[Paint, list[_core.MagLocation]]], paints: Sequence[Paint]) -> MergeBase:
    if len(paints) > 1:
        raise AnnotationError(f"{paints[0]} and the others name no fallback layer: there is nothing to merge them into")
    if not painted:
        raise AnnotationError(f"{paints[0]} names no fallback layer and holds no voxels: there is nothing to merge")
    ((paint, mags),) = painted
    size = paint.voxel_size
    factor = tuple(float(edge) for edge in size.factor.to_tuple())
    return MergeBase.of_paint(EXPORTED_LAYER, mags, factor, size.unit.value, paint.layer.largest_segment_id)


def _remarks_on_missing_voxels(paints: Sequence[Paint], painted: Sequence[Paint]) -> list[str]:
    consequence = "it changes nothing" if painted else "the fallback is copied as it is"
    empty = [paint for paint in paints if paint not in painted and paint.layer.fallback_layer_name is not None]
    return [f"{paint} holds no voxels: {consequence}" for paint in empty]


def _remarks_on_mappings(paints: Sequence[Paint]) -> list[str]:
    return [
        f"the mapping {paint.layer.mapping_name!r} was active on {paint}: the merged layer holds the ids before it"
        for paint in paints
        if paint.layer.mapping_name is not None
    ]
