"""Imports point one way: what a package may use is written down here and nowhere broken."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "python" / "wkfast"

# Package -> what it may import at run time, beside itself.
ALLOWED = {
    "errors": set(),
    "_lazy": set(),
    "geometry": {"_core", "errors"},
    # what trees, segments and boxes of an NML have in common
    "records": {"errors"},
    "client": {"errors", "_lazy", "progress"},
    "progress": {"_lazy"},
    "jobs": {"errors"},
    "dataset": {"_core", "_lazy", "errors", "geometry", "jobs", "progress"},
    "merge": {"_core", "_lazy", "dataset", "errors", "geometry", "jobs", "progress"},
    "volume": {"_core", "_lazy", "dataset", "errors", "geometry", "progress", "records"},
    # a dataset whose voxels a server streams: below annotation, which hands them out, above the two it joins
    "remote": {"_lazy", "client", "dataset", "errors", "geometry"},
    "skeleton": {"_core", "_lazy", "errors", "geometry", "records"},
    "annotation": {
        "_lazy",
        "client",
        "dataset",
        "errors",
        "geometry",
        "merge",
        "progress",
        "records",
        "remote",
        "skeleton",
        "volume",
    },
    "cli": {"", "_lazy", "annotation", "client", "dataset", "errors", "merge", "progress"},
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
