"""An annotation that stays on its server: its name and description are those of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from wkfast.addresses import local_path
from wkfast.annotation.agglomerate_graph import AgglomerateGraphData
from wkfast.annotation.annotation import Annotation
from wkfast.annotation.transfer import download
from wkfast.client import Client, Secret
from wkfast.drafts import make_folder
from wkfast.errors import AnnotationError, NotSavedError
from wkfast.geometry import Mag, Vec3Int

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike
    from pathlib import Path

    from wkfast.annotation.transfer import DownloadedFile
    from wkfast.client.records import AnnotationRecord
    from wkfast.progress import Progress


class RemoteAnnotation(Annotation):
    """An annotation on a server, obtained from :meth:`Annotation.open_remote`.

    The skeleton is the one that was there on opening; changes of it stay here.
    """

    _client: Client
    _id: str

    def __init__(self, *_: Any, **__: Any) -> None:
        raise AnnotationError("an annotation on a server is opened by Annotation.open_remote, not made or loaded")

    @classmethod
    def _of(cls, annotation: Annotation, file: DownloadedFile) -> RemoteAnnotation:
        remote = cls.__new__(cls)
        facts = {key: value for key, value in vars(annotation).items() if key != "name"}
        remote.__dict__.update(facts)
        remote._client = Client(file.context)
        remote._id = file.annotation_id
        return remote

    @property
    def url(self) -> str:
        """The page of the annotation."""
        return f"{self._client.context.url}/annotations/{self._id}"

    @property
    def name(self) -> str:
        """Name on the server, asked for each time; setting it renames the annotation there."""
        return self._info().name

    @name.setter
    def name(self, name: str) -> None:
        self._client.annotations.edit(self._id, name=name)

    @property
    def description(self) -> str:
        """Description on the server, asked for each time; setting it changes it there, ``None`` clears it."""
        return self._info().description

    @description.setter
    def description(self, description: str | None) -> None:
        self._client.annotations.edit(self._id, description=description or "")

    def save(
        self,
        path: str | PathLike[str],
        *,
        progress: Progress = None,  # noqa: ARG002
        storage_options: Mapping[str, Any] | None = None,  # noqa: ARG002
    ) -> NoReturn:
        """Refuse: this is a handle, not the annotation's data.

        Parameters
        ----------
        path, progress, storage_options
            As those of ``Annotation.save``.

        Raises
        ------
        NotSavedError
            A ``NotImplementedError``: always; the message says how to get a file.
        """
        raise NotSavedError(
            f"{self.url} was opened remotely and is not saved to {path}; use Annotation.download({self._id!r}).save(…)"
        )

    def download_mesh(
        self,
        segment_id: int,
        output_dir: str | PathLike[str],
        tracing_id: str | None = None,
        mesh_file_name: str | None = None,
        lod: int = 0,
        mapping_name: str | None = None,
        mapping_type: str | None = None,
        mag: Any = None,
        seed_position: Vec3Int | Sequence[int] | None = None,
        token: str | None = None,
    ) -> Path:
        """Write the mesh of a segment as binary STL into a folder and return its path.

        Parameters
        ----------
        output_dir
            Created if need be. The file is ``{tracing_id}_{segment_id}.stl``.
        tracing_id
            Of the volume layer; default: the only one's.
        mesh_file_name
            A mesh file that was computed before. Without it the mesh is computed now, from:
        mag, seed_position
            Of the voxels to use, and a voxel of the segment in mag 1.
        lod, mapping_name, mapping_type
            Level of detail; the mapping that is active, ``"JSON"`` or ``"AGGLOMERATE"``.
        token
            In place of the context's.

        Raises
        ------
        AnnotationError
            An ``AssertionError``: neither a mesh file nor a mag and a position, or no single volume layer.
        """
        request: dict[str, Any] = {"lod": lod, "segmentId": segment_id, "mappingName": mapping_name}
        if mesh_file_name is not None:
            request["meshFileName"] = mesh_file_name
        elif mag is not None and seed_position is not None:
            seed = Vec3Int(seed_position).to_tuple()
            request |= {"mappingType": mapping_type, "mag": list(Mag(mag).to_tuple()), "seedPosition": list(seed)}
        else:
            raise AnnotationError("a mesh needs mesh_file_name=, or mag= and seed_position= to compute it from")
        client = self._client
        if token is not None:
            context = client.context
            client = Client(type(context)(context.url, Secret(token), context.timeout, context.api_version))
        folder = local_path(output_dir, "what is downloaded")
        make_folder(folder)
        tracing_id = tracing_id or self._tracing_id()
        target = folder / f"{tracing_id.replace('/', '_')}_{segment_id}.stl"
        return client.tracingstore().download_mesh(tracing_id, request, target)

    def get_agglomerate_graph_data(self, agglomerate_id: int) -> AgglomerateGraphData:
        """Return the segments of an agglomerate and how they hang together, as proofreading left them.

        Raises
        ------
        AnnotationError
            An ``AssertionError``: the annotation has no single volume layer.
        ResponseError
            A ``RuntimeError``: it has no editable mapping, or no such agglomerate.
        """
        tracing_id = self._tracing_id()
        return AgglomerateGraphData.parse(self._client.tracingstore().agglomerate_graph(tracing_id, agglomerate_id))

    def _tracing_id(self) -> str:
        volumes = [layer for layer in self._info().layers if layer.typ == "Volume"]
        if len(volumes) != 1:
            names = ", ".join(repr(layer.name) for layer in volumes) or "none"
            raise AnnotationError(f"{self.url} needs exactly one volume layer for this; it has: {names}")
        return volumes[0].tracing_id

    def _info(self) -> AnnotationRecord:
        return self._client.annotations.info(self._id)

    def __repr__(self) -> str:
        return f"RemoteAnnotation({self.url!r})"


def open_remote(make: type[Annotation], annotation_id_or_url: str, webknossos_url: str | None) -> RemoteAnnotation:
    """Return a handle on an annotation that stays on its server; see ``Annotation.open_remote``."""
    return RemoteAnnotation._of(*download(make, annotation_id_or_url, webknossos_url, skip_volume_data=True))
