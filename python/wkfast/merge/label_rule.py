"""Rules of callers for merges, compiled by numba where it can, asked as they are where not.

The core collects runs of voxels that are alike and asks about each run once: machine code by its address, from its
threads and without the GIL. What went wrong in it is found out by asking the same function in Python once more, so that
errors name the line.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import
from wkfast._warnings import warn
from wkfast.dataset.user_functions import Handed, compiled, digest_of, failed, name_of, packed, plain, takes
from wkfast.errors import MergeError
from wkfast.rules import ForAll

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from wkfast import _core
else:
    np = lazy_import("numpy")

numba: Any = lazy_import("numba")

_ARGUMENTS = 2


@dataclass(frozen=True)
class RuleSource:
    """A rule as callers give it, not compiled yet.

    Attributes
    ----------
    function
        As plain Python.
    for_all
        Whether it is asked about all annotations at once.
    """

    function: Callable[[Any, Any], Any]
    for_all: bool

    @classmethod
    def of(cls, policy: Any) -> RuleSource:
        """Return what a caller means.

        Raises
        ------
        MergeError
            It is no function of two arguments.
        """
        for_all = isinstance(policy, ForAll)
        given = policy.function if isinstance(policy, ForAll) else policy
        function = plain(given)
        expected = "(labels, fallback)" if for_all else "(annotation, fallback)"
        if not takes(function, _ARGUMENTS):
            raise MergeError(f"{name_of(function)} is no rule: it has to take {expected} and return a label")
        return cls(function, for_all)

    @property
    def core(self) -> dict[str, Any]:
        """What the core is told: all that tells rules apart."""
        return {"name": name_of(self.function), "digest": digest_of(self.function), "for_all": self.for_all}

    def compiled(self, dtype: np.dtype[Any]) -> LabelRule:
        """Return the rule for labels of a dtype; where it stays Python's, a warning says so.

        Raises
        ------
        MergeError
            It returns no label.
        """
        code, reason = _compiled(Handed(self.function), self.for_all, dtype)
        if code is None:
            warn(
                f"{name_of(self.function)} is asked as it is, with one thread at a time: {reason}",
                UserWarning,
            )
        return LabelRule(self, dtype, code)

    def give(self, plan: _core.MergePlan | _core.MergedLayer, *, quiet: bool = False) -> None:
        """Compile the rule for what a plan makes, and give it to the plan.

        Parameters
        ----------
        quiet
            Whether somebody has been told already that it is not compiled.
        """
        with warnings.catch_warnings():
            if quiet:
                warnings.simplefilter("ignore", UserWarning)
            rule = self.compiled(np.dtype(plan.summary()["dtype"]))
        plan.use_rule(rule, address=rule.address)

    def packed(self) -> bytes:
        """Return it as it travels to other processes: by name where it has one there, else with its code.

        Raises
        ------
        MergeError
            It does not travel.
        """
        return packed(self, self.function, MergeError)


@dataclass
class LabelRule:
    """A rule for labels of one dtype, and its machine code if there is any."""

    source: RuleSource
    dtype: np.dtype[Any]
    code: Any = field(default=None, repr=False)

    @property
    def address(self) -> int | None:
        """Where its machine code lies."""
        return None if self.code is None else int(self.code.address)

    def __call__(self, painted: NDArray[Any], present: NDArray[Any], fallback: NDArray[Any]) -> NDArray[Any]:
        """Return a label for each run of voxels.

        Parameters
        ----------
        painted, present
            Labels by run and annotation, and whether the annotation has a chunk there.
        fallback
            By run.

        Raises
        ------
        MergeError
            The rule failed, or returned what is no label of the type; the message names the line.
        """
        known: dict[Any, Any] = {}
        out = np.empty_like(fallback)
        for run, (labels, there, below) in enumerate(
            zip(painted.tolist(), present.tolist(), fallback.tolist(), strict=True)
        ):
            shown = tuple(label for label, is_there in zip(labels, there, strict=True) if is_there)
            if (shown, below) not in known:
                known[shown, below] = self._ask(shown, below)
            out[run] = known[shown, below]
        return out

    def _ask(self, shown: tuple[int, ...], below: int) -> int:
        first: Any = np.array(shown, self.dtype) if self.source.for_all else shown[0]
        function, asked = self.source.function, f"({list(shown) if self.source.for_all else shown[0]}, {below})"
        try:
            made = function(first, below)
        except Exception as error:
            raise MergeError(failed(function, error, f" for {asked}")) from error
        limits = np.iinfo(self.dtype)
        if not isinstance(made, int | np.integer) or isinstance(made, bool):
            raise MergeError(f"{name_of(function)} returned {made!r} for {asked}, expected a whole number")
        if not limits.min <= int(made) <= limits.max:
            raise MergeError(f"{name_of(function)} returned {made} for {asked}, which {self.dtype} does not hold")
        return int(made)


@lru_cache(maxsize=32)
def _compiled(handed: Handed, for_all: bool, dtype: np.dtype[Any]) -> tuple[Any, str]:
    """Return machine code for a rule, or why there is none."""
    function = handed.function

    def given() -> tuple[Any, ...]:
        label = numba.from_dtype(dtype)
        return (numba.types.Array(label, 1, "C") if for_all else label, label)

    inner, made, reason = compiled(function, given)
    if inner is None:
        return None, reason
    if not isinstance(made, numba.types.Integer):
        raise MergeError(
            f"{name_of(function)} returns {made} for labels of {dtype}, expected a whole number: "
            f"e.g. return np.{dtype}(...)"
        )
    return (_call_for_all if for_all else _call)(inner, numba.from_dtype(dtype)), ""


def _call(inner: Any, label: Any) -> Any:
    """Return a C function that asks a rule about runs; it returns the run that failed, or -1."""
    carray, int64, labels = numba.carray, numba.types.int64, numba.types.CPointer(label)
    bytes_of, ask = numba.types.CPointer(numba.types.uint8), _caught(inner)

    @numba.cfunc(int64(labels, bytes_of, labels, labels, int64, int64))  # type: ignore[untyped-decorator, unused-ignore]
    def call(painted: Any, _present: Any, fallback: Any, out: Any, runs: int, _layers: int) -> int:
        above, below, new = carray(painted, (runs,)), carray(fallback, (runs,)), carray(out, (runs,))
        for run in range(runs):
            if not ask(above[run], below[run], new, run):
                return run
        return -1

    return call


def _call_for_all(inner: Any, label: Any) -> Any:
    """Return the same for a rule that is asked about all annotations at once."""
    carray, int64, labels = numba.carray, numba.types.int64, numba.types.CPointer(label)
    bytes_of, ask, empty = numba.types.CPointer(numba.types.uint8), _caught(inner), np.empty

    @numba.cfunc(int64(labels, bytes_of, labels, labels, int64, int64))  # type: ignore[untyped-decorator, unused-ignore]
    def call(painted: Any, present: Any, fallback: Any, out: Any, runs: int, layers: int) -> int:
        above, there = carray(painted, (runs, layers)), carray(present, (runs, layers))
        below, new = carray(fallback, (runs,)), carray(out, (runs,))
        shown = empty(layers, above.dtype)
        for run in range(runs):
            count = 0
            for layer in range(layers):
                if there[run, layer]:
                    shown[count] = above[run, layer]
                    count += 1
            if not ask(shown[:count], below[run], new, run):
                return run
        return -1

    return call


def _caught(inner: Any) -> Any:
    """Return a function that puts what a rule says into an array, and tells whether the rule said it and it fits.

    Exceptions end here: those that pass a loop of a C function are printed by numba, caught or not.
    """

    @numba.njit  # type: ignore[untyped-decorator, unused-ignore]
    def ask(shown: Any, below: Any, new: Any, run: int) -> bool:
        try:
            made = inner(shown, below)
        except Exception:  # noqa: BLE001 - Python is asked again, and says which
            return False
        new[run] = made
        return bool(new[run] == made)

    return ask
