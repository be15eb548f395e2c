"""Annotations from and to a server: the client moves bytes, this module makes annotations of them."""

from __future__ import annotations

import shutil
import tempfile
import warnings
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wkfast.client import Client, Context, current_context, resolve_annotation, webknossos_context
from wkfast.client.errors import AuthenticationError
from wkfast.client.urls import is_url

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from wkfast.annotation.enums import AnnotationType
    from wkfast.progress import Progress

RETRIES = 5
LOGIN_HINT = 'log in first: wkfast.login(token="…"), webknossos_context(token="…") or the environment variable WK_TOKEN'


@dataclass(frozen=True)
class DownloadedFile:
    """A downloaded annotation, in a folder that lives as long as this object.

    Attributes
    ----------
    path
        The ``.nml`` or ``.zip``, under the server's name for it.
    annotation_id
        Id of the annotation.
    context
        The server it is from, with the token that was used.
    folder
        Removed when nothing refers to it any more.
    """

    path: Path
    annotation_id: str
    context: Context
    folder: Path

    def __post_init__(self) -> None:
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def in_context(self) -> AbstractContextManager[object]:
        """Return a context manager in which requests go to the server this is from."""
        return webknossos_context(
            self.context.url, self.context.token, timeout=self.context.timeout, api_version=self.context.api_version
        )


def download(
    annotation_id_or_url: str,
    annotation_type: str | AnnotationType | None,
    webknossos_url: str | None,
    *,
    skip_volume_data: bool,
    retry_count: int,
    progress: Progress = None,
) -> DownloadedFile:
    """Return an annotation as a file in a temporary folder; see ``Annotation.download``."""
    server = server_of(annotation_type, webknossos_url, stacklevel=4)
    found = resolve_annotation(annotation_id_or_url, webknossos_url=server)
    folder = Path(tempfile.mkdtemp(prefix="wkfast-download-"))
    try:
        with Client(found.context) as client:
            received = client.annotations.download(
                found.annotation_id,
                folder,
                skip_volume_data=skip_volume_data,
                retry_count=retry_count,
                durable=False,
                progress=progress,
            )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return DownloadedFile(Path(received.path or folder), found.annotation_id, found.context, folder)


def server_of(
    annotation_type: str | AnnotationType | None, webknossos_url: str | None, stacklevel: int = 3
) -> str | None:
    """Return the URL of the server that was named, and warn if the type of an annotation is told: the server knows it.

    Newer releases of the reference have the URL in the place of the type; taken for a type, it would be ignored.
    """
    if webknossos_url is None and isinstance(annotation_type, str) and is_url(annotation_type):
        return annotation_type
    if annotation_type is not None:
        warnings.warn("annotation_type is no longer needed and ignored", DeprecationWarning, stacklevel=stacklevel)
    return webknossos_url


def own_organization() -> str | None:
    """Return the organization of the user that the current context's token belongs to.

    Raises
    ------
    AuthenticationError
        A ``RuntimeError``: nobody is logged in.
    """
    context = require_login()
    with Client(context) as client:
        return client.user().organization


def require_login() -> Context:
    """Return the current context, which has a token.

    Raises
    ------
    AuthenticationError
        There is none; the message says how to log in.
    """
    context = current_context()
    if context.token is None:
        raise AuthenticationError(f"uploading to {context.url} needs a login; {LOGIN_HINT}")
    return context


def upload(path: Path, name: str, progress: Progress = None) -> str:
    """Upload the annotation zip at `path` under `name`; return the URL of the new annotation."""
    context = require_login()
    with Client(context) as client:
        return client.annotations.upload(path, name=name, progress=progress).url
