"""Annotations to files: attributes over the facts that were read, and voxels as the bytes they are stored in."""

from __future__ import annotations

import os
from numbers import Integral
from typing import TYPE_CHECKING, Any

from wkfast.annotation import meta
from wkfast.annotation.boxes import box_records, task_box_record
from wkfast.buckets import ObjectPath, any_path, core_file
from wkfast.errors import AnnotationError
from wkfast.geometry import Vec3Float
from wkfast.progress import observed
from wkfast.skeleton import save_document
from wkfast.skeleton.annotation_file import require_suffix
from wkfast.volume.volume_data import VolumeData
from wkfast.volume.volume_layer import as_member_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike
    from pathlib import Path

    from wkfast.annotation.annotation import Annotation
    from wkfast.progress import Observer, Progress
    from wkfast.records import Record
    from wkfast.skeleton.reading import MemberSource


def save(
    annotation: Annotation,
    path: str | PathLike[str],
    progress: Progress = None,
    storage_options: Mapping[str, Any] | None = None,
) -> None:
    """Write an annotation to a file; see ``Annotation.save``."""
    file = any_path(path, "a saved annotation", storage_options)
    require_suffix(file)
    with observed(progress, "saving", "bytes") as observer:
        _write(annotation, file, observer)


def _write(annotation: Annotation, path: Path | ObjectPath, observer: Observer | None) -> None:
    if path.suffix == ".zip":
        _follow(annotation, path, write_zip(annotation, path, observer))
        return
    if annotation.volume_layers:
        names = ", ".join(repr(layer.name) for layer in annotation.volume_layers)
        raise AnnotationError(f"cannot save volume layers ({names}) to {path}: use a .zip file")
    save_document(path, _header(annotation), annotation.skeleton, observer=observer)


def write_zip(
    annotation: Annotation, path: Path | ObjectPath, observer: Observer | None = None
) -> dict[str, VolumeData]:
    """Write the zip and return what it holds beside the NML."""
    members = _members(annotation)
    for data in members.values():
        data.check_unchanged()
    sources: dict[str, MemberSource] = {
        name: (core_file(data.path, data.state), data.member) for name, data in members.items()
    }
    nml_name = f"{as_member_name(annotation.name)}.nml"
    save_document(path, _header(annotation), annotation.skeleton, nml_name=nml_name, members=sources, observer=observer)
    return members


def _members(annotation: Annotation) -> dict[str, VolumeData]:
    """Return what a saved zip holds beside the NML, by member name."""
    members = dict(annotation._other_members)
    for layer in annotation.volume_layers:
        if layer.data is not None:
            if layer.member_name in members:
                raise AnnotationError(f"two members of the annotation are called {layer.member_name!r}")
            members[layer.member_name] = layer.data
    return members


def _follow(annotation: Annotation, path: Path | ObjectPath, members: dict[str, VolumeData]) -> None:
    """After saving over the file that voxels were read from, read them from the new one."""
    same = [name for name, data in members.items() if _place(data.path) == _place(path)]
    replaced = VolumeData.all_at(path, same)
    for layer in annotation.volume_layers:
        if layer.data is not None and layer.member_name in replaced:
            layer.data = replaced[layer.member_name]
    for name in replaced.keys() & annotation._other_members.keys():
        annotation._other_members[name] = replaced[name]


def _place(path: Path | ObjectPath) -> str | ObjectPath:
    """Return where a file is by whatever name it is known; links that lead in a circle are left as they are."""
    return path if isinstance(path, ObjectPath) else os.path.realpath(path)


def _header(annotation: Annotation) -> Record:
    """Return the header to write: today's facts over those that were read."""
    before = annotation._header
    parameters = before["parameters"]
    values: dict[str, str | None] = {**annotation.metadata}
    values[meta.OWNER] = annotation.owner_name
    values[meta.ANNOTATION_ID] = annotation.annotation_id
    return {
        **before,
        "meta": meta.meta_records(values, before["meta"]),
        "parameters": {
            **parameters,
            "time": annotation.time,
            "edit_position": _vector_record(annotation.edit_position, parameters["edit_position"]),
            "edit_rotation": _vector_record(annotation.edit_rotation, parameters["edit_rotation"]),
            "zoom_level": _zoom_record(annotation.zoom_level),
            "user_bounding_boxes": box_records(annotation.user_bounding_boxes, parameters["user_bounding_boxes"]),
            "task_bounding_box": task_box_record(annotation.task_bounding_box, parameters["task_bounding_box"]),
        },
        "volumes": [layer.to_record() for layer in annotation.volume_layers],
    }


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
    except (TypeError, ValueError, OverflowError):
        raise AnnotationError(f"zoom_level is a number, not {zoom!r}") from None
