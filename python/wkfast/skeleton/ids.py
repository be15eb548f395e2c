"""Ids that are in use in a skeleton, for copies that keep theirs where they are free."""

from __future__ import annotations


class TakenIds:
    """Ids of a skeleton's trees, and of its nodes once somebody has asked for them.

    Attributes
    ----------
    changes
        The count of the skeleton's counter of ids at which this was right.
    """

    __slots__ = ("changes", "nodes", "trees")

    def __init__(self, trees: set[int], changes: int) -> None:
        self.trees = trees
        self.changes = changes
        self.nodes: set[int] | None = None
