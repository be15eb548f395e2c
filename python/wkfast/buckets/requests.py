"""Requests to buckets that threads wait for, many at a time, and that are left at once on Ctrl-C."""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self, TypeVar

from wkfast import _core

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

# On their way: each takes its time, whatever it carries.
AT_ONCE = 32
# Seconds between looks for what has not ended yet.
_LOOK = 0.02

_Result = TypeVar("_Result")


class Requests:
    """Threads that make requests.

    Leaving the block waits for those that are under way and begins no more; Ctrl-C ends those that are under way. A
    generator that is closed, as one is by Ctrl-C in the loop over it, leaves them to end by themselves: only the
    requests of the whole process can be ended, and others may want theirs.

    Examples
    --------
    >>> with Requests() as requests:
    ...     [made.result() for made in [requests.submit(abs, -1), requests.submit(abs, -2)]]
    [1, 2]
    """

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._submitted: SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]] | None] = SimpleQueue()
        self._under_way: set[Future[Any]] = set()

    def submit(self, request: Callable[..., _Result], *arguments: Any) -> Future[_Result]:
        """Return what will hold the result of ``request(*arguments)``."""
        made: Future[_Result] = Future()
        self._under_way.add(made)
        made.add_done_callback(self._under_way.discard)
        self._submitted.put((made, request, arguments))
        if len(self._threads) < AT_ONCE:
            # A daemon: those of a ThreadPoolExecutor hold up the end of the process until a silent server answers.
            thread = threading.Thread(target=self._work, name="wkfast-requests", daemon=True)
            self._threads.append(thread)
            thread.start()
        return made

    def _work(self) -> None:
        while (submitted := self._submitted.get()) is not None:
            _make(*submitted)
            # It holds what the request was about, which may be large, until the next one comes.
            del submitted

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        for made in list(self._under_way):
            made.cancel()
        for _thread in self._threads:
            self._submitted.put(None)
        if kind is not None and issubclass(kind, GeneratorExit):
            return
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            # Threads see no signals.
            while wait(list(self._under_way), timeout=_LOOK).not_done:
                _core.end_requests()
        for thread in self._threads:
            thread.join()


def _make(made: Future[Any], request: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    if not made.set_running_or_notify_cancel():
        return
    try:
        result = request(*arguments)
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is taken
        made.set_exception(error)
    else:
        made.set_result(result)
