"""Volume layers under the module name of the reference package; they live in ``wkfast.volume``."""

from wkfast.volume import SegmentInformation, VolumeLayer, VolumeLayerEditMode

__all__ = ["SegmentInformation", "VolumeLayer", "VolumeLayerEditMode"]
