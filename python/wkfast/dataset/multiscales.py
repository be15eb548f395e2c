"""What an OME-Zarr group says of the arrays in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wkfast.dataset.metadata_files import read_json
from wkfast.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Before version 0.3 of OME-Zarr groups did not name their axes: there were these.
_EARLY = "tczyx"
# How deep arrays lie below the group that lists them.
_LEVELS = 2


def axes_in_group(folder: Path) -> str | None:
    """Return the axes of the array in `folder`, as the group around it names them; ``None`` where there is none.

    Raises
    ------
    DatasetError
        The group names axes by more than a letter, which no layer has.
    """
    for group in list(folder.absolute().parents)[:_LEVELS]:
        path = folder.absolute().relative_to(group).as_posix()
        for image in _multiscales(group):
            if any(isinstance(each, dict) and each.get("path") == path for each in image.get("datasets") or ()):
                return _named(image.get("axes"), group)
    return None


def _multiscales(group: Path) -> Iterator[dict[str, Any]]:
    """Yield the images of a group: of version 0.5 in Zarr v3, of those before in v2."""
    third: Any = _object(read_json(group / "zarr.json"))
    attributes = _object(third.get("attributes"))
    for stated in (_object(attributes.get("ome")), attributes, _object(read_json(group / ".zattrs"))):
        images = stated.get("multiscales")
        yield from (image for image in images if isinstance(image, dict)) if isinstance(images, list) else ()


def _object(json: Any) -> dict[str, Any]:
    return json if isinstance(json, dict) else {}


def _named(axes: Any, group: Path) -> str:
    if axes is None:
        return _EARLY
    names: list[Any] = [axis.get("name") if isinstance(axis, dict) else axis for axis in axes if isinstance(axes, list)]
    if not all(isinstance(name, str) and len(name) == 1 for name in names):
        raise DatasetError(f"{group} names the axes {axes}; wkfast takes single letters: pass axes=, such as 'zyx'")
    return "".join(names)
