"""The connections that a process shares: opened on first use, closed at its end."""

import atexit
import os
import threading

from wkfast.client.session import Session

_shared: Session | None = None
_shared_lock = threading.Lock()


def shared_session() -> Session:
    """Return the session of this process, opened on first use and closed when the process ends."""
    global _shared  # noqa: PLW0603 (connections are worth sharing)
    with _shared_lock:
        if _shared is None:
            _shared = Session()
        return _shared


def close_shared_session() -> None:
    """Close the session of this process; the next use opens another."""
    global _shared
    with _shared_lock:
        session, _shared = _shared, None
    if session is not None:
        session.close()


def _after_fork() -> None:
    """Replace the lock, which another thread of the parent may have held; the session looks after itself."""
    global _shared_lock  # noqa: PLW0603
    _shared_lock = threading.Lock()


atexit.register(close_shared_session)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
