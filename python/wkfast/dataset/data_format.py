"""How a layer's voxels are stored, and what all formats differ in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from wkfast._short import short
from wkfast.dataset.links import is_file
from wkfast.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from wkfast.buckets import ObjectPath


class DataFormat(Enum):
    """Name of a format, as ``datasource-properties.json`` spells it; so does its ``str``."""

    WKW = "wkw"
    Zarr = "zarr"
    Zarr3 = "zarr3"
    NeuroglancerPrecomputed = "neuroglancerPrecomputed"
    """Known by name; wkfast neither reads nor writes it."""
    N5 = "n5"
    """Known by name; wkfast neither reads nor writes it."""

    def __str__(self) -> str:
        return self.value

    @classmethod
    def parse(cls, text: str, *, layer: str) -> DataFormat:
        """Return the format named `text`; others that WEBKNOSSOS knows are refused by name.

        Raises
        ------
        DatasetError
            For ``n5``, ``neuroglancerPrecomputed`` and unknown names.

        Examples
        --------
        >>> DataFormat.parse("zarr3", layer="segmentation")
        <DataFormat.Zarr3: 'zarr3'>
        """
        known = {member.value: member for member in FACTS}
        if text not in known:
            raise DatasetError(
                f"layer {short(layer)} has the data format {short(text)}, which wkfast does not read; it reads "
                f"{', '.join(known)}"
            )
        return known[text]


@dataclass(frozen=True)
class FormatFacts:
    """What sets a format apart.

    Attributes
    ----------
    metadata
        Name of the file that describes a mag.
    has_shards
        Whether several chunks share a file.
    is_array
        Whether a mag is an array in Zarr: it states its shape, names its axes, may have more than c, x, y, z, and
        folders above it are groups.
    states_edge
        Whether the list of mags states the edge of a file, as ``cubeLength``.
    """

    metadata: str
    has_shards: bool = True
    is_array: bool = True
    states_edge: bool = False

    def of_files(self, edge: int) -> dict[str, int]:
        """Return what the list of mags states of files that are `edge` voxels wide.

        Examples
        --------
        >>> FACTS[DataFormat.WKW].of_files(1024), FACTS[DataFormat.Zarr3].of_files(1024)
        ({'cubeLength': 1024}, {})
        """
        return {"cubeLength": edge} if self.states_edge else {}


FACTS = {
    DataFormat.WKW: FormatFacts("header.wkw", is_array=False, states_edge=True),
    DataFormat.Zarr: FormatFacts(".zarray", has_shards=False),
    DataFormat.Zarr3: FormatFacts("zarr.json"),
}


def format_of_folder(folder: Path | ObjectPath) -> DataFormat | None:
    """Return the format of the mag that lies in a folder, by its metadata; ``None`` if there is none."""
    return next((each for each, facts in FACTS.items() if is_file(folder / facts.metadata)), None)
