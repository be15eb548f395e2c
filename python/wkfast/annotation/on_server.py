"""What an annotation has to do with a server: download, upload, streamed datasets."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from wkfast._lazy import lazy_import
from wkfast.errors import AnnotationIdError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from os import PathLike

    from wkfast import remote
    from wkfast.annotation import remote_annotation, transfer
    from wkfast.annotation.annotation import Annotation
    from wkfast.annotation.enums import AnnotationType
    from wkfast.annotation.remote_annotation import RemoteAnnotation
    from wkfast.client import urls
    from wkfast.progress import Progress
    from wkfast.remote import RemoteDataset
else:
    # most scripts never speak to a server
    transfer = lazy_import("wkfast.annotation.transfer")
    remote = lazy_import("wkfast.remote")
    remote_annotation = lazy_import("wkfast.annotation.remote_annotation")
    urls = lazy_import("wkfast.client.urls")


class OnServer:
    """The part of ``Annotation`` that speaks to a server."""

    if TYPE_CHECKING:
        name: str
        annotation_id: str | None
        dataset_name: str
        dataset_id: str | None
        organization_id: str | None
        _downloaded: transfer.DownloadedFile | None

        @classmethod
        def load(cls, annotation_path: str | PathLike[str], *, strict: bool = False) -> Annotation:
            """Read an annotation."""

        def _write(self, path: Path) -> Any:
            """Write the zip."""

    @staticmethod
    def id_from_url(annotation_id_or_url: str) -> str:
        """Return the id in the URL of an annotation, or the id itself. No server is asked, so short links are refused.

        Raises
        ------
        InvalidUrlError
            A ``ValueError``: neither the URL nor the id of an annotation.

        Examples
        --------
        >>> from wkfast import Annotation
        >>> Annotation.id_from_url("https://webknossos.org/annotations/570ba0092a7c0e980056fe9b#1,2,3")
        '570ba0092a7c0e980056fe9b'
        """
        return urls.parse_annotation(annotation_id_or_url).id

    @overload
    @classmethod
    def download(
        cls,
        annotation_id_or_url: str,
        annotation_type: str | AnnotationType | None = None,
        webknossos_url: str | None = None,
        *,
        skip_volume_data: bool = False,
        retry_count: int = 5,
        progress: Progress = None,
    ) -> Annotation: ...

    @overload
    @classmethod
    def download(
        cls,
        annotation_id_or_url: str,
        annotation_type: str | AnnotationType | None = None,
        webknossos_url: str | None = None,
        *,
        skip_volume_data: bool = False,
        retry_count: int = 5,
        _return_context: bool,
        progress: Progress = None,
    ) -> tuple[Annotation, AbstractContextManager[object]]: ...

    @classmethod
    def download(
        cls,
        annotation_id_or_url: str,
        annotation_type: str | AnnotationType | None = None,
        webknossos_url: str | None = None,
        *,
        skip_volume_data: bool = False,
        retry_count: int = 5,
        _return_context: bool = False,
        progress: Progress = None,
    ) -> Annotation | tuple[Annotation, AbstractContextManager[object]]:
        """Return an annotation from a server, kept in a temporary folder until nothing refers to it; see :meth:`save`.

        Parameters
        ----------
        annotation_id_or_url
            An id, an annotation URL of any form, or a short link.
        annotation_type
            Deprecated and ignored.
        webknossos_url
            The server of a bare id, if it is not the context's.
        skip_volume_data
            Leave the voxels on the server; volume layers then have no data.
        retry_count
            Further attempts after the first.
        progress
            ``True`` for a bar, or what is called with the bytes that came and all there are, ``None`` if not known.

        Raises
        ------
        ClientError
            A ``RuntimeError``: what happened, where, what the server said and what to do.
        """
        file = transfer.download(
            annotation_id_or_url,
            annotation_type,
            webknossos_url,
            skip_volume_data=skip_volume_data,
            retry_count=retry_count,
            progress=progress,
        )
        annotation = cls._loaded(file, skip_volume_data=skip_volume_data)
        return (annotation, file.in_context()) if _return_context else annotation

    def upload(self, *, progress: Progress = None) -> str:
        """Upload the annotation as a new one and return its URL.

        Server and user are those of the current context; see ``webknossos_context``.

        Parameters
        ----------
        progress
            ``True`` for a bar, or what is called with the bytes that went and all there are.

        Raises
        ------
        AuthenticationError
            A ``RuntimeError``: nobody is logged in; the message says how to.
        ClientError
            A ``RuntimeError``: what happened, where, what the server said and what to do.
        """
        transfer.require_login()
        if self.organization_id is None:
            self.organization_id = transfer.own_organization()
        with tempfile.TemporaryDirectory(prefix="wkfast-upload-", ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "annotation.zip"
            self._write(path)
            return transfer.upload(path, self.name, progress)

    @classmethod
    def _loaded(cls, file: transfer.DownloadedFile, *, skip_volume_data: bool) -> Annotation:
        """Return the annotation in a downloaded file."""
        with warnings.catch_warnings():
            if skip_volume_data:
                warnings.filterwarnings("ignore", message="volume layer .* has no data")
            annotation = cls.load(file.path)
        annotation.annotation_id = annotation.annotation_id or file.annotation_id
        annotation._downloaded = file
        return annotation

    @classmethod
    def open_as_remote_dataset(
        cls,
        annotation_id_or_url: str,
        annotation_type: str | AnnotationType | None = None,
        webknossos_url: str | None = None,
    ) -> RemoteDataset:
        """Return the layers of an annotation, streamed: the dataset's, and each volume layer merged with its fallback.

        Parameters
        ----------
        annotation_id_or_url
            An id, an annotation URL of any form, or a short link.
        annotation_type
            Deprecated and ignored.
        webknossos_url
            The server of a bare id, if it is not the context's.

        Raises
        ------
        ClientError
            A ``RuntimeError``: what happened, where, what the server said and what to do.
        """
        server = transfer.server_of(annotation_type, webknossos_url)
        return remote.RemoteDataset.open(annotation_id_or_url=annotation_id_or_url, webknossos_url=server)

    @classmethod
    def open_remote(cls, annotation_id_or_url: str, webknossos_url: str | None = None) -> RemoteAnnotation:
        """Return a handle on an annotation that stays on its server.

        Its name and description are read and set there; the skeleton is the one that is there now.

        Parameters
        ----------
        annotation_id_or_url
            An id, an annotation URL of any form, or a short link.
        webknossos_url
            The server of a bare id, if it is not the context's.

        Raises
        ------
        ClientError
            A ``RuntimeError``: what happened, where, what the server said and what to do.
        """
        file = transfer.download(
            annotation_id_or_url, None, webknossos_url, skip_volume_data=True, retry_count=transfer.RETRIES
        )
        return remote_annotation.RemoteAnnotation._of(cls._loaded(file, skip_volume_data=True), file)

    def get_remote_annotation_dataset(self) -> RemoteDataset:
        """Return the layers of this annotation as its server has them, streamed; see :meth:`open_as_remote_dataset`.

        Raises
        ------
        AnnotationIdError
            A ``ValueError``: the annotation has no id, so it is on no server yet.
        """
        if self.annotation_id is None:
            raise AnnotationIdError(f"annotation {self.name!r} has no annotation_id: upload it first")
        where = self.annotation_id
        if self._downloaded is not None:
            # it may be from another server than the current context's
            where = f"{self._downloaded.context.url}/annotations/{where}"
        return remote.RemoteDataset.open(annotation_id_or_url=where)

    def get_remote_base_dataset(
        self, sharing_token: str | None = None, webknossos_url: str | None = None
    ) -> RemoteDataset:
        """Return the dataset this annotation belongs to, streamed, by its id if it is known, else by its name.

        Parameters
        ----------
        sharing_token
            Opens a dataset that the user may not see otherwise.
        webknossos_url
            Its server; default: the one this was downloaded from, else the context's.
        """
        if webknossos_url is None and self._downloaded is not None:
            webknossos_url = self._downloaded.context.url
        if self.dataset_id is not None:
            return remote.RemoteDataset.open(
                dataset_id=self.dataset_id, sharing_token=sharing_token, webknossos_url=webknossos_url
            )
        return remote.RemoteDataset.open(
            self.dataset_name,
            organization_id=self.organization_id,
            sharing_token=sharing_token,
            webknossos_url=webknossos_url,
        )
