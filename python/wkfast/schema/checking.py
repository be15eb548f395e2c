"""NML files checked against ``nml.xsd`` by lxml, a reader that is not ours."""

from __future__ import annotations

import functools
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from wkfast._lazy import lazy_import
from wkfast.errors import NmlError
from wkfast.skeleton.annotation_file import AnnotationFile

if TYPE_CHECKING:
    from os import PathLike

    from lxml import etree
else:
    etree = lazy_import("lxml.etree", extra="schema")

# lxml compares every id with every other: more nodes than these are left to `wkfast validate`, which checks the same.
_MOST_NODES = 20_000
_CONSTRAINTS = ("key", "keyref", "unique")
_NAME = re.compile(r"Element '([^']*)'[:,] ?")
_STEP = re.compile(r"([^/\[]+)(?:\[(\d+)\])?")

Place = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class SchemaProblem:
    """Where a file is not as the schema has it.

    Attributes
    ----------
    line, column
        Where the element begins, both counted from 1.
    element
        Its name.
    reason
        What the schema expects.
    """

    line: int
    column: int
    element: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: <{self.element}>: {self.reason}"


def schema_path() -> Path:
    """Return where ``nml.xsd`` lies, for other tools.

    Examples
    --------
    >>> schema_path().name
    'nml.xsd'
    """
    return Path(__file__).with_name("nml.xsd")


def schema_problems(path: str | PathLike[str]) -> list[SchemaProblem]:
    """Return where an ``.nml``, or the NML of an annotation ``.zip``, is not as the schema has it.

    Whether ids are unique and are those of nodes is checked in files of up to 20,000 nodes; `wkfast validate` checks
    it in all.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    NmlError
        It is no XML.
    AnnotationFileNotFoundError, AnnotationSuffixError, AnnotationZipError
        There is no such file, or it holds no NML.
    MissingExtraError
        lxml is not installed.

    Examples
    --------
    >>> file = tmp_path / "a.nml"
    >>> done = file.write_text('<things><thing id="one"/></things>')
    >>> print(schema_problems(file)[0])
    line 1, column 9: <thing>: attribute 'id': 'one' is not a valid value of the atomic type 'id32'.
    """
    text = AnnotationFile.open(path).text()
    schema = _schema(with_ids=text.count(b"<node ") <= _MOST_NODES)
    schema.validate(_parsed(text, path))
    found = list(schema.error_log)
    places = _places(text, {_place(error) for error in found})
    return sorted((_problem(error, places) for error in found), key=lambda each: (each.line, each.column))


def _parsed(text: bytes, path: str | PathLike[str]) -> etree._ElementTree:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
    try:
        tree = etree.fromstring(text, parser).getroottree()
    except etree.XMLSyntaxError as error:
        line, column = error.position
        reason = f"{path}: line {line}, column {column}: is no XML: {error.msg}"
        raise NmlError(reason, line=line, column=column) from error
    if tree.docinfo.doctype:
        raise NmlError(f"{path}: NML has no document type: {tree.docinfo.doctype}", line=1, column=1)
    return tree


@functools.cache
def _schema(*, with_ids: bool) -> etree.XMLSchema:
    tree = etree.parse(schema_path())
    if not with_ids:
        for name in _CONSTRAINTS:
            for constraint in tree.findall(f".//{{*}}{name}"):
                constraint.getparent().remove(constraint)
    return etree.XMLSchema(tree)


def _place(error: Any) -> Place:
    """Return names and numbers of the elements on a path such as ``/things/thing[2]``.

    Where lxml gives no path, as for what refers to nothing, it is the line and the name that its message has.
    """
    if error.path is None:
        return ((_NAME.match(error.message)[1], -error.line),)  # type: ignore[index]
    return tuple((name, int(number or 1)) for name, number in _STEP.findall(error.path))


def _places(text: bytes, wanted: set[Place]) -> dict[Place, tuple[int, int]]:
    """Return line and column of elements: lxml knows lines only."""
    found: dict[Place, tuple[int, int]] = {}
    if not wanted:
        return found
    parser = expat.ParserCreate()
    here: list[tuple[str, int]] = []
    counts: list[Counter[str]] = [Counter()]

    def start(name: str, _: dict[str, Any]) -> None:
        counts[-1][name] += 1
        here.append((name, counts[-1][name]))
        counts.append(Counter())
        for place in (tuple(here), ((name, -parser.CurrentLineNumber),)):
            if place in wanted:
                found.setdefault(place, (parser.CurrentLineNumber, parser.CurrentColumnNumber + 1))

    def end(_: str) -> None:
        here.pop()
        counts.pop()

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.Parse(text)
    return found


def _problem(error: Any, places: dict[Place, tuple[int, int]]) -> SchemaProblem:
    place = _place(error)
    line, column = places.get(place, (error.line, 1))
    return SchemaProblem(line, column, place[-1][0], _NAME.sub("", error.message))
