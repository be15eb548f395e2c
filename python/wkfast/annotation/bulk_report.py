"""What became of many downloads."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from wkfast._short import counted
from wkfast.client.urls import shown

if TYPE_CHECKING:
    from pathlib import Path

    from wkfast.buckets import ObjectPath

_WORDS = {"downloaded": "downloaded", "skipped": "there already", "failed": "failed"}


@dataclass(frozen=True)
class AnnotationDownload:
    """What became of one annotation.

    Attributes
    ----------
    annotation
        The id or URL that was given; of a task or project that could not be listed, that.
    status
        ``downloaded``, ``skipped`` if the complete file was there already, or ``failed``.
    path
        The file; ``None`` if it failed.
    size
        Bytes of the file.
    error
        Why it failed.
    annotation_id
        Its id; ``None`` where none was found out.
    name
        The annotation's name on the server, as far as file names can have it; ``None`` where it is not known, as that
        of an ``.nml`` that was there.
    seconds
        That it took.
    """

    annotation: str
    status: Literal["downloaded", "skipped", "failed"]
    path: Path | ObjectPath | None = None
    size: int = 0
    error: str | None = None
    annotation_id: str | None = None
    name: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class DownloadReport:
    """What became of many annotations, in the order in which they were given."""

    downloads: tuple[AnnotationDownload, ...]

    @property
    def failed(self) -> tuple[AnnotationDownload, ...]:
        """Those that did not come."""
        return tuple(download for download in self.downloads if download.status == "failed")

    @property
    def paths(self) -> tuple[Path | ObjectPath, ...]:
        """The files that are there now."""
        return tuple(download.path for download in self.downloads if download.path is not None)

    def to_json(self) -> str:
        """Return the report as JSON, for scripts; what is secret in a URL is left out."""
        return json.dumps(
            [
                {
                    **asdict(it),
                    "annotation": shown(it.annotation),
                    "path": it.path and str(it.path),
                    "seconds": round(it.seconds, 3),
                }
                for it in self.downloads
            ]
        )

    def __str__(self) -> str:
        counts = {status: [it for it in self.downloads if it.status == status] for status in _WORDS}
        megabytes = sum(it.size for it in counts["downloaded"]) / 1e6
        told = [f"{len(counts[status])} {words}" for status, words in _WORDS.items()]
        first = f"{counted(len(self.downloads), 'annotations')}: {', '.join(told)}; {megabytes:.1f} MB came"
        return "\n".join([first, *(f"failed: {shown(it.annotation)}: {it.error}" for it in self.failed)])
