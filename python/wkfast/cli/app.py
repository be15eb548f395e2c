"""The commands, and what becomes of their errors."""

import functools
import importlib
import io
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TextIO

import typer
import typer.core

from wkfast import __version__
from wkfast._lazy import lazy_import
from wkfast.cli.console import complain, tell
from wkfast.errors import StopRequested, TargetBusyError, WkfastError
from wkfast.jobs.signals import stop_on_signals

merge_script: Any = lazy_import("wkfast.cli.merge_script")
merge_steps: Any = lazy_import("wkfast.cli.merge_steps")

EXIT_ERROR = 2
# EX_TEMPFAIL of sysexits.h: the same command may do what this one could not.
EXIT_AGAIN = 75
EXIT_INTERRUPTED = 130

# In the order of --help: the name of each command, where its function lies, what that is called, and a line on it.
_COMMANDS = {
    "info": ("wkfast.cli.info", "info", "Show what is inside an annotation."),
    "validate": ("wkfast.cli.validate", "validate", "Check an annotation as a server would."),
    "merge-fallback": ("wkfast.cli.merge_fallback", "merge_fallback", "Merge an annotation into its fallback layer."),
    "merge-annotations": ("wkfast.cli.merge_fallback", "merge_annotations", "Merge several into the one they share."),
    "export": ("wkfast.cli.export", "export", "Write what was painted as a layer."),
    "statistics": ("wkfast.cli.statistics", "statistics", "Count every segment of a layer."),
    "convert": ("wkfast.cli.convert", "convert", "Turn many files into tables or other formats."),
    "download": ("wkfast.cli.transfer", "download", "Fetch annotations from a server."),
    "upload": ("wkfast.cli.transfer", "upload", "Send an annotation to a server."),
    "clean": ("wkfast.cli.clean", "clean", "Remove what killed jobs have left."),
}
_MERGE = "merge"
_MERGE_STEPS = {
    "plan": merge_steps,
    "run": merge_steps,
    "commit": merge_steps,
    "status": merge_steps,
    "script": merge_script,
}
_DEBUG = "--debug"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 a clear error, 75 the same command again goes on, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = _DEBUG in given
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # batch logs may be ASCII
    warnings.showwarning = _show_warning
    kept = [argument for argument in given if argument != _DEBUG]
    application(_wanted(kept), debug=debug)(kept, prog_name="wkfast")


def _wanted(arguments: Sequence[str]) -> Sequence[str]:
    """Return the commands that have to be there: the one that is asked for, else all, for help and errors to name them.

    Most of the time that a short command takes would go into loading the others.
    """
    first = arguments[0] if arguments else ""
    return [first] if first in {*_COMMANDS, _MERGE} else [*_COMMANDS, _MERGE]


def _show_warning(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001 - the signature is Python's
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    complain(f"warning: {message}", "yellow")


def _version(wanted: bool) -> None:
    if wanted:
        tell(f"wkfast {__version__}")
        raise typer.Exit


class _InOrder(typer.core.TyperGroup):
    """Commands in the order in which they were added, not that of the alphabet."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override] # noqa: ARG002
        return list(self.commands)


def application(wanted: Sequence[str] = (*_COMMANDS, _MERGE), *, debug: bool = False) -> typer.Typer:
    """Return the commands that are wanted; with `debug`, errors show where they came from."""
    app = typer.Typer(
        name="wkfast",
        cls=_InOrder,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    for name in wanted:
        if name == _MERGE:
            app.add_typer(_merge_steps(debug=debug), name=_MERGE)
        else:
            module, function, line = _COMMANDS[name]
            command = getattr(importlib.import_module(module), function)
            app.command(name, short_help=line)(_reported(command, debug=debug))

    @app.callback()
    def options(
        version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
    ) -> None:
        """WEBKNOSSOS annotations for large data. --debug anywhere shows where an error came from."""

    return app


def _merge_steps(*, debug: bool) -> typer.Typer:
    steps = typer.Typer(
        cls=_InOrder,
        no_args_is_help=True,
        rich_markup_mode=None,
        help="A merge in steps on one plan file, for job arrays.",
    )
    for name, module in _MERGE_STEPS.items():
        steps.command(name)(_reported(getattr(module, name), debug=debug))
    return steps


def _reported(command: Callable[..., None], *, debug: bool) -> Callable[..., None]:
    """Return `command` with its errors as one line and an exit code; a traceback comes before it if wanted."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            with stop_on_signals():
                command(*args, **kwargs)
        except StopRequested as request:
            complain(f"{request}: what is done stays done, the same command goes on")
            raise typer.Exit(EXIT_AGAIN) from None
        except KeyboardInterrupt:
            complain("interrupted")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has seen enough
            raise typer.Exit(1) from None
        except (WkfastError, OSError) as error:
            if debug:
                traceback.print_exc()
            complain(f"error: {error}", "red")
            raise typer.Exit(EXIT_AGAIN if isinstance(error, TargetBusyError) else EXIT_ERROR) from None

    return run
