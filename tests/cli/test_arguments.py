"""What functions of commands declare is what the command line takes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest

from wkfast.cli import main
from wkfast.cli.app import commands
from wkfast.cli.arguments import Argument, Option, UsageError, parameters, run


class Choice(StrEnum):
    ONE = "one"
    TWO = "two"


def taken(words, *, told=None):
    """What a command with parameters of every kind is called with."""
    found = {}

    def command(
        sources: Annotated[list[Path], Argument("Some.")],
        target: Annotated[str, Argument("One. 100 %")],
        *,
        must: Annotated[int, Option("A number.", least=1)],
        rate: Annotated[float | None, Option("Another.")] = None,
        choice: Annotated[Choice, Option("A word.")] = Choice.ONE,
        extra: Annotated[list[str] | None, Option("Any number of times.")] = None,
        is_flag: Annotated[bool, Option("Only on.", spelling="--flag")] = False,
        shown: Annotated[bool | None, Option("On, off, or neither.")] = None,
    ) -> None:
        """Do it."""
        found.update(locals())

    run("it", told or command, words.split())
    return {name: value for name, value in found.items() if name != "found"}


def test_every_kind_of_parameter_arrives_as_what_it_is():
    assert taken("a b out --must 3 --rate -1.5 --choice two --extra=--x --extra y --flag --no-shown") == {
        "sources": [Path("a"), Path("b")],
        "target": "out",
        "must": 3,
        "rate": -1.5,
        "choice": Choice.TWO,
        "extra": ["--x", "y"],
        "is_flag": True,
        "shown": False,
    }


def test_what_is_not_said_is_the_default():
    found = taken("a out --must 3")
    assert (found["rate"], found["choice"], found["extra"]) == (None, Choice.ONE, None)
    assert isinstance(found["choice"], Choice)
    assert (found["is_flag"], found["shown"]) == (False, None)


@pytest.mark.parametrize("words", ["--must 3 a b out", "a b --must 3 out", "a --must 3 b out", "a b out --must 3"])
def test_options_stand_anywhere(words):
    assert taken(words)["sources"] == [Path("a"), Path("b")]


def test_behind_two_hyphens_nothing_is_an_option():
    assert taken("--must 3 -- a --flag")["target"] == "--flag"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("a out", "--must"),
        ("out --must 3", "TARGET"),
        ("a out --must 0", "0 is less than 1"),
        ("a out --must x", "'x' is no whole number"),
        ("a out --must 3 --rate x", "'x' is no number"),
        ("a s3://bucket/b out --must 3", "s3://bucket/b is an address"),
        ("a https://me:hush@host/b?hush out --must 3", "https://host/b is an address"),
        ("a out --must 3 --choice three", "'three' is none of one, two"),
        ("a out --must 3 --nothing", "--nothing"),
        ("a out --must 3 --fla", "--fla"),
        ("a out --must", "expected one argument"),
        ("a out --must 3 --no-flag", "--no-flag"),
    ],
)
def test_wrong_words_are_told_in_one_line(words, reason):
    with pytest.raises(UsageError, match=reason) as raised:
        taken(words)
    assert "it --help" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_help_names_all_there_is(capsys):
    with pytest.raises(SystemExit) as left:
        taken("--help")
    assert left.value.code == 0
    told = capsys.readouterr().out
    for words in ("Do it.", "SOURCES", "100 %", "--must NUMBER", "one|two", "[one]", "--flag", "--no-shown"):
        assert words in told


@pytest.mark.parametrize(("name", "command"), [*commands()], ids=[name for name, _ in commands()])
def test_every_command_says_what_each_parameter_is(name, command, capsys):
    assert all(parameter.said.help.endswith((".", "…", ")")) for parameter in parameters(command)), name
    with pytest.raises(SystemExit) as left:
        main([*name.split()[1:], "--help"])
    assert left.value.code == 0
    told = capsys.readouterr().out
    assert all(parameter.metavar in told for parameter in parameters(command) if isinstance(parameter.said, Argument))


@pytest.mark.parametrize("words", [[], ["merge"], ["no-such-command"], ["merge", "nothing"], ["--nothing"]])
def test_what_is_no_command_ends_with_2(words):
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
