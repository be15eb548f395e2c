"""Other labels for the fallback of a merge: by what the caller gives, or by the mapping that the volume layer names."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wkfast.addresses import is_path
from wkfast.buckets import ObjectPath, core_file, remove_file
from wkfast.dataset.links import is_present
from wkfast.dataset.mapping import (
    TABLE_SUFFIX,
    check_labels,
    labels_in,
    largest_after,
    write_table,
)
from wkfast.drafts import make_folder
from wkfast.errors import DatasetError, MergeError
from wkfast.merge.sides import fallback_layer
from wkfast.temporary import owned_temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wkfast.dataset import SegmentationLayer
    from wkfast.merge.options import MergeOptions
    from wkfast.merge.sides import Below, Side


@dataclass(frozen=True)
class NewLabels:
    """What the fallback's labels become, written down for the core.

    Attributes
    ----------
    table
        A file of this merge alone, here or in a bucket.
    largest
        An id that none of the fallback's new ones is larger than, if one is known.
    source
        For reports: where the mapping is from.
    is_new
        Whether the table was not there before.
    """

    table: Path | ObjectPath
    digest: str
    missing: str
    largest: int | None
    source: str
    is_new: bool

    @property
    def core(self) -> dict[str, Any]:
        """As the core takes it."""
        return {"table": core_file(self.table), "missing": self.missing, "digest": self.digest}


def new_labels(
    sides: Sequence[Side], layer: SegmentationLayer, options: MergeOptions, folder: Path | ObjectPath, prefix: str
) -> NewLabels | None:
    """Write the table of the mapping that a merge is to apply to its fallback; ``None`` if there is none.

    The file is named by what it holds, so that a merge that goes on finds the one it began with.

    Parameters
    ----------
    folder, prefix
        Where the table goes, and what its name begins with.

    Raises
    ------
    DatasetValueError
        The mapping is none, or the layer holds no labels.
    DatasetError
        An agglomerate file is damaged, or h5py is missing.
    """
    mapping, source = options.mapping, "the one given"
    if mapping is None:
        mapping = named_mapping(sides, layer)
        if mapping is None:
            return None
    elif isinstance(mapping, dict) and not mapping and options.missing == "keep":
        return None
    check_labels(layer, options.missing)
    if is_path(mapping):
        source = str(mapping)
    elif hasattr(mapping, "merger_mode_mapping"):
        source = f"merger mode of {mapping.name!r}"
        mapping = mapping.merger_mode_mapping(layer)
    try:
        table = write_table(
            folder,
            mapping,
            layer.dtype,
            lambda: labels_in(layer.mags.values()),
            lambda digest: f".{prefix}.{digest}{TABLE_SUFFIX}",
        )
    except DatasetError as error:
        if options.mapping is None:
            raise DatasetError(f"{error} (the volume layer names it; mapping={{}} merges without)") from error
        raise
    largest = largest_after(table, layer.largest_segment_id, options.missing)
    return NewLabels(table.path, table.digest, str(options.missing), largest, source, table.is_new)


@contextmanager
def labels_for(
    sides: Sequence[Side],
    below: Below,
    options: MergeOptions,
    target: Path | ObjectPath | None = None,
) -> Iterator[NewLabels | None]:
    """Yield the labels that a merge is to give its fallback; see :func:`new_labels`.

    Parameters
    ----------
    target
        What the table is put beside, to stay if all goes well, so that every worker finds it. Default: it is there
        for a moment only.

    Raises
    ------
    MergeError
        There is a mapping, but no fallback; or the target is a bucket and nothing can lie beside it.
    """
    if sides[0].fallback_layer is None:
        if options.mapping is not None:
            raise MergeError(f"{sides[0]} names no fallback layer: there are no labels for the mapping to change")
        yield None
        return
    if options.mapping is None and all(side.mapping is None for side in sides):
        yield None
        return
    layer = fallback_layer(sides[0], below)
    with ExitStack() as stack:
        folder = stack.enter_context(owned_temporary_folder("labels")) if target is None else _beside(target)
        labels = new_labels(sides, layer, options, folder, "" if target is None else target.name)
        try:
            yield labels
        except BaseException:
            if labels is not None and labels.is_new:
                remove_file(labels.table)
            raise


def _beside(target: Path | ObjectPath) -> Path | ObjectPath:
    """Return the folder that a target lies in."""
    if isinstance(target, Path):
        make_folder(target.parent)
    elif target.parent == target:
        raise MergeError(f"{target} is a whole bucket, and the mapping's table lies beside the target: name a folder")
    return target.parent


def remove_labels(target: Path | ObjectPath, table: str) -> None:
    """Remove the table of a merge that is done, which lies beside its target."""
    remove_file(target.parent / table.rpartition("/")[2] if isinstance(target, ObjectPath) else Path(table))


def named_mapping(sides: Sequence[Side], layer: SegmentationLayer) -> Path | None:
    """Return the agglomerate file that all volume layers name, if it lies with the fallback layer."""
    names = {side.mapping for side in sides}
    name = names.pop() if len(names) == 1 else None
    if name is None or not isinstance(layer.dataset.path, Path):
        return None
    listed = [Path(str(each.path)) for each in layer.attachments.agglomerates if each.name == name]
    # where they lay before attachments were listed
    usual = (
        []
        if Path(name).name != name
        else [layer.dataset.path / layer.name / "agglomerates" / ending for ending in (f"{name}.hdf5", name)]
    )
    return next((path for path in [*listed, *usual] if is_present(path)), None)
