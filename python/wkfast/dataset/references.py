"""Layers and mags that refer to those of other datasets: nothing is copied, and nothing is written through them.

A reference is an entry in ``datasource-properties.json`` with the path of the other's files, or, in the older form, a
symbolic link in the dataset's folder that leads to them.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wkfast.addresses import local_path
from wkfast.dataset.attachments import referred_attachments
from wkfast.dataset.files_place import FilesPlace
from wkfast.dataset.folders import changes_told
from wkfast.dataset.foreign import own_layer, own_mag
from wkfast.dataset.layer_creation import check_layer_name, entry_like
from wkfast.dataset.layer_properties import ELSEWHERE, without
from wkfast.dataset.links import followed, is_file
from wkfast.dataset.mag_building import check_same_voxels, folder_place_of
from wkfast.dataset.place import writable
from wkfast.dataset.properties import FILE_NAME
from wkfast.dataset.stated import stated_in
from wkfast.errors import DatasetError, DatasetValueError, ExistsError
from wkfast.geometry import Mag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wkfast.buckets import ObjectPath
    from wkfast.dataset.dataset import Dataset
    from wkfast.dataset.layer import Layer
    from wkfast.dataset.layer_properties import Json
    from wkfast.dataset.mag_view import MagView


def add_layer_ref(dataset: Dataset, given: Any, name: str | None) -> Layer:
    """Add a layer whose mags are another's; see :meth:`Dataset.add_layer_as_ref`."""
    foreign = own_layer(given, type(dataset).open)
    name = _free_name(dataset, foreign, name)
    if foreign.dataset == dataset:
        raise DatasetValueError(
            f"layer {foreign.name!r} is one of {dataset} already: a reference leads to another dataset"
        )
    return dataset._add(referred_layer(dataset, foreign, name))


def referred_layer(dataset: Dataset, foreign: Layer, name: str) -> Json:
    """Return the entry of a layer whose mags and attachments are another's."""
    entry = entry_like(foreign, name)
    entry["mags"] = [_entry(view, mag, dataset) for mag, view in foreign.mags.items()]
    return entry | _referred_attachments(dataset, foreign)


def _referred_attachments(dataset: Dataset, foreign: Layer) -> Json:
    return referred_attachments(getattr(foreign, "attachments", ()), _home_of(dataset).absolute())


def add_mag_ref(layer: Layer, given: Any, mag: Any, *, extend: bool) -> MagView:
    """List another layer's mag as one of this; see :meth:`Layer.add_mag_as_ref`."""
    source, target = _fitting(layer, given, mag)
    layer._list_mag(_entry(source, target, layer.dataset))
    if extend:
        _extend(layer, source, target)
    return layer.get_mag(target)


def add_layer_link(dataset: Dataset, given: Any, name: str | None, *, relative: bool) -> Layer:
    """Add a layer whose folder is a link to another's; see :meth:`Dataset.add_symlink_layer`."""
    foreign = own_layer(given, type(dataset).open)
    name = _free_name(dataset, foreign, name)
    link = _folder_of(dataset) / name
    target = _here(foreign.path)
    entry = {**without(foreign._properties.json, *ELSEWHERE), "name": name}
    entry["mags"] = [_linked_entry(view, target, name, dataset) for view in foreign.mags.values()]
    entry |= _referred_attachments(dataset, foreign)
    with _link(link, target, relative=relative):
        dataset._change(lambda properties: properties.add_layer(entry))
    return dataset.get_layer(name)


def add_mag_link(layer: Layer, given: Any, *, relative: bool, extend: bool) -> MagView:
    """List a mag whose folder is a link to another's; see :meth:`Layer.add_symlink_mag`."""
    source, target = _fitting(layer, given, None)
    link = folder_place_of(layer, "a link").new_folder(layer.dataset._properties, layer._properties, target)
    entry = _entry(source, target, layer.dataset)
    entry["path"] = f"./{layer.name}/{link.name}"
    with _link(link, _here(source.path), relative=relative):
        layer._list_mag(entry)
    if extend:
        _extend(layer, source, target)
    return layer.get_mag(target)


def referenced_mag(view: MagView) -> MagView:
    """Return a mag as the dataset has it in which its files lie; see :meth:`MagView.referenced_mag`."""
    folder = followed(view.path)
    home = next((parent for parent in folder.parents if is_file(parent / FILE_NAME)), None)
    dataset = None if home is None else type(view.layer.dataset).open(home)
    for layer in () if dataset is None else dataset.layers.values():
        for found in layer.mags.values():
            if not found._refers and followed(found.path) == folder:
                return found
    raise DatasetError(f"{view._title}: no dataset lists the files at {folder} as its own")


# -- what these share ---------------------------------------------------------------------------------------------


def _here(path: Path | ObjectPath) -> Path:
    return local_path(path, "what a link leads to")


def _home_of(dataset: Dataset) -> Path | ObjectPath:
    place = writable(dataset._place, dataset)
    if not isinstance(place, FilesPlace):
        raise DatasetError(f"{dataset} {place.no_folder}: references are made in folders and buckets")
    return place.where


def _folder_of(dataset: Dataset) -> Path:
    home = _home_of(dataset)
    if not isinstance(home, Path):
        raise DatasetError(f"{dataset} lies in a bucket, where there are no links; use add_layer_as_ref")
    return home


def _free_name(dataset: Dataset, foreign: Layer, name: str | None) -> str:
    chosen = foreign.name if name is None else name
    check_layer_name(chosen)
    dataset._properties.check_free(chosen)
    return chosen


def _fitting(layer: Layer, given: Any, mag: Any) -> tuple[MagView, Mag]:
    """Return the mag to refer to and what it will be called, if it can be one of `layer`."""
    source = own_mag(given, type(layer.dataset).open)
    target = source.mag if mag is None else Mag(mag)
    if target in layer._listed_mags():
        raise ExistsError(f"layer {layer.name!r} has the mag {target} already")
    if source.layer.data_format is not layer.data_format:
        raise DatasetValueError(
            f"{source} is stored as {source.layer.data_format}, layer {layer.name!r} as {layer.data_format}: "
            "a reference needs the same"
        )
    check_same_voxels(layer, source)
    return source, target


def _entry(source: MagView, mag: Mag, dataset: Dataset) -> Json:
    """Return the entry of a mag that refers to another's files."""
    stated = source.layer._entry_of(source.mag)
    path = stated_in(followed(source.path), followed(_home_of(dataset)))
    kept = {key: stated[key] for key in ("cubeLength", "axisOrder") if stated.get(key) is not None}
    return {"mag": list(mag.to_tuple()), "path": path, **kept}


def _linked_entry(view: MagView, target: Path, name: str, dataset: Dataset) -> Json:
    """Return the entry of a mag in a folder that is linked: through the link, if it lies in it."""
    entry = _entry(view, view.mag, dataset)
    folder = followed(view.path)
    if isinstance(folder, Path) and folder.is_relative_to(followed(target)):
        entry["path"] = f"./{name}/{folder.relative_to(followed(target)).as_posix()}"
    return entry


@contextmanager
def _link(link: Path, target: Path, *, relative: bool) -> Iterator[None]:
    """Make a link, which goes again if the block does not end well."""
    if os.path.lexists(link):
        raise ExistsError(f"there is something at {link} already")
    leads = followed(target)
    with changes_told():
        link.symlink_to(os.path.relpath(leads, followed(link.parent)) if relative else leads)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # somebody has put something else there
            link.unlink()
        raise


def _extend(layer: Layer, source: MagView, target: Mag) -> None:
    """Grow a layer's box to the mag's: its voxels stay where they are, counted in voxels."""
    same = target == source.mag
    box = source.layer.bounding_box if same else source.bounding_box.in_mag(source.mag).from_mag_to_mag1(target)
    layer._extend_bounding_box(box)
