"""What vectors of integers and of floats have in common: components, compared and hashed like a plain tuple of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

Value = TypeVar("Value", int, float)


class Components(Sequence[Value]):
    """A sequence over a tuple, which holds all there is to compare."""

    __slots__ = ("_data",)

    _data: tuple[Value, ...]

    @abstractmethod
    def _comparable(self, other: object) -> tuple[Value, ...] | None:
        """Return the components of what this compares with, otherwise None."""

    def to_list(self) -> list[Value]:
        """Return the components as a list."""
        return list(self._data)

    def to_np(self) -> npt.NDArray[Any]:
        """Return the components as an array."""
        return np.array(self._data)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self._data, dtype=dtype)

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[Value]:
        return iter(self._data)

    @overload
    def __getitem__(self, index: int) -> Value: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Value, ...]: ...
    def __getitem__(self, index: int | slice) -> Value | tuple[Value, ...]:
        return self._data[index]

    def __contains__(self, item: object) -> bool:
        return item in self._data

    def __hash__(self) -> int:
        return hash(self._data)

    def __eq__(self, other: object) -> bool:
        data = self._comparable(other)
        return NotImplemented if data is None else self._data == data

    def __lt__(self, other: object) -> bool:
        data = self._comparable(other)
        return NotImplemented if data is None else self._data < data

    def __le__(self, other: object) -> bool:
        data = self._comparable(other)
        return NotImplemented if data is None else self._data <= data

    def __gt__(self, other: object) -> bool:
        data = self._comparable(other)
        return NotImplemented if data is None else self._data > data

    def __ge__(self, other: object) -> bool:
        data = self._comparable(other)
        return NotImplemented if data is None else self._data >= data
