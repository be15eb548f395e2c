"""Where scripts look for boxes with further axes."""

from wkfast.geometry.bounding_box import NDBoundingBox

__all__ = ["NDBoundingBox"]
