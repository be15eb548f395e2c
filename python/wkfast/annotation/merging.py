"""What an annotation can do with its fallback layer: be merged into it, or be read over it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from wkfast.errors import VolumeDataError
from wkfast.merge.job import MergeJob
from wkfast.merge.options import MergeOptions
from wkfast.merge.sides import Side
from wkfast.merge.view import merged_layer

if TYPE_CHECKING:
    from os import PathLike

    from wkfast import _core
    from wkfast.dataset import SegmentationLayer
    from wkfast.merge import MergePreview, MergeReport
    from wkfast.merge.options import MergeKeywords
    from wkfast.progress import Progress
    from wkfast.skeleton import Skeleton
    from wkfast.volume.volume_layer import VolumeLayer
    from wkfast.volume.volume_layers import VolumeLayers


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
        **options: Unpack[MergeKeywords],
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
        **options: Unpack[MergeKeywords],
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
            ``"hard"``: files that the annotation does not touch are shared with the fallback instead of copied.

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
        options = MergeOptions(executor, policy, mags, threads, resume, progress, dry_run, verify, link)
        side = self._merge_side(volume_layer_name)
        return MergeJob.prepare([side], Path(target), Path(dataset_directory), options).merge(options)

    def plan_merge(
        self,
        target: str | PathLike[str],
        dataset_directory: str | PathLike[str],
        volume_layer_name: str | None = None,
        *,
        options: MergeOptions | None = None,
    ) -> MergeJob:
        """Decide on a merge without starting it: what :meth:`merge_fallback_layer` runs, as data for other processes.

        Raises
        ------
        MergeError, AnnotationError, DatasetError
            As in :meth:`merge_fallback_layer`. Nothing is ever written.
        """
        side = self._merge_side(volume_layer_name)
        return MergeJob.prepare([side], Path(target), Path(dataset_directory), options or MergeOptions())

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
        options = MergeOptions(policy=policy, mags=mags)
        return merged_layer([self._merge_side(volume_layer_name)], Path(dataset_directory), options)

    def _merge_side(self, volume_layer_name: str | None = None) -> Side:
        """Return the volume layer to merge, and what a merge needs to know of the annotation, as plain data.

        Raises
        ------
        VolumeLayerNotFoundError
            An ``AssertionError``: there is none of that name, or several and none was named.
        VolumeDataError
            The file names data that it does not hold: what was annotated would be lost without a trace.
        """
        layer = self.volume_layers.to_merge(volume_layer_name)
        if layer.missing_member is not None:
            raise VolumeDataError(
                f"the data of volume layer {layer.name!r} of annotation {self.name!r} should be in "
                f"{layer.missing_member!r}, which the annotation zip does not hold; download the annotation again, "
                "with volume data"
            )
        return Side(
            annotation=self.name,
            layer=layer.name,
            dataset=self.skeleton.dataset_name,
            voxel_size=self.skeleton.voxel_size_with_unit,
            mags=_locations(layer),
            fallback_layer=layer.fallback_layer_name,
            largest_segment_id=layer.largest_segment_id,
            mapping=layer.mapping_name,
        )


def _locations(layer: VolumeLayer) -> list[_core.MagLocation]:
    """Return where the mags of a volume layer lie, by absolute paths: workers may run in another folder."""
    found = [] if layer.data is None else layer.data.mags(layer.data_format)
    if not any(mag["chunks"] for mag in found):
        return []
    return [_absolute(mag["location"]) for mag in found]


def _absolute(location: _core.MagLocation) -> _core.MagLocation:
    container = location["container"]
    return {**location, "container": {**container, "path": str(Path(container["path"]).absolute())}}
