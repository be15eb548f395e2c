"""Routes of the tracing store: meshes and agglomerate graphs of volume layers."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wkfast.client.connection import Connection
from wkfast.client.download import receive
from wkfast.client.progress import Progress
from wkfast.client.retry import may_repeat_unsent
from wkfast.client.sinks import PartFile
from wkfast.client.urls import join

_JSON_TYPE = {"content-type": "application/json"}


class Tracingstore:
    """A tracing store, from :meth:`Client.tracingstore`. ``tracing_id`` is that of a volume layer."""

    def __init__(self, connection: Connection, url: str) -> None:
        self.url = url
        self._connection = connection

    def download_mesh(
        self, tracing_id: str, request: Mapping[str, Any], target: Path | str, *, progress: Progress | None = None
    ) -> Path:
        """Write the mesh of a segment as binary STL, streamed, complete or absent, and return the path.

        Parameters
        ----------
        request
            What the server wants to know: ``lod, segmentId, mappingName`` and either ``meshFileName`` or
            ``mappingType, mag, seedPosition``.
        """
        body = json.dumps(dict(request)).encode()
        url = join(self.url, "tracings", "volume", tracing_id, "fullMesh.stl")
        call = replace(
            self._connection.call("POST", url), body=lambda: [body], slow_start=True, may_repeat=may_repeat_unsent,
            headers={**_JSON_TYPE, "content-length": str(len(body))},
        )  # fmt: skip
        path = Path(target)
        with PartFile(path.parent, path.name) as part:
            receive(self._connection.session, call, part.file, check=lambda _: None, progress=progress)
            part.commit(path)
        return path

    def agglomerate_graph(self, tracing_id: str, agglomerate_id: int) -> bytes:
        """Return the graph of an agglomerate in the server's protobuf encoding."""
        url = join(self.url, "tracings", "mapping", tracing_id, "agglomerateGraph", str(agglomerate_id))
        return self._connection.session.send(self._connection.call("GET", url)).body
