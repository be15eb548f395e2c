"""The stub of the compiled core says what the built module has: every name, every member, every parameter."""

import ast
import inspect
from pathlib import Path

import pytest

import wkfast
from wkfast import _core

STUB = ast.parse(Path(wkfast.__file__).with_name("_core.pyi").read_text(encoding="utf-8"))
# What every Python object and class has, and what typing needs but no runtime shows.
COMMON = {*dir(object), "__dict__", "__weakref__", "__module__", "__doc__", "__match_args__"}


def _is_record(node: ast.ClassDef) -> bool:
    """Whether a class of the stub only describes dicts."""
    bases = {ast.unparse(base) for base in node.bases}
    records = {"TypedDict", "_ExtrasRest", "Protocol", *RECORDS}
    return bool(bases & records)


RECORDS: set[str] = set()
for _node in STUB.body:
    if isinstance(_node, ast.ClassDef) and _is_record(_node):
        RECORDS.add(_node.name)
CLASSES = {n.name: n for n in STUB.body if isinstance(n, ast.ClassDef) and n.name not in RECORDS}
FUNCTIONS = {n.name: n for n in STUB.body if isinstance(n, ast.FunctionDef)}
VALUES = {ast.unparse(n.target) for n in STUB.body if isinstance(n, ast.AnnAssign)}


def _members(node: ast.ClassDef) -> dict[str, ast.AST]:
    members: dict[str, ast.AST] = {}
    for item in node.body:
        if isinstance(item, ast.FunctionDef):
            members.setdefault(item.name, item)
        elif isinstance(item, ast.AnnAssign):
            members[ast.unparse(item.target)] = item
    return members


def _parameters(function: ast.FunctionDef, *, bound: bool) -> list[tuple[str, bool]]:
    """Names of the parameters and whether they have a default."""
    arguments = function.args
    names = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(names) - len(arguments.defaults)) + arguments.defaults
    found = [(a.arg, d is not None) for a, d in zip(names, defaults, strict=True)]
    found += [(arguments.vararg.arg, False)] if arguments.vararg else []
    found += [(a.arg, d is not None) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    found += [(arguments.kwarg.arg, False)] if arguments.kwarg else []
    return found[1:] if bound else found


def _built_parameters(function: object) -> list[tuple[str, bool]]:
    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.default is not p.empty) for p in parameters if p.name not in ("self", "cls")]


def test_every_name_of_the_module_is_in_the_stub_and_the_other_way_round():
    built = {name for name in dir(_core) if not name.startswith("__") or name == "__version__"}
    assert built == {*CLASSES, *FUNCTIONS, *VALUES}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_takes_what_the_stub_says(name):
    assert _built_parameters(getattr(_core, name)) == _parameters(FUNCTIONS[name], bound=False)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_class_has_what_the_stub_says(name):
    built, stub = getattr(_core, name), _members(CLASSES[name])
    plain = {member for member in vars(built) if not member.startswith("__")}
    assert plain == {member for member in stub if not member.startswith("__")}
    for member in stub:
        assert hasattr(built, member), member


@pytest.mark.parametrize(
    ("name", "member"),
    [(name, member) for name, node in sorted(CLASSES.items()) for member, item in _members(node).items()
     if isinstance(item, ast.FunctionDef) and not item.decorator_list and not member.startswith("__")],
)  # fmt: skip
def test_a_method_takes_what_the_stub_says(name, member):
    function = _members(CLASSES[name])[member]
    assert _built_parameters(getattr(getattr(_core, name), member)) == _parameters(function, bound=True)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_constructor_takes_what_the_stub_says(name):
    members = _members(CLASSES[name])
    constructor = members.get("__init__") or members.get("__new__")
    if constructor is None:
        pytest.skip("not made by users")
    assert isinstance(constructor, ast.FunctionDef)
    assert _built_parameters(getattr(_core, name)) == _parameters(constructor, bound=True)
