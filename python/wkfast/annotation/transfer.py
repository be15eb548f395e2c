"""Annotations from and to a server: the client moves bytes, this module makes annotations of them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wkfast._lazy import lazy_import
from wkfast._warnings import warn
from wkfast.annotation.saving import write_zip
from wkfast.client import Client, Context, current_context, resolve_annotation, webknossos_context
from wkfast.client.errors import AuthenticationError
from wkfast.client.urls import is_url
from wkfast.errors import AnnotationIdError
from wkfast.temporary import KeptFolder, owned_temporary_folder

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from wkfast import remote
    from wkfast.annotation.annotation import Annotation
    from wkfast.annotation.enums import AnnotationType
    from wkfast.progress import Progress
    from wkfast.remote import RemoteDataset
else:
    remote = lazy_import("wkfast.remote")  # most downloads are not streamed afterwards

RETRIES = 5
LOGIN_HINT = 'log in first: wkfast.login(token="…"), webknossos_context(token="…") or the environment variable WK_TOKEN'


@dataclass(frozen=True)
class DownloadedFile:
    """A downloaded annotation, in a folder of its own.

    Attributes
    ----------
    path
        The ``.nml`` or ``.zip``, under the server's name for it.
    annotation_id
        Id of the annotation.
    context
        The server it is from, with the token that was used.
    folder
        What keeps the file: it goes when nothing refers to this any more.
    """

    path: Path
    annotation_id: str
    context: Context
    folder: KeptFolder

    def in_context(self) -> AbstractContextManager[object]:
        """Return a context manager in which requests go to the server this is from."""
        return webknossos_context(
            self.context.url, self.context.token, timeout=self.context.timeout, api_version=self.context.api_version
        )


def download(
    make: type[Annotation],
    annotation_id_or_url: str,
    webknossos_url: str | None,
    *,
    skip_volume_data: bool,
    retry_count: int = RETRIES,
    progress: Progress = None,
) -> tuple[Annotation, DownloadedFile]:
    """Return an annotation from a server, and the file it is in; see ``Annotation.download``."""
    file = _file(
        annotation_id_or_url,
        webknossos_url,
        skip_volume_data=skip_volume_data,
        retry_count=retry_count,
        progress=progress,
    )
    with warnings.catch_warnings():
        if skip_volume_data:
            warnings.filterwarnings("ignore", message="volume layer .* has no data")
        annotation = make.load(file.path)
    annotation.annotation_id = annotation.annotation_id or file.annotation_id
    annotation._downloaded = file
    return annotation, file


def streamed(annotation: Annotation) -> RemoteDataset:
    """Return the layers of an annotation as its server has them; see ``Annotation.get_remote_annotation_dataset``."""
    where = annotation.annotation_id
    if where is None:
        raise AnnotationIdError(f"annotation {annotation.name!r} has no annotation_id: upload it first")
    if annotation._downloaded is not None:
        # it may be from another server than the current context's
        where = f"{annotation._downloaded.context.url}/annotations/{where}"
    return remote.RemoteDataset.open(annotation_id_or_url=where)


def streamed_base(annotation: Annotation, sharing_token: str | None, webknossos_url: str | None) -> RemoteDataset:
    """Return the dataset an annotation belongs to, streamed; see ``Annotation.get_remote_base_dataset``."""
    if webknossos_url is None and annotation._downloaded is not None:
        webknossos_url = annotation._downloaded.context.url
    by_id = annotation.dataset_id is not None
    return remote.RemoteDataset.open(
        None if by_id else annotation.dataset_name,
        organization_id=None if by_id else annotation.organization_id,
        dataset_id=annotation.dataset_id,
        sharing_token=sharing_token,
        webknossos_url=webknossos_url,
    )


def upload(annotation: Annotation, progress: Progress) -> str:
    """Upload an annotation as a new one and return its URL; see ``Annotation.upload``."""
    context = _require_login()
    with (
        Client(context) as client,
        owned_temporary_folder("upload") as folder,
    ):
        if annotation.organization_id is None:
            annotation.organization_id = client.user().organization
        path = folder / "annotation.zip"
        write_zip(annotation, path)
        return client.annotations.upload(path, name=annotation.name, progress=progress).url


def server_of(annotation_type: str | AnnotationType | None, webknossos_url: str | None) -> str | None:
    """Return the URL of the server that was named, and warn if the type of an annotation is told: the server knows it.

    Newer releases of the reference have the URL in the place of the type; taken for a type, it would be ignored.
    """
    if webknossos_url is None and isinstance(annotation_type, str) and is_url(annotation_type):
        return annotation_type
    if annotation_type is not None:
        warn("annotation_type is no longer needed and ignored", DeprecationWarning)
    return webknossos_url


def _file(
    annotation_id_or_url: str,
    webknossos_url: str | None,
    *,
    skip_volume_data: bool,
    retry_count: int,
    progress: Progress = None,
) -> DownloadedFile:
    """Return an annotation as a file in a temporary folder."""
    found = resolve_annotation(annotation_id_or_url, webknossos_url=webknossos_url)
    folder = KeptFolder("download")
    with Client(found.context) as client:
        received = client.annotations.download(
            found.annotation_id,
            folder.path,
            skip_volume_data=skip_volume_data,
            retry_count=retry_count,
            durable=False,
            progress=progress,
        )
    return DownloadedFile(received.path, found.annotation_id, found.context, folder)


def _require_login() -> Context:
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
