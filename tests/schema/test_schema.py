"""The schema of NML: what is written and real files are valid, what a server rejects is refused by it or the reader."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from wkfast import Annotation
from wkfast.cli import main
from wkfast.cli.validate import problems_of
from wkfast.errors import NmlError
from wkfast.schema import checking, schema_path, schema_problems

SOURCES = Path(__file__).resolve().parents[2] / "rust" / "wkfast-nml" / "src"
XS = {"xs": "http://www.w3.org/2001/XMLSchema"}
SCHEMA = etree.parse(schema_path())
TYPES = {"i32": "xs:int", "i64": "integer", "f64": "number", "[f64; 3]": "number", "bool": "truth"}


def test_the_attributes_of_nodes_are_those_of_the_table_of_columns():
    lines = re.findall(r'"[^"]*", \w+: ([^,]+(?:; 3\])?), \d, "\w+", \[([^\]]+)\];', (SOURCES / "table.rs").read_text())
    table = {name: TYPES[kind] for kind, names in lines for name in re.findall(r'"(\w+)"', names)}
    assert len(table) == 9
    node = SCHEMA.xpath("//xs:complexType[@name='node']/xs:attribute", namespaces=XS)
    stated = {each.get("name"): each.get("type") for each in node}
    assert stated == table | {"id": "id32"} | dict.fromkeys("xyz", "finite")


def test_every_element_and_attribute_that_the_reader_knows_is_in_the_schema():
    kinds, elements = ((SOURCES / "read" / name).read_text() for name in ("kinds.rs", "elements.rs"))
    known = re.findall(
        r'"(\w+)"', kinds.split("const KNOWN")[1].split("];")[0] + kinds.split("const SINGLE")[1].split("];")[0]
    )
    named = set(SCHEMA.xpath("//xs:element/@name", namespaces=XS))
    assert set(known) - named == set()
    read = set(re.findall(r'^\s+"(\w+)"(?: if [^=]+)? =>', elements, re.MULTILINE))
    assert len(read) > 40
    assert read - set(SCHEMA.xpath("//xs:attribute/@name", namespaces=XS)) == set()


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=6)
SMALL = st.integers(-(2**31), 2**31 - 1)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
NODES = st.fixed_dictionaries(
    {"position": st.tuples(FINITE, FINITE, FINITE)},
    optional={
        "radius": st.floats(),
        "rotation": st.tuples(FINITE, FINITE, FINITE),
        "inVp": SMALL,
        "inMag": SMALL,
        "bitDepth": SMALL,
        "interpolation": st.booleans(),
        "time": st.integers(-(2**63), 2**63 - 1),
        "comment": TEXTS,
        "is_branchpoint": st.booleans(),
    },
)
METADATA = st.dictionaries(TEXTS, TEXTS | st.booleans() | FINITE | SMALL | st.lists(TEXTS, max_size=3), max_size=3)
COLORS = st.none() | st.tuples(*[st.floats(0, 1)] * 4)


@settings(max_examples=60)
@given(
    trees=st.lists(st.tuples(TEXTS, COLORS, METADATA, st.lists(NODES, max_size=4), st.booleans()), max_size=3),
    facts=st.tuples(TEXTS, TEXTS, st.tuples(*[st.floats(1e-3, 1e6)] * 3)),
)
def test_what_the_writer_writes_is_valid(trees, facts, tmp_path_factory):
    name, description, voxel_size = facts
    annotation = Annotation("a", dataset_name=name, voxel_size=voxel_size, description=description, zoom_level=1.5)
    annotation.edit_position, annotation.edit_rotation = (1, 2, 3), (0.5, 1, 2)
    group = annotation.skeleton.add_group("g")
    for tree_name, color, metadata, nodes, in_group in trees:
        tree = (group if in_group else annotation.skeleton).add_tree(tree_name, color=color, metadata=metadata)
        made = [tree.add_node(**node) for node in nodes]
        tree.add_edges_from(itertools.pairwise(made))
    path = tmp_path_factory.mktemp("valid") / "a.nml"
    annotation.save(path)
    assert schema_problems(path) == []


@pytest.mark.fixtures
def test_real_files_are_valid_and_stay_so_when_they_are_saved(fixtures, tmp_path):
    paths = sorted([*(fixtures / "nmls").glob("*.nml"), *(fixtures / "annotations").glob("*.zip")])
    assert len(paths) >= 6
    for path in paths:
        assert schema_problems(path) == [], path
        saved = tmp_path / path.name
        Annotation.load(path).save(saved)
        assert schema_problems(saved) == [], saved


def document(inside="", nodes="", edges="", attributes='id="1"'):
    thing = f"<thing {attributes}><nodes>{nodes}</nodes><edges>{edges}</edges></thing>"
    return f'<things><parameters><experiment name="d"/><scale x="1" y="1" z="1"/></parameters>{thing}{inside}</things>'


def node(number, x="1"):
    return f'<node id="{number}" x="{x}" y="2" z="3"/>'


TWO = node(1) + node(2)
# What a server rejects: which file, and whether the schema says so, or only the reader, because no schema can.
RULES = {
    "duplicate tree id": (document('<thing id="1"/>'), True),
    "tree id beyond 32 bits": (document(attributes='id="4294967296"'), True),
    "no tree id": (document(attributes=""), True),
    "duplicate node id in a tree": (document(nodes=node(1) * 2), True),
    "duplicate node id in two trees": (
        document(f'<thing id="2"><nodes>{node(1)}</nodes></thing>', nodes=node(1)),
        True,
    ),
    "node without position": (document(nodes='<node id="1" x="1" y="2"/>'), True),
    "position that is no number": (document(nodes=node(1, "a")), True),
    "repeated edge": (document(nodes=TWO, edges='<edge source="1" target="2"/>' * 2), True),
    "edge repeated the other way": (
        document(nodes=TWO, edges='<edge source="1" target="2"/><edge source="2" target="1"/>'),
        False,
    ),
    "edge to a missing node": (document(nodes=TWO, edges='<edge source="1" target="9"/>'), True),
    "edge to another tree": (
        document(f'<thing id="2"><nodes>{node(3)}</nodes></thing>', TWO, '<edge source="1" target="3"/>'),
        True,
    ),
    "edge to itself": (document(nodes=TWO, edges='<edge source="1" target="1"/>'), False),
    "comment on a missing node": (document('<comments><comment node="9" content=""/></comments>', TWO), True),
    "branchpoint on a missing node": (document('<branchpoints><branchpoint id="9"/></branchpoints>', TWO), True),
    "duplicate group id": (
        document('<groups><group id="3" name="a"><group id="3" name="b"/></group></groups>'),
        True,
    ),
    "tree in a missing group": (document(attributes='id="1" groupId="8"'), False),
    "segment id beyond 64 bits": (
        document('<volume id="0"><segments><segment id="9223372036854775808"/></segments></volume>'),
        True,
    ),
    "segment at no voxel": (
        document('<volume id="0"><segments><segment id="1" anchorPositionX="a"/></segments></volume>'),
        True,
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("rule", RULES)
def test_what_a_server_rejects_is_refused_by_the_schema_or_by_the_reader(rule, tmp_path):
    text, by_schema = RULES[rule]
    path = tmp_path / "a.nml"
    path.write_text(text)
    assert bool(schema_problems(path)) == by_schema
    assert by_schema or any(problem["rejected"] for problem in problems_of(path, chunks=False))


def test_the_file_without_those_faults_is_valid(tmp_path):
    whole = document(
        '<branchpoints><branchpoint id="1" time="3"/></branchpoints><comments><comment node="2" content="c"/>'
        '</comments><groups><group id="3" name="a" isExpanded="true"><group id="4" name="b"/></group></groups>'
        '<volume id="0" location="d.zip" format="zarr3"><segments><segment id="9223372036854775807" '
        'additionalCoordinate-t="1"/></segments><groups><group id="3" name="s"/></groups></volume>',
        TWO,
        '<edge source="1" target="2"/>',
        'id="1" groupId="3" color.r="" color.g="" color.b="" color.a=""',
    )
    path = tmp_path / "a.nml"
    path.write_text(whole)
    assert schema_problems(path) == []
    assert problems_of(path, chunks=False)[1:] == []


def test_places_are_those_of_the_elements(tmp_path):
    text = (
        f'<things>\n  <thing id="1">\n    <nodes>\n      {node(1)}<!-- ä -->{node(2, "b")}\n</nodes></thing></things>'
    )
    path = tmp_path / "a.nml"
    path.write_text(text, encoding="utf-8")
    (problem,) = schema_problems(path)
    line = text.splitlines()[problem.line - 1]
    assert line[problem.column - 1 :].startswith('<node id="2" x="b"')


def test_ids_of_large_files_are_left_to_the_reader(tmp_path, monkeypatch):
    monkeypatch.setattr(checking, "_MOST_NODES", 1)
    path = tmp_path / "a.nml"
    path.write_text(document(nodes=node(1) * 2))
    assert schema_problems(path) == []
    path.write_text(document(nodes=node(1) + node(2, "b")))
    assert len(schema_problems(path)) == 1


def test_what_is_no_xml_is_an_error_with_its_place(tmp_path):
    path = tmp_path / "a.nml"
    path.write_text("<things>\n<thing")
    with pytest.raises(NmlError, match=r"a\.nml: line 2") as raised:
        schema_problems(path)
    assert raised.value.line == 2


def test_an_entity_is_not_expanded(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    path = tmp_path / "a.nml"
    path.write_text(f'<!DOCTYPE things [<!ENTITY e SYSTEM "{secret}">]><things><thing id="1">&e;</thing></things>')
    with pytest.raises(NmlError, match="no document type"):
        schema_problems(path)


def test_the_command_line_lists_both(tmp_path, capsys):
    path = tmp_path / "a.nml"
    path.write_text(document(nodes=node(1, "b")))
    with pytest.raises(SystemExit) as left:
        main(["validate", "--schema", str(path)])
    assert left.value.code == 1
    assert "schema: <node>" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_unknown_elements_are_handed_out(tmp_path):
    tree = '<thing id="1"><nodes/><mesh file="m"><part n="1">text</part></mesh></thing>'
    path = tmp_path / "a.nml"
    path.write_text(f'<things><parameters><transform type="affine"/></parameters>{tree}<extra a="&lt;"/></things>')
    found = {element.tag: element for element in Annotation.load(path).unknown_elements}
    assert sorted(found) == ["extra", "mesh", "transform"]
    assert (found["extra"].get("a"), found["mesh"][0].text, found["mesh"][0].get("n")) == ("<", "text", "1")
