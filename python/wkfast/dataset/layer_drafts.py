"""Layers that are made beside their place and are not listed before they are complete."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wkfast.dataset.folder_drafts import fresh_folder
from wkfast.dataset.folder_place import FolderPlace
from wkfast.dataset.links import is_taken
from wkfast.dataset.object_place import ObjectDraft, ObjectPlace
from wkfast.errors import ExistsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from wkfast.dataset.files_place import FilesPlace
    from wkfast.dataset.layer_properties import Json, LayerProperties
    from wkfast.dataset.properties import DatasetProperties


class DraftPlace(FolderPlace):
    """A dataset's folder for one layer that lies beside its place; nobody else hears of what is changed.

    Parameters
    ----------
    root
        The dataset's folder.
    name
        Name of the layer.
    made
        Where its files lie meanwhile, in the dataset's folder.
    """

    def __init__(self, root: Path, name: str, made: Path) -> None:
        super().__init__(root)
        self._name = name
        self._made = made

    def folder(self, layer: LayerProperties) -> Path:
        """Return the folder of a layer."""
        return self._made if layer.name == self._name else super().folder(layer)

    def update(self, properties: DatasetProperties, change: Callable[[DatasetProperties], None]) -> None:
        """Apply `change`, which is written down nowhere."""
        change(properties)

    def settle(self, layer: LayerProperties, voxel_size: Sequence[float], unit: str) -> None:  # noqa: ARG002 - later
        """Forget that mags were being made. Groups are written once the layer is in its place."""
        self.unmark_mags(layer)


@contextmanager
def layer_draft(
    place: FilesPlace, properties: DatasetProperties, entry: Json
) -> Iterator[tuple[FilesPlace, DatasetProperties]]:
    """Yield place and properties of a dataset with a new layer, which gets its place and is listed at the end.

    A killed call leaves what the next call of the kind takes away.

    Raises
    ------
    ExistsError
        There is something of its name.
    """
    properties.check_free(entry["name"])
    described = type(properties)(copy.deepcopy(properties.json), properties.file)
    described.add_layer(entry)
    draft = _in_bucket if isinstance(place, ObjectPlace) else _in_folder
    with draft(place, properties, described, entry["name"]) as drafted:  # type: ignore[arg-type] # each its own
        yield drafted, described


@contextmanager
def _in_folder(
    place: FolderPlace, properties: DatasetProperties, described: DatasetProperties, name: str
) -> Iterator[FilesPlace]:
    (folder,) = place.vacant(properties, name)
    if is_taken(folder):
        place.check_not_made(folder)
        raise ExistsError(f"{folder} is in the way, though no layer of the dataset; move it, or choose another name")
    with fresh_folder(*place.reached(folder)) as (made, put_in_place):
        yield DraftPlace(place.root, name, made)
        place.mark(made)
        put_in_place()
        layer = described.layer(name)
        layer.move_mags(made.name, name)
        try:
            place.update(properties, lambda fresh: fresh.add_layer(layer.json))
        except BaseException:
            place.forsake_draft(layer)
            raise
        place.unmark(folder)


@contextmanager
def _in_bucket(
    place: ObjectPlace, properties: DatasetProperties, described: DatasetProperties, name: str
) -> Iterator[FilesPlace]:
    claim = place.claim(name)

    def add(fresh: DatasetProperties) -> None:
        claim.check()
        fresh.add_layer(described.layer(name).json)

    try:
        yield ObjectDraft(place.where)
        place.update(properties, add)
    except BaseException:
        place.give_up(claim)
        raise
    claim.finish()
