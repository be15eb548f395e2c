"""Requests to buckets that threads wait for, many at a time, and that are left at once on Ctrl-C."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
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

    Leaving the block waits for those that are under way and begins no more; Ctrl-C ends those that are under way.

    Examples
    --------
    >>> with Requests() as requests:
    ...     [made.result() for made in [requests.submit(abs, -1), requests.submit(abs, -2)]]
    [1, 2]
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="wkfast-requests")
        self._under_way: set[Future[Any]] = set()

    def submit(self, request: Callable[..., _Result], *arguments: Any) -> Future[_Result]:
        """Return what will hold the result of ``request(*arguments)``."""
        made = self._threads.submit(request, *arguments)
        self._under_way.add(made)
        made.add_done_callback(self._under_way.discard)
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            # Threads see no signals.
            while wait(list(self._under_way), timeout=_LOOK).not_done:
                _core.end_requests()
        self._threads.shutdown(wait=True)
