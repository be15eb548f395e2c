"""The page on the command line, made of the commands themselves."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from wkfast.cli.app import commands
from wkfast.cli.arguments import Argument, Option, Parameter, parameters, told_default, usage

_EXIT_CODES = (
    "`wkfast COMMAND`. Exit codes: 0 done, 1 `validate` found problems or the reader of the output went away, "
    "2 an error, said in one line, 75 the same command again goes on, 130 interrupted. "
    "`--debug` anywhere shows the traceback of an error, `wkfast --version` the version."
)


def page() -> str:
    """Return the page as Markdown: every command with its arguments and options."""
    lines = ["# Command line", "", _EXIT_CODES, ""]
    for name, command in commands():
        lines += _described(name, command)
    return "\n".join(lines)


def _described(name: str, command: Callable[..., None]) -> list[str]:
    """Return the section on one command."""
    taken = parameters(command)
    arguments = [each for each in taken if isinstance(each.said, Argument)]
    options = [each for each in taken if isinstance(each.said, Option)]
    words = " ".join((inspect.getdoc(command) or "").split())
    lines = [f"## {name}", "", words, "", "```text", usage(name, taken), "```", ""]
    if arguments:
        lines += ["| argument | |", "|---|---|"]
        lines += [f"| `{each.metavar}` | {_cell(each.said.help)} |" for each in arguments] + [""]
    if options:
        lines += ["| option | | default |", "|---|---|---|"]
        lines += [f"| {_spelled(each)} | {_cell(each.said.help)} | {_default(each)} |" for each in options] + [""]
    return lines


def _cell(words: str) -> str:
    return " ".join(words.replace("|", "\\|").split())


def _spelled(option: Parameter) -> str:
    names = " / ".join(f"`{name}`" for name in (option.spelling, option.negation) if name)
    return names if option.kind is bool else f"{names} `{option.metavar}`".replace("|", "\\|")


def _default(option: Parameter) -> str:
    told = told_default(option).strip(" []")
    return f"`{told}`" if told else ""
