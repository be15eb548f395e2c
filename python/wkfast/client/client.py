"""The client: one server as one user, its routes grouped by what they are about."""

from typing import TYPE_CHECKING, Self

from wkfast.client.annotations import Annotations
from wkfast.client.context import Context, current_context
from wkfast.client.datasets import Datasets
from wkfast.client.records import Store
from wkfast.client.routes import Routes
from wkfast.client.secret import Secret
from wkfast.client.session import Session, shared_session
from wkfast.client.stores import Datastore, Tracingstore

if TYPE_CHECKING:
    import httpx


class Client(Routes):
    """Speaks to a WEBKNOSSOS server. Any number of threads may use one client.

    Parameters
    ----------
    context
        Server, token and timeout; ``None`` for the current context at the time of construction.
    session
        Connections to use; they stay open. ``None`` for those that the process shares.
    transport
        Replaces the network in a session that belongs to this client, see :class:`Session`.

    Attributes
    ----------
    annotations, datasets
        The routes about these.

    Examples
    --------
    >>> import httpx
    >>> answers = httpx.MockTransport(lambda request: httpx.Response(200, text="Ok"))
    >>> with Client(Context("https://wk.example.org", api_version=12), transport=answers) as client:
    ...     client.health()
    'Ok'
    """

    def __init__(
        self,
        context: Context | None = None,
        *,
        session: Session | None = None,
        transport: "httpx.BaseTransport | None" = None,
    ) -> None:
        if session is not None and transport is not None:
            raise ValueError("give a session or a transport, not both")
        self._own_session = Session(transport=transport) if transport is not None else None
        super().__init__(context or current_context(), session or self._own_session or shared_session())
        self.annotations = Annotations(self)
        self.datasets = Datasets(self)

    def close(self) -> None:
        """Close the connections that belong to this client alone."""
        if self._own_session is not None:
            self._own_session.close()

    def __reduce__(self) -> tuple[type["Client"], tuple[Context]]:
        # connections stay here; the copy uses those that its process shares, and its environment's token
        return Client, (self.context,)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def health(self) -> str:
        """Return what the server says when it is well: ``Ok``."""
        return self.session.send(self.call("GET", self.api_url("health"))).body.decode(errors="replace").strip()

    def datastores(self) -> tuple[Store, ...]:
        """Return the data stores of the server."""
        return tuple(map(Store.of, self.get_list(self.api_url("datastores"))))

    def tracingstore(self) -> Tracingstore:
        """Return the tracing store of the server."""
        store = Store.of(self.get_fields(self.api_url("tracingstore")))
        return Tracingstore(self, self.store_url(store.url))

    def datastore(self, url: str, *, sharing_token: Secret | None = None) -> Datastore:
        """Return the data store at a URL that the server named; a sharing token is used instead of the user's."""
        return Datastore(self, self.store_url(url), sharing_token)
