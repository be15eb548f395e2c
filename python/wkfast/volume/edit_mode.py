"""Ways of editing a volume layer."""

from enum import Enum


class VolumeLayerEditMode(Enum):
    """Where the voxels of a volume layer are while it is edited."""

    TEMPORARY_DIRECTORY = "temporary_directory"
    MEMORY = "memory"
