"""Folders of a bucket that one call has to itself: each has a mark that is put anew as long as the call is at work.

Whoever finds a mark leaves the folder alone, unless its owner has gone: a process of this machine that is no more, or
any that has not put its mark anew for a minute.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from typing import TYPE_CHECKING

from wkfast import _core
from wkfast.dataset.folders import LEFT
from wkfast.errors import DatasetError, ExistsError, WkfastError

if TYPE_CHECKING:
    from wkfast.buckets import ObjectPath

    Version = tuple[str | None, str | None]

# Seconds between two puts of a mark, and after how many without one it is over.
RENEWAL = 10.0
SILENCE = 60.0
# Seconds between two looks at a mark of which nothing but this can be known.
_LOOK = 2.0
# How often others may come first before that counts as somebody at work.
_TRIES = 5
# More than any mark that wkfast makes.
_MARK_BYTES = 1 << 10
# Marks of calls of this process that are at work; what it left otherwise is nobody's.
_LIVING: set[str] = set()


class Claim:
    """A folder that this call has to itself as long as its mark lies in it. Others see it by :func:`take`.

    Attributes
    ----------
    folder
        The folder.
    """

    def __init__(self, folder: ObjectPath, name: str, count: int, version: Version) -> None:
        self.folder = folder
        self._file = folder / LEFT
        self._name = name
        self._count = count
        self._version: Version | None = version
        self._changing = threading.Lock()
        self._ended = threading.Event()
        self._process = os.getpid()
        threading.Thread(target=self._renew_until_ended, name="wkfast-mark", daemon=True).start()

    def check(self) -> None:
        """Refuse to list what another call has taken for left.

        Raises
        ------
        DatasetError
            Another call has taken the folder over.
        """
        with self._changing:
            found = self._file.read(_MARK_BYTES)
            if self._version is None or found is None or _name_in(found) != self._name:
                raise DatasetError(
                    f"{self.folder}: another call makes the same and has taken it over; look what is there now"
                )

    def finish(self) -> None:
        """Take the mark away: what lies there is listed."""
        self.end()
        self._file.remove()

    def end(self) -> None:
        """Put the mark anew no more."""
        self._ended.set()
        with self._changing:
            _LIVING.discard(self._name)

    def _renew_until_ended(self) -> None:
        while not self._ended.wait(RENEWAL) and self._process == os.getpid():
            with self._changing:
                if self._version is None or self._ended.is_set():
                    return
                self._renew(self._version)

    def _renew(self, version: Version) -> None:
        self._count += 1
        text = _text(self._name, self._count)
        try:
            renewed = self._file.write_if(text, version)
            if renewed is None:
                # The answer to the last put may have been lost: what counts is whose the mark is.
                found = self._file.read_version(_MARK_BYTES)
                renewed = found[1] if found is not None and _name_in(found[0]) == self._name else None
        except (WkfastError, KeyboardInterrupt):
            return  # it is tried again
        self._version = renewed


def take(folder: ObjectPath) -> tuple[Claim, bool]:
    """Mark a folder as this call's; return the claim, and whether there was a mark that is over.

    Raises
    ------
    ExistsError
        Another call is at work there.
    """
    file, name = folder / LEFT, uuid.uuid4().hex
    _LIVING.add(name)
    try:
        version, is_left = None, False
        for count in range(_TRIES):
            put = file.write_if(_text(name, count), version)
            if put is not None:
                return Claim(folder, name, count, put), is_left
            found = file.read_version(_MARK_BYTES)
            if found is not None and not _is_over(file, *found):
                break
            version, is_left = (None, is_left) if found is None else (found[1], True)
    except BaseException:
        _LIVING.discard(name)
        raise
    _LIVING.discard(name)
    raise _at_work(folder)


def is_free(folder: ObjectPath) -> bool:
    """Return whether a folder has a mark, of a call that has left it.

    Raises
    ------
    ExistsError
        Another call is at work there.
    """
    file = folder / LEFT
    found = file.read_version(_MARK_BYTES)
    if found is not None and not _is_over(file, *found):
        raise _at_work(folder)
    return found is not None


def _at_work(folder: ObjectPath) -> ExistsError:
    return ExistsError(f"{folder}: another call makes it right now; open the dataset anew when it has ended")


def _is_over(file: ObjectPath, text: bytes, version: Version) -> bool:
    """Return whether nobody is at work behind a mark. That of another machine is watched for a minute."""
    said = text.decode(errors="replace")
    is_gone = _core.is_process_gone(said) if text else True
    if is_gone:
        return True
    if is_gone is False:
        if said.startswith(f"{_core.this_process()} "):
            return _name_in(text) not in _LIVING
        if _age(said) < SILENCE:
            return False
    end = time.monotonic() + SILENCE
    while time.monotonic() < end:
        time.sleep(min(_LOOK, SILENCE / 4))
        found = file.read_version(_MARK_BYTES)
        if found is None:
            return True
        if found != (text, version):
            return False
    return True


def _text(name: str, count: int) -> bytes:
    return f"{_core.this_process()} renewed {count} at {time.time():.0f} as {name}".encode()


def _name_in(text: bytes) -> str:
    return text.decode(errors="replace").rpartition(" as ")[2]


def _age(said: str) -> float:
    """Return how long ago a process of this machine, by the same clock, says it put its mark."""
    words = said.rpartition(" at ")[2].split(" ")
    return abs(time.time() - float(words[0])) if words[0].isdigit() else SILENCE
