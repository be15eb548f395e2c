"""The annotation: a skeleton, volume layers and what describes them."""

from __future__ import annotations

import time as clock
import warnings
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import
from wkfast.annotation import meta
from wkfast.annotation.boxes import box_from_record, box_records, task_box_record
from wkfast.annotation.merging import Merging
from wkfast.annotation.on_server import OnServer
from wkfast.annotation.volumes import Volumes
from wkfast.errors import AnnotationError
from wkfast.geometry import Vec3Float
from wkfast.skeleton import LoadProblem, Skeleton, empty_header, load_document, save_document
from wkfast.skeleton.annotation_file import AnnotationFile, require_suffix
from wkfast.volume.volume_data import VolumeData, broken_members
from wkfast.volume.volume_layer import VolumeLayer, as_member_name
from wkfast.volume.volume_layers import VolumeLayers

if TYPE_CHECKING:
    from wkfast.annotation import transfer
else:
    transfer = lazy_import("wkfast.annotation.transfer")  # most scripts never speak to a server

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from wkfast.geometry import NDBoundingBox, VoxelSize
    from wkfast.records import Record

Vector3 = tuple[float, float, float]


class Annotation(Volumes, Merging, OnServer):
    """A skeleton and volume layers over a dataset.

    Parameters
    ----------
    name
        Name of the annotation.
    skeleton
        An existing skeleton; it then names the dataset and the voxel size.
    dataset_name, voxel_size, organization_id, description
        For a new skeleton: the dataset, the size of a mag-1 voxel in nm, the owner of the dataset, free text.
    owner_name, annotation_id
        Who made it, and its id on the server.
    time
        Creation, ms since epoch; default: now.
    edit_position, edit_rotation, zoom_level
        Where the view stood: mag-1 voxels, angles, zoom.
    metadata
        Free facts by name.
    task_bounding_box, user_bounding_boxes
        Boxes in mag-1 voxels.

    Raises
    ------
    AnnotationError
        Neither or both of a skeleton and (dataset_name, voxel_size) are given.

    Examples
    --------
    >>> annotation = Annotation("my_annotation", dataset_name="sample_dataset", voxel_size=(11.2, 11.2, 25.0))
    >>> annotation.voxel_size
    Vec3Float(11.2,11.2,25.0)
    """

    def __init__(
        self,
        name: str,
        skeleton: Skeleton | None = None,
        dataset_name: str | None = None,
        voxel_size: Vec3Float | Vector3 | None = None,
        organization_id: str | None = None,
        description: str | None = None,
        owner_name: str | None = None,
        annotation_id: str | None = None,
        time: int | None = None,
        edit_position: Vec3Float | Vector3 | None = None,
        edit_rotation: Vec3Float | Vector3 | None = None,
        zoom_level: float | None = None,
        metadata: dict[str, str] | None = None,
        task_bounding_box: NDBoundingBox | None = None,
        user_bounding_boxes: list[NDBoundingBox] | None = None,
    ) -> None:
        self.name = name
        self.skeleton = _skeleton(skeleton, dataset_name, voxel_size, organization_id, description)
        self.owner_name = owner_name
        self.annotation_id = annotation_id
        self.time: int | None = clock.time_ns() // 1_000_000 if time is None else time
        self.edit_position = edit_position
        self.edit_rotation = edit_rotation
        self.zoom_level = zoom_level
        self.metadata = {} if metadata is None else metadata
        self.task_bounding_box = task_bounding_box
        self.user_bounding_boxes = [] if user_bounding_boxes is None else user_bounding_boxes
        self.problems: tuple[LoadProblem, ...] = ()
        self.volume_layers = VolumeLayers(name)
        self._header: Record = empty_header()
        self._other_members: dict[str, VolumeData] = {}
        # Keeps the folder of a downloaded annotation, from which voxels are read when needed.
        self._downloaded: transfer.DownloadedFile | None = None

    # -- loading and saving ---------------------------------------------------------------------------------------

    @classmethod
    def load(cls, annotation_path: str | PathLike[str], *, strict: bool = False) -> Annotation:
        """Return the annotation in an ``.nml`` or ``.zip`` file.

        Faults that a reader can live with are listed in :attr:`problems` and warned about once.

        Parameters
        ----------
        annotation_path
            Path of the file. Voxels are not read; they stay in the file until they are needed.
        strict
            Raise on everything that a server would reject on upload.

        Raises
        ------
        AnnotationFileNotFoundError
            A ``FileNotFoundError`` and ``AssertionError``: there is no such file.
        AnnotationSuffixError
            A ``RuntimeError`` and ``AssertionError``: the name ends in something else.
        AnnotationZipError
            A zip without, or with several, NML files.
        NmlError
            A ``RuntimeError``: malformed XML or NML, with line and column.

        Examples
        --------
        >>> Annotation.load("missing.nml")
        Traceback (most recent call last):
        ...
        wkfast.errors.AnnotationFileNotFoundError: cannot load the annotation missing.nml: there is no such file
        """
        file = AnnotationFile.open(annotation_path)
        document = load_document(file.path, member=file.nml_member, strict=strict)
        annotation = cls._from_header(file.annotation_name, document.header, document.skeleton)
        annotation.problems = document.problems
        annotation._attach_members(file)
        return annotation

    @classmethod
    def _from_header(cls, name: str, header: Record, skeleton: Skeleton) -> Annotation:
        """Return the annotation that an NML's header and skeleton make, without volume data."""
        parameters = header["parameters"]
        values = meta.meta_values(header["meta"])
        task_box = parameters["task_bounding_box"]
        annotation = cls(
            name,
            skeleton=skeleton,
            owner_name=values.pop(meta.OWNER, None),
            annotation_id=values.pop(meta.ANNOTATION_ID, None),
            edit_position=_vector(parameters["edit_position"]),
            edit_rotation=_vector(parameters["edit_rotation"]),
            zoom_level=parameters["zoom_level"],
            metadata=values,
            task_bounding_box=None if task_box is None else box_from_record(task_box),
            user_bounding_boxes=[box_from_record(record) for record in parameters["user_bounding_boxes"]],
        )
        annotation.time = parameters["time"]
        annotation._header = header
        return annotation

    def _attach_members(self, file: AnnotationFile) -> None:
        """Make volume layers of the header's records and keep the zip's other members for saving."""
        members = {name: VolumeData.at(file.path, name) for name in file.other_members}
        for record in self._header["volumes"]:
            layer = VolumeLayer.from_record(record, members.pop(record["location"] or "", None), self.voxel_size)
            if layer.data is None:
                _warn_without_data(file, record, layer)
            self.volume_layers.append(layer)
        self._other_members = members
        self._warn_of_broken_data(file)

    def _warn_of_broken_data(self, file: AnnotationFile) -> None:
        """Name the layers whose voxels cannot be read. The rest is of use, and they are saved as they are."""
        layers = [layer for layer in self.volume_layers if layer.data is not None]
        if layers:
            for problem in broken_members(file.path, [str(layer.data.member) for layer in layers if layer.data]):
                warnings.warn(f"the voxels of a volume layer cannot be read: {problem}", UserWarning, stacklevel=4)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the annotation to an ``.nml`` or ``.zip`` file, as a whole or not at all.

        Voxels are copied as the bytes they are stored in. Saving over the file an annotation was loaded from is fine.

        Raises
        ------
        AnnotationSuffixError
            The path ends in something else.
        AnnotationError
            Volume layers do not fit into an ``.nml``.
        """
        path = Path(path)
        require_suffix(path)
        if path.suffix == ".nml":
            if self.volume_layers:
                names = ", ".join(repr(layer.name) for layer in self.volume_layers)
                raise AnnotationError(f"cannot save volume layers ({names}) to {path}: use a .zip file")
            save_document(path, self._to_header(), self.skeleton)
            return
        members = self._write(path)
        self._follow(path, members)

    def _write(self, path: Path) -> dict[str, VolumeData]:
        """Write the zip and return what it holds beside the NML."""
        members = self._members()
        for data in members.values():
            data.check_unchanged()
        sources: dict[str, bytes | tuple[str, str | None]] = {
            name: (str(data.path), data.member) for name, data in members.items()
        }
        save_document(
            path, self._to_header(), self.skeleton, nml_name=f"{as_member_name(self.name)}.nml", members=sources
        )
        return members

    def _members(self) -> dict[str, VolumeData]:
        """Return what a saved zip holds beside the NML, by member name."""
        members = dict(self._other_members)
        for layer in self.volume_layers:
            if layer.data is not None:
                if layer.member_name in members:
                    raise AnnotationError(f"two members of the annotation are called {layer.member_name!r}")
                members[layer.member_name] = layer.data
        return members

    def _follow(self, path: Path, members: dict[str, VolumeData]) -> None:
        """After saving over the file that voxels were read from, read them from the new one."""
        replaced = {name for name, data in members.items() if data.path.resolve() == path.resolve()}
        for layer in self.volume_layers:
            if layer.data is not None and layer.member_name in replaced:
                layer.data = VolumeData.at(path, layer.member_name)
        for name in replaced & self._other_members.keys():
            self._other_members[name] = VolumeData.at(path, name)

    def _to_header(self) -> Record:
        """Return the header to write: today's facts over those that were read."""
        before = self._header
        parameters = before["parameters"]
        values: dict[str, str | None] = {**self.metadata}
        values[meta.OWNER] = self.owner_name
        values[meta.ANNOTATION_ID] = self.annotation_id
        return {
            **before,
            "meta": meta.meta_records(values, before["meta"]),
            "parameters": {
                **parameters,
                "time": self.time,
                "edit_position": _vector_record(self.edit_position, parameters["edit_position"]),
                "edit_rotation": _vector_record(self.edit_rotation, parameters["edit_rotation"]),
                "zoom_level": _zoom_record(self.zoom_level),
                "user_bounding_boxes": box_records(self.user_bounding_boxes, parameters["user_bounding_boxes"]),
                "task_bounding_box": task_box_record(self.task_bounding_box, parameters["task_bounding_box"]),
            },
            "volumes": [layer.to_record() for layer in self.volume_layers],
        }

    # -- what the skeleton knows ----------------------------------------------------------------------------------

    @property
    def dataset_name(self) -> str:
        """Name of the dataset this annotation belongs to."""
        return self.skeleton.dataset_name

    @dataset_name.setter
    def dataset_name(self, dataset_name: str) -> None:
        self.skeleton.dataset_name = dataset_name

    @property
    def dataset_id(self) -> str | None:
        """Id of the dataset on the server."""
        return self.skeleton.dataset_id

    @dataset_id.setter
    def dataset_id(self, dataset_id: str | None) -> None:
        self.skeleton.dataset_id = dataset_id

    @property
    def voxel_size(self) -> Vec3Float:
        """Size of a mag-1 voxel in nm."""
        return self.skeleton.voxel_size

    @voxel_size.setter
    def voxel_size(self, voxel_size: Vec3Float | Vector3) -> None:
        self.skeleton.voxel_size = voxel_size

    @property
    def voxel_size_with_unit(self) -> VoxelSize:
        """Size of a mag-1 voxel with the unit it was given in."""
        return self.skeleton.voxel_size_with_unit

    @voxel_size_with_unit.setter
    def voxel_size_with_unit(self, voxel_size: VoxelSize) -> None:
        self.skeleton.voxel_size_with_unit = voxel_size

    @property
    def organization_id(self) -> str | None:
        """Id of the organization that owns the dataset."""
        return self.skeleton.organization_id

    @organization_id.setter
    def organization_id(self, organization_id: str | None) -> None:
        self.skeleton.organization_id = organization_id

    @property
    def description(self) -> str | None:
        """Free text."""
        return self.skeleton.description

    @description.setter
    def description(self, description: str | None) -> None:
        self.skeleton.description = description

    @property
    def scale(self) -> Vec3Float:
        """Deprecated name of :attr:`voxel_size`."""
        warnings.warn("scale is deprecated, use voxel_size", DeprecationWarning, stacklevel=2)
        return self.voxel_size

    @scale.setter
    def scale(self, scale: Vec3Float | Vector3) -> None:
        warnings.warn("scale is deprecated, use voxel_size", DeprecationWarning, stacklevel=2)
        self.voxel_size = scale

    @property
    def username(self) -> str | None:
        """Deprecated name of ``owner_name``."""
        warnings.warn("username is deprecated, use owner_name", DeprecationWarning, stacklevel=2)
        return self.owner_name

    @username.setter
    def username(self, username: str | None) -> None:
        warnings.warn("username is deprecated, use owner_name", DeprecationWarning, stacklevel=2)
        self.owner_name = username

    def __repr__(self) -> str:
        return f"Annotation({self.name!r}, dataset_name={self.dataset_name!r}, volume_layers={len(self.volume_layers)})"


def _skeleton(
    skeleton: Skeleton | None,
    dataset_name: str | None,
    voxel_size: Vec3Float | Vector3 | None,
    organization_id: str | None,
    description: str | None,
) -> Skeleton:
    described = dataset_name is not None or voxel_size is not None
    if skeleton is not None:
        if described or organization_id is not None or description is not None:
            raise AnnotationError(
                "give either a skeleton or dataset_name, voxel_size, organization_id and description, not both"
            )
        return skeleton
    if dataset_name is None or voxel_size is None:
        raise AnnotationError("give a skeleton, or both dataset_name and voxel_size")
    return Skeleton(
        voxel_size=voxel_size,
        dataset_name=dataset_name,
        organization_id=organization_id,
        description=description,
    )


def _vector(record: Record | None) -> Vec3Float | None:
    if record is None:
        return None
    return Vec3Float(record["xyz"])


def _vector_record(value: Sequence[float] | None, before: Record | None) -> Record | None:
    if value is None:
        return None
    rest: dict[str, Any] = before or {"additional_coordinates": [], "extras": {"attributes": [], "elements": []}}
    return {**rest, "xyz": Vec3Float(value).to_list()}


def _zoom_record(zoom: Any) -> int | float | None:
    """Return a plain number: those of numpy do not cross to the core."""
    if zoom is None:
        return None
    try:
        return int(zoom) if isinstance(zoom, Integral) else float(zoom)
    except (TypeError, ValueError):
        raise AnnotationError(f"zoom_level is a number, not {zoom!r}") from None


def _warn_without_data(file: AnnotationFile, record: Record, layer: VolumeLayer) -> None:
    location = record["location"]
    where = f"{location!r} is not in {file.path}" if location else f"{file.path} names no file for it"
    warnings.warn(f"volume layer {layer.name!r} has no data: {where}", UserWarning, stacklevel=4)
