"""Voxels of a plane as pixels, and pixels as PNG: numpy and zlib are all that this needs."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MIXER = np.uint64(0x9E3779B97F4A7C15)
_RGB = 3


def of_labels(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return RGB of segment ids: 0 is black, every other id has a colour of its own that never changes.

    Parameters
    ----------
    labels
        Any whole numbers.

    Returns
    -------
    ndarray
        uint8, with an axis of 3 behind those of `labels`.

    Examples
    --------
    >>> of_labels(np.array([0, 7, 7, 8])).tolist()
    [[0, 0, 0], [157, 138, 137], [157, 138, 137], [221, 198, 216]]
    """
    with np.errstate(over="ignore"):
        mixed = labels.astype(np.uint64) * _MIXER
    channels = [(mixed >> np.uint64(shift) & np.uint64(0xFF)) // np.uint64(2) + np.uint64(96) for shift in (24, 40, 56)]
    return np.where((labels == 0)[..., None], 0, np.stack(channels, axis=-1)).astype(np.uint8)


def of_values(values: NDArray[Any], limits: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Return RGB of grey values or colours.

    Parameters
    ----------
    values
        Channels first. Three of uint8 are red, green and blue; else the first is shown.
    limits
        What is black and white; default: 0 to 255 for uint8, else the least and largest finite value.

    Examples
    --------
    >>> of_values(np.array([[0.0, 5.0, 10.0, np.nan]]))[:, 0].tolist()
    [0, 127, 255, 0]
    """
    if len(values) == _RGB and values.dtype == np.uint8 and limits is None:
        return np.ascontiguousarray(np.moveaxis(values, 0, -1))
    shown = values[0].astype(np.float64)
    known = shown[np.isfinite(shown)]
    if limits is None:
        limits = (0, 255) if values.dtype == np.uint8 else (known.min(initial=np.inf), known.max(initial=-np.inf))
    low, high = limits
    span = high - low if high > low else 1.0
    grey = np.clip(np.nan_to_num((shown - low) / span, nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
    return np.repeat((grey * 255).astype(np.uint8)[..., None], _RGB, axis=-1)


def resized(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Return a picture (rows, columns, 3) with the pixels nearest to those of another size."""
    rows = (np.arange(height) * pixels.shape[0]) // height
    columns = (np.arange(width) * pixels.shape[1]) // width
    picked: NDArray[np.uint8] = pixels[rows[:, None], columns]
    return picked


def png(pixels: NDArray[np.uint8]) -> bytes:
    r"""Return a PNG file of a picture (rows, columns, 3).

    Examples
    --------
    >>> png(np.zeros((2, 3, 3), np.uint8))[:4]
    b'\x89PNG'
    """
    height, width, _ = pixels.shape
    # Each row begins with the number of its filter, 0 for none.
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, width * _RGB)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def as_img(picture: bytes) -> str:
    """Return HTML that holds a PNG file."""
    return f'<img alt="" style="border-radius:4px" src="data:image/png;base64,{base64.b64encode(picture).decode()}"/>'
