"""Storing a mag in another way: the part of :class:`MagView` that does."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from wkfast import _core
from wkfast.dataset.mag_building import location_of, spec_like
from wkfast.dataset.merge_executor import run_on
from wkfast.dataset.new_mag import extent_in_mag
from wkfast.errors import DatasetValueError
from wkfast.geometry import BoundingBox, Vec3Int

if TYPE_CHECKING:
    from os import PathLike

    from wkfast.dataset.mag_view import MagView
    from wkfast.geometry import Vec3IntLike


class Rechunking:
    """Methods of a mag that rewrite its files."""

    def compress(self, *, target_path: str | PathLike[str] | None = None, executor: Any = None) -> None:
        """Compress the mag's files, in place or into another dataset; a compressed mag is left as it is.

        The mag is what it was until all is done, whatever happens; see :meth:`rechunk`.
        """
        if target_path is None:
            cast("MagView", self).layer.dataset.check_writable()
        if target_path is not None or not cast("MagView", self).info.compression_mode:
            self.rechunk(compress=True, target_path=target_path, executor=executor)

    def rechunk(
        self,
        *,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        compress: bool | None = None,
        target_path: str | PathLike[str] | None = None,
        executor: Any = None,
    ) -> None:
        """Cut the mag into other chunks or files, in place or into another dataset.

        New files are written beside the old ones and change places with them in one step: until then, and if anything
        fails, the mag is what it was. Chunks that look the same are copied as they are; erased chunks stay erased.

        Parameters
        ----------
        chunk_shape, shard_shape, compress
            Default: as they are.
        target_path
            Folder of a dataset, created if need be, whose layer of the same name gets the mag.
        executor
            Of ``concurrent.futures``, or one like it; default: the core's threads.

        Raises
        ------
        DatasetValueError
            The format does not have such shapes.
        ExistsError
            The dataset at `target_path` has the mag already.
        VolumeDataError
            A chunk is damaged, or the file system refuses. The mag is what it was.
        """
        view = cast("MagView", self)
        layer = view.layer
        if target_path is not None:
            dataset = type(layer.dataset)(target_path, layer.dataset.voxel_size, exist_ok=True)
            there = dataset.layers.get(layer.name) or dataset.add_layer_like(layer, layer.name)
            there.add_mag_as_copy(
                view, chunk_shape=chunk_shape, shard_shape=shard_shape, compress=compress, executor=executor
            )
            return
        spec = spec_like(
            view, view.info.data_format, chunk_shape=chunk_shape, shard_shape=shard_shape, compress=compress,
            extent=extent_in_mag(layer.bounding_box, view.mag), axes=layer.new_axes(),
        )  # fmt: skip
        renewed = layer.build_mag(view.mag, spec, view, executor=executor)
        view.adopt(renewed)

    def merge_with_view(self, other: MagView, executor: Any = None) -> None:
        """Lay the chunks of another mag over this one: whatever chunk it has replaces what is here, zeros included.

        The mag is what it was until all is done. The layer's box grows to the chunks of the other.

        Parameters
        ----------
        other
            Same mag, dtype and channels; a file for every chunk, as annotations have them.
        executor
            Of ``concurrent.futures``, or one like it; default: the core's threads.

        Raises
        ------
        DatasetValueError
            The two do not fit.
        """
        view = cast("MagView", self)
        layer = view.layer
        layer.dataset.check_writable()
        mine, theirs = view.info, other.info
        if view.mag != other.mag or mine.voxel_type != theirs.voxel_type or mine.num_channels != theirs.num_channels:
            raise DatasetValueError(f"{other} cannot be laid over {view}: mag, dtype or channels differ")
        if theirs.chunks_per_shard != Vec3Int.ones():
            raise DatasetValueError(f"{other} has {theirs.chunks_per_shard} chunks in a file; rechunk it to one")
        layer.check_alone(view.mag, view.path)
        box, place = layer.properties.bounding_box, location_of(view)
        with tempfile.TemporaryDirectory(dir=view.path.parent, prefix=".merge.", suffix=".wkfast-part") as target:
            plan = _core.MergePlan(
                {
                    "annotations": [[location_of(other)]],
                    "fallback": [place],
                    "fallback_bounding_box": {"topleft": box.topleft.to_list(), "size": box.size.to_list()},
                    "target": str(Path(target) / "merged"),
                    "target_mags": [{"mag": place["mag"], "folder": view.name}],
                    "options": {"policy": "chunk", "mags": "finest"},
                }
            )
            if executor is None:
                plan.run()
            else:
                run_on(executor, plan)
            merged = plan.commit()["bounding_box"]
            _core.exchange_folders(str(Path(target) / "merged" / view.name), str(view.path))
        layer.extend_bounding_box(BoundingBox(merged["topleft"], merged["size"]))
        view.adopt(layer.get_mag(view.mag))
