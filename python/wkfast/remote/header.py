"""``.zarray`` of a streamed mag: what its chunks look like."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from wkfast.client.errors import UnexpectedAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from wkfast.dataset.layer_properties import LayerProperties
    from wkfast.geometry import Mag

Int3 = tuple[int, int, int]
Int4 = tuple[int, int, int, int]

_MOST_CHANNELS = 1024
_MOST_CHUNK_BYTES = 1 << 30
# voxels along an axis: what is longer is an error, and overflows what counts with it
_LONGEST = 1 << 40
#: Edge of the chunks that data stores stream, in voxels of the mag.
SIDE = 32


@dataclass(frozen=True)
class ArrayHeader:
    """Type and grid of a streamed mag. Axes are c, x, y, z, counted from voxel 0 of the mag.

    Attributes
    ----------
    shape
        Voxels from the origin to the end of the layer's box.
    chunk_shape
        Voxels that come at once, whole chunks at the end too.
    order
        ``"F"`` if the first axis varies fastest in a chunk, else ``"C"``.
    """

    dtype: np.dtype[Any]
    shape: Int4
    chunk_shape: Int4
    order: str = "F"

    @classmethod
    def expected(cls, layer: LayerProperties, mag: Mag) -> ArrayHeader:
        """Return the header as data stores derive it from the layer's properties.

        Raises
        ------
        UnexpectedAnswerError
            The properties name a number of channels that cannot be.
        """
        channels = layer.json.get("numChannels") or (3 if layer.json.get("elementClass") == "uint24" else 1)
        if not isinstance(channels, int) or not 0 < channels <= _MOST_CHANNELS:
            raise UnexpectedAnswerError(f"layer {layer.name!r}: numChannels is {channels!r:.60}")
        end = layer.bounding_box.bottomright.to_tuple()
        x, y, z = (max(0, math.ceil(last / step)) for last, step in zip(end, mag.to_tuple(), strict=True))
        return cls(layer.dtype.newbyteorder("<"), (channels, x, y, z), (channels, SIDE, SIDE, SIDE))

    @classmethod
    def of(cls, json: Mapping[str, Any], where: str, expected: ArrayHeader) -> ArrayHeader:
        """Check and take over a ``.zarray``.

        Parameters
        ----------
        expected
            What the layer's properties say: type and channels must be theirs, shape and chunks may differ.

        Raises
        ------
        UnexpectedAnswerError
            It is no uncompressed array over c, x, y, z that is zero where nothing is stored, or not of the layer's
            type.
        """
        try:
            header = cls(np.dtype(json["dtype"]), _int4(json["shape"]), _int4(json["chunks"]), str(json["order"]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UnexpectedAnswerError(f"{where}: no .zarray of four axes ({type(error).__name__}: {error})") from None
        sound = header.order in ("F", "C") and min(header.chunk_shape) > 0 and min(header.shape) >= 0
        plain = not json.get("compressor") and not json.get("filters") and not json.get("fill_value")
        if not sound or not plain:
            raise UnexpectedAnswerError(f"{where}: expected uncompressed chunks with the fill value 0")
        is_layers = header.dtype.newbyteorder("<") == expected.dtype and header.shape[0] == expected.shape[0]
        if not is_layers or max(header.shape) > _LONGEST or header.chunk_bytes > _MOST_CHUNK_BYTES:
            got = f"type {str(json['dtype'])[:30]!r}, shape {header.shape}, chunks {header.chunk_shape}"
            raise UnexpectedAnswerError(
                f"{where}: {got}; the layer has type {expected.dtype.name} and {expected.shape[0]} channels"
            )
        return header

    @cached_property
    def chunk_bytes(self) -> int:
        """Size of a chunk's body."""
        return math.prod(self.chunk_shape) * self.dtype.itemsize

    def voxels(self, body: bytes | memoryview, where: Callable[[Int4], str], index: Int4) -> NDArray[Any]:
        """Return a chunk's body as an array (c, x, y, z).

        Raises
        ------
        UnexpectedAnswerError
            The body has another size.
        """
        if len(body) != self.chunk_bytes:
            raise UnexpectedAnswerError(f"{where(index)}: {len(body)} bytes came, a chunk has {self.chunk_bytes}")
        return np.frombuffer(body, self.dtype).reshape(self.chunk_shape, order="F" if self.order == "F" else "C")


def _int4(value: Any) -> Int4:
    c, x, y, z = (int(number) for number in value)
    return c, x, y, z
