"""Several annotations into one fallback layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from wkfast._lazy import lazy_import
from wkfast.annotation.annotation import Annotation
from wkfast.errors import AnnotationError
from wkfast.merge.options import MergeOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from wkfast.annotation import merging
    from wkfast.merge import MergePreview, MergeReport
    from wkfast.merge.job import MergeJob
    from wkfast.merge.options import MergeKeywords
    from wkfast.progress import Progress
    from wkfast.rules import ForAll

    AnnotationLike = Annotation | str | PathLike[str]
else:
    merging = lazy_import("wkfast.annotation.merging")


@overload
def merge_annotations(
    annotations: Sequence[AnnotationLike],
    target: str | PathLike[str],
    dataset_directory: str | PathLike[str],
    volume_layer_name: str | None = ...,
    executor: Any = ...,
    *,
    dry_run: Literal[False] = ...,
    **options: Unpack[MergeKeywords],
) -> MergeReport: ...
@overload
def merge_annotations(
    annotations: Sequence[AnnotationLike],
    target: str | PathLike[str],
    dataset_directory: str | PathLike[str],
    volume_layer_name: str | None = ...,
    executor: Any = ...,
    *,
    dry_run: Literal[True],
    **options: Unpack[MergeKeywords],
) -> MergePreview: ...
def merge_annotations(
    annotations: Sequence[AnnotationLike],
    target: str | PathLike[str],
    dataset_directory: str | PathLike[str],
    volume_layer_name: str | None = None,
    executor: Any = None,
    *,
    policy: str | Callable[..., Any] | ForAll = "chunk",
    mags: str = "all",
    threads: int | None = None,
    resume: bool = True,
    progress: Progress = None,
    dry_run: bool = False,
    verify: bool = False,
    link: str = "copy",
    mapping: Any = None,
    missing: str = "keep",
) -> MergeReport | MergePreview:
    """Write one fallback layer with several annotations over it as a new dataset; return what was done.

    Later annotations lie over earlier ones. The report counts, pair by pair, voxels to which two of them gave
    different labels.

    Parameters
    ----------
    annotations
        ``Annotation`` objects or their files, lowest first. All must name the same dataset, fallback layer and voxel
        size.
    target, dataset_directory, volume_layer_name
        As in ``Annotation.merge_fallback_layer``; a name of a volume layer holds for every annotation.
    executor, policy, mags, threads, resume, progress, dry_run, verify, link, mapping, missing
        As in ``Annotation.merge_fallback_layer``.

    Returns
    -------
    MergeReport
        ``report.conflicts`` has the pairs. With `dry_run` a ``MergePreview``.

    Raises
    ------
    AnnotationError
        An ``AssertionError``: there is no annotation, or two do not belong together.
    MergeError, DatasetError, VolumeDataError
        As in ``Annotation.merge_fallback_layer``.

    Examples
    --------
    >>> report = merge_annotations(["anna.zip", "ben.zip"], "merged", "datasets")  # doctest: +SKIP
    >>> print(report)  # doctest: +SKIP
    """
    options = MergeOptions(executor, policy, mags, threads, resume, progress, dry_run, verify, link, mapping, missing)
    return merging.plan(_loaded(annotations), target, dataset_directory, volume_layer_name, options).merge(options)


def plan_annotations(
    annotations: Sequence[AnnotationLike],
    target: str | PathLike[str],
    dataset_directory: str | PathLike[str],
    volume_layer_name: str | None = None,
    *,
    options: MergeOptions | None = None,
) -> MergeJob:
    """Decide on a merge of several annotations without starting it; see :func:`merge_annotations`.

    Raises
    ------
    AnnotationError, MergeError, DatasetError
        As in :func:`merge_annotations`. Nothing is ever written.
    """
    return merging.plan(_loaded(annotations), target, dataset_directory, volume_layer_name, options or MergeOptions())


def _loaded(annotations: Sequence[AnnotationLike]) -> list[Annotation]:
    if isinstance(annotations, (str, Annotation)) or not annotations:
        raise AnnotationError("merge_annotations takes a list of annotations or of their files, lowest first")
    return [each if isinstance(each, Annotation) else Annotation.load(each) for each in annotations]
