"""Progress of transfers: a bar in a terminal, silence in a batch log unless it is asked for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from wkfast.cli.console import errors


@contextmanager
def transfer_progress(what: str, *, shown: bool | None = None) -> Iterator[Callable[[int, int | None], None] | None]:
    """Yield a callback ``(done, total or None)`` in bytes, ``None`` where nothing is to be shown.

    Parameters
    ----------
    what
        Stands before the bar.
    shown
        Default: only if standard error is a terminal.
    """
    if not (errors.is_terminal if shown is None else shown):
        yield None
        return
    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=errors.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
