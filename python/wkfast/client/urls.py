"""URLs and ids that a user may paste: short links, annotations, datasets. Text in, records out, no network."""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

from wkfast.client.errors import ConfigurationError, InvalidUrlError
from wkfast.client.secret import Secret

ANNOTATION_TYPES = ("Explorational", "Task", "CompoundTask", "CompoundProject", "CompoundTaskType")

_ID = re.compile(r"[0-9a-fA-F]{24}")
_SHORT_LINK = re.compile(r"/links/(?P<key>[A-Za-z0-9_-]+)/?")
_ANNOTATION = re.compile(
    rf"(?P<prefix>.*)/annotations/(?:(?P<typ>{'|'.join(ANNOTATION_TYPES)})/)?(?P<id>[^/]*)(?:/.*)?"
)
_DATASET = re.compile(r"(?P<prefix>.*)/datasets/(?P<first>[^/]+)(?:/(?P<second>[^/]+))?(?:/.*)?")
_SAFE_IN_PATH = "/%:@!$&'()*+,;=~"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SHOWN_LENGTH = 200
_HOST = re.compile(r"[A-Za-z0-9_~-]+(\.[A-Za-z0-9_~-]+)*\.?")
# a host that stands as it is
_PLAIN_HOST = re.compile(r"[A-Za-z0-9_~-]{1,63}(\.[A-Za-z0-9_~-]{1,63})*\.?")


@dataclass(frozen=True)
class ShortLinkRef:
    """``{base_url}/links/{key}``."""

    base_url: str
    key: str


@dataclass(frozen=True)
class AnnotationRef:
    """An annotation as the user named it. ``base_url`` is ``None`` for a bare id, ``typ`` where the URL has none."""

    id: str
    base_url: str | None = None
    typ: str | None = None


@dataclass(frozen=True)
class DatasetRef:
    """A dataset as the user named it: by ``id``, or by ``name`` in ``organization`` (``None``: the user's own)."""

    id: str | None = None
    name: str | None = None
    organization: str | None = None
    base_url: str | None = None
    sharing_token: Secret | None = None


def is_url(text: str) -> bool:
    """Whether the text starts like a URL of the web."""
    return text.lstrip().lower().startswith(("http://", "https://"))


def is_object_id(text: str) -> bool:
    """Whether the text is an id of WEBKNOSSOS: 24 hexadecimal digits."""
    return _ID.fullmatch(text) is not None


def normalized_base_url(url: str) -> str:
    """Return the URL of a server in the one form used for comparing and joining.

    Raises
    ------
    ConfigurationError
        It is not an ``http`` or ``https`` URL with a host, or it holds a user name, a query or a fragment.

    Examples
    --------
    >>> normalized_base_url("HTTPS://WebKnossos.org:443/")
    'https://webknossos.org'
    """
    parts = _split(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ConfigurationError(f"{shown(url)} is not a URL of a server; expected e.g. https://webknossos.org")
    if parts.query or parts.fragment:
        raise ConfigurationError(f"{shown(url)}: a server's URL has no query or fragment")
    return origin(url) + quote(sendable(parts.path, "a URL"), safe=_SAFE_IN_PATH).rstrip("/")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        _ = parts.port  # which is parsed only when asked for
    except ValueError as error:
        raise ConfigurationError(f"{shown(url)} is not a URL of a server: {error}") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{shown(url)}: a URL with a user name is not used; tokens belong into WK_TOKEN")
    host = _ascii_host(parts.hostname or "", url)
    return parts._replace(netloc=host if parts.port is None else f"{host}:{parts.port}")


def _ascii_host(host: str, url: str) -> str:
    """Return a host as it is looked up."""
    if ":" in host:
        return f"[{host}]"
    try:
        # the codec, which leaves plain names as they are, takes milliseconds to load
        name = host if _PLAIN_HOST.fullmatch(host) else host.encode("idna").decode()
    except UnicodeError:
        name = ""
    if host and not _HOST.fullmatch(name):
        raise ConfigurationError(f"{shown(url)}: {host[:60]!r} cannot be the name of a host")
    return name


def origin(url: str) -> str:
    """Return scheme, host and port, the port left out where it is the usual one."""
    parts = _split(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def join(base_url: str, *segments: str) -> str:
    """Return ``base_url`` followed by percent-encoded path segments.

    A segment of ``.`` or ``..`` is refused: clients and proxies would take it for a step in the tree.

    Examples
    --------
    >>> join("http://localhost:9000", "layers", "cell membranes", "1/2")
    'http://localhost:9000/layers/cell%20membranes/1%2F2'
    """
    if any(segment in ("", ".", "..") for segment in segments):
        raise InvalidUrlError(f"{segments!r} holds a name that cannot be part of a URL")
    return "/".join([base_url, *(quote(sendable(segment, "a name"), safe="") for segment in segments)])


def sendable(text: str, what: str) -> str:
    """Return a text that a server can be told.

    Raises
    ------
    InvalidUrlError
        It holds halves of characters, as names of files do that are in no encoding.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidUrlError(f"{shown(text)!r} cannot be sent: {what} consists of whole characters") from None
    return text


def shown(url: str) -> str:
    """Return the URL for a message: without user name, query and fragment, which may hold secrets.

    Examples
    --------
    >>> shown("https://user:secret@wk.example.org/datasets/x?token=secret#here")
    'https://wk.example.org/datasets/x'
    """
    path = re.split(r"[?#]", url.strip(), maxsplit=1)[0]
    path = re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/]*@", r"\1", path)
    return path if len(path) <= _SHOWN_LENGTH else path[:_SHOWN_LENGTH] + "…"


def parse_short_link(text: str) -> ShortLinkRef | None:
    """Return the parts of a short link, ``None`` if the text is something else."""
    if not is_url(text):
        return None
    match = _SHORT_LINK.fullmatch(_split(text).path)
    return None if match is None else ShortLinkRef(normalized_base_url(origin(text)), match["key"])


def parse_annotation(text: str) -> AnnotationRef:
    """Return the annotation that a URL or an id names; a tail behind the id is ignored.

    Raises
    ------
    InvalidUrlError
        It is neither, or its id is not 24 hexadecimal digits.

    Examples
    --------
    >>> parse_annotation("https://webknossos.org/annotations/Task/570ba0092a7c0e980056fe9b#1,2,3").id
    '570ba0092a7c0e980056fe9b'
    """
    text = text.strip()
    if not is_url(text):
        return AnnotationRef(_checked_id(text, text))
    match = _ANNOTATION.fullmatch(_split(text).path)
    if match is None:
        raise InvalidUrlError(
            f"{shown(text)} is not the URL of an annotation; expected https://…/annotations/<id>, a short link or an id"
        )
    return AnnotationRef(_checked_id(match["id"], text), _prefixed(text, match["prefix"]), match["typ"])


def parse_dataset(text: str) -> DatasetRef:
    """Return the dataset that a URL, an id or a name means.

    Examples
    --------
    >>> parse_dataset("https://webknossos.org/datasets/l4_sample-59e9cfbdba632ac2ab8b23b5/view#1,2").id
    '59e9cfbdba632ac2ab8b23b5'
    >>> parse_dataset("l4_sample").name
    'l4_sample'
    """
    text = text.strip()
    if not is_url(text):
        if not text or "/" in text:
            raise InvalidUrlError(f"{shown(text)!r} is neither the URL nor the id nor the name of a dataset")
        return DatasetRef(id=text) if is_object_id(text) else DatasetRef(name=text)
    match = _DATASET.fullmatch(_split(text).path)
    if match is None:
        raise InvalidUrlError(f"{shown(text)} is not the URL of a dataset; expected https://…/datasets/<name>-<id>")
    base_url, token = _prefixed(text, match["prefix"]), _sharing_token(text)
    last = match["first"].rpartition("-")[2]
    if is_object_id(last):
        return DatasetRef(id=last, base_url=base_url, sharing_token=token)
    if match["second"] is None or match["second"] == "view":
        raise InvalidUrlError(f"{shown(text)} ends neither in a dataset's id nor in organisation and name")
    return DatasetRef(
        name=unquote(match["second"]), organization=unquote(match["first"]), base_url=base_url, sharing_token=token
    )


def _checked_id(value: str, text: str) -> str:
    if not is_object_id(value):
        raise InvalidUrlError(f"{shown(text)!r}: the id of an annotation is 24 hexadecimal digits, not {value[:60]!r}")
    return value.lower()


def _prefixed(text: str, prefix: str) -> str:
    return normalized_base_url(origin(text) + prefix)


def _sharing_token(text: str) -> Secret | None:
    values = parse_qs(urlsplit(text).query).get("token")
    return Secret(values[0]) if values else None
