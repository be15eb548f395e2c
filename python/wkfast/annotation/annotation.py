"""The annotation: a skeleton, volume layers and what describes them."""

from __future__ import annotations

import time as clock
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from wkfast._lazy import lazy_import
from wkfast._warnings import warn
from wkfast.annotation import loading, saving
from wkfast.annotation.merger_mode import merger_mode_mapping
from wkfast.errors import AnnotationError
from wkfast.merge.options import MergeOptions
from wkfast.pictures import html
from wkfast.skeleton import LoadProblem, Skeleton, empty_header
from wkfast.skeleton.unknown import unknown_elements
from wkfast.volume.volume_layers import VolumeLayers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from os import PathLike

    from lxml import etree
    from numpy.typing import DTypeLike

    from wkfast import remote
    from wkfast.annotation import merging, remote_annotation, transfer
    from wkfast.annotation.enums import AnnotationType
    from wkfast.annotation.remote_annotation import RemoteAnnotation
    from wkfast.client import urls
    from wkfast.dataset import DataFormat, Dataset, Layer, SegmentationLayer
    from wkfast.geometry import NDBoundingBox, Vec3Float, VoxelSize
    from wkfast.merge import MergePreview, MergeReport
    from wkfast.merge.job import MergeJob
    from wkfast.merge.options import MergeKeywords
    from wkfast.progress import Progress
    from wkfast.records import Record
    from wkfast.remote import RemoteDataset
    from wkfast.rules import ForAll
    from wkfast.volume import SegmentInformation, VolumeLayer, export
    from wkfast.volume.volume_data import VolumeData
else:
    # most scripts never speak to a server
    remote = lazy_import("wkfast.remote")
    merging = lazy_import("wkfast.annotation.merging")
    remote_annotation = lazy_import("wkfast.annotation.remote_annotation")
    transfer = lazy_import("wkfast.annotation.transfer")
    export = lazy_import("wkfast.volume.export")
    urls = lazy_import("wkfast.client.urls")

Vector3 = tuple[float, float, float]


class Annotation:
    """A skeleton and volume layers over a dataset.

    Parameters
    ----------
    name
        Name of the annotation.
    skeleton
        An existing skeleton; it then names the dataset and the voxel size.
    dataset_name
        The dataset, for a new skeleton.
    voxel_size
        Size of a mag-1 voxel in nm, for a new skeleton.
    organization_id
        Who owns the dataset.
    description
        Free text.
    owner_name
        Who made the annotation.
    annotation_id
        Its id on the server.
    time
        Creation, ms since epoch; default: now.
    edit_position
        Where the view stood, in mag-1 voxels.
    edit_rotation
        How the view was turned: angles around x, y, z.
    zoom_level
        How much the view was enlarged.
    metadata
        Free facts by name.
    task_bounding_box, user_bounding_boxes
        Boxes in mag-1 voxels.

    Raises
    ------
    AnnotationError
        Neither or both of a skeleton and (dataset_name, voxel_size) are given.

    Examples
    --------
    >>> annotation = Annotation("my_annotation", dataset_name="sample_dataset", voxel_size=(11.2, 11.2, 25.0))
    >>> annotation.voxel_size
    Vec3Float(11.2,11.2,25.0)
    """

    def __init__(
        self,
        name: str,
        skeleton: Skeleton | None = None,
        dataset_name: str | None = None,
        voxel_size: Vec3Float | Vector3 | None = None,
        organization_id: str | None = None,
        description: str | None = None,
        owner_name: str | None = None,
        annotation_id: str | None = None,
        time: int | None = None,
        edit_position: Vec3Float | Vector3 | None = None,
        edit_rotation: Vec3Float | Vector3 | None = None,
        zoom_level: float | None = None,
        metadata: dict[str, str] | None = None,
        task_bounding_box: NDBoundingBox | None = None,
        user_bounding_boxes: list[NDBoundingBox] | None = None,
    ) -> None:
        self.name = name
        self.skeleton = _skeleton(skeleton, dataset_name, voxel_size, organization_id, description)
        self.owner_name = owner_name
        self.annotation_id = annotation_id
        self.time: int | None = clock.time_ns() // 1_000_000 if time is None else time
        self.edit_position = edit_position
        self.edit_rotation = edit_rotation
        self.zoom_level = zoom_level
        self.metadata = {} if metadata is None else metadata
        self.task_bounding_box = task_bounding_box
        self.user_bounding_boxes = [] if user_bounding_boxes is None else user_bounding_boxes
        self.problems: tuple[LoadProblem, ...] = ()
        self.volume_layers = VolumeLayers(name)
        self._header: Record = empty_header()
        self._other_members: dict[str, VolumeData] = {}
        # Keeps the folder of a downloaded annotation, from which voxels are read when needed.
        self._downloaded: transfer.DownloadedFile | None = None

    @property
    def unknown_elements(self) -> list[etree._Element]:
        """Elements of the file that wkfast has no name for, as elements of lxml: copies, part by part.

        They are kept and written back whether or not somebody looks at them.

        Raises
        ------
        MissingExtraError
            lxml is not installed.

        Examples
        --------
        >>> known = '<experiment name="sample"/><scale x="1" y="1" z="1"/>'
        >>> text = f'<things><parameters>{known}<transform type="affine"/></parameters></things>'
        >>> done = (tmp_path / "a.nml").write_text(text)
        >>> [(element.tag, element.get("type")) for element in Annotation.load(tmp_path / "a.nml").unknown_elements]
        [('transform', 'affine')]
        """
        return unknown_elements(self._header, self.skeleton.flattened_trees())

    # -- loading and saving ---------------------------------------------------------------------------------------

    @classmethod
    def load(
        cls,
        annotation_path: str | PathLike[str],
        *,
        strict: bool = False,
        storage_options: Mapping[str, Any] | None = None,
    ) -> Annotation:
        """Return the annotation in an ``.nml`` or ``.zip`` file.

        Faults that a reader can live with are listed in :attr:`problems` and warned about once.

        Parameters
        ----------
        annotation_path
            Path of the file, or its address in a bucket or on a server of files that sends ranges of bytes, where only
            what is needed is fetched. Voxels are not read; they stay in the file until they are needed. Of a
            ``.k.zip`` of KNOSSOS all numbers are taken as written; :func:`wkfast.convert.read_knossos` makes them mag-1
            voxels and nm.
        strict
            Raise on everything that a server would reject on upload.
        storage_options
            How an address is reached: see :class:`wkfast.buckets.ObjectPath`.

        Raises
        ------
        AnnotationFileNotFoundError
            A ``FileNotFoundError`` and ``AssertionError``: there is no such file.
        AnnotationSuffixError
            A ``RuntimeError`` and ``AssertionError``: the name ends in something else.
        AnnotationZipError
            A zip without, or with several, NML files.
        NmlError
            A ``RuntimeError``: malformed XML or NML, with line and column.

        Examples
        --------
        >>> Annotation.load("missing.nml")
        Traceback (most recent call last):
        ...
        wkfast.errors.AnnotationFileNotFoundError: cannot load the annotation missing.nml: there is no such file
        """
        return loading.load(cls, annotation_path, strict=strict, storage_options=storage_options)

    def save(
        self,
        path: str | PathLike[str],
        *,
        progress: Progress = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the annotation to an ``.nml`` or ``.zip`` file, as a whole or not at all.

        Voxels are copied as the bytes they are stored in. Saving over the file an annotation was loaded from is fine.

        Parameters
        ----------
        path
            The file to write, or its address in a bucket. What is there stays until the new file is complete.
        progress
            ``True`` for a bar, a function of the bytes written and ``None``, or a ``wkfast.progress.ProgressState``.
        storage_options
            How an address is reached: see :class:`wkfast.buckets.ObjectPath`.

        Raises
        ------
        AnnotationSuffixError
            The path ends in something else.
        AnnotationError
            Volume layers do not fit into an ``.nml``.
        """
        saving.save(self, path, progress, storage_options)

    # -- volume layers ------------------------------------------------------------------------------------------------

    def add_volume_layer(
        self,
        name: str,
        fallback_layer: Layer | str | None = None,
        volume_layer_id: int | None = None,
        *,
        dtype: DTypeLike | None = None,
    ) -> VolumeLayer:
        """Add an empty volume layer and return it.

        Parameters
        ----------
        name
            Shown to the user.
        fallback_layer
            Segmentation layer of the dataset, or its name.
        volume_layer_id
            Default: one more than the largest in use.
        dtype
            Type of a voxel; default: the fallback's, if it is given as a layer, else uint32.

        Raises
        ------
        AnnotationError
            An ``AssertionError``: the id is taken, the fallback is no segmentation, or the type cannot hold labels, or
            not those of the fallback that is given as a layer.

        Examples
        --------
        >>> import wkfast as wk
        >>> annotation = wk.Annotation("a", dataset_name="d", voxel_size=(1, 1, 1))
        >>> annotation.add_volume_layer("segmentation", fallback_layer="base").id
        0
        """
        return self.volume_layers.add(name, fallback_layer, volume_layer_id, dtype=dtype, voxel_size=self.voxel_size)

    def get_volume_layer_names(self) -> Iterable[str]:
        """Return the names of the volume layers, in the order of the file."""
        return [layer.name for layer in self.volume_layers]

    def get_volume_layer(self, volume_layer_name: str | None = None, volume_layer_id: int | None = None) -> VolumeLayer:
        """Return one volume layer, by name, by id, or the only one.

        Parameters
        ----------
        volume_layer_name
            Its name; not needed if there is only one layer.
        volume_layer_id
            Its id, which tells layers of one name apart.

        Raises
        ------
        VolumeLayerAmbiguousError
            A ``ValueError``: several fit.
        VolumeLayerNotFoundError
            An ``AssertionError``: none fits; the message lists those there are.
        """
        return self.volume_layers.find(volume_layer_name, volume_layer_id)

    def delete_volume_layer(self, volume_layer_name: str | None = None, volume_layer_id: int | None = None) -> None:
        """Remove one volume layer, chosen as in :meth:`get_volume_layer`.

        Parameters
        ----------
        volume_layer_name
            Its name; not needed if there is only one layer.
        volume_layer_id
            Its id, which tells layers of one name apart.
        """
        self.volume_layers.remove(self.get_volume_layer(volume_layer_name, volume_layer_id))

    def get_volume_layer_segments(
        self, volume_layer_name: str | None = None, volume_layer_id: int | None = None
    ) -> dict[int, SegmentInformation]:
        """Return the segments of a volume layer by id. Changes to the dictionary are changes to the annotation.

        Parameters
        ----------
        volume_layer_name
            Its name; not needed if there is only one layer.
        volume_layer_id
            Its id, which tells layers of one name apart.
        """
        return self.get_volume_layer(volume_layer_name, volume_layer_id).segments

    def export_volume_layer_to_dataset(
        self,
        dataset: Dataset,
        layer_name: str = "volume_layer",
        volume_layer_name: str | None = None,
        volume_layer_id: int | None = None,
        *,
        threads: int | None = None,
        progress: Progress = None,
    ) -> SegmentationLayer:
        """Add the painted voxels of a volume layer to a dataset as a segmentation, and return that.

        Chunks are copied as they are encoded, and the layer has the format of the annotation. Voxels of the fallback
        layer are not in it; see :meth:`merge_fallback_layer`.

        Parameters
        ----------
        dataset
            The dataset to add to.
        layer_name
            Name of the new layer.
        volume_layer_name, volume_layer_id
            Which volume layer, if there are several; as in :meth:`get_volume_layer`.
        threads
            Default: ``WKFAST_THREADS``, else one per core.
        progress
            ``True`` for a bar, or what is called on the calling thread with chunks done and in all.

        Raises
        ------
        VolumeLayerNotFoundError, VolumeLayerAmbiguousError
            An ``AssertionError``, a ``ValueError``: see :meth:`get_volume_layer`.
        VolumeDataMissingError
            An ``AssertionError`` and ``ValueError``: the voxels are not in the annotation file.
        DatasetError
            The dataset has a layer of that name.
        VolumeDataError
            The data zip is damaged, or the disk full. The dataset is as it was.

        Examples
        --------
        >>> import wkfast as wk
        >>> annotation = wk.Annotation("a", dataset_name="d", voxel_size=(4, 4, 40))
        >>> _ = annotation.add_volume_layer("painted", dtype="uint16")
        >>> dataset = wk.Dataset(tmp_path / "exported", voxel_size=(4, 4, 40))
        >>> annotation.export_volume_layer_to_dataset(dataset, layer_name="painted").dtype
        dtype('uint16')
        """
        layer = self.get_volume_layer(volume_layer_name, volume_layer_id)
        return layer.export_to_dataset(dataset, layer_name, threads=threads, progress=progress)

    def temporary_volume_layer_copy(
        self, volume_layer_name: str | None = None, volume_layer_id: int | None = None, read_only: bool = True
    ) -> AbstractContextManager[SegmentationLayer]:
        """Return a context manager that yields a copy of a volume layer, as a layer of a temporary dataset.

        To look at voxels without a copy use :meth:`VolumeLayer.as_layer`, to change them :meth:`VolumeLayer.edit`.

        Parameters
        ----------
        volume_layer_name, volume_layer_id
            Which volume layer, if there are several; as in :meth:`get_volume_layer`.
        read_only
            Refuse changes of the copy. They never change the annotation.

        Raises
        ------
        VolumeDataMissingError
            An ``AssertionError`` and ``ValueError``: the voxels are not in the annotation file.

        Examples
        --------
        >>> import wkfast as wk
        >>> annotation = wk.Annotation("a", dataset_name="d", voxel_size=(4, 4, 40))
        >>> _ = annotation.add_volume_layer("painted")
        >>> with annotation.temporary_volume_layer_copy("painted") as layer:
        ...     layer.dtype
        dtype('uint32')
        """
        return export.temporary_copy(self.get_volume_layer(volume_layer_name, volume_layer_id), read_only=read_only)

    # -- the fallback layer -------------------------------------------------------------------------------------------

    @overload
    def merge_fallback_layer(
        self,
        target: str | PathLike[str],
        dataset_directory: str | PathLike[str] | None = ...,
        volume_layer_name: str | None = ...,
        executor: Any = ...,
        *,
        dry_run: Literal[False] = ...,
        fallback: Dataset | SegmentationLayer | None = ...,
        data_format: str | DataFormat | None = ...,
        **options: Unpack[MergeKeywords],
    ) -> MergeReport: ...
    @overload
    def merge_fallback_layer(
        self,
        target: str | PathLike[str],
        dataset_directory: str | PathLike[str] | None = ...,
        volume_layer_name: str | None = ...,
        executor: Any = ...,
        *,
        dry_run: Literal[True],
        fallback: Dataset | SegmentationLayer | None = ...,
        data_format: str | DataFormat | None = ...,
        **options: Unpack[MergeKeywords],
    ) -> MergePreview: ...
    def merge_fallback_layer(
        self,
        target: str | PathLike[str],
        dataset_directory: str | PathLike[str] | None = None,
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
        fallback: Dataset | SegmentationLayer | None = None,
        data_format: str | DataFormat | None = None,
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
            Folder that holds the annotation's dataset under its name, or the URL of a dataset's page on a server.
        volume_layer_name
            Which volume layer, if there are several.
        executor
            Whose workers do it, in batches of files: ``ProcessPoolExecutor``, ``client.get_executor()`` of dask,
            ``cluster_tools.get_executor("slurm")``, anything with their ``submit``. Workers need to see the same paths.
            Default: threads of this process.
        policy
            ``"chunk"``: a chunk that the annotation has replaces the fallback's whole, zeros included, so what was
            erased stays erased. ``"nonzero"``: only labels replace, for files of old servers that dropped zero chunks.
            Or a rule: a function of the annotation's and the fallback's label that returns one, compiled by numba where
            it is installed; ``wkfast.rules`` has some to use and to copy.
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
        mapping
            What the fallback's labels become on the way: a dict, two arrays, a function of one label, the path of an
            agglomerate file (HDF5 or Zarr), or an annotation, for what merger mode makes of the layer. Voxels of this
            annotation that show what the fallback has there get the new labels, too; paint does not. Chunks whose
            labels stay the same are copied as they are encoded. Default: the mapping that the volume layer names, if
            its agglomerate file is an attachment of the fallback layer or lies in its folder ``agglomerates``;
            ``{}``: none.
        missing
            Labels that the mapping does not name ``"keep"`` what they are, become ``"zero"``, or are an ``"error"``.
        fallback
            Instead of a folder, the dataset that holds the fallback layer, or the layer itself, whatever the annotation
            names: also a ``RemoteDataset`` or ``RemoteSegmentationLayer``, which is streamed while it is merged.
        data_format
            Of a result over a layer that a server streams; default: Zarr v3, in shards of 512³.

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
            executor, policy, mags, threads, resume, progress, dry_run, verify, link, mapping, missing
        )
        job = merging.plan([self], target, dataset_directory, volume_layer_name, options, fallback, data_format)
        return job.merge(options)

    def plan_merge(
        self,
        target: str | PathLike[str],
        dataset_directory: str | PathLike[str] | None = None,
        volume_layer_name: str | None = None,
        *,
        options: MergeOptions | None = None,
        fallback: Dataset | SegmentationLayer | None = None,
        data_format: str | DataFormat | None = None,
    ) -> MergeJob:
        """Decide on a merge without starting it: what :meth:`merge_fallback_layer` runs, as data for other processes.

        Parameters
        ----------
        target, dataset_directory, volume_layer_name, fallback, data_format
            As those of :meth:`merge_fallback_layer`.
        options
            As the arguments of :meth:`merge_fallback_layer`; default: those it has.

        Raises
        ------
        MergeError, AnnotationError, DatasetError
            As in :meth:`merge_fallback_layer`. Nothing is ever written but the table of a mapping, beside the target.
        """
        options = options or MergeOptions()
        return merging.plan([self], target, dataset_directory, volume_layer_name, options, fallback, data_format)

    def merged_layer(
        self,
        dataset_directory: str | PathLike[str] | None = None,
        volume_layer_name: str | None = None,
        *,
        policy: str | Callable[..., Any] | ForAll = "chunk",
        mags: str = "all",
        mapping: Any = None,
        missing: str = "keep",
        fallback: Dataset | SegmentationLayer | None = None,
    ) -> SegmentationLayer:
        """Return the segmentation an annotator saw as a layer that is merged while it is read; nothing is written.

        What its mags read is what :meth:`merge_fallback_layer` would write. ``get_zarr_array()`` gives a ``zarr.Array``
        whose chunks are merged when they are asked for, which dask can compute with.

        Parameters
        ----------
        dataset_directory, volume_layer_name, policy, mags, mapping, missing, fallback
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
        options = MergeOptions(policy=policy, mags=mags, mapping=mapping, missing=missing)
        return merging.view(self, dataset_directory, volume_layer_name, options, fallback)

    def merger_mode_mapping(self, layer: Layer, mag: Any = None) -> dict[int, int]:
        """Return what merger mode makes of a layer: the segments under the nodes of one tree become one.

        Of segments that trees have in common, all become one. They get the smallest of their ids; nodes outside of
        segments do not count. ``layer.relabel`` takes the result.

        Parameters
        ----------
        layer
            Of any dataset or server; see :meth:`Skeleton.labels_at`.
        mag
            Which mag to look in; default: the finest.

        Raises
        ------
        DatasetValueError
            The layer holds no labels.
        SkeletonError
            A node has no place along one of the layer's axes.

        Examples
        --------
        >>> import numpy as np
        >>> from wkfast import Annotation, Dataset
        >>> dataset = Dataset(tmp_path / "new", voxel_size=(4, 4, 40))
        >>> labels = np.array([3, 5, 7, 0], np.uint32).reshape(4, 1, 1)
        >>> layer = dataset.write_layer("labels", "segmentation", labels, downsample=False)
        >>> annotation = Annotation("a", dataset_name="new", voxel_size=(4, 4, 40))
        >>> tree = annotation.skeleton.add_tree("one neuron")
        >>> ids = tree.add_nodes([(1, 0, 0), (2, 0, 0), (3, 0, 0)])
        >>> annotation.merger_mode_mapping(layer)
        {5: 5, 7: 5}
        """
        return merger_mode_mapping(self.skeleton, layer, mag)

    # -- servers ------------------------------------------------------------------------------------------------------

    @staticmethod
    def id_from_url(annotation_id_or_url: str) -> str:
        """Return the id in the URL of an annotation, or the id itself. No server is asked, so short links are refused.

        Raises
        ------
        InvalidUrlError
            A ``ValueError``: neither the URL nor the id of an annotation.

        Examples
        --------
        >>> from wkfast import Annotation
        >>> Annotation.id_from_url("https://webknossos.org/annotations/570ba0092a7c0e980056fe9b#1,2,3")
        '570ba0092a7c0e980056fe9b'
        """
        return urls.parse_annotation(annotation_id_or_url).id

    @overload
    @classmethod
    def download(
        cls,
        annotation_id_or_url: str,
        annotation_type: str | AnnotationType | None = None,
        webknossos_url: str | None = None,
        *,
        skip_volume_data: bool = False,
        retry_count: int = 5,
        progress: Progress = None,
    ) -> Annotation: ...

    @overload
    @classmethod
    def download(
        cls,
        annotation_id_or_url: str,
        annotation_type: str | AnnotationType | None = None,
        webknossos_url: str | None = None,
        *,
        skip_volume_data: bool = False,
        retry_count: int = 5,
        _return_context: bool,
        progress: Progress = None,
    ) -> tuple[Annotation, AbstractContextManager[object]]: ...

    @classmethod
    def download(
        cls,
        annotation_id_or_url: str,
        annotation_type: str | AnnotationType | None = None,
        webknossos_url: str | None = None,
        *,
        skip_volume_data: bool = False,
        retry_count: int = 5,
        _return_context: bool = False,
        progress: Progress = None,
    ) -> Annotation | tuple[Annotation, AbstractContextManager[object]]:
        """Return an annotation from a server, kept in a temporary folder until nothing refers to it; see :meth:`save`.

        Parameters
        ----------
        annotation_id_or_url
            An id, an annotation URL of any form, or a short link.
        annotation_type
            Deprecated and ignored.
        webknossos_url
            The server of a bare id, if it is not the context's.
        skip_volume_data
            Leave the voxels on the server; volume layers then have no data.
        retry_count
            Further attempts after the first.
        progress
            ``True`` for a bar, or what is called with the bytes that came and all there are, ``None`` if not known.

        Raises
        ------
        ClientError
            A ``RuntimeError``: what happened, where, what the server said and what to do.
        """
        annotation, file = transfer.download(
            cls,
            annotation_id_or_url,
            transfer.server_of(annotation_type, webknossos_url),
            skip_volume_data=skip_volume_data,
            retry_count=retry_count,
            progress=progress,
        )
        return (annotation, file.in_context()) if _return_context else annotation

    def upload(self, *, progress: Progress = None) -> str:
        """Upload the annotation as a new one and return its URL.

        Server and user are those of the current context; see ``webknossos_context``.

        Parameters
        ----------
        progress
            ``True`` for a bar, or what is called with the bytes that went and all there are.

        Raises
        ------
        AuthenticationError
            A ``RuntimeError``: nobody is logged in; the message says how to.
        ClientError
            A ``RuntimeError``: what happened, where, what the server said and what to do.
        """
        return transfer.upload(self, progress)

    @classmethod
    def open_as_remote_dataset(
        cls,
        annotation_id_or_url: str,
        annotation_type: str | AnnotationType | None = None,
        webknossos_url: str | None = None,
    ) -> RemoteDataset:
        """Return the layers of an annotation, streamed: the dataset's, and each volume layer merged with its fallback.

        Parameters
        ----------
        annotation_id_or_url
            An id, an annotation URL of any form, or a short link.
        annotation_type
            Deprecated and ignored.
        webknossos_url
            The server of a bare id, if it is not the context's.

        Raises
        ------
        ClientError
            A ``RuntimeError``: what happened, where, what the server said and what to do.
        """
        server = transfer.server_of(annotation_type, webknossos_url)
        return remote.RemoteDataset.open(annotation_id_or_url=annotation_id_or_url, webknossos_url=server)

    @classmethod
    def open_remote(cls, annotation_id_or_url: str, webknossos_url: str | None = None) -> RemoteAnnotation:
        """Return a handle on an annotation that stays on its server.

        Its name and description are read and set there; the skeleton is the one that is there now.

        Parameters
        ----------
        annotation_id_or_url
            An id, an annotation URL of any form, or a short link.
        webknossos_url
            The server of a bare id, if it is not the context's.

        Raises
        ------
        ClientError
            A ``RuntimeError``: what happened, where, what the server said and what to do.
        """
        return remote_annotation.open_remote(cls, annotation_id_or_url, webknossos_url)

    def get_remote_annotation_dataset(self) -> RemoteDataset:
        """Return the layers of this annotation as its server has them, streamed; see :meth:`open_as_remote_dataset`.

        Raises
        ------
        AnnotationIdError
            A ``ValueError``: the annotation has no id, so it is on no server yet.
        """
        return transfer.streamed(self)

    def get_remote_base_dataset(
        self, sharing_token: str | None = None, webknossos_url: str | None = None
    ) -> RemoteDataset:
        """Return the dataset this annotation belongs to, streamed, by its id if it is known, else by its name.

        Parameters
        ----------
        sharing_token
            Opens a dataset that the user may not see otherwise.
        webknossos_url
            Its server; default: the one this was downloaded from, else the context's.
        """
        return transfer.streamed_base(self, sharing_token, webknossos_url)

    # -- what the skeleton knows ----------------------------------------------------------------------------------

    @property
    def dataset_name(self) -> str:
        """Name of the dataset this annotation belongs to."""
        return self.skeleton.dataset_name

    @dataset_name.setter
    def dataset_name(self, dataset_name: str) -> None:
        self.skeleton.dataset_name = dataset_name

    @property
    def dataset_id(self) -> str | None:
        """Id of the dataset on the server."""
        return self.skeleton.dataset_id

    @dataset_id.setter
    def dataset_id(self, dataset_id: str | None) -> None:
        self.skeleton.dataset_id = dataset_id

    @property
    def voxel_size(self) -> Vec3Float:
        """Size of a mag-1 voxel in nm."""
        return self.skeleton.voxel_size

    @voxel_size.setter
    def voxel_size(self, voxel_size: Vec3Float | Vector3) -> None:
        self.skeleton.voxel_size = voxel_size

    @property
    def voxel_size_with_unit(self) -> VoxelSize:
        """Size of a mag-1 voxel with the unit it was given in."""
        return self.skeleton.voxel_size_with_unit

    @voxel_size_with_unit.setter
    def voxel_size_with_unit(self, voxel_size: VoxelSize) -> None:
        self.skeleton.voxel_size_with_unit = voxel_size

    @property
    def organization_id(self) -> str | None:
        """Id of the organization that owns the dataset."""
        return self.skeleton.organization_id

    @organization_id.setter
    def organization_id(self, organization_id: str | None) -> None:
        self.skeleton.organization_id = organization_id

    @property
    def description(self) -> str | None:
        """Free text."""
        return self.skeleton.description

    @description.setter
    def description(self, description: str | None) -> None:
        self.skeleton.description = description

    @property
    def scale(self) -> Vec3Float:
        """Deprecated name of :attr:`voxel_size`."""
        warn("scale is deprecated, use voxel_size", DeprecationWarning)
        return self.voxel_size

    @scale.setter
    def scale(self, scale: Vec3Float | Vector3) -> None:
        warn("scale is deprecated, use voxel_size", DeprecationWarning)
        self.voxel_size = scale

    @property
    def username(self) -> str | None:
        """Deprecated name of ``owner_name``."""
        warn("username is deprecated, use owner_name", DeprecationWarning)
        return self.owner_name

    @username.setter
    def username(self, username: str | None) -> None:
        warn("username is deprecated, use owner_name", DeprecationWarning)
        self.owner_name = username

    def __repr__(self) -> str:
        return f"Annotation({self.name!r}, dataset_name={self.dataset_name!r}, volume_layers={len(self.volume_layers)})"

    def _repr_html_(self) -> str:
        facts = {
            "dataset": self.dataset_name,
            "organization": self.organization_id,
            "voxel size": f"{tuple(self.voxel_size)} nm",
            "problems": f"{len(self.problems):,}" if self.problems else None,
        }
        layers = [
            (layer.id, layer.name, layer.fallback_layer_name or "", len(layer.segments)) for layer in self.volume_layers
        ]
        volumes = html.rows("Volume layers", ("id", "name", "fallback layer", "segments"), layers)
        return html.card(f"Annotation {self.name}", facts, [self.skeleton._repr_html_(), volumes])


def _skeleton(
    skeleton: Skeleton | None,
    dataset_name: str | None,
    voxel_size: Vec3Float | Vector3 | None,
    organization_id: str | None,
    description: str | None,
) -> Skeleton:
    described = dataset_name is not None or voxel_size is not None
    if skeleton is not None:
        if described or organization_id is not None or description is not None:
            raise AnnotationError(
                "give either a skeleton or dataset_name, voxel_size, organization_id and description, not both"
            )
        return skeleton
    if dataset_name is None or voxel_size is None:
        raise AnnotationError("give a skeleton, or both dataset_name and voxel_size")
    return Skeleton(
        voxel_size=voxel_size,
        dataset_name=dataset_name,
        organization_id=organization_id,
        description=description,
    )
