"""The command ``wkfast``: arguments, progress and exit codes."""

import importlib
import sys

# Some releases of typer load rich, a third of the time of a short command, for help that is in colours. Ours is plain.
_rich_is_free = "typer" not in sys.modules and "rich" not in sys.modules
if _rich_is_free:
    sys.modules["rich"] = None  # type: ignore[assignment] # imports of it fail
try:
    importlib.import_module("typer")
finally:
    if _rich_is_free:
        del sys.modules["rich"]

from wkfast.cli.app import main  # noqa: E402

__all__ = ["main"]
