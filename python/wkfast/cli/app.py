"""The commands, and what becomes of their errors."""

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import typer

from wkfast.cli.console import errors
from wkfast.cli.demo import demo
from wkfast.cli.info import info
from wkfast.cli.merge_fallback import merge_fallback
from wkfast.errors import WkfastError

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130

_COMMANDS: tuple[Callable[..., None], ...] = (info, merge_fallback, demo)
_DEBUG = "--debug"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 a clear error, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    app = _app(debug=_DEBUG in given)
    app([argument for argument in given if argument != _DEBUG], prog_name="wkfast")


def _app(*, debug: bool) -> typer.Typer:
    app = typer.Typer(
        name="wkfast",
        help="WEBKNOSSOS annotations for large data. --debug anywhere shows where an error came from.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for command in _COMMANDS:
        app.command()(command if debug else _reported(command))
    return app


def _reported(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` with its errors as one line and an exit code instead of a traceback."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt:
            errors.print("interrupted", style="bold")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except (WkfastError, OSError) as error:
            errors.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(EXIT_ERROR) from None

    return run
