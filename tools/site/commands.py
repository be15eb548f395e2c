"""The page on the command line, made of the commands themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer.main

from wkfast.cli.app import application

_EXIT_CODES = (
    "`wkfast COMMAND`. Exit codes: 0 done, 1 `validate` found problems or the reader of the output went away, "
    "2 an error, said in one line, 130 interrupted. `--debug` anywhere shows the traceback of an error, "
    "`wkfast --version` the version."
)


def page() -> str:
    """Return the page as Markdown: every command with its arguments and options."""
    lines = [
        "# Command line",
        "",
        _EXIT_CODES,
        "",
    ]
    for name, command in _leaves("wkfast", typer.main.get_command(application())):
        lines += _described(name, command)
    return "\n".join(lines)


def _leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Yield the commands that do something, with their full names."""
    if not hasattr(command, "list_commands"):
        yield name, command
        return
    context = command.make_context(name, [], resilient_parsing=True)
    for child in command.list_commands(context):
        yield from _leaves(f"{name} {child}", command.get_command(context, child))


def _described(name: str, command: Any) -> list[str]:
    """Return the section on one command."""
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [
        param
        for param in command.params
        if param.param_type_name == "option" and not param.hidden and param.name != "help"
    ]
    places = [_metavar(param) + (" ..." if param.nargs == -1 or param.multiple else "") for param in arguments]
    usage = [name, *(place if param.required else f"[{place}]" for param, place in zip(arguments, places, strict=True))]
    hints = get_type_hints(inspect.unwrap(command.callback))
    words = " ".join((command.help or "").split())
    lines = [
        f"## {name}",
        "",
        words,
        "",
        "```text",
        " ".join([*usage, "[OPTIONS]" if options else ""]).strip(),
        "```",
        "",
    ]
    if arguments:
        lines += ["| argument | |", "|---|---|"]
        lines += [f"| `{_metavar(param)}` | {_cell(param.help)} |" for param in arguments] + [""]
    if options:
        lines += ["| option | | default |", "|---|---|---|"]
        lines += [
            f"| {_spelled(param, hints[param.name])} | {_cell(param.help)} | {_default(param)} |" for param in options
        ] + [""]
    return lines


def _metavar(param: Any) -> str:
    return str(param.metavar or param.name).upper()


def _cell(words: str | None) -> str:
    return " ".join((words or "").replace("|", "\\|").split())


def _spelled(param: Any, hint: Any) -> str:
    names = [f"`{name}`" for name in (*param.opts, *param.secondary_opts)]
    return " / ".join(names) + ("" if param.is_flag else f" `{_value(hint)}`")


def _value(hint: Any) -> str:
    """Return what stands for a value of this type: its choices, or its name."""
    (kind, *_) = [part for part in get_args(hint) if part is not type(None)] or [hint]
    if issubclass(kind, Enum):
        return "\\|".join(str(choice.value) for choice in kind)
    return {int: "NUMBER", float: "NUMBER"}.get(kind, "PATH" if issubclass(kind, Path) else "TEXT")


def _default(param: Any) -> str:
    default = getattr(param.default, "value", param.default)
    return "" if default in (None, False, ()) or callable(default) else f"`{default}`"
