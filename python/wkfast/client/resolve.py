"""From what a user pasted to an id and the context to ask for it: short links, other hosts, sharing tokens."""

from dataclasses import dataclass

from wkfast._warnings import warn
from wkfast.client.client import Client
from wkfast.client.context import Context, current_context
from wkfast.client.errors import InvalidUrlError
from wkfast.client.secret import Secret
from wkfast.client.session import Session
from wkfast.client.urls import (
    ShortLinkRef,
    is_url,
    normalized_base_url,
    parse_annotation,
    parse_dataset,
    parse_short_link,
    shown,
)


@dataclass(frozen=True)
class ResolvedAnnotation:
    """An annotation and the context to ask for it. ``typ`` is ``None`` where the input has none."""

    context: Context
    annotation_id: str
    typ: str | None = None


@dataclass(frozen=True)
class ResolvedDataset:
    """A dataset and the context to ask for it. The sharing token, if any, takes precedence over the context's token."""

    context: Context
    dataset_id: str
    sharing_token: Secret | None = None


def resolve_annotation(
    url_or_id: str, *, webknossos_url: str | None = None, context: Context | None = None, session: Session | None = None
) -> ResolvedAnnotation:
    """Return the annotation that a URL of any form, a short link or an id names.

    An annotation on another server than the context's is asked for without token, with a warning.

    Parameters
    ----------
    webknossos_url
        The server of a bare id, if it is not the context's.
    context
        ``None`` for the current one.

    Raises
    ------
    InvalidUrlError
        The input names no annotation, or ``webknossos_url`` is given beside a URL.
    """
    context = context or current_context()
    text = _long_url(url_or_id, context, session)
    _refuse_second_url(url_or_id, webknossos_url)
    reference = parse_annotation(text)
    if reference.typ is not None and reference.typ.startswith("Compound"):
        raise InvalidUrlError(f"{shown(text)} is compound: download its annotations one by one")
    return ResolvedAnnotation(context_for(reference.base_url or webknossos_url, context), reference.id, reference.typ)


def resolve_dataset(
    url_or_name: str,
    *,
    organization: str | None = None,
    sharing_token: Secret | str | None = None,
    webknossos_url: str | None = None,
    context: Context | None = None,
    session: Session | None = None,
) -> ResolvedDataset:
    """Return the dataset that a URL of any form, a short link, an id or a name means.

    Parameters
    ----------
    organization
        Of a plain name; ``None`` for that of the token's owner.
    sharing_token
        In place of the one in the URL.
    """
    context = context or current_context()
    text = _long_url(url_or_name, context, session)
    _refuse_second_url(url_or_name, webknossos_url)
    reference = parse_dataset(text)
    token = Secret(sharing_token) if isinstance(sharing_token, str) else sharing_token
    token = token or reference.sharing_token
    resolved = context_for(reference.base_url or webknossos_url, context, quiet=token is not None)
    if reference.id is not None:
        return ResolvedDataset(resolved, reference.id, token)
    if reference.name is None:
        raise InvalidUrlError(f"{shown(text)} names no dataset")
    datasets = Client(resolved, session=session).datasets
    return ResolvedDataset(resolved, datasets.id_of(reference.name, reference.organization or organization), token)


def context_for(url: str | None, context: Context, *, quiet: bool = False) -> Context:
    """Return the context for a server: as given if it is the same, else without token and with a warning."""
    if url is None or normalized_base_url(url) == context.url:
        return context
    if context.token is not None and not quiet:
        warn(
            f"{shown(url)} is another server than the context's ({context.url}), so no token is sent there. "
            f"Use webknossos_context({normalized_base_url(url)!r}, token=…) for what is not public"
        )
    return Context(url, None, context.timeout)


def _refuse_second_url(text: str, webknossos_url: str | None) -> None:
    if webknossos_url is not None and is_url(text):
        raise InvalidUrlError(f"give either a URL ({shown(text)}) or an id with webknossos_url, not both")


def _long_url(text: str, context: Context, session: Session | None) -> str:
    """Return what a short link stands for, anything else as it is. One level only."""
    link = parse_short_link(text)
    if link is None:
        return text
    long_link = _followed(link, context, session)
    if not is_url(long_link) or parse_short_link(long_link) is not None:
        raise InvalidUrlError(f"the short link {shown(text)} leads to {shown(long_link)!r}, which is no full URL")
    return long_link


def _followed(link: ShortLinkRef, context: Context, session: Session | None) -> str:
    # links are public; the host of a pasted link gets no token
    elsewhere = Context(link.base_url, None, context.timeout)
    client = Client(context.anonymous() if link.base_url == context.url else elsewhere, session=session)
    return client.get_fields(client.api_url("shortLinks", "byKey", link.key)).text("longLink")
