"""State of objects whose attributes are named in ``__slots__``, so that a misspelt one is an error."""

from __future__ import annotations

from typing import Any


def state_without(thing: Any, **emptied: Any) -> tuple[None, dict[str, Any]]:
    """Return what pickle needs of an object, with some attributes as another process needs them."""
    state: Any = object.__getstate__(thing)
    attributes: dict[str, Any] = state[1]  # of an object with slots and nothing else
    return None, {**attributes, **emptied}
