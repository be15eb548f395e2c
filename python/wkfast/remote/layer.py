"""What layers and mags are called whose voxels stay on a server until they are read."""

from __future__ import annotations

from wkfast.dataset import Layer, MagView, SegmentationLayer
from wkfast.dataset.internals import location_of


class RemoteMagView(MagView):
    """Voxels of one mag on a server, obtained from a layer. Reading fetches what is read; nothing is kept."""

    __slots__ = ()

    @property
    def url(self) -> str:
        """Where the mag is streamed from."""
        container: dict[str, str] = location_of(self.layer, self.mag)["container"]
        return container["url"].removeprefix("webknossos+")


class RemoteLayer(Layer):
    """A layer obtained from a :class:`RemoteDataset`."""

    __slots__ = ()

    _mag_class = RemoteMagView


class RemoteSegmentationLayer(RemoteLayer, SegmentationLayer):
    """A layer obtained from a :class:`RemoteDataset` whose voxels are segment ids."""

    __slots__ = ()
