"""How new mags are cut and stored where nobody says otherwise."""

from typing import Final

from wkfast.dataset.data_format import DataFormat
from wkfast.geometry import Vec3Int

DEFAULT_DATA_FORMAT: Final = DataFormat.Zarr3
DEFAULT_CHUNK_SHAPE: Final = Vec3Int.full(32)
DEFAULT_SHARD_SHAPE: Final = Vec3Int.full(1024)
