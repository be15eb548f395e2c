"""The datasets that a server lists, opened one by one when they are looked up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from wkfast.client import Client
    from wkfast.remote.dataset import RemoteDataset


class RemoteDatasets(Mapping[str, "RemoteDataset"]):
    """Datasets by id. The list is asked for once; a dataset is opened when it is looked up first.

    Parameters
    ----------
    client
        The server, and whose list it is.
    open_dataset
        ``RemoteDataset.open``.
    organization, tags, name, folder_id
        Which ones, see :meth:`RemoteDataset.list`.
    """

    def __init__(
        self,
        client: Client,
        open_dataset: Callable[..., RemoteDataset],
        organization: str | None,
        tags: str | Sequence[str] | None,
        name: str | None,
        folder_id: str | None,
    ) -> None:
        wanted = None if tags is None else {tags} if isinstance(tags, str) else set(tags)
        records = client.datasets.listed(organization, name=name, folder_id=folder_id)
        self._url = client.context.url
        self._open = open_dataset
        self._opened: dict[str, RemoteDataset | None] = {
            record.id: None for record in records if wanted is None or wanted & set(record.tags)
        }

    def __getitem__(self, dataset_id: str) -> RemoteDataset:
        found = self._opened[dataset_id]
        if found is None:
            found = self._opened[dataset_id] = self._open(f"{self._url}/datasets/{dataset_id}")
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._opened)

    def __len__(self) -> int:
        return len(self._opened)

    def __repr__(self) -> str:
        return f"RemoteDatasets({self._url!r}, {list(self._opened)})"
