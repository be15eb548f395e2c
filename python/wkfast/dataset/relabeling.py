"""A layer with other labels: a new one, of which chunks that stay the same are copied as they are encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wkfast.buckets import core_file
from wkfast.dataset.layer_creation import take_back
from wkfast.dataset.mag_building import build_mag, spec_like
from wkfast.dataset.mapping import check_labels, labels_in, largest_after, table_file
from wkfast.dataset.new_mag import Shapes, extent_in_mag
from wkfast.errors import ExistsError

if TYPE_CHECKING:
    from wkfast.dataset.dataset import Dataset
    from wkfast.dataset.layer import Layer
    from wkfast.dataset.mag_view import MagView
    from wkfast.dataset.mapping import TableFile
    from wkfast.dataset.reshaping import Workers


def relabel(layer: Layer, mapping: Any, target: str, dataset: Dataset | None, missing: str, workers: Workers) -> Layer:
    """Write a layer with other labels; see :meth:`SegmentationLayer.relabel`."""
    check_labels(layer, missing)
    where = layer.dataset if dataset is None else dataset
    if target in where.layers:
        raise ExistsError(f"there is a layer {target!r} already in {where}; give another name")
    mags = list(layer.mags.values())
    with table_file(where.path, mapping, layer.dtype, lambda: labels_in(mags)) as table:
        new = where.add_layer_like(layer, target)
        try:
            for mag in mags:
                _write(new, mag, {"relabel": {"table": core_file(table.path), "missing": missing}}, workers)
            _state_largest(new, layer, table, missing)
        except BaseException:
            take_back(where, target)
            raise
    return new


def _write(new: Layer, source: MagView, step: Any, workers: Workers) -> None:
    extent, axes = extent_in_mag(new.bounding_box, source.mag), new._properties.new_axes()
    spec = spec_like(source, new.data_format, Shapes(), extent=extent, axes=axes)
    build_mag(new, source.mag, spec, source, workers, step)


def _state_largest(new: Layer, old: Layer, table: TableFile, missing: str) -> None:
    """Write down an id that none of the new layer's is larger than."""
    bound = largest_after(table, getattr(old, "largest_segment_id", None), missing)
    new._change(lambda entry: entry.set_largest_segment_id(bound))
