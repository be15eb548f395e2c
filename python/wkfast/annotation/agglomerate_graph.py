"""The graph of an agglomerate as a tracing store sends it: a small message in protobuf's wire format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import
from wkfast.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray
else:
    np = lazy_import("numpy")

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SEGMENTS, _EDGES, _POSITIONS, _AFFINITIES = 1, 2, 3, 4
_VARINT_BITS = 70


@dataclass(frozen=True)
class AgglomerateGraphData:
    """The segments that make up an agglomerate.

    Attributes
    ----------
    segments
        Their ids, uint64 (n,).
    edges
        Pairs of ids, uint64 (m, 2).
    positions
        A voxel of each segment, mag 1, int64 (n, 3).
    affinities
        How strongly each edge binds, float32 (m,).
    """

    segments: NDArray[np.uint64]
    edges: NDArray[np.uint64]
    positions: NDArray[np.int64]
    affinities: NDArray[np.float32]

    @classmethod
    def parse(cls, message: bytes) -> AgglomerateGraphData:
        """Return the graph of a message; fields that this version does not know are passed over.

        Raises
        ------
        AnnotationError
            It is no such message.
        """
        segments: list[int] = []
        edges: list[tuple[int, ...]] = []
        positions: list[tuple[int, ...]] = []
        affinities: list[NDArray[np.float32]] = []
        try:
            for number, value in _fields(message):
                if number == _SEGMENTS:
                    segments += _varints(value) if isinstance(value, bytes) else [value]
                elif number == _EDGES:
                    edges.append(_numbers(value, 2))
                elif number == _POSITIONS:
                    positions.append(_numbers(value, 3))
                elif number == _AFFINITIES:
                    affinities.append(np.frombuffer(value, "<f4"))
        except (IndexError, TypeError, ValueError) as error:
            raise AnnotationError(f"the server sent no agglomerate graph: {error}") from None
        return cls(
            np.array(segments, np.uint64),
            np.array(edges, np.uint64).reshape(-1, 2),
            np.array([[_signed(number) for number in row] for row in positions], np.int64).reshape(-1, 3),
            np.concatenate(affinities) if affinities else np.zeros(0, np.float32),
        )


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field: an int for a varint, else its bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if size is None:
            if kind != _BYTES:
                raise ValueError(f"unknown wire type {kind}")
            size, at = _varint(message, at)
        if at + size > len(message):
            raise ValueError("the message ends early")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, _VARINT_BITS, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 (the bit that says whether more follows)
            return value & (1 << 64) - 1, at
    raise ValueError("a number without end")


def _varints(packed: bytes) -> list[int]:
    numbers, at = [], 0
    while at < len(packed):
        number, at = _varint(packed, at)
        numbers.append(number)
    return numbers


def _numbers(message: Any, count: int) -> tuple[int, ...]:
    """Return the fields 1 to ``count`` of a message of numbers."""
    found = dict(_fields(message))
    return tuple(found.get(number, 0) for number in range(1, count + 1))


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number
