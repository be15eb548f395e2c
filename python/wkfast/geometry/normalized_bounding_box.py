"""Where scripts look for boxes whose channels are an axis."""

from wkfast.geometry.bounding_box import NormalizedBoundingBox

__all__ = ["NormalizedBoundingBox"]
