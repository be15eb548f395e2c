"""What a layer shows."""

from typing import Final

COLOR_CATEGORY: Final = "color"
SEGMENTATION_CATEGORY: Final = "segmentation"
