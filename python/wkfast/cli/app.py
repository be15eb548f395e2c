"""The commands, and what becomes of their errors."""

import errno
import importlib
import io
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TextIO

from wkfast import __version__
from wkfast.cli.arguments import EXIT_ERROR, EXIT_PART, Exit, UsageError, run
from wkfast.cli.console import OutputError, complain, tell, tell_text
from wkfast.errors import StopRequested, TargetBusyError, WkfastError
from wkfast.jobs.signals import stop_on_signals

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
    "plan": ("wkfast.cli.merge_steps", "plan", "Write the plan of a merge."),
    "run": ("wkfast.cli.merge_steps", "run", "Do a share of the work."),
    "commit": ("wkfast.cli.merge_steps", "commit", "Finish a merge whose shares are done."),
    "status": ("wkfast.cli.merge_steps", "status", "Tell how far a merge is."),
    "script": ("wkfast.cli.merge_script", "script", "Print a script for a scheduler."),
}
_NAME = "wkfast"
_ABOUT = (
    "WEBKNOSSOS annotations for large data. --debug anywhere shows where an error came from, --version the version."
)
_DEBUG = "--debug"
_HELP = {"--help", "-h"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    0: done; 1: done, but for some of many, or it was found that something is wrong; 2: a clear error; 75: the same
    command again goes on; 130: interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # batch logs may be ASCII
    warnings.showwarning = _show_warning
    code = _exit_code([word for word in given if word != _DEBUG], debug=_DEBUG in given)
    _let_go_of_output()
    sys.exit(code)


def _exit_code(words: Sequence[str], *, debug: bool) -> int:
    """Do what is asked for; return the exit code. Errors are one line, after a traceback with `debug`."""
    try:
        with stop_on_signals():
            _run(words)
    except Exit as end:
        return end.code
    except StopRequested as request:
        complain(f"{request}: what is done stays done, the same command goes on")
        return EXIT_AGAIN
    except KeyboardInterrupt:
        complain("interrupted")
        return EXIT_INTERRUPTED
    except (BrokenPipeError, OutputError) as error:
        return _untold(error)
    except (UsageError, WkfastError, OSError) as error:
        if debug:
            traceback.print_exc()
        complain(f"error: {' '.join([str(error), *getattr(error, '__notes__', ())])}{_advice(error)}", "red")
        return EXIT_AGAIN if isinstance(error, TargetBusyError) else EXIT_ERROR
    return 0


def _untold(error: BrokenPipeError | OutputError) -> int:
    """Return the exit code of a command that could not print; a reader that went away has seen enough."""
    if isinstance(error, BrokenPipeError):
        return EXIT_PART
    complain(f"error: {error}", "red")
    return EXIT_PART if error.done else EXIT_ERROR


def _let_go_of_output() -> None:
    """Drop what could not be printed: the end of the process would try again, and have an exit code of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _advice(error: Exception) -> str:
    """Return what helps where a disk is full; errors of the core have no number, but the system's words."""
    is_full = os.strerror(errno.ENOSPC) in str(error)
    return "; `wkfast clean FOLDER` removes what killed jobs have left there" if is_full else ""


def _run(words: Sequence[str]) -> None:
    """Do what is asked for. Nothing is imported for the other commands: that would take most of a short one's time."""
    first, *rest = words or [""]
    if first == "--version":
        tell(f"wkfast {__version__}")
    elif first == _MERGE:
        _run_one(rest, _MERGE_STEPS, f"{_NAME} {_MERGE}", "A merge in steps on one plan file, for job arrays.")
    else:
        _run_one(words, {**_COMMANDS, _MERGE: ("", "", "The same in steps, for job arrays.")}, _NAME, _ABOUT)


def _run_one(words: Sequence[str], known: Mapping[str, tuple[str, str, str]], called: str, about: str) -> None:
    """Run one of several commands, or tell which there are."""
    first, *rest = words or [""]
    if first in _HELP or not first:
        _tell_commands(known, called, about)
        if not first:
            raise Exit(EXIT_ERROR)
    elif first in known:
        run(f"{called} {first}", command(known[first]), rest)
    else:
        raise UsageError(f"there is no {called} {first}: {called} --help lists what there is")


def _tell_commands(known: Mapping[str, tuple[str, str, str]], called: str, about: str) -> None:
    width = max(map(len, known)) + 2
    lines = [f"usage: {called} COMMAND ...", "", about, "", "commands:"]
    lines += [f"  {name:{width}}{line}" for name, (_, _, line) in known.items()]
    tell_text("\n".join([*lines, "", f"{called} COMMAND --help tells more of one, {_NAME} --version the version.", ""]))


def command(place: tuple[str, str, str]) -> Callable[..., None]:
    """Return the function of a command, which is imported now."""
    module, function, _ = place
    found: Callable[..., None] = getattr(importlib.import_module(module), function)
    return found


def commands() -> Iterator[tuple[str, Callable[..., None]]]:
    """Yield all commands with their full names, in the order of the help."""
    for name, place in _COMMANDS.items():
        yield f"{_NAME} {name}", command(place)
    for name, place in _MERGE_STEPS.items():
        yield f"{_NAME} {_MERGE} {name}", command(place)


def _show_warning(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001 - the signature is Python's
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    complain(f"warning: {message}", "yellow")
