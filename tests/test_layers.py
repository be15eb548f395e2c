"""Imports point one way: what a package may use is written down here and nowhere broken."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "python" / "wkfast"

# Package -> what it may import at run time, beside itself.
ALLOWED = {
    "errors": set(),
    # a path of this machine, or an address
    "addresses": {"errors"},
    "_lazy": {"errors"},
    "_warnings": set(),
    "drafts": {"_core"},
    # folders that `wkfast clean` knows
    "temporary": set(),
    # what lies in buckets and on servers of files
    "buckets": {"temporary", "_core", "addresses", "drafts", "errors"},
    "geometry": {"_core", "_lazy", "errors"},
    # what trees, segments and boxes of an NML have in common
    "records": {"_lazy", "errors"},
    "client": {"_core", "_warnings", "errors", "_lazy", "progress"},
    "progress": {"_lazy"},
    "jobs": {"_core", "_lazy", "_warnings", "errors"},
    # made of plain facts: it knows nothing of what it shows
    "pictures": {"_lazy"},
    "dataset": {
        "temporary",
        "addresses",
        "buckets",
        "pictures",
        "_warnings",
        "_core",
        "_lazy",
        "drafts",
        "errors",
        "geometry",
        "jobs",
        "progress",
    },
    # names of dataset and geometry, where scripts look for them
    "dataset_properties": {"dataset", "geometry"},
    # functions of labels, to use and to copy
    "rules": {"errors"},
    "merge": {
        "temporary",
        "addresses",
        "buckets",
        "pictures",
        "_warnings",
        "_core",
        "_lazy",
        "dataset",
        "errors",
        "geometry",
        "jobs",
        "progress",
        "rules",
    },
    "volume": {
        "temporary",
        "buckets",
        "_warnings",
        "_core",
        "_lazy",
        "dataset",
        "errors",
        "geometry",
        "progress",
        "records",
    },
    # a dataset whose voxels a server streams: below annotation, which hands them out, above the two it joins
    "remote": {"temporary", "addresses", "_core", "_lazy", "client", "dataset", "errors", "geometry"},
    "skeleton": {"buckets", "pictures", "_warnings", "_core", "_lazy", "errors", "geometry", "records"},
    "schema": {"_lazy", "errors", "skeleton"},
    "tables": {"addresses", "buckets", "_core", "_lazy", "errors", "jobs", "skeleton"},
    "convert": {"buckets", "_lazy", "errors", "geometry", "skeleton", "tables"},
    "annotation": {
        "temporary",
        "addresses",
        "buckets",
        "pictures",
        "_lazy",
        "_warnings",
        "client",
        "dataset",
        "errors",
        "geometry",
        "merge",
        "progress",
        "records",
        "remote",
        "rules",
        "skeleton",
        "volume",
    },
    "cli": {
        "temporary",
        "",
        "_lazy",
        "addresses",
        "annotation",
        "buckets",
        "client",
        "convert",
        "dataset",
        "drafts",
        "errors",
        "jobs",
        "merge",
        "progress",
        "rules",
        "schema",
        "tables",
    },
}


def runtime_imports(file):
    """Names of the wkfast modules that a file imports, those for type checkers left out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for_types = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "wkfast")
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "wkfast":
            if node.module == "wkfast":
                yield from (f"wkfast.{alias.name}" for alias in node.names)
            else:
                yield node.module


def part(module):
    """First name below wkfast; empty for names that the package itself has, like its version."""
    name = module.split(".")[1] if "." in module else ""
    return name if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file() or name == "_core" else ""


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_point_one_way(package):
    files = [PACKAGE / f"{package}.py"] if (PACKAGE / f"{package}.py").is_file() else (PACKAGE / package).rglob("*.py")
    for file in files:
        used = {part(module) for module in runtime_imports(file)} - {package}
        assert used <= ALLOWED[package], f"{file.relative_to(PACKAGE)} imports {used - ALLOWED[package]}"


def test_every_part_of_the_package_has_its_rule():
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert parts - {"__init__", "__main__"} == set(ALLOWED)


def classes(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def room_of(file):
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def members_of_classes(tree):
    """Private names that classes of a file define: methods, fields, and what methods store in ``self``."""
    for owner in classes(tree):
        for node in ast.walk(owner):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
                yield node.id if isinstance(node, ast.Name) else node.attr


def private_uses(tree):
    """Where a private name of something other than ``self``, ``cls`` or ``super()`` is used."""
    own = {"self", "cls", "super()"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and ast.unparse(node.value) not in own:
            yield node.attr, node.lineno


def private_names_of_the_core():
    stub = ast.parse((PACKAGE / "_core.pyi").read_text(encoding="utf-8"))
    return {name for name in members_of_classes(stub) if is_private(name)}


TREES = {file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(PACKAGE.rglob("*.py"))}
# What the standard library and lxml call so, though it is public.
PUBLIC_ANYWAY = {"_replace", "_getframe", "_asdict", "_Element", "_ElementTree"}


def test_private_names_are_used_in_their_own_room_only():
    owned = {}
    for file, tree in TREES.items():
        owned.setdefault(room_of(file), set()).update(members_of_classes(tree))
    fine = PUBLIC_ANYWAY | private_names_of_the_core()
    strange = [
        f"{file.relative_to(PACKAGE)}:{line} {name}"
        for file, tree in TREES.items()
        for name, line in private_uses(tree)
        if name not in owned[room_of(file)] | fine
    ]
    assert strange == []


def test_no_class_has_stubs_for_type_checkers_in_its_body():
    """Whoever calls another class has it as an argument or a base. What the language calls is typed in this way."""
    stubs = [
        f"{file.relative_to(PACKAGE)}: {owner.name}.{node.name}"
        for file, tree in TREES.items()
        for owner in classes(tree)
        for block in owner.body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("__")
    ]
    assert stubs == []


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("annotation/annotation.py", "Annotation"),
        ("dataset/dataset.py", "Dataset"),
        ("dataset/layer.py", "Layer"),
        ("skeleton/tree.py", "Tree"),
        ("volume/volume_layer.py", "VolumeLayer"),
    ],
)
def test_one_file_shows_what_can_be_called_on_a_class(file, name):
    (face,) = [owner for owner in classes(TREES[PACKAGE / file]) if owner.name == name]
    assert face.bases == []
