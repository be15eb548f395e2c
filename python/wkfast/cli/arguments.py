"""What commands take: said by the annotations of their functions, read from the command line by argparse.

``Annotated[Path, Argument("The file.")]`` is a place, ``Annotated[int, Option("How many.")]`` an option, spelled as the
parameter's name. Types are ``str``, ``Path``, numbers, enumerations, ``bool`` for what is on or off, and lists.
"""

from __future__ import annotations

import argparse
import inspect
import types
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Union, get_args, get_origin, get_type_hints

from wkfast.addresses import address_of, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


# Of many, some failed; or what was asked about is not as it should be. What that concerns is listed.
EXIT_PART = 1
# Nothing was done, and why is told.
EXIT_ERROR = 2


class Exit(Exception):  # noqa: N818 - no error: how a command says its exit code
    """Ends a command with an exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class UsageError(Exception):
    """What was asked for makes no sense, and why."""


@dataclass(frozen=True)
class Argument:
    """A parameter that is known by its place.

    Attributes
    ----------
    help
        What it is.
    metavar
        What stands for it; default: its name.
    """

    help: str
    metavar: str | None = None


@dataclass(frozen=True)
class Option:
    """A parameter that is known by its name.

    Attributes
    ----------
    help
        What it is.
    spelling
        How it is spelled; default: as the parameter. What is on or off and spelled has no ``--no-…``.
    least
        The smallest number that is taken.
    """

    help: str
    spelling: str | None = None
    least: float | None = None


@dataclass(frozen=True)
class Parameter:
    """A parameter of a command, as its function declares it.

    Attributes
    ----------
    name
        Of the function's parameter.
    said
        What is said of it.
    kind
        Type of a value; of a list, that of one.
    is_list
        Whether there may be many.
    default
        What it is where nobody says it; ``inspect.Parameter.empty`` if it must be said.
    """

    name: str
    said: Argument | Option
    kind: type
    is_list: bool
    default: Any

    @property
    def metavar(self) -> str:
        """What stands for a value.

        Examples
        --------
        >>> Parameter("dry_run", Argument("…"), str, False, None).metavar
        'DRY_RUN'
        """
        if isinstance(self.said, Argument):
            return (self.said.metavar or self.name).upper()
        if issubclass(self.kind, Enum):
            return "|".join(str(choice.value) for choice in self.kind)
        return {int: "NUMBER", float: "NUMBER", str: "TEXT"}.get(self.kind, "PATH")

    @property
    def spelling(self) -> str:
        """How an option is spelled."""
        given = self.said.spelling if isinstance(self.said, Option) else None
        return given or f"--{self.name.replace('_', '-')}"

    @property
    def negation(self) -> str | None:
        """How it is switched off, where it can be."""
        has_one = self.kind is bool and isinstance(self.said, Option) and self.said.spelling is None
        return f"--no-{self.spelling.removeprefix('--')}" if has_one else None


def parameters(command: Callable[..., None]) -> list[Parameter]:
    """Return what a command takes, in order."""
    hints = get_type_hints(command, include_extras=True)
    declared = inspect.signature(command).parameters
    return [_parameter(name, hints[name], parameter.default) for name, parameter in declared.items()]


def _parameter(name: str, hint: Any, default: Any) -> Parameter:
    kind, *(said,) = get_args(hint)
    if get_origin(kind) in {Union, types.UnionType}:
        (kind,) = (part for part in get_args(kind) if part is not types.NoneType)
    is_list = get_origin(kind) is list
    return Parameter(name, said, get_args(kind)[0] if is_list else kind, is_list, default)


def run(name: str, command: Callable[..., None], words: Sequence[str]) -> None:
    """Call a command with what the words after its name say; wrong ones end the process with exit code 2.

    Examples
    --------
    >>> from typing import Annotated
    >>> def add(numbers: Annotated[list[int], Argument("Some.")], *, times: Annotated[int, Option("How often.")] = 1):
    ...     print(sum(numbers) * times)
    >>> run("add", add, ["1", "--times", "2", "3"])
    8
    """
    taken = parameters(command)
    parser = _Parser(name, usage(name, taken), inspect.getdoc(command), formatter_class=_Help, allow_abbrev=False)
    for parameter in taken:
        _add(parser, parameter)
    # Options may stand anywhere, also between the files of a list; that road of argparse knows no "--".
    parse = parser.parse_args if "--" in words else parser.parse_intermixed_args
    command(**vars(parse(list(words))))


def usage(name: str, taken: Sequence[Parameter]) -> str:
    """Return how a command is called.

    Examples
    --------
    >>> usage("wkfast info", [Parameter("file", Argument("…"), str, True, None)])
    'wkfast info FILE ...'
    """
    places = [
        f"{each.metavar} ..." if each.is_list else each.metavar for each in taken if isinstance(each.said, Argument)
    ]
    return " ".join([name, *places, *["[OPTIONS]"] * (len(places) < len(taken))])


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are ours."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the words."""
        raise UsageError(f"{message.removeprefix('argument ')}; {self.prog} --help says what it takes")


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help with descriptions as they are written, and room for long options."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32)


def _add(parser: argparse.ArgumentParser, parameter: Parameter) -> None:
    words = (parameter.said.help + told_default(parameter)).replace("%", "%%")
    if parameter.kind is bool:
        action: Any = argparse.BooleanOptionalAction if parameter.negation else "store_true"
        parser.add_argument(
            parameter.spelling, dest=parameter.name, action=action, default=parameter.default, help=words
        )
        return
    options: dict[str, Any] = {"type": _converter(parameter), "metavar": parameter.metavar, "help": words}
    if isinstance(parameter.said, Argument):
        parser.add_argument(parameter.name, nargs="+" if parameter.is_list else None, **options)
        return
    is_required = parameter.default is inspect.Parameter.empty
    parser.add_argument(
        parameter.spelling,
        dest=parameter.name,
        required=is_required,
        default=None if is_required else parameter.default,
        action="append" if parameter.is_list else "store",
        **options,
    )


def told_default(parameter: Parameter) -> str:
    """Return the end of the help on what has a value if nobody gives one.

    Examples
    --------
    >>> told_default(Parameter("cpus", Option("…"), int, False, 8))
    ' [8]'
    """
    default = getattr(parameter.default, "value", parameter.default)
    return "" if default in (None, False, inspect.Parameter.empty) else f" [{default}]"


def _converter(parameter: Parameter) -> Callable[[str], Any]:
    """Return what makes a value of a word."""
    kind, least = parameter.kind, getattr(parameter.said, "least", None)

    def convert(word: str) -> Any:
        if kind is Path and address_of(word) is not None:
            raise argparse.ArgumentTypeError(f"{shown(word)} is an address; this has to be a path of this machine")
        try:
            value = kind(word)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{word!r} is {_no_such(kind)}") from None
        if least is not None and not value >= least:
            raise argparse.ArgumentTypeError(f"{word} is less than {least}")
        return value

    return convert


def _no_such(kind: type) -> str:
    if issubclass(kind, Enum):
        return f"none of {', '.join(str(choice.value) for choice in kind)}"
    return "no whole number" if kind is int else "no number"
