"""Properties that follow from an entry of JSON, and are kept as long as it says the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from wkfast import _core

if TYPE_CHECKING:
    from collections.abc import Callable

K = TypeVar("K", bound=_core.Keeper)


def kept_by_entry(*copied: str, **keys: tuple[str, ...]) -> Callable[[type[K]], type[K]]:
    """Return a decorator of classes whose properties are computed once for each state of an entry.

    The parsed JSON stays the one truth: a value counts as long as the objects under its keys are the same ones, and the
    object's owner has not been told of a change. So whatever is put under a key takes the place of what was there, and
    nothing is changed within it.

    Parameters
    ----------
    copied
        Properties whose value is a dict, of which everybody gets a copy.
    keys
        Name of a property, and up to four keys of the entry that its value follows from. With none it follows from what
        the object was made of.

    Examples
    --------
    >>> @kept_by_entry(name=("name",))
    ... class Thing(_core.Keeper):
    ...     def __init__(self, entry):
    ...         self.entry = entry
    ...     def _kept_by(self):
    ...         return self.entry, None
    ...     @property
    ...     def name(self):
    ...         return self.entry["name"].upper()
    >>> thing = Thing({"name": "a"})
    >>> thing.name is thing.name
    True
    >>> thing.entry["name"] = "b"
    >>> thing.name
    'B'
    """

    def decorate(cls: type[K]) -> type[K]:
        before = sum(isinstance(member, _core.KeptProperty) for base in cls.__mro__ for member in vars(base).values())
        for number, (name, of) in enumerate(keys.items(), before):
            plain = vars(cls)[name]
            kept = _core.KeptProperty(plain.fget, plain.fset, plain.fdel, plain.__doc__ or "")
            kept._keep(number, of, name in copied)
            setattr(cls, name, kept)
        return cls

    return decorate
