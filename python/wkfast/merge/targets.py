"""Where the result of a merge goes: a folder, or a folder of objects in a bucket."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wkfast.buckets import ObjectPath
from wkfast.dataset.folders import held_beneath, path_of_held
from wkfast.errors import MergeError, WkfastError
from wkfast.merge.report import provenance_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wkfast.dataset.layer_properties import Json


_NUMBERED = re.compile(r"/proc/self/fd/\d+")


def of_core(target: str | Json) -> Path | ObjectPath:
    """Return the target that plain data of the core mean.

    Examples
    --------
    >>> of_core({"url": "s3://bucket/merged", "options": {}})
    ObjectPath('s3://bucket/merged')
    """
    return Path(target) if isinstance(target, str) else ObjectPath.of_container(target)


@contextmanager
def held_target(target: Path | ObjectPath, fingerprint: str) -> Iterator[Path | ObjectPath]:
    """Yield where the target of a merge that has been committed is reached: this very folder, whatever takes its name.

    Raises
    ------
    MergeError
        What has its name is not the folder that this merge was committed in, or is gone.
    """
    if not isinstance(target, Path):
        yield target
        return
    try:
        with held_beneath(target, target) as held:
            folder = path_of_held(held, target)
            if (provenance_of(folder) or {}).get("fingerprint") != fingerprint:
                raise MergeError(f"{target} is not the folder that the merge was committed in: it has become another")
            yield folder
    except (OSError, WkfastError) as error:
        _name_by_path(error, target)
        raise


def _name_by_path(error: Exception, target: Path) -> None:
    """Let an error name files of a folder by the path that users know, not by its number."""

    def known(text: Any) -> Any:
        return _NUMBERED.sub(lambda _: str(target), text) if isinstance(text, str) else text

    error.args = tuple(map(known, error.args))
    if isinstance(error, OSError):
        error.filename = known(error.filename)
