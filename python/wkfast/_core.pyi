from collections.abc import Callable
from os import PathLike
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

__version__: str
DEBUG_BUILD: bool

# Volumes

class Container(TypedDict):
    """A folder, a zip file, or a zip file inside a zip file."""

    kind: Literal["directory", "zip"]
    path: str
    member: NotRequired[str | None]

class MagLocation(TypedDict):
    """Where a mag lies: plain data that can be sent to another process."""

    mag: list[int]
    format: Literal["wkw", "zarr", "zarr3"]
    container: Container
    # Prefix of the mag's files within the container; empty if the container is the mag.
    prefix: str
    # `axisOrder` of datasource-properties.json; default: the array's own dimension names, else c, x, y, z.
    axis_order: NotRequired[dict[str, int]]

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

class Mag:
    """A mag of a layer, open for reading. It holds no voxels; any number of threads may read from it.

    Raises
    ------
    MagNotFoundError
        There is no mag at the location.
    VolumeDataError
        Its metadata are damaged, or say something that wkfast does not read.
    """

    @staticmethod
    def open(location: MagLocation | dict[str, Any]) -> Mag: ...
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

def discover_mags(
    path: str | PathLike[str], member: str | None = None, *, declared: Literal["wkw", "zarr", "zarr3"] | None = None
) -> list[DiscoveredMag]:
    """Return the mags in a zip file, or in the zip file that is its `member`, finest first.

    What the archive holds decides; a `UserWarning` says where it differs from `declared`, has files that are no chunks,
    or chunk files without a byte, which count as absent.

    Raises
    ------
    VolumeDataError
        The file is no zip file, or damaged.
    """

# Merge

class MergePlan:
    """A merge decided to the last chunk. Making one validates everything, reads no voxels and writes nothing.

    A plan is plain data: it pickles, and any process that sees the same files can run any of its tasks.

    Parameters
    ----------
    input
        ``annotation`` and ``fallback``: locations of mags; ``fallback_bounding_box``: ``topleft`` and ``size`` in mag-1
        voxels; ``target``: folder to create; ``target_mags``: ``mag`` and ``folder`` below the target for every mag of
        the fallback; ``options``: ``policy`` ("chunk" or "nonzero") and ``mags`` ("all" or "finest").
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

    def __init__(self, input: dict[str, Any], *, resume: bool = True) -> None: ...  # noqa: A002
    @staticmethod
    def from_json(text: str) -> MergePlan: ...
    def to_json(self) -> str: ...
    @property
    def fingerprint(self) -> str:
        """Equal for plans that do the same to the same files."""
    @property
    def task_count(self) -> int:
        """Number of tasks; a task is a file of the result."""
    @property
    def stages(self) -> list[tuple[int, int]]:
        """First task and the one behind the last, by stage. A stage needs those before it to be done."""
    def summary(self) -> dict[str, Any]:
        """Return the plan's numbers: by mag the shards and chunks to be copied, replaced and mixed; box, dtype, warnings."""
    def run(
        self,
        tasks: tuple[int, int] | None = None,
        *,
        threads: int | None = None,
        progress: Callable[[int, int], object] | None = None,
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
            Called on this thread with tasks done and tasks in all. What it raises ends the run, as does Ctrl-C.
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
    def commit(self, *, sync: bool = False) -> dict[str, Any]:
        """End a merge whose tasks are all done and return its report, which is also left in the target.

        Parameters
        ----------
        sync
            Wait until everything is on disk.
        """
