"""What is taken if it is there and made if it is not, by many at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from wkfast.errors import BeingMadeError, ChangedMeanwhileError, ExistsError

if TYPE_CHECKING:
    from collections.abc import Callable

Made = TypeVar("Made")

# Seconds from one look to the next: layers and mags without voxels are made in milliseconds, slower on network mounts.
_PAUSES = (0.005, 0.01, 0.02, 0.05, 0.1, *[0.25] * 38)


def get_or_add(
    get: Callable[[], Made | None], add: Callable[[], Made], look_again: Callable[[], object] = lambda: None
) -> Made:
    """Return what `get` finds or else `add` makes; where somebody else is quicker, what `look_again` makes `get` find.

    Raises
    ------
    BeingMadeError
        Somebody else has been making it for ten seconds.
    ExistsError
        Something is in the way that is not what is looked for.
    """
    for pause in _PAUSES:
        found = get()
        if found is not None:
            return found
        try:
            return add()
        except (BeingMadeError, ChangedMeanwhileError):
            time.sleep(pause)
            look_again()
        except ExistsError:
            look_again()
            found = get()
            if found is None:
                raise
            return found
    return add()
