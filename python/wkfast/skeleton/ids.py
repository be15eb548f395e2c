"""Ids of a skeleton: the one counter from which trees, groups and nodes draw them, and those that are taken."""

from __future__ import annotations


class TakenIds:
    """Ids of a skeleton's trees, and of its nodes once somebody has asked for them."""

    __slots__ = ("nodes", "trees")

    def __init__(self, trees: set[int]) -> None:
        self.trees = trees
        self.nodes: set[int] | None = None


class IdCounter:
    """Hands out ids past every id that was ever claimed.

    Attributes
    ----------
    taken
        What is known of the ids in use; ``None`` as soon as something was added or removed.

    Examples
    --------
    >>> ids = IdCounter()
    >>> ids.take(), ids.take(40), ids.take()
    (1, 40, 41)
    """

    __slots__ = ("_last", "taken")

    def __init__(self) -> None:
        self._last = 0
        self.taken: TakenIds | None = None

    @property
    def last(self) -> int:
        """No id beyond this one was ever claimed."""
        return self._last

    def take(self, enforced: int | None = None) -> int:
        """Return the next id, or the enforced one, which later ids then exceed."""
        self.taken = None
        if enforced is None:
            self._last += 1
            return self._last
        self.claim(enforced)
        return enforced

    def take_run(self, count: int) -> int:
        """Return the first of `count` consecutive new ids."""
        self.taken = None
        first = self._last + 1
        self._last += count
        return first

    def claim(self, used: int | None) -> None:
        """Make sure that no id up to `used` is handed out."""
        self.taken = None
        if used is not None and used > self._last:
            self._last = int(used)
