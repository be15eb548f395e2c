"""Routes about datasets: info, id from name, sharing token."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wkfast._warnings import warn
from wkfast.client.call import Call
from wkfast.client.errors import InvalidUrlError, NotFoundError
from wkfast.client.fields import Fields
from wkfast.client.records import DatasetName, DatasetRecord
from wkfast.client.routes import Routes
from wkfast.client.secret import Secret, Secrets
from wkfast.client.urls import is_object_id, shown


class Datasets:
    """The datasets of a server, as ``client.datasets``."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    def info(self, dataset_id: str, *, sharing_token: Secret | str | None = None) -> DatasetRecord:
        """Return what the server knows about a dataset; a sharing token opens one that the user may not see."""
        if not is_object_id(dataset_id):
            raise InvalidUrlError(f"the id of a dataset is 24 hexadecimal digits, not {shown(dataset_id)!r}")
        url = self._routes.api_url("datasets", dataset_id)
        call = self._routes.call("GET", url)
        if sharing_token:
            call = with_sharing_token(call, "sharingToken", sharing_token)
        value, answer = self._routes.send_json(call)
        return DatasetRecord.of(Fields(value, answer.where))

    def update(self, dataset_id: str, changes: Mapping[str, Any]) -> None:
        """Change some of what the server knows about a dataset.

        Parameters
        ----------
        changes
            In the server's words: ``name``, ``description``, ``tags``, ``isPublic``, ``metadata``. What is left out
            stays.

        Raises
        ------
        ResponseError
            The user may not change it, or the server refuses the values.
        """
        url = self._routes.api_url("datasets", dataset_id, "updatePartial")
        self._routes.session.send(self._routes.json_call("PATCH", url, changes))

    def id_of(self, name: str, organization: str | None = None) -> str:
        """Return the id of the dataset with exactly this name, else with this directory name.

        Parameters
        ----------
        organization
            ``None`` for that of the token's owner.

        Raises
        ------
        NotFoundError
            There is none that the user may see.
        """
        organization = organization or self._own_organization(name)
        found = [record.id for record in self.search(name, organization) if record.name == name]
        if len(found) > 1:
            warn(
                f"{len(found)} datasets of {organization} are named {name!r}; the first, {found[0]}, is taken. "
                "Name the dataset by its id to choose"
            )
        return found[0] if found else self.by_directory_name(name, organization).id

    def search(self, text: str, organization: str) -> tuple[DatasetRecord, ...]:
        """Return the active datasets of an organisation whose name the server finds similar to ``text``."""
        query = {"isActive": "true", "organizationId": organization, "searchQuery": text}
        entries = self._routes.get_list(self._routes.api_url("datasets"), query)
        records = map(DatasetRecord.of, entries)
        return tuple(record for record in records if record.organization in (None, organization))

    def listed(
        self, organization: str | None = None, *, name: str | None = None, folder_id: str | None = None
    ) -> tuple[DatasetRecord, ...]:
        """Return the active datasets that the user may see.

        Parameters
        ----------
        organization
            ``None`` for that of the token's owner.
        name
            Of exactly this name.
        folder_id
            In this folder alone.

        Raises
        ------
        ClientError
            What happened, where, what the server said and what to do.
        """
        organization = organization or self._routes.user().organization
        asked = {"organizationId": organization, "searchQuery": name, "folderId": folder_id}
        query = {"isActive": "true", **{key: value for key, value in asked.items() if value is not None}}
        entries = map(DatasetRecord.of, self._routes.get_list(self._routes.api_url("datasets"), query))
        return tuple(entry for entry in entries if name in (None, entry.name))

    def by_directory_name(self, directory_name: str, organization: str) -> DatasetName:
        """Return the dataset with this directory name, which stays when a dataset is renamed."""
        url = self._routes.api_url("datasets", "disambiguate", organization, directory_name, "toId")
        return DatasetName.of(self._routes.get_fields(url))

    def sharing_token(self, dataset_id: str) -> Secret:
        """Return a token with which anybody may read the dataset."""
        url = self._routes.api_url("datasets", dataset_id, "sharingToken")
        return Secret(self._routes.get_fields(url).text("sharingToken"))

    def _own_organization(self, name: str) -> str:
        organization = self._routes.user().organization
        if organization is None:
            raise NotFoundError(f"dataset {name!r}: name its organisation, the server does not tell the user's")
        return organization


def with_sharing_token(call: Call, key: str, token: Secret | str) -> Call:
    """Return the call with a sharing token in its query, in place of the user's token."""
    secret = token if isinstance(token, Secret) else Secret(token)
    return replace(call, secrets=Secrets(query=((key, secret),)))
