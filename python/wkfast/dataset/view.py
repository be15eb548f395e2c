"""Voxels of one mag within a box: what mags and views of parts of them have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast._lazy import lazy_import
from wkfast._warnings import warn
from wkfast.dataset import shown
from wkfast.dataset.additional_axes import (
    axes_of_array,
    completed,
    from_cxyz,
    in_frame_order,
    is_flat,
    moved,
    read_box,
    slices_of,
    to_cxyz,
    write_box,
)
from wkfast.dataset.box_work import is_equal
from wkfast.dataset.chunk_loops import for_each_chunk, for_zipped_chunks, map_chunk
from wkfast.dataset.data_format import DataFormat
from wkfast.dataset.kept import kept_by_entry
from wkfast.dataset.place import writable
from wkfast.dataset.slices import BufferedSliceReader, BufferedSliceWriter, slice_writer
from wkfast.dataset.slots import state_without
from wkfast.errors import DatasetValueError, ReadOnlyError, VoxelTypeError
from wkfast.geometry import BoundingBox, Mag, NDBoundingBox, NormalizedBoundingBox, Vec3Int, VecInt
from wkfast.geometry.bounding_box import as_box
from wkfast.geometry.constants import CXYZ_AXES, XYZ_AXES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from wkfast.dataset.dataset import Dataset
    from wkfast.dataset.layer import Layer
    from wkfast.dataset.layer_properties import Json
    from wkfast.dataset.place import WritablePlace
    from wkfast.dataset.voxel_source import VoxelSource
    from wkfast.geometry import Vec3IntLike
    from wkfast.geometry.vec_int import VecIntLike
else:
    np = lazy_import("numpy")


@dataclass(frozen=True)
class MagInfo:
    """How a mag is stored. Shapes are x, y, z in voxels of the mag."""

    data_format: DataFormat
    voxel_type: np.dtype[Any]
    num_channels: int
    chunk_shape: Vec3Int
    shard_shape: Vec3Int
    chunks_per_shard: Vec3Int
    compression_mode: bool
    _extent: Callable[[], NormalizedBoundingBox] = field(repr=False, compare=False)

    @property
    def bounding_box(self) -> NormalizedBoundingBox:
        """Extent of the array from its origin on, in voxels of the mag. WKW has none: it is 0 along x, y, z there."""
        return self._extent()


@kept_by_entry(mag=(), read_only=())
class View(_core.Keeper):
    """A box of one mag, obtained from :meth:`get_view` or :meth:`chunk`; a :class:`MagView` is one of a whole layer."""

    __slots__ = ("__weakref__", "_box_in_mag1", "_boxes", "_check", "_layer", "_mag", "_opened", "_read_only")

    def __init__(
        self,
        layer: Layer,
        mag: Mag,
        source: VoxelSource | None = None,
        *,
        box: NDBoundingBox | None = None,
        read_only: bool = False,
    ) -> None:
        self._layer = layer
        self._mag = mag
        self._opened = source
        # What tells whether the files are still what was opened, where there are any.
        self._check: Callable[[], None] = _nothing_to_check
        self._box_in_mag1 = box
        self._read_only = read_only
        self._boxes: tuple[NDBoundingBox, NDBoundingBox] | None = None

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        """Return what another process needs to open the same voxels: all but the open files."""
        return state_without(self, _opened=None, _check=_nothing_to_check)

    def _kept_by(self) -> tuple[Json, Dataset]:
        """Return what properties follow from: the layer's entry, and changes of its dataset."""
        return self._layer._kept_by()

    @property
    def _source(self) -> VoxelSource:
        """What the voxels are read from, opened when it is needed first."""
        if self._opened is None:
            self._opened = self._layer._source(self._mag)
            self._check = getattr(self._opened, "check", _nothing_to_check)
        return self._opened

    @property
    def mag(self) -> Mag:
        """The magnification."""
        return self._mag

    @property
    def bounding_box(self) -> NDBoundingBox:
        """Box of the view in mag-1 voxels, whole voxels of the mag."""
        frame = self._frame
        if self._boxes is None or self._boxes[0] is not frame:
            self._boxes = frame, frame.align_with_mag(self._mag, ceil=True)
        return self._boxes[1]

    @property
    def normalized_bounding_box(self) -> NormalizedBoundingBox:
        """The same with an axis for the channels."""
        return self._layer._normalized(self.bounding_box)

    @property
    def data_format(self) -> DataFormat:
        """How the voxels are stored."""
        return self.info.data_format

    @property
    def read_only(self) -> bool:
        """Whether writing is refused."""
        return self._read_only or self._layer.read_only

    @property
    def info(self) -> MagInfo:
        """Format, type and shapes."""
        source = self._source
        chunk, per_shard = Vec3Int(source.chunk_shape), Vec3Int(source.chunks_per_shard)
        return MagInfo(
            data_format=DataFormat(source.data_format),
            voxel_type=self.get_dtype(),
            num_channels=source.channels,
            chunk_shape=chunk,
            shard_shape=chunk * per_shard,
            chunks_per_shard=per_shard,
            compression_mode=source.compressed,
            _extent=self._array_box,
        )

    def _array_box(self) -> NormalizedBoundingBox:
        """Return the extent of the array; of one without files here, up to the end of the layer's box."""
        layer = self._layer
        whole = layer._normalized(layer.bounding_box).in_mag(self._mag)
        ends = dict(zip(whole.axes, whole.bottomright, strict=True)) | layer._lengths(self._mag)
        return NormalizedBoundingBox([0] * whole.ndim, [ends[axis] for axis in whole.axes], whole.axes, whole.index)

    @property
    def num_channels(self) -> int:
        """Values per voxel."""
        return self._source.channels

    def get_dtype(self) -> np.dtype[Any]:
        """Return the type of a voxel's channel."""
        return np.dtype(self._source.dtype)

    @property
    def _frame(self) -> NDBoundingBox:
        """The box as it is written down, which may end within a voxel of the mag."""
        return self._layer.bounding_box if self._box_in_mag1 is None else self._box_in_mag1

    @property
    def _frame_of_arrays(self) -> NDBoundingBox:
        """What relative positions count from, along all axes that arrays have by default."""
        return self._layer._along_axes_of_arrays(self.bounding_box)

    def read(
        self,
        size: Vec3IntLike | None = None,
        *,
        relative_offset: Vec3IntLike | None = None,
        absolute_offset: Vec3IntLike | None = None,
        relative_bounding_box: NDBoundingBox | None = None,
        absolute_bounding_box: NDBoundingBox | None = None,
    ) -> NDArray[Any]:
        """Return voxels as an array (c, x, y, z) in Fortran order; what was never written is zero.

        A layer whose arrays have other axes, or the same in another order, yields an array along those, e.g. (z, y, x)
        or (c, t, x, y, z): the ``axes`` of :attr:`normalized_bounding_box`. :meth:`read_cxyz` does not depend on them.

        Parameters
        ----------
        size
            In mag-1 voxels; default: up to the end of the box. Three numbers mean x, y, z: further axes come whole.
            Alone, without any offset, it counts voxels of this mag, as of old, and warns where that differs.
        absolute_offset, relative_offset
            Top left in mag-1 voxels, from the origin or from the box; default: the box's.
        absolute_bounding_box, relative_bounding_box
            Both at once. An ``NDBoundingBox`` with all of the layer's axes yields an array in its own order; axes that
            it lacks come whole.

        Raises
        ------
        DatasetValueError
            A ``ValueError``: the choices contradict each other, or the box is empty or does not lie on voxels of this
            mag; ``BoundingBox.align_with_mag`` makes one that does.
        VolumeDataError
            A chunk is corrupt; the message names file and chunk.
        """
        # asked one by one, as small boxes are read by thousands
        at_offset = absolute_offset is not None and relative_offset is None
        boxless = relative_bounding_box is None and absolute_bounding_box is None
        if at_offset and boxless and size is not None and self._layer._is_plain:
            return self._source.read(*self._in_mag(absolute_offset, size))  # type: ignore[arg-type] # given, see above
        box = self._box(absolute_offset, relative_offset, size, absolute_bounding_box, relative_bounding_box)
        if is_flat(box) and self._layer._is_plain:
            return self._source.read(*self._in_mag(box.topleft_xyz, box.size_xyz))
        given = relative_bounding_box if absolute_bounding_box is None else absolute_bounding_box
        return self._read_along(box, axes_of_array(given, self._frame_of_arrays))

    def read_cxyz(
        self,
        size: Vec3IntLike | None = None,
        *,
        relative_offset: Vec3IntLike | None = None,
        absolute_offset: Vec3IntLike | None = None,
        relative_bounding_box: NDBoundingBox | None = None,
        absolute_bounding_box: NDBoundingBox | None = None,
    ) -> NDArray[Any]:
        """Return voxels as an array (c, x, y, z), whatever the axes of the layer's arrays; see :meth:`read`.

        Parameters
        ----------
        size, relative_offset, absolute_offset, relative_bounding_box, absolute_bounding_box
            As of :meth:`read`.

        Raises
        ------
        DatasetValueError
            As of :meth:`read`, or the box has several slices along an additional axis.
        """
        box = self._box(absolute_offset, relative_offset, size, absolute_bounding_box, relative_bounding_box)
        extra = slices_of(box)
        return self._read_along(box, (*CXYZ_AXES, *extra)).reshape(-1, *self._extent_in_mag(box), order="F")

    def read_xyz(
        self,
        *,
        relative_bounding_box: NDBoundingBox | None = None,
        absolute_bounding_box: NDBoundingBox | None = None,
    ) -> NDArray[Any]:
        """Return voxels as by :meth:`read_cxyz`, of which this is an older name.

        Parameters
        ----------
        relative_bounding_box, absolute_bounding_box
            As of :meth:`read`.
        """
        warn("read_xyz is deprecated, use read_cxyz", DeprecationWarning)
        return self.read_cxyz(relative_bounding_box=relative_bounding_box, absolute_bounding_box=absolute_bounding_box)

    def plot_slice(self, plane: str = "xy", position: int | None = None) -> Figure:
        """Return a figure of a plane of this box, with a scale bar in µm; see :meth:`Layer.plot_slice`.

        Parameters
        ----------
        plane, position
            As those of :meth:`Layer.plot_slice`, which says what is raised, too.
        """
        return shown.plot(shown.plane_of(self._layer, self, plane, position))

    def _read_along(self, box: NDBoundingBox, axes: Sequence[str]) -> NDArray[Any]:
        """Return a box with the axes of an array."""
        whole = completed(box, self._frame_of_arrays)
        self._check_on_voxels(whole)
        return read_box(self._source, whole.in_mag(self._mag), axes)

    def _extent_in_mag(self, box: NDBoundingBox) -> tuple[int, int, int]:
        return _triple(box.size_xyz // self._mag.to_vec3_int())

    def _in_mag(self, topleft: Vec3IntLike, size: Vec3IntLike) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Return a box in voxels of the mag, which it lies on. Plain numbers: small boxes are read by thousands."""
        (left, top, front), (width, height, depth) = (_numbers(topleft), _numbers(size))
        x, y, z = self._mag.to_tuple()
        if width <= 0 or height <= 0 or depth <= 0:
            raise DatasetValueError(f"a box of the size {width, height, depth} holds no voxel")
        if left % x or width % x or top % y or height % y or front % z or depth % z:
            self._check_on_voxels(BoundingBox((left, top, front), (width, height, depth)))
        return (left // x, top // y, front // z), (width // x, height // y, depth // z)

    def write(
        self,
        data: NDArray[Any],
        *,
        allow_unaligned: bool = False,
        relative_offset: Vec3IntLike | None = None,
        absolute_offset: Vec3IntLike | None = None,
        relative_bounding_box: NDBoundingBox | None = None,
        absolute_bounding_box: NDBoundingBox | None = None,
    ) -> None:
        """Write voxels (c, x, y, z), or (x, y, z) where there is one channel.

        A layer whose arrays have other axes takes an array along those, in the order of :meth:`read`.

        Any number of threads and processes may write at once: those that share a shard wait for each other, and every
        shard is replaced as a whole. Who writes a part of a shard rewrites all of it, so whole shards are fastest.

        Parameters
        ----------
        data
            Voxels of the mag; another dtype is converted if that changes no value, or rounds longer floats.
        allow_unaligned
            Accept a box that covers shards in part, other than at the ends of the layer's box.
        absolute_offset, relative_offset
            Top left in mag-1 voxels, from the origin or from the box; default: the box's.
        absolute_bounding_box, relative_bounding_box
            The same with a size, which must be that of `data`.

        Raises
        ------
        DatasetValueError
            A ``ValueError``: shape, dtype or place do not fit. Nothing was written.
        ReadOnlyError
            A ``RuntimeError``: the data are read-only.
        VolumeDataError
            A partly covered chunk is corrupt, or the file system refuses; each shard is as it was, or complete.
        """
        self._writable()
        voxels, box = self._placed(data, absolute_offset, relative_offset, absolute_bounding_box, relative_bounding_box)
        if not self.bounding_box.contains_bbox(box):
            raise DatasetValueError(f"{box} does not lie in {self.bounding_box}, the box of {self!r}")
        self._put(voxels, box, None if allow_unaligned else self._layer.bounding_box)

    def write_cxyz(
        self,
        data: NDArray[Any],
        *,
        allow_unaligned: bool = False,
        relative_offset: Vec3IntLike | None = None,
        absolute_offset: Vec3IntLike | None = None,
        relative_bounding_box: NDBoundingBox | None = None,
        absolute_bounding_box: NDBoundingBox | None = None,
    ) -> None:
        """Write voxels (c, x, y, z), whatever the axes of arrays; see :meth:`write`, :meth:`read_cxyz`.

        Parameters
        ----------
        data
            Also (x, y, z) where there is one channel.
        allow_unaligned, relative_offset, absolute_offset, relative_bounding_box, absolute_bounding_box
            As of :meth:`write`.
        """
        voxels, where = self._from_cxyz(
            data, absolute_offset, relative_offset, absolute_bounding_box, relative_bounding_box
        )
        self.write(voxels, allow_unaligned=allow_unaligned, **where)

    def _from_cxyz(
        self,
        data: NDArray[Any],
        absolute_offset: Vec3IntLike | None,
        relative_offset: Vec3IntLike | None,
        absolute_bounding_box: NDBoundingBox | None,
        relative_bounding_box: NDBoundingBox | None,
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Return voxels (c, x, y, z) along the axes of arrays, and where they go, as :meth:`write` takes both."""
        voxels = from_cxyz(_array(data), self._frame_of_arrays)
        if absolute_bounding_box is None and relative_bounding_box is None:
            return voxels, {"absolute_offset": absolute_offset, "relative_offset": relative_offset}
        box = self._box(absolute_offset, relative_offset, None, absolute_bounding_box, relative_bounding_box)
        return voxels, {"absolute_bounding_box": completed(box, self._frame_of_arrays)}

    def get_view(
        self,
        size: Vec3IntLike | None = None,
        *,
        relative_offset: Vec3IntLike | None = None,
        absolute_offset: Vec3IntLike | None = None,
        relative_bounding_box: NDBoundingBox | None = None,
        absolute_bounding_box: NDBoundingBox | None = None,
        read_only: bool | None = None,
    ) -> View:
        """Return a part of this view; positions are given as in :meth:`read`.

        Parameters
        ----------
        size, relative_offset, absolute_offset, relative_bounding_box, absolute_bounding_box
            Which part, in mag-1 voxels, as in :meth:`read`.
        read_only
            Refuse to write through the part; default: as this view does.

        Raises
        ------
        DatasetValueError
            The part is larger than the view, which only read-only ones may be, or does not lie on voxels of the mag.
        """
        box = self._box(absolute_offset, relative_offset, size, absolute_bounding_box, relative_bounding_box)
        self._check_on_voxels(box)
        ours = self.read_only if not read_only else True
        only_read = ours if read_only is None else read_only
        if ours and not only_read:
            raise ReadOnlyError(f"{self!r} is read-only: a view of it cannot be writable")
        if not only_read and not self.bounding_box.contains_bbox(box):
            raise DatasetValueError(
                f"{box} does not lie in {self.bounding_box}; only read-only views may reach out of it"
            )
        return View(self._layer, self._mag, self._source, box=box, read_only=only_read)

    def chunk(
        self,
        chunk_shape: VecIntLike,
        *,
        chunk_border_alignments: VecIntLike | None = None,
        read_only: bool | None = None,
    ) -> Iterator[View]:
        """Yield views that tile this one.

        Parameters
        ----------
        chunk_shape
            Size of a tile in mag-1 voxels; those at the end are smaller. Three numbers mean x, y, z, and
            tiles that are slices along all additional axes.
        chunk_border_alignments
            Borders lie on multiples of these; default: they count from the top left.
        """
        for box in self.bounding_box.chunk(chunk_shape, chunk_border_alignments):
            yield self.get_view(absolute_bounding_box=box, read_only=read_only)

    def for_each_chunk(
        self,
        func_per_chunk: Callable[[tuple[View, int]], None],
        *,
        chunk_shape: Vec3IntLike | None = None,
        executor: Any = None,
        progress_desc: str | None = None,
    ) -> None:
        """Call a function for every chunk: it gets a pair of a view and the chunk's number.

        Parameters
        ----------
        func_per_chunk
            With an executor of processes it must be one that pickle takes: of a module, not a lambda.
        chunk_shape
            In mag-1 voxels, at multiples of itself; default: the files of the mag. Where the view is writable it must
            be whole files, so that no two calls write the same.
        executor
            Of ``concurrent.futures``, or one like it; default: one call after the other, in this process.
        progress_desc
            Show a bar of this title.

        Raises
        ------
        DatasetValueError
            `chunk_shape` is not whole files.
        Exception
            What the function raises. Calls that wait are not made.

        Examples
        --------
        >>> import numpy as np
        >>> from wkfast import Dataset
        >>> dataset = Dataset(tmp_path / "new", voxel_size=(4, 4, 40))
        >>> mag = dataset.write_layer("c", "color", np.ones((64, 64, 64), "uint8"), shard_shape=32).get_mag(1)
        >>> def double(chunk):
        ...     view, number = chunk
        ...     view.write(2 * view.read())
        >>> mag.for_each_chunk(double)
        >>> int(mag.read().sum()) == 2 * 64**3
        True
        """
        for_each_chunk(self, func_per_chunk, chunk_shape, executor, progress_desc)

    def map_chunk(
        self,
        func_per_chunk: Callable[[View], Any],
        *,
        chunk_shape: Vec3IntLike | None = None,
        executor: Any = None,
        progress_desc: str | None = None,
    ) -> list[Any]:
        """Return what a function makes of the view of every chunk, in their order; see :meth:`for_each_chunk`.

        Parameters
        ----------
        func_per_chunk, chunk_shape, executor, progress_desc
            As there, but that the function gets the view alone.
        """
        return map_chunk(self, func_per_chunk, chunk_shape, executor, progress_desc)

    def for_zipped_chunks(
        self,
        func_per_chunk: Callable[[tuple[View, View, int]], None],
        target_view: View,
        *,
        source_chunk_shape: Vec3IntLike | None = None,
        target_chunk_shape: Vec3IntLike | None = None,
        executor: Any = None,
        progress_desc: str | None = None,
    ) -> None:
        """Call a function for pairs of chunks of this view and another: it gets both views and the pair's number.

        Parameters
        ----------
        target_view
            Its chunks are paired with those of this view, in order.
        source_chunk_shape, target_chunk_shape
            In mag-1 voxels, counted from the top left of each view; default: the larger files of the two, and shapes in
            the ratio of the two boxes.
        func_per_chunk, executor, progress_desc
            As of :meth:`for_each_chunk`.

        Raises
        ------
        DatasetValueError
            There are not as many chunks in both.
        """
        for_zipped_chunks(
            self, func_per_chunk, target_view, source_chunk_shape, target_chunk_shape, executor, progress_desc
        )

    def get_buffered_slice_reader(
        self,
        buffer_size: int | None = None,
        dimension: str | int = "z",
        *,
        relative_bounding_box: NDBoundingBox | None = None,
        absolute_bounding_box: NDBoundingBox | None = None,
        use_logging: bool = False,  # noqa: ARG002 - of the reference
    ) -> BufferedSliceReader:
        """Return what yields slices (c, x, y), or along another axis, in a ``with`` block; they are read in buffers.

        Parameters
        ----------
        buffer_size
            How many slices are read at once; default: as many as a file is thick.
        dimension
            ``"x"``, ``"y"`` or ``"z"``, or its place.
        absolute_bounding_box, relative_bounding_box
            Default: the view's box.

        Examples
        --------
        >>> import numpy as np
        >>> from wkfast import Dataset
        >>> dataset = Dataset(tmp_path / "new", voxel_size=(4, 4, 40))
        >>> mag = dataset.write_layer("c", "color", np.ones((20, 30, 40), "uint8")).get_mag(1)
        >>> with mag.get_buffered_slice_reader() as reader:
        ...     [piece.shape for piece in reader][-1]
        (1, 20, 30)
        """
        box = self._box(None, None, None, absolute_bounding_box, relative_bounding_box)
        return BufferedSliceReader(self, box, buffer_size, dimension)

    def get_buffered_slice_writer(
        self,
        buffer_size: int | None = None,
        dimension: str | int = "z",
        *,
        relative_offset: Vec3IntLike | None = None,
        absolute_offset: Vec3IntLike | None = None,
        relative_bounding_box: NDBoundingBox | None = None,
        absolute_bounding_box: NDBoundingBox | None = None,
        use_logging: bool = False,  # noqa: ARG002 - of the reference
        allow_unaligned: bool = False,
    ) -> BufferedSliceWriter:
        """Return what takes slices by ``send`` in a ``with`` block and writes them in buffers, the last at its end.

        Parameters
        ----------
        buffer_size
            How many slices are held; default: as many as a file is thick.
        dimension
            ``"x"``, ``"y"`` or ``"z"``, or its place.
        absolute_offset, relative_offset
            Where the first slice lies; default: the top left of the view.
        absolute_bounding_box, relative_bounding_box
            The same with an end behind which nothing is taken.
        allow_unaligned
            Accept slices that begin, or end, within files.

        Raises
        ------
        DatasetValueError
            The first slice lies within a file.
        """
        self._writable()
        box = self._box(absolute_offset, relative_offset, None, absolute_bounding_box, relative_bounding_box)
        bounded = absolute_bounding_box is not None or relative_bounding_box is not None
        return slice_writer(self, box, buffer_size, dimension, bounded=bounded, allow_unaligned=allow_unaligned)

    def content_is_equal(
        self,
        other: View,
        *,
        executor: Any = None,
        progress_desc: str | None = None,  # noqa: ARG002 - of the reference, whose bar is not drawn
        chunk_shape: Vec3IntLike | None = None,
    ) -> bool:
        """Return whether `other` has the same box and the same voxels. It is read in pieces.

        Parameters
        ----------
        executor
            Whose workers compare, as in :meth:`Annotation.merge_fallback_layer`; default: this process, up to the first
            difference.
        progress_desc
            For scripts of the reference package.
        chunk_shape
            Size of a piece in mag-1 voxels; default: about 64 MB.
        """
        if self.bounding_box != other.bounding_box or self.num_channels != other.num_channels:
            return False
        shape = Vec3Int(chunk_shape) if chunk_shape is not None else self._mag.to_vec3_int() * 256
        return is_equal(self, other, list(self.bounding_box.chunk(shape, shape)), executor)

    def _writable(self) -> WritablePlace:
        """Return the place that is written to; it says why not, if so."""
        if self._read_only:
            raise ReadOnlyError(f"{self!r} is read-only: it was made so, or is a part of what is")
        return writable(self._layer._place, self)

    def _put(self, voxels: NDArray[Any], box: NDBoundingBox, whole: NDBoundingBox | None) -> None:
        """Write into a box; given `whole`, the layer's, only if it covers shards as far as `whole` reaches."""
        self._writable()
        in_mag = box.in_mag(self._mag)
        if whole is not None:
            self._check_aligned(in_mag, whole.align_with_mag(self._mag, ceil=True).in_mag(self._mag))
        if is_flat(box):
            if not self._layer._is_plain:
                voxels = to_cxyz(voxels, self._layer._axes_of_arrays)
            self._source.write(_triple(in_mag.topleft_xyz), voxels)  # type: ignore[attr-defined] # writable places have sources that are written to
        else:
            write_box(self._source, in_mag, voxels)

    def _placed(
        self,
        data: NDArray[Any],
        absolute_offset: Vec3IntLike | None,
        relative_offset: Vec3IntLike | None,
        absolute_bounding_box: NDBoundingBox | None,
        relative_bounding_box: NDBoundingBox | None,
    ) -> tuple[NDArray[Any], NDBoundingBox]:
        """Return the voxels in the mag's dtype, channels first, and the box in mag-1 voxels that they are to fill."""
        _check_one(absolute_offset, relative_offset, absolute_bounding_box, relative_bounding_box)
        given = relative_bounding_box if absolute_bounding_box is None else absolute_bounding_box
        frame = self._frame_of_arrays
        voxels = in_frame_order(_array(data), given, frame, self.num_channels)
        channels = voxels.shape[frame.axes.index("c")] if "c" in frame.axes else 1
        if channels != self.num_channels:
            axes = ", ".join(str(self.num_channels) if axis == "c" else axis for axis in frame.axes)
            raise DatasetValueError(f"an array of the shape {np.shape(data)} is not ({axes})")
        voxels = self._converted(voxels)
        scale = dict(zip("xyz", self._mag.to_tuple(), strict=True))
        size = [extent * scale.get(axis, 1) for axis, extent in zip(frame.axes, voxels.shape, strict=True)]
        if given is None:
            corner = self._corner(absolute_offset, relative_offset)
            asked = completed(self.bounding_box.with_topleft(corner), frame).with_size(size)
        else:
            asked = completed(self._box(None, None, None, absolute_bounding_box, relative_bounding_box), frame)
        self._check_target(asked, asked.with_size(size))
        return voxels, self._plain(asked.with_size(size))

    def _converted(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Return `voxels` in the mag's dtype, which must hold all of them."""
        dtype = self.get_dtype()
        if voxels.dtype == dtype:
            return voxels.astype(dtype, copy=False)
        converted = _same_values(voxels, dtype)
        if converted is None:
            raise VoxelTypeError(f"values of {voxels.dtype} do not fit into {dtype}, the type of {self!r}")
        return converted

    def _check_target(self, asked: NDBoundingBox, filled: NDBoundingBox) -> None:
        """Refuse to write into the box `asked` for with an array that fills another one."""
        self._check_on_voxels(filled)
        if asked.align_with_mag(self._mag, ceil=True).size != filled.size:
            raise DatasetValueError(f"{asked} is not filled by an array that makes up {filled} in mag {self._mag}")
        if min(filled.topleft.to_tuple()) < 0:
            raise DatasetValueError(f"{filled} cannot be written: it begins at a negative coordinate")

    def _plain(self, box: NDBoundingBox) -> NDBoundingBox:
        """Return a box of all channels without them where the layer's box does without."""
        return BoundingBox(box.topleft_xyz, box.size_xyz) if is_flat(self._layer.bounding_box) else box

    def _check_on_voxels(self, box: NDBoundingBox) -> None:
        if box.align_with_mag(self._mag) != box:
            raise DatasetValueError(f"{box} does not lie on voxels of mag {self._mag}; see BoundingBox.align_with_mag")

    def _check_aligned(self, box: NDBoundingBox, edge: NDBoundingBox) -> None:
        """Refuse a box that covers shards in part, other than at the ends of `edge`; both in voxels of the mag."""
        shard = self.info.shard_shape
        start, end, first, last = box.topleft_xyz, box.bottomright_xyz, edge.topleft_xyz, edge.bottomright_xyz
        for axis in range(3):
            starts = start[axis] % shard[axis] == 0 or start[axis] <= first[axis]
            ends = end[axis] % shard[axis] == 0 or end[axis] >= last[axis]
            if not (starts and ends):
                raise DatasetValueError(
                    f"{box} (in mag {self._mag}) is not aligned with shards of {shard}: each would be rewritten for a "
                    "part of it. Write whole shards, or pass allow_unaligned=True"
                )

    def _box(
        self,
        absolute_offset: Vec3IntLike | None,
        relative_offset: Vec3IntLike | None,
        size: Vec3IntLike | None,
        absolute_bounding_box: NDBoundingBox | None,
        relative_bounding_box: NDBoundingBox | None,
    ) -> NDBoundingBox:
        """Return the box that the choices mean, along the axes of arrays if it is not a plain one of x, y, z."""
        _check_one(absolute_offset, relative_offset, absolute_bounding_box, relative_bounding_box)
        box = None if absolute_bounding_box is None else as_box(absolute_bounding_box)
        if relative_bounding_box is not None:
            box = moved(as_box(relative_bounding_box), self.bounding_box)
        if box is None:
            box = self._box_at(self._corner(absolute_offset, relative_offset), size)
            if size is not None and absolute_offset is None and relative_offset is None:
                box = box.with_size(self._old_size(box.size))
        if min(box.size.to_tuple()) <= 0:
            raise DatasetValueError(f"{box} holds no voxel: every extent must be positive")
        return box if is_flat(box) and is_flat(self._frame) else completed(box, self._frame_of_arrays)

    def _box_at(self, topleft: VecInt, size: Vec3IntLike | None) -> NDBoundingBox:
        frame = self.bounding_box
        rest = frame.bottomright - topleft
        extent = rest if size is None else _along(frame, size, rest)
        if min(extent.to_tuple()) <= 0:
            raise DatasetValueError(f"a box of the size {extent} holds no voxel: every extent must be positive")
        return frame.with_topleft(topleft).with_size(extent)

    def _old_size(self, size: VecInt) -> VecInt:
        """Return a size in mag-1 voxels that a caller gave alone: of old, it counts voxels of the mag."""
        factor = self._mag.to_vec3_int()
        if factor == Vec3Int.ones():
            return size
        warn(
            f"a size without an offset counts voxels of the mag, here {self._mag}: give relative_offset=(0, 0, 0) and "
            "the size in mag-1 voxels",
            DeprecationWarning,
        )
        return size.with_xyz(size.xyz * factor)

    def _corner(self, absolute_offset: Vec3IntLike | None, relative_offset: Vec3IntLike | None) -> VecInt:
        """Return a top left in mag-1 voxels, along the axes of the box."""
        frame = self.bounding_box
        if absolute_offset is not None:
            return _along(frame, absolute_offset, frame.topleft)
        if relative_offset is not None:
            return frame.topleft + _along(frame, relative_offset, frame.topleft * 0)
        return frame.topleft

    def __repr__(self) -> str:
        return f"View({self._layer.name!r}, mag={self._mag}, bounding_box={self.bounding_box})"


def _nothing_to_check() -> None:
    pass


def _array(data: Any) -> NDArray[Any]:
    try:
        return np.asarray(data)
    except ValueError as error:
        raise DatasetValueError(f"voxels must be an array: {error}") from None


def _same_values(voxels: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Return `voxels` in another type, ``None`` if it does not hold all of them; longer floats may be rounded."""
    if voxels.dtype.kind not in "biufO":
        return None
    try:
        with np.errstate(invalid="ignore", over="ignore"):
            converted = voxels.astype(dtype)
            if (voxels.dtype.kind, dtype.kind) == ("f", "f"):
                same = np.array_equal(np.isfinite(converted), np.isfinite(voxels))
            else:
                same = np.array_equal(converted, voxels)
                if same and "f" in {voxels.dtype.kind, dtype.kind}:
                    # There and back, as the comparison rounds both to floats.
                    same = np.array_equal(converted.astype(voxels.dtype), voxels) and not _reaches(voxels, dtype)
    except (OverflowError, TypeError, ValueError):
        return None
    return converted if same else None


def _reaches(voxels: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    """Return whether floats reach the first number beyond an integer type, which its largest is rounded to."""
    floats = voxels.dtype.kind == "f" and dtype.kind in "iu"
    return floats and bool((voxels >= float(np.iinfo(dtype).max) + 1).any())


def _check_one(*choices: object) -> None:
    if sum(choice is not None for choice in choices) > 1:
        raise DatasetValueError("give one offset or one bounding box, absolute or relative")


def _numbers(vector: Vec3IntLike) -> tuple[int, ...]:
    """Return three whole numbers; a tuple of them is taken as it is."""
    if type(vector) is tuple and len(vector) == len(XYZ_AXES):
        x, y, z = vector
        if type(x) is int and type(y) is int and type(z) is int:
            return vector
    return Vec3Int(vector).to_tuple()


def _along(frame: NDBoundingBox, vector: VecIntLike, default: VecInt) -> VecInt:
    """Return a vector along the axes of `frame`; one of x, y, z only is filled up."""
    if not is_flat(frame) and len(tuple(vector)) == frame.ndim:
        return VecInt(vector, axes=frame.axes)
    return default.with_xyz(Vec3Int(vector))


def _triple(vector: Vec3Int) -> tuple[int, int, int]:
    x, y, z = vector.to_tuple()
    return x, y, z
