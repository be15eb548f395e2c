"""Uploads that stream a file from disk into a multipart body of known length."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wkfast.client.errors import ClientError
from wkfast.client.filenames import multipart_name
from wkfast.client.progress import Progress, ProgressMeter
from wkfast.client.retry import Clock

_BLOCK = 1 << 20

#: A path, or an open seekable binary file that is sent from its start.
Source = Path | str | BinaryIO


@dataclass(frozen=True)
class MultipartBody:
    """Text fields and one file, as ``multipart/form-data``. Made anew from disk each time it is iterated."""

    boundary: str
    prefix: bytes
    size: int
    suffix: bytes
    open_file: Callable[[], AbstractContextManager[BinaryIO]]
    progress: Progress | None
    clock: Clock

    @property
    def headers(self) -> dict[str, str]:
        """The headers that describe this body."""
        length = len(self.prefix) + self.size + len(self.suffix)
        return {"content-type": f"multipart/form-data; boundary={self.boundary}", "content-length": str(length)}

    def blocks(self) -> Iterator[bytes]:
        """Yield the body, a mebibyte at a time."""
        meter = ProgressMeter(self.progress, self.size, self.clock)
        yield self.prefix
        with self.open_file() as file:
            file.seek(0)
            while meter.done < self.size:
                block = file.read(min(_BLOCK, self.size - meter.done))
                if not block:
                    raise ClientError(
                        f"the file to upload became shorter while it was sent: {meter.done} of {self.size} bytes"
                    )
                yield block
                meter.add(len(block))
        yield self.suffix
        meter.finish()


def multipart_body(
    fields: dict[str, str], source: Source, filename: str, *, clock: Clock, progress: Progress | None = None
) -> MultipartBody:
    """Return the body for ``fields`` and then the file, whose part is named like the file."""
    size, open_file = _opened(source)
    boundary = f"wkfast-{os.urandom(16).hex()}"
    name = multipart_name(filename)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{text}\r\n'
        for key, text in fields.items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
        f"Content-Type: {_content_type(filename)}\r\n\r\n"
    )
    return MultipartBody(
        boundary, "".join(parts).encode(), size, f"\r\n--{boundary}--\r\n".encode(), open_file, progress, clock
    )


def _content_type(filename: str) -> str:
    return "application/xml" if filename.lower().endswith(".nml") else "application/zip"


def _opened(source: Source) -> tuple[int, Callable[[], AbstractContextManager[BinaryIO]]]:
    if isinstance(source, Path | str):
        path = Path(source)
        return path.stat().st_size, lambda: path.open("rb")
    return source.seek(0, os.SEEK_END), lambda: nullcontext(source)
