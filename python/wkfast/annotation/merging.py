"""What merges are told of annotations: plain data, one side for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wkfast.buckets import any_path
from wkfast.errors import VolumeDataError
from wkfast.merge.job import MergeJob
from wkfast.merge.sides import Side
from wkfast.merge.view import merged_layer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from wkfast.annotation.annotation import Annotation
    from wkfast.dataset import SegmentationLayer
    from wkfast.merge.options import MergeOptions

_DATASETS = "the folder of datasets"


def plan(
    annotations: Sequence[Annotation],
    target: str | PathLike[str],
    dataset_directory: str | PathLike[str],
    volume_layer_name: str | None,
    options: MergeOptions,
) -> MergeJob:
    """Decide on a merge of annotations, lowest first, into their fallback layer; see ``Annotation.plan_merge``."""
    folder, datasets = any_path(target, "the target of a merge"), any_path(dataset_directory, _DATASETS)
    sides = [_side_of(annotation, volume_layer_name) for annotation in annotations]
    return MergeJob.prepare(sides, folder, datasets, options)


def view(
    annotation: Annotation,
    dataset_directory: str | PathLike[str],
    volume_layer_name: str | None,
    options: MergeOptions,
) -> SegmentationLayer:
    """Return the layer that is merged while it is read; see ``Annotation.merged_layer``."""
    datasets = any_path(dataset_directory, _DATASETS)
    return merged_layer([_side_of(annotation, volume_layer_name)], datasets, options)


def _side_of(annotation: Annotation, volume_layer_name: str | None) -> Side:
    """Return the volume layer to merge, and what a merge needs to know of the annotation, as plain data.

    Raises
    ------
    VolumeLayerNotFoundError
        An ``AssertionError``: there is none of that name, or several and none was named.
    VolumeDataError
        The file names data that it does not hold: what was annotated would be lost without a trace.
    """
    layer = annotation.volume_layers.to_merge(volume_layer_name)
    if layer.missing_member is not None:
        raise VolumeDataError(
            f"the data of volume layer {layer.name!r} of annotation {annotation.name!r} should be in "
            f"{layer.missing_member!r}, which the annotation zip does not hold; download the annotation again, "
            "with volume data"
        )
    return Side(
        annotation=annotation.name,
        layer=layer.name,
        dataset=annotation.skeleton.dataset_name,
        voxel_size=annotation.skeleton.voxel_size_with_unit,
        mags=[] if layer.data is None else layer.data.locations(layer.data_format),
        fallback_layer=layer.fallback_layer_name,
        largest_segment_id=layer.largest_segment_id,
        mapping=layer.mapping_name,
    )
