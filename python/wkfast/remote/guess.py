"""What opening a dataset takes, asked for at once: each answer waited for costs a way to the server and back."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from wkfast.client.routes import SUPPORTED_VERSIONS, Routes
from wkfast.client.stores import Datastore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wkfast.client import Client, Secret
    from wkfast.client.stores import StreamedLayers

T = TypeVar("T")


class Guess(Generic[T]):
    """A record and the properties of the layers it leads to, asked for beside the negotiation of the version.

    Guessed are the newest version and that the data store is the last one the server named, else the server itself.
    What was guessed wrong, or refused, is ``None`` here and asked for again by whoever needs it, with all care.

    Parameters
    ----------
    record, layers
        Ask for the record, and name the streaming root at a data store.
    """

    def __init__(
        self,
        client: Client,
        record: Callable[[Routes], T],
        layers: Callable[[Datastore], StreamedLayers],
        *,
        sharing_token: Secret | None = None,
    ) -> None:
        self._client = client
        session, context = client.session, client.context
        self._version = session.recalled(("version", context.url), SUPPORTED_VERSIONS[-1])
        self._store = session.recalled(("store", context.url), context.url)
        self._record: _Beside[T] | None = None
        self._properties: _Beside[Mapping[str, Any]] | None = None
        # a forced version may be one of a server of which nothing else is known
        if context.api_version is None and session.is_quick(context.url):
            guess = Routes(replace(context, api_version=self._version), session, retries=0)
            datastore = Datastore(guess, self._store, sharing_token)
            self._record = _Beside(lambda: record(guess))
            self._properties = _Beside(lambda: layers(datastore).properties())

    def record(self) -> T | None:
        """Return the record."""
        if self._record is None or self._client.version != self._version:
            return None
        return self._record.result()

    def properties(self, store: str) -> Mapping[str, Any] | None:
        """Return the properties, now that the data store is known; the next guess will be this one."""
        self._client.session.note(("store", self._client.context.url), store)
        if self._properties is None or (self._client.version, store) != (self._version, self._store):
            return None
        return self._properties.result()


class _Beside(Generic[T]):
    """A piece of work in a thread of its own; nobody has to wait for it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._result: T | None = None
        self._thread = threading.Thread(target=self._run, name="wkfast-guess", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # errors of the client are RuntimeErrors, and so is a session that was closed meanwhile
        with suppress(RuntimeError, ValueError):
            self._result = self._work()

    def result(self) -> T | None:
        """Return what came of it, ``None`` if it failed."""
        self._thread.join()
        return self._result
