"""From what a user gives to where layers are streamed from: a dataset, or an annotation over one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast.client import Client, resolve_annotation, resolve_dataset
from wkfast.client.annotations import Annotations
from wkfast.client.datasets import Datasets
from wkfast.client.errors import (
    AuthenticationError,
    InvalidUrlError,
    NotFoundError,
    PermissionDeniedError,
    UnexpectedAnswerError,
)
from wkfast.client.urls import is_object_id
from wkfast.errors import AnnotationZipError, DatasetError, NmlError
from wkfast.remote.guess import Guess
from wkfast.temporary import owned_temporary_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wkfast.client import Secret
    from wkfast.client.stores import Datastore, StreamedLayers


@dataclass(frozen=True)
class RemoteLocation:
    """Where layers are streamed from.

    Attributes
    ----------
    annotation_id
        Set if the layers are those of an annotation.
    volume_layers
        Names of the layers that the annotation paints in; ``None`` if the server does not tell.
    early_properties
        What :meth:`properties` returns, if it came together with the rest.
    """

    client: Client
    dataset_id: str
    datastore: Datastore
    annotation_id: str | None = None
    volume_layers: frozenset[str] | None = frozenset()
    sharing_token: Secret | None = None
    early_properties: Mapping[str, Any] | None = None

    @classmethod
    def of_dataset(
        cls, url_or_name: str, *, organization: str | None, sharing_token: str | None, webknossos_url: str | None
    ) -> RemoteLocation:
        """Find a dataset by URL, short link, id or name."""
        found = resolve_dataset(
            url_or_name, organization=organization, sharing_token=sharing_token, webknossos_url=webknossos_url
        )
        client = Client(found.context)
        dataset_id, token = found.dataset_id, found.sharing_token
        guess = Guess(
            client,
            lambda connection: Datasets(connection).info(dataset_id, sharing_token=token),
            lambda datastore: datastore.dataset_layers(dataset_id),
            sharing_token=token,
        )
        record = guess.record() or client.datasets.info(dataset_id, sharing_token=token)
        if record.status is not None:
            raise DatasetError(f"dataset {record.name!r} cannot be read by its server: {record.status}")
        datastore = client.datastore(record.data_store_url, sharing_token=token)
        early = guess.properties(datastore.url)
        return cls(client, dataset_id, datastore, sharing_token=token, early_properties=early)

    @classmethod
    def of_annotation(cls, url_or_id: str, *, webknossos_url: str | None) -> RemoteLocation:
        """Find an annotation by URL, short link or id."""
        found = resolve_annotation(url_or_id, webknossos_url=webknossos_url)
        client = Client(found.context)
        annotation_id = found.annotation_id
        guess = Guess(
            client,
            lambda connection: Annotations(connection).info(annotation_id),
            lambda datastore: datastore.annotation_layers(annotation_id),
        )
        try:
            info = guess.record() or client.annotations.info(annotation_id)
        except (AuthenticationError, NotFoundError, PermissionDeniedError) as refusal:
            if found.context.token is not None:
                raise
            # public annotations can be downloaded by everybody, even where their info cannot be read
            return cls._of_public_annotation(client, annotation_id, refusal)
        if info.dataset_id is None or info.data_store_url is None:
            raise UnexpectedAnswerError(f"annotation {info.id}: the server does not tell its dataset")
        volumes = frozenset(layer.name or "" for layer in info.layers if layer.typ == "Volume")
        datastore = client.datastore(info.data_store_url)
        early = guess.properties(datastore.url)
        return cls(client, info.dataset_id, datastore, annotation_id, volumes, early_properties=early)

    @classmethod
    def _of_public_annotation(cls, client: Client, annotation_id: str, refusal: Exception) -> RemoteLocation:
        with owned_temporary_folder("annotation") as folder:
            received = client.annotations.download(annotation_id, folder, skip_volume_data=True, durable=False)
            dataset_id = _dataset_id(received.path)
        if dataset_id is None:
            raise refusal
        record = client.datasets.info(dataset_id)
        return cls(client, dataset_id, client.datastore(record.data_store_url), annotation_id, None)

    @property
    def streamed(self) -> StreamedLayers:
        """The streaming root."""
        if self.annotation_id is not None:
            return self.datastore.annotation_layers(self.annotation_id)
        return self.datastore.dataset_layers(self.dataset_id)

    def properties(self) -> Mapping[str, Any]:
        """Return ``datasource-properties.json`` of the streaming root."""
        return self.streamed.properties() if self.early_properties is None else self.early_properties

    @property
    def url(self) -> str:
        """The page of the dataset or annotation."""
        base = self.client.context.url
        if self.annotation_id is not None:
            return f"{base}/annotations/{self.annotation_id}"
        return f"{base}/datasets/{self.dataset_id}"


def locate(
    dataset_name_or_url: str | None,
    *,
    organization_id: str | None,
    sharing_token: str | None,
    webknossos_url: str | None,
    dataset_id: str | None,
    annotation_id_or_url: str | None,
) -> RemoteLocation:
    """Find what the arguments of :meth:`RemoteDataset.open` mean.

    Raises
    ------
    InvalidUrlError
        A ``ValueError``: they name nothing, or contradict each other.
    """
    if annotation_id_or_url is not None:
        if sharing_token is not None:
            raise InvalidUrlError("a sharing token opens a dataset, not an annotation; give one or the other")
        return RemoteLocation.of_annotation(annotation_id_or_url, webknossos_url=webknossos_url)
    if dataset_name_or_url is not None and dataset_id is not None:
        raise InvalidUrlError("give either dataset_name_or_url or dataset_id, not both")
    name = dataset_id if dataset_name_or_url is None else dataset_name_or_url
    if name is None:
        raise InvalidUrlError("name a dataset: dataset_name_or_url, dataset_id or annotation_id_or_url")
    return RemoteLocation.of_dataset(
        name, organization=organization_id, sharing_token=sharing_token, webknossos_url=webknossos_url
    )


def _dataset_id(file: Path) -> str | None:
    """Return the dataset that the beginning of an NML, bare or in a zip, names."""
    with suppress(AnnotationZipError, NmlError):
        bare = file.suffix != ".zip"
        members = [None] if bare else [name for name in _core.AnnotationZip(file).names() if name.endswith(".nml")]
        for member in members[:1]:
            stream = _core.TreeStream(str(file), member)
            next(stream, None)  # what is said before the first tree is known with it
            dataset_id: str | None = stream.header["parameters"]["experiment"]["dataset_id"]
            return dataset_id if dataset_id is not None and is_object_id(dataset_id) else None
    return None
