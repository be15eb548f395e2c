"""The interpreter's collector of garbage, paused while very many objects are made that all stay.

It looks for garbage each time so many objects were made, and walks all there are: that walk is most of the time that
unpickling 64,000 trees takes.
"""

from __future__ import annotations

import gc
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_lock = threading.Lock()
#: Pauses under way, and whether it collected before the first of them.
_pauses = 0
_collected = True


def _pause() -> None:
    global _pauses, _collected  # noqa: PLW0603 - there is one collector in a process
    with _lock:
        if _pauses == 0:
            _collected = gc.isenabled()
            gc.disable()
        _pauses += 1


def _go_on() -> None:
    global _pauses  # noqa: PLW0603 - as above
    with _lock:
        _pauses -= 1
        if _pauses == 0 and _collected:
            gc.enable()


@contextmanager
def collector_paused() -> Iterator[None]:
    """Let no garbage be collected meanwhile."""
    _pause()
    try:
        yield
    finally:
        _go_on()


class CollectorPause:
    """A pause that the pickle of something begins where it visits this, and ends where it visits :meth:`end`.

    So does unpickling. If something goes wrong in between, it ends when the pickler or unpickler lets go of it.

    Examples
    --------
    >>> import pickle
    >>> class Asks:
    ...     def __reduce__(self):
    ...         print("collects" if gc.isenabled() else "paused")
    ...         return bool, ()
    >>> pause = CollectorPause()
    >>> _ = pickle.loads(pickle.dumps([Asks(), pause, Asks(), pause.end(), Asks()]))
    collects
    paused
    collects
    """

    def __init__(self) -> None:
        self._is_under_way = False

    def begin(self) -> CollectorPause:
        """Begin it, if it is not under way, and return it."""
        if not self._is_under_way:
            self._is_under_way = True
            _pause()
        return self

    def stop(self) -> None:
        """End it, if it is under way."""
        if self._is_under_way:
            self._is_under_way = False
            _go_on()

    def end(self) -> PauseEnd:
        """Return what ends it where it is visited."""
        return PauseEnd(self)

    def __reduce__(self) -> tuple[Any, ...]:
        self.begin()
        return _begun, ()

    def __del__(self) -> None:
        self.stop()


class PauseEnd:
    """The place in a pickle where a pause ends."""

    def __init__(self, pause: CollectorPause) -> None:
        pause.stop()
        self._pause = pause

    def __reduce__(self) -> tuple[Any, ...]:
        self._pause.stop()
        return PauseEnd, (self._pause,)


def _begun() -> CollectorPause:
    return CollectorPause().begin()
