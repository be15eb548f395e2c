"""The command ``wkfast``: arguments, progress and exit codes."""

from wkfast.cli.app import main

__all__ = ["main"]
