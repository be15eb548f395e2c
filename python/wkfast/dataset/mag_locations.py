"""Where mags lie, as plain data for the core: see ``_core.MagLocation``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wkfast.buckets import ObjectPath

if TYPE_CHECKING:
    from pathlib import Path

    from wkfast.dataset.layer_properties import Json, LayerProperties
    from wkfast.geometry import Mag


def location_in(folder: Path | ObjectPath, layer: LayerProperties, mag: Mag, order: Json | None) -> Json:
    """Return where a mag of `layer` in `folder` lies, whose axes have an order."""
    return {
        "mag": list(mag.to_tuple()),
        "format": layer.data_format.value,
        "container": folder.container if isinstance(folder, ObjectPath) else {"kind": "directory", "path": str(folder)},
        "prefix": "",
        "axis_order": order,
    }


def is_far(entry: Json) -> bool:
    """Return whether a mag lies at an address of its own, in a bucket or on a server."""
    return "://" in str(entry.get("path"))
