"""Copying layers and datasets, and what is done to all layers at once: the part of :class:`Dataset` that does."""

from __future__ import annotations

import warnings
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from wkfast.dataset.data_format import DataFormat
from wkfast.dataset.sampling import SamplingModes
from wkfast.errors import ExistsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wkfast.dataset.dataset import Dataset
    from wkfast.dataset.layer import Layer
    from wkfast.geometry import Mag, Vec3FloatLike, Vec3IntLike, VoxelSize


class Copying:
    """Methods of a dataset that copy layers, and those that go over all of them."""

    def downsample(
        self,
        *,
        sampling_mode: SamplingModes = SamplingModes.ANISOTROPIC,
        coarsest_mag: Mag | None = None,
        interpolation_mode: str = "default",
        compress: bool = True,
        executor: Any = None,
    ) -> None:
        """Make coarser mags of all layers that have none yet; see :meth:`Layer.downsample`."""
        cast("Dataset", self).check_writable()
        for layer in cast("Dataset", self).layers.values():
            if len(layer.mags) == 1:
                layer.downsample(
                    coarsest_mag=coarsest_mag, sampling_mode=sampling_mode, interpolation_mode=interpolation_mode,
                    compress=compress, executor=executor,
                )  # fmt: skip

    def compress(self, *, executor: Any = None) -> None:
        """Compress all mags that are not compressed, in place; see :meth:`MagView.compress`."""
        cast("Dataset", self).check_writable()
        for layer in cast("Dataset", self).layers.values():
            for mag in layer.mags.values():
                mag.compress(executor=executor)

    def add_layer_as_copy(
        self,
        foreign_layer: Layer | str | PathLike[str],
        new_layer_name: str | None = None,
        *,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        chunks_per_shard: Vec3IntLike | int | None = None,
        data_format: str | DataFormat | None = None,
        compress: bool | None = None,
        exists_ok: bool = False,
        executor: Any = None,
        with_attachments: bool = True,
    ) -> Layer:
        """Copy a layer of another dataset with all its mags and return the copy; see :meth:`Layer.add_mag_as_copy`.

        Parameters
        ----------
        foreign_layer
            The layer, or its folder in a dataset.
        new_layer_name
            Default: as it is called there.
        data_format, chunk_shape, shard_shape, chunks_per_shard, compress
            Default: as there.
        exists_ok
            Complete a layer that is there already; its mags of the same name are replaced.
        with_attachments
            Warn if there are meshes or the like: wkfast does not copy them.

        Raises
        ------
        ExistsError
            There is a layer of that name.
        """
        dataset = cast("Dataset", self)
        dataset.check_writable()
        foreign = self._foreign_layer(foreign_layer)
        name = new_layer_name or foreign.name
        if name in dataset.layers and not exists_ok:
            raise ExistsError(f"{dataset.path} has a layer {name!r} already; pass exists_ok=True to complete it")
        if with_attachments and foreign.properties.json.get("attachments"):
            warnings.warn(f"the attachments of layer {foreign.name!r} are not copied", stacklevel=2)
        layer = dataset.layers.get(name) or dataset.add_layer_like(foreign, name)
        wanted = foreign.data_format if data_format is None else DataFormat.parse(str(_text(data_format)), layer=name)
        if layer.data_format is not wanted and not layer.mags:
            dataset.change_layer(name, lambda entry: entry.json.update(dataFormat=wanted.value))
            layer = dataset.get_layer(name)
        for mag in foreign.mags.values():
            layer.add_mag_as_copy(
                mag, extend_layer_bounding_box=False, chunk_shape=chunk_shape, shard_shape=shard_shape,
                chunks_per_shard=chunks_per_shard, compress=compress, exists_ok=exists_ok, executor=executor,
            )  # fmt: skip
        layer.extend_bounding_box(foreign.bounding_box)
        return layer

    def copy_dataset(
        self,
        new_dataset_path: str | PathLike[str],
        *,
        voxel_size: Vec3FloatLike | None = None,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        chunks_per_shard: Vec3IntLike | int | None = None,
        data_format: str | DataFormat | None = None,
        compress: bool | None = None,
        exists_ok: bool = False,
        executor: Any = None,
        voxel_size_with_unit: VoxelSize | None = None,
        layers_to_ignore: Iterable[str] | None = None,
    ) -> Dataset:
        """Copy the dataset and return the copy; see :meth:`add_layer_as_copy`.

        Examples
        --------
        >>> import numpy as np
        >>> from wkfast import Dataset
        >>> dataset = Dataset(tmp_path / "small", voxel_size=(4, 4, 40))
        >>> _ = dataset.write_layer("color", "color", np.ones((64, 64, 64), "uint8"), data_format="wkw")
        >>> copy = dataset.copy_dataset(tmp_path / "copy", data_format="zarr3")
        >>> copy.get_layer("color").get_finest_mag().read().sum()
        np.uint64(262144)
        """
        dataset = cast("Dataset", self)
        size = voxel_size_with_unit
        if size is None and voxel_size is None:
            size = dataset.voxel_size_with_unit
        copy = type(dataset)(new_dataset_path, voxel_size, exist_ok=exists_ok, voxel_size_with_unit=size)
        for name, layer in dataset.layers.items():
            if name not in set(layers_to_ignore or ()):
                copy.add_layer_as_copy(
                    layer, chunk_shape=chunk_shape, shard_shape=shard_shape, chunks_per_shard=chunks_per_shard,
                    data_format=data_format, compress=compress, exists_ok=exists_ok, executor=executor,
                )  # fmt: skip
        return copy

    def _foreign_layer(self, given: Layer | str | PathLike[str]) -> Layer:
        if not isinstance(given, str | PathLike):
            return given
        folder = Path(given)
        return type(cast("Dataset", self)).open(folder.parent, read_only=True).get_layer(folder.name)


def _text(data_format: str | DataFormat) -> str:
    return data_format.value if isinstance(data_format, DataFormat) else data_format
