"""What other processes do to a dataset: apart from the tests, which import what would take a process a second."""

import numpy as np

import wkfast as wk


def add_layers(arguments: tuple[str, int]) -> None:
    """Add five layers to a dataset."""
    path, number = arguments
    for n in range(5):
        layer = wk.Dataset.open(path).add_layer(f"layer_{number}_{n}", "color")
        layer.add_mag(1, shard_shape=64)


def write_column(arguments: tuple[str, int]) -> None:
    """Write the columns at one x, one after the other."""
    path, x = arguments
    mag = wk.Dataset.open(path).get_layer("layer").get_mag(1)
    for y in range(8):
        data = np.full((1, 1, 9), 10 * x + y + 1, np.uint32)
        mag.write(data, absolute_offset=(x, y, 0), allow_resize=True, allow_unaligned=True)
