"""Coarser mags: the part of :class:`Layer` that makes them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from wkfast.dataset.new_mag import extent_in_mag, new_mag
from wkfast.dataset.sampling import SamplingModes, default_coarsest_mag, mags_to_downsample
from wkfast.errors import DatasetError, DatasetValueError, ExistsError
from wkfast.geometry import Mag, Vec3Int

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wkfast import _core
    from wkfast.dataset.dataset import Dataset
    from wkfast.dataset.layer import Layer
    from wkfast.dataset.mag_view import MagView
    from wkfast.geometry import Vec3IntLike

_MODES = ("mode", "median", "nearest", "max", "min")
_REFUSED = ("bilinear", "bicubic")
# What WEBKNOSSOS computes at once, at most: in voxels of the finer mag, and of the coarser.
_FINER_BUFFER = 1024
_COARSER_BUFFER = 512


class LayerDownsampling:
    """Methods of a layer that make coarser mags."""

    def downsample(
        self,
        *,
        from_mag: Mag | None = None,
        coarsest_mag: Mag | None = None,
        interpolation_mode: str = "default",
        compress: bool = True,
        sampling_mode: str | SamplingModes = SamplingModes.ANISOTROPIC,
        align_with_other_layers: bool | Dataset = True,
        buffer_shape: Vec3IntLike | int | None = None,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        force_sampling_scheme: bool = False,
        allow_overwrite: bool = False,
        only_setup_mags: bool = False,
        from_mag_view: MagView | None = None,
        executor: Any = None,
    ) -> None:
        """Make the coarser mags of a layer, each out of the one before.

        Parameters
        ----------
        from_mag
            Where to start; default: the coarsest mag there is.
        coarsest_mag
            Where to end; default: when the layer's longest edge is 100 voxels.
        interpolation_mode
            ``"mode"``, ``"median"``, ``"nearest"``, ``"max"`` or ``"min"``; ``"default"`` is mode for segmentations
            and median for images.
        sampling_mode
            ``"anisotropic"`` (towards cubes), ``"isotropic"`` or ``"constant_z"``.
        align_with_other_layers
            Take mags that other layers of this dataset, or of another one, have.
        buffer_shape
            Coarser voxels at once; only ``"nearest"`` depends on it.
        chunk_shape, shard_shape, compress
            Of the new mags, as in :meth:`add_mag`.
        force_sampling_scheme
            Accept a sampling mode that does not fit the mags there are.
        allow_overwrite
            Make mags anew that there are already.
        only_setup_mags
            Create the mags without voxels.
        from_mag_view
            Take the voxels of a mag of another layer.
        executor
            Of ``concurrent.futures``, or one like it; default: the core's threads.

        Raises
        ------
        DatasetError
            A ``RuntimeError``: no sequence of mags leads to `coarsest_mag`, or the dataset is read-only.
        DatasetValueError
            A choice is none of those above.
        ExistsError
            There is one of the mags already.

        Examples
        --------
        >>> import numpy as np
        >>> from wkfast import Dataset
        >>> layer = Dataset(tmp_path / "new", voxel_size=(4, 4, 40)).add_layer("labels", "segmentation", dtype="uint32")
        >>> layer.add_mag(1).write(np.ones((64, 64, 64), "uint32"), allow_resize=True)
        >>> layer.downsample(coarsest_mag=Mag(4))
        >>> list(layer.mags)
        [Mag(1), Mag(2-2-1), Mag(4-4-1)]
        """
        layer = cast("Layer", self)
        layer.dataset.check_writable()
        start = _start(layer, from_mag, from_mag_view)
        wanted = _sequence(
            layer, start, coarsest_mag, SamplingModes.parse(sampling_mode), align_with_other_layers,
            force=force_sampling_scheme,
        )  # fmt: skip
        for finer, mag in pairwise([start, *wanted]):
            self.downsample_mag(
                finer, mag, interpolation_mode=interpolation_mode, compress=compress, buffer_shape=buffer_shape,
                chunk_shape=chunk_shape, shard_shape=shard_shape, allow_overwrite=allow_overwrite,
                only_setup_mag=only_setup_mags, from_mag_view=from_mag_view if finer == start else None,
                executor=executor,
            )  # fmt: skip

    def downsample_mag(
        self,
        from_mag: Mag,
        target_mag: Mag,
        *,
        interpolation_mode: str = "default",
        compress: bool = True,
        buffer_shape: Vec3IntLike | int | None = None,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        allow_overwrite: bool = False,
        only_setup_mag: bool = False,
        from_mag_view: MagView | None = None,
        executor: Any = None,
    ) -> None:
        """Make one mag out of a finer one; see :meth:`downsample`. The mag is listed when it is complete.

        Raises
        ------
        DatasetValueError
            `target_mag` is no multiple of `from_mag`.
        ExistsError
            There is `target_mag` already.
        """
        layer = cast("Layer", self)
        source = from_mag_view if from_mag_view is not None else layer.get_mag(from_mag)
        target = Mag(target_mag)
        factor = _factor(source.mag, target)
        kind = _interpolation(interpolation_mode, layer)
        listed = target in layer.mags
        if listed and not allow_overwrite:
            raise ExistsError(f"layer {layer.name!r} has the mag {target} already; pass allow_overwrite=True")
        old = layer.get_mag(target).info if listed else None
        spec = new_mag(
            layer.data_format, layer.dtype, layer.num_channels,
            chunk_shape=chunk_shape if chunk_shape is not None or old is None else old.chunk_shape,
            shard_shape=shard_shape if shard_shape is not None or old is None else old.shard_shape,
            compress=compress, extent=extent_in_mag(layer.bounding_box, target), axes=layer.new_axes(),
            any_shape=old is not None and chunk_shape is None and shard_shape is None,
        )  # fmt: skip
        step = _step(layer, source, kind, factor, _buffer(buffer_shape, factor, spec))
        layer.build_mag(target, spec, None if only_setup_mag else source, step, executor)

    def downsample_mag_list(
        self,
        from_mag: Mag,
        target_mags: list[Mag],
        *,
        interpolation_mode: str = "default",
        compress: bool = True,
        buffer_shape: Vec3IntLike | int | None = None,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        allow_overwrite: bool = False,
        only_setup_mags: bool = False,
        executor: Any = None,
    ) -> None:
        """Make mags one out of the other, in the order given; see :meth:`downsample`.

        Raises
        ------
        DatasetValueError
            The mags are not in ascending order.
        """
        mags = [Mag(from_mag), *(Mag(mag) for mag in target_mags)]
        for finer, mag in pairwise(mags):
            _factor(finer, mag)
        for finer, mag in pairwise(mags):
            self.downsample_mag(
                finer, mag, interpolation_mode=interpolation_mode, compress=compress, buffer_shape=buffer_shape,
                chunk_shape=chunk_shape, shard_shape=shard_shape, allow_overwrite=allow_overwrite,
                only_setup_mag=only_setup_mags, executor=executor,
            )  # fmt: skip

    def redownsample(
        self,
        *,
        interpolation_mode: str = "default",
        compress: bool = True,
        buffer_shape: Vec3IntLike | int | None = None,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        executor: Any = None,
    ) -> None:
        """Make all mags but the finest anew, after the finest has changed."""
        cast("Layer", self).dataset.check_writable()
        mags = list(cast("Layer", self).mags)
        if len(mags) > 1:
            self.downsample_mag_list(
                mags[0], mags[1:], interpolation_mode=interpolation_mode, compress=compress,
                buffer_shape=buffer_shape, chunk_shape=chunk_shape, shard_shape=shard_shape, allow_overwrite=True,
                executor=executor,
            )  # fmt: skip


def _start(layer: Layer, from_mag: Mag | None, from_mag_view: MagView | None) -> Mag:
    if from_mag_view is not None:
        return from_mag_view.mag
    if from_mag is not None:
        return layer.get_mag(from_mag).mag
    if not layer.mags:
        raise DatasetError(f"layer {layer.name!r} has no mag to start from")
    return max(layer.mags)


def _sequence(
    layer: Layer,
    start: Mag,
    coarsest: Mag | None,
    mode: SamplingModes,
    align: bool | Dataset,
    *,
    force: bool,
) -> list[Mag]:
    """Return the mags to make after `start`."""
    end = coarsest if coarsest is not None else default_coarsest_mag(layer.bounding_box.size_xyz.to_tuple())
    voxel_size: Sequence[float] | None = None
    if mode is SamplingModes.ANISOTROPIC:
        voxel_size = layer.dataset.voxel_size
    elif mode is SamplingModes.CONSTANT_Z:
        x, y, _ = end.to_tuple()
        end = Mag([x, y, start.to_tuple()[2]])
    others = layer.dataset if align is True else align
    aligned: list[Mag] = []
    if others is not False and mode is SamplingModes.ANISOTROPIC and not force:
        aligned = [mag for other in others.layers.values() if other.name != layer.name for mag in other.mags]
    return mags_to_downsample(start, Mag(end), voxel_size, aligned)


def _factor(finer: Mag, coarser: Mag) -> tuple[int, int, int]:
    pairs = list(zip(finer.to_tuple(), coarser.to_tuple(), strict=True))
    if any(b % a for a, b in pairs) or finer == coarser:
        raise DatasetValueError(f"mag {coarser} cannot be made out of mag {finer}: it is no multiple of it")
    x, y, z = (b // a for a, b in pairs)
    return x, y, z


def _interpolation(text: str, layer: Layer) -> str:
    name = text.lower()
    if name == "default":
        return "mode" if layer.category == "segmentation" else "median"
    if name in _REFUSED:
        raise DatasetValueError(
            f"wkfast does not interpolate {name}: its result depends on the buffers it is computed in; choose 'median'"
        )
    if name not in _MODES:
        raise DatasetValueError(f"{text!r} is no interpolation mode: choose default, {', '.join(_MODES)}")
    return name


def _buffer(
    buffer_shape: Vec3IntLike | int | None, factor: tuple[int, int, int], spec: _core.NewMag
) -> tuple[int, int, int]:
    """Return the coarser voxels that WEBKNOSSOS computes at once."""
    if buffer_shape is not None:
        x, y, z = Vec3Int.from_vec_or_int(buffer_shape).to_tuple()
        return x, y, z
    shards = [chunk * count for chunk, count in zip(spec["chunk_shape"], spec["chunks_per_shard"], strict=True)]
    x, y, z = (
        min(shard, _COARSER_BUFFER, max(1, _FINER_BUFFER // each)) for shard, each in zip(shards, factor, strict=True)
    )
    return x, y, z


def _step(
    layer: Layer, source: MagView, kind: str, factor: tuple[int, int, int], buffer: tuple[int, int, int]
) -> dict[str, Any]:
    region = layer.properties.bounding_box.align_with_mag(source.mag, ceil=True).in_mag(source.mag)
    box = {"topleft": list(region.topleft.to_tuple()), "size": list(region.size.to_tuple())}
    how = {"interpolation": kind, "factor": list(factor), "region": box, "buffer_shape": list(buffer)}
    return {"downsampling": how}
