"""The compiled core. `tests/test_stub.py` compares this file with the built module, name by name."""

from array import array
from collections.abc import Callable, Iterable, Iterator, KeysView, Sequence
from os import PathLike
from typing import Any, Literal, NotRequired, Self, SupportsIndex, TypedDict, overload

import numpy as np
from numpy.typing import NDArray

from wkfast.geometry import Vec3Float, Vec3FloatLike, Vec3Int, Vec3IntLike, VecInt, VecIntLike
from wkfast.geometry._box import Look as BoxLook
from wkfast.skeleton.tree import Tree

__version__: str
DEBUG_BUILD: bool

# Geometry

class IntVector(Sequence[int]):
    """Integers along named axes: what ``VecInt`` inherits."""

    @property
    def _data(self) -> tuple[int, ...]: ...
    @property
    def axes(self) -> tuple[str, ...]: ...
    def __new__(cls, *args: Any, axes: Iterable[str] | None = None, **named: int) -> Self: ...
    @classmethod
    def _of(cls, values: tuple[int, ...], axes: tuple[str, ...] | None = None, /) -> Self: ...
    def _like(self, values: tuple[int, ...], /) -> Self: ...
    def _ceildiv(self, other: int | VecIntLike, /) -> Self: ...
    def _pairmax(self, other: int | VecIntLike, /) -> Self: ...
    def _pairmin(self, other: int | VecIntLike, /) -> Self: ...
    def to_tuple(self) -> tuple[int, ...]: ...
    def to_list(self) -> list[int]: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: SupportsIndex, /) -> int: ...
    @overload
    def __getitem__(self, index: slice, /) -> tuple[int, ...]: ...
    def __add__(self, other: int | VecIntLike, /) -> Self: ...
    def __sub__(self, other: int | VecIntLike, /) -> Self: ...
    def __mul__(self, other: int | VecIntLike, /) -> Self: ...
    def __floordiv__(self, other: int | VecIntLike, /) -> Self: ...
    def __mod__(self, other: int | VecIntLike, /) -> Self: ...
    def __lt__(self, other: object, /) -> bool: ...
    def __le__(self, other: object, /) -> bool: ...
    def __gt__(self, other: object, /) -> bool: ...
    def __ge__(self, other: object, /) -> bool: ...

class IntVector3(IntVector):
    """Three integers: what ``Vec3Int`` inherits."""

    def __new__(cls, *args: Any, axes: Iterable[str] | None = ..., **named: int) -> Self: ...
    @property
    def x(self) -> int: ...
    @property
    def y(self) -> int: ...
    @property
    def z(self) -> int: ...

class FloatVector3(Sequence[float]):
    """Three floats: what ``Vec3Float`` inherits."""

    @property
    def _data(self) -> tuple[float, float, float]: ...
    @property
    def x(self) -> float: ...
    @property
    def y(self) -> float: ...
    @property
    def z(self) -> float: ...
    def __new__(cls, *args: Any) -> Self: ...
    @classmethod
    def _of(cls, values: tuple[float, float, float], axes: None = None, /) -> Self: ...
    def _like(self, values: tuple[float, ...], /) -> Self: ...
    def _pairmax(self, other: float | Vec3FloatLike, /) -> Self: ...
    def _pairmin(self, other: float | Vec3FloatLike, /) -> Self: ...
    def to_tuple(self) -> tuple[float, float, float]: ...
    def to_list(self) -> list[float]: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: SupportsIndex, /) -> float: ...
    @overload
    def __getitem__(self, index: slice, /) -> tuple[float, ...]: ...
    def __add__(self, other: float | Vec3FloatLike, /) -> Self: ...
    def __sub__(self, other: float | Vec3FloatLike, /) -> Self: ...
    def __mul__(self, other: float | Vec3FloatLike, /) -> Self: ...
    def __truediv__(self, other: float | Vec3FloatLike, /) -> Self: ...
    def __lt__(self, other: object, /) -> bool: ...
    def __le__(self, other: object, /) -> bool: ...
    def __gt__(self, other: object, /) -> bool: ...
    def __ge__(self, other: object, /) -> bool: ...

# What a box holds: classes whose boxes are as they are filled.
BOX_CLASSES: set[type[BoxFields]]

class BoxFields:
    """The fields of a box: what bounding boxes inherit."""

    @property
    def topleft(self) -> VecInt: ...
    @property
    def size(self) -> VecInt: ...
    @property
    def bottomright(self) -> VecInt: ...
    @property
    def index(self) -> VecInt: ...
    @property
    def name(self) -> str | None: ...
    @property
    def is_visible(self) -> bool: ...
    @property
    def color(self) -> tuple[float, float, float, float] | None: ...
    def _fill(self, topleft: VecInt, size: VecInt, index: VecInt, look: BoxLook, /) -> None: ...
    def _elsewhere(self, topleft: VecInt, size: VecInt, look: BoxLook | None = None, /) -> Self: ...
    def _cell(self, corner: tuple[int, ...], shape: VecInt, look: BoxLook, /) -> Self | None: ...
    def _common(self, other: object, /) -> Self | None: ...
    def _around(self, other: object, /) -> Self | None: ...

# What is kept

class Keeper:
    """What properties of its own follow from an entry that is parsed JSON."""

    @property
    def _changes(self) -> int: ...
    def _changed(self) -> None: ...

class KeptProperty(property):
    """A property whose value is kept by a Keeper."""

    def _keep(self, number: int, keys: tuple[str, ...], copied: bool, /) -> None: ...

# Files

def json_nests_deeper(text: bytes, most: int) -> bool:
    """Return whether more than `most` lists and objects lie in one another in a text that is JSON, in UTF-8."""

def lies_plainly(root: str | PathLike[str], folder: str | PathLike[str]) -> bool:
    """Return whether all that leads from one folder down to another are folders and no links."""

def read_metadata(path: str | PathLike[str]) -> bytes | None:
    """Return a small file as a whole, ``None`` if stat says that there is none.

    Raises
    ------
    DatasetError
        It is no regular file, or larger than 64 MiB.
    OSError
        The system refuses, or it is there and yet cannot be opened.
    """

class Draft:
    """A file under construction, beside the one that it replaces; it is the right to replace it as well."""

    def __new__(cls, target: str | PathLike[str], within: str | PathLike[str] | None = None) -> Self:
        """Wait until nobody else has the right. No link is followed on the way from the folder `within` to the file."""

    def put(self, content: bytes) -> None:
        """Make `content` the whole file, with mode and group of the old one; it is on disk before it has its name."""

    def put_file(self, whole: str | PathLike[str], durable: bool) -> None:
        """Put a file of the same folder that is complete in the target's place, with mode and group of the old one."""

    def release(self) -> None:
        """Give the right up. A draft that was not put is removed."""

# Volumes

class ObjectFolder(TypedDict):
    """A folder of objects."""

    url: str
    # By their names in object_store.
    options: dict[str, str]

class ObjectFile(TypedDict):
    """An object, and the folder that it lies in."""

    folder: ObjectFolder
    name: str
    # The state that it is in, where that is known: if it is in another, reading it fails.
    state: str | None

class Container(TypedDict):
    """A folder, a zip file, a zip file inside a zip file, a folder of objects, or an object that is a zip file."""

    kind: Literal["directory", "zip", "objects", "objectzip"]
    # Of a folder or zip file.
    path: NotRequired[str]
    # Of a zip file, also of one that is an object.
    member: NotRequired[str | None]
    # Of a folder of objects.
    url: NotRequired[str]
    options: NotRequired[dict[str, str]]
    # Of an object that is a zip file.
    folder: NotRequired[ObjectFolder]
    name: NotRequired[str]
    state: NotRequired[str | None]

def hold_access(
    token: str | None, sharing_token: str | None, seconds: float, certificates: str | PathLike[str] | None = None
) -> str:
    """Hold what reaches a data store, as long as the process lives; return a handle that means nothing elsewhere.

    `seconds` is what a request may take with all its tries. `certificates` is a file of those that are trusted as well.
    """

def end_requests() -> None:
    """End all requests to buckets and servers of files that are under way in this process."""

def tells_absence(said: str) -> bool:
    """Whether the words of a data store that has not found something mean that nothing is stored there."""

def proxy_before(origin: str) -> str | None:
    """Return what messages say of the proxy before a server, if one stands there: host and port, never a password."""

def way_to(origin: str) -> Literal["straight", "proxy", "foreign"]:
    """Return how the environment says that a server is reached: `foreign` are proxies that are not plain HTTP ones.

    Raises
    ------
    ValueError
        What the environment names is no proxy.
    """

class HttpRequest:
    """What is the same in requests to one server: whom they go to, for whom, and how long each may take.

    `times` are seconds until there is a connection, until the first byte, between two bytes, and for all of it. The
    secrets are shown nowhere. They go through the proxy that the environment names, if any.
    """

    def __new__(
        cls,
        method: str,
        origin: str,
        headers: list[tuple[str, str]],
        times: tuple[float, float, float, float],
        *,
        secret_headers: list[tuple[str, str]] = ...,
        secret_query: str = "",
    ) -> Self: ...

class HttpFailure:
    """Why no whole answer came. Its text holds nothing of the request."""

    @property
    def kind(self) -> str:
        """What it means.

        One of ``unsendable``, ``unreached``, ``unreached in time``, ``untrusted``, ``silent``, ``late``, ``odd``,
        ``broken``.
        """

    @property
    def text(self) -> str:
        """What is known of it."""

class HttpAnswer:
    """An answer whose body is still to be read. What fails or raises closes it."""

    @property
    def status(self) -> int:
        """E.g. 200."""

    @property
    def headers(self) -> dict[str, str]:
        """By names in lower case, repeated ones joined by commas."""

    def piece(self) -> bytes | HttpFailure | None:
        """The next piece of the body, none of them large; ``None`` at its end."""

    def copy_to(self, file: int, most: int, pause: float) -> tuple[int, bool] | HttpFailure:
        """Append to an open file what comes in about `pause` seconds: how many bytes, and whether that was the end.

        Beyond `most` bytes, the piece that exceeds them is the last.
        """

    def close(self) -> None:
        """Close the connection, unless the body has been read to its end."""

class VoxelSink:
    """Puts bodies into an array (c, x, y, z) in Fortran order, little-endian, whose memory is `array`.

    `boxes` are where the bodies belong, one for each request: first value, which may lie outside, and shape. `wanted`
    are the first value along each axis that bodies may change, and the one behind the last. A body whose content type
    begins with `refused`, or that says that buckets are missing, is left.
    """

    def __new__(
        cls,
        array: NDArray[np.uint8],
        shape: tuple[int, ...],
        value: int,
        boxes: list[tuple[tuple[int, int, int, int], tuple[int, int, int, int]]],
        wanted: list[tuple[int, int]],
        *,
        refused: str,
        z_fastest: bool = False,
        big_endian: bool = False,
    ) -> Self: ...

class HttpClient:
    """Keeps connections, for any number of threads; a forked process begins with none. The first request connects."""

    def __new__(cls) -> Self: ...
    def trust_also(self, file: str) -> None:
        """Trust the certificates in a file too, where the environment names none; before the first request."""

    def close(self) -> None:
        """Close what lies idle, and what is in use when it is done."""

    def idle(self) -> list[tuple[str, int]]:
        """How many connections lie idle, by origin and user."""

    def get(self, request: HttpRequest, target: str) -> HttpAnswer | HttpFailure:
        """Send a request for path and query; redirects are not followed, nothing is tried again."""

    def batch(
        self,
        request: HttpRequest,
        wanted: list[tuple[str, int]],
        most: int,
        sink: VoxelSink,
        begun: Callable[[], object],
        judge: Callable[[int, int, bytes], bool],
    ) -> list[int] | HttpFailure:
        """Send many requests at once and return the numbers of those that brought nothing.

        `wanted` are path with query, and size of the body. `begun` is called when the first are on their way, `judge`
        with number, status and beginning of each answer that is not the body asked for: whether it settles the matter.
        """

VOXEL_TYPES: tuple[str, ...]
"""Names that voxels' types have in numpy."""
LEAST_MEMORY: int
"""Bytes that Python, numpy and the core take before anything is read."""
PROXY_ASKS: str
"""What to do about a proxy that does not know who is asking."""

def refusal_of(
    status: int,
) -> tuple[Literal["request", "token", "right", "missing", "proxy", "busy", "server"], bool]:
    """What a status that is no success says, and whether the server certainly did nothing and asks to come again."""

def is_redirect(status: int) -> bool:
    """Whether what was asked for lies where the answer says."""

def memory_limit() -> int | None:
    """Bytes that the control groups of this process allow it, ``None`` where they set no limit."""

def bytes_in_flight() -> int:
    """Bytes of requests that may be on their way at once, in one call, as ``WKFAST_BYTES_IN_FLIGHT`` says."""

class Objects:
    """A folder of objects in a bucket or on a server of files. The first request connects.

    Versions are tag and number of an object, as far as the server has them.
    """

    def __new__(cls, url: str, options: dict[str, str] = ...) -> Self: ...
    def endpoint(self) -> str | None:
        """The server of S3 that is named for it, by an option, the environment or a profile of AWS's tools."""

    def read(self, key: str, limit: int) -> bytes | None:
        """All of an object of at most `limit` bytes, ``None`` where there is none."""

    def read_all(self, keys: list[str], limit: int) -> list[bytes | None]:
        """All of objects of at most `limit` bytes each, asked for together; ``None`` for those that are not there."""

    def size(self, key: str) -> int | None:
        """Bytes of an object, ``None`` where there is none."""

    def state(self, key: str) -> str | None:
        """What tells an object from others of its key, ``None`` where there is none."""

    def read_version(self, key: str, limit: int) -> tuple[bytes, tuple[str | None, str | None]] | None:
        """All of an object, and what tells it from the one that takes its place."""

    def put(self, key: str, content: bytes) -> None:
        """Make `content` the object, whatever was there."""

    def put_file(self, key: str, file: str | PathLike[str]) -> int:
        """Make what a file of this machine holds the object, sent in parts; its bytes."""

    def fetch(self, key: str, file: str | PathLike[str]) -> int | None:
        """Write the object into a file of this machine; its bytes, ``None`` if there is none."""

    def put_if(
        self, key: str, content: bytes, version: tuple[str | None, str | None] | None = None
    ) -> tuple[str | None, str | None] | None:
        """Make `content` the object if it is of a version, or if there is none; ``None`` if somebody came first."""

    def remove(self, keys: list[str]) -> None:
        """Remove objects; those that are not there are passed over."""

    def take_lease(self, key: str, renewal: float, silence: float) -> tuple[ObjectLease, bool] | None:
        """Put an object that is renewed every so many seconds, and whether one that was over was there before.

        ``None`` where another one is renewed. One that nobody renews for `silence` seconds is over.
        """

    def is_lease_over(self, key: str, silence: float) -> bool | None:
        """Whether there is a lease that is over; ``None`` if there is none."""

    def list(self, prefix: str) -> list[tuple[str, int]]:
        """Keys that begin so, with the bytes of each."""

    def copy_from(self, source: Objects, key: str, size: int, to: str) -> bool:
        """Let the server copy an object; ``False``, and nothing is done, where it cannot."""

class ObjectLease:
    """An object that this process renews until it is finished, ended or collected."""

    def is_own(self) -> bool:
        """Whether it is there and still this call's."""

    def finish(self) -> None:
        """Remove it, if it is still this process's."""

    def end(self) -> None:
        """Renew it no more, and leave it there."""

class MagLocation(TypedDict):
    """Where a mag lies: plain data that can be sent to another process."""

    mag: list[int]
    format: Literal["wkw", "zarr", "zarr3"]
    container: Container
    # Prefix of the mag's files within the container; empty if the container is the mag.
    prefix: str
    # `axisOrder` of datasource-properties.json; default: the array's own dimension names, else c, x, y, z.
    axis_order: NotRequired[dict[str, int]]
    # Where a server streams the mag; the format is then that of what is modelled on it.
    streamed: NotRequired[Streamed]
    # Folder outside of which nothing is made or written, wherever links lead by then.
    within: NotRequired[str]

class Streamed(TypedDict):
    """What is known of a streamed mag beside its array metadata, which have to agree. The box is in its voxels."""

    voxel_type: str
    channels: int
    bounding_box: dict[str, list[int]]

class ChunkGrid(TypedDict):
    """How a mag is cut into chunks. Shapes are x, y, z in voxels of the mag."""

    voxel_type: str
    channels: int
    chunk_shape: tuple[int, int, int]
    chunks_per_shard: tuple[int, int, int]
    extra_axes: list[str]

class DiscoveredMag(TypedDict):
    """A mag of a data zip, from the archive's directory alone."""

    location: MagLocation
    grid: ChunkGrid
    chunks: int
    stored_bytes: int

class ExtraAxis(TypedDict):
    name: str
    length: int

class NewMag(TypedDict):
    """What a new mag is to be; shapes are x, y, z."""

    format: Literal["wkw", "zarr", "zarr3"]
    voxel_type: str
    channels: int
    chunk_shape: Sequence[int]
    chunks_per_shard: Sequence[int]
    compress: NotRequired[bool]
    """Default True: zstd level 5 in Zarr, LZ4-HC in WKW."""
    extent: NotRequired[Sequence[int]]
    """Voxels before which the data will lie; Zarr states them, rounded up to whole shards."""
    extra_axes: NotRequired[Sequence[ExtraAxis]]
    """Axes beyond c, x, y, z."""
    axes: NotRequired[Sequence[str]]
    """All axes in the array's order; default: c, the additional ones, x, y, z."""
    codecs: NotRequired[Sequence[dict[str, Any]] | None]
    """Bytes-to-bytes codecs as ``zarr.json`` spells them, instead of the default; WKW takes lz4 or lz4hc."""
    separator: NotRequired[Literal["/", "."]]
    key_with_c: NotRequired[bool]
    """Default True: names of Zarr v3 chunks start with a ``c``."""
    index_at_start: NotRequired[bool]

class Mag:
    """A mag of a layer, open for reading and, where it lies in a directory, for writing.

    It holds no voxels; any number of threads may use it at once.

    Raises
    ------
    MagNotFoundError
        There is no mag at the location.
    VolumeDataError
        Its metadata are damaged, or say something that wkfast does not read.
    """

    @staticmethod
    def open(location: MagLocation | dict[str, Any], *, follow: bool = ...) -> Mag:
        """Open a mag: as it is now, or, where `follow` is set, also whatever takes its place later.

        One that follows looks at its metadata with every call, and what it reads is always of one state.
        """

    def check(self) -> None:
        """Make sure that the mag is still there and can be opened.

        Raises
        ------
        MagNotFoundError, VolumeDataError
            It is gone, or what took its place is damaged.
        """

    @staticmethod
    def create(location: MagLocation | dict[str, Any], spec: NewMag) -> Mag:
        """Write the metadata of a new mag into a directory, made if need be, and open it.

        Raises
        ------
        ValueError
            `spec` is impossible in its format, e.g. a shard in Zarr v2.
        TargetNotEmptyError
            There is a mag already; it is left as it is.
        """
    @property
    def data_format(self) -> Literal["wkw", "zarr", "zarr3"]: ...
    @property
    def dtype(self) -> str:
        """numpy's name of the type of one channel."""
    @property
    def channels(self) -> int: ...
    @property
    def chunk_shape(self) -> tuple[int, int, int]:
        """Voxels in a chunk along x, y, z."""
    @property
    def chunks_per_shard(self) -> tuple[int, int, int]:
        """Chunks in a file along x, y, z."""
    @property
    def extra_axes(self) -> list[str]:
        """Names of axes beyond c, x, y, z."""
    @property
    def encoding(self) -> str:
        """Equal for mags whose encoded chunks can be exchanged, if their grids are equal."""
    @property
    def compressed(self) -> bool: ...
    @property
    def chunk_count(self) -> int:
        """Number of chunks with data."""
    @property
    def stored_bytes(self) -> int:
        """Bytes of all files with chunks."""
    def chunks(self) -> NDArray[np.uint32]:
        """Return the chunks with data, a row each: additional axes, then x, y, z, counted in chunks."""
    def read(
        self, topleft: tuple[int, int, int], size: tuple[int, int, int], *, extra: list[int] = ...
    ) -> NDArray[Any]:
        """Return the voxels of a box as an array (c, x, y, z) in Fortran order; what was never written is zero.

        Parameters
        ----------
        topleft, size
            x, y, z in voxels of this mag, at any alignment.
        extra
            Coordinate along each of the additional axes.

        Raises
        ------
        ValueError
            The box or `extra` is impossible.
        VolumeDataError
            A chunk is damaged; the message names file and chunk.
        """
    def values_at(self, points: NDArray[np.int64]) -> NDArray[Any]:
        """Return the voxels at points: ``(points, channels)``, as `read` finds them, zero at negative coordinates.

        Every chunk that holds some is decoded once.

        Parameters
        ----------
        points
            C-contiguous rows of coordinates along the additional axes and x, y, z, in voxels of this mag.

        Raises
        ------
        ValueError
            The rows have another length.
        VolumeDataError
            A chunk is damaged; the message names file and chunk.
        """
    def write(
        self, topleft: tuple[int, int, int], array: NDArray[Any], *, extra: list[int] = ..., keep_zeros: bool = False
    ) -> None:
        """Write an array (c, x, y, z) at any alignment; an array that states its shape is grown to hold it.

        Writers of one shard wait for each other, in all processes. Every shard is replaced as a whole.

        Parameters
        ----------
        topleft
            x, y, z in voxels of this mag, not negative.
        array
            Of the mag's dtype; numpy's two memory orders are taken as they are.
        extra
            Coordinate along each of the additional axes.
        keep_zeros
            Keep chunks of zeros, where their presence means something, instead of leaving them out.

        Raises
        ------
        ValueError
            Place, shape or dtype are impossible. Nothing was written.
        VolumeDataError
            A partly covered chunk is damaged, or the file system refuses. Each shard is as it was, or complete.
        """
    def grow(self, extent: tuple[int, int, int], *, extra: list[int] = ...) -> None:
        """Make an array that states its shape hold all voxels before `extent`. It never shrinks."""

def cutout_blocks(cells: Sequence[tuple[int, int]], chunk_bytes: int) -> list[list[tuple[int, int]]]:
    """Return the boxes of chunks in which a data store is asked for a box of them, each as one cut-out.

    Boxes are a first chunk and the one behind the last along x, y and z, as `cells` is. There are none where chunks of
    `chunk_bytes` are as quick one by one.
    """

def discover_mags(
    path: str | PathLike[str] | ObjectFile,
    member: str | None = None,
    *,
    declared: Literal["wkw", "zarr", "zarr3"] | None = None,
) -> list[DiscoveredMag]:
    """Return the mags in a zip file, or in the zip file that is its `member`, finest first.

    What the archive holds decides; a `UserWarning` says where it differs from `declared`, has files that are no chunks,
    or chunk files without a byte, which count as absent.

    Raises
    ------
    VolumeDataError
        The file is no zip file, or damaged.
    """

class Archive:
    """A zip file, or one inside a zip file, kept open: its mags are then opened without inflating it again.

    Raises
    ------
    VolumeDataError
        The file is no zip file, or damaged.
    """

    def __new__(cls, path: str | PathLike[str] | ObjectFile, member: str | None = None) -> Self: ...
    def state(self) -> str | None:
        """Return what tells the state of a file on a server from others."""

    def read(self, name: str) -> bytes | None:
        """Return the content of a small file in it, ``None`` if there is none."""

def probe_members(path: str | PathLike[str] | ObjectFile, members: list[str]) -> list[str | None]:
    """Return, for members of a zip file, why they are no zip files themselves; ``None`` for those that seem to be.

    What is deflated is not inflated for it, so damage further in shows when the member is opened.
    """

class UnpackedMag(TypedDict):
    """What was written of a mag."""

    format: Literal["wkw", "zarr", "zarr3"]
    files: int
    bytes: int

class PackedMag(TypedDict):
    """What was packed of a mag: chunks, those written as zeros because they were gone, and the largest label found."""

    chunks: int
    erased: int
    largest: int

class PackInput(TypedDict):
    """A mag to be packed."""

    # Its folder in the data zip.
    folder: str
    grid: ChunkGrid | dict[str, Any]
    # What it holds, and what it held before: a chunk that is gone has been erased.
    source: MagLocation | dict[str, Any] | None
    before: MagLocation | dict[str, Any] | None
    # Chunks of 32³ that lie over it, as `Mag.chunks` numbers them, and what returns the voxels of one, x fastest.
    overlay: tuple[list[tuple[int, ...]], Callable[[tuple[int, ...]], bytes]] | None
    # What its metadata shall at least cover, in voxels of the mag.
    extent: tuple[int, int, int]
    # Of which chunks the largest label is wanted.
    count: Literal["none", "changed", "all"]

def unpack_mags(
    mags: Sequence[tuple[MagLocation, PathLike[str], tuple[int, int, int]]],
    *,
    form: Literal["same", "annotation"] = "same",
    threads: int | None = None,
    progress: Callable[[int, int, int, int], object] | None = None,
) -> list[UnpackedMag]:
    """Write mags (location, new folder, extent that the metadata shall cover) as folders.

    Parameters
    ----------
    form
        The files as they are, or the form that WEBKNOSSOS accepts in a data zip, whatever the source is.
    threads
        Default: ``WKFAST_THREADS``, else one per core.
    progress
        Called on this thread with chunks done and in all, then bytes. What it raises ends the work, as does Ctrl-C.

    Raises
    ------
    VolumeDataError
        A chunk is damaged, or the disk full. What was written is of no use.
    """

def largest_label(location: MagLocation | dict[str, Any], *, threads: int | None = None) -> int:
    """Return the largest label in a mag, 0 if it has no chunks. Ctrl-C ends it."""

def pack_mags(
    path: str | PathLike[str],
    files: list[tuple[str, bytes]],
    mags: list[PackInput],
    *,
    threads: int | None = None,
    progress: Callable[[int, int, int, int], object] | None = None,
) -> list[PackedMag]:
    """Write a new data zip at `path`, in the form that WEBKNOSSOS accepts: `files`, then `mags`.

    Chunks of that form are copied as they are encoded. Equal input makes equal bytes. After an error there is no file.

    Raises
    ------
    VolumeDataError
        A chunk is damaged, the disk full, or the path taken.
    """

# Reshaping

class Reshape:
    """A mag about to be made out of another: both are open, the files to write are listed.

    Parameters
    ----------
    spec
        ``source`` and ``target``: locations of mags, see `MagLocation`; ``step``: ``"copy"``, or ``{"downsampling":
        {"interpolation": "mode" | "median" | "nearest" | "max" | "min", "factor": [x, y, z], "region": {"topleft",
        "size"}, "buffer_shape": [x, y, z]}}`` with the region in voxels of the source, ``{"relabel": {"table": path,
        "missing": "keep" | "zero" | "error"}}``, or ``"apply"``.
    function
        To apply: called with a chunk's place, its voxels (c, x, y, z) and the array that it fills.
    address
        Of the same as machine code: ``(in, out, c, x, y, z) -> 1`` if all went well, which needs no GIL. `function`
        is then called only to learn what went wrong.

    Raises
    ------
    MergeError
        The two do not hold the same kind of voxels.
    VolumeDataError
        Metadata are damaged.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        *,
        function: Callable[[list[int], NDArray[Any], NDArray[Any]], object] | None = None,
        address: int | None = None,
    ) -> None: ...
    @property
    def shard_count(self) -> int:
        """Files of the target that may get data."""
    @property
    def shard_bytes(self) -> int:
        """Bytes of voxels that a file of the target has, at most."""
    def run(
        self,
        shards: tuple[int, int] | None = None,
        *,
        threads: int | None = None,
        progress: Callable[[int, int, int, int], object] | None = None,
    ) -> dict[str, Any]:
        """Write files, all of them or those from the first number to before the second.

        Each is put in place when it is whole. Raises what `progress` raises, and ``KeyboardInterrupt``, at once.

        Returns
        -------
        dict
            ``shards``, ``chunks_passed`` (as they lay), ``chunks_computed``, ``seconds``.
        """

class SegmentTable:
    """Statistics of segments by their id; tables of parts add up to that of the whole. Travels to other processes."""

    def __init__(self) -> None: ...
    def __len__(self) -> int: ...
    def merge(self, other: SegmentTable) -> None:
        """Add what another part has."""
    def add(self, voxels: NDArray[Any], topleft: tuple[int, int, int]) -> None:
        """Add an array (x, y, z) of labels in Fortran order whose first voxel lies at `topleft`.

        Raises
        ------
        MergeError
            They are no labels.
        """
    def columns(
        self,
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.float64]]:
        """Return ids (64 bits, negative as two's complement), voxels, first and last voxels, means of coordinates."""
    @staticmethod
    def from_bytes(bytes: bytes) -> SegmentTable:
        """Return the table that `to_bytes` wrote; a ``ValueError`` if it is none."""
    def to_bytes(self) -> bytes: ...

class Statistics:
    """A mag whose segments are about to be counted: it is open, its files with voxels that count are listed.

    Parameters
    ----------
    spec
        ``source``: the location of a mag, see `MagLocation`; ``region``: ``topleft`` and ``size`` in its voxels;
        ``extra``: first place and end along every additional axis.

    Raises
    ------
    MergeError
        The mag holds no labels.
    VolumeDataError
        Metadata are damaged.
    """

    def __init__(self, spec: dict[str, Any]) -> None: ...
    @property
    def shard_count(self) -> int:
        """Files with voxels that count."""
    @property
    def shard_bytes(self) -> int:
        """Bytes of voxels in a file, at most."""
    def run(
        self,
        shards: tuple[int, int] | None = None,
        *,
        threads: int | None = None,
        progress: Callable[[int, int, int, int], object] | None = None,
    ) -> SegmentTable:
        """Count files, all of them or those from the first number to before the second."""

def exchange_folders(
    new: str | PathLike[str], old: str | PathLike[str], within: str | PathLike[str] | None = None
) -> None:
    """Put the folder `new` in the place of `old`, which then lies where `new` was, if there was one.

    No link is followed on the way from the folder `within` to either.
    """

def restore_folder(folder: str | PathLike[str], within: str | PathLike[str] | None = None) -> bool:
    """Give a folder its name back that :func:`exchange_folders` was killed at taking away.

    Returns whether there is something of that name in the end. Somebody who exchanges them at this moment is waited
    for, at most a second.
    """

def remove_folder(folder: str | PathLike[str], within: str | PathLike[str] | None = None) -> None:
    """Delete a folder with all in it, or a link alone, if there is one.

    Its name is free at once; what somebody still has open waits beside it and goes with the next folder deleted there.
    No link is followed on the way from the folder `within` to it.
    """

# Merge

class MergeChoices(TypedDict):
    """What decides about the result; ``wkfast.merge.options`` says what each word means."""

    policy: Literal["chunk", "nonzero"]
    mags: Literal["all", "finest"]
    # Hard links where a file stays as it is; refused across file systems, for archives and for uncompressed WKW.
    link: NotRequired[Literal["copy", "hard"]]
    # ``name``, ``digest`` and ``for_all`` of a rule, which goes with the policy "nonzero".
    rule: NotRequired[dict[str, Any]]

class MergeMapping(TypedDict):
    """What the fallback's labels become: ``table`` is a file of them, ``digest`` tells tables apart."""

    table: str
    digest: str
    missing: Literal["keep", "zero", "error"]

class MergePlan:
    """A merge decided to the last chunk. Making one validates everything, reads no voxels and writes nothing.

    A plan is plain data: it pickles, and any process that sees the same files can run any of its tasks. One that was
    opened from a plan file has its files there: each call reads those that it is about.

    Parameters
    ----------
    input
        ``annotations``: for each annotation the locations of its mags, later ones over earlier ones; ``fallback``: the
        locations of its mags; ``fallback_bounding_box``: ``topleft`` and ``size`` in mag-1 voxels; ``target``: folder
        to create, or ``url`` and ``options`` of one in a bucket; ``target_mags``: ``mag`` and ``folder`` below the
        target for every mag of the fallback; ``options``: `MergeChoices`; ``mapping``, a `MergeMapping` or ``None``.
    resume
        Accept a target in which this very merge has begun.

    Raises
    ------
    MergeError
        The two sides do not fit; `TargetNotEmptyError` if the target holds something else.
    MagNotFoundError
        A mag is not there, or the fallback lacks the annotation's finest.
    VolumeDataError
        Metadata are damaged, or say something that wkfast does not read.
    """

    def __init__(self, input: dict[str, Any], *, resume: bool = True) -> None: ...
    @staticmethod
    def from_json(text: str) -> MergePlan: ...
    def to_json(self) -> str: ...
    @staticmethod
    def open(folder: str | dict[str, Any], name: str) -> tuple[MergePlan, str] | None:
        """Return the plan of a plan file and what was said of it besides; ``None`` if there is no such file.

        Parameters
        ----------
        folder
            Where it lies, as ``target`` of the input.

        Raises
        ------
        VolumeDataError
            It is damaged, or of another version.
        """
    def to_bytes(self, said: str) -> bytes:
        """Return the plan as the content of a plan file, which says `said` besides."""
    def use_rule(self, rule: Callable[[Any, Any, Any], NDArray[Any]], *, address: int | None = None) -> None:
        """Give the rule that the options name, and where its machine code lies; see ``wkfast.merge.label_rule``."""
    @property
    def fingerprint(self) -> str:
        """Equal for plans that do the same to the same files."""
    @property
    def target(self) -> str | dict[str, Any]:
        """As it was given; secrets of a bucket are hidden."""
    @property
    def task_count(self) -> int:
        """Number of tasks; a task is a file of the result."""
    @property
    def stages(self) -> list[tuple[int, int]]:
        """First task and the one behind the last, by stage. A stage needs those before it to be done."""
    def summary(self) -> dict[str, Any]:
        """Return the plan's numbers: by mag shards and chunks copied, replaced and mixed; box, dtype, warnings.

        ``touched_extra`` has (start, exclusive end) of touched chunks along each additional axis.
        """
    def work_bytes(self) -> list[int]:
        """Return the bytes that each task has to get through: the fallback's file and the voxels it computes."""
    @property
    def stage_work(self) -> list[tuple[int, int]]:
        """Number of tasks, and the bytes that they have to get through, by stage."""
    def share(self, stage: int, share: int, shares: int) -> tuple[int, int]:
        """Return the tasks of a stage that are one of so many shares of about as much work each: first and end.

        They are counted within the stage. All shares together are everything.
        """
    def count_open(self, tasks: tuple[int, int] | None = None) -> int:
        """Return how many tasks, of all or of a range, no process has noted as done. No lock is taken."""
    def open_tasks(self) -> list[int]:
        """Return the tasks that no process has noted as done, in order. No lock is taken."""
    def hold(self) -> MergeHold:
        """Take the target for workers that run tasks with "coordinated" access, creating it if it is fresh.

        Raises
        ------
        TargetNotEmptyError
            Another process is at work in the target.
        """
    def run(
        self,
        tasks: tuple[int, int] | None = None,
        *,
        threads: int | None = None,
        progress: Callable[[int, int, int, int], object] | None = None,
        access: Literal["exclusive", "shared", "coordinated"] | None = None,
    ) -> dict[str, Any]:
        """Do tasks and return what this call did: ``tasks``, ``resumed``, ``bytes_written``, ``seconds``.

        Parameters
        ----------
        tasks
            First task and the one behind the last; default: all. Those done already are passed over.
        threads
            Default: ``WKFAST_THREADS``, else one per core.
        progress
            Called on this thread with tasks done and tasks in all, then the same in :meth:`work_bytes`. What it raises
            ends the run, as does Ctrl-C.
        access
            Whom to tolerate at the same target: nobody (default), other "shared" runs, or, for workers of a process
            that holds the target, anybody.

        Raises
        ------
        VolumeDataError
            A chunk is damaged; the message names file and chunk. What was done stays done.
        TargetNotEmptyError
            Another process is at work in the target.
        """
    def verify(
        self,
        tasks: tuple[int, int] | None = None,
        *,
        threads: int | None = None,
        progress: Callable[[int, int, int, int], object] | None = None,
    ) -> dict[str, Any]:
        """Read the result back, or what some tasks wrote, before or after the commit; compare it with what was merged.

        Voxels are worked out anew, one by one, not by the code that merged them. Returns what was compared: ``shards``,
        ``shards_equal`` to the fallback's byte for byte, ``chunks`` of the others, ``bytes_read``, ``seconds``.

        Raises
        ------
        VolumeDataError
            There is a difference: the message names file, chunk, voxel, mag and both values. Or a chunk is damaged.
        MergeError
            Nothing has been merged yet.
        """
    def complete(
        self, *, threads: int | None = None, progress: Callable[[int, int, int, int], object] | None = None
    ) -> dict[str, Any]:
        """Do all tasks and :meth:`commit`, under one lock, and return the report; see :meth:`run`."""

    def commit(self, *, sync: bool = False) -> dict[str, Any]:
        """End a merge whose tasks are all done and return its report, which is also left in the target.

        Parameters
        ----------
        sync
            Wait until everything is on disk.
        """

class MergeHold:
    """A target held for workers in other processes, until :meth:`release`, the end of a ``with`` or of the process."""

    @property
    def ticket(self) -> str:
        """A file that is there as long as the target is held: workers stop when it is gone. Its place in the target."""
    @property
    def plan_file(self) -> str:
        """The plan, for workers to read: its place in the target."""
    def release(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exception: object) -> None: ...

def merge_status(target: str | dict[str, Any]) -> dict[str, Any] | None:
    """Return how far the merge into `target` is and who is at it; ``None`` if there is none that is not committed.

    ``tasks``, ``tasks_done``, ``bytes``, ``bytes_done``; ``busy``; ``workers``, each with ``host``, ``process``,
    ``tasks``, ``bytes``, ``span`` (seconds since 1970), ``gone``; ``failures``, each with ``task`` and ``failed``.
    Nothing is written.

    Raises
    ------
    VolumeDataError, MergeError
        What lies in the target cannot be read.
    """

class MergedLayer:
    """A merge that is read instead of written: nothing is decoded before a box is asked for, and nothing is written.

    Parameters
    ----------
    input
        ``annotations``, ``fallback``, ``fallback_bounding_box`` and ``options`` as `MergePlan` takes them.

    Raises
    ------
    MergeError, MagNotFoundError, VolumeDataError
        As `MergePlan` does.
    """

    def __init__(self, input: dict[str, Any]) -> None: ...
    @property
    def mags(self) -> list[tuple[int, int, int]]:
        """Mags that a merge would have, finest first."""
    def summary(self) -> dict[str, Any]:
        """Return the numbers of the merge that would be written, as `MergePlan.summary` does."""
    def use_rule(self, rule: Callable[[Any, Any, Any], NDArray[Any]], *, address: int | None = None) -> None:
        """Give the rule that the options name, and where its machine code lies; see ``wkfast.merge.label_rule``."""
    def mag(self, mag: tuple[int, int, int]) -> MergedMag:
        """Return one of `mags`.

        Raises
        ------
        MagNotFoundError
            It is none of them.
        """

class MergedMag:
    """A mag of a `MergedLayer`, in the format and grid of the fallback's; a voxel source like `Mag`.

    What it reads is what a merge writes: the annotations' chunks over the fallback's, and in mags that only the
    fallback has, voxels computed from the finer mag where that was touched.
    """

    @property
    def data_format(self) -> Literal["wkw", "zarr", "zarr3"]: ...
    @property
    def dtype(self) -> str:
        """The wider of both sides' types."""
    @property
    def channels(self) -> int: ...
    @property
    def chunk_shape(self) -> tuple[int, int, int]: ...
    @property
    def chunks_per_shard(self) -> tuple[int, int, int]: ...
    @property
    def extra_axes(self) -> list[str]: ...
    @property
    def compressed(self) -> bool: ...
    def chunks(self) -> NDArray[np.uint32]:
        """Return the chunks that either side has, a row each: additional axes, then x, y, z, counted in chunks."""
    def read(
        self, topleft: tuple[int, int, int], size: tuple[int, int, int], *, extra: list[int] = ...
    ) -> NDArray[Any]:
        """Return the voxels of a box as `Mag.read` does.

        Raises
        ------
        ValueError
            The box or `extra` is impossible.
        VolumeDataError
            A chunk is damaged; the message names file and chunk.
        """
    def values_at(self, points: NDArray[np.int64]) -> NDArray[Any]:
        """Return the voxels at points: ``(points, channels)``, as `read` finds them, zero at negative coordinates.

        Every chunk that holds some is decoded once.

        Parameters
        ----------
        points
            C-contiguous rows of coordinates along the additional axes and x, y, z, in voxels of this mag.

        Raises
        ------
        ValueError
            The rows have another length.
        VolumeDataError
            A chunk is damaged; the message names file and chunk.
        """

# -- NML: records ---------------------------------------------------------------------------------------------------
# Nested dicts, one per element; `None` is an attribute that the file leaves out. `text` and `containers` of extras
# are there only where a file has such things, and may be left out on the way back.

class _ExtrasRest(TypedDict, total=False):
    text: str
    containers: dict[str, Extras]

class Extras(_ExtrasRest):
    attributes: list[tuple[str, str]]
    elements: list[dict[str, Any]]

class Meta(TypedDict):
    name: str | None
    content: str | None
    extras: Extras

class Experiment(TypedDict):
    name: str | None
    organization: str | None
    dataset_id: str | None
    description: str | None
    wk_url: str | None
    extras: Extras

class Scale(TypedDict):
    x: float | None
    y: float | None
    z: float | None
    unit: str | None
    extras: Extras

class Vector(TypedDict):
    xyz: list[float]
    additional_coordinates: list[tuple[str, int]]
    extras: Extras

class NmlBoundingBox(TypedDict):
    id: int | None
    name: str | None
    is_visible: bool | None
    color: list[float | None] | None
    topleft: list[int]
    size: list[int]
    extras: Extras

class AdditionalAxis(TypedDict):
    name: str
    index: int
    start: int
    end: int
    extras: Extras

class Parameters(TypedDict):
    experiment: Experiment
    scale: Scale
    offset: Vector | None
    time: int | None
    edit_position: Vector | None
    edit_rotation: Vector | None
    zoom_level: float | None
    active_node: int | None
    user_bounding_boxes: list[NmlBoundingBox]
    task_bounding_box: NmlBoundingBox | None
    additional_axes: list[AdditionalAxis]
    extras: Extras

class MetadataEntry(TypedDict):
    key: str
    string: str | None
    number: float | None
    bool: bool | None
    list: list[tuple[int, str]]
    extras: Extras

class TreeHeader(TypedDict):
    id: int
    name: str | None
    color: list[float | None] | None
    group_id: int | None
    tree_type: str | None
    is_visible: bool | None
    edges_are_visible: bool | None
    metadata: list[MetadataEntry]
    extras: Extras

class Header(TypedDict):
    meta: list[Meta]
    parameters: Parameters
    groups: list[dict[str, Any]]
    volumes: list[dict[str, Any]]
    stray_branchpoints: list[dict[str, Any]] | PackedRecords
    stray_comments: list[dict[str, Any]] | PackedRecords
    extras: Extras

# -- NML: files -----------------------------------------------------------------------------------------------------

class AnnotationZip:
    """An annotation zip, kept open: whoever reads from it meanwhile need not read its directory again.

    Raises
    ------
    AnnotationZipError
        It is no zip file, or damaged.
    """

    def __new__(cls, path: str | PathLike[str] | ObjectFile) -> Self: ...
    def state(self) -> str | None:
        """Return what tells the state of a file on a server from others."""

    def size(self, member: str) -> int | None: ...
    def names(self) -> list[str]:
        """Return the names of all members, in the order in which they lie in the file."""

    def read(self, member: str) -> bytes:
        """Return all that a member holds."""

class TreeRecord:
    @staticmethod
    def from_dict(facts: dict[str, Any]) -> TreeRecord: ...
    def to_dict(self) -> dict[str, Any]: ...
    def facts(
        self,
    ) -> tuple[
        int,
        str,
        tuple[float, float, float, float] | None,
        list[dict[str, Any]],
        bool,
        bool | None,
        str | None,
        int | None,
    ]: ...
    @property
    def group_id(self) -> int | None: ...
    def __copy__(self) -> TreeRecord: ...
    def __deepcopy__(self, _memo: Any) -> TreeRecord: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

class NmlDocument:
    @property
    def header(self) -> dict[str, Any]: ...
    @property
    def trees(self) -> LoadedTrees: ...
    @property
    def problems(self) -> list[tuple[int, int, str, str, str, bool]]: ...
    @property
    def problems_omitted(self) -> int: ...

class PackedRecords:
    """A list of records of a file, each made when it is asked for."""

    def __len__(self) -> int: ...
    def __iter__(self) -> RecordIterator: ...

class RecordIterator:
    def __iter__(self) -> RecordIterator: ...
    def __next__(self) -> dict[str, Any]: ...

class LoadedTrees:
    def __len__(self) -> int: ...
    def __getitem__(self, number: int) -> tuple[TreeRecord, TreeColumns]: ...
    def ids(self) -> list[int]: ...
    def by_group(self, groups: list[int]) -> tuple[list[tuple[int | None, bytes]], list[int]]: ...
    def max_id(self) -> int | None: ...
    def copy(self) -> LoadedTrees: ...

class TreeStream:
    def __new__(cls, path: str | ObjectFile, member: str | None = None) -> Self: ...
    def __iter__(self) -> TreeStream: ...
    def __next__(self) -> tuple[TreeRecord, TreeColumns]: ...
    @property
    def header(self) -> dict[str, Any]: ...

class TableStream:
    """A large file as tables of about `nodes` nodes each; the last ones come with the file's facts."""

    def __new__(cls, path: str | ObjectFile, member: str | None, file: int, nodes: int) -> Self: ...
    def __iter__(self) -> TableStream: ...
    def __next__(self) -> tuple[dict[str, dict[str, Any]], tuple[Any, ...] | None]: ...

def read_tables(
    sources: Sequence[tuple[str | ObjectFile, str | None]],
    first: int = 0,
    *,
    strict: bool = False,
    threads: int | None = None,
) -> tuple[dict[str, dict[str, Any]], list[tuple[Any, ...] | Exception]]: ...
def read_nml(path: str | ObjectFile, member: str | None = None, strict: bool = False) -> NmlDocument: ...
def read_nml_bytes(data: bytes, name: str = "<bytes>", strict: bool = False) -> NmlDocument: ...
def empty_header() -> dict[str, Any]: ...
def write_nml(
    path: str | ObjectFile,
    header: dict[str, Any],
    trees: list[tuple[TreeRecord | dict[str, Any], TreeColumns] | tuple[LoadedTrees, array[int]]],
    observer: Callable[[int, None], object] | None = None,
) -> None: ...
def write_annotation_zip(
    path: str | ObjectFile,
    nml_name: str,
    header: dict[str, Any],
    trees: list[tuple[TreeRecord | dict[str, Any], TreeColumns] | tuple[LoadedTrees, array[int]]],
    members: list[tuple[str, bytes | tuple[str | ObjectFile, str | None]]],
    observer: Callable[[int, None], object] | None = None,
) -> None: ...

# -- NML: trees -----------------------------------------------------------------------------------------------------

class TreeColumns:
    def __new__(cls) -> Self: ...
    @staticmethod
    def from_arrays(
        ids: NDArray[np.int64],
        positions: NDArray[np.float64],
        edges: NDArray[np.int64],
        radius: NDArray[np.float64] | None = None,
    ) -> TreeColumns: ...
    def __len__(self) -> int: ...
    def row_of(self, id: SupportsIndex) -> int | None: ...
    def find(self, node: object) -> int | None: ...
    def has(self, node: object) -> bool: ...
    def node_by_id(self, id: SupportsIndex) -> Node: ...
    def node(self, row: int) -> Node: ...
    def node_of(self, node: object) -> Node | None: ...
    def nodes(self) -> NodeIterator: ...
    def append(
        self,
        ids: IdCounter,
        position: Vec3IntLike,
        comment: str | None,
        is_branchpoint: bool,
        branchpoint_time: int | None,
        values: tuple[Any, ...] | None,
        enforced_id: int | None = None,
    ) -> Node: ...
    def remove_node(self, row: int) -> None: ...
    def join(self, source: object, target: object) -> tuple[int, int] | None: ...
    def remove_edge(self, a: int, b: int) -> bool: ...
    def are_joined(self, a: object, b: object) -> bool: ...
    def edge_count(self) -> int: ...
    def neighbors(self, node: object) -> Iterator[Node] | None: ...
    def neighbor_map(self, tree: Any, node: object) -> NeighborMap: ...
    def edge_nodes(self) -> list[tuple[Node, Node]]: ...
    def max_id(self) -> int | None: ...
    def component_count(self) -> int: ...
    def path_length(self, scale: tuple[float, ...]) -> float: ...
    def bounds(self) -> list[list[float]] | None: ...
    def copy(self) -> TreeColumns: ...
    def __copy__(self) -> TreeColumns: ...
    def __deepcopy__(self, _memo: Any) -> TreeColumns: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def extend(
        self,
        counter: IdCounter,
        positions: NDArray[np.float64],
        columns: list[tuple[str, NDArray[Any], NDArray[np.bool_]]],
        edges: NDArray[np.int64],
    ) -> NDArray[np.int64]: ...
    def replace(
        self, positions: NDArray[np.float64] | None, columns: list[tuple[str, NDArray[Any], NDArray[np.bool_]]]
    ) -> None: ...
    def set_comments(self, comments: list[tuple[int, str]]) -> None: ...
    def renumbered(self, first: int) -> TreeColumns: ...
    def same_content(self, other: TreeColumns) -> bool: ...
    def ids(self) -> NDArray[np.int64] | list[int]: ...
    def positions(self) -> NDArray[np.float64]: ...
    def set_positions(self, positions: NDArray[np.float64]) -> None: ...
    def column(self, name: str) -> tuple[NDArray[Any], NDArray[np.bool_]] | None: ...
    def edges(self) -> NDArray[np.int64] | list[int]: ...
    def adjacency(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]: ...
    def degrees(self) -> NDArray[np.uint32]: ...
    def comments(self) -> list[tuple[int, str]]: ...
    def branchpoints(self) -> list[tuple[int, int | None]]: ...
    def axes(self) -> list[str]: ...

# Groups of a skeleton in one another that a file may have.
GROUP_DEPTH: int
# Names and numpy types of the optional columns of nodes, in the order in which users see them.
NODE_COLUMNS: tuple[tuple[str, str], ...]

class NodeAttribute:
    @property
    def __name__(self) -> str: ...
    def __get__(self, node: Node | None, _class: Any = None) -> Any: ...
    def __set__(self, node: Node, value: Any) -> None: ...
    def __delete__(self, _node: Node) -> None: ...

class IdCounter:
    def __new__(cls, last: int | None = None) -> Self: ...
    @property
    def last(self) -> int: ...
    @property
    def changes(self) -> int: ...
    @property
    def is_indexed(self) -> bool: ...
    def take(self, enforced: int | None = None) -> int: ...
    def take_run(self, count: int) -> int: ...
    def claim(self, used: int | None) -> None: ...
    def give_back(self) -> None: ...
    def index(self, trees: list[TreeColumns]) -> None: ...
    def add_tree(self, columns: TreeColumns) -> None: ...
    def drop_tree(self, columns: TreeColumns) -> None: ...
    def find_node(self, id: SupportsIndex) -> Node | Literal[False] | None: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

class Adjacency:
    def __new__(cls, tree: Tree, columns: TreeColumns) -> Self: ...
    def __getitem__(self, node: Any) -> NeighborMap: ...
    def __iter__(self) -> NodeIterator: ...
    def __len__(self) -> int: ...
    def __contains__(self, node: object) -> bool: ...
    def items(self) -> Any: ...

class NeighborMap:
    def __getitem__(self, node: Any) -> Any: ...
    def get(self, node: Any, default: Any = None) -> Any: ...
    def __iter__(self) -> Iterator[Node]: ...
    def __len__(self) -> int: ...
    def __contains__(self, node: object) -> bool: ...
    def keys(self) -> KeysView[Node]: ...
    def values(self) -> list[Any]: ...
    def items(self) -> list[tuple[Node, Any]]: ...
    def copy(self) -> dict[Node, Any]: ...
    def __eq__(self, other: object) -> bool: ...

class DegreeView:
    def __new__(cls, tree: Tree, columns: TreeColumns) -> Self: ...
    def __getitem__(self, node: Any) -> int: ...
    def __iter__(self) -> Iterator[tuple[Node, int]]: ...
    def __len__(self) -> int: ...
    def __call__(self, nbunch: Any = None, weight: str | None = None) -> Any: ...

class NodeIterator(Iterator[Node]):
    def __iter__(self) -> NodeIterator: ...
    def __next__(self) -> Node: ...

class Node:
    @property
    def id(self) -> int: ...
    @property
    def position(self) -> Vec3Int: ...
    @position.setter
    def position(self, value: Vec3IntLike) -> None: ...
    @property
    def position_float(self) -> Vec3Float: ...
    @position_float.setter
    def position_float(self, value: Vec3FloatLike) -> None: ...
    @property
    def rotation(self) -> Vec3Float | None: ...
    @rotation.setter
    def rotation(self, value: Vec3FloatLike | None) -> None: ...
    comment: str | None
    comments: list[str]
    radius: float | None
    inVp: int | None
    inMag: int | None
    bitDepth: int | None
    interpolation: bool | None
    time: int | None
    is_branchpoint: bool
    branchpoint_time: int | None
    additional_coordinates: dict[str, int]
    @property
    def branchpoint_times(self) -> list[int | None]: ...
    @property
    def columns(self) -> TreeColumns: ...
    @property
    def row(self) -> int: ...
    def get_dict(self) -> dict[str, Any]: ...
    def fill(self, dict: dict[str, Any], /) -> None: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...
    def __lt__(self, other: Node) -> bool: ...
    def __le__(self, other: Node) -> bool: ...
    def __gt__(self, other: Node) -> bool: ...
    def __ge__(self, other: Node) -> bool: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

def restore_node(columns: TreeColumns, row: int) -> Node: ...
def restore_tree(state: bytes) -> TreeColumns: ...
def restore_trees(state: bytes) -> LoadedTrees: ...
