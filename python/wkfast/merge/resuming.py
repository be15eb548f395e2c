"""What errors say of merges that are not lost."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from wkfast.dataset.plan_workers import GOES_ON
from wkfast.errors import ObjectStoreError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def resumable() -> Iterator[None]:
    """Have the error of a server that went away say that nothing is lost: the same call goes on.

    Raises
    ------
    ObjectStoreError
        As it was, and with that behind it.
    """
    try:
        yield
    except ObjectStoreError as error:
        raise ObjectStoreError(f"{error}{GOES_ON}") from error
