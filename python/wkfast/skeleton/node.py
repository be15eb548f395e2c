"""Where scripts look for nodes."""

from wkfast._core import Node

__all__ = ["Node"]
