"""Every public member says what it does; what takes two parameters or more says what they are."""

import enum
import inspect
import re

import wkfast
import wkfast.buckets
import wkfast.convert
import wkfast.rules
import wkfast.schema
import wkfast.tables

# Rooms whose names users import from there, as the reference has them.
ROOMS = (wkfast.convert, wkfast.rules, wkfast.schema, wkfast.tables)


def members():
    """Every public member that is ours, as (name, what holds its docstring)."""
    yield from members_of(wkfast.buckets.ObjectPath, "wkfast.buckets.ObjectPath")
    for module in (wkfast, wkfast.errors, *ROOMS):
        for top in module.__all__:
            owner = getattr(module, top)
            yield f"{module.__name__}.{top}", owner
            if inspect.isclass(owner):
                yield from members_of(owner, f"{module.__name__}.{top}")


def members_of(owner, called):
    """The public members of a class that are ours, inherited ones too."""
    for name in dir(owner):
        home = next((base for base in owner.__mro__ if name in vars(base)), None)
        if not name.startswith("_") and home is not None and home.__module__.startswith("wkfast"):
            member = vars(home)[name]
            yield f"{called}.{name}", member.__func__ if isinstance(member, classmethod | staticmethod) else member


def faults(found=members):
    missing = set()
    for name, member in found():
        if isinstance(member, enum.Enum | str | int) or member is None:
            continue  # a value, such as the default of a field, not something that is called or read
        text = inspect.getdoc(member) or ""
        if not text and not is_described_by_its_class(member):
            missing.add(f"{name}: no docstring")
        elif parameters(member) > 1 and not re.search(r"^(Parameters|Attributes)\n---", text, re.MULTILINE):
            missing.add(f"{name}: no Parameters section")
    return missing


def is_described_by_its_class(member):
    """Whether a field has its entry among the attributes of its class."""
    if not inspect.ismemberdescriptor(member):
        return False
    _, _, attributes = (inspect.getdoc(member.__objclass__) or "").partition("Attributes\n----------\n")
    entries = re.findall(r"^(\w[\w, ]*)\n    \S", attributes, re.MULTILINE)
    return member.__name__ in {name for entry in entries for name in entry.split(", ")}


def is_obtained(owner):
    """Whether users get objects of a class from others, and its docstring says so in the first lines."""
    return re.search(r"\bobtained from\b", " ".join((inspect.getdoc(owner) or "")[:200].split()), re.IGNORECASE)


def parameters(member):
    """How many parameters a callable takes, beside the object; exceptions and enumerations are not called by users."""
    if inspect.isclass(member) and issubclass(member, BaseException | enum.Enum):
        return 0
    if inspect.isclass(member) and is_obtained(member):
        return 0
    try:
        names = inspect.signature(member).parameters if callable(member) else ()
    except (TypeError, ValueError):
        return 0
    return len([name for name in names if name not in {"self", "cls"}])


def test_nothing_public_is_without_a_docstring():
    assert faults() == set(), "say what these do and take"


class Described:
    """Two numbers.

    Attributes
    ----------
    first, second
        The numbers.
    """

    __slots__ = ("first", "second", "third")

    def __init__(self, first, second):
        """Without a section."""

    def add(self, first, second):
        """Add, but what?"""

    def silent(self):
        pass


def test_what_is_missing_is_found():
    told = [("Described", Described), *((f"Described.{name}", vars(Described)[name]) for name in dir(Described)[-5:])]
    assert faults(lambda: told) == {
        "Described.add: no Parameters section",
        "Described.silent: no docstring",
        "Described.third: no docstring",
    }
