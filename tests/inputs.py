"""Small inputs that tests build for themselves, in the formats a server writes."""

from __future__ import annotations

import io
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


def without_coarse_mags(annotation: Path) -> Path:
    """The demo's annotation, rewritten with mag 1 alone: a merge has to compute the others."""
    with zipfile.ZipFile(annotation) as outer:
        members = {name: outer.read(name) for name in outer.namelist()}
    with zipfile.ZipFile(io.BytesIO(members["data_Volume.zip"])) as inner:
        fine = {name: inner.read(name) for name in inner.namelist() if name.startswith("1/")}
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in fine.items():
            archive.writestr(name, content)
    return write_zip(annotation, {**members, "data_Volume.zip": data.getvalue()})


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


__all__ = [
    "DemoInput",
    "demo_input",
    "draw",
    "minimal_nml",
    "small_fallback",
    "tree_state",
    "without_coarse_mags",
    "write_zip",
]
