"""The ``.env`` file of the working directory: ``NAME=value`` lines, quotes, comments, an optional ``export``."""

import re
from pathlib import Path

_LINE = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*?)\s*$")
_ESCAPES = {"\\n": "\n", "\\t": "\t", '\\"': '"', "\\\\": "\\"}
_SIZE_LIMIT = 1 << 20


def read_dotenv(path: Path) -> dict[str, str]:
    """Return the variables of a ``.env`` file; none where there is no such file or it cannot be read.

    Variables inside values are not expanded. Lines that are no assignment are skipped: the file serves other tools too.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_SIZE_LIMIT)
    except OSError:
        return {}
    return parse_dotenv(content.decode("utf-8-sig", errors="replace"))


def parse_dotenv(text: str) -> dict[str, str]:
    r"""Return the variables of a ``.env`` text; the last assignment of a name wins.

    Examples
    --------
    >>> parse_dotenv("# server\nWK_URL=https://wk.example.org  # ours\nexport WK_TIMEOUT='60'\n")
    {'WK_URL': 'https://wk.example.org', 'WK_TIMEOUT': '60'}
    """
    matches = (_LINE.match(line) for line in text.splitlines())
    return {match["name"]: _value(match["value"]) for match in matches if match is not None}


def _value(text: str) -> str:
    quoted = re.match(r"'([^']*)'", text)
    if quoted:
        return quoted[1]
    quoted = re.match(r'"((?:[^"\\]|\\.)*)"', text)
    if quoted:
        return re.sub(r"\\.", lambda escape: _ESCAPES.get(escape[0], escape[0]), quoted[1])
    return re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()
