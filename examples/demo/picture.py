"""One slice three times, side by side: the fallback, the annotation over nothing, and the merge."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from examples.demo.check import CHUNK_EDGE
from examples.demo.plain_layers import PlainAnnotation, PlainLayer
from examples.demo.plain_wkw import Voxels, paste

_GAP = 12
_CAPTION = 22
_MAX_EDGE = 512
_UNTOUCHED = (28, 30, 36)


def draw(
    path: Path, merged: PlainLayer, fallback: PlainLayer, annotation: PlainAnnotation, *, mag: str
) -> tuple[int, int]:
    """Write a PNG with the slice that the annotation touched most; return its width and height in pixels."""
    chunks = dict(annotation.chunks(mag))
    topleft, size, touched = _most_touched_slice(chunks)
    painted = np.zeros(size, next(iter(chunks.values())).dtype)
    for index, voxels in chunks.items():
        paste(voxels, [i * CHUNK_EDGE for i in index], painted, topleft)
    panels = [
        _colour(fallback.read(mag, topleft, size)),
        np.where(touched[..., None], _colour(painted), np.array(_UNTOUCHED, np.uint8)),
        _colour(merged.read(mag, topleft, size)),
    ]
    image = _side_by_side(panels, ("fallback", "annotation", "merged"))
    image.save(path)
    return image.size


def _most_touched_slice(
    chunks: dict[tuple[int, int, int], Voxels],
) -> tuple[tuple[int, int, int], tuple[int, int, int], Voxels]:
    """Return top left, size (x, y, 1) and the mask (x, y) of touched voxels, with a margin of one chunk."""
    layers = [z for _x, _y, z in chunks]
    z = max(set(layers), key=layers.count)
    columns = [(x, y) for x, y, at in chunks if at == z]
    low = [max(0, min(place[axis] for place in columns) - 1) for axis in range(2)]
    high = [max(place[axis] for place in columns) + 2 for axis in range(2)]
    width, height = ((b - a) * CHUNK_EDGE for a, b in zip(low, high, strict=True))
    touched = np.zeros((width, height), bool)
    for x, y in columns:
        left, top = (x - low[0]) * CHUNK_EDGE, (y - low[1]) * CHUNK_EDGE
        touched[left : left + CHUNK_EDGE, top : top + CHUNK_EDGE] = True
    topleft = (low[0] * CHUNK_EDGE, low[1] * CHUNK_EDGE, z * CHUNK_EDGE + CHUNK_EDGE // 2)
    return topleft, (width, height, 1), touched


def _colour(labels: Voxels) -> Voxels:
    """Return RGB (x, y, 3) for the only plane of `labels` (x, y, 1): zero black, every other label its own hue."""
    mixed = labels[:, :, 0].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    channels = [(mixed >> np.uint64(shift) & np.uint64(0xFF)) // 2 + 96 for shift in (24, 40, 56)]
    rgb = np.stack(channels, axis=-1).astype(np.uint8)
    return np.where(labels == 0, np.uint8(0), rgb)


def _side_by_side(panels: Sequence[Voxels], captions: Sequence[str]) -> Image.Image:
    pictures = [_fit(Image.fromarray(panel.swapaxes(0, 1).astype(np.uint8))) for panel in panels]
    width = sum(picture.width for picture in pictures) + _GAP * (len(pictures) + 1)
    image = Image.new("RGB", (width, pictures[0].height + _CAPTION + _GAP), "white")
    left = _GAP
    for picture, caption in zip(pictures, captions, strict=True):
        ImageDraw.Draw(image).text((left, 5), caption, fill="black")
        image.paste(picture, (left, _CAPTION))
        left += picture.width + _GAP
    return image


def _fit(picture: Image.Image) -> Image.Image:
    scale = _MAX_EDGE / max(picture.size)
    return picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.NEAREST)
