"""What merges are told of annotations: plain data, one side for each."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from wkfast._lazy import lazy_import
from wkfast.buckets import any_path
from wkfast.client import urls
from wkfast.client.errors import InvalidUrlError
from wkfast.dataset import DataFormat, Dataset, SegmentationLayer
from wkfast.errors import MergeError, VolumeDataError
from wkfast.merge.job import MergeJob
from wkfast.merge.sides import Side
from wkfast.merge.view import merged_layer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from wkfast import remote
    from wkfast.annotation.annotation import Annotation
    from wkfast.merge.options import MergeOptions
    from wkfast.merge.sides import Below
else:
    remote = lazy_import("wkfast.remote")  # most fallbacks lie in folders

_DATASETS = "the folder of datasets"


def plan(
    annotations: Sequence[Annotation],
    target: str | PathLike[str],
    dataset_directory: str | PathLike[str] | None,
    volume_layer_name: str | None,
    options: MergeOptions,
    fallback: Dataset | SegmentationLayer | None = None,
    data_format: str | DataFormat | None = None,
) -> MergeJob:
    """Decide on a merge of annotations, lowest first, into their fallback layer; see ``Annotation.plan_merge``."""
    folder, below = any_path(target, "the target of a merge"), _below(dataset_directory, fallback)
    sides = [_side_of(annotation, volume_layer_name, below) for annotation in annotations]
    return MergeJob.prepare(sides, folder, below, options, _format(data_format))


def view(
    annotation: Annotation,
    dataset_directory: str | PathLike[str] | None,
    volume_layer_name: str | None,
    options: MergeOptions,
    fallback: Dataset | SegmentationLayer | None = None,
) -> SegmentationLayer:
    """Return the layer that is merged while it is read; see ``Annotation.merged_layer``."""
    below = _below(dataset_directory, fallback)
    return merged_layer([_side_of(annotation, volume_layer_name, below)], below, options)


def _below(dataset_directory: str | PathLike[str] | None, fallback: Dataset | SegmentationLayer | None) -> Below:
    """Return where the layer below is: in a folder or bucket of datasets, in a dataset, or it is the layer.

    Raises
    ------
    MergeError
        Nobody says, or two say so, or what is given is something else.
    """
    if (dataset_directory is None) == (fallback is None):
        raise MergeError("a merge takes either dataset_directory=, a folder of datasets, or fallback=, one or a layer")
    if isinstance(fallback, Dataset | SegmentationLayer):
        return fallback
    if fallback is not None:
        raise MergeError(f"fallback is {fallback!r:.80}, expected a dataset or a segmentation layer")
    if isinstance(dataset_directory, str) and _is_page(dataset_directory):
        return remote.RemoteDataset.open(dataset_directory)
    return any_path(dataset_directory, _DATASETS)


def _is_page(text: str) -> bool:
    """Whether a text is the URL of a dataset's page on a server, with its id in it."""
    with suppress(InvalidUrlError):
        return urls.is_url(text) and urls.parse_dataset(text).id is not None
    return False


def _format(name: str | DataFormat | None) -> DataFormat | None:
    try:
        return None if name is None else DataFormat(name)
    except ValueError:
        words = " or ".join(repr(known.value) for known in DataFormat)
        raise MergeError(f"data_format is {name!r}, expected {words}") from None


def _side_of(annotation: Annotation, volume_layer_name: str | None, below: Below) -> Side:
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
        # a layer that is named counts, also where the annotation names none
        fallback_layer=below.name if isinstance(below, SegmentationLayer) else layer.fallback_layer_name,
        largest_segment_id=layer.largest_segment_id,
        mapping=layer.mapping_name,
    )
