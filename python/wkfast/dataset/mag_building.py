"""Mags made out of other mags: the part of :class:`Layer` that builds and copies them."""

from __future__ import annotations

import json
import shutil
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from wkfast import _core
from wkfast.dataset.data_format import DataFormat
from wkfast.dataset.new_mag import extent_in_mag, new_mag
from wkfast.dataset.reshape_run import replaced_folder, run_reshape
from wkfast.errors import DatasetError, DatasetValueError, ExistsError
from wkfast.geometry import Mag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wkfast.dataset.dataset import Dataset
    from wkfast.dataset.layer import Layer
    from wkfast.dataset.mag_view import MagView
    from wkfast.dataset.properties import Json
    from wkfast.geometry import Vec3IntLike

_METADATA = {DataFormat.WKW: "header.wkw", DataFormat.Zarr: ".zarray", DataFormat.Zarr3: "zarr.json"}


class MagBuilding:
    """Methods of a layer that make a mag out of another."""

    if TYPE_CHECKING:

        @property
        def dataset(self) -> Dataset: ...  # noqa: D102
        @property
        def name(self) -> str: ...  # noqa: D102
        @property
        def path(self) -> Path: ...  # noqa: D102
        @property
        def data_format(self) -> DataFormat: ...  # noqa: D102
        def _list_mag(self, mag: Mag, folder: Path, more: Json) -> None: ...
        def new_location(self, mag: Mag, folder: Path) -> Json: ...  # noqa: D102
        def _listed_mags(self) -> list[Mag]: ...
        def get_mag(self, mag: Any) -> MagView: ...  # noqa: D102

    def build_mag(
        self, mag: Mag, spec: _core.NewMag, source: MagView | None, step: Any = "copy", executor: Any = None
    ) -> MagView:
        """Create a mag out of another, or put it in the place of what there is, complete or not at all.

        Parameters
        ----------
        spec
            What it is to be, see :func:`wkfast.dataset.new_mag.new_mag`.
        source
            The mag to take voxels from, which may be the one that is replaced; ``None`` for an empty mag.
        step
            What to do to the voxels, see ``_core.Reshape``.

        Raises
        ------
        DatasetValueError
            The format does not have such a mag, or the voxels do not fit. Nothing has changed.
        VolumeDataError
            A chunk is damaged, or the file system refuses. Nothing has changed.
        """
        self.dataset.check_writable()
        listed = mag in self._listed_mags()
        folder = self.get_mag(mag).path if listed else self.path / mag.to_layer_name()
        if listed and not self.dataset.owns(folder):
            raise DatasetError(f"mag {mag} lies at {folder}, outside of {self.dataset}: wkfast does not change it")
        self.check_alone(mag, folder)
        with replaced_folder(folder) as draft:
            place = self.new_location(mag, draft)
            try:
                if source is None or not _keep_metadata(source, spec, draft, place["axis_order"]):
                    _core.Mag.create(place, spec)
            except ValueError as error:
                raise DatasetValueError(f"cannot make mag {mag} at {folder}: {error}") from None
            if source is not None:
                run_reshape({"source": location_of(source), "target": place, "step": step}, executor)
        edge = spec["chunk_shape"][0] * spec["chunks_per_shard"][0]
        self._list_mag(mag, folder, {"cubeLength": edge} if self.data_format is DataFormat.WKW else {})
        return self.get_mag(mag)

    def check_alone(self, mag: Mag, folder: Path) -> None:
        """Refuse to put another folder in the place of one that is not a mag's alone.

        Raises
        ------
        DatasetError
            It is the dataset's or a layer's, or other mags lie in it.
        """
        if not self.dataset.may_remove(folder, self.name, mag):
            raise DatasetError(
                f"mag {mag} of layer {self.name!r} cannot be made at {folder}: other mags or layers lie there and "
                "would be replaced with it; make it in a layer of its own, as by Dataset.add_layer_as_copy"
            )

    def add_mag_as_copy(
        self,
        foreign_mag_view_or_path: MagView | str | PathLike[str],
        *,
        mag: Any = None,
        extend_layer_bounding_box: bool = True,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        chunks_per_shard: Vec3IntLike | int | None = None,
        compress: bool | None = None,
        exists_ok: bool = False,
        executor: Any = None,
        progress_desc: str | None = None,  # noqa: ARG002 - the reference's name for a bar that wkfast does not draw
    ) -> MagView:
        """Copy a mag of another layer, also from another dataset or format, and return the copy.

        Chunks that look the same in both are copied as they are; memory does not depend on the mag's size.

        Parameters
        ----------
        foreign_mag_view_or_path
            The mag, or its folder in a dataset.
        mag
            What the copy is called; its voxels stay where they are, counted in voxels.
        extend_layer_bounding_box
            Grow the layer's box to hold the copy's.
        chunk_shape, shard_shape, chunks_per_shard, compress
            Default: as the other mag has them.
        exists_ok
            Replace a mag that is there already.

        Raises
        ------
        ExistsError
            There is that mag already.
        DatasetValueError
            Dtype or channels differ, or the layer's format does not have such shapes.
        """
        layer = cast("Layer", self)
        layer.dataset.check_writable()
        source = self._foreign(foreign_mag_view_or_path)
        target = Mag(mag) if mag is not None else source.mag
        if target in self._listed_mags() and not exists_ok:
            raise ExistsError(f"layer {layer.name!r} has the mag {target} already; pass exists_ok=True to replace it")
        info = source.info
        if (info.voxel_type, info.num_channels) != (layer.dtype, layer.num_channels):
            raise DatasetValueError(
                f"{source} has {info.num_channels} channels of {info.voxel_type}, layer {layer.name!r} has "
                f"{layer.num_channels} of {layer.dtype}"
            )
        box = source.bounding_box.in_mag(source.mag).from_mag_to_mag1(target)
        spec = spec_like(
            source, layer.data_format, chunk_shape=chunk_shape, shard_shape=shard_shape,
            chunks_per_shard=chunks_per_shard, compress=compress, extent=extent_in_mag(box, target),
            axes=layer.new_axes(),
        )  # fmt: skip
        copy = self.build_mag(target, spec, source, executor=executor)
        if extend_layer_bounding_box:
            layer.extend_bounding_box(source.layer.bounding_box if target == source.mag else box)
        return copy

    def _foreign(self, given: MagView | str | PathLike[str]) -> MagView:
        if not isinstance(given, str | PathLike):
            return given
        folder = Path(given)
        dataset = type(self.dataset).open(folder.parent.parent, read_only=True)
        return dataset.get_layer(folder.parent.name).get_mag(folder.name)


def spec_like(
    source: MagView,
    data_format: DataFormat,
    *,
    chunk_shape: Vec3IntLike | int | None = None,
    shard_shape: Vec3IntLike | int | None = None,
    chunks_per_shard: Vec3IntLike | int | None = None,
    compress: bool | None = None,
    extent: tuple[int, int, int],
    axes: Mapping[str, int],
) -> _core.NewMag:
    """Return what a mag with the voxels of another is to be: like it, but for what is given."""
    info = source.info
    given = (chunk_shape, shard_shape, chunks_per_shard)
    if given == (None, None, None) and data_format is not DataFormat.Zarr and info.data_format is not DataFormat.Zarr:
        chunks_per_shard = info.chunks_per_shard
    elif shard_shape is None and chunks_per_shard is None and data_format is info.data_format is not DataFormat.Zarr:
        shard_shape = info.shard_shape
    return new_mag(
        data_format, info.voxel_type, info.num_channels,
        chunk_shape=info.chunk_shape if chunk_shape is None else chunk_shape,
        shard_shape=shard_shape, chunks_per_shard=chunks_per_shard,
        compress=info.compression_mode if compress is None else compress, extent=extent, axes=axes,
        any_shape=given == (None, None, None),
    )  # fmt: skip


def location_of(view: MagView) -> Json:
    """Return where a mag lies, as plain data for the core.

    Raises
    ------
    DatasetValueError
        It lies on a server or in memory.
    """
    wanted = list(view.mag.to_tuple())
    for location in view.layer.mag_locations():
        if location["mag"] == wanted:
            return location
    raise DatasetValueError(f"{view} has no files here; download the layer first")


def _keep_metadata(source: MagView, spec: _core.NewMag, folder: Path, axis_order: Json) -> bool:
    """Describe a mag by the very metadata of the other where both are stored alike, so that its chunks can pass."""
    info = source.info
    found = (info.data_format.value, info.chunk_shape.to_list(), info.chunks_per_shard.to_list(), info.compression_mode)
    wanted = (spec["format"], spec["chunk_shape"], spec["chunks_per_shard"], spec.get("compress", True))
    place = location_of(source)
    file = Path(place["container"]["path"]) / place["prefix"] / _METADATA[info.data_format]
    if place["container"]["kind"] != "directory" or not file.is_file() or found != wanted:
        return False
    if info.data_format is not DataFormat.WKW and _axis_order(place, file) != axis_order:
        return False
    shutil.copyfile(file, folder / file.name)
    return True


def _axis_order(place: Json, file: Path) -> Json:
    """Return which axis of an array is which: as its layer says, else as its dimensions are called, else c, x, y, z."""
    names = json.loads(file.read_bytes()).get("dimension_names") or list("cxyz")
    return place.get("axis_order") or {name: at for at, name in enumerate(names)}
