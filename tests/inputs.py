"""Small inputs that tests build for themselves, in the formats a server writes."""

from __future__ import annotations

import zipfile
from functools import lru_cache
from typing import TYPE_CHECKING

from wkfast.demo.generate import DemoInput, draw, generate, labels

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@lru_cache(maxsize=1)
def small_fallback():
    """Labels (96, 96, 64), uint32."""
    return labels((96, 96, 64), cells=12)


def demo_input(folder: Path) -> DemoInput:
    """The demo's own input, written below `folder`."""
    return generate(folder)


def write_zip(path: Path, members: Mapping[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def minimal_nml(body: str = "", *, dataset: str = "dataset") -> str:
    return (
        f'<things><parameters><experiment name="{dataset}" /><scale x="4.0" y="4.0" z="40.0" /></parameters>'
        f"{body}</things>"
    )


def tree_state(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` with its bytes: equal before and after means that nothing was touched."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


__all__ = ["DemoInput", "demo_input", "draw", "minimal_nml", "small_fallback", "tree_state", "write_zip"]
