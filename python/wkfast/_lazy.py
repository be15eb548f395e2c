"""Modules that are loaded when first used, so that ``import wkfast`` stays quick."""

import importlib
from types import ModuleType
from typing import Any


class _LazyModule(ModuleType):
    """Stands for a module until an attribute is asked for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def lazy_import(name: str) -> Any:
    """Return a stand-in for module `name` that imports it on first use.

    Annotate the module under ``TYPE_CHECKING`` where its types matter.

    Examples
    --------
    >>> colors = lazy_import("colorsys")
    >>> colors.rgb_to_hsv(1, 0, 0)
    (0.0, 1.0, 1)
    """
    return _LazyModule(name)
