"""Every public member says what it does; what takes two parameters or more says what they are.

``docstrings_missing.txt`` lists what does not yet. It may only shrink: a name that is mended is taken out.
"""

import enum
import inspect
from pathlib import Path

import wkfast

MISSING = Path(__file__).with_name("docstrings_missing.txt")


def members():
    """Every public member below ``wkfast.__all__`` that is ours, as (name, what holds its docstring)."""
    for top in wkfast.__all__:
        owner = getattr(wkfast, top)
        yield top, owner
        if inspect.ismodule(owner):
            yield from ((f"{top}.{name}", getattr(owner, name)) for name in owner.__all__)
        elif inspect.isclass(owner):
            for name in dir(owner):
                home = next((base for base in owner.__mro__ if name in vars(base)), None)
                if not name.startswith("_") and home is not None and home.__module__.startswith("wkfast"):
                    member = vars(home)[name]
                    yield f"{top}.{name}", member.__func__ if isinstance(member, classmethod | staticmethod) else member


def faults():
    found = set()
    for name, member in members():
        if isinstance(member, enum.Enum | str | int) or member is None:
            continue  # a value, such as the default of a field, not something that is called or read
        text = inspect.getdoc(member) or ""
        if not text:
            found.add(f"{name}: no docstring")
        elif parameters(member) > 1 and "Parameters\n---" not in text and "Attributes\n---" not in text:
            found.add(f"{name}: no Parameters section")
    return found


def parameters(member):
    """How many parameters a callable takes, beside the object; exceptions and enumerations are not called by users."""
    if inspect.isclass(member) and issubclass(member, BaseException | enum.Enum):
        return 0
    try:
        names = inspect.signature(member).parameters if callable(member) else ()
    except (TypeError, ValueError):
        return 0
    return len([name for name in names if name not in {"self", "cls"}])


def test_nothing_public_is_without_a_docstring_but_what_is_listed():
    listed = set(MISSING.read_text(encoding="utf-8").split("\n")) - {""}
    found = faults()
    assert found - listed == set(), "say what these do and take"
    assert listed - found == set(), "these are mended: take them out of the list"
