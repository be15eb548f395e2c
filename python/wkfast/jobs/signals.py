"""Signals with which schedulers announce the end of a job."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wkfast.errors import StopRequested

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

# What Slurm sends before it kills: by default, and with ``--signal=USR1@60``.
ANNOUNCEMENTS = (signal.SIGTERM, signal.SIGUSR1)


@contextmanager
def stop_on_signals(*signals: signal.Signals) -> Iterator[None]:
    """Raise ``StopRequested`` in this block when the process gets one of `signals`; default: ``SIGTERM``, ``SIGUSR1``.

    A merge then finishes the files under way, and the same call goes on behind them; a second signal ends it at once.
    Other work ends as on Ctrl-C. Handlers belong to the main thread: elsewhere, signals are left alone.

    Examples
    --------
    >>> import os
    >>> try:
    ...     with stop_on_signals(signal.SIGUSR1):
    ...         os.kill(os.getpid(), signal.SIGUSR1)
    ... except StopRequested as request:
    ...     print(request)
    stopped by SIGUSR1
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _stop) for number in signals or ANNOUNCEMENTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, _frame: FrameType | None) -> None:
    raise StopRequested(f"stopped by {signal.Signals(number).name}")
