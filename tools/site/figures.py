"""Draw the figures of the pages on formats and merges: ``python tools/site/figures.py`` writes docs/figures/*.svg.

Colours are CSS variables: as files the figures follow the reader's system, in the site they follow its switch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

FIGURES = Path(__file__).resolve().parents[2] / "docs" / "figures"

_LIGHT = "--ink:#1f2328;--soft:#57606a;--line:#8c959f;--panel:#f3f5f8;--a:#2563a8;--b:#b4500b;--c:#2b7a4b"
_DARK = "--ink:#e6edf3;--soft:#a4adb8;--line:#6b7480;--panel:#262b33;--a:#79b0f0;--b:#f2a05f;--c:#74c690"
_STYLE = (
    f"svg.figure{{{_LIGHT}}}@media(prefers-color-scheme:dark){{svg.figure{{{_DARK}}}}}"
    f'[data-md-color-scheme="default"] svg.figure{{{_LIGHT}}}[data-md-color-scheme="slate"] svg.figure{{{_DARK}}}'
    "svg.figure{font:13px ui-sans-serif,system-ui,sans-serif}.figure text{fill:var(--ink)}"
    ".figure .mono{font-family:ui-monospace,SFMono-Regular,Menlo,monospace;font-size:12.5px}"
    ".figure .soft{fill:var(--soft)}.figure .bold{font-weight:600}.figure .mid{text-anchor:middle}"
    ".figure .box{fill:var(--panel);stroke:var(--line)}.figure .line{stroke:var(--line);fill:none;stroke-width:1.3}"
    ".figure .a,.figure .b,.figure .c{fill-opacity:.22;stroke-width:1.3}"
    ".figure .a{fill:var(--a);stroke:var(--a)}.figure .b{fill:var(--b);stroke:var(--b)}"
    ".figure .c{fill:var(--c);stroke:var(--c)}.figure .empty{fill:none;stroke:var(--line);stroke-dasharray:3 3}"
)


def svg(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    """Return a figure with its title for those who do not see it."""
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="figure" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title)}">\n<style>{_STYLE}</style>\n{body}\n</svg>\n'
    )


def text(x: float, y: float, words: str, kind: str = "") -> str:
    """Return a line of text that begins, or with the kind ``mid`` has its middle, at a point."""
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, kind: str = "box", radius: int = 4) -> str:
    """Return a rectangle with round corners."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius}" class="{kind}"/>'


def path(*points: tuple[float, float]) -> str:
    """Return a line through points."""
    return f'<path class="line" d="M{" L".join(f"{x:g} {y:g}" for x, y in points)}"/>'


def arrow(x1: float, x2: float, y: float) -> str:
    """Return an arrow from left to right."""
    return path((x1, y), (x2, y)) + path((x2 - 6, y - 4), (x2, y), (x2 - 6, y + 4))


# -- NML ----------------------------------------------------------------------------------------------------------

# Depth, element, what it is.
_ELEMENTS = (
    (0, "things", "the document"),
    (1, "meta *", "who wrote it, owner, annotation id, facts of users"),
    (1, "parameters", "dataset, voxel size and unit, time, view, boxes, axes"),
    (1, "thing *", "a tree: id, name, colour, group"),
    (2, "nodes", ""),
    (3, "node *", "id, x y z in mag-1 voxels, radius in nm, rotation, time"),
    (2, "edges", ""),
    (3, "edge *", "source and target: two ids of nodes"),
    (2, "metadata", "facts by key: text, number, true or false, list"),
    (1, "branchpoints", "ids of nodes, times"),
    (1, "comments", "id of a node, text"),
    (1, "groups", "tree groups, nested"),
    (1, "volume *", "name, data zip, format, fallback layer, largest id"),
    (2, "segments", "segments with names, anchors, colours, metadata"),
    (2, "groups", "segment groups, nested"),
)


def nml() -> str:
    """Return the elements of an NML with what they hold."""
    row, indent = 27, 26
    parts, last = [], {}
    for i, (depth, element, meaning) in enumerate(_ELEMENTS):
        x, y = 14 + depth * indent, 14 + i * row
        if depth:
            up, over = last[depth - 1]
            parts.append(path((over + 11, up + 20), (over + 11, y + 10), (x, y + 10)))
        last[depth] = (y, x)
        kind = {"thing *": "a", "node *": "a", "edge *": "a", "volume *": "b"}.get(element, "box")
        parts += [box(x, y, 112, 20, kind), text(x + 8, y + 14, element, "mono"), text(236, y + 14, meaning, "soft")]
    return svg(640, 14 + len(_ELEMENTS) * row + 4, "The elements of an NML file, one below the other", parts)


# -- the annotation zip -------------------------------------------------------------------------------------------


def archive() -> str:
    """Return what lies in an annotation zip, with both spellings of a data zip."""
    parts = [
        box(10, 10, 620, 316),
        text(24, 32, "annotation.zip", "mono bold"),
        box(26, 46, 588, 44, "a"),
        text(40, 66, "annotation.nml", "mono bold"),
        text(40, 82, "the skeleton, and a <volume> for each layer below", "soft"),
    ]
    layers = (
        (
            26,
            "data_Volume.zip",
            'format="wkw"',
            ("1/header.wkw", "1/z0/y2/x5.wkw", "2/header.wkw", "2/z0/y1/x2.wkw"),
            "a file for each chunk that was touched",
        ),
        (
            324,
            "data_1_Second.zip",
            'format="zarr3"',
            (
                "datasource-properties.json",
                "volumeAnnotationData/1/zarr.json",
                "volumeAnnotationData/1/c.0.5.2.0",
                "volumeAnnotationData/2/zarr.json",
            ),
            "the same chunks, Zarr v3 with blosc",
        ),
    )
    for x, name, form, members, said in layers:
        parts += [
            box(x, 104, 290, 208, "b"),
            text(x + 14, 126, name, "mono bold"),
            text(x + 14, 144, form, "mono soft"),
        ]
        parts += [text(x + 14, 172 + i * 22, member, "mono") for i, member in enumerate(members)]
        parts += [text(x + 14, 274, "…", "mono"), text(x + 14, 298, said, "soft")]
    return svg(640, 336, "An annotation zip holds one NML and a zip for each volume layer", parts)


# -- WKW ----------------------------------------------------------------------------------------------------------


def _strip(x: float, y: float, height: float, fields: Sequence[tuple[float, str, str]]) -> list[str]:
    """Return fields of bytes side by side: width, kind, label."""
    parts = []
    for width, kind, label in fields:
        parts += [box(x, y, width, height, kind, 0), text(x + width / 2, y + height / 2 + 5, label, "mid")]
        x += width
    return parts


def wkw() -> str:
    """Return a WKW file: header, jump table, blocks, and the order of the blocks."""
    parts = [text(10, 22, "x5.wkw", "mono bold"), text(74, 22, "a cube of N blocks of 32³ voxels", "soft")]
    blocks = [(54.0, "b", f"{i}") for i in range(6)]
    parts += _strip(10, 34, 40, [(92, "a", "header"), (150, "c", "jump table"), *blocks, (54, "b", "…")])
    parts += [text(56, 92, "16 bytes", "mid soft"), text(177, 92, "8 bytes × N", "mid soft")]
    parts += [text(441, 92, "blocks, each packed by LZ4", "mid soft"), text(10, 130, "The header", "bold")]
    head = [(64, "a", "WKW"), (48, "a", "1"), (104, "a", "edges, log2"), (82, "a", "packing"), (82, "a", "type")]
    parts += _strip(10, 142, 34, [*head, (104, "a", "bytes a voxel"), (126, "a", "start of block 0")])
    sizes = ((42, "3"), (98, "1"), (174, "1"), (267, "1"), (349, "1"), (442, "1"), (557, "8 bytes"))
    parts += [text(x, 192, size, "mid soft") for x, size in sizes]
    parts += [text(10, 232, "Jump table", "bold"), text(10, 252, "Entry i is where block i ends.", "soft")]
    parts += [text(10, 270, "Block i begins where block i − 1 ends,", "soft")]
    parts += [text(10, 288, "block 0 where the header says.", "soft")]
    parts += [
        text(292, 232, "Order of blocks: Morton", "bold"),
        text(292, 252, "the bits of x, y and z in turn,", "soft"),
    ]
    parts += [text(292, 270, "x lowest; here z = 0", "soft")]
    for y in range(4):
        for x in range(4):
            number = sum(((x >> b & 1) << 3 * b) | ((y >> b & 1) << (3 * b + 1)) for b in range(2))
            left, top = 506 + x * 31, 222 + y * 31
            parts += [box(left, top, 31, 31, "b", 0), text(left + 15.5, top + 20, str(number), "mid")]
    return svg(640, 356, "A WKW file: header, jump table, then blocks in Morton order", parts)


# -- Zarr shards --------------------------------------------------------------------------------------------------


def shard() -> str:
    """Return a Zarr v3 shard: chunks in any order, then the index."""
    parts = [text(10, 22, "c/0/1/0/0", "mono bold"), text(96, 22, "one file, a cube of n chunks", "soft")]
    chunks = [(74, "b", "chunk 0"), (98, "b", "chunk 3"), (60, "b", "chunk 1"), (40, "empty", ""), (86, "b", "chunk 6")]
    parts += _strip(10, 34, 40, [*chunks, (202, "c", "index"), (60, "a", "crc32c")])
    parts += [text(189, 92, "encoded chunks, any order, gaps allowed", "mid soft")]
    parts += [text(469, 92, "16 bytes × n", "mid soft"), text(600, 92, "4", "mid soft")]
    parts += [text(10, 130, "The index: where each chunk lies in the file, chunks in C order (z fastest)", "bold")]
    rows = [("0", "0", "1,204"), ("1", "2,790", "977"), ("2", "none", "none"), ("3", "1,204", "1,586")]
    for i, heading in enumerate(("chunk", "offset, u64", "length, u64")):
        parts.append(text(70 + i * 130, 156, heading, "mid soft"))
    for row, cells in enumerate(rows):
        y = 166 + row * 28
        parts += _strip(10, y, 28, [(120, "c", cells[0]), (140, "c", cells[1]), (120, "c", cells[2])])
    notes = (
        "none is 2⁶⁴ − 1 in both: no such",
        "chunk, its voxels are zero.",
        "A chunk that is there and all zero",
        "is an erasure; wkfast keeps it.",
    )
    parts += [text(410, 186 + i * 20, note, "soft") for i, note in enumerate(notes)]
    return svg(640, 292, "A Zarr shard: encoded chunks, then an index of offsets and lengths, then a checksum", parts)


# -- the merge ----------------------------------------------------------------------------------------------------

_CELL = 22
# Chunks of a plane, x and y: what the annotation holds. "e" is erased, "p" painted.
_TOUCHED = {(1, 1): "p", (2, 1): "p", (2, 2): "e", (5, 2): "p"}


def _plane(x: float, y: float, kind_of: Callable[[tuple[int, int]], str]) -> list[str]:
    """Return a plane of 8 by 4 chunks in shards of 4 by 4."""
    parts = []
    for column in range(8):
        for row in range(4):
            kind = kind_of((column, row))
            if kind:
                parts.append(box(x + column * _CELL, y + row * _CELL, _CELL, _CELL, kind, 0))
    return parts + [
        f'<rect x="{x + i * 4 * _CELL:g}" y="{y:g}" width="{4 * _CELL}" height="{4 * _CELL}" fill="none" '
        'style="stroke:var(--ink);stroke-width:2"/>'
        for i in range(2)
    ]


def merge() -> str:
    """Return what a merge does to the chunks of a shard."""
    annotation = {"p": "b", "e": "empty"}

    def fallback_kind(_place: tuple[int, int]) -> str:
        return "a"

    def annotation_kind(place: tuple[int, int]) -> str:
        return annotation.get(_TOUCHED.get((place[0], place[1]), ""), "") if place[0] < 4 else ""

    def merged_kind(place: tuple[int, int]) -> str:
        return annotation_kind(place) or "a"

    parts = []
    columns = (
        (10, "fallback layer", fallback_kind),
        (232, "annotation", annotation_kind),
        (454, "result", merged_kind),
    )
    for x, name, kind in columns:
        parts += [text(x + 88, 22, name, "mid bold"), *_plane(x, 34, kind)]
    parts += [text(209, 84, "+", "mid bold"), arrow(418, 444, 80)]
    parts += [text(498, 146, "touched:", "mid soft"), text(586, 146, "untouched:", "mid soft")]
    parts += [text(498, 164, "written", "mid soft"), text(586, 164, "copied", "mid soft")]
    said = (
        ("a", "Only the fallback has the chunk: its encoded bytes are taken over, nothing is decoded."),
        ("b", "The annotation has it: its chunk replaces the fallback's, as bytes where encodings agree."),
        ("empty", "All zero in the annotation: erased, and stays erased."),
        ("c", "Voxels of both (policy nonzero, coarser mags, other grids): decoded, merged, encoded."),
    )
    for i, (kind, words) in enumerate(said):
        y = 186 + i * 26
        parts += [box(10, y, 18, 18, kind, 0), text(40, y + 14, words)]
    return svg(640, 296, "A merge copies untouched shards whole and replaces chunks in the others", parts)


ALL = {"nml": nml, "annotation-zip": archive, "wkw": wkw, "zarr-shard": shard, "merge": merge}


def main() -> None:
    """Write every figure."""
    for name, draw in ALL.items():
        (FIGURES / f"{name}.svg").write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
