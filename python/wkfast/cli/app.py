"""The commands, and what becomes of their errors."""

import functools
import io
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TextIO

import typer

from wkfast import __version__
from wkfast.cli import merge_steps
from wkfast.cli.console import errors, output, plain
from wkfast.cli.export import export
from wkfast.cli.info import info
from wkfast.cli.merge_fallback import merge_annotations, merge_fallback
from wkfast.cli.transfer import download, upload
from wkfast.cli.validate import validate
from wkfast.errors import WkfastError

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130

_COMMANDS: tuple[Callable[..., None], ...] = (
    info,
    validate,
    merge_fallback,
    merge_annotations,
    export,
    download,
    upload,
)
_MERGE_STEPS: tuple[Callable[..., None], ...] = (merge_steps.plan, merge_steps.run, merge_steps.commit)
_DEBUG = "--debug"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 a clear error, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = _DEBUG in given
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # batch logs may be ASCII
    warnings.showwarning = _show_warning
    _app(debug=debug)([argument for argument in given if argument != _DEBUG], prog_name="wkfast")


def _show_warning(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001 - the signature is Python's
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    errors.print(plain(f"warning: {message}"), style="yellow", soft_wrap=True)


def _version(wanted: bool) -> None:
    if wanted:
        output.print(f"wkfast {__version__}", highlight=False)
        raise typer.Exit


def _app(*, debug: bool) -> typer.Typer:
    app = typer.Typer(
        name="wkfast",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for command in _COMMANDS:
        app.command()(_reported(command, debug=debug))
    steps = typer.Typer(no_args_is_help=True, help="A merge in steps on one plan file, for job arrays.")
    for command in _MERGE_STEPS:
        steps.command()(_reported(command, debug=debug))
    app.add_typer(steps, name="merge")

    @app.callback()
    def options(
        version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
    ) -> None:
        """WEBKNOSSOS annotations for large data. --debug anywhere shows where an error came from."""

    return app


def _reported(command: Callable[..., None], *, debug: bool) -> Callable[..., None]:
    """Return `command` with its errors as one line and an exit code; a traceback comes before it if wanted."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt:
            errors.print("interrupted", style="bold")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has seen enough
            raise typer.Exit(1) from None
        except (WkfastError, OSError) as error:
            if debug:
                traceback.print_exc()
            errors.print(plain(f"error: {error}"), style="red", soft_wrap=True)
            raise typer.Exit(EXIT_ERROR) from None

    return run
