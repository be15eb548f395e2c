"""Tables of names, parameters and defaults, and how they are compared."""

import inspect

import pytest


def rows(api):
    """Return a case per line of the tables in `api`; a deeper line goes on with the one before."""
    lines = [
        (name, line.strip()) for name, table in api.items() for line in table.replace("\n            ", " ").split("\n")
    ]
    return [pytest.param(name, line, id=f"{name}.{line.partition('(')[0]}") for name, line in lines if line]


def shown(function):
    """Parameters and defaults as text, without types."""
    parts, starred = [], False
    for parameter in parameters(function):
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
        starred = starred or parameter.kind in {parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL}
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
        parts.append(f"{stars}{parameter.name}{default}")
    return f"({', '.join(parts)})"


def parameters(function):
    return [one for one in inspect.signature(function).parameters.values() if one.name not in {"self", "cls"}]


def compare(what, theirs, ours):
    """Ours takes all that theirs does; more only by name."""
    try:
        expected = [(one.name, one.kind, one.default) for one in parameters(theirs)]
    except ValueError:
        return  # a builtin without a signature
    given = [(one.name, one.kind, one.default) for one in parameters(ours)]
    more = [kind for name, kind, _ in given[len(expected) :]]
    assert show(given[: len(expected)]) == show(expected), what
    assert all(kind is inspect.Parameter.KEYWORD_ONLY for kind in more), what


def show(rows):
    return [(name, kind, repr(default)) for name, kind, default in rows]
