"""A stand-in for a WEBKNOSSOS server: its routes over the state of ``standin_state``, on Starlette and uvicorn."""

import asyncio
import io
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from tests.client.standin_state import SIDE, Annotation, Dataset, Layer, Refusal, State, User, mag_name, parsed_mag

OLDEST, CURRENT = 9, 14

# Where all datasets are.
ROOT_FOLDER = "0" * 24


class StandIn:
    """The running server. ``state`` is its memory, ``log`` the method and path of each request."""

    def __init__(self, state: State, url: str) -> None:
        self.state = state
        self.url = url
        self.log: list[str] = []
        #: Seconds before each streamed answer, and how many waited at once.
        self.delay = 0.0
        self.together = self.most_together = 0
        #: Whether anonymous callers are refused the info of public annotations.
        self.info_needs_login = False

    def app(self) -> Starlette:
        api, data = "/api/v{version:int}", "/data/v{version:int}"
        routes = [
            ("GET", "/api/buildinfo", self.build_info), ("GET", f"{api}/buildinfo", self.build_info),
            ("GET", f"{api}/health", self.health), ("GET", f"{api}/user", self.user),
            ("GET", f"{api}/datastores", self.datastores), ("GET", f"{api}/tracingstore", self.tracingstore),
            ("GET", f"{api}/shortLinks/byKey/{{key}}", self.short_link),
            ("GET", f"{api}/annotations/readable", self.readable),
            ("POST", f"{api}/annotations/upload", self.upload),
            ("GET", f"{api}/annotations/{{id}}/info", self.info),
            ("GET", f"{api}/annotations/{{id}}/download", self.download),
            ("PATCH", f"{api}/annotations/{{typ}}/{{id}}/edit", self.edit),
            ("GET", f"{api}/datasets", self.search),
            ("GET", f"{api}/datasets/disambiguate/{{org}}/{{name}}/toId", self.disambiguate),
            ("GET", f"{api}/datasets/{{id}}/sharingToken", self.sharing_token),
            ("GET", f"{api}/datasets/{{id}}", self.dataset),
            ("PATCH", f"{api}/datasets/{{id}}/updatePartial", self.update_dataset),
            ("GET", f"{api}/tasks/{{id}}/annotations", self.annotations_of_task),
            ("GET", f"{api}/projects/byName/{{name}}", self.project),
            ("GET", f"{api}/projects/{{id}}/tasks", self.tasks_of_project),
            ("POST", "/tracings/volume/{id}/fullMesh.stl", self.mesh),
            ("GET", "/tracings/mapping/{id}/agglomerateGraph/{agglomerate}", self.agglomerate_graph),
            ("GET", f"{data}/datasets/{{id}}/layers/{{layer}}/data", self.cutout),
            ("GET", f"{data}/zarr/{{id}}/{{path:path}}", self.dataset_stream),
            ("GET", f"{data}/annotations/zarr/{{id}}/{{path:path}}", self.annotation_stream),
        ]  # fmt: skip
        return Starlette(
            routes=[Route(path, self.logged(handler), methods=[method]) for method, path, handler in routes],
            exception_handlers={Refusal: refused},
        )

    def logged(self, handler):
        async def run(request: Request) -> Response:
            self.log.append(f"{request.method} {request.url.path}")
            version = request.path_params.get("version")
            if version is not None and not OLDEST <= version <= CURRENT:
                raise Refusal(404, f"API version {version} is not supported")
            if request.url.path.startswith("/data/"):
                await self.pause()
            return await handler(request)

        return run

    async def pause(self) -> None:
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        await asyncio.sleep(self.delay)
        self.together -= 1

    # the server itself

    async def build_info(self, _: Request) -> Response:
        versions = {"currentApiVersion": CURRENT, "oldestSupportedApiVersion": OLDEST}
        stores = {"localDataStoreEnabled": True, "localTracingStoreEnabled": True}
        return JSONResponse({"webknossos": {"version": "stand-in"}, "httpApiVersioning": versions, **stores})

    async def health(self, _: Request) -> Response:
        return PlainTextResponse("Ok")

    async def user(self, request: Request) -> Response:
        return JSONResponse(self.who(request).full())

    async def datastores(self, _: Request) -> Response:
        return JSONResponse([self.store()])

    async def tracingstore(self, _: Request) -> Response:
        return JSONResponse({"name": "localhost", "url": self.url})

    async def short_link(self, request: Request) -> Response:
        key = request.path_params["key"]
        if key not in self.state.short_links:
            raise Refusal(404, "Short link not found")
        return JSONResponse({"_id": "0" * 24, "key": key, "longLink": self.state.short_links[key]})

    def store(self) -> dict:
        return {"name": "localhost", "url": self.url, "allowsUpload": True, "jobsSupportedByAvailableWorkers": [],
                "jobsEnabled": False}  # fmt: skip

    def who(self, request: Request) -> User:
        return self.state.user(token_of(request))

    # annotations

    def found(self, request: Request) -> Annotation:
        return self.state.annotation(request.path_params["id"], token_of(request))

    async def upload(self, request: Request) -> Response:
        user = self.who(request)
        async with request.form() as form:
            files = [value for value in form.values() if not isinstance(value, str)]
            if len(files) != 1 or form.get("createGroupForEachFile") not in ("true", "false"):
                raise Refusal(400, "Expected createGroupForEachFile and one file")
            annotation = self.state.upload(files[0].filename, await files[0].read(), user)
        made = {"typ": annotation.typ, "id": annotation.id}
        return JSONResponse({"annotation": made, "messages": [{"success": "Successfully uploaded file"}]})

    async def readable(self, request: Request) -> Response:
        user, wanted = self.who(request), request.query_params.get("isFinished")
        entries = []
        for annotation in self.state.annotations.values():
            finished = "true" if annotation.state == "Finished" else "false"
            if annotation.owner.organization == user.organization and wanted in (None, finished):
                entries.append(self.entry(annotation))
        return JSONResponse(entries)

    def entry(self, annotation: Annotation) -> dict:
        return {
            "id": annotation.id, "typ": annotation.typ, "name": annotation.name, "description": annotation.description,
            "state": annotation.state, "modified": annotation.modified, "tracingTime": 0,
            "annotationLayers": self.annotation_layers(annotation), "dataSetName": annotation.dataset.name,
            "organization": annotation.owner.organization, "visibility": annotation.visibility, "teams": [], "tags": [],
            "stats": {}, "isLockedByOwner": annotation.is_locked_by_owner, "othersMayEdit": False,
            "owner": annotation.owner.short(),
        }  # fmt: skip

    def annotation_layers(self, annotation: Annotation) -> list[dict]:
        layers = [{"tracingId": f"{annotation.id}-s", "typ": "Skeleton", "name": "Skeleton", "stats": {}}]
        names = [layer.name for layer in annotation.layers()]
        return layers + [
            {"tracingId": f"{annotation.id}-{name}", "typ": "Volume", "name": name, "stats": {}} for name in names
        ]

    async def info(self, request: Request) -> Response:
        if self.info_needs_login:
            self.who(request)
        annotation = self.found(request)
        owner, asking = annotation.owner.full(), self.state.users.get(token_of(request) or "")
        rights = {"allowAccess": True, "allowUpdate": asking is not None and asking.id == annotation.owner.id,
                  "allowFinish": True, "allowDownload": True}  # fmt: skip
        return JSONResponse({
            **self.entry(annotation), "tracingTime": None, "viewConfiguration": None, "task": None,
            "restrictions": rights, "datasetId": annotation.dataset.id, "dataStore": self.store(),
            "tracingStore": {"name": "localhost", "url": self.url}, "settings": {}, "owner": owner, "user": owner,
            "contributors": [],
        })  # fmt: skip

    async def download(self, request: Request) -> Response:
        annotation = self.found(request)
        with_volumes = request.query_params.get("skipVolumeData") != "true"
        nml, name = annotation.exported(with_volumes=with_volumes), annotation.name
        if "<volume" not in annotation.nml:
            return Response(nml, media_type="application/xml", headers=attachment(f"{name}.nml"))
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(f"{name}.nml", nml, zipfile.ZIP_DEFLATED)
            for location, data in annotation.volumes.items() if with_volumes else ():
                archive.writestr(location, data)
        return Response(buffer.getvalue(), media_type="application/zip", headers=attachment(f"{name}.zip"))

    async def edit(self, request: Request) -> Response:
        annotation, user = self.found(request), self.who(request)
        if user.id != annotation.owner.id or annotation.is_locked_by_owner:
            raise Refusal(400, "You are not allowed to edit this annotation")
        if request.path_params["typ"] != annotation.typ:
            raise Refusal(400, "The type of the annotation is another")
        changes = await request.json()
        for key in ("name", "description"):
            if changes.get(key) is not None:
                setattr(annotation, key, changes[key])
        annotation.modified = int(time.time() * 1000)
        return JSONResponse({"messages": [{"success": "Annotation was edited"}]})

    async def annotations_of_task(self, request: Request) -> Response:
        self.who(request)
        task = request.path_params["id"]
        return JSONResponse([self.entry(it) for it in self.state.annotations.values() if it.task_id == task])

    async def project(self, request: Request) -> Response:
        self.who(request)
        name = request.path_params["name"]
        if name not in self.state.projects:
            raise Refusal(404, "Project could not be found")
        return JSONResponse({"id": name.encode().hex(), "name": name, "teamName": "Team"})

    async def tasks_of_project(self, request: Request) -> Response:
        self.who(request)
        tasks = self.state.projects[bytes.fromhex(request.path_params["id"]).decode()]
        limit, page = (int(request.query_params[key]) for key in ("limit", "pageNumber"))
        part = [{"id": task} for task in tasks[page * limit : (page + 1) * limit]]
        return JSONResponse(part, headers={"x-total-count": str(len(tasks))})

    # tracing store

    async def mesh(self, request: Request) -> Response:
        self.who(request)
        wanted = await request.json()
        body = f"mesh of {wanted['segmentId']} in {request.path_params['id']}".encode()
        return Response(body, media_type="application/octet-stream")

    async def agglomerate_graph(self, request: Request) -> Response:
        self.who(request)
        graph = self.state.agglomerate_graphs.get(int(request.path_params["agglomerate"]))
        if graph is None:
            raise Refusal(400, "The annotation has no editable mapping")
        return Response(graph, media_type="application/x-protobuf")

    # datasets

    def described(self, dataset: Dataset) -> dict:
        return {
            "id": dataset.id, "name": dataset.name, "directoryName": dataset.directory_name,
            "dataSource": dataset.source(), "dataStore": self.store(), "owningOrganization": dataset.organization,
            "allowedTeams": [], "allowedTeamsCumulative": [], "isActive": True, "isPublic": dataset.is_public,
            "description": dataset.description,
            "created": 1_700_000_000_000, "isEditable": True, "lastUsedByUser": 0, "logoUrl": "", "sortingKey": 0,
            "metadata": dataset.metadata, "isUnreported": False, "tags": dataset.tags, "folderId": ROOT_FOLDER,
            "usedStorageBytes": 0, "isVirtual": False,
        }  # fmt: skip

    async def dataset(self, request: Request) -> Response:
        sharing_token = request.query_params.get("sharingToken")
        return JSONResponse(
            self.described(self.state.dataset(request.path_params["id"], token_of(request), sharing_token))
        )

    async def update_dataset(self, request: Request) -> Response:
        user, changes = self.who(request), await request.json()
        dataset = self.state.dataset(request.path_params["id"], user.token)
        names = {"name": "name", "description": "description", "tags": "tags", "isPublic": "is_public",
                 "metadata": "metadata"}  # fmt: skip
        if not changes.keys() <= names.keys():
            raise Refusal(400, f"Cannot update {changes.keys() - names.keys()}")
        for key, value in changes.items():
            setattr(dataset, names[key], value)
        return JSONResponse(self.described(dataset))

    async def search(self, request: Request) -> Response:
        user, text = self.who(request), request.query_params.get("searchQuery", "")
        wanted = request.query_params.get("organizationId", user.organization)
        folder = request.query_params.get("folderId", ROOT_FOLDER)
        found = [
            it
            for it in self.state.datasets.values()
            if text in it.name and it.organization == wanted == user.organization and folder == ROOT_FOLDER
        ]
        return JSONResponse([self.described(dataset) for dataset in found])

    async def disambiguate(self, request: Request) -> Response:
        names = request.path_params["org"], request.path_params["name"]
        for dataset in self.state.datasets.values():
            if (dataset.organization, dataset.directory_name) == names:
                return JSONResponse({"id": dataset.id, "name": dataset.name, "organization": names[0],
                                     "directoryName": names[1]})  # fmt: skip
        raise Refusal(404, "Dataset could not be found")

    async def sharing_token(self, request: Request) -> Response:
        return JSONResponse(
            {"sharingToken": self.state.dataset(request.path_params["id"], token_of(request)).sharing_token}
        )

    # streaming

    async def dataset_stream(self, request: Request) -> Response:
        sharing_token = request.query_params.get("token")
        dataset = self.state.dataset(request.path_params["id"], token_of(request), sharing_token)
        return streamed(request, dataset.source(), dataset.layers)

    async def cutout(self, request: Request) -> Response:
        query = request.query_params
        dataset = self.state.dataset(request.path_params["id"], token_of(request), query.get("token"))
        layer = next((it for it in dataset.layers if it.name == request.path_params["layer"]), None)
        mag = parsed_mag(query["mag"])
        if layer is None or mag not in layer.mags():
            raise Refusal(404, "Layer or mag not found")
        # the corner is told in mag-1 voxels, the size in voxels of the mag
        start = tuple(int(query[axis]) // step for axis, step in zip("xyz", mag, strict=True))
        return cutout_answer(layer, mag, start, tuple(int(query[key]) for key in ("width", "height", "depth")))

    async def annotation_stream(self, request: Request) -> Response:
        annotation = self.found(request)
        layers = [*annotation.dataset.layers, *annotation.layers()]
        source = {**annotation.dataset.source(), "dataLayers": [layer.described() for layer in layers]}
        return streamed(request, source, layers)


def streamed(request: Request, source: dict, layers: list[Layer]) -> Response:
    """Answer a request below a streaming root: metadata, array header or chunk."""
    path = request.path_params["path"]
    if path == "datasource-properties.json":
        return JSONResponse(source)
    name, _, rest = path.partition("/")
    mag_text, _, last = rest.partition("/")
    layer = next((it for it in layers if it.name == name), None)
    mag = next((it for it in layer.mags() if mag_name(it) == mag_text), None) if layer else None
    if layer is None or mag is None:
        raise Refusal(404, f"Layer or mag of {path} not found")
    if last == ".zarray":
        return JSONResponse(array_header(layer, mag))
    return chunk_answer(layer, mag, last)


def cutout_answer(layer: Layer, mag: tuple, start: tuple, size: tuple) -> Response:
    voxels, missing = layer.cutout(mag, start, size)
    headers = {"missing-buckets": str(list(range(missing)))}
    return Response(voxels.tobytes(order="F"), media_type="application/octet-stream", headers=headers)


def array_header(layer: Layer, mag: tuple) -> dict:
    ends = [t + s for t, s in zip(layer.topleft, layer.size, strict=True)]
    shape = [1, *(-(-end // step) for end, step in zip(ends, mag, strict=True))]
    return {"dtype": layer.dtype.str, "fill_value": 0, "zarr_format": 2, "order": "F", "chunks": [1, SIDE, SIDE, SIDE],
            "compressor": None, "filters": None, "shape": shape, "dimension_separator": "."}  # fmt: skip


def chunk_answer(layer: Layer, mag: tuple, key: str) -> Response:
    try:
        channel, *position = map(int, key.split("."))
        x, y, z = position
    except ValueError:
        raise Refusal(404, "The requested chunk coordinates are in an invalid format. Expected c.x.y.z") from None
    chunk = layer.chunk(mag, (x, y, z)) if channel == 0 else None
    if chunk is None:
        raise Refusal(404, "zarr.chunkNotFound")
    return Response(chunk.tobytes(order="F"), media_type="application/octet-stream")


def token_of(request: Request) -> str | None:
    return request.headers.get("x-auth-token")


def attachment(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment;filename="{name}"'}


async def refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return JSONResponse({"messages": [{"error": error.message}]}, status_code=error.status)


@contextmanager
def running(state: State, certificate: tuple[Path, Path] | None = None) -> Iterator[StandIn]:
    """Run a stand-in on a free port of loopback until the block ends; by TLS with a certificate and its key."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        scheme, (file, key) = ("https", certificate) if certificate else ("http", (None, None))
        stand_in = StandIn(state, f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")
        config = uvicorn.Config(
            stand_in.app(), log_level="warning", ws="none", http="h11", lifespan="off",
            ssl_certfile=file, ssl_keyfile=key,
        )  # fmt: skip
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.005)
        try:
            yield stand_in
        finally:
            server.should_exit = True
            thread.join(20)
