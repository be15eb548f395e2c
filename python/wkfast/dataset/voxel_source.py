"""What a mag reads its voxels from: files, a server, or two layers merged while they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing import Any, Literal

    import numpy as np
    from numpy.typing import NDArray


class VoxelSource(Protocol):
    """One mag's voxels and how they are cut. ``_core.Mag`` is the one that reads files.

    Shapes and positions are x, y, z in voxels of the mag.
    """

    @property
    def data_format(self) -> Literal["wkw", "zarr", "zarr3"]:
        """Format of the files, or the one that comes closest."""

    @property
    def dtype(self) -> str:
        """Type of one channel, as numpy spells it."""

    @property
    def channels(self) -> int:
        """Values per voxel."""

    @property
    def chunk_shape(self) -> tuple[int, int, int]:
        """Shape of what is stored, or fetched, at once."""

    @property
    def chunks_per_shard(self) -> tuple[int, int, int]:
        """Chunks that share a file."""

    @property
    def extra_axes(self) -> list[str]:
        """Names of axes beyond c, x, y, z."""

    @property
    def compressed(self) -> bool:
        """Whether chunks are compressed."""

    def chunks(self) -> NDArray[np.uint32]:
        """Return the chunks that hold data, a row each: additional axes, then x, y, z, counted in chunks."""

    def read(
        self, topleft: tuple[int, int, int], size: tuple[int, int, int], *, extra: list[int] = ...
    ) -> NDArray[Any]:
        """Return a box (c, x, y, z) in Fortran order; what was never written is zero."""

    def values_at(self, points: NDArray[np.int64]) -> NDArray[Any]:
        """Return voxels at rows of coordinates along the additional axes and x, y, z: ``(points, channels)``.

        They are what :meth:`read` finds; every chunk is read once. At negative coordinates they are zero.
        """
