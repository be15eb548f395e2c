"""Progress of long commands: a bar in a terminal, silence in a batch log."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from wkfast.cli.console import errors


@contextmanager
def job_progress(verb: str, unit: str, *, shown: bool | None = None) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a callback ``(done, total)`` in units, ``None`` where nothing is to be shown.

    Parameters
    ----------
    shown
        Default: only if standard error is a terminal.
    """
    if not (errors.is_terminal if shown is None else shown):
        yield None
        return
    columns = (TextColumn(verb), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task(verb, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
