"""Zarr group metadata of datasets and layers, so that other readers see one hierarchy with OME multiscales."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wkfast.buckets import replace_whole
from wkfast.dataset.data_format import FACTS, DataFormat
from wkfast.dataset.links import is_something
from wkfast.dataset.metadata_files import read_json
from wkfast.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wkfast.buckets import ObjectPath
    from wkfast.geometry import Mag

_GROUP_V2 = {"zarr_format": 2}
_GROUP_V3 = {"zarr_format": 3, "node_type": "group"}


def _write_groups(folders: Sequence[Path | ObjectPath], data_format: DataFormat, within: Path | None) -> None:
    """Make groups of the folders of a dataset and of a new layer in it, as the version of the layer's arrays has them.

    A dataset with layers of both versions is a group in both: readers that look for one version see its layers, and
    zarr-python, which takes the newer of two, sees those of v3 unless it is asked for ``zarr_format=2``.
    """
    metadata, group = (".zgroup", _GROUP_V2) if data_format is DataFormat.Zarr else ("zarr.json", _GROUP_V3)
    for folder in folders:
        if not is_something(folder / metadata):
            _put(folder / metadata, group, within)


def write_layer_group(
    folder: Path | ObjectPath,
    data_format: DataFormat,
    mags: Sequence[tuple[Mag, str]],
    voxel_size: Sequence[float],
    unit: str,
    *,
    axes: Sequence[str] = ("c", "x", "y", "z"),
) -> None:
    """Make a group with OME multiscales of a layer's folder; WKW layers have none, nor have arrays.

    Parameters
    ----------
    mags
        Each with its path in the folder, finest first.
    """
    # A layer's folder lies in its dataset's, and what has become a link there is not written through.
    within = folder.parent if isinstance(folder, Path) else None
    is_absent = isinstance(folder, Path) and not folder.is_dir()
    if not FACTS[data_format].is_array or is_absent or _is_array(folder):
        return
    is_new = not any(is_something(folder / name) for name in (".zattrs", "zarr.json"))
    # Of Zarr v3 what follows writes the layer's group itself.
    folders = [folder.parent] if data_format is DataFormat.Zarr3 and (mags or not is_new) else [folder.parent, folder]
    _write_groups(folders, data_format, within)
    if is_new and not mags:
        return
    attributes = _multiscales(data_format, mags, voxel_size, unit, axes)
    if data_format is DataFormat.Zarr:
        _put(folder / ".zattrs", {**_attributes(folder / ".zattrs"), **attributes}, within)
        return
    kept = _attributes(folder / "zarr.json").get("attributes", {})
    _put(folder / "zarr.json", {**_GROUP_V3, "attributes": {**kept, **attributes}}, within)


def new_groups(
    data_format: DataFormat,
    mags: Sequence[tuple[Mag, str]],
    voxel_size: Sequence[float],
    unit: str,
    *,
    axes: Sequence[str] = ("c", "x", "y", "z"),
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what :func:`write_layer_group` writes for a new layer: files of the dataset's folder, and of the layer's.

    Examples
    --------
    >>> new_groups(DataFormat.WKW, [], (1, 1, 1), "nanometer")
    ({}, {})
    """
    if not FACTS[data_format].is_array:
        return {}, {}
    attributes = _multiscales(data_format, mags, voxel_size, unit, axes)
    if data_format is DataFormat.Zarr:
        return {".zgroup": _GROUP_V2}, {".zgroup": _GROUP_V2, ".zattrs": attributes}
    return {"zarr.json": _GROUP_V3}, {"zarr.json": {**_GROUP_V3, "attributes": attributes}}


def _multiscales(
    data_format: DataFormat,
    mags: Sequence[tuple[Mag, str]],
    voxel_size: Sequence[float],
    unit: str,
    axes: Sequence[str],
) -> dict[str, Any]:
    """Return the attributes of a layer's group: OME multiscales as its version of Zarr has them."""
    scales = {"axes": _axes(unit, axes), "datasets": [_scale(mag, path, voxel_size, axes) for mag, path in mags]}
    if data_format is DataFormat.Zarr:
        return {"multiscales": [{"version": "0.4", **scales}]}
    return {"ome": {"version": "0.5", "multiscales": [scales]}}


def _is_array(folder: Path | ObjectPath) -> bool:
    return is_something(folder / ".zarray") or _attributes(folder / "zarr.json").get("node_type") == "array"


def _axes(unit: str, axes: Sequence[str]) -> list[dict[str, str]]:
    kinds = {"c": {"type": "channel"}, "t": {"type": "time"}}
    kinds |= {axis: {"type": "space", "unit": unit} for axis in "xyz"}
    return [{"name": axis, **kinds.get(axis, {})} for axis in axes]


def _scale(mag: Mag, path: str, voxel_size: Sequence[float], axes: Sequence[str]) -> dict[str, Any]:
    sizes = {axis: edge * size for axis, edge, size in zip("xyz", mag.to_tuple(), voxel_size, strict=True)}
    scale = [sizes.get(axis, 1.0) for axis in axes]
    return {
        "path": path,
        "coordinateTransformations": [{"type": "scale", "scale": scale}],
    }


def _attributes(file: Path | ObjectPath) -> dict[str, Any]:
    """Return what a metadata file holds; nothing, if it is no such file: it is derived and will be written anew."""
    try:
        content = read_json(file)
    except DatasetError:
        return {}
    return content if isinstance(content, dict) else {}


def _put(file: Path | ObjectPath, content: dict[str, Any], within: Path | None) -> None:
    try:
        replace_whole(file, json.dumps(content, indent=4).encode(), within)
    except IsADirectoryError as error:
        raise DatasetError(f"{file} is a folder, where a file of metadata belongs") from error
