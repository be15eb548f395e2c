"""Annotations from files: the header becomes attributes, volume layers find their data, the rest is kept for saving."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wkfast._short import counted
from wkfast._warnings import warn
from wkfast.annotation import meta
from wkfast.annotation.boxes import box_from_record
from wkfast.geometry import Vec3Float
from wkfast.records import kept
from wkfast.skeleton import Skeleton, document_of
from wkfast.skeleton.annotation_file import AnnotationFile
from wkfast.volume.volume_data import VolumeData, broken_members
from wkfast.volume.volume_layer import VolumeLayer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from wkfast.annotation.annotation import Annotation
    from wkfast.records import Record

# Layers without data that a warning names.
_NAMED = 5


def load(
    make: type[Annotation],
    path: str | PathLike[str],
    *,
    strict: bool,
    storage_options: Mapping[str, Any] | None = None,
) -> Annotation:
    """Return the annotation in a file; see ``Annotation.load``."""
    file = AnnotationFile.open(path, storage_options)
    document = document_of(file, strict=strict)
    annotation = _from_header(make, file.annotation_name, document.header, document.skeleton)
    annotation.problems = document.problems
    _attach_members(annotation, file)
    return annotation


def _from_header(make: type[Annotation], name: str, header: Record, skeleton: Skeleton) -> Annotation:
    """Return the annotation that an NML's header and skeleton make, without volume data."""
    parameters = header["parameters"]
    values = meta.meta_values(header["meta"])
    task_box = parameters["task_bounding_box"]
    annotation = make(
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
    annotation._header = kept(header)
    return annotation


def _attach_members(annotation: Annotation, file: AnnotationFile) -> None:
    """Make volume layers of the header's records and keep the zip's other members for saving."""
    members = VolumeData.all_at(file.path, file.other_members, file.state)
    layers, without_data = [], []
    for record in annotation._header["volumes"]:
        layer = VolumeLayer.from_record(record, members.pop(record["location"] or "", None), annotation.voxel_size)
        if layer.data is None:
            without_data.append(_said_without_data(file, record, layer))
        layers.append(layer)
    annotation.volume_layers.extend(layers)
    annotation._other_members = members
    _warn_of_each(without_data, file, "have no data either")
    # The rest is of use, and layers whose voxels cannot be read are saved as they are.
    _warn_of_each(_said_of_broken_data(annotation, file), file, "have voxels that cannot be read")


def _said_without_data(file: AnnotationFile, record: Record, layer: VolumeLayer) -> str:
    location = record["location"]
    where = f"{location!r} is not in {file.path}" if location else f"{file.path} names no file for it"
    return f"volume layer {layer.name!r} has no data: {where}"


def _said_of_broken_data(annotation: Annotation, file: AnnotationFile) -> list[str]:
    data = [layer.data for layer in annotation.volume_layers if layer.data is not None]
    broken = broken_members(file.source, [str(each.member) for each in data]) if data else ()
    return [f"the voxels of a volume layer cannot be read: {problem}" for problem in broken]


def _warn_of_each(reasons: list[str], file: AnnotationFile, fault: str) -> None:
    """Warn of a few layers by name, and of all others by their number."""
    for reason in reasons[:_NAMED]:
        warn(reason)
    if len(reasons) > _NAMED:
        warn(f"{file.path}: {counted(len(reasons) - _NAMED, 'more volume layers')} {fault}")


def _vector(record: Record | None) -> Vec3Float | None:
    return None if record is None else Vec3Float(record["xyz"])
