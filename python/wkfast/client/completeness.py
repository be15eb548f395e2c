"""Is a downloaded file whole? A stream without a stated length that breaks looks just like one that ended."""

import os
import struct
from typing import BinaryIO, Literal

from wkfast.client.errors import IncompleteDownloadError, UnexpectedAnswerError

#: What a download is: a bare NML, or a zip of an NML and volume data.
Kind = Literal["nml", "zip"]

_END_RECORD = struct.Struct("<4s4H2LH")
_END_SIGNATURE = b"PK\x05\x06"
_LONGEST_COMMENT = 0xFFFF
_IN_ZIP64 = 0xFFFFFFFF
_HEAD, _TAIL = 512, 4096
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def checked_kind(file: BinaryIO, where: str) -> Kind:
    """Return what the file is, if it is whole.

    The first bytes decide: names and content types of servers and proxies may lie, these cannot.

    Raises
    ------
    IncompleteDownloadError
        It lacks its end.
    UnexpectedAnswerError
        It is neither a zip nor an NML.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(_HEAD).removeprefix(_BYTE_ORDER_MARK).lstrip()
    if head.startswith(b"PK"):
        _check_zip(file, size, where)
        return "zip"
    if head.startswith(b"<") and not head[:9].lower().startswith((b"<!doctype", b"<html")):
        _check_nml(file, size, where)
        return "nml"
    if not head:
        raise IncompleteDownloadError(f"{where}: the download is empty")
    raise UnexpectedAnswerError(f"{where}: neither a zip nor an NML came, but a file that begins with {head[:20]!r}")


def _check_zip(file: BinaryIO, size: int, where: str) -> None:
    file.seek(max(0, size - _LONGEST_COMMENT - _END_RECORD.size))
    start, tail = file.tell(), file.read()
    position = tail.rfind(_END_SIGNATURE)
    while position >= 0:
        if _ends_zip(tail, position, start):
            return
        position = tail.rfind(_END_SIGNATURE, 0, position)
    raise IncompleteDownloadError(f"{where}: the zip lacks its end; {size} bytes came")


def _ends_zip(tail: bytes, position: int, start: int) -> bool:
    if position + _END_RECORD.size > len(tail):
        return False
    *_, directory_size, directory_offset, comment = _END_RECORD.unpack_from(tail, position)
    if position + _END_RECORD.size + comment > len(tail):
        return False
    # the directory of a zip64 file is described elsewhere
    return _IN_ZIP64 in (directory_size, directory_offset) or directory_offset + directory_size <= start + position


def _check_nml(file: BinaryIO, size: int, where: str) -> None:
    file.seek(max(0, size - _TAIL))
    tail = file.read().rstrip()
    # comments may follow the root element
    if b"</things>" not in tail or not tail.endswith(b">"):
        raise IncompleteDownloadError(f"{where}: the NML lacks its end; {size} bytes came")
