"""Volume layers of annotations: data zips read in place, exported, edited and packed again."""

from wkfast.volume.editing import VolumeLayerEditMode
from wkfast.volume.segments import SegmentInformation
from wkfast.volume.volume_layer import VolumeLayer

__all__ = ["SegmentInformation", "VolumeLayer", "VolumeLayerEditMode"]
