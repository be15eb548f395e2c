"""An annotation's volume layer over its fallback layer: which two sides are meant."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from wkfast.dataset import Dataset
from wkfast.dataset.merge import MergeRules, merge_over
from wkfast.errors import AnnotationError, DatasetNotFoundError, VolumeDataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wkfast import _core
    from wkfast.annotation.volume_layer import VolumeLayer
    from wkfast.dataset import MergeReport, SegmentationLayer


def merge_fallback_layer(
    volume_layer: VolumeLayer,
    target: Path,
    dataset_directory: Path,
    dataset_name: str,
    rules: MergeRules,
    progress: Callable[[int, int], None] | None = None,
) -> MergeReport:
    """Merge `volume_layer` into its fallback; see ``Annotation.merge_fallback_layer`` and ``wkfast.dataset.merge``."""
    fallback = _fallback_layer(volume_layer, dataset_directory, dataset_name)
    painted = _painted(volume_layer)
    _warn_of_mapping(volume_layer)
    largest = volume_layer.largest_segment_id or 0
    return merge_over(fallback, painted, target, rules, largest_painted_id=largest, progress=progress)


def _fallback_layer(volume_layer: VolumeLayer, dataset_directory: Path, dataset_name: str) -> SegmentationLayer:
    name = volume_layer.fallback_layer_name
    if name is None:
        raise AnnotationError(
            f"volume layer {volume_layer.name!r} names no fallback layer: there is nothing to merge it with"
        )
    try:
        dataset = Dataset.open(dataset_directory / as_folder_name(dataset_name))
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


def _painted(volume_layer: VolumeLayer) -> list[_core.MagLocation]:
    """Return where the annotation's own mags lie; none if the file never named any data."""
    if volume_layer.data is not None:
        return [found["location"] for found in volume_layer.data.mags(volume_layer.data_format)]
    if volume_layer.missing_member is not None:
        raise VolumeDataError(
            f"the data of volume layer {volume_layer.name!r} should be in {volume_layer.missing_member!r}, which the "
            "annotation zip does not hold; download the annotation again, with volume data"
        )
    return []


def _warn_of_mapping(volume_layer: VolumeLayer) -> None:
    if volume_layer.mapping_name is not None:
        warnings.warn(
            f"the mapping {volume_layer.mapping_name!r} was active on volume layer {volume_layer.name!r}: the merged "
            "layer holds the segment ids before that mapping",
            UserWarning,
            stacklevel=4,
        )
