"""Modules that are loaded when first used, so that ``import wkfast`` stays quick.

The type checker reads the plain import, the interpreter the stand-in::

    if TYPE_CHECKING:
        import httpx
    else:
        httpx = lazy_import("httpx")

A package does the same for the names it hands out::

    if TYPE_CHECKING:
        from wkfast.dataset.layer import Layer
    else:
        __getattr__, __dir__ = lazy_names(__name__, {"wkfast.dataset.layer": ["Layer"]})

Use attributes of such a module inside functions only: a base class or a default argument such as ``httpx.Timeout(5)``
would load it where it is written.
"""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from wkfast.errors import MissingExtraError


def lazy_import(name: str, *, extra: str | None = None) -> Any:
    """Return a stand-in for module `name` that imports it on first use.

    Where it is absent and belongs to an optional `extra` of wkfast, a :class:`MissingExtraError` names that.

    Annotate the module under ``TYPE_CHECKING`` where its types matter. Threads may use it at once: the import system
    takes care of that.

    Examples
    --------
    >>> colors = lazy_import("colorsys")
    >>> colors.rgb_to_hsv(1, 0, 0)
    (0.0, 1.0, 1)
    """
    # A plain module, not a class of our own: the interpreter reads what is in its dict itself, without a call.
    stand_in = ModuleType(name)

    def load(attribute: str) -> Any:
        if attribute.startswith("__") and attribute != "__version__":
            # doctest, inspect and pickle look for dunder attributes on whatever they meet; that is no use of the module
            raise AttributeError(attribute)
        value = getattr(_loaded(name, extra), attribute)
        # found in __dict__ from now on, so this runs once per name
        vars(stand_in)[attribute] = value
        return value

    vars(stand_in)["__getattr__"] = load
    return stand_in


def _loaded(name: str, extra: str | None) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if extra is None or error.name != name.partition(".")[0]:
            raise
        reason = f"this needs {error.name}, which is not installed: pip install 'wkfast[{extra}]'"
        raise MissingExtraError(reason, name=error.name) from None


def lazy_names(
    package: str, places: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package whose names are loaded when they are asked for.

    Parameters
    ----------
    package
        Its name.
    places
        Modules, and the names that each has.

    Examples
    --------
    >>> load, names = lazy_names("wkfast._lazy", {"colorsys": ["rgb_to_hsv"]})
    >>> load("rgb_to_hsv")(1, 0, 0), "rgb_to_hsv" in names()
    ((0.0, 1.0, 1), True)
    """
    place_of = {name: place for place, names in places.items() for name in names}

    def load(name: str) -> Any:
        if name not in place_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(place_of[name]), name)
        vars(sys.modules[package])[name] = value  # found without this from now on
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *place_of})

    return load, names
