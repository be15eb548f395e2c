"""Imports point one way: what a package may use is written down here and nowhere broken."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

import wkfast

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "python" / "wkfast"
CRATES = sorted(manifest.parent for manifest in (ROOT / "rust").glob("*/Cargo.toml"))

# Package -> what it may import at run time, beside itself.
ALLOWED = {
    "errors": {"_short"},
    # a path of this machine, or an address
    "addresses": {"errors"},
    "_lazy": {"errors"},
    "_warnings": {"_short"},
    # long values and counts in what is told
    "_short": set(),
    "_locks": set(),
    "drafts": {"_core", "_locks"},
    # folders that `wkfast clean` knows
    "temporary": {"_locks"},
    # what lies in buckets and on servers of files
    "buckets": {"temporary", "_core", "addresses", "drafts", "errors"},
    "geometry": {"_core", "_lazy", "_short", "errors"},
    # what trees, segments and boxes of an NML have in common
    "records": {"_lazy", "errors"},
    "client": {"_core", "_locks", "_warnings", "drafts", "errors", "_lazy", "progress"},
    "progress": {"_lazy"},
    "jobs": {"_core", "_lazy", "_warnings", "errors"},
    # made of plain facts: it knows nothing of what it shows
    "pictures": {"_lazy"},
    "dataset": {
        "_locks",
        "temporary",
        "addresses",
        "buckets",
        "pictures",
        "_warnings",
        "_core",
        "_lazy",
        "_short",
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
        "drafts",
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
    "tables": {"addresses", "buckets", "_core", "_lazy", "drafts", "errors", "jobs", "skeleton"},
    "convert": {"buckets", "_lazy", "drafts", "errors", "geometry", "skeleton", "tables"},
    "annotation": {
        "temporary",
        "addresses",
        "buckets",
        "pictures",
        "_lazy",
        "_short",
        "_warnings",
        "client",
        "dataset",
        "drafts",
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
        "_locks",
        "temporary",
        "",
        "_short",
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


# A file, and the room above it that it looks up when it is asked for what lies there: the reference opens datasets on
# servers by names of the class of those in folders.
LOOKS_UP = {("dataset/dataset.py", "remote")}


TREES = {file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(PACKAGE.rglob("*.py"))}


def nodes_at_run_time(file):
    """Yield what stands in a file, but for what only type checkers read."""
    for_types = {
        child
        for node in ast.walk(TREES[file])
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for block in node.body
        for child in ast.walk(block)
    }
    yield from (node for node in ast.walk(TREES[file]) if node not in for_types)


def names_imported(file):
    """Yield modules of wkfast and what a file takes of each, at once or on first use; nothing of whole modules."""
    for node in nodes_at_run_time(file):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "wkfast")
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "wkfast":
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"lazy_import", "lazy_names"}:
            texts = [child.value for child in ast.walk(node) if isinstance(child, ast.Constant)]
            yield from ((text, "") for text in texts if isinstance(text, str) and text.startswith("wkfast."))


def runtime_imports(file):
    """Names of the wkfast modules that a file imports, those for type checkers left out."""
    return {f"wkfast.{name}" if module == "wkfast" and name else module for module, name in names_imported(file)}


def part(module):
    """First name below wkfast; empty for names that the package itself has, like its version."""
    name = module.split(".")[1] if "." in module else ""
    return name if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file() or name == "_core" else ""


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_point_one_way(package):
    files = [PACKAGE / f"{package}.py"] if (PACKAGE / f"{package}.py").is_file() else (PACKAGE / package).rglob("*.py")
    for file in files:
        name = file.relative_to(PACKAGE).as_posix()
        used = {room for room in map(part, runtime_imports(file)) if (name, room) not in LOOKS_UP} - {package}
        assert used <= ALLOWED[package], f"{name} imports {used - ALLOWED[package]}"


def test_every_part_of_the_package_has_its_rule():
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert parts - {"__init__", "__main__"} == set(ALLOWED)


def module_of(file):
    names = [*file.relative_to(PACKAGE.parent).with_suffix("").parts]
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


def imports_of_modules():
    """Modules of the package, each with those that it imports; what a room hands out counts where it is defined."""
    files = {module_of(file): file for file in TREES}
    places = {(room, name): place for room, file in files.items() for place, name in handed_out(file)}
    graph = {}
    for module, file in files.items():
        above = {room for name, room in LOOKS_UP if name == file.relative_to(PACKAGE).as_posix()}
        named = {(each, name) for each, name in names_imported(file) if part(each) not in above}
        found = {places.get(pair) or (".".join(pair) if ".".join(pair) in files else pair[0]) for pair in named}
        graph[module] = (found & files.keys()) - {module}
    # The package itself hands out names of everything, to users only.
    return graph | {"wkfast": set()}


def handed_out(file):
    """Yield the names that a room hands out, each behind the module that it is from."""
    if file.name != "__init__.py":
        return
    for node in ast.walk(TREES[file]):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)
        is_call = isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy_names"
        if is_call and isinstance(node.args[1], ast.Dict):
            for module, names in ast.literal_eval(node.args[1]).items():
                yield from ((module, name) for name in names)


def reached(graph, module):
    """Return the modules that one imports, and those that these import."""
    found, todo = set(), [module]
    while todo:
        new = graph[todo.pop()] - found
        found |= new
        todo += new
    return found


def test_no_more_than_two_modules_import_each_other():
    graph = imports_of_modules()
    all_reached = {module: reached(graph, module) for module in graph}
    circles = {
        module: sorted(other for other in others if module in all_reached[other])
        for module, others in all_reached.items()
        if module in others
    }
    assert {module: circle for module, circle in circles.items() if len(circle) > 2} == {}


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
    # what keeps values shows nothing that is called
    assert [ast.unparse(base) for base in face.bases] in ([], ["_core.Keeper"])
    assert all(member.startswith("_") for member in vars(wkfast._core.Keeper))


# Files of Rust that tests alone have.
OF_TESTS = {"conformance", "reference", "testing", "tests", "watched", "world"}


def is_of_tests(file):
    return file.stem in OF_TESTS or file.stem.endswith("_tests")


@pytest.mark.parametrize("crate", CRATES, ids=lambda crate: crate.name)
def test_the_name_of_a_type_has_one_meaning_within_a_crate(crate):
    sources = [file.read_text(encoding="utf-8") for file in (crate / "src").rglob("*.rs") if not is_of_tests(file)]
    defined = re.compile(r"^(?:pub(?:\([^)]*\))? )?(?:struct|enum|union|trait|type) (\w+)", re.MULTILINE)
    names = Counter(name for text in sources for name in defined.findall(text.split("#[cfg(test)]\nmod tests {")[0]))
    assert [name for name, count in names.items() if count > 1] == []


def test_the_name_of_a_class_has_one_meaning_within_a_room():
    names = Counter((room_of(file), owner.name) for file, tree in TREES.items() for owner in classes(tree))
    assert [name for name, count in names.items() if count > 1] == []
