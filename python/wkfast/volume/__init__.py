"""Volume layers of annotations: data zips read in place, exported, edited and packed again."""

from typing import TYPE_CHECKING

from wkfast._lazy import lazy_names

if TYPE_CHECKING:
    from wkfast.volume.edit_mode import VolumeLayerEditMode
    from wkfast.volume.segments import SegmentInformation
    from wkfast.volume.volume_layer import VolumeLayer
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "wkfast.volume.edit_mode": ["VolumeLayerEditMode"],
            "wkfast.volume.segments": ["SegmentInformation"],
            "wkfast.volume.volume_layer": ["VolumeLayer"],
        },
    )

__all__ = ["SegmentInformation", "VolumeLayer", "VolumeLayerEditMode"]
