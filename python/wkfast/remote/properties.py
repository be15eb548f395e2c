"""``datasource-properties.json`` as a data store streams it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from wkfast.client.errors import UnexpectedAnswerError
from wkfast.client.fields import Fields
from wkfast.dataset.properties import FILE_NAME, DatasetProperties
from wkfast.errors import ReadOnlyError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class ServerFile:
    """A file on a server where messages name one: its URL."""

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def parent(self) -> ServerFile:
        """What it lies in."""
        return ServerFile(self._url.rpartition("/")[0])

    @property
    def name(self) -> str:
        """Last part of the URL."""
        return self._url.rpartition("/")[2]

    def __str__(self) -> str:
        return self._url


class StreamedProperties(DatasetProperties):
    """Properties that came from a server and cannot be written."""

    @classmethod
    def of(cls, json: Mapping[str, Any], url: str) -> StreamedProperties:
        """Check and take over the answer of the streaming root at `url`.

        Raises
        ------
        UnexpectedAnswerError
            It lists no layers.
        """
        layers = json.get("dataLayers")
        if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
            raise UnexpectedAnswerError(f"{url}/{FILE_NAME}: expected a list of 'dataLayers'")
        plain = {**json, "dataLayers": [_plain(layer, url) for layer in layers]}
        # the file is only ever shown: nothing is opened by it
        return cls(plain, cast("Path", ServerFile(f"{url}/{FILE_NAME}")))

    def write(self) -> None:
        """Refuse.

        Raises
        ------
        ReadOnlyError
            Always.
        """
        raise ReadOnlyError(f"{self.file}: layers on a server are read-only; copy them into a local dataset first")


def _plain(layer: dict[str, Any], url: str) -> dict[str, Any]:
    """Return a layer with numbers as numbers: newer servers wrap large ones."""
    return {**layer, "largestSegmentId": Fields(layer, url).integer_or_none("largestSegmentId")}
