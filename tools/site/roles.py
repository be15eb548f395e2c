"""Make docstrings of ours ones that the site can show: roles become code, each parameter gets its own entry."""

import re

import griffe

_ROLE = re.compile(r":(?:attr|class|func|meth|mod|exc):`~?([^`]+)`")
_SECTION = re.compile(r"^(?:Parameters|Attributes)\n-+\n(?:.*\n?)+?(?=^\w[\w ]*\n-{3,}$|\Z)", re.MULTILINE)
_GROUP = re.compile(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)+)\n((?:(?:[ \t]+\S.*|[ \t]*)(?:\n|\Z))+)", re.MULTILINE)
# A paragraph that is an example, in docstrings without a section for them.
_EXAMPLE = re.compile(r"(?<=\n\n)(>>> .*(?:\n.+)*)")


class Roles(griffe.Extension):
    """Rewrites docstrings when they are collected."""

    def on_instance(self, *, obj: griffe.Object, **_: object) -> None:
        """Rewrite the docstring of `obj`, if it has one."""
        if obj.docstring is not None:
            obj.docstring.value = rewritten(obj.docstring.value)


def rewritten(text: str) -> str:
    """Return `text` with names in code style where it had roles, and an entry for each parameter.

    griffe gives all parameters of an entry ``first, second`` the annotation of the first.
    """
    plain = _ROLE.sub(r"`\1`", text)
    if "Examples\n---" not in plain:
        plain = _EXAMPLE.sub(r"```pycon\n\1\n```", plain)
    return _SECTION.sub(lambda section: _GROUP.sub(_each, section[0]), plain)


def _each(group: re.Match[str]) -> str:
    body = group[2].rstrip() + "\n"
    return "".join(f"{name}\n{body}" for name in group[1].split(", ")) + "\n" * (group[2].count("\n\n") > 0)
