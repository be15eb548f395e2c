"""What an annotation can do with its volume layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wkfast.volume.export import temporary_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from numpy.typing import DTypeLike

    from wkfast.dataset import Dataset, Layer, SegmentationLayer
    from wkfast.geometry import Vec3Float
    from wkfast.volume.segments import SegmentInformation
    from wkfast.volume.volume_layer import VolumeLayer
    from wkfast.volume.volume_layers import VolumeLayers


class Volumes:
    """The part of :class:`Annotation` that knows of volume layers."""

    volume_layers: VolumeLayers

    if TYPE_CHECKING:

        @property
        def voxel_size(self) -> Vec3Float: ...  # noqa: D102

    def add_volume_layer(
        self,
        name: str,
        fallback_layer: Layer | str | None = None,
        volume_layer_id: int | None = None,
        *,
        dtype: DTypeLike | None = None,
    ) -> VolumeLayer:
        """Add an empty volume layer and return it.

        Parameters
        ----------
        name
            Shown to the user.
        fallback_layer
            Segmentation layer of the dataset, or its name.
        volume_layer_id
            Default: one more than the largest in use.
        dtype
            Type of a voxel; default: the fallback's, if it is given as a layer, else uint32.

        Raises
        ------
        AnnotationError
            An ``AssertionError``: the id is taken, the fallback is no segmentation, or the type cannot hold labels, or
            not those of the fallback that is given as a layer.

        Examples
        --------
        >>> import wkfast as wk
        >>> annotation = wk.Annotation("a", dataset_name="d", voxel_size=(1, 1, 1))
        >>> annotation.add_volume_layer("segmentation", fallback_layer="base").id
        0
        """
        return self.volume_layers.add(name, fallback_layer, volume_layer_id, dtype=dtype, voxel_size=self.voxel_size)

    def get_volume_layer_names(self) -> Iterable[str]:
        """Return the names of the volume layers, in the order of the file."""
        return [layer.name for layer in self.volume_layers]

    def get_volume_layer(self, volume_layer_name: str | None = None, volume_layer_id: int | None = None) -> VolumeLayer:
        """Return one volume layer, by name, by id, or the only one.

        Raises
        ------
        VolumeLayerAmbiguousError
            A ``ValueError``: several fit.
        VolumeLayerNotFoundError
            An ``AssertionError``: none fits; the message lists those there are.
        """
        return self.volume_layers.find(volume_layer_name, volume_layer_id)

    def delete_volume_layer(self, volume_layer_name: str | None = None, volume_layer_id: int | None = None) -> None:
        """Remove one volume layer, chosen as in :meth:`get_volume_layer`."""
        self.volume_layers.remove(self.get_volume_layer(volume_layer_name, volume_layer_id))

    def get_volume_layer_segments(
        self, volume_layer_name: str | None = None, volume_layer_id: int | None = None
    ) -> dict[int, SegmentInformation]:
        """Return the segments of a volume layer by id. Changes to the dictionary are changes to the annotation."""
        return self.get_volume_layer(volume_layer_name, volume_layer_id).segments

    def export_volume_layer_to_dataset(
        self,
        dataset: Dataset,
        layer_name: str = "volume_layer",
        volume_layer_name: str | None = None,
        volume_layer_id: int | None = None,
        *,
        threads: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> SegmentationLayer:
        """Add the painted voxels of a volume layer to a dataset as a segmentation, and return that.

        Chunks are copied as they are encoded, and the layer has the format of the annotation. Voxels of the fallback
        layer are not in it; see :meth:`merge_fallback_layer`.

        Parameters
        ----------
        dataset
            The dataset to add to.
        layer_name
            Name of the new layer.
        volume_layer_name, volume_layer_id
            Which volume layer, if there are several; as in :meth:`get_volume_layer`.
        threads
            Default: ``WKFAST_THREADS``, else one per core.
        progress
            Called on the calling thread with chunks done and chunks in all.

        Raises
        ------
        VolumeLayerNotFoundError, VolumeLayerAmbiguousError
            An ``AssertionError``, a ``ValueError``: see :meth:`get_volume_layer`.
        VolumeDataMissingError
            An ``AssertionError`` and ``ValueError``: the voxels are not in the annotation file.
        DatasetError
            The dataset has a layer of that name.
        VolumeDataError
            The data zip is damaged, or the disk full. The dataset is as it was.

        Examples
        --------
        >>> import wkfast as wk
        >>> annotation = wk.Annotation("a", dataset_name="d", voxel_size=(4, 4, 40))
        >>> _ = annotation.add_volume_layer("painted", dtype="uint16")
        >>> dataset = wk.Dataset(tmp_path / "exported", voxel_size=(4, 4, 40))
        >>> annotation.export_volume_layer_to_dataset(dataset, layer_name="painted").dtype
        dtype('uint16')
        """
        layer = self.get_volume_layer(volume_layer_name, volume_layer_id)
        return layer.export_to_dataset(dataset, layer_name, threads=threads, progress=progress)

    def temporary_volume_layer_copy(
        self, volume_layer_name: str | None = None, volume_layer_id: int | None = None, read_only: bool = True
    ) -> AbstractContextManager[SegmentationLayer]:
        """Return a context manager that yields a copy of a volume layer, as a layer of a temporary dataset.

        To look at voxels without a copy use :meth:`VolumeLayer.as_layer`, to change them :meth:`VolumeLayer.edit`.

        Parameters
        ----------
        volume_layer_name, volume_layer_id
            Which volume layer, if there are several; as in :meth:`get_volume_layer`.
        read_only
            Refuse changes of the copy. They never change the annotation.

        Raises
        ------
        VolumeDataMissingError
            An ``AssertionError`` and ``ValueError``: the voxels are not in the annotation file.

        Examples
        --------
        >>> import wkfast as wk
        >>> annotation = wk.Annotation("a", dataset_name="d", voxel_size=(4, 4, 40))
        >>> _ = annotation.add_volume_layer("painted")
        >>> with annotation.temporary_volume_layer_copy("painted") as layer:
        ...     layer.dtype
        dtype('uint32')
        """
        return temporary_copy(self.get_volume_layer(volume_layer_name, volume_layer_id), read_only=read_only)
