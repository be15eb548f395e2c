"""How a dataset states where something lies, beside its own folders too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wkfast.buckets import ObjectPath, written_address
from wkfast.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path


def check_reachable(folder: Path | ObjectPath, home: Path | ObjectPath) -> None:
    """Refuse that a dataset refers to what is not reached from where it lies.

    Raises
    ------
    DatasetError
        The dataset lies in a bucket, the other in a folder of this machine.
    """
    if isinstance(home, ObjectPath) and not isinstance(folder, ObjectPath):
        raise DatasetError(
            f"{folder} is a folder of this machine, to which a dataset in a bucket ({home}) cannot refer; copy it "
            "there, as by Dataset.add_layer_as_copy"
        )


def stated_in(folder: Path | ObjectPath, home: Path | ObjectPath) -> str:
    """Return how the dataset in `home` states a folder or file, both without links: relative, absolute, or an address.

    Raises
    ------
    DatasetError
        As of :func:`check_reachable`.
    """
    check_reachable(folder, home)
    if isinstance(folder, ObjectPath):
        inside = isinstance(home, ObjectPath) and folder.is_relative_to(home)
        return f"./{folder.relative_to(home)}" if inside else written_address(folder)  # type: ignore[arg-type] # inside
    return f"./{folder.relative_to(home).as_posix()}" if folder.is_relative_to(home) else folder.as_posix()  # type: ignore[arg-type] # both here
