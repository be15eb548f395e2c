"""Routes of the stores: streamed layers, cut-outs and stored files; meshes and agglomerate graphs of volume layers."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast._lazy import lazy_import
from wkfast.client.call import Answer, Batch, Call, target_of
from wkfast.client.datasets import with_sharing_token
from wkfast.client.errors import NotFoundError, UnexpectedAnswerError
from wkfast.client.failures import meaning_of, server_messages
from wkfast.client.fields import Fields, parse_json
from wkfast.client.records import Int3
from wkfast.client.routes import Routes, datastore_prefix
from wkfast.client.secret import Secret
from wkfast.client.transfer import receive
from wkfast.client.urls import join
from wkfast.client.workers import fetch_all
from wkfast.drafts import PartFile
from wkfast.progress import observed

if TYPE_CHECKING:
    import certifi

    from wkfast.progress import Progress
else:
    certifi = lazy_import("certifi")

#: Chunk position along the axes c, x, y, z.
ChunkIndex = tuple[int, int, int, int]

_CHUNK_LIMIT = 1 << 30
# metadata of a layer or mag, and of all of them
_HEADER_LIMIT, _PROPERTIES_LIMIT = 1 << 20, 64 << 20
_PARTIAL = 206


@dataclass(frozen=True)
class Cutout:
    """Raw voxels: little-endian, first axis fastest, axes c, x, y, z.

    Attributes
    ----------
    missing_buckets
        Indices of the 32³ blocks of the request that the server could not read and filled with zeros.
    """

    voxels: bytes = field(repr=False)
    missing_buckets: tuple[int, ...] = ()


class Datastore:
    """A data store, from :meth:`Client.datastore`."""

    def __init__(self, routes: Routes, url: str, sharing_token: Secret | None) -> None:
        self.url = url
        self._routes = routes
        self._sharing_token = sharing_token

    def storage_options(self) -> dict[str, str]:
        """Return what reaches the store in the core: a handle of this process, which says nothing of the token.

        Where it means nothing, as in another process, the environment's token is taken, if it is for the same server.
        """
        context, sharing = self._routes.context, self._sharing_token
        handle = _core.hold_access(
            None if context.token is None else context.token.reveal(),
            None if sharing is None else sharing.reveal(),
            context.timeout,
            certifi.where(),
        )
        return {"server": context.url, "access_token": handle}

    def annotation_layers(self, annotation_id: str) -> "StreamedLayers":
        """Return the layers of an annotation, its volume layers merged with their fallback."""
        return StreamedLayers(self, self._route("annotations", "zarr", annotation_id))

    def dataset_layers(self, dataset_id: str) -> "StreamedLayers":
        """Return the layers of a dataset."""
        return StreamedLayers(self, self._route("zarr", dataset_id))

    def cutout(
        self,
        dataset_id: str,
        layer: str,
        *,
        mag: Int3,
        topleft: Int3,
        size: Int3,
        retries: int | None = None,
        limit: int = _CHUNK_LIMIT,
    ) -> Cutout:
        """Return a box of voxels.

        Parameters
        ----------
        topleft
            In mag-1 voxels.
        size
            In voxels of ``mag``.
        retries
            Further attempts after the first, ``None`` for the session's number.
        limit
            Bytes that the voxels can take at most.
        """
        url, query = self._cutout_url(dataset_id, layer), _box_query(mag, topleft, size)
        answer = self.send(replace(self._routes.call("GET", url), query=query, retries=retries), limit)
        missing = parse_json(answer.headers.get("missing-buckets", "[]").encode(), answer.where)
        if not isinstance(missing, list) or not all(isinstance(index, int) for index in missing):
            raise UnexpectedAnswerError(f"{answer.where}: the header missing-buckets is not a list of numbers")
        return Cutout(answer.body, tuple(missing))

    def cutout_target(self, dataset_id: str, layer: str, *, mag: Int3, topleft: Int3, size: Int3) -> str:
        """Return path and query of :meth:`cutout`, for a request of :meth:`batch`."""
        return target_of(self._cutout_url(dataset_id, layer), _box_query(mag, topleft, size))

    def cutout_path(self, dataset_id: str, layer: str) -> str:
        """Return the path at which the store cuts boxes out of a layer."""
        return target_of(self._cutout_url(dataset_id, layer), {})

    @property
    def is_quick(self) -> bool:
        """Whether :meth:`batch` brings anything: no proxy stands before the store, nothing replaces the network."""
        return self._routes.session.is_quick(self.url)

    def batch(self, batch: Batch) -> list[int]:
        """Fetch many bodies at once and return the numbers of the requests that brought none: make them one by one."""
        return self._routes.session.batch(self._shared(self._routes.call("GET", self.url)), batch)

    def file(self, dataset_id: str, path: str, *, start: int | None = None, length: int | None = None) -> bytes:
        """Return a stored file of a dataset, or a range of its bytes.

        Parameters
        ----------
        path
            E.g. ``layers/color/mags/1/zarr.json``.
        start
            First byte; negative counts from the end and goes to the end.
        length
            Number of bytes, ``None`` for all that follow. Fewer come where the file ends.
        """
        url = self._route("datasets", dataset_id, "proxy", *path.split("/"))
        call = self._routes.call("GET", url)
        if start is None and length is None:
            return self.send(call).body
        first = start or 0
        answer = self.send(replace(call, headers={"range": _range(first, length)}))
        if answer.status != _PARTIAL:
            return _cut(answer.body, first, length)
        _check_range(answer, first, length)
        return answer.body

    def send(self, call: Call, limit: int = _CHUNK_LIMIT) -> Answer:
        """Return the answer to a call for binary data of at most `limit` bytes."""
        answer = self._routes.session.send(self._shared(call), limit=limit)
        if answer.headers.get("content-type", "").startswith("text/html"):
            raise UnexpectedAnswerError(f"{answer.where}: a web page came instead of data")
        return answer

    def get(self, url: str, limit: int = _CHUNK_LIMIT) -> Answer:
        """Return the answer to a GET."""
        return self.send(self._routes.call("GET", url), limit)

    def _shared(self, call: Call) -> Call:
        """Return the call with the sharing token if there is one."""
        return call if self._sharing_token is None else with_sharing_token(call, "token", self._sharing_token)

    def _cutout_url(self, dataset_id: str, layer: str) -> str:
        return self._route("datasets", dataset_id, "layers", layer, "data")

    def _route(self, *segments: str) -> str:
        return join(f"{self.url}/{datastore_prefix(self._routes.version)}", *segments)


class StreamedLayers:
    """Layers of a dataset or annotation, streamed as uncompressed Zarr v2.

    Attributes
    ----------
    datastore
        Where they come from.
    """

    def __init__(self, datastore: Datastore, url: str) -> None:
        self.url = url
        self.datastore = datastore

    def properties(self) -> Mapping[str, Any]:
        """Return ``datasource-properties.json``."""
        return self._object("datasource-properties.json", limit=_PROPERTIES_LIMIT)

    def mag_url(self, layer: str, mag: str) -> str:
        """Return where the files of a mag are."""
        return join(self.url, layer, mag)

    def array_header(self, layer: str, mag: str) -> Mapping[str, Any]:
        """Return the ``.zarray`` of a mag, named like its folder: ``1``, ``2-2-1``."""
        return self._object(layer, mag, ".zarray", limit=_HEADER_LIMIT)

    def chunk(self, layer: str, mag: str, index: ChunkIndex, *, limit: int = _CHUNK_LIMIT) -> bytes | None:
        """Return the voxels of a chunk, little-endian and first axis fastest; ``None`` where nothing is stored.

        Parameters
        ----------
        limit
            Bytes that a chunk can have at most.

        Raises
        ------
        NotFoundError
            The layer or mag is not there.
        """
        try:
            return self.datastore.get(join(self.url, layer, mag, ".".join(map(str, index))), limit).body
        except NotFoundError as error:
            if _says_no_data(error.messages):
                return None
            raise

    def chunk_targets(self, layer: str, mag: str) -> Callable[[ChunkIndex], str]:
        """Return what makes an index into the path of :meth:`chunk`, for requests of :meth:`Datastore.batch`."""
        path = target_of(join(self.url, layer, mag), {})
        return lambda index: f"{path}/{index[0]}.{index[1]}.{index[2]}.{index[3]}"

    def chunks(
        self, layer: str, mag: str, indices: Iterable[ChunkIndex], *, concurrency: int = 16
    ) -> Iterator[tuple[ChunkIndex, bytes | None]]:
        """Yield ``(index, voxels)`` of many chunks as they arrive, fetched concurrently, see :meth:`chunk`."""
        return fetch_all(lambda index: self.chunk(layer, mag, index), indices, concurrency=concurrency)

    def _object(self, *segments: str, limit: int) -> Mapping[str, Any]:
        answer = self.datastore.get(join(self.url, *segments), limit)
        return Fields(parse_json(answer.body, answer.where), answer.where).raw()


class Tracingstore:
    """A tracing store, from :meth:`Client.tracingstore`. ``tracing_id`` is that of a volume layer."""

    def __init__(self, routes: Routes, url: str) -> None:
        self.url = url
        self._routes = routes

    def download_mesh(
        self, tracing_id: str, request: Mapping[str, Any], target: Path | str, *, progress: "Progress" = None
    ) -> Path:
        """Write the mesh of a segment as binary STL, streamed, complete or absent, and return the path.

        Parameters
        ----------
        request
            What the server wants to know: ``lod, segmentId, mappingName`` and either ``meshFileName`` or
            ``mappingType, mag, seedPosition``.
        """
        url = join(self.url, "tracings", "volume", tracing_id, "fullMesh.stl")
        call = replace(self._routes.json_call("POST", url, request), slow_start=True)
        path = Path(target)
        with PartFile(path.parent, path.name) as part, observed(progress, "downloading", "bytes") as observer:
            receive(self._routes.session, call, part.file, check=lambda _: None, progress=observer)
            part.commit(path)
        return path

    def agglomerate_graph(self, tracing_id: str, agglomerate_id: int) -> bytes:
        """Return the graph of an agglomerate in the server's protobuf encoding."""
        url = join(self.url, "tracings", "mapping", tracing_id, "agglomerateGraph", str(agglomerate_id))
        return self._routes.session.send(self._routes.call("GET", url)).body


def says_no_data(status: int, body: bytes) -> bool:
    """Whether an answer says that nothing is stored where a chunk was asked for."""
    return meaning_of(status).error is NotFoundError and _says_no_data(server_messages(body))


def _says_no_data(messages: Iterable[str]) -> bool:
    return any(map(_core.tells_absence, messages))


def _box_query(mag: Int3, topleft: Int3, size: Int3) -> dict[str, str]:
    numbers = zip(("x", "y", "z", "width", "height", "depth"), (*topleft, *size), strict=True)
    return {"mag": "-".join(map(str, mag)), **{key: str(number) for key, number in numbers}}


def _range(start: int, length: int | None) -> str:
    if start < 0:
        return f"bytes={start}"
    return f"bytes={start}-" if length is None else f"bytes={start}-{start + length - 1}"


def _check_range(answer: Answer, start: int, length: int | None) -> None:
    """Raise if the server sent another range than the one asked for."""
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", answer.headers.get("content-range", ""))
    begin, end = (int(match[1]), int(match[2])) if match else (-1, -1)
    sound = len(answer.body) == end + 1 - begin and (length is None or len(answer.body) <= length)
    if not sound or (start >= 0 and begin != start):
        raise UnexpectedAnswerError(f"{answer.where}: another range came than the one asked for")


def _cut(body: bytes, start: int, length: int | None) -> bytes:
    """Return the range of a body that came whole, because the server does not know ranges."""
    return body[start:] if length is None or start < 0 else body[start : start + length]
