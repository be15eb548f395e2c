"""The commands, and what becomes of their errors."""

import sys
from collections.abc import Sequence

import click
import typer

from wkfast.cli.console import errors
from wkfast.cli.demo import demo
from wkfast.cli.info import info
from wkfast.cli.merge_fallback import merge_fallback
from wkfast.errors import WkfastError

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="wkfast",
    help="WEBKNOSSOS annotations for large data. --debug anywhere shows where an error came from.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(info)
app.command()(merge_fallback)
app.command()(demo)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 a clear error, 130 interrupted."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code. Without ``--debug`` an error is one line, no traceback."""
    debug = "--debug" in arguments
    command = typer.main.get_command(app)
    try:
        code = command.main([a for a in arguments if a != "--debug"], prog_name="wkfast", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return EXIT_ERROR
    except (KeyboardInterrupt, click.Abort):
        errors.print("interrupted", style="bold")
        return EXIT_INTERRUPTED
    except (WkfastError, OSError) as error:
        if debug:
            raise
        errors.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return EXIT_ERROR
    return code if isinstance(code, int) else 0
