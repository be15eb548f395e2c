"""What an annotation can do with its fallback layer: be merged into it, or be read over it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from wkfast.annotation.fallback_merge import Paint, merged_view, prepare_merge
from wkfast.merge.merge import plan_and_merge
from wkfast.merge.rules import MergeOptions, MergeRules

if TYPE_CHECKING:
    from os import PathLike

    from wkfast.annotation.volume_layers import VolumeLayers
    from wkfast.dataset import SegmentationLayer
    from wkfast.merge import MergePreview, MergeReport
    from wkfast.merge.merge import MergeJob
    from wkfast.progress import Progress
    from wkfast.skeleton import Skeleton


class Merging:
    """The part of :class:`Annotation` that knows of fallback layers."""

    name: str
    skeleton: Skeleton
    volume_layers: VolumeLayers

    @overload
    def merge_fallback_layer(
        self,
        target: str | PathLike[str],
        dataset_directory: str | PathLike[str],
        volume_layer_name: str | None = ...,
        executor: Any = ...,
        *,
        dry_run: Literal[False] = ...,
        **options: Unpack[MergeOptions],
    ) -> MergeReport: ...
    @overload
    def merge_fallback_layer(
        self,
        target: str | PathLike[str],
        dataset_directory: str | PathLike[str],
        volume_layer_name: str | None = ...,
        executor: Any = ...,
        *,
        dry_run: Literal[True],
        **options: Unpack[MergeOptions],
    ) -> MergePreview: ...
    def merge_fallback_layer(
        self,
        target: str | PathLike[str],
        dataset_directory: str | PathLike[str],
        volume_layer_name: str | None = None,
        executor: Any = None,
        *,
        policy: str = "chunk",
        mags: str = "all",
        threads: int | None = None,
        resume: bool = True,
        progress: Progress = None,
        dry_run: bool = False,
        verify: bool = False,
        link: str = "copy",
    ) -> MergeReport | MergePreview:
        """Write the segmentation an annotator saw as a new dataset; return what was done.

        The layer keeps the fallback's name, format, chunks and shards. Its box grows to the touched chunks, its
        ``largestSegmentId`` is the larger of both. The same call completes a merge that was interrupted.

        If the volume layer names no fallback, it becomes a layer of its own, ``volume_layer``. If it holds no voxels,
        the fallback is copied and a warning says so.

        Parameters
        ----------
        target
            Folder to create.
        dataset_directory
            Folder that holds the annotation's dataset under its name.
        volume_layer_name
            Which volume layer, if there are several.
        executor
            Whose workers do it, in batches of files: ``ProcessPoolExecutor``, ``client.get_executor()`` of dask,
            ``cluster_tools.get_executor("slurm")``, anything with their ``submit``. Workers need to see the same paths.
            Default: threads of this process.
        policy
            ``"chunk"``: a chunk that the annotation has replaces the fallback's whole, zeros included, so what was
            erased stays erased. ``"nonzero"``: only labels replace, for files of old servers that dropped zero chunks.
        mags
            ``"all"``: mags that both have are merged, coarser ones of the fallback recomputed where touched.
            ``"finest"``: the annotation's finest mag alone, as the reference package does.
        threads
            Default: ``WKFAST_THREADS``, else one per core; in an executor's jobs, one.
        resume
            Complete what an interrupted merge of the same inputs left behind; else refuse a target that is not empty.
        progress
            ``True``: a bar in a terminal, a line a minute in a log. Or a function, called on the calling thread with
            shards done and shards in all.
        dry_run
            Plan only: nothing is written, and the numbers of the plan are returned.
        verify
            Read the result back and compare it with what it was made of.
        link
            ``"hard"``: files that nothing was painted over are shared with the fallback instead of copied.

        Returns
        -------
        MergeReport
            What was copied, passed through, changed; printable, and plain data by ``to_json()``. With `dry_run` a
            ``MergePreview``, which is both as well.

        Raises
        ------
        MergeError
            A ``ValueError`` and ``AssertionError``: the two sides do not fit, the target is taken. Nothing was written.
        AnnotationError
            There is neither a fallback nor a voxel.
        DatasetNotFoundError, LayerNotFoundError, MagNotFoundError
            The fallback is not there; the message lists what is.
        VolumeDataError
            A chunk is corrupt, or the annotation lacks data that it names. Finished shards stay for the next call.
        """
        options = MergeOptions(
            policy=policy, mags=mags, threads=threads, resume=resume, progress=progress, verify=verify, link=link
        )
        plan = partial(self.plan_merge, target, dataset_directory, volume_layer_name)
        return plan_and_merge(plan, executor, options, dry_run=dry_run)

    def plan_merge(
        self,
        target: str | PathLike[str],
        dataset_directory: str | PathLike[str],
        volume_layer_name: str | None = None,
        *,
        rules: MergeRules | None = None,
        resume: bool = True,
    ) -> MergeJob:
        """Decide on a merge without starting it: what :meth:`merge_fallback_layer` runs, as data for other processes.

        Raises
        ------
        MergeError, AnnotationError, DatasetError
            As in :meth:`merge_fallback_layer`. Nothing is ever written.
        """
        paint = self.paint(volume_layer_name)
        return prepare_merge([paint], Path(target), Path(dataset_directory), rules or MergeRules(), resume=resume)

    def merged_layer(
        self,
        dataset_directory: str | PathLike[str],
        volume_layer_name: str | None = None,
        *,
        policy: str = "chunk",
        mags: str = "all",
    ) -> SegmentationLayer:
        """Return the segmentation an annotator saw as a layer that is merged while it is read; nothing is written.

        What its mags read is what :meth:`merge_fallback_layer` would write. ``get_zarr_array()`` gives a ``zarr.Array``
        whose chunks are merged when they are asked for, which dask can compute with.

        Parameters
        ----------
        dataset_directory, volume_layer_name, policy, mags
            As in :meth:`merge_fallback_layer`.

        Returns
        -------
        SegmentationLayer
            Read-only; an attempt to change it raises a ``DatasetError``.

        Raises
        ------
        MergeError, AnnotationError, DatasetError
            As in :meth:`merge_fallback_layer`; also if the annotation names no fallback layer.
        """
        paint = self.paint(volume_layer_name)
        return merged_view([paint], Path(dataset_directory), MergeRules(policy, mags))

    def paint(self, volume_layer_name: str | None = None) -> Paint:
        """Return the volume layer to merge, and what it needs to know of the annotation.

        Raises
        ------
        VolumeLayerNotFoundError
            An ``AssertionError``: there is none of that name, or several and none was named.
        """
        layer = self.volume_layers.to_merge(volume_layer_name)
        return Paint(self.name, self.skeleton.dataset_name, self.skeleton.voxel_size_with_unit, layer)
