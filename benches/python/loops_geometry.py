"""Loops over positions, boxes, chunks and mags, and starting the interpreter with a package."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from benches.python.loops import Loop

if TYPE_CHECKING:
    from pathlib import Path

    from benches.python.loops import World

_CHUNKS = 512


def _geometry(wk: Any, _folder: Path) -> World:
    """Vectors, boxes and mags of a package."""
    point = (12_345, 6_789, 1_011)
    box, other = wk.BoundingBox((0, 0, 0), (256, 256, 256)), wk.BoundingBox((100, 120, 140), (512, 512, 512))
    axes = ("t", "x", "y", "z")
    nd, second = (wk.NDBoundingBox((i, 0, 0, 0), (4, 64, 64, 64), axes, (0, 1, 2, 3)) for i in (0, 2))
    return {
        "wk": wk,
        "pickle": pickle,
        "p": point,
        "items": list(point),
        "array": np.array(point),
        "axes": axes,
        "a": wk.Vec3Int(point),
        "b": wk.Vec3Int(3, 5, 7),
        "f": wk.Vec3Float(1.5, 2.5, 3.5),
        "g": wk.Vec3Float(11.24, 11.24, 28.0),
        "v": wk.VecInt((1, 2, 3, 4), axes=axes),
        "w": wk.VecInt((5, 6, 7, 8), axes=axes),
        "box": box,
        "other": other,
        "normal": box.normalize_axes(1),
        "nd": nd,
        "second": second,
        "two": wk.Mag(2),
        "four": wk.Mag(4),
        "flat": wk.Mag("2-2-1"),
        "mags": [wk.Mag(1 << i) for i in range(10)],
    }


def _start(wk: Any, _folder: Path) -> World:
    """An interpreter that imports a package."""
    command = [sys.executable, "-W", "ignore", "-c", f"import {wk.__name__}"]
    return {"start": lambda: subprocess.run(command, check=True, capture_output=True).returncode}


def _loop(what: str, statement: str, **more: Any) -> Loop:
    return Loop(what, statement, _geometry, **more)


LOOPS = (
    _loop("Vec3Int of three", "wk.Vec3Int(1, 2, 3)"),
    _loop("Vec3Int of a tuple", "wk.Vec3Int(p)"),
    _loop("Vec3Int of a list", "wk.Vec3Int(items)"),
    _loop("Vec3Int of an array", "wk.Vec3Int(array)"),
    _loop("Vec3Int + Vec3Int", "a + b"),
    _loop("Vec3Int + tuple", "a + (3, 5, 7)"),
    _loop("Vec3Int * int", "a * 2"),
    _loop("Vec3Int // Vec3Int", "a // b"),
    _loop("-Vec3Int", "-a"),
    _loop("Vec3Int.pairmax", "a.pairmax(b)"),
    _loop("Vec3Int.ceildiv", "a.ceildiv(b)"),
    _loop("Vec3Int.x", "a.x"),
    _loop("Vec3Int[0]", "a[0]"),
    _loop("x, y, z = Vec3Int", "x, y, z = a", check="[x, y, z]"),
    _loop("Vec3Int == tuple", "a == p"),
    _loop("hash of a Vec3Int", "hash(a)"),
    _loop("Vec3Int.with_x", "a.with_x(5)"),
    _loop("Vec3Int.to_np", "a.to_np()"),
    _loop("Vec3Int.to_tuple", "a.to_tuple()"),
    _loop("Vec3Int.prod", "b.prod()"),
    _loop("repr of a Vec3Int", "repr(a)"),
    _loop("pickle of a Vec3Int", "pickle.loads(pickle.dumps(a))"),
    _loop("VecInt with axes", "wk.VecInt((1, 2, 3, 4), axes=axes)"),
    _loop("VecInt + VecInt", "v + w"),
    _loop("VecInt.xyz", "v.xyz"),
    _loop("Vec3Float of three", "wk.Vec3Float(1.5, 2.5, 3.5)"),
    _loop("Vec3Float + Vec3Float", "f + g"),
    _loop("Vec3Float * float", "f * 2.0"),
    _loop("Vec3Float.to_vec3_int", "f.to_vec3_int()"),
    _loop("Mag of an int", "wk.Mag(2)", check="str(wk.Mag(2))"),
    _loop("Mag of a text", "wk.Mag('2-2-1')", check="str(wk.Mag('2-2-1'))"),
    _loop("Mag == Mag", "two == four"),
    _loop("Mag < Mag", "two < four"),
    _loop("hash of a Mag", "hash(two)"),
    _loop("Mag.to_layer_name", "flat.to_layer_name()"),
    _loop("sorted mags", "sorted(mags)", check="str(sorted(mags))", per=10),
    _loop("Mag * int", "two * 2", check="str(two * 2)"),
    _loop("BoundingBox of tuples", "wk.BoundingBox((1, 2, 3), (4, 5, 6))", check="repr(box)"),
    _loop("BoundingBox of vectors", "wk.BoundingBox(a, b)", check="repr(wk.BoundingBox(a, b))"),
    _loop("box.contains", "box.contains((10, 20, 30))"),
    _loop("box.intersected_with", "box.intersected_with(other)", check="repr(box.intersected_with(other))"),
    _loop("box.extended_by", "box.extended_by(other)", check="repr(box.extended_by(other))"),
    _loop("box.contains_bbox", "box.contains_bbox(other)"),
    _loop("box.offset", "box.offset((1, 2, 3))", check="repr(box.offset((1, 2, 3)))"),
    _loop("box.in_mag", "box.in_mag(two)", check="repr(box.in_mag(two))"),
    _loop(
        "box.align_with_mag",
        "other.align_with_mag(four, ceil=True)",
        check="repr(other.align_with_mag(four, ceil=True))",
    ),
    _loop(
        "box.padded_with_margins",
        "box.padded_with_margins((1, 2, 3))",
        check="repr(box.padded_with_margins((1, 2, 3)))",
    ),
    _loop("box.with_size", "box.with_size((1, 2, 3))", check="repr(box.with_size((1, 2, 3)))"),
    _loop("box.volume", "box.volume()"),
    _loop("box.to_slices", "box.to_slices()", check="str(box.to_slices())"),
    _loop("box == box", "box == other"),
    _loop("hash of a box", "hash(box)", check="hash(box) == hash(box.with_name('b'))"),
    _loop("one chunk of box.chunk", "for chunk in box.chunk((32, 32, 32)): pass", check="repr(chunk)", per=_CHUNKS),
    _loop(
        "one chunk of all as an array",
        "[[c.topleft.to_list(), c.size.to_list()] for c in box.chunk((32, 32, 32))]",
        ours="box.chunks_array((32, 32, 32)).tolist()",
        per=_CHUNKS,
    ),
    _loop("box.normalize_axes", "box.normalize_axes(1)", check="repr(box.normalize_axes(1).size)"),
    _loop("denormalize", "normal.denormalize()", check="repr(normal.denormalize())"),
    _loop("NDBoundingBox made", "wk.NDBoundingBox((0, 0, 0, 0), (4, 64, 64, 64), axes, (0, 1, 2, 3))", check="1"),
    _loop(
        "NDBoundingBox.intersected_with", "nd.intersected_with(second)", check="list(nd.intersected_with(second).size)"
    ),
    Loop("start an interpreter and import", "start()", _start),
)
