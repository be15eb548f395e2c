"""Functions that callers hand over: their names, what tells them apart, how they travel, what numba makes of them."""

from __future__ import annotations

import hashlib
import inspect
import pickle
import sys
import traceback
from types import CellType, CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np

    from wkfast.errors import WkfastError
else:
    np = lazy_import("numpy")

numba: Any = lazy_import("numba")
cloudpickle: Any = lazy_import("cloudpickle")


class Handed:
    """A function as a key of caches: itself, and what it refers to; whether it can be hashed is its own business."""

    __slots__ = ("digest", "function")

    def __init__(self, function: Any) -> None:
        self.function = function
        self.digest = digest_of(function)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Handed) and self.function is other.function and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def plain(function: Any) -> Any:
    """Return a function as it is without numba."""
    # numba.vectorize keeps it in its dispatcher
    return getattr(getattr(function, "_dispatcher", function), "py_func", function)


def takes(function: Any, count: int) -> bool:
    """Return whether something is called with so many arguments; of functions in C, that is not known: ``False``.

    Examples
    --------
    >>> takes(lambda label: label, 1), takes(lambda label: label, 2), takes(7, 1)
    (True, False, False)
    """
    function = plain(function)
    # inspect compares what it is asked about by hashes
    called = function.__call__ if callable(function) and type(function).__hash__ is None else function
    try:
        inspect.signature(called).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True


def name_of(function: Any) -> str:
    """Return what messages call a function.

    Examples
    --------
    >>> name_of(max)
    'max()'
    """
    return f"{getattr(function, '__name__', type(function).__name__)}()"


def failed(function: Any, error: Exception, asked: str = "") -> str:
    """Return what a message says of an error that a function raised: in which line, and what it was."""
    line = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{asked} in line {line.lineno} of {line.filename}"
    return f"{name_of(function)} failed{where}: {type(error).__name__}: {error}"


def packed(value: Any, function: Any, refusal: type[WkfastError]) -> bytes:
    """Return a value that holds a function as it travels: by name where it has one there, else with its code.

    Raises
    ------
    WkfastError
        A `refusal`: it does not travel.
    """
    try:
        return pickle.dumps(value)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        try:
            return bytes(cloudpickle.dumps(value))
        except ModuleNotFoundError:
            raise refusal(
                f"{name_of(function)} cannot be sent to other processes: {error}; define it in a module, or install "
                "cloudpickle"
            ) from error


def compiled(function: Any, argument_types: Callable[[], tuple[Any, ...]]) -> tuple[Any, Any, str]:
    """Return a function as numba's, compiled for arguments of some types, and the type of what it returns.

    Parameters
    ----------
    argument_types
        Returns numba's types, which are not there where numba is not.

    Returns
    -------
    tuple
        Twice ``None`` and why, where it cannot be compiled.
    """
    if not isinstance(plain(function), FunctionType):
        return None, None, "numba compiles functions written in Python alone"
    try:
        given = argument_types()
    except ModuleNotFoundError:
        return None, None, "numba is not installed (pip install 'wkfast[rules]')"
    try:
        inner = function if hasattr(function, "py_func") else _cached(function)
        inner.compile(given)
        return inner, inner.overloads[given].signature.return_type, ""
    except Exception as error:  # noqa: BLE001 - its errors have many classes; who asks is asked without it then
        said = str(error).strip().splitlines() or [type(error).__name__]
        return None, None, f"numba cannot compile it ({said[0]})"


def _cached(function: Any) -> Any:
    """Return a function as numba's, its machine code kept on disk if that stands for this very function.

    numba finds what it kept by name, line and instructions, which two lambdas of one line may share whatever their
    constants are. So the name says all that tells functions apart.
    """
    if not _is_told_by_its_code(function):
        return numba.njit(function)
    named = FunctionType(function.__code__, function.__globals__, function.__name__, None, function.__closure__)
    named.__qualname__ = f"{function.__qualname__}.{digest_of(function)}"
    named.__module__ = function.__module__
    try:
        return numba.njit(named, cache=True)
    except RuntimeError:  # it lies in no file
        return numba.njit(function)


def _is_told_by_its_code(function: Any) -> bool:
    """Whether nothing but its code decides what a function does: numba's files know nothing of values elsewhere.

    Functions of files that are no modules could not be read back.
    """
    if function.__defaults__ or function.__kwdefaults__ or function.__module__ not in sys.modules:
        return False
    named, cells = _referred(function)
    kinds = [(value, ModuleType) for value in named] + [(value, np.ndarray) for value in cells]
    return all(isinstance(value, kind) for value, kind in kinds)


def _referred(function: Any) -> tuple[list[Any], list[Any]]:
    """Return the values that a function refers to: of its module, and around it."""
    named = [function.__globals__[name] for name in function.__code__.co_names if name in function.__globals__]
    return named, [_content(cell) for cell in function.__closure__ or ()]


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing has been put into it yet
        return None


def digest_of(function: Any) -> str:
    """Return what tells functions apart that do different things: code, and the values that it refers to.

    Examples
    --------
    >>> double, triple = (lambda value, by=by: value * by for by in (2, 3))
    >>> digest_of(double) == digest_of(triple), digest_of(double) == digest_of(double)
    (False, True)
    """
    return _digest_alone(function)


def _add(digest: Any, value: Any, seen: set[int]) -> None:
    value = getattr(value, "py_func", value)
    digest.update(type(value).__name__.encode())
    if isinstance(value, FunctionType):
        if id(value) not in seen:
            seen.add(id(value))
            _add_function(digest, value, seen)
    elif isinstance(value, CodeType):
        digest.update(value.co_code + repr((value.co_names, value.co_varnames)).encode())
        _add_all(digest, value.co_consts, seen)
    elif isinstance(value, np.ndarray) and value.dtype.kind != "O":
        digest.update(repr((value.dtype.str, value.shape)).encode() + value.tobytes())
    elif isinstance(value, list | tuple | np.ndarray):
        _add_all(digest, value, seen)
    elif isinstance(value, set | frozenset | dict):
        items = value.items() if isinstance(value, dict) else value
        digest.update("".join(sorted(_digest_alone(item) for item in items)).encode())
    elif isinstance(value, int | float | complex | str | bytes | np.generic | None):
        digest.update(repr(value).encode())
    elif isinstance(value, ModuleType | type):
        digest.update(value.__name__.encode())
    else:
        digest.update(_told(value))


def _add_function(digest: Any, function: FunctionType, seen: set[int]) -> None:
    _add(digest, function.__code__, seen)
    named, cells = _referred(function)
    defaults = [*(function.__defaults__ or ()), *sorted((function.__kwdefaults__ or {}).items())]
    _add_all(digest, [*named, *cells, *defaults], seen)
    for module in (value for value in named if isinstance(value, ModuleType)):
        # Numbers that it takes out of modules are constants of the machine code.
        found = [vars(module).get(name) for name in function.__code__.co_names]
        _add_all(digest, [value for value in found if isinstance(value, int | float | str | np.generic)], seen)


def _add_all(digest: Any, values: Iterable[Any], seen: set[int]) -> None:
    for number, value in enumerate(values):
        digest.update(b"%d:" % number)
        _add(digest, value, seen)


def _digest_alone(value: Any) -> str:
    digest = hashlib.blake2b(digest_size=16)
    _add(digest, value, set())
    return digest.hexdigest()


def _told(value: Any) -> bytes:
    """Return what tells objects apart that are no functions, such as those of functools.partial."""
    try:
        return pickle.dumps(value)
    except (pickle.PicklingError, AttributeError, TypeError):
        return repr(getattr(value, "__name__", type(value).__name__)).encode()
