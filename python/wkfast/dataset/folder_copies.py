"""Copies of whole folders, links followed."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from wkfast.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

# Files that an error names.
_SHOWN = 3


def copy_folder(source: Path, target: Path) -> None:
    """Copy what is in a folder into one that is new or empty; links are followed.

    Raises
    ------
    DatasetError
        It cannot be copied, or links lead into one folder more than once: a few that lead to each other would fill a
        disk.
    """
    copied = {os.path.realpath(target)}

    def enter(folder: str, _names: list[str]) -> tuple[str, ...]:
        real = os.path.realpath(folder)
        if real in copied:
            raise DatasetError(f"{source} cannot be copied: {folder} leads to {real}, which would be copied again")
        copied.add(real)
        return ()

    try:
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=enter, copy_function=_copy_file)
    except OSError as error:
        raise DatasetError(f"{source} cannot be copied: {_reasons(error)}") from error


def _copy_file(source: str, target: str) -> None:
    if not stat.S_ISREG(os.stat(source).st_mode):  # noqa: PTH116 - as shutil has it
        raise shutil.SpecialFileError("it is no regular file")
    shutil.copy2(source, target)


def _reasons(error: OSError) -> str:
    """Return what an error of copying says, shortly: one of many files lists all of them."""
    if not isinstance(error, shutil.Error) or not isinstance(error.args[0], list):
        return str(error)
    told = [f"{place}: {reason}" for place, _, reason in error.args[0]]
    return "; ".join(told[:_SHOWN]) + (f" (and {len(told) - _SHOWN} more)" if len(told) > _SHOWN else "")
