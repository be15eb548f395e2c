"""The one counter from which trees, groups and nodes of a skeleton draw their ids."""


class IdCounter:
    """Hands out ids past every id that was ever claimed.

    Examples
    --------
    >>> ids = IdCounter()
    >>> ids.take(), ids.take(40), ids.take()
    (1, 40, 41)
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def take(self, enforced: int | None = None) -> int:
        """Return the next id, or the enforced one, which later ids then exceed."""
        if enforced is None:
            self._last += 1
            return self._last
        self.claim(enforced)
        return enforced

    def take_run(self, count: int) -> int:
        """Return the first of `count` consecutive new ids."""
        first = self._last + 1
        self._last += count
        return first

    def claim(self, used: int | None) -> None:
        """Make sure that no id up to `used` is handed out."""
        if used is not None and used > self._last:
            self._last = int(used)
