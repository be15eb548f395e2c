"""Which version of the REST API to speak."""

from wkfast.client.errors import VersionError
from wkfast.client.records import BuildInfo

#: Versions of the REST API that wkfast speaks. They do not differ in any route it uses.
SUPPORTED_VERSIONS = (12, 13, 14)

_FIRST_WITH_DATASTORE_VERSION = 9


def chosen_version(info: BuildInfo, where: str) -> int:
    """Return the largest version that both sides speak.

    Raises
    ------
    VersionError
        There is none, or the server does not tell its versions.

    Examples
    --------
    >>> chosen_version(BuildInfo("25.11", current_api_version=13, oldest_api_version=5), "GET /api/buildinfo")
    13
    """
    oldest, current = info.oldest_api_version, info.current_api_version
    ours = f"wkfast speaks {SUPPORTED_VERSIONS[0]} to {SUPPORTED_VERSIONS[-1]}"
    if oldest is None or current is None:
        raise VersionError(f"{where}: the server does not tell its API versions, so it is older than version 6; {ours}")
    common = [version for version in SUPPORTED_VERSIONS if oldest <= version <= current]
    if not common:
        newer = "wkfast" if oldest > SUPPORTED_VERSIONS[-1] else "server"
        raise VersionError(
            f"{where}: the server speaks API versions {oldest} to {current}, {ours}. "
            f"A newer {newer} helps; webknossos_context(api_version=…) forces a version"
        )
    return max(common)


def datastore_prefix(version: int) -> str:
    """Return the first path segments of data store routes; servers before version 9 had no version in them."""
    return f"data/v{version}" if version >= _FIRST_WITH_DATASTORE_VERSION else "data"
