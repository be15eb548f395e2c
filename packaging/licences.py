"""Write ``THIRD-PARTY-LICENSES``: whose code a wheel holds beside ours, and under which terms.

``python packaging/licences.py`` asks cargo for every crate that the extension is built of, on any platform with wheels,
and takes what their sources say. ``--check`` writes nothing and ends with 1 if the file is not what it would write.
Texts that differ in nothing but spacing and whom they name are told once; who is named stands with the crate.
"""

import json
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "THIRD-PARTY-LICENSES"
# Texts of what crates hold without its licence.
OURS = Path(__file__).with_name("licences")
EXTENSION = "wkfast-python"

# C and C++ inside of crates, whose terms lie deeper in their sources or not there at all: crate -> name, files.
INSIDE = {
    "blosc-src": ("c-blosc, bitshuffle, FastLZ", [OURS / "c-blosc.txt", OURS / "bitshuffle.txt", OURS / "fastlz.txt"]),
    "libz-sys": ("zlib", ["src/zlib/LICENSE"]),
    "lz4-sys": ("LZ4", ["liblz4/lib/LICENSE"]),
    "ring": ("fiat, once_cell", ["third_party/fiat/LICENSE", "src/polyfill/once_cell/LICENSE-MIT"]),
    "snappy_src": ("Snappy", ["snappy/COPYING"]),
    "zstd-sys": ("Zstandard", ["zstd/LICENSE"]),
}
# What compilers add, beside any crate.
ADDED = {
    "Rust standard library": ("MIT OR Apache-2.0", "Copyright (c) The Rust Project Contributors"),
    "LLVM libc++, libc++abi, libunwind": ("Apache-2.0 WITH LLVM-exception", "Copyright (c) the LLVM Project's authors"),
}
_HEAD = """\
wkfast's extension, wkfast/_core, is compiled from wkfast's own sources (LICENSE-MIT, LICENSE-APACHE) and from what is
named here, under the licence that each line says. [1] is the first of the texts below.
"""
_NAMES = re.compile(r"licen[cs]e|copying|notice|copyright|unlicense", re.IGNORECASE)
_OWNER = re.compile(r"^\W*(copyright\s+(\(c\)|©|\d|the )|(©|\(c\))\s*\d).*$", re.IGNORECASE)
_TITLE = re.compile(
    r"^\W*(the )?(mit|isc|bsd 3-clause|zlib) license\W*(\(mit\))?\W*$|^all rights reserved\W*$", re.IGNORECASE
)
# What follows the terms of Apache-2.0: how to use them for works of one's own.
_ADVICE = re.compile(
    r"(END OF TERMS AND CONDITIONS\s*)?APPENDIX: How to apply.+?limitations under the License\.", re.DOTALL
)


@dataclass(slots=True)
class Texts:
    """Texts of licences, each once, with numbers from 1 on."""

    numbers: dict[str, int] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)

    def number(self, text: str) -> int:
        """Return the number of a text, which is new or was there in other spacing."""
        words = " ".join(re.findall(r"\w+", text.lower()))
        if words not in self.numbers:
            self.texts.append(text)
            self.numbers[words] = len(self.texts)
        return self.numbers[words]


def crates() -> list[dict]:
    """Return cargo's records of others' crates that the extension is built of, by name and version."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    for platform in tomllib.loads((ROOT / "deny.toml").read_text(encoding="utf-8"))["graph"]["targets"]:
        command += ["--filter-platform", platform]
    told = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    records = {record["id"]: record for record in told["packages"]}
    needed = {node["id"]: _needs(node) for node in told["resolve"]["nodes"]}
    found = _reachable(next(key for key, record in records.items() if record["name"] == EXTENSION), needed)
    others = [records[key] for key in found if records[key]["source"]]
    return sorted(others, key=lambda record: (record["name"], record["version"]))


def _needs(node: dict) -> list[str]:
    """Return what a crate is linked with: what only its build or its tests need is in no wheel."""
    return [needed["pkg"] for needed in node["deps"] if any(kind["kind"] is None for kind in needed["dep_kinds"])]


def _reachable(start: str, needed: dict[str, list[str]]) -> set[str]:
    """Return all that a crate needs, itself too."""
    found, open_ends = {start}, [start]
    while open_ends:
        new = set(needed[open_ends.pop()]) - found
        found |= new
        open_ends += new
    return found


def files_of(crate: dict) -> list[Path]:
    """Return the files of a crate that say its terms.

    Raises
    ------
    LookupError
        There is none.
    """
    folder = Path(crate["manifest_path"]).parent
    files = sorted(path for path in folder.iterdir() if path.is_file() and _NAMES.search(path.name))
    files += [folder / name for name in INSIDE.get(crate["name"], ("", []))[1]]
    if not files:
        raise LookupError(f"{crate['name']} {crate['version']} has no licence among its files: add it to INSIDE")
    return files


def split(text: str) -> tuple[list[str], str]:
    """Part a licence into whom it names and its terms."""
    lines = text.strip("\n").splitlines()
    owners = [line.strip(" *#\t") for line in lines if _OWNER.match(line)]
    terms = [line.rstrip() for line in lines if not _OWNER.match(line) and not _TITLE.match(line)]
    return owners, re.sub(r"\n{3,}", "\n\n", _ADVICE.sub("", "\n".join(terms))).strip("\n")


def entry(crate: dict, texts: Texts) -> str:
    """Return what the file says of a crate."""
    owners, numbers = {}, {}
    for file in files_of(crate):
        named, terms = split(file.read_text(encoding="utf-8"))
        owners.update(dict.fromkeys(named))
        numbers[texts.number(terms)] = None
    inside = f", with {INSIDE[crate['name']][0]}" if crate["name"] in INSIDE else ""
    marks = " ".join(f"[{number}]" for number in sorted(numbers))
    head = f"{crate['name']} {crate['version']}{inside}: {crate['license']} {marks}"
    return "\n".join([head, *(f"    {owner}" for owner in owners)])


def whole() -> str:
    """Return what the file is to hold."""
    texts = Texts()
    entries = [entry(crate, texts) for crate in crates()]
    texts.number((OURS / "llvm-exception.txt").read_text(encoding="utf-8").strip("\n"))
    entries += [f"{name}: {terms}\n    {owner}" for name, (terms, owner) in ADDED.items()]
    told = [f"{'-' * 100}\n[{number}]\n\n{text}" for number, text in enumerate(texts.texts, 1)]
    return "\n".join([_HEAD, *entries, "", *told]) + "\n"


def main(arguments: list[str]) -> int:
    """Do what the module says; return the exit code."""
    text = whole()
    if arguments == ["--check"]:
        same = FILE.is_file() and FILE.read_text(encoding="utf-8") == text
        sys.stdout.write("" if same else f"{FILE.name} is not up to date: python packaging/licences.py\n")
        return int(not same)
    FILE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
