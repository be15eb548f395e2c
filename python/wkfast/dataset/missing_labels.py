"""What labels become that a mapping lacks: words that options need without all that mappings need."""

from enum import StrEnum


class Missing(StrEnum):
    """What labels become that a mapping does not name."""

    KEEP = "keep"
    ZERO = "zero"
    ERROR = "error"
