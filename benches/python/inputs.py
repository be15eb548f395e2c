"""Generated inputs of any size, made once per size and folder."""

from __future__ import annotations

import random
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEAD = """<things>
  <meta name="writer" content="benchmark" />
  <parameters>
    <experiment name="bench" organization="bench" description="" />
    <scale x="11.24" y="11.24" z="28.0" unit="nanometer" />
    <offset x="0" y="0" z="0" />
    <time ms="1700000000000" />
    <editPosition x="512" y="512" z="16" />
    <editRotation xRot="0.0" yRot="0.0" zRot="0.0" />
    <zoomLevel zoom="1.0" />
  </parameters>
"""
_TAIL = "  <branchpoints />\n  <comments />\n  <groups />\n</things>\n"


def nml(folder: Path, nodes: int, trees: int = 10) -> Path:
    """Return an NML as a server writes it: `nodes` in `trees` random walks, about 235 bytes a node with its edge."""
    path = folder / f"nodes-{nodes}-trees-{trees}.nml"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("w", encoding="utf-8") as file:
            file.write(_HEAD)
            first = 1
            for tree in range(1, trees + 1):
                last = 1 + nodes * tree // trees
                file.writelines(_tree(tree, first, last))
                first = last
            file.write(_TAIL)
        part.rename(path)
    return path


def many(folder: Path, files: int, nodes: int) -> Path:
    """Return a folder of NMLs, each of a tree of `nodes`."""
    place = folder / f"files-{files}-nodes-{nodes}"
    if not place.exists():
        part = place.with_suffix(".part")
        part.mkdir(parents=True, exist_ok=True)
        for file in range(files):
            text = "".join(_tree(file + 1, 1 + file * nodes, 1 + (file + 1) * nodes))
            (part / f"annotation-{file:06}.nml").write_text(_HEAD + text + _TAIL, encoding="utf-8")
        part.rename(place)
    return place


def zipped(path: Path) -> Path:
    """Return an annotation zip that holds the NML at `path`, deflated as the server does it."""
    archive = path.with_suffix(".zip")
    if not archive.exists():
        part = path.with_suffix(".zip.part")
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as file:
            file.write(path, path.name)
        part.rename(archive)
    return archive


def _tree(tree: int, first: int, last: int) -> Iterator[str]:
    draw = random.Random(tree)
    x, y, z = (draw.randrange(10_000, 90_000) for _ in range(3))
    yield (
        f'  <thing id="{tree}" color.r="0.6784313917160034" color.g="0.1411764770746231" '
        f'color.b="0.05098039284348488" color.a="1.0" name="tree_{tree:04}" type="DEFAULT">\n    <nodes>\n'
    )
    for node in range(first, last):
        x, y, z = x + draw.randrange(-9, 10), y + draw.randrange(-9, 10), z + draw.randrange(-2, 3)
        yield (
            f'      <node id="{node}" radius="{draw.random() * 100:.4f}" x="{x}" y="{y}" z="{z}" rotX="0.0" rotY="0.0" '
            f'rotZ="0.0" inVp="0" inMag="2" bitDepth="8" interpolation="false" time="{1697030675476 + node}" />\n'
        )
    yield "    </nodes>\n    <edges>\n"
    for node in range(first, last - 1):
        yield f'      <edge source="{node}" target="{node + 1}" />\n'
    yield "    </edges>\n  </thing>\n"
