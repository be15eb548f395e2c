"""Where the command line prints: results to standard output, everything else to standard error."""

from rich.console import Console

output = Console()
errors = Console(stderr=True)


def bytes_text(count: int) -> str:
    """Return a count of bytes for people.

    Examples
    --------
    >>> bytes_text(512), bytes_text(3_400_000)
    ('512 B', '3.4 MB')
    """
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:  # noqa: PLR2004 - SI prefixes
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
