"""A layer: one image or segmentation in several mags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from wkfast import _core
from wkfast._lazy import lazy_import
from wkfast._warnings import warn
from wkfast.addresses import local_path
from wkfast.dataset import downsampling, shown, viewers
from wkfast.dataset.additional_axes import along_axes, completed, is_flat
from wkfast.dataset.attachments import Attachments
from wkfast.dataset.box_work import largest_label
from wkfast.dataset.downsampling import Downsampling
from wkfast.dataset.get_or_add import get_or_add
from wkfast.dataset.kept import kept_by_entry
from wkfast.dataset.layer_category import SEGMENTATION_CATEGORY
from wkfast.dataset.layer_creation import check_kind, check_layer_name
from wkfast.dataset.layer_properties import EARLIER_MAGS
from wkfast.dataset.links import followed
from wkfast.dataset.mag_building import copy_mag
from wkfast.dataset.mag_view import MagView
from wkfast.dataset.new_mag import Shapes, extent_in_mag, joined, new_mag
from wkfast.dataset.place import writable
from wkfast.dataset.present_files import lengths_of_array, list_files, take_array
from wkfast.dataset.references import add_mag_link, add_mag_ref
from wkfast.dataset.relabeling import relabel
from wkfast.dataset.reshaping import Workers
from wkfast.dataset.sampling import SamplingModes
from wkfast.dataset.slots import state_without
from wkfast.dataset.statistics import segment_statistics
from wkfast.dataset.transformations import set_transformations, transformations_of
from wkfast.dataset.upsampling import Upsampling, upsample
from wkfast.dataset.view_configuration import LayerViewConfiguration, configuration_of, set_configuration
from wkfast.errors import DatasetError, DatasetValueError, ExistsError, LayerNotFoundError, MagNotFoundError
from wkfast.geometry import Mag, Vec3Int
from wkfast.geometry.bounding_box import as_box
from wkfast.geometry.constants import CXYZ_AXES
from wkfast.pictures import html

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from os import PathLike
    from pathlib import Path

    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from wkfast.buckets import ObjectPath
    from wkfast.dataset.data_format import DataFormat
    from wkfast.dataset.dataset import Dataset
    from wkfast.dataset.layer_properties import Json, LayerProperties
    from wkfast.dataset.place import Place, WritablePlace
    from wkfast.dataset.transformations import CoordinateTransformation
    from wkfast.dataset.voxel_source import VoxelSource
    from wkfast.geometry import NDBoundingBox, NormalizedBoundingBox, Vec3IntLike
    from wkfast.progress import Progress
else:
    np = lazy_import("numpy")

# Edge of what is read at once where everything is looked at.
_PIECE = 256
_FINEST = Mag(1)
# What box and axes follow from, and what the mags.
_BOX_KEYS = ("boundingBox", "additionalAxes", "mags", "numChannels")
_MAG_KEYS = ("mags", EARLIER_MAGS)


class _Shape(NamedTuple):
    """What is written down of a layer's extent."""

    box: NDBoundingBox
    axes: tuple[str, ...]
    is_plain: bool


@kept_by_entry(
    "mags",
    dataset=(),
    name=("name",),
    category=("category",),
    data_format=("dataFormat", "name"),
    num_channels=("numChannels",),
    dtype=("elementClass", "numChannels"),
    bounding_box=_BOX_KEYS,
    normalized_bounding_box=_BOX_KEYS,
    read_only=(),
    mags=_MAG_KEYS,
    _finest=_MAG_KEYS,
    _entries=_MAG_KEYS,
    _shape=_BOX_KEYS,
    _is_plain=_BOX_KEYS,
    _views=(),
)
class Layer(_core.Keeper):
    """One layer of a dataset, obtained from it: ``dataset.get_layer(name)``."""

    __slots__ = ("__weakref__", "_dataset", "_place", "_properties")

    # What is handed out as a mag; a server's layers have mags of their own, for what the reference calls them.
    _mag_class: ClassVar[type[MagView]] = MagView

    def __init__(self, dataset: Dataset, properties: LayerProperties, place: Place | None = None) -> None:
        self._dataset = dataset
        self._properties = properties
        self._place = dataset._place if place is None else place

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        """Return what another process needs: all but what is open."""
        return state_without(self)

    def _kept_by(self) -> tuple[Json, Dataset]:
        """Return what properties follow from, and whose changes they follow."""
        return self._properties.json, self._dataset

    @property
    def dataset(self) -> Dataset:
        """The dataset this layer belongs to."""
        return self._dataset

    @property
    def name(self) -> str:
        """Name of the layer. Setting it renames the folder as well.

        Raises
        ------
        DatasetValueError
            A ``ValueError``: not letters, digits, ``_``, ``-`` and ``.``, or taken. Nothing was changed.
        OSError
            The file system refuses. Nothing was changed.
        """
        return self._properties.name

    @name.setter
    def name(self, name: str) -> None:
        place = self._writable()
        check_layer_name(name)
        if name != self.name:
            place.rename_layer(self._dataset._properties, self.name, name)
            self._dataset._forget_views()

    @property
    def path(self) -> Path | ObjectPath:
        """Folder of the layer; its address, if that is in a bucket.

        Raises
        ------
        DatasetError
            It lies in an archive, in memory or on a WEBKNOSSOS server.
        """
        return self._place.folder(self._properties)

    @property
    def resolved_path(self) -> Path | ObjectPath:
        """Folder of the layer with all links followed."""
        return followed(self.path)

    @property
    def is_foreign(self) -> bool:
        """Whether the layer's folder is a link out of the dataset. Mags may lead out of it without that."""
        return self._place.is_foreign(self.path)

    @property
    def is_remote_to_dataset(self) -> bool:
        """Older name of :attr:`is_foreign`."""
        warn("is_remote_to_dataset is deprecated, use is_foreign", DeprecationWarning)
        return self.is_foreign

    def is_mag_view_foreign(self, mag: MagView) -> bool:
        """Return whether the files of a mag lie in another dataset."""
        return self._place.is_foreign(mag._folder)

    @property
    def category(self) -> str:
        """``color`` or ``segmentation``."""
        return self._properties.category

    @property
    def data_format(self) -> DataFormat:
        """How the voxels are stored."""
        return self._properties.data_format

    @property
    def num_channels(self) -> int:
        """Values per voxel."""
        return self._properties.num_channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one channel."""
        return self._properties.dtype

    @property
    def dtype_per_channel(self) -> np.dtype[Any]:
        """Older name of :attr:`dtype`."""
        warn("dtype_per_channel is deprecated, use dtype", DeprecationWarning)
        return self.dtype

    @property
    def default_view_configuration(self) -> LayerViewConfiguration | None:
        """How WEBKNOSSOS shows the layer at first; ``None`` where nobody said. Change it by setting another."""
        return configuration_of(self._properties.json, LayerViewConfiguration)  # type: ignore[no-any-return]

    @default_view_configuration.setter
    def default_view_configuration(self, configuration: LayerViewConfiguration | None) -> None:
        self._change(lambda entry: set_configuration(entry.json, configuration, LayerViewConfiguration))

    @property
    def coordinate_transformations(self) -> tuple[CoordinateTransformation, ...]:
        """How WEBKNOSSOS places the layer in the dataset's space, step by step; voxels are read where they are."""
        return transformations_of(self._properties.json)

    @coordinate_transformations.setter
    def coordinate_transformations(self, steps: Iterable[CoordinateTransformation] | None) -> None:
        steps = None if steps is None else list(steps)
        self._change(lambda entry: set_transformations(entry.json, steps))

    def as_segmentation_layer(self) -> SegmentationLayer:
        """Make a segmentation of the layer and return it; no voxel changes.

        Raises
        ------
        DatasetValueError
            Its voxels are no whole numbers.
        """
        check_kind(self.name, SEGMENTATION_CATEGORY, self.dtype, self.num_channels)
        self._change(lambda entry: entry.json.update(category=SEGMENTATION_CATEGORY))
        return self._dataset.get_segmentation_layer(self.name)

    @property
    def bounding_box(self) -> NDBoundingBox:
        """Box of the data in mag-1 voxels: a ``BoundingBox``, unless the layer has additional axes.

        Setting it changes what counts as the layer; no voxel is written or deleted. Axes it lacks stay as they are.

        Raises
        ------
        DatasetValueError
            A coordinate is negative, or the layer does not have such axes.
        """
        return self._shape.box

    @bounding_box.setter
    def bounding_box(self, box: NDBoundingBox) -> None:
        self._writable()
        whole = self._along_axes(as_box(box))
        if min(whole.topleft.to_tuple()) < 0:
            raise DatasetValueError(f"layer {self.name!r} cannot have the box {box}: a coordinate is negative")
        self._change(lambda entry: entry.set_bounding_box(whole))
        for mag in self.mags.values():
            mag._grow_to(whole)

    @property
    def normalized_bounding_box(self) -> NormalizedBoundingBox:
        """The same with an axis for the channels."""
        return self._normalized(self.bounding_box)

    @property
    def _shape(self) -> _Shape:
        box, axes = self._properties.full_bounding_box, self._properties.axes_of_arrays
        return _Shape(box, axes, is_flat(box) and axes == CXYZ_AXES)

    @property
    def _axes_of_arrays(self) -> tuple[str, ...]:
        """Axes of arrays that are read, without the additional ones."""
        return self._shape.axes

    @property
    def _is_plain(self) -> bool:
        """Whether arrays that are read have the axes c, x, y, z."""
        return self._shape.is_plain

    def _along_axes_of_arrays(self, box: NDBoundingBox) -> NDBoundingBox:
        """Return a box of the layer along all axes of arrays."""
        return along_axes(box, self._axes_of_arrays, self.num_channels) if is_flat(box) else box

    def _normalized(self, box: NDBoundingBox) -> NormalizedBoundingBox:
        """Return a box of the layer with the channels as an axis, unless its arrays have none."""
        if is_flat(box):
            return along_axes(box, self._axes_of_arrays, self.num_channels)
        return box.normalize_axes(self.num_channels)

    def _extend_bounding_box(self, box: NDBoundingBox) -> None:
        """Grow the layer's box to hold `box` as well; several processes may do so at once."""
        whole = self._along_axes(box)
        self._change(lambda entry: entry.set_bounding_box(joined(entry.full_bounding_box, whole)))

    def _along_axes(self, box: NDBoundingBox) -> NDBoundingBox:
        """Return a box along the axes of the layer's."""
        frame = self.bounding_box
        return box if is_flat(frame) and is_flat(box) else completed(box, frame)

    @property
    def read_only(self) -> bool:
        """Whether changes are refused."""
        return self._place.read_only_reason is not None

    @property
    def mags(self) -> dict[Mag, MagView]:
        """The mags, finest first. None is opened before it is used."""
        return {mag: self._view(mag) for mag in sorted(self._entries)}

    @property
    def _finest(self) -> MagView | None:
        """The finest of the mags, if there are any."""
        return next(iter(self.mags.values()), None)

    @property
    def _entries(self) -> dict[Mag, Json]:
        """The entries of mags as they are listed, the first of each mag; nobody changes them."""
        entries: dict[Mag, Json] = {}
        for entry in self._properties.mags:
            entries.setdefault(self._properties.mag_of(entry), entry)
        return entries

    @property
    def _views(self) -> dict[Any, MagView]:
        """The views that were asked for, by mag and by whatever a mag was called; new ones after every change."""
        return {}

    def get_mag(self, mag: Any) -> MagView:
        """Return one mag, given as ``Mag``, number, name or triple.

        Raises
        ------
        MagNotFoundError
            There is none; the message lists those there are.
        """
        views = self._views
        try:
            view = views[mag]
        except (KeyError, TypeError):  # what is no key is no mag that was asked for before
            pass
        else:
            if view._opened is not None:
                view._check()
                return view
        wanted = Mag(mag)
        self._entry_of(wanted)
        view = self._view(wanted)
        _ = view._source  # so that whoever asks for the mag learns here what is wrong with it
        view._check()
        views[mag if isinstance(mag, int | str | tuple) else wanted] = view
        return view

    def _view(self, mag: Mag) -> MagView:
        """Return the view of a listed mag; there is one of each until something is changed."""
        views = self._views
        if mag not in views:
            views[mag] = self._mag_class(self, mag)
        return views[mag]

    def _entry_of(self, mag: Mag) -> Json:
        entry = self._entries.get(mag)
        if entry is None:
            raise MagNotFoundError(f"layer {self.name!r} has no mag {mag}; its mags: {self._mag_names()}")
        return entry

    def get_finest_mag(self) -> MagView:
        """Return the mag with the smallest voxels.

        Raises
        ------
        MagNotFoundError
            The layer has no mags.
        """
        finest = self._finest
        if finest is None:
            raise MagNotFoundError(f"layer {self.name!r} has no mags")
        if finest._opened is None:
            return self.get_mag(finest.mag)
        finest._check()
        return finest

    def values_at(
        self, positions: ArrayLike, mag: Any = None, *, additional_coordinates: Mapping[str, ArrayLike] | None = None
    ) -> NDArray[Any]:
        """Return the voxels at scattered positions; see :meth:`MagView.values_at`.

        Parameters
        ----------
        positions, additional_coordinates
            As those of :meth:`MagView.values_at`: shape ``(n, 3)``, mag-1 voxels.
        mag
            Which mag to look them up in; default: the finest.

        Returns
        -------
        ndarray
            Of the layer's dtype, shape ``(n,)``, or ``(n, channels)`` where there are several.

        Raises
        ------
        MagNotFoundError
            There is no such mag.
        DatasetValueError, VolumeDataError
            As of :meth:`MagView.values_at`.

        Examples
        --------
        >>> import numpy as np
        >>> from wkfast import Dataset
        >>> dataset = Dataset(tmp_path / "new", voxel_size=(4, 4, 40))
        >>> labels = np.arange(1, 9, dtype=np.uint32).reshape(2, 2, 2)
        >>> layer = dataset.write_layer("labels", "segmentation", labels)
        >>> layer.values_at([(0, 0, 1), (1, 1, 1), (9, 9, 9)]).tolist()
        [2, 8, 0]
        """
        view = self.get_finest_mag() if mag is None else self.get_mag(mag)
        return view.values_at(positions, additional_coordinates=additional_coordinates)

    def plot_slice(
        self,
        plane: str = "xy",
        position: int | None = None,
        *,
        bounding_box: NDBoundingBox | None = None,
        mag: Any = None,
    ) -> Figure:
        """Return a figure of a plane of voxels, with a scale bar in µm; every segment has a colour of its own.

        Notebooks show the figure; ``figure.savefig("slice.png")`` writes it. Values are shown as the layer's
        ``default_view_configuration`` says, else uint8 as it is and other types from least to largest; of additional
        axes the first place is shown.

        Parameters
        ----------
        plane
            ``"xy"``, ``"zy"`` or ``"xz"``: the first axis lies to the right.
        position
            Along the third axis, in mag-1 voxels; default: the middle.
        bounding_box
            What is shown, in mag-1 voxels; default: the layer's box.
        mag
            Default: the finest in which the plane has at most 1024 pixels along an edge, else the coarsest.

        Raises
        ------
        DatasetValueError
            There is no such plane, or it has more than 8192 pixels along an edge.
        MagNotFoundError
            There is no such mag.
        MissingExtraError
            matplotlib is not installed.

        Examples
        --------
        >>> import numpy as np
        >>> from wkfast import Dataset
        >>> dataset = Dataset(tmp_path / "new", voxel_size=(4, 4, 40))
        >>> layer = dataset.write_layer("cells", "segmentation", np.arange(8, dtype=np.uint32).reshape(2, 2, 2))
        >>> layer.plot_slice(position=1).get_suptitle()
        'cells, mag 1, z = 1'
        """
        return shown.plot(shown.plane_of(self, shown.view_to_show(self, mag, bounding_box, plane), plane, position))

    def plot_changes(
        self,
        before: Layer,
        plane: str = "xy",
        position: int | None = None,
        *,
        bounding_box: NDBoundingBox | None = None,
        mag: Any = None,
    ) -> Figure:
        """Return a figure of a plane of another layer, of the same plane of this one, and of the voxels that differ.

        With the fallback layer as `before`, this is what a merge changed, be it written or a ``merged_layer``. Voxels
        that became zero are white among those that differ.

        Parameters
        ----------
        before
            The layer as it was; it needs the mag that is shown.
        plane, bounding_box, mag
            As of :meth:`plot_slice`.
        position
            In mag-1 voxels; default: where most voxels differ in the coarsest mag that both have.

        Raises
        ------
        DatasetValueError, MagNotFoundError, MissingExtraError
            As of :meth:`plot_slice`; also if the layers have other numbers of channels.

        Examples
        --------
        >>> import numpy as np
        >>> from wkfast import Dataset
        >>> dataset, labels = Dataset(tmp_path / "new", voxel_size=(4, 4, 40)), np.ones((2, 2, 2), np.uint32)
        >>> before = dataset.write_layer("before", "segmentation", labels)
        >>> labels[0, 0, 1] = 7
        >>> after = dataset.write_layer("after", "segmentation", labels)
        >>> [axes.get_title() for axes in after.plot_changes(before).axes]
        ['before', 'after', '1 changed']
        """
        if position is None:
            position = shown.most_changed(before, self, plane, bounding_box)
        view = shown.view_to_show(self, mag, bounding_box, plane)
        return shown.plot_both(before, shown.plane_of(self, view, plane, position))

    def thumbnail(self) -> bytes:
        r"""Return a PNG file of the layer's middle xy plane, 192 pixels along its longer edge.

        It is read from the finest mag that has no more pixels, or the middle of the coarsest. Notebooks show it with
        the layer, unless a server streams it.

        Raises
        ------
        MagNotFoundError
            The layer has no mags.
        VolumeDataError
            A chunk is corrupt.

        Examples
        --------
        >>> import numpy as np
        >>> from wkfast import Dataset
        >>> dataset = Dataset(tmp_path / "new", voxel_size=(4, 4, 40))
        >>> layer = dataset.write_layer("image", "color", np.full((64, 32, 2), 100, np.uint8))
        >>> layer.thumbnail()[:4]
        b'\x89PNG'
        """
        return shown.thumbnail(self)

    def to_neuroglancer(self, url: str) -> dict[str, Any]:
        """Return a state of neuroglancer that shows the layer from a web server.

        The state is plain data: ``neuroglancer.Viewer().set_state(state)``, or behind ``#!`` of the URL of a viewer,
        ``"https://neuroglancer-demo.appspot.com/#!" + urllib.parse.quote(json.dumps(state))``. All mags are shown,
        found by the OME-Zarr metadata in the layer's folder.

        Parameters
        ----------
        url
            Where the folder of the dataset is served, with CORS allowed, as any static web server does it.

        Raises
        ------
        DatasetError
            The layer is stored as WKW, which neuroglancer does not read.

        Examples
        --------
        >>> import numpy as np
        >>> from wkfast import Dataset
        >>> dataset = Dataset(tmp_path / "new", voxel_size=(4, 4, 40))
        >>> layer = dataset.write_layer("cells", "segmentation", np.ones((8, 8, 2), np.uint32))
        >>> state = layer.to_neuroglancer("https://data.example.org/new")
        >>> state["layers"][0]["type"], state["layers"][0]["source"]
        ('segmentation', 'zarr://https://data.example.org/new/cells')
        """
        return viewers.to_neuroglancer(self, url)

    def to_napari(self) -> list[tuple[Any, dict[str, Any], str]]:
        """Return the layer as napari takes it: tuples of data, keywords and ``"image"`` or ``"labels"``.

        ``for each in layer.to_napari(): viewer.add_layer(napari.layers.Layer.create(*each))`` shows it. Data are arrays
        of dask (z, y, x), one per mag; a chunk is read when it is looked at. Scale and place are in nm. Each channel is
        an image, but three of uint8 are one in colour.

        Raises
        ------
        MagNotFoundError
            The layer has no mags.
        DatasetError
            It has axes beyond c, x, y, z.
        MissingExtraError
            dask is not installed.

        Examples
        --------
        >>> import numpy as np
        >>> from wkfast import Dataset
        >>> dataset = Dataset(tmp_path / "new", voxel_size=(4, 4, 40))
        >>> layer = dataset.write_layer("cells", "segmentation", np.ones((8, 6, 2), np.uint32), downsample=False)
        >>> (data, keywords, kind), = layer.to_napari()
        >>> kind, data.shape, keywords["scale"]
        ('labels', (2, 6, 8), (40.0, 4.0, 4.0))
        """
        return viewers.to_napari(self)

    def segment_statistics(
        self,
        mag: Any = None,
        bounding_box: NDBoundingBox | None = None,
        executor: Any = None,
        *,
        progress: Progress = None,
    ) -> dict[str, NDArray[Any]]:
        """Return size, extent and centre of every segment as columns, in the order of ids; 0 is no segment.

        Chunks are counted as they are decoded, on all cores, wherever the layer lies; memory is that of the table.

        Parameters
        ----------
        mag
            Which mag to count; default: the finest.
        bounding_box
            In mag-1 voxels, on voxels of the mag; default: the layer's. Slices along additional axes count together.
        executor
            Of ``concurrent.futures``, or one like it; default: the core's threads. Jobs count some files each.
        progress
            ``True`` for a bar, or what is called with files done and in all.

        Returns
        -------
        dict
            ``id`` (the layer's dtype), ``voxels`` (uint64, of the mag), ``topleft`` and ``size`` (int64,
            ``(segments, 3)``, mag-1 voxels), ``centroid`` (float64, ``(segments, 3)``, mag-1 voxels, the mean of their
            coordinates), ``volume`` (float64, nm³). ``np.savez(path, **table)`` keeps it.

        Raises
        ------
        DatasetValueError
            A ``ValueError``: the layer holds no labels, or the box does not lie on voxels of the mag.
        MagNotFoundError
            There is no such mag.
        VolumeDataError
            A chunk is damaged; the message names file and chunk.

        Examples
        --------
        >>> import numpy as np
        >>> from wkfast import Dataset
        >>> dataset = Dataset(tmp_path / "new", voxel_size=(4, 4, 40))
        >>> labels = np.zeros((8, 8, 8), np.uint32)
        >>> labels[2:4, 3:6, 5] = 9
        >>> table = dataset.write_layer("labels", "segmentation", labels, downsample=False).segment_statistics()
        >>> table["id"].tolist(), table["voxels"].tolist(), table["topleft"].tolist(), table["size"].tolist()
        ([9], [6], [[2, 3, 5]], [[2, 3, 1]])
        >>> table["centroid"].tolist(), table["volume"].tolist()
        ([[2.5, 4.0, 5.0]], [3840.0])
        """
        return segment_statistics(self, mag, bounding_box, executor, progress)

    def relabel(
        self,
        mapping: Mapping[int, int] | tuple[ArrayLike, ArrayLike] | Callable[[int], int] | str | PathLike[str],
        target: str,
        *,
        dataset: Dataset | None = None,
        missing: Literal["keep", "zero", "error"] = "keep",
        executor: Any = None,
        progress: Progress = None,
    ) -> Layer:
        """Write a new layer in which segments have other ids, in all mags, and return it.

        Chunks whose labels stay what they are are copied as they are encoded. Every label is looked up once: a mapping
        of 1 to 2 and 2 to 3 makes no 3 of a 1.

        Parameters
        ----------
        mapping
            A dict; two arrays, old ids and new ones; a function of one id, compiled by numba or not, which is called
            once for each id there is; or an agglomerate file of WEBKNOSSOS, HDF5 (needs h5py) or the folder of one in
            Zarr, which may be larger than memory.
        target
            Name of the new layer.
        dataset
            Where it goes; default: this layer's dataset.
        missing
            What becomes of ids that the mapping does not name: they stay, become 0, or are an error. 0 stays 0.
        executor
            Of ``concurrent.futures``, or one like it; default: the core's threads.
        progress
            ``True`` for a bar, or what is called with files done and in all.

        Raises
        ------
        DatasetValueError
            A ``ValueError``: the mapping is none, names an id twice, or makes one that the layer's type does not hold.
        DatasetError
            An agglomerate file is damaged, the layer has no files of its own, or cannot be added.
        VolumeDataError
            A chunk is damaged, or has a label that the mapping should have named; the message names it. There is no new
            layer then.

        Examples
        --------
        >>> import numpy as np
        >>> from wkfast import Dataset
        >>> dataset = Dataset(tmp_path / "new", voxel_size=(4, 4, 40))
        >>> labels = np.array([1, 2, 3, 0], np.uint32).reshape(4, 1, 1)
        >>> layer = dataset.write_layer("labels", "segmentation", labels, downsample=False)
        >>> layer.relabel({2: 1}, "merged").get_mag(1).read().ravel()
        array([1, 1, 3, 0], dtype=uint32)
        """
        return relabel(self, mapping, target, dataset, missing, Workers(executor, progress, "relabelling"))

    def add_mag(
        self,
        mag: Any,
        *,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        chunks_per_shard: Vec3IntLike | int | None = None,
        compress: bool = True,
    ) -> MagView:
        """Create an empty mag and return it.

        Parameters
        ----------
        mag
            ``Mag``, number, name or triple.
        chunk_shape
            Voxels that are compressed together; default 32³. A number means a cube.
        shard_shape, chunks_per_shard
            Voxels, or chunks, that share a file; default 1024³. Zarr v2 has a file for every chunk.
        compress
            With zstd in Zarr, with LZ4-HC in WKW.

        Raises
        ------
        ExistsError
            An ``IndexError``: there is that mag, or something in its folder.
        DatasetValueError
            A ``ValueError``: the format does not have such shapes, or an edge is no power of two.
        DatasetError
            A ``RuntimeError``: the dataset is read-only.

        Examples
        --------
        >>> from wkfast import Dataset
        >>> layer = Dataset(tmp_path / "new", voxel_size=(4, 4, 40)).add_layer("color", "color", data_format="wkw")
        >>> layer.add_mag("2-2-1", shard_shape=128).info.chunks_per_shard
        Vec3Int(4,4,4)
        """
        place = self._writable()
        wanted = Mag(mag)
        if wanted in self._listed_mags():
            raise ExistsError(f"cannot add mag {wanted} to layer {self.name!r}: it has one already")
        properties = self._properties
        if properties.keeps_zeros and shard_shape is None and chunks_per_shard is None:
            chunks_per_shard = 1  # what is edited is stored chunk by chunk, so that no small change rewrites more
        spec = new_mag(
            self.data_format, self.dtype, self.num_channels,
            Shapes(chunk_shape, shard_shape, chunks_per_shard, compress),
            extent=extent_in_mag(self.bounding_box, wanted), axes=properties.new_axes(),
        )  # fmt: skip
        with place.adding(self._dataset._properties, properties, wanted, spec) as added:
            self._list_new_mag(added)
        return self.get_mag(wanted)

    def get_or_add_mag(
        self,
        mag: Any,
        *,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        chunks_per_shard: Vec3IntLike | int | None = None,
        compress: bool | None = None,
    ) -> MagView:
        """Return a mag, created as by :meth:`add_mag` if it is not there. Of many that say so at once, one adds it.

        Parameters
        ----------
        mag
            ``Mag``, number, name or triple.
        chunk_shape, shard_shape, chunks_per_shard, compress
            As in :meth:`add_mag`; where given, a mag that is there must have them.

        Raises
        ------
        DatasetValueError
            An ``AssertionError``: it is there, with other shapes or another compression than asked for.
        BeingMadeError
            An ``IndexError``: somebody else has been making it for ten seconds.
        """
        more = {} if compress is None else {"compress": compress}
        asked = Shapes(chunk_shape, shard_shape, chunks_per_shard)
        return get_or_add(
            lambda: self._mag_like(mag, asked, compress) if Mag(mag) in self._listed_mags() else None,
            lambda: self.add_mag(
                mag, chunk_shape=chunk_shape, shard_shape=shard_shape, chunks_per_shard=chunks_per_shard, **more
            ),
            self._dataset._look_again,
        )

    def _mag_like(self, mag: Any, shapes: Shapes, compress: bool | None) -> MagView:
        """Return a mag that is there, if it is as it is asked for."""
        view = self.get_mag(mag)
        info, chunks_per_shard = view.info, shapes.chunks_per_shard
        if shapes.shard_shape is None and chunks_per_shard is None:
            chunks_per_shard = info.chunks_per_shard
        asked = new_mag(
            info.data_format, info.voxel_type, info.num_channels,
            Shapes(shapes.chunk_shape or info.chunk_shape, shapes.shard_shape, chunks_per_shard), any_shape=True,
        )  # fmt: skip
        found = (info.chunk_shape.to_list(), info.chunks_per_shard.to_list())
        if (asked["chunk_shape"], asked["chunks_per_shard"]) != found or compress not in {None, info.compression_mode}:
            raise DatasetValueError(f"layer {self.name!r} has the mag {view.name}, but not as asked for: {info}")
        return view

    def add_mag_for_existing_files(self, mag: Any) -> MagView:
        """List a mag whose files lie in the layer's folder already, and return it.

        Raises
        ------
        ExistsError
            It is listed already.
        MagNotFoundError, VolumeDataError
            There are no such files, or they are damaged.
        DatasetValueError
            They do not have the layer's dtype and channels.
        """
        self._writable()
        return list_files(self, Mag(mag))

    def delete_mag(self, mag: Any) -> None:
        """Take a mag out of the layer, also one that is damaged, and delete its files.

        Files of other datasets stay, and those in a folder that other mags share.

        Raises
        ------
        MagNotFoundError
            There is none; the message lists those there are.
        """
        place, wanted = self._writable(), Mag(mag)
        try:
            self._entry_of(wanted)
        except MagNotFoundError:
            if place.finish_removal(self.name, wanted):
                return
            raise
        with place.removal(self._dataset._properties, self._properties, wanted):
            self._change(
                lambda entry: entry.set_mags([each for each in entry.mags if entry.mag_of(each) != wanted]),
            )
        self._settle()

    def add_mag_as_copy(
        self,
        foreign_mag_view_or_path: MagView | str | PathLike[str],
        *,
        mag: Any = None,
        extend_layer_bounding_box: bool = True,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        chunks_per_shard: Vec3IntLike | int | None = None,
        compress: bool | None = None,
        exists_ok: bool = False,
        executor: Any = None,
        progress_desc: str | None = None,
        progress: Progress = None,
    ) -> MagView:
        """Copy a mag of another layer, also from another dataset or format, and return the copy.

        Chunks that look the same in both are copied as they are; memory does not depend on the mag's size. Into a
        bucket, files of a mag that stays as it is are copied whole and many at once, within a bucket by its server.

        Parameters
        ----------
        foreign_mag_view_or_path
            The mag, or its folder in a dataset.
        mag
            What the copy is called; its voxels stay where they are, counted in voxels.
        extend_layer_bounding_box
            Grow the layer's box to hold the copy's.
        chunk_shape, shard_shape, chunks_per_shard, compress
            Default: as the other mag has them.
        exists_ok
            Replace a mag that is there already.
        progress_desc
            Show a bar of this title.
        progress
            ``True`` for a bar, or what is called with files done and in all.

        Raises
        ------
        ExistsError
            There is that mag already.
        DatasetValueError
            Dtype or channels differ, or the layer's format does not have such shapes.
        """
        self._writable()
        shapes = Shapes(chunk_shape, shard_shape, chunks_per_shard, compress)
        return copy_mag(
            self, foreign_mag_view_or_path, mag, shapes, extend=extend_layer_bounding_box, exists_ok=exists_ok,
            workers=Workers(executor, progress_desc is not None or progress, progress_desc or "copying"),
        )  # fmt: skip

    def add_mag_as_ref(
        self,
        foreign_mag_view_or_path: MagView | str | PathLike[str],
        *,
        mag: Any = None,
        extend_layer_bounding_box: bool = True,
    ) -> MagView:
        """Add a mag that refers to one of another layer, and return it; no voxel is copied.

        It is read-only here: :meth:`MagView.referenced_mag` is the way to write. Deleting it deletes the reference.

        Parameters
        ----------
        foreign_mag_view_or_path
            The mag, or its folder in a dataset.
        mag
            What it is called here; its voxels stay where they are, counted in voxels.
        extend_layer_bounding_box
            Grow the layer's box to hold the mag's.

        Raises
        ------
        ExistsError
            There is that mag already.
        DatasetValueError
            An ``AssertionError``: format, dtype or channels differ.
        DatasetError
            It has no files here.
        """
        self._writable()
        return add_mag_ref(self, foreign_mag_view_or_path, mag, extend=extend_layer_bounding_box)

    def add_remote_mag(
        self, foreign_mag_view_or_path: MagView | str | PathLike[str], *, extend_layer_bounding_box: bool = True
    ) -> MagView:
        """Add a mag by :meth:`add_mag_as_ref`, of which this is an older name.

        Parameters
        ----------
        foreign_mag_view_or_path, extend_layer_bounding_box
            As there.
        """
        warn("add_remote_mag is deprecated, use add_mag_as_ref", DeprecationWarning)
        return self.add_mag_as_ref(foreign_mag_view_or_path, extend_layer_bounding_box=extend_layer_bounding_box)

    def add_symlink_mag(
        self,
        foreign_mag_view_or_path: MagView | str | PathLike[str],
        *,
        make_relative: bool = False,
        extend_layer_bounding_box: bool = True,
    ) -> MagView:
        """Add a mag whose folder is a symbolic link to another's; :meth:`add_mag_as_ref` has taken its place.

        Parameters
        ----------
        make_relative
            The link is seen from this layer's folder, so that both can be moved together.
        extend_layer_bounding_box
            As of :meth:`add_mag_as_ref`.

        Raises
        ------
        ExistsError
            There is that mag already, or something in its folder's place.
        """
        warn("add_symlink_mag is deprecated, use add_mag_as_ref", DeprecationWarning)
        self._writable()
        return add_mag_link(self, foreign_mag_view_or_path, relative=make_relative, extend=extend_layer_bounding_box)

    def add_mag_from_zarrarray(
        self, mag: Any, path: str | PathLike[str], *, move: bool = False, extend_layer_bounding_box: bool = True
    ) -> MagView:
        """Take the files of a Zarr array as a mag, and return it.

        Parameters
        ----------
        mag
            What the array is the mag of.
        path
            Folder of the array; where it is relative, seen from the dataset's folder, as in the reference package.
        move
            Take the files away from there, in place of a copy.
        extend_layer_bounding_box
            Let the layer's box reach to the end of the array; its top left stays.

        Raises
        ------
        DatasetValueError
            A ``ValueError``: there is no array, or one of another format, dtype or number of channels than the layer's.
            Nothing was copied or moved.
        ExistsError
            There is that mag already.
        """
        self._writable()
        return take_array(self, Mag(mag), local_path(path, "an array"), move=move, extend=extend_layer_bounding_box)

    def downsample(
        self,
        *,
        from_mag: Mag | None = None,
        coarsest_mag: Mag | None = None,
        interpolation_mode: str = "default",
        compress: bool = True,
        sampling_mode: str | SamplingModes = SamplingModes.ANISOTROPIC,
        align_with_other_layers: bool | Dataset = True,
        buffer_shape: Vec3IntLike | int | None = None,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        force_sampling_scheme: bool = False,  # noqa: ARG002 - of the reference; any scheme is accepted that leads on
        allow_overwrite: bool = False,
        only_setup_mags: bool = False,
        from_mag_view: MagView | None = None,
        executor: Any = None,
        progress: Progress = None,
    ) -> None:
        """Make the coarser mags of a layer, each out of the one before.

        Parameters
        ----------
        from_mag
            Where to start; default: the coarsest mag there is.
        coarsest_mag
            Where to end; default: when the layer's longest edge is 100 voxels.
        interpolation_mode
            ``"mode"``, ``"median"``, ``"nearest"``, ``"max"`` or ``"min"``; ``"default"`` is mode for segmentations
            and median for images.
        sampling_mode
            ``"anisotropic"`` (towards cubes), ``"isotropic"`` or ``"constant_z"``.
        align_with_other_layers
            Take mags that other layers of this dataset, or of another one, have.
        buffer_shape
            Coarser voxels at once; only ``"nearest"`` depends on it.
        chunk_shape, shard_shape, compress
            Of the new mags, as in :meth:`add_mag`.
        force_sampling_scheme
            For scripts of the reference package; a scheme is refused only if a mag is no multiple of the one before.
        allow_overwrite
            Make mags anew that there are already.
        only_setup_mags
            Create the mags without voxels.
        from_mag_view
            Take the voxels of a mag of another layer.
        executor
            Of ``concurrent.futures``, or one like it; default: the core's threads.
        progress
            ``True`` for a bar, or what is called with files done and in all, of one mag after the other.

        Raises
        ------
        DatasetError
            A ``RuntimeError``: no sequence of mags leads to `coarsest_mag`, or the dataset is read-only.
        DatasetValueError
            A choice is none of those above.
        ExistsError
            There is one of the mags already.

        Examples
        --------
        >>> import numpy as np
        >>> from wkfast import Dataset
        >>> layer = Dataset(tmp_path / "new", voxel_size=(4, 4, 40)).add_layer("labels", "segmentation", dtype="uint32")
        >>> layer.add_mag(1).write(np.ones((64, 64, 64), "uint32"), allow_resize=True)
        >>> layer.downsample(coarsest_mag=Mag(4))
        >>> list(layer.mags)
        [Mag(1), Mag(2-2-1), Mag(4-4-1)]
        """
        self._writable()
        how = Downsampling(
            interpolation_mode, buffer_shape, Shapes(chunk_shape, shard_shape, compress=compress), allow_overwrite,
            only_setup_mags, Workers(executor, progress, "downsampling"),
        )  # fmt: skip
        downsampling.downsample(
            self, how, from_mag, coarsest_mag, sampling_mode, align_with_other_layers, from_mag_view
        )

    def downsample_mag(
        self,
        from_mag: Mag,
        target_mag: Mag,
        *,
        interpolation_mode: str = "default",
        compress: bool = True,
        buffer_shape: Vec3IntLike | int | None = None,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        allow_overwrite: bool = False,
        only_setup_mag: bool = False,
        from_mag_view: MagView | None = None,
        executor: Any = None,
        progress: Progress = None,
    ) -> None:
        """Make one mag out of a finer one; see :meth:`downsample`. The mag is listed when it is complete.

        Parameters
        ----------
        from_mag, target_mag
            The finer mag, and the one to make.
        interpolation_mode, compress, buffer_shape, chunk_shape, shard_shape
            As in :meth:`downsample`.
        allow_overwrite
            Make the mag anew if it is there already.
        only_setup_mag
            Create the mag without voxels.
        from_mag_view
            Take the voxels of a mag of another layer.
        executor
            Of ``concurrent.futures``, or one like it; default: the core's threads.
        progress
            ``True`` for a bar, or what is called with files done and in all.

        Raises
        ------
        DatasetValueError
            `target_mag` is no multiple of `from_mag`, or `from_mag_view` is of another dtype or number of channels.
        ExistsError
            There is `target_mag` already.
        """
        self._writable()
        how = Downsampling(
            interpolation_mode, buffer_shape, Shapes(chunk_shape, shard_shape, compress=compress), allow_overwrite,
            only_setup_mag, Workers(executor, progress, "downsampling"),
        )  # fmt: skip
        downsampling.downsample_mag(self, how, from_mag, target_mag, from_mag_view)

    def downsample_mag_list(
        self,
        from_mag: Mag,
        target_mags: list[Mag],
        *,
        interpolation_mode: str = "default",
        compress: bool = True,
        buffer_shape: Vec3IntLike | int | None = None,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        allow_overwrite: bool = False,
        only_setup_mags: bool = False,
        executor: Any = None,
        progress: Progress = None,
    ) -> None:
        """Make mags one out of the other, in the order given; see :meth:`downsample`.

        Parameters
        ----------
        from_mag
            The finest mag, which is there.
        target_mags
            The mags to make, finer ones first.
        interpolation_mode, compress, buffer_shape, chunk_shape, shard_shape
            As in :meth:`downsample`.
        allow_overwrite
            Make mags anew that are there already.
        only_setup_mags
            Create the mags without voxels.
        executor
            Of ``concurrent.futures``, or one like it; default: the core's threads.
        progress
            ``True`` for a bar, or what is called with files done and in all.

        Raises
        ------
        DatasetValueError
            The mags are not in ascending order.
        """
        self._writable()
        how = Downsampling(
            interpolation_mode, buffer_shape, Shapes(chunk_shape, shard_shape, compress=compress), allow_overwrite,
            only_setup_mags, Workers(executor, progress, "downsampling"),
        )  # fmt: skip
        downsampling.downsample_mags(self, how, from_mag, target_mags)

    def upsample(
        self,
        from_mag: Mag,
        *,
        from_mag_view: MagView | None = None,
        finest_mag: Mag = _FINEST,
        compress: bool = True,
        sampling_mode: str | SamplingModes = SamplingModes.ANISOTROPIC,
        align_with_other_layers: bool | Dataset = True,
        buffer_shape: Vec3IntLike | int | None = None,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        executor: Any = None,
        progress: Progress = None,
    ) -> None:
        """Make the finer mags of a layer, each out of the one before: every voxel is repeated.

        A mag is listed when it is complete. Boxes without data stay without.

        Parameters
        ----------
        from_mag
            Where to start.
        from_mag_view
            Take the voxels of that mag of another layer.
        finest_mag
            Where to end.
        sampling_mode, align_with_other_layers
            Which mags lie between, as of :meth:`downsample`.
        buffer_shape
            Finer voxels at once; default: a file of the new mag, 512³ at most.
        chunk_shape, shard_shape, compress
            Of the new mags, as in :meth:`add_mag`.
        executor
            Of ``concurrent.futures``, or one like it; default: one box after the other, on the core's threads.
        progress
            ``True`` for a bar, or what is called with boxes done and in all, of one mag after the other.

        Raises
        ------
        MagNotFoundError
            There is no `from_mag`.
        ExistsError
            There is one of the mags already.
        DatasetValueError
            A mag is no multiple of the next, or the voxels of `from_mag_view` are of another kind.

        Examples
        --------
        >>> import numpy as np
        >>> from wkfast import Dataset
        >>> layer = Dataset(tmp_path / "new", voxel_size=(4, 4, 4)).add_layer("labels", "segmentation", dtype="uint8")
        >>> layer.add_mag(4).write(np.ones((8, 8, 8), "uint8"), allow_resize=True)
        >>> layer.upsample(Mag(4))
        >>> list(layer.mags), int(layer.get_mag(1).read().sum())
        ([Mag(1), Mag(2), Mag(4)], 32768)
        """
        self._writable()
        shapes = Shapes(chunk_shape, shard_shape, compress=compress)
        how = Upsampling(shapes, buffer_shape, Workers(executor, progress, "upsampling"))
        upsample(self, how, Mag(from_mag), Mag(finest_mag), sampling_mode, align_with_other_layers, from_mag_view)

    def redownsample(
        self,
        *,
        interpolation_mode: str = "default",
        compress: bool = True,
        buffer_shape: Vec3IntLike | int | None = None,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        executor: Any = None,
        progress: Progress = None,
    ) -> None:
        """Make all mags but the finest anew, after the finest has changed.

        Parameters
        ----------
        interpolation_mode, compress, buffer_shape, chunk_shape, shard_shape
            As in :meth:`downsample`.
        executor
            Of ``concurrent.futures``, or one like it; default: the core's threads.
        progress
            ``True`` for a bar, or what is called with files done and in all.
        """
        self._writable()
        shapes = Shapes(chunk_shape, shard_shape, compress=compress)
        workers = Workers(executor, progress, "downsampling")
        downsampling.redownsample(self, Downsampling(interpolation_mode, buffer_shape, shapes, workers=workers))

    # -- for the rooms that do the work ---------------------------------------------------------------------------

    def _mag_names(self) -> str:
        return ", ".join(map(str, self._listed_mags())) or "none"

    def _listed_mags(self) -> list[Mag]:
        return list(self._entries)

    def _source(self, mag: Mag) -> VoxelSource:
        """Open what the voxels of a mag are read from."""
        source = self._place.open(self._properties, mag, self._entry_of(mag))
        unlisted = set(source.extra_axes) - self._properties.additional_axes.keys()
        if unlisted:
            raise DatasetError(
                f"mag {mag} of layer {self.name!r} has the axes {', '.join(sorted(unlisted))}, which its entry in "
                f"{self._properties.file} does not list; add them to its additionalAxes"
            )
        return source

    def _lengths(self, mag: Mag) -> dict[str, int]:
        """Return name and length of the axes of a mag's array, in its voxels; nothing where it has no files here."""
        folder = self._place.mag_folder(self._properties, mag, self._entry_of(mag))
        return {} if folder is None else lengths_of_array(self, folder)

    def _writable(self) -> WritablePlace:
        """Return the place to change the layer at; it says why not, if so."""
        return writable(self._place, self)

    def _change(self, change: Callable[[LayerProperties], None]) -> None:
        """Change the layer's entry as it is now, and take over what others wrote."""
        place, name = self._writable(), self.name
        place.update(self._dataset._properties, lambda fresh: change(fresh.layer(name)))
        self._dataset._forget_views()

    def _list_mag(self, added: Json, check: Callable[[], object] | None = None) -> None:
        """List a mag, unless `check` finds that it must not be."""
        mag = self._properties.mag_of(added)

        def change(entry: LayerProperties) -> None:
            if check is not None:
                check()
            entry.set_mags([*(each for each in entry.mags if entry.mag_of(each) != mag), added])

        try:
            self._change(change)
        except LayerNotFoundError:  # somebody has removed it meanwhile, and what was made for it is nobody's
            self._writable().forsake(self.name)
            raise
        self._settle()

    def _list_new_mag(self, added: Json, check: Callable[[], object] | None = None) -> None:
        """List a mag of which all was made here, or take that away."""
        with self._writable().listing(self._properties, added):
            self._list_mag(added, check)

    def _settle(self) -> None:
        described = self._dataset._properties
        self._writable().settle(self._properties, described.voxel_size, described.unit)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, dtype={self.dtype}, num_channels={self.num_channels})"

    def _repr_html_(self) -> str:
        return self._as_html(is_open=True)

    def _as_html(self, *, is_open: bool) -> str:
        box = self.bounding_box
        facts = {
            "type": f"{self.dtype}, {self.num_channels} channel(s)",
            "format": self.data_format.value,
            "mags": ", ".join(mag.to_layer_name() for mag in self.mags),
            "bounding box": f"{tuple(box.topleft)} + {tuple(box.size)} mag-1 voxels",
        }
        picture = [shown.thumbnail_as_html(self)] if is_open and self._place.is_near else []
        return html.card(f"{type(self).__name__} {self.name}", facts, picture, is_open=is_open)


@kept_by_entry(largest_segment_id=("largestSegmentId",))
class SegmentationLayer(Layer):
    """A layer whose voxels are segment ids, obtained from a dataset: ``dataset.get_segmentation_layers()``."""

    __slots__ = ()

    @property
    def attachments(self) -> Attachments:
        """Meshes, agglomerates and the like beside the voxels: listed and copied, not opened."""
        return Attachments(self)

    @property
    def largest_segment_id(self) -> int | None:
        """Largest id in use, ``None`` if nobody wrote it down."""
        return self._properties.largest_segment_id

    @largest_segment_id.setter
    def largest_segment_id(self, largest: int | None) -> None:
        self._writable()
        if largest is not None and not (isinstance(largest, int | np.integer) and 0 <= largest < 2**64):
            raise DatasetValueError(f"{largest!r} is no segment id: expected a whole number below 2⁶⁴, or None")
        self._change(lambda entry: entry.set_largest_segment_id(None if largest is None else int(largest)))

    def refresh_largest_segment_id(
        self,
        *,
        chunk_shape: Vec3IntLike | None = None,
        executor: Any = None,
    ) -> None:
        """Set :attr:`largest_segment_id` to the largest id there is in the finest mag, 0 if there is none.

        Only chunks with data are read, one file after another.

        Parameters
        ----------
        chunk_shape
            Size of what is read at once, in mag-1 voxels; default: 256³ voxels of the mag.
        executor
            Whose workers read, as in :meth:`downsample`; default: this process.
        """
        self._writable()
        finest = self.get_finest_mag()
        size = Vec3Int(chunk_shape) if chunk_shape is not None else finest.mag.to_vec3_int() * _PIECE
        boxes = [
            part.bounding_box
            for view in finest.get_views_on_disk(read_only=True)
            for part in view.chunk(size, chunk_border_alignments=size)
        ]
        self.largest_segment_id = largest_label(finest, boxes, executor)
