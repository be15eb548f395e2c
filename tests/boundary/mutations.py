"""Files made wrong: bytes, JSON, XML and zip archives, each changed by chance in the way its kind goes wrong."""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    Mutation = Callable[[bytes, random.Random], bytes]

# Values that no field is made for.
ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        "",
        "x",
        [],
        {},
        [None],
        {"a": 1},
        0,
        -1,
        1,
        0.5,
        1e308,
        float("inf"),
        float("-inf"),
        float("nan"),
    ),
    *(2**31, -(2**31) - 1, 2**32, 2**53 + 1, 2**63, 2**64, -(2**64), 10**30, "1", "-1", "1e400", "NaN"),
    *(
        "../victim",
        "/dev/null/x",
        ".",
        "..",
        "a/b",
        "a\\b",
        "a\0b",
        "\ud800",
        "n" * 300,
        "ü",
        "\u202e",
        "segmentation/",
    ),
    *([1, 2], [1, 2, 3], [0, 0, 0], [-1, 1, 1], [2**40] * 3, [1.5, 2, 3], [[[]]], ["a", "b", "c"], [1] * 40),
    *("uint8", "uint64", "float32", "int128", "wkw", "zarr3", "gzip", "blosc", "default", "color", "segmentation"),
)
ODD_TEXTS = (
    *("", "0", "-1", "1", "0.5", "1e400", "-inf", "nan", "inf", "NaN", "2147483648", "9223372036854775808", "1" * 40),
    *(
        "true",
        "x",
        "../..",
        "a/b",
        "/",
        ".",
        "..",
        "n" * 300,
        "n" * 5000,
        "ü",
        "&#0;",
        "&#xD800;",
        "&lt;",
        "&none;",
        "1,2",
        " 1 ",
    ),
    *("segmentation", "color", "Zarr3", "wkw", "uint32", "data_Volume.zip", "\u202e", "1.0", "18446744073709551616"),
)


def odd_bytes(content: bytes, chance: random.Random) -> bytes:
    """Bytes flipped, cut, doubled, removed, or put in."""
    if not content:
        return chance.randbytes(chance.randrange(1, 40))
    at = chance.randrange(len(content))
    until = min(len(content), at + chance.choice((1, 1, 2, 4, 8, 64)))
    return chance.choice(
        (
            lambda: content[:at],
            lambda: content[:at] + content[until:],
            lambda: content[:at] + content[at:until] * 2 + content[until:],
            lambda: content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :],
            lambda: content[:at] + chance.choice((b"\0", b"\xff", b"\x7f")) * (until - at) + content[until:],
            lambda: content[:at] + chance.randbytes(until - at) + content[until:],
            lambda: b"",
        )
    )()


def _places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        found.append((value, key))
        _places(inner, found)
    return found


def odd_json(content: bytes, chance: random.Random) -> bytes:
    """A value of JSON replaced by an odd one, taken away, doubled, or renamed."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return odd_bytes(content, chance)
    places = _places(value, [])
    if not places or chance.random() < 0.05:
        return json.dumps(chance.choice(ODD)).encode()
    owner, key = chance.choice(places)
    turn = chance.random()
    if turn < 0.7:
        owner[key] = chance.choice(ODD)
    elif turn < 0.85:
        del owner[key]
    elif isinstance(owner, dict):
        owner[str(chance.choice(ODD))] = owner.pop(key)
    else:
        owner.append(owner[key])
    return json.dumps(value).encode()


def deep_json(_: bytes, chance: random.Random) -> bytes:
    """Lists in lists, or objects in objects, deeper than any recursion."""
    depth = chance.choice((100, 2000, 200_000))
    return b"[" * depth + b"]" * depth if chance.random() < 0.5 else b'{"a":' * depth + b"1" + b"}" * depth


def odd_xml(content: bytes, chance: random.Random) -> bytes:
    """An attribute of XML given an odd value, taken away or doubled; an element doubled, or text put in somewhere."""
    text = content.decode("utf-8", "replace")
    attributes = list(re.finditer(r'([\w.-]+)="([^"]*)"', text))
    elements = list(re.finditer(r"<[^<>]+>", text))
    turn = chance.random()
    if attributes and turn < 0.6:
        one = chance.choice(attributes)
        text = text[: one.start(2)] + chance.choice(ODD_TEXTS) + text[one.end(2) :]
    elif attributes and turn < 0.75:
        one = chance.choice(attributes)
        text = text[: one.start()] + chance.choice(("", one[0] + " " + one[0], f'{one[1]}x="1"')) + text[one.end() :]
    elif elements:
        one = chance.choice(elements)
        more = (
            "",
            one[0] * 2,
            "text" + one[0],
            one[0] + "<![CDATA[x]]>",
            "<!-- c -->",
            "<?xml version='1.0'?>",
            "<!DOCTYPE a>",
        )
        text = text[: one.start()] + chance.choice(more) + text[one.end() :]
    return text.encode("utf-8", "surrogatepass")


ENCODINGS = ("utf-7", "utf-8", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "ascii", "shift_jis", "none", "")


def odd_encoding(content: bytes, chance: random.Random) -> bytes:
    """Text in one encoding that says it is in another, or with characters that are none."""
    text = content.decode("utf-8", "replace")
    said = f'<?xml version="1.0" encoding="{chance.choice(ENCODINGS)}"?>' if chance.random() < 0.7 else ""
    used = chance.choice([name for name in ENCODINGS if name not in ("none", "")])
    wrong = chance.choice(("", "\ud800", "\ufffe", "\0", "é", "\udfff\ud800"))
    at = chance.randrange(len(text) + 1)
    written = text[:at] + wrong + text[at:]
    try:
        return (said + written).encode(used, "surrogatepass")
    except UnicodeEncodeError:
        return (said + written).encode("utf-8", "surrogatepass")


NAMES = (
    *(
        "../evil",
        "/abs",
        "a\0b",
        "",
        "n" * 300,
        "d.zip/",
        "a.nml",
        "b.nml",
        "1/header.wkw",
        "1-1-1/header.wkw",
        "\\",
        "ü",
    ),
    *(
        "1/z0/y0/x0.wkw",
        "volumeAnnotationData/1/zarr.json",
        "datasource-properties.json",
        "99999999999/header.wkw",
        "d/" * 200,
    ),
)


def odd_zip(content: bytes, chance: random.Random) -> bytes:
    """A member of a zip changed within, renamed, doubled or left out; or the directory's own bytes changed."""
    turn = chance.random()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError):
        return odd_bytes(content, chance)
    if turn < 0.35 or not members:
        return odd_directory(content, chance)
    at = chance.randrange(len(members))
    name, inner = members[at]
    if turn < 0.75:
        members[at] = (name, mutated(name, inner, chance))
    elif turn < 0.85:
        members[at] = (chance.choice(NAMES), inner)
    elif turn < 0.95:
        members.append((chance.choice(NAMES), inner))
    else:
        del members[at]
    return _zip_of(members, chance)


def _zip_of(members: list[tuple[str, bytes]], chance: random.Random) -> bytes:
    import warnings

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, inner in members:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of names that are there twice
                archive.writestr(zipfile.ZipInfo(name or "x"), inner)
    return out.getvalue()


def odd_directory(content: bytes, chance: random.Random) -> bytes:
    """A field of a zip's records changed: versions, flags, methods, sizes, names, places."""
    starts = [found.start() for found in re.finditer(rb"PK(\x01\x02|\x03\x04|\x05\x06|\x06\x06|\x06\x07)", content)]
    if not starts:
        return odd_bytes(content, chance)
    at = chance.choice(starts) + chance.randrange(4, 60)
    if at >= len(content):
        return odd_bytes(content, chance)
    width = chance.choice((1, 2, 4))
    value = chance.choice((b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x01\0\0\0", chance.randbytes(4)))[:width]
    return content[:at] + value + content[at + width :]


def mutations_for(name: str) -> tuple[Mutation, ...]:
    """Return the mutations for a file of that name."""
    if name.endswith((".json", ".zgroup", ".zarray", ".zattrs")):
        return (odd_json, odd_json, odd_json, odd_json, odd_bytes, deep_json)
    if name.endswith(".nml"):
        return (odd_xml, odd_xml, odd_xml, odd_bytes, odd_encoding)
    if name.endswith(".zip"):
        return (odd_zip,)
    return (odd_bytes,)


def mutated(name: str, content: bytes, chance: random.Random) -> bytes:
    """Return the content of a file, changed once to three times in the way its kind goes wrong."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        content = chance.choice(mutations_for(name))(content, chance)
    return content
