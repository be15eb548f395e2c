"""A layer with other labels: a new one, of which chunks that stay the same are copied as they are encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wkfast.dataset.mag_building import build_mag, spec_like
from wkfast.dataset.mapping import MISSING, table_file
from wkfast.dataset.new_mag import Shapes, extent_in_mag
from wkfast.dataset.statistics import segment_table
from wkfast.errors import DatasetValueError, ExistsError

if TYPE_CHECKING:
    from wkfast.dataset.dataset import Dataset
    from wkfast.dataset.layer import Layer
    from wkfast.dataset.mag_view import MagView
    from wkfast.dataset.reshaping import Workers


def relabel(layer: Layer, mapping: Any, target: str, dataset: Dataset | None, missing: str, workers: Workers) -> Layer:
    """Write a layer with other labels; see :meth:`SegmentationLayer.relabel`."""
    if missing not in MISSING:
        raise DatasetValueError(f"missing is {missing!r}, expected one of {', '.join(map(repr, MISSING))}")
    if layer.dtype.kind not in "iu" or layer.num_channels != 1:
        raise DatasetValueError(f"{layer} holds no labels: expected one channel of whole numbers")
    where = layer.dataset if dataset is None else dataset
    if target in where.layers:
        raise ExistsError(f"there is a layer {target!r} already in {where}; give another name")
    mags = list(layer.mags.values())
    with table_file(where.path, mapping, layer.dtype, lambda: _labels_in(mags)) as table:
        new = where.add_layer_like(layer, target)
        try:
            for mag in mags:
                _write(new, mag, {"relabel": {"table": str(table.path), "missing": missing}}, workers)
            _state_largest(new, layer, table.largest, missing)
        except BaseException:
            where.delete_layer(target)
            raise
    return new


def _write(new: Layer, source: MagView, step: Any, workers: Workers) -> None:
    extent, axes = extent_in_mag(new.bounding_box, source.mag), new._properties.new_axes()
    spec = spec_like(source, new.data_format, Shapes(), extent=extent, axes=axes)
    build_mag(new, source.mag, spec, source, workers, step)


def _state_largest(new: Layer, old: Layer, largest: int, missing: str) -> None:
    """Write down an id that none of the new layer's is larger than."""
    before = getattr(old, "largest_segment_id", None)
    if missing == "keep" and before is None:
        new._change(lambda entry: entry.set_largest_segment_id(None))
        return
    bound = max(largest, before or 0) if missing == "keep" else largest
    new._change(lambda entry: entry.set_largest_segment_id(max(0, bound)))


def _labels_in(mags: list[MagView]) -> list[int]:
    """Return every label that there is in any mag, for functions to be asked once about each."""
    found = [segment_table(mag, None).columns()[0] for mag in mags]
    bits = np.unique(np.concatenate(found)) if found else np.empty(0, np.uint64)
    signed = bool(mags) and mags[0].get_dtype().kind == "i"
    labels: list[int] = (bits.view(np.int64) if signed else bits).tolist()
    return labels
