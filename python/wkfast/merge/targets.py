"""Where the result of a merge goes: a folder, or a folder of objects in a bucket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wkfast.buckets import ObjectPath

if TYPE_CHECKING:
    from wkfast.dataset.layer_properties import Json


def of_core(target: str | Json) -> Path | ObjectPath:
    """Return the target that plain data of the core mean.

    Examples
    --------
    >>> of_core({"url": "s3://bucket/merged", "options": {}})
    ObjectPath('s3://bucket/merged')
    """
    return Path(target) if isinstance(target, str) else ObjectPath.of_container(target)
