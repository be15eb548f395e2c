"""File names that a server proposes, and names that are proposed to a server."""

import re
from urllib.parse import unquote

_PARAMETER = re.compile(r""";\s*(?P<name>[\w*]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^;"]*))""", re.DOTALL)
_UNSAFE = re.compile(r'[<>:"|?*]')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
_LENGTH = 180


def proposed_name(content_disposition: str | None) -> str | None:
    """Return the file name of a ``Content-Disposition`` header as it stands there: not yet fit to be a path.

    Examples
    --------
    >>> proposed_name('attachment;filename="a;b.zip"')
    'a;b.zip'
    >>> proposed_name("attachment; filename=x.zip; filename*=UTF-8''na%C3%AFve.zip")
    'naïve.zip'
    """
    parameters = {
        match["name"].lower(): re.sub(r"\\(.)", r"\1", match["quoted"])
        if match["quoted"] is not None
        else match["bare"]
        for match in _PARAMETER.finditer(";" + (content_disposition or "").partition(";")[2])
    }
    extended = parameters.get("filename*", "").strip().split("'", 2)
    if len(extended) == 3 and extended[0].lower() in ("utf-8", "iso-8859-1"):  # noqa: PLR2004 (charset, language, value)
        return unquote(extended[2], encoding=extended[0], errors="replace")
    name = parameters.get("filename")
    return None if name is None else _as_utf8(name.strip())


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
    stem = re.sub(r"(?i)\.(zip|nml|xml)$", "", stem)
    while len(stem.encode()) > _LENGTH:
        stem = stem[:-1]
    if not stem or _RESERVED.fullmatch(stem):
        stem = default
    return stem + suffix


def multipart_name(name: str) -> str:
    r"""Return a name for a multipart header, with quotes and line breaks percent-encoded as browsers do.

    Examples
    --------
    >>> multipart_name('a"b\r\nX-Evil: 1.zip')
    'a%22b%0D%0AX-Evil: 1.zip'
    """
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
