"""Where scripts look for the ways that mags follow each other."""

from wkfast.dataset.sampling import SamplingModes

__all__ = ["SamplingModes"]
