"""What layers and mags are called whose voxels stay on a server until they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wkfast.dataset import Layer, MagView, SegmentationLayer

if TYPE_CHECKING:
    from wkfast.remote.place import ServerPlace


class RemoteMagView(MagView):
    """Voxels of one mag on a server, obtained from a layer. Reading fetches what is read; nothing is kept."""

    __slots__ = ()

    @property
    def url(self) -> str:
        """Where the mag is streamed from."""
        layer = self._layer
        place: ServerPlace = layer._place  # type: ignore[assignment] # layers of servers lie there
        return place.url_of(layer._properties, self._mag, layer._entry_of(self._mag))


class RemoteLayer(Layer):
    """A layer obtained from a :class:`RemoteDataset`."""

    __slots__ = ()

    _mag_class = RemoteMagView


class RemoteSegmentationLayer(RemoteLayer, SegmentationLayer):
    """A layer obtained from a :class:`RemoteDataset` whose voxels are segment ids."""

    __slots__ = ()
