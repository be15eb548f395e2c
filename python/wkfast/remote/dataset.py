"""A dataset on a server, its layers streamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from wkfast.client import Client
from wkfast.dataset import Dataset
from wkfast.errors import ReadOnlyError
from wkfast.remote.download import download
from wkfast.remote.layer import RemoteLayer, RemoteSegmentationLayer
from wkfast.remote.listing import RemoteDatasets
from wkfast.remote.location import RemoteLocation, locate
from wkfast.remote.metadata import RemoteMetadata
from wkfast.remote.place import ServerPlace, streamed_properties

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from os import PathLike

    from wkfast.client.records import DatasetRecord
    from wkfast.dataset import DataFormat
    from wkfast.geometry import BoundingBox, MagLike
    from wkfast.remote.metadata import Value


class RemoteDataset(Dataset):
    """A dataset, or an annotation over one, whose voxels stay on a server until they are read.

    Obtained from :meth:`open`. Layers and mags have the reading methods of local ones; writing is a ``ReadOnlyError``.
    """

    __slots__ = ("_location", "_read_only")

    _layer_class = RemoteLayer
    _segmentation_class = RemoteSegmentationLayer

    def __init__(self, location: RemoteLocation, *, read_only: bool = False) -> None:
        self._location = location
        self._read_only = read_only
        properties = streamed_properties(location.properties(), location.streamed.url)
        self._look_at(properties, ServerPlace(location))

    @classmethod
    def open(  # type: ignore[override]
        cls,
        dataset_name_or_url: str | None = None,
        *,
        organization_id: str | None = None,
        sharing_token: str | None = None,
        webknossos_url: str | None = None,
        dataset_id: str | None = None,
        annotation_id_or_url: str | None = None,
        read_only: bool = False,
    ) -> Self:
        """Return a dataset on a server; voxels are fetched when they are read.

        Parameters
        ----------
        dataset_name_or_url
            Name, id, URL of any form, or a short link.
        organization_id
            Of a plain name; default: that of the token's owner.
        sharing_token
            Opens a dataset that the user may not see otherwise.
        webknossos_url
            The server of a name or id, if it is not the context's.
        dataset_id
            In place of the name.
        annotation_id_or_url
            Stream the layers of an annotation instead: the dataset's, and each volume layer merged with its fallback.
        read_only
            Refuse changes of name, description, tags and metadata too. Voxels are never written.

        Raises
        ------
        InvalidUrlError
            A ``ValueError``: nothing is named, or the arguments contradict each other.
        ClientError
            A ``RuntimeError``: what happened, where, what the server said and what to do.
        """
        location = locate(
            dataset_name_or_url,
            organization_id=organization_id,
            sharing_token=sharing_token,
            webknossos_url=webknossos_url,
            dataset_id=dataset_id,
            annotation_id_or_url=annotation_id_or_url,
        )
        return cls(location, read_only=read_only)

    @classmethod
    def list(
        cls,
        organization_id: str | None = None,
        tags: str | Sequence[str] | None = None,
        name: str | None = None,
        folder: str | None = None,
        folder_id: str | None = None,
    ) -> Mapping[str, RemoteDataset]:
        """Return the datasets that the current context's user may see, by id; each is opened when it is looked up.

        Parameters
        ----------
        organization_id
            Default: that of the token's owner.
        tags
            Only those with one of these.
        name
            Only those of exactly this name.
        folder, folder_id
            Id of the folder they are in (`folder_id` is an older name).

        Raises
        ------
        ClientError
            A ``RuntimeError``: what happened, where, what the server said and what to do.
        """
        return RemoteDatasets(Client(), cls.open, organization_id, tags, name, folder_id if folder is None else folder)

    def download(  # type: ignore[override] # of datasets in folders it is a constructor, for scripts of old
        self,
        *,
        sharing_token: str | None = None,  # noqa: ARG002 - of the reference; the dataset was opened with its own
        bounding_box: BoundingBox | None = None,
        bbox: BoundingBox | None = None,
        layers: Iterable[str] | str | None = None,
        mags: Iterable[MagLike] | None = None,
        data_format: DataFormat | None = None,
        path: str | PathLike[str] | None = None,
        exist_ok: bool = False,
    ) -> Dataset:
        """Fetch layers, or a part of them, into a folder and return the dataset there.

        Parameters
        ----------
        sharing_token
            For scripts of the reference package: the one counts that the dataset was opened with.
        bounding_box, bbox
            Which part, in mag-1 voxels (`bbox` is an older name); default: all.
        layers, mags
            Which; default: all.
        data_format
            Of the new layers; default: Zarr v3.
        path
            Folder to make; default: one of the dataset's name, here.
        exist_ok
            Add the layers to a dataset that is there.

        Raises
        ------
        DatasetValueError
            A layer has nothing in the box. Nothing was written.
        ExistsError
            There is a layer of that name.
        """
        box = bbox if bounding_box is None else bounding_box
        return download(self, path, box, layers, mags, data_format, exist_ok=exist_ok)

    # -- what the server knows ------------------------------------------------------------------------------------

    @property
    def dataset_id(self) -> str:
        """Id of the dataset."""
        return self._location.dataset_id

    @property
    def annotation_id(self) -> str | None:
        """Id of the annotation that is streamed, if it is one."""
        return self._location.annotation_id

    @property
    def url(self) -> str:
        """The page of the dataset, also where the layers are those of an annotation over it."""
        return f"{self._location.client.context.url}/datasets/{self.dataset_id}"

    @property
    def read_only(self) -> bool:
        """Whether changes on the server are refused, see :meth:`open`."""
        return self._read_only

    @property
    def name(self) -> str:
        """Name of the dataset on the server, asked for each time; setting it renames the dataset there."""
        return self._record().name

    @name.setter
    def name(self, name: str) -> None:
        self._update({"name": name})

    @property
    def description(self) -> str | None:
        """Description on the server, asked for each time; setting it changes it there."""
        return self._record().description

    @description.setter
    def description(self, description: str | None) -> None:
        self._update({"description": description})

    @description.deleter
    def description(self) -> None:
        self._update({"description": None})

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags on the server, asked for each time; setting them replaces them there."""
        return self._record().tags

    @tags.setter
    def tags(self, tags: Sequence[str]) -> None:
        self._update({"tags": list(tags)})

    @property
    def metadata(self) -> RemoteMetadata:
        """Facts by name on the server. Changes of the mapping, or setting another one, change them there."""
        return RemoteMetadata(lambda: self._record().metadata, lambda entries: self._update({"metadata": entries}))

    @metadata.setter
    def metadata(self, values: Mapping[str, Value]) -> None:
        self.metadata.replace(values)

    @property
    def is_public(self) -> bool:
        """Whether everybody may see the dataset; setting it changes it on the server."""
        return bool(self._record().is_public)

    @is_public.setter
    def is_public(self, is_public: bool) -> None:
        self._update({"isPublic": is_public})

    @property
    def used_storage_bytes(self) -> int | None:
        """What the dataset takes on the server's disks, as far as the server knows."""
        return self._record().used_storage_bytes

    @property
    def sharing_token(self) -> str:
        """A token with which anybody may read the dataset."""
        return self._location.client.datasets.sharing_token(self.dataset_id).reveal()

    def _record(self) -> DatasetRecord:
        return self._location.client.datasets.info(self.dataset_id, sharing_token=self._location.sharing_token)

    def _update(self, changes: Mapping[str, Any]) -> None:
        if self._read_only:
            raise ReadOnlyError(f"{self.url} was opened with read_only=True; open it without to change it")
        self._location.client.datasets.update(self.dataset_id, changes)

    def __repr__(self) -> str:
        return f"RemoteDataset({self._location.url!r})"
