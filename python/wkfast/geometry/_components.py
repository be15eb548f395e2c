"""What vectors of integers and of floats have in common beyond what their compiled bases, ``_core.IntVector``, do."""

from __future__ import annotations

import operator
import sys
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from wkfast._lazy import lazy_import

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
else:
    np = lazy_import("numpy")

Value = TypeVar("Value", int, float)

_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "truediv": operator.truediv,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
    "ceildiv": lambda a, b: -(-a // b),
    "max": max,
    "min": min,
}


class Components(Generic[Value]):
    """A sequence over a tuple of components, which is all there is to compare.

    The compiled base computes with what is exactly of its kind, and calls :meth:`_element_wise` for everything else; a
    test holds the one to the other.
    """

    __slots__ = ()

    # The compiled base has these two, and comes first among the bases.
    @property
    @abstractmethod
    def _data(self) -> tuple[Value, ...]:
        """The components."""

    @abstractmethod
    def _like(self, values: tuple[Any, ...], /) -> Self:
        """Return a vector of other components over the same axes."""

    @abstractmethod
    def _operands(self, other: Any) -> tuple[Any, ...]:
        """Return one number for each component."""

    def _element_wise(self, other: Any, operation: str) -> Self:
        """Return the result of an operation, pair by pair, whatever the other side is."""
        return self._like(tuple(map(_OPERATIONS[operation], self._data, self._operands(other))))

    def __neg__(self) -> Self:
        return self._like(tuple([-value for value in self._data]))

    def __reversed__(self) -> Any:
        return reversed(self._data)

    def index(self, value: Any, start: int = 0, stop: Any = None) -> int:
        """Return where a component first stands.

        Parameters
        ----------
        value
            What to look for.
        start, stop
            Look from this position on, and before that one.

        Raises
        ------
        ValueError
            There is none.
        """
        return self._data.index(value, start, sys.maxsize if stop is None else stop)

    def count(self, value: Any) -> int:
        """Return how many components are equal to a value."""
        return self._data.count(value)

    def to_np(self) -> npt.NDArray[Any]:
        """Return the components as an array."""
        return np.array(self._data)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self._data, dtype=dtype)


# Not a base: looking up attributes and checking classes of an abstract base class takes longer.
Sequence.register(Components)  # type: ignore[type-abstract]
