"""Under which name downloaded bytes go, and what is left of those that were killed on the way."""

import glob
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from wkfast._lazy import lazy_import
from wkfast._locks import take_lock
from wkfast.drafts import shortened

if TYPE_CHECKING:
    from email import message, utils
else:
    message = lazy_import("email.message")
    utils = lazy_import("email.utils")

_UNSAFE = re.compile(r'[<>:"|?*]')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


def abandoned_parts(folder: Path, name: str) -> Iterator[Path]:
    """Yield what processes that were killed left of a file; what is still being written is locked.

    That is its bytes, or the draft that is the right to put them in their place.
    """
    for path in [*folder.glob(f"{glob.escape(shortened(name))}.part-*"), folder / f"{name}.wkfast-part"]:
        with suppress(OSError), path.open("rb") as file:
            if take_lock(file):
                yield path


def restart(file: BinaryIO) -> None:
    """Empty a file that is being written."""
    file.seek(0)
    file.truncate()


def proposed_name(content_disposition: str | None) -> str | None:
    """Return the file name of a ``Content-Disposition`` header as it stands there: not yet fit to be a path.

    Examples
    --------
    >>> proposed_name('attachment;filename="a;b.zip"')
    'a;b.zip'
    >>> proposed_name("attachment; filename=x.zip; filename*=UTF-8''na%C3%AFve.zip")
    'naïve.zip'
    """
    header = message.Message()
    header["content-disposition"] = content_disposition or ""
    try:
        # a tuple (charset, language, text) where the encoding is stated, which the library does not say of its types
        parameters: list[tuple[str, Any]] = header.get_params([], header="content-disposition")
        names = [value for key, value in parameters if key.lower() == "filename"]
        # the one that states its encoding counts before the one that cannot: RFC 6266, 4.3
        extended = [name for name in names if isinstance(name, tuple)]
        if extended:
            return utils.collapse_rfc2231_value(extended[0])
    except (ValueError, TypeError, LookupError):
        return None
    return _as_utf8(names[0]) if names and isinstance(names[0], str) else None


def _as_utf8(name: str) -> str:
    # headers are read as latin-1; a server that writes UTF-8 into one is read right by undoing that
    try:
        return name.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return name


def safe_name(name: str | None, default: str, suffix: str) -> str:
    """Return a name that is one visible entry of any folder: no path, no leading dot, no control characters.

    Examples
    --------
    >>> safe_name("../../etc/passwd", "annotation", ".zip")
    'passwd.zip'
    >>> safe_name(None, "annotation", ".nml")
    'annotation.nml'
    """
    last = re.split(r"[/\\]", name or "")[-1]
    visible = "".join(char for char in last if char.isprintable())
    stem = _UNSAFE.sub("_", visible).strip().lstrip(".").rstrip(". ")
    stem = shortened(re.sub(r"(?i)\.(zip|nml|xml)$", "", stem))
    if not stem or _RESERVED.fullmatch(stem):
        stem = default
    return stem + suffix
